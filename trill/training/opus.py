"""Sound through Ogg Opus and back, as a messenger or a call sends it."""

import io

import numpy as np
import soundfile

from trill import audio

RATES = (8_000, 12_000, 16_000, 24_000, 48_000)  # Hz that the codec takes: RFC 6716, section 2
LEAST, RANGE = 6_000, 250_000  # bit/s: libsndfile 1.2's compression level 1 is the least, 0 is that and the range
BLOCK_SECONDS = 10.0  # written at once


def opus(waveform: np.ndarray, bits_per_second: int, sample_rate: int = 16_000) -> np.ndarray:
    """Encode with a variable bit rate, decode.

    Args:
        waveform: `(num_samples,)` float32 in [-1, 1].
        bits_per_second: what the encoder aims at, 6,000 to 256,000; `len(encode(...))` says what it took.
        sample_rate: one of `RATES`.

    Returns:
        `(num_samples,)` float32 in [-1, 1]: the codec's delay is taken out. The same sound gives the same samples, with
        one version of libsndfile.

    Raises:
        ValueError: if the rate is none of `RATES`, or the bit rate out of range.
    """
    found = audio.read(encode(waveform, bits_per_second, sample_rate), target_rate=sample_rate)
    return np.pad(found, (0, max(0, len(waveform) - len(found))))[: len(waveform)]


def encode(waveform: np.ndarray, bits_per_second: int, sample_rate: int = 16_000) -> bytes:
    """As an Ogg Opus file. Its serial number is drawn: two files of one sound differ in it."""
    if sample_rate not in RATES:
        raise ValueError(f"Opus takes {', '.join(map(str, RATES))} Hz, got {sample_rate}. Resample: trill.audio.read.")
    if not LEAST <= bits_per_second <= LEAST + RANGE:
        raise ValueError(f"bits_per_second must be in [{LEAST}, {LEAST + RANGE}], got {bits_per_second}. Try 12000.")
    file = io.BytesIO()
    level = 1 - (bits_per_second - LEAST) / RANGE
    block = round(BLOCK_SECONDS * sample_rate)
    with soundfile.SoundFile(
        file, "w", sample_rate, 1, format="OGG", subtype="OPUS", compression_level=level
    ) as encoder:
        for start in range(0, len(waveform), block):
            encoder.write(waveform[start : start + block])
    return file.getvalue()
