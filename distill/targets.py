"""What a teacher says of a corpus, on disk: what is there, whose it is, and whether it may be believed.

A folder, described in `docs/targets-format.md`: `manifest.json`, `starts.npy`, and `frames.npy`, `clips.npy` or both.
Clips are in the order of the corpus' cache (`trill.training.cache`). `distill.writing` makes such a folder from a
teacher; anything else that writes NumPy arrays can.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from trill.errors import TrillError
from trill.files import write_atomically
from trill.training.cache import Cache

FORMAT = 1
MANIFEST, STARTS, FRAMES, CLIPS, BASIS = "manifest.json", "starts.npy", "frames.npy", "clips.npy", "basis.safetensors"
DTYPES = ("float16", "float32")


class TargetsError(TrillError, ValueError):
    """Targets that are damaged, or of something else."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What targets are of.

    Args:
        teacher: its name.
        fingerprint: SHA-256 of its weights and configuration: another version has another.
        content: `Cache.content` of the corpus it heard.
        sample_rate: Hz of what it heard.
        hop_samples: between the starts of two frames.
        dim: values of a frame, or of a clip.
        num_clips: in the corpus.
        layers: of the teacher, 0 for the input of its first block; empty for a tap.
        tap: the teacher's, where it is no layer.
        combine: how layers became one frame, "concat" or "mean".
        components: of the basis, None for all values.
        explained: share of the variance that they hold.
        dtype: of what is stored.
        format: of the folder.
    """

    teacher: str
    fingerprint: str
    content: str
    sample_rate: int
    hop_samples: int
    dim: int
    num_clips: int
    layers: tuple[int, ...] = ()
    tap: str | None = None
    combine: str = "concat"
    components: int | None = None
    explained: float | None = None
    dtype: str = "float16"
    format: int = FORMAT

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type in (int, str) and not isinstance(value, field.type):
                raise TargetsError(f"{field.name} of targets must be {field.type.__name__}, got {value!r}.")
            if field.type is int and not 0 < value < 2**40:
                raise TargetsError(f"{field.name} of targets must be positive, got {value!r}.")
        if self.format != FORMAT:
            raise TargetsError(f"targets must have format {FORMAT}, got {self.format}. A newer trill-speech reads it.")
        if self.dtype not in DTYPES:
            raise TargetsError(f"dtype of targets must be one of {', '.join(DTYPES)}, got {self.dtype!r}.")

    def save(self, path: Path) -> None:
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """The inverse of `save`.

        Raises:
            TargetsError: if there is none, or it is unsound.
        """
        try:
            fields: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**fields, "layers": tuple(fields.get("layers", ()))})
        except (OSError, TypeError, ValueError, AttributeError, RecursionError) as error:
            if isinstance(error, TargetsError):
                raise TargetsError(f"{path}: {error}") from error
            raise TargetsError(
                f"targets are a folder with {MANIFEST}, {path} cannot be read as one: {error}. "
                "`trill-distill targets` writes one."
            ) from error


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """A teacher's words on a corpus, mapped.

    Args:
        manifest: what they are of.
        starts: `(num_clips + 1,)` int64: the frames of clip `i` are `frames[starts[i]:starts[i + 1]]`.
        frames: `(total_frames, dim)`, frame `j` of a clip from sample `j * hop_samples` on; None where only clips are
            kept.
        clips: `(num_clips, dim)`, or None where only frames are kept.
    """

    manifest: Manifest
    starts: np.ndarray
    frames: np.ndarray | None
    clips: np.ndarray | None

    def window(self, clip: int, first: int, count: int) -> np.ndarray:
        """Frames of a clip: `(count, dim)` float32. Past its last, that is repeated.

        Raises:
            TargetsError: if a number is not finite.
        """
        assert self.frames is not None, "asked for by those who checked"  # noqa: S101
        begin, end = self.starts[clip] + first, self.starts[clip + 1]
        found = self.frames[begin : min(begin + count, end)].astype(np.float32)
        if not len(found):
            found = self.frames[end - 1 : end].astype(np.float32)
        return self._checked(np.pad(found, ((0, count - len(found)), (0, 0)), mode="edge"), clip)

    def clip(self, clip: int) -> np.ndarray:
        """What is said of a clip as a whole: `(dim,)` float32.

        Raises:
            TargetsError: if a number is not finite.
        """
        assert self.clips is not None, "asked for by those who checked"  # noqa: S101
        return self._checked(self.clips[clip].astype(np.float32), clip)

    def _checked(self, values: np.ndarray, clip: int) -> np.ndarray:
        if not np.isfinite(values).all():
            raise TargetsError(
                f"targets must be finite, those of {self.manifest.teacher} for clip {clip} are not. Write them again."
            )
        return values


def num_frames(lengths: np.ndarray, hop_samples: int) -> np.ndarray:
    """Frames that cover clips of `lengths` samples.

    >>> num_frames(np.array([319, 320, 321]), 320).tolist()
    [1, 1, 2]
    """
    return -(-np.asarray(lengths, np.int64) // hop_samples)


def open_targets(folder: str | os.PathLike[str]) -> Targets:
    """Map the targets in a folder; nothing is read yet.

    Raises:
        TargetsError: if the folder holds none, or what it holds is not what its manifest says.
    """
    folder = Path(folder)
    manifest = Manifest.load(folder / MANIFEST)
    starts = _mapped(folder / STARTS)
    if starts is None:
        raise TargetsError(f"targets need {STARTS}, {folder} has none. Write them again.")
    frames, clips = _mapped(folder / FRAMES), _mapped(folder / CLIPS)
    if frames is None and clips is None:
        raise TargetsError(f"targets need {FRAMES} or {CLIPS}, {folder} has neither. Write them again.")
    total = int(starts[-1]) if starts.ndim == 1 and len(starts) and starts.dtype.kind in "iu" else -1
    expected = {
        STARTS: (starts, (manifest.num_clips + 1,), ("int64",)),
        FRAMES: (frames, (total, manifest.dim), (manifest.dtype,)),
        CLIPS: (clips, (manifest.num_clips, manifest.dim), (manifest.dtype,)),
    }
    for name, (array, shape, dtypes) in expected.items():
        if array is not None and (array.shape != shape or array.dtype.name not in dtypes):
            raise TargetsError(
                f"{folder / name} must be {dtypes[0]} of shape {shape}, as {MANIFEST} says, got {array.dtype.name} of "
                f"{array.shape}. Write it again."
            )
    if starts[0] != 0 or (np.diff(starts) < 1).any():
        raise TargetsError(f"{folder / STARTS} must begin with 0 and rise from clip to clip. Write it again.")
    return Targets(manifest, np.asarray(starts), frames, clips)


def check_corpus(targets: Targets, cache: Cache) -> None:
    """Whether the targets are of this sound.

    Raises:
        TargetsError: if they are of another corpus, another sample rate, or shorter than a clip.
    """
    manifest = targets.manifest
    if manifest.sample_rate != cache.sample_rate:
        raise TargetsError(
            f"teacher and student must hear the same rate, {manifest.teacher} heard {manifest.sample_rate} Hz, the "
            f"student's front end takes {cache.sample_rate} Hz. Write targets from a teacher of that rate."
        )
    if manifest.content != cache.content:
        raise TargetsError(
            f"targets must be of the sound that is trained on, these are of other sound: {manifest.num_clips:,} clips, "
            f"and the corpus has {len(cache):,}; or their order or content differs. "
            "Pass the sources that they were made of, in the same order, with the same recipe if it has variants. "
            "Or make others: trill-distill targets."
        )
    short = np.flatnonzero(np.diff(targets.starts) < num_frames(cache.lengths, manifest.hop_samples))
    if targets.frames is not None and len(short):
        clip = int(short[0])
        raise TargetsError(
            f"frames must cover their clip, {cache.names[clip]} has {cache.lengths[clip]} samples and "
            f"{np.diff(targets.starts)[clip]} frames of {manifest.hop_samples}; so have {len(short)} clips. "
            "Is hop_samples right? Write the targets again."
        )


def _mapped(path: Path) -> np.ndarray | None:
    if not path.exists():
        return None
    try:
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise TargetsError(f"{path} is no sound NumPy array: {error}. Write it again.") from error
    return array
