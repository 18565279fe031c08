"""What the README's table compares with, pooled as there: noss run -r scripts/baselines.py:log_mel ...

The teachers are looked for in the folder that the variable TEACHERS names.
"""

import functools
import os
from pathlib import Path

import numpy as np

from noss.representations.spectral import CONFIGURATIONS

LAYER10 = (12, 8, 256)  # frames, bands, channels of a window of 0.975 s


@functools.cache
def teacher(name: str, layers: tuple[int, ...] | None = None):
    import distill

    return distill.load_teacher(os.fspath(Path(os.environ["TEACHERS"], name)), num_layers=layers and max(layers))


def yamnet_layer10(waveform: np.ndarray) -> np.ndarray:
    """`(num_windows, 2048)`: mean over time, its eight bands kept."""
    maps = teacher("yamnet_float_layers1to11").embed_windows(waveform, "layer10")
    return maps.reshape(-1, *LAYER10).mean(axis=1).reshape(len(maps), -1)


def whisper_blocks(waveform: np.ndarray) -> np.ndarray:
    """`(1, 2304)`: mean and deviation over time of Whisper tiny.en's blocks 1 to 3."""
    states = teacher("whisper_tiny_en_encoder", (1, 2, 3)).hidden_states(waveform[None])
    frames = np.concatenate([np.asarray(states[block][0]) for block in (1, 2, 3)], axis=1)
    return statistics(frames)


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """`(1, 128)`: mean and deviation of 64 bands."""
    return statistics(CONFIGURATIONS["log-mel"].embed_windows(waveform))


def mfcc(waveform: np.ndarray) -> np.ndarray:
    """`(1, 138)`: mean and deviation of 23 coefficients with their first and second differences."""
    return statistics(CONFIGURATIONS["mfcc-23-delta"].embed_windows(waveform))


def statistics(frames: np.ndarray) -> np.ndarray:
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0)])[None]
