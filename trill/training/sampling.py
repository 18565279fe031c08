"""Which windows make a batch: a function of seed and step, so that a resumed run sees what the first would have."""

import dataclasses
import functools
import math

import numpy as np

from trill.training.cache import Cache
from trill.training.effects import Augmentation


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Batches of two windows of each of many clips, anchor and positive (Shor et al. 2020, section 3.1).

    Clips are drawn without repetition in a batch, with a chance in proportion to their length: a minute counts the
    same whether it comes in one clip or in ten. A clip shorter than a window is followed by zeros.

    Args:
        cache: the clips.
        window_samples: samples in a window.
        batch_size: windows in a batch, even.
        seed: another seed is another stream.
        max_separation_seconds: the paper's tau, between the starts of the two windows; None for the whole clip.
        augment: applied to every window by itself; None to leave them as they are.

    Raises:
        ValueError: if the batch is odd, or asks for more clips than there are, or `max_separation_seconds` is negative
            or not finite.
    """

    cache: Cache
    window_samples: int
    batch_size: int
    seed: int = 0
    max_separation_seconds: float | None = None
    augment: Augmentation | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 4 or self.batch_size % 2:
            raise ValueError(f"batch_size must be even, two windows a clip, and at least 4, got {self.batch_size}.")
        if self.batch_size > 2 * len(self.cache):
            raise ValueError(
                f"a batch of {self.batch_size} windows needs {self.batch_size // 2} clips, the corpus has "
                f"{len(self.cache)}. "
                + (
                    f"Pass --batch-size {2 * len(self.cache)} or less, or more sound."
                    if len(self.cache) > 1
                    else "Negatives come from other clips: pass a folder with more recordings."
                )
            )
        if self.max_separation_seconds is not None and not 0 <= self.max_separation_seconds < math.inf:
            raise ValueError(
                f"max_separation_seconds must be 0 or more, got {self.max_separation_seconds}. "
                "Leave it out for the whole clip."
            )

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows `(batch_size, window_samples)` float32, pairs in neighbouring rows, and their clips, int32."""
        rng = np.random.default_rng([self.seed, step])
        lengths = self.cache.lengths
        clips = rng.choice(len(lengths), self.batch_size // 2, replace=False, p=self._chances, shuffle=False)
        last = np.maximum(0, lengths[clips] - self.window_samples)  # where a window may start
        separation = last if self.max_separation_seconds is None else self._tau
        anchors = rng.integers(0, last, endpoint=True)
        positives = rng.integers(
            np.maximum(0, anchors - separation), np.minimum(last, anchors + separation), endpoint=True
        )
        windows = np.stack(
            [
                self.cache.window(clip, start, self.window_samples)
                for clip, pair in zip(clips, np.stack([anchors, positives], axis=1), strict=True)
                for start in pair
            ]
        )
        if self.augment:
            windows = np.stack([self.augment(window, rng) for window in windows])
        return windows, np.repeat(clips, 2).astype(np.int32)

    @functools.cached_property
    def _chances(self) -> np.ndarray:
        chances: np.ndarray = self.cache.lengths / self.cache.lengths.sum()
        return chances

    @property
    def _tau(self) -> int:
        return round((self.max_separation_seconds or 0) * self.cache.sample_rate)
