"""Clips as windows, and as what the frozen part of a network makes of them, which is computed once."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from trill.networks.frontend import FrontendConfig
from trill.progress import progress
from trill.training.cache import Cache
from trill.training.effects import Augmentation
from trill.windows import frame, num_windows

ROWS = 64  # windows a call, always: what is compiled is compiled once
MAX_FEATURES = 2**31  # bytes in memory; of a larger corpus they are computed again for each batch


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """Clips of a cache by number, cut at the front end's hop.

    Args:
        cache: the sound.
        numbers: `(num_clips,)` of the clips in the cache.
        frontend: of the network.
    """

    cache: Cache
    numbers: np.ndarray
    frontend: FrontendConfig

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """Windows of each clip: `(num_clips,)`."""
        window, hop = self.frontend.window_samples, self.frontend.hop_samples
        return np.array([num_windows(int(self.cache.lengths[clip]), window, hop) for clip in self.numbers])

    @functools.cached_property
    def starts(self) -> np.ndarray:
        """Where each clip's windows begin among those of all: `(num_clips + 1,)`."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    def waveform(self, clip: int, first: int, count: int) -> np.ndarray:
        """The samples under some windows of a clip, with zeros after its end: `(num_samples,)` float32."""
        hop, window = self.frontend.hop_samples, self.frontend.window_samples
        return self.cache.window(int(self.numbers[clip]), first * hop, (count - 1) * hop + window)

    def cut(self, waveform: np.ndarray) -> np.ndarray:
        """Windows of what `waveform` gave: `(count, window_samples)`."""
        return frame(waveform, self.frontend.window_samples, self.frontend.hop_samples)


def features(clips: Clips, lower: keras.Model, quiet: bool) -> np.ndarray | None:
    """What the frozen part makes of every window, `(total_windows, ...)` float32; None where that is too much."""
    total, shape = int(clips.starts[-1]), tuple(lower.output.shape[1:])
    if 4 * total * math.prod(shape) > MAX_FEATURES:
        return None
    found = np.empty((total, *shape), np.float32)
    done = 0
    with progress((), total=total, unit="windows", quiet=quiet) as bar:
        for rows, size in _batched(_waveforms(clips, range(len(clips.counts)))):
            found[done : done + size] = lower.predict_on_batch(rows)[:size]
            done += size
            bar.update(size)
    return found


def embed(
    clips: Clips, lower: keras.Model, upper: keras.Model, stored: np.ndarray | None, chosen: np.ndarray
) -> Iterator[np.ndarray]:
    """Embeddings of the windows of some clips, one after the other: `(num_windows, dim)` each."""
    if stored is None:
        found = (
            upper.predict_on_batch(lower.predict_on_batch(rows))[:size]
            for rows, size in _batched(_waveforms(clips, chosen))
        )
    else:
        kept = (row for clip in chosen for row in stored[clips.starts[clip] : clips.starts[clip + 1]])
        found = (upper.predict_on_batch(rows)[:size] for rows, size in _batched(kept))
    rows = itertools.chain.from_iterable(found)
    for clip in chosen:
        yield np.stack(list(itertools.islice(rows, int(clips.counts[clip]))))


def _waveforms(clips: Clips, chosen: Any) -> Iterator[np.ndarray]:
    for clip in chosen:
        yield from clips.cut(clips.waveform(clip, 0, clips.counts[clip]))


def _batched(windows: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """Always `ROWS` of them, the last repeated, and how many there are."""
    some: list[np.ndarray] = []
    for window in windows:
        some.append(window)
        if len(some) == ROWS:
            yield np.stack(some), ROWS
            some = []
    if some:
        yield np.stack([*some, *[some[-1]] * (ROWS - len(some))]), len(some)


@dataclasses.dataclass(frozen=True, eq=False)
class ClipBatches:
    """Batches of clips, each cut to at most so many neighbouring windows: a function of seed and step.

    Args:
        clips: all of them.
        stored: what `features` gave; None to give waveforms.
        chosen: indices of the clips that are learnt from.
        targets: by head `(num_clips,)`, of all clips.
        batch_size: clips in a batch, at most as many as are chosen.
        num_windows: of a clip.
        seed: another seed is another stream.
        augment: applied to the sound under a clip's windows; then waveforms are given, whatever is stored.
    """

    clips: Clips
    stored: np.ndarray | None
    chosen: np.ndarray
    targets: Mapping[str, np.ndarray]
    batch_size: int
    num_windows: int
    seed: int = 0
    augment: Augmentation | None = None

    @property
    def gives_waveforms(self) -> bool:
        return self.stored is None or self.augment is not None

    def __call__(self, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Windows `(batch * num_windows, ...)`, clip after clip, and `mask` `(batch, num_windows)` and targets."""
        rng = np.random.default_rng([self.seed, step])
        chosen = rng.choice(self.chosen, self.batch_size, replace=False)
        counts = np.minimum(self.clips.counts[chosen], self.num_windows)
        firsts = rng.integers(0, self.clips.counts[chosen] - counts, endpoint=True)
        mask = (np.arange(self.num_windows) < counts[:, None]).astype(np.float32)
        rows = [self._rows(*place, rng) for place in zip(chosen, firsts, counts, strict=True)]
        windows = np.zeros((self.batch_size, self.num_windows, *rows[0].shape[1:]), np.float32)
        for place, row in zip(windows, rows, strict=True):
            place[: len(row)] = row
        targets = {name: column[chosen] for name, column in self.targets.items()}
        return windows.reshape(-1, *windows.shape[2:]), {"mask": mask, **targets}

    def _rows(self, clip: int, first: int, count: int, rng: np.random.Generator) -> np.ndarray:
        if not self.gives_waveforms and self.stored is not None:
            start = self.clips.starts[clip] + first
            return self.stored[start : start + count]
        waveform = self.clips.waveform(clip, first, count)
        return self.clips.cut(self.augment(waveform, rng) if self.augment else waveform)
