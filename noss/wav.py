"""Writing sound: one channel, 16 bits, whole or not at all. Reading it is `trill.audio`'s."""

import wave
from pathlib import Path

import numpy as np

from trill.files import write_atomically


def write_wav(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write a WAV file under a temporary name, then rename it.

    Args:
        path: of the file.
        samples: `(num_samples,)`, floats in [-1, 1] or int16.
        sample_rate: Hz.

    Raises:
        ValueError: if there are several channels or the integers have more than 16 bits.
    """
    if samples.ndim != 1:
        raise ValueError(f"a WAV is written from one channel, got shape {samples.shape}. Mix channels first.")
    if samples.dtype.kind == "f":
        samples = (samples.clip(-1, 1) * 32_767).round()
    elif samples.size and not (samples.min() >= -(2**15) and samples.max() < 2**15):
        raise ValueError(f"integer samples must have 16 bits, got {samples.min()} to {samples.max()}.")
    with write_atomically(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype("<i2").tobytes())
