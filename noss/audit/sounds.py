"""What can be measured of a recording without knowing what is said in it.

The measures are a representation like any other, of one window a clip: `noss.embeddings` decodes, keeps and resumes
them by content, and says which files cannot be read.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noss.tasks.task import Utterance

VERSION = 1  # raise it when a measure changes: it is one of them, and so part of the fingerprint
FRAME_SECONDS = 0.02
SILENT_DB = 40.0  # a frame so far under the loudest one is silence
FLOOR_DB = -120.0
SPECTRUM = 1024  # samples of a transform
BAND_DB = 60.0  # energy so far under the strongest frequency is none
SEGMENTS, BANDS = 12, 12  # of the print, which copies are looked for by
PRINT_WINDOW = 0.064  # seconds
PRINT_SILENT_DB = 30.0
LOW_HZ, HIGH_HZ = 125.0, 3_400.0  # what telephones and all codecs keep
PRINT_RANGE_DB = 40.0
BLOCK_FRAMES = 4096  # transformed at once

SCALARS = (
    "version",
    "seconds",
    "rms_db",
    "peak_db",
    "active_db",
    "leading_seconds",
    "trailing_seconds",
    "silent_share",
    "noise_floor_db",
    "offset",
    "bandwidth_hz",
    "zero_share",
    "clipped_share",
    "print_seconds",
)
# What a file begins with -> container, and whether its bytes a second are those of its header: rate, channels, bits.
MAGIC = (
    (b"RIFF", "wav", True),
    (b"RF64", "wav", True),
    (b"FORM", "aiff", True),
    (b".snd", "au", True),
    (b"caff", "caf", False),
    (b"fLaC", "flac", False),
    (b"OggS", "ogg", False),
    (b"ID3", "mp3", False),
    (b"\xff", "mp3", False),
)


@dataclasses.dataclass(frozen=True)
class Measures:
    """A representation of one window: the `SCALARS`, then the print, at 16 kHz."""

    name: str = f"audit-measures-{VERSION}"
    sample_rate: int = 16_000
    threads: int = 2

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(1, 158)` float32.

        >>> found = Measures().embed_windows(np.r_[np.zeros(8_000), np.ones(8_000), np.zeros(16_000)])[0]
        >>> found.shape, [round(float(found[SCALARS.index(name)]), 2) for name in ("leading_seconds", "silent_share")]
        ((158,), [0.5, 0.75])
        """
        x = np.asarray(waveform, np.float64)
        found, seconds = sound_print(x, self.sample_rate)
        values = {**measure(x, self.sample_rate), "print_seconds": seconds}
        return np.array([*(values[name] for name in SCALARS), *found.ravel()], np.float32)[None]


def measure(x: np.ndarray, rate: int) -> dict[str, float]:
    """The `SCALARS` of `(num_samples,)`, but that of the print."""
    step = round(FRAME_SECONDS * rate)
    frames = np.pad(x, (0, -len(x) % step)).reshape(-1, step)
    levels = _db((frames**2).mean(axis=1))
    active = levels > max(levels.max() - SILENT_DB, FLOOR_DB)
    first, stop = (np.flatnonzero(active)[[0, -1]] + (0, 1)) if active.any() else (0, len(levels))
    return {
        "version": VERSION,
        "seconds": len(x) / rate,
        "rms_db": float(_db(np.mean(x**2))),
        "peak_db": float(_db(np.abs(x).max() ** 2)),
        "active_db": float(np.median(levels[active])) if active.any() else FLOOR_DB,
        "leading_seconds": first * FRAME_SECONDS,
        "trailing_seconds": (len(levels) - stop) * FRAME_SECONDS,
        "silent_share": float(1 - active.mean()),
        "noise_floor_db": float(np.quantile(levels, 0.05)),
        "offset": float(x.mean()),
        "bandwidth_hz": _bandwidth(x, rate),
        "zero_share": float((x == 0).mean()),
        "clipped_share": float((np.abs(x) >= 1 - 2**-15).mean()),
    }


def _db(power: np.ndarray) -> np.ndarray:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (FLOOR_DB / 10))))


def _bandwidth(x: np.ndarray, rate: int) -> float:
    """The highest frequency with energy, on average over time; 0 in silence."""
    blocks = np.pad(x, (0, -len(x) % SPECTRUM)).reshape(-1, SPECTRUM)
    power = (np.abs(np.fft.rfft(blocks * np.hanning(SPECTRUM))) ** 2).mean(axis=0)
    loud = np.flatnonzero(power > power.max() * 10 ** (-BAND_DB / 10))
    return float(loud[-1] * rate / SPECTRUM) if len(loud) else 0.0


def sound_print(x: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """How energy is spread over time and frequency, `(12, 12)` dB, and the seconds of sound that this is of.

    Blind to gain, polarity, offset and silence around the sound; codecs and resampling change little, another take of
    the same words much.
    """
    window = round(PRINT_WINDOW * rate)
    hop = window // 4
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, window), window)[::hop]
    bins = np.digitize(np.arange(window // 2 + 1), np.geomspace(LOW_HZ, HIGH_HZ, BANDS + 1) * window / rate) - 1
    sums = (bins[:, None] == np.arange(BANDS)).astype(np.float64)
    blocks = (frames[start : start + BLOCK_FRAMES] for start in range(0, len(frames), BLOCK_FRAMES))
    bands = np.concatenate([np.abs(np.fft.rfft(block * np.hanning(window))) ** 2 @ sums for block in blocks])
    levels = _db(bands.sum(axis=1))
    active = np.flatnonzero(levels > max(levels.max() - PRINT_SILENT_DB, FLOOR_DB))
    if not len(active):
        return np.zeros((SEGMENTS, BANDS)), 0.0
    bands = bands[active[0] : active[-1] + 1]
    cuts = np.arange(SEGMENTS) * len(bands) // SEGMENTS
    counts = np.diff(np.r_[cuts, len(bands)]).clip(1)[:, None]
    found = _db(np.add.reduceat(bands, cuts, axis=0) / counts)
    found = np.maximum(found, found.max() - PRINT_RANGE_DB)
    return np.asarray(found - found.mean()), float(len(bands) * hop / rate)


def container(utterance: Utterance) -> tuple[str, bool]:
    """What a file is by its first bytes, and whether it is PCM, so that its size tells rate, channels and bits."""
    try:
        with Path(utterance.path).open("rb") as file:
            begin = file.read(4)
    except OSError:
        return "?", False
    return next(((name, pcm) for magic, name, pcm in MAGIC if begin.startswith(magic)), ("?", False))


def recordings(utterances: Sequence[Utterance], seconds: np.ndarray) -> np.ndarray:
    """What the files around the sound show: `(num_clips, num_containers + 1)`, one of them 1, then log of bytes/s.

    The last is 0 but for whole PCM files, and rounded: elsewhere, and to the digit, it would tell what is said and how
    long that takes.
    """
    found = [container(each) for each in utterances]
    names = sorted({name for name, _ in found})
    table = np.zeros((len(found), len(names) + 1))
    for row, ((name, pcm), each) in enumerate(zip(found, utterances, strict=True)):
        table[row, names.index(name)] = 1
        if pcm and each.start == 0 and each.end is None and seconds[row] > 0:
            table[row, -1] = round(float(np.log(max(1, each.path.stat().st_size) / seconds[row])), 1)
    return table
