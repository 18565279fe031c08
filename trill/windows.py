"""Cutting a waveform into fixed windows, and windows into one clip. The only arithmetic of time in the project."""

from collections.abc import Callable
from typing import Literal

import numpy as np

Pooling = Literal["mean", "max", "mean+std"]

# How rows (num_windows, dim) become one.
POOLINGS: dict[Pooling, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda rows: rows.mean(axis=0),
    "max": lambda rows: rows.max(axis=0),
    "mean+std": lambda rows: np.concatenate([rows.mean(axis=0), rows.std(axis=0)]),
}


def num_windows(num_samples: int, window: int, hop: int) -> int:
    """How many windows a waveform has.

    Windows start at 0, hop, 2 hop, ... while a whole one fits. One more, zero-padded, is added when it would see at
    least half a hop (half a window, if that is less) of sound that no whole window has seen; a waveform shorter than
    one window is padded to one.

    Raises:
        ValueError: if a count is not positive.

    >>> [num_windows(n, window=4, hop=4) for n in (1, 4, 5, 6, 8)]
    [1, 1, 1, 2, 2]
    >>> num_windows(16_000, 15_600, 2_720), num_windows(32_000, 15_600, 2_720)  # 1 s and 2 s at TRILL's hop
    (1, 7)
    """
    if min(num_samples, window, hop) < 1:
        raise ValueError(f"samples, window and hop must be positive, got {num_samples}, {window} and {hop} samples.")
    whole = 1 + max(0, num_samples - window) // hop
    next_start = whole * hop
    unseen = num_samples - max(next_start, next_start - hop + window)
    return whole + (2 * unseen >= min(hop, window))


def frame(waveform: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Cut a waveform into overlapping windows, without copying where no padding is needed.

    Args:
        waveform: `(num_samples,)`.
        window: samples in a window.
        hop: samples between the starts of two windows.

    Returns:
        `(num_windows(...), window)`; where the last window reaches past the end it holds zeros.

    Raises:
        ValueError: if the waveform is empty or not one-dimensional, or `window` or `hop` is not positive.

    >>> frame(np.arange(1, 7), window=3, hop=2)
    array([[1, 2, 3],
           [3, 4, 5],
           [5, 6, 0]])
    """
    if waveform.ndim != 1 or waveform.size == 0:
        raise ValueError(
            f"waveform must be a non-empty vector, got shape {waveform.shape}. Mix channels first: trill.audio.read."
        )
    count = num_windows(waveform.size, window, hop)
    missing = (count - 1) * hop + window - waveform.size
    if missing > 0:
        waveform = np.pad(waveform, (0, missing))
    return _view(waveform, window, hop, count)


def _view(waveform: np.ndarray, window: int, hop: int, count: int) -> np.ndarray:
    """The first `count` windows, all of which must lie inside; `sliding_window_view` takes four times as long."""
    (step,) = waveform.strides
    return np.lib.stride_tricks.as_strided(waveform, (count, window), (hop * step, step), writeable=False)


def times(num_samples: int, window: int, hop: int, sample_rate: int) -> np.ndarray:
    """Start and end of each window in seconds: `(num_windows, 2)`; a padded window ends where the sound ends.

    >>> times(6, window=3, hop=2, sample_rate=1).tolist()
    [[0.0, 3.0], [2.0, 5.0], [4.0, 6.0]]
    """
    spans = np.empty((num_windows(num_samples, window, hop), 2))
    spans[:, 0] = hop * np.arange(len(spans))
    spans[:, 1] = np.minimum(spans[:, 0] + window, num_samples)
    return spans / sample_rate


def pool(windows: np.ndarray, how: Pooling) -> np.ndarray:
    """Summarise `(num_windows, dim)` as one vector: `(dim,)`, or `(2 * dim,)` for "mean+std".

    Raises:
        ValueError: if `how` is none of them.

    >>> pool(np.array([[1.0, 2.0], [3.0, 6.0]]), "mean+std")
    array([2., 4., 1., 2.])
    """
    check_pooling(how)
    return POOLINGS[how](windows)


def check_pooling(how: object) -> None:
    """Raise the `ValueError` of `pool`, before there is anything to pool."""
    if how not in POOLINGS:
        raise ValueError(
            f"pooling must be one of {', '.join(map(repr, POOLINGS))}, got {how!r}. "
            "embed takes None too, and gives a row a window."
        )


class Framer:
    """`frame` for sound that arrives in pieces of any size: the windows of all pushes and of `finish` are its rows.

    >>> framer = Framer(window=3, hop=2)
    >>> [framer.push(chunk).tolist() for chunk in ([1, 2], [3], [4, 5, 6])]
    [[], [[1.0, 2.0, 3.0]], [[3.0, 4.0, 5.0]]]
    >>> framer.finish().tolist()
    [[5.0, 6.0, 0.0]]
    """

    def __init__(self, window: int, hop: int) -> None:
        num_windows(1, window, hop)  # says what it takes
        self.window, self.hop = window, hop
        self.num_samples = 0  # pushed so far
        self._emitted = 0
        self._rest = np.empty(0, np.float32)  # what windows to come may still need, from _rest_start
        self._rest_start = 0

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """Take `(num_samples,)` more and return the windows that are now whole: `(num_windows, window)`."""
        self.num_samples += len(chunk)
        rest = np.concatenate([self._rest, np.asarray(chunk, np.float32)])
        # With a hop longer than the window, the next window may start in sound that is still to come.
        skip = min(self._emitted * self.hop - self._rest_start, len(rest))
        self._rest, self._rest_start = rest[skip:], self._rest_start + skip
        if len(self._rest) < self.window:
            return np.empty((0, self.window), np.float32)
        count = 1 + (len(self._rest) - self.window) // self.hop
        self._emitted += count
        return _view(self._rest, self.window, self.hop, count)

    def finish(self) -> np.ndarray:
        """The zero-padded last window, where the sound has one: `(0 or 1, window)`."""
        if self.num_samples == 0 or self._emitted == num_windows(self.num_samples, self.window, self.hop):
            return np.empty((0, self.window), np.float32)
        last = self._rest[self._emitted * self.hop - self._rest_start :]
        self._emitted += 1
        return np.pad(last, (0, self.window - len(last)))[None]
