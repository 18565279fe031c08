"""What the demo compares with: one vector a clip, so that no frames vote and a run is short.

The same spectra frame by frame are the representations `log-mel`, `mfcc-13-delta` and the like.
"""

import functools

import numpy as np

from noss.representations.spectral import CONFIGURATIONS

VERSION = "1"  # of what these functions give
PATCH = 96  # frames that the untrained network sees
UNITS = 512


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of 64 log-mel bands: `(128,)`."""
    return _moments(CONFIGURATIONS["log-mel"].embed_windows(waveform))


def mfcc(waveform: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over time of 13 MFCC with two orders of differences: `(78,)`."""
    return _moments(CONFIGURATIONS["mfcc-13-delta"].embed_windows(waveform))


def untrained(waveform: np.ndarray) -> np.ndarray:
    """One layer of random weights with a ReLU on log-mel patches of 0.96 s, averaged over patches: `(512,)`.

    How much of a network's score is there before it learns anything.
    """
    frames = CONFIGURATIONS["log-mel"].embed_windows(waveform)
    frames = np.pad(frames, ((0, max(0, PATCH - len(frames))), (0, 0)), mode="edge")
    starts = range(0, len(frames) - PATCH + 1, PATCH // 4)
    patches = np.stack([frames[start : start + PATCH].ravel() for start in starts])
    patches = (patches - patches.mean(axis=1, keepdims=True)) / (patches.std(axis=1, keepdims=True) + 1e-6)
    return np.asarray(np.maximum(patches @ _weights(), 0).mean(axis=0))


@functools.cache
def _weights() -> np.ndarray:
    inputs = PATCH * 64
    return np.random.default_rng(0).normal(0, inputs**-0.5, (inputs, UNITS)).astype(np.float32)


def loudness(waveform: np.ndarray) -> np.ndarray:
    """What knows next to nothing: log duration, and level in decibels, its spread and its peak: `(4,)`.

    >>> loudness(np.full(16_000, 0.1, np.float32)).round(2).tolist()
    [0.0, -20.0, 0.0, -20.0]
    """
    size = min(400, len(waveform))
    frames = waveform[: len(waveform) // size * size].reshape(-1, size)
    levels = 20 * np.log10(np.sqrt((frames**2).mean(axis=1)) + 1e-5)
    return np.array([np.log(len(waveform) / 16_000), levels.mean(), levels.std(), levels.max()])


def _moments(frames: np.ndarray) -> np.ndarray:
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])


for _baseline in (log_mel, mfcc, untrained, loudness):
    _baseline.version = VERSION  # type: ignore[attr-defined]
