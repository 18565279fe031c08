"""Sounds for tests: made from a formula, encoded in memory, and headers that lie."""

import io
import struct

import numpy as np
import soundfile


def tone(seconds=0.5, rate=16_000, hertz=440.0, level=0.5):
    """A sine: `(num_samples,)` float64."""
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def noise(shape, seed=0, level=0.9):
    """Uniform noise of any shape: float64."""
    return np.random.default_rng(seed).uniform(-level, level, shape)


def encode(samples, rate=16_000, format="WAV", subtype=None, **options):  # noqa: A002
    """The bytes of a sound file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype, **options)
    return file.getvalue()


def wav(data=bytes(320), channels=1, rate=16_000, bits=16, claimed_bytes=None):
    """A WAV whose header says what we like."""
    size = len(data) if claimed_bytes is None else claimed_bytes
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", 1, channels, rate, min(rate * frame, 2**32 - 1), frame % 2**16, bits)
    riff = struct.pack("<4sI4s4sI", b"RIFF", min(size + 36, 2**32 - 1), b"WAVE", b"fmt ", len(layout))
    return riff + layout + struct.pack("<4sI", b"data", size) + data


def flac_claiming(samples, num_samples):
    """A FLAC whose header claims another length; 0 is "unknown", as encoders write into a pipe.

    STREAMINFO keeps the length in 36 bits that end at byte 26 (RFC 9639, section 8.2).
    """
    flac = bytearray(encode(samples, format="FLAC"))
    flac[21] = flac[21] & 0xF0 | num_samples >> 32
    flac[22:26] = struct.pack(">I", num_samples & 0xFFFFFFFF)
    return bytes(flac)


def mp3_without_length(samples, rate=16_000, **options):
    """An MP3 without its first frame, which holds only the Xing header."""
    mp3 = encode(samples, rate, "MP3", **options)
    return mp3[mp3.index(mp3[:2], 2) :]


class Pipe:
    """A binary stream that cannot seek, and hands out what it likes."""

    def __init__(self, data, step=1000):
        self._file = io.BytesIO(data)
        self._step = step

    def read(self, size=-1):
        return self._file.read(self._step if size < 0 else min(size, self._step))
