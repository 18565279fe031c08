"""Log-mel and MFCC: what speech was described by before networks, in NumPy.

A window of these is a frame, 10 ms after the one before; mean and standard deviation over time are the pooling's.
Where frames are stacked with their neighbours, a window is such a stack and the next one begins where it ends: every
frame stands in one window, and eleven times the length costs no memory.
"""

import dataclasses
from functools import cached_property

import numpy as np

from trill.runtime import default_threads
from trill.windows import frame

VERSION = "1"  # changes when any configuration gives other numbers
BLOCK_FRAMES = 4096  # transformed at once
DELTA_REACH = 2  # frames to either side that a difference is fitted to: the HTK Book, section 5.9


@dataclasses.dataclass(frozen=True)
class Spectral:
    """A spectral representation; computed in float64, given as float32.

    Args:
        label: what it is called, without its version.
        mel_bands: triangles on the HTK mel scale, of the magnitude spectrum, without area normalisation.
        coefficients: of the orthonormal DCT-II of the log-mel bands, c0 included; 0 for the bands themselves.
        deltas: 1 adds differences over time, 2 those of the differences too.
        context: frames stacked to either side.
        frame_seconds: length of a frame.
        step_seconds: time between the starts of two frames.
        low_hz: lower edge of the first band.
        high_hz: upper edge of the last band.
        log_offset: added to a band before its natural logarithm: silence is finite.
        sample_rate: Hz.
    """

    label: str
    mel_bands: int = 64
    coefficients: int = 0
    deltas: int = 0
    context: int = 0
    frame_seconds: float = 0.025
    step_seconds: float = 0.010
    low_hz: float = 125.0
    high_hz: float = 7_500.0
    log_offset: float = 0.001
    sample_rate: int = 16_000

    @property
    def name(self) -> str:
        """Label and version."""
        return f"{self.label}-{VERSION}"

    @property
    def threads(self) -> int:
        """NumPy computes without the interpreter lock."""
        return default_threads()

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(num_windows, dim)` float32; a sound shorter than a frame is padded with zeros.

        >>> CONFIGURATIONS["log-mel"].embed_windows(np.zeros(16_000)).shape
        (98, 64)
        >>> CONFIGURATIONS["mfcc"].embed_windows(np.zeros(16_000)).shape  # 23 x 3 x 11
        (9, 759)
        """
        features = self._log_mel(waveform)
        if self.coefficients:
            features = features @ dct(self.mel_bands)[: self.coefficients].T
        orders = [features]
        for _ in range(self.deltas):
            orders.append(delta(orders[-1]))
        return stack(np.concatenate(orders, axis=1), 1 + 2 * self.context).astype(np.float32)

    def _log_mel(self, waveform: np.ndarray) -> np.ndarray:
        length = round(self.frame_seconds * self.sample_rate)
        step = round(self.step_seconds * self.sample_rate)
        whole = max(length, len(waveform) - (len(waveform) - length) % step)  # what follows the last frame is left out
        frames = frame(waveform[:whole], length, step)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        blocks = (frames[start : start + BLOCK_FRAMES] for start in range(0, len(frames), BLOCK_FRAMES))
        bands = [np.abs(np.fft.rfft(block * window, self._fft_length)) @ self._bands for block in blocks]
        return np.log(np.concatenate(bands) + self.log_offset)

    @cached_property
    def _fft_length(self) -> int:
        return int(2 ** np.ceil(np.log2(round(self.frame_seconds * self.sample_rate))))

    @cached_property
    def _bands(self) -> np.ndarray:
        """Weights `(fft_length // 2 + 1, mel_bands)`; none for 0 Hz, which is no sound."""
        bins = _mel(np.fft.rfftfreq(self._fft_length, 1 / self.sample_rate))[:, None]
        low, high = _mel(np.array([self.low_hz, self.high_hz]))
        edges = np.linspace(low, high, self.mel_bands + 2)
        weights: np.ndarray = np.maximum(0.0, 1.0 - np.abs(bins - edges[1:-1]) / (edges[1] - edges[0]))
        weights[0] = 0.0
        return weights


def _mel(hz: np.ndarray) -> np.ndarray:
    """HTK's mel scale."""
    mel: np.ndarray = 2595.0 * np.log10(1.0 + hz / 700.0)
    return mel


def dct(size: int) -> np.ndarray:
    """The orthonormal DCT-II: `(size, size)`, a row a coefficient."""
    order, position = np.arange(size)[:, None], np.arange(size)
    matrix: np.ndarray = np.sqrt(2 / size) * np.cos(np.pi * order * (2 * position + 1) / (2 * size))
    matrix[0] /= np.sqrt(2)
    return matrix


def delta(features: np.ndarray) -> np.ndarray:
    """Slope over time of each column, fitted to two frames to either side; the first and last frame are repeated."""
    padded = np.pad(features, ((DELTA_REACH, DELTA_REACH), (0, 0)), mode="edge")
    count, reach = len(features), range(1, DELTA_REACH + 1)
    centre = DELTA_REACH
    rise = sum(n * (padded[centre + n : centre + n + count] - padded[centre - n : centre - n + count]) for n in reach)
    return np.asarray(rise / (2 * sum(n * n for n in reach)))


def stack(features: np.ndarray, size: int) -> np.ndarray:
    """Frames `(num_frames, d)` side by side: `(ceil(num_frames / size), size * d)`; the last frame is repeated."""
    missing = -len(features) % size
    return np.pad(features, ((0, missing), (0, 0)), mode="edge").reshape(-1, size * features.shape[1])


# Porjazovski et al. 2024 for `mfcc`; the others are a grid to choose from on dev.
_ROWS = (
    Spectral("log-mel"),  # the bands that TRILL sees
    Spectral("log-mel-40", mel_bands=40),
    Spectral("log-mel-80", mel_bands=80),
    Spectral("log-mel-50ms", frame_seconds=0.050),
    Spectral("log-mel-delta", deltas=2),
    Spectral("mfcc", 40, coefficients=23, deltas=2, context=5, low_hz=20.0, high_hz=7_600.0),
    Spectral("mfcc-13", 40, coefficients=13, low_hz=20.0, high_hz=7_600.0),
    Spectral("mfcc-13-delta", 40, coefficients=13, deltas=2, low_hz=20.0, high_hz=7_600.0),
    Spectral("mfcc-23-delta", 40, coefficients=23, deltas=2, low_hz=20.0, high_hz=7_600.0),
    Spectral("mfcc-40", 40, coefficients=40, low_hz=20.0, high_hz=7_600.0),
    Spectral("mfcc-40-delta", 40, coefficients=40, deltas=2, low_hz=20.0, high_hz=7_600.0),
    Spectral("mfcc-13-50ms", 40, coefficients=13, low_hz=20.0, high_hz=7_600.0, frame_seconds=0.050),
)
CONFIGURATIONS: dict[str, Spectral] = {row.label: row for row in _ROWS}
# "Mel/MFCC" as one competitor: one of these, chosen on dev for each task.
GRID = tuple(CONFIGURATIONS)
