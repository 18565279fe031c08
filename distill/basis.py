"""What a teacher says, made easy to learn: each value standardised, and the few directions that hold most of it."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trill.errors import ModelError, optional
from trill.files import write_atomically

MAX_WIDTH = 8_192  # of what principal components are taken from: the covariance has this size, squared


@dataclasses.dataclass(frozen=True, eq=False)
class Basis:
    """From a teacher's frames to targets: `((frames - mean) / scale) @ directions`.

    Args:
        mean: `(width,)` float32.
        scale: `(width,)` float32, positive.
        directions: `(width, dim)` float32, or None to keep all as they are.
        explained: share of the standardised variance that the directions hold, in [0, 1].
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray | None = None
    explained: float = 1.0

    @property
    def dim(self) -> int:
        """Values of a target."""
        return len(self.mean) if self.directions is None else self.directions.shape[1]

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(num_frames, width)` to `(num_frames, dim)` float32."""
        standardised = (frames - self.mean) / self.scale
        return standardised if self.directions is None else standardised @ self.directions

    def save(self, path: Path) -> None:
        """Write as safetensors, whole or not at all."""
        numpy = optional("safetensors.numpy", "train")
        tensors = {"mean": self.mean, "scale": self.scale, "explained": np.array([self.explained], np.float32)}
        if self.directions is not None:
            tensors["directions"] = np.ascontiguousarray(self.directions)
        with write_atomically(path) as temporary:
            temporary.write_bytes(numpy.save(tensors))

    @classmethod
    def load(cls, path: Path) -> "Basis":
        """The inverse of `save`.

        Raises:
            ModelError: if the file is damaged or holds something else.
        """
        safetensors = optional("safetensors", "train")
        numpy = optional("safetensors.numpy", "train")
        try:
            tensors = numpy.load_file(path)
            return cls(tensors["mean"], tensors["scale"], tensors.get("directions"), float(tensors["explained"][0]))
        except (safetensors.SafetensorError, KeyError, IndexError) as error:
            raise ModelError(f"{path} is no basis of targets: {error!r}. Remove it to begin anew: rm {path}") from error


def fit(sample: Iterable[np.ndarray], components: int | None) -> Basis:
    """Standardise, and find the principal components of what is standardised.

    All components are divided by one number, so that they keep their weight against each other and the mean of their
    squares is 1.

    Args:
        sample: `(num_frames, width)` each; read once, in float64.
        components: how many; None for standardisation alone.

    Raises:
        ValueError: if there are more components than values or frames, or more values than a covariance can hold.

    >>> rng = np.random.default_rng(0)
    >>> frames = rng.normal(5, 2, (1000, 1)) * [1.0, -3.0, 2.0]
    >>> found = fit([frames], components=1)
    >>> round(found.explained, 3), round(float(np.square(found(frames)).mean()), 3)
    (1.0, 1.0)
    """
    count, total, square = 0, np.zeros(0), np.zeros(0)
    for frames in sample:
        frames = frames.astype(np.float64)
        if not count:
            width = frames.shape[1]
            _check(components, width)
            total, square = np.zeros(width), np.zeros(width if components is None else (width, width))
            shift = frames.mean(axis=0)  # near the mean, so that squares do not cancel
        frames = frames - shift
        count += len(frames)
        total += frames.sum(axis=0)
        square += np.square(frames).sum(axis=0) if components is None else frames.T @ frames
    if count < 2 or (components or 0) > count:
        raise ValueError(f"{components or 1} components need more frames, got {count}. Pass more sound.")
    mean = total / count
    variance = square / count - (np.square(mean) if components is None else np.outer(mean, mean))
    diagonal = np.maximum(0.0, variance if components is None else np.diagonal(variance))
    scale = np.where(diagonal > 1e-12 * diagonal.max(), np.sqrt(diagonal), 1.0)  # a constant becomes 0
    where = (shift + mean).astype(np.float32), scale.astype(np.float32)
    if components is None:
        return Basis(*where)
    values, vectors = np.linalg.eigh(variance / np.outer(scale, scale))
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])  # one of two signs
    directions = vectors[:, :components] / np.sqrt(max(values[:components].mean(), 1e-12))
    explained = np.float32(values[:components].sum() / values.sum())  # as it is stored
    return Basis(*where, directions.astype(np.float32), float(explained))


def _check(components: int | None, width: int) -> None:
    if components is not None and not 1 <= components <= width:
        raise ValueError(f"components must be in [1, {width}], the teacher's width, got {components}.")
    if components is not None and width > MAX_WIDTH:
        raise ValueError(
            f"principal components are taken of at most {MAX_WIDTH:,} values, got {width:,}. "
            "Take fewer layers, or their mean: --combine mean."
        )
