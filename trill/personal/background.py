"""What speech in general looks like to a model: the yardstick of a personal head.

Embeddings of speech lie in a narrow cone, and vary most in a few directions that all speech shares. A head centres them
on the mean of much speech and levels these directions. The same file holds the curve from a head's score to a
chance. `scripts/fit_calibration.py` makes one for any model; docs/decisions/enrolment.md has what it is worth.
"""

import dataclasses
import functools
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trill.errors import ModelError
from trill.files import write_atomically
from trill.modelfile import ModelCard
from trill.presets import WEIGHTS

MAX_BYTES = 50_000_000
FEATURES = ("score", "log of the labels", "log of the clips a label", "offset")


@dataclasses.dataclass(frozen=True, eq=False)
class Background:
    """Speech in general, for embeddings of length 1.

    Attributes:
        model: `ModelCard.identity` of what it was made with, or "" for none.
        source_sha256: of the Keras weights that model was made from.
        mean: `(dim,)` float32.
        basis: `(rank, dim)` float32, orthonormal: the directions speech varies most in.
        gains: `(rank,)` float32, by which they are multiplied.
        scale: by which what comes out is divided, so that its mean square is 1.
        curves: for each method of a head the coefficients of `FEATURES` in the log odds of a label.
    """

    model: str
    source_sha256: str
    mean: np.ndarray
    basis: np.ndarray
    gains: np.ndarray
    scale: float
    curves: Mapping[str, tuple[float, ...]]

    def level(self, unit_vectors: np.ndarray) -> np.ndarray:
        """Centre and level rows of length 1: `(n, dim)` to `(n, dim)`."""
        return self._levelled(unit_vectors - self.mean)

    def fold(self, rows: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights and bias that say of a vector of length 1 what `rows` and `bias` say of its `level`."""
        weights = self._levelled(rows)  # the levelling is symmetric
        return weights, bias - weights @ self.mean

    def chances(self, method: str, clips: float, scores: np.ndarray) -> np.ndarray:
        """`(..., num_labels)` float64 in [0, 1] of scores of that shape: how likely each label is on its own.

        More labels have more chances to be mistaken, and the scores of what is known grow with the clips a label.
        """
        slope, many, learned, offset = self.curves[method]
        context = many * np.log(np.shape(scores)[-1]) + learned * np.log(clips) + offset
        # The logistic curve, in a form that cannot overflow.
        return np.asarray(0.5 + 0.5 * np.tanh((slope * np.asarray(scores, np.float64) + context) / 2))

    def _levelled(self, rows: np.ndarray) -> np.ndarray:
        along = (rows @ self.basis.T) * (self.gains - 1)
        return np.asarray((rows + along @ self.basis) / self.scale)


# Of a model that nothing is known of: cosines, and even odds at a cosine of .85, which is a guess. See
# docs/personal-heads.md for what to do about it.
GUESS = (10.0, 0.0, 0.0, -25.5)


def none_for(dim: int) -> Background:
    """A background that changes nothing, for embeddings of a model without one."""
    empty = np.empty((0, dim), np.float32)
    curves = dict.fromkeys(("centroid", "logistic"), GUESS)
    return Background("", "", np.zeros(dim, np.float32), empty, np.ones(0, np.float32), 1.0, curves)


def background_of(card: ModelCard, dim: int) -> Background:
    """The packaged background of a model by its name and version; without one, `none_for`.

    It is the model's if both have the hash of the file, or of the Keras weights, in common, and `dim` fits.
    """
    path = WEIGHTS / f"{card.name}-{card.version}.speech.npz"
    if path.parent != WEIGHTS or not path.is_file():  # a name of an untrusted file may hold "../"
        return none_for(dim)
    found = read(path)
    related = found.model == card.identity or (card.source_sha256 and found.source_sha256 == card.source_sha256)
    return found if related and len(found.mean) == dim else none_for(dim)


def write(path: str | os.PathLike[str], background: Background) -> None:
    """Write a background as NPZ; the basis in float16, which costs no accuracy and saves half the bytes."""
    values: dict[str, Any] = dataclasses.asdict(background)
    curves = values.pop("curves")
    values |= {"methods": np.array(list(curves)), "curves": np.array(list(curves.values()))}
    values["basis"] = background.basis.astype(np.float16)
    content = io.BytesIO()
    np.savez(content, **values)
    with write_atomically(path) as temporary:
        temporary.write_bytes(content.getvalue())


def read(path: str | os.PathLike[str]) -> Background:
    """Read what `write` wrote, once while the file stays as it is.

    Raises:
        ModelError: if it is missing, or no background.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ModelError(f"a background is a file of at most {MAX_BYTES:,} bytes, {path} is not. Check the path.")
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: Path, _: int) -> Background:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
        curves = dict(zip(values["methods"].tolist(), map(tuple, values["curves"].tolist()), strict=True))
        found = Background(
            model=str(values["model"]),
            source_sha256=str(values["source_sha256"]),
            mean=values["mean"].astype(np.float32),
            basis=values["basis"].astype(np.float32),
            gains=values["gains"].astype(np.float32),
            scale=float(values["scale"]),
            curves=curves,
        )
        (dim,), (rank,) = found.mean.shape, found.gains.shape
        sound = found.basis.shape == (rank, dim) and found.scale > 0 and set(curves) == {"centroid", "logistic"}
        finite = all(np.isfinite(array).all() for array in (found.mean, found.basis, found.gains, *curves.values()))
        if not (sound and finite and all(len(curve) == len(FEATURES) for curve in curves.values())):
            raise ValueError("its arrays do not fit each other")
    except Exception as error:  # zipfile and numpy have a dozen kinds for damaged bytes
        raise ModelError(
            f"{path} is no background of ours, or was cut short ({error}). Make it with scripts/fit_calibration.py."
        ) from error
    return found
