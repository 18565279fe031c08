"""What rooms, microphones and telephones do to a voice: small changes of a waveform, drawn anew for each window.

Everything stays on the waveform, masking after SpecAugment included, and is NumPy: it runs the same under every Keras
backend, the front end need not know of it, and the generator alone decides what comes out.
"""

import functools
import math
import numbers
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

# `(num_samples,)` float32 in [-1, 1] and a generator -> as many samples, float32. The waveform is not written to; what
# comes out may pass 1 until `augment.chain` clips it, and may be the waveform itself where nothing is to change.
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]

SILENCE = 2.0**-16  # an RMS under half a 16-bit step is no level to set another by
PADDING = 512  # samples of silence behind a window: a filter rings into them, not into the window's start
EDGE_MELS = 20.0  # width of a filter's edge: half a band of TRILL's 64
MU = 255.0  # ITU-T G.711, mu-law
TELEPHONE_HZ = (300.0, 3_400.0)  # the voice band of ITU-T G.712
MAX_RATE = 1_000_000  # Hz

_PRODUCTS = (2**i * 3**j * 5**k * 7**m for i in range(32) for j in range(20) for k in range(14) for m in range(11))
FFT_SIZES = np.array(sorted(size for size in _PRODUCTS if size < 2**31))  # lengths of fast transforms

# NumPy 2.4's float32 transform takes three times as long under the default norm.
rfft = functools.partial(np.fft.rfft, norm="ortho")
irfft = functools.partial(np.fft.irfft, norm="ortho")


def gain(*, low_db: float = -15.0, high_db: float = 6.0) -> Augmentation:
    """Louder or softer by a drawn number of dB within [-100, 100]."""
    check(-100, 100, low_db=low_db, high_db=high_db)
    return lambda waveform, rng: waveform * _amplitude(rng.uniform(low_db, high_db))


def noise(sounds: Sequence[np.ndarray], *, low_snr_db: float = 0.0, high_snr_db: float = 20.0) -> Augmentation:
    """Add a drawn stretch of a drawn sound, at a drawn ratio of the window's RMS to the stretch's.

    A window stays as it is when it or the stretch is silent: an RMS under 2**-16.

    Args:
        sounds: each `(n,)` float32 at the waveform's rate; one shorter than the window is repeated.
        low_snr_db: least signal-to-noise ratio, dB.
        high_snr_db: largest.

    Raises:
        ValueError: if there is no sound, one is empty or no vector, or the ratios are not ordered within [-100, 100].
    """
    check(-100, 100, low_snr_db=low_snr_db, high_snr_db=high_snr_db)
    if len(sounds) == 0:
        raise ValueError("noise needs at least one sound, got none. Pass a folder of them: --noise FOLDER.")
    for sound in sounds:
        if sound.ndim != 1 or sound.size == 0:
            raise ValueError(
                f"noise must be non-empty vectors, got shape {sound.shape}. Read it with trill.audio.read."
            )

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sound = sounds[int(rng.integers(len(sounds)))]
        starts = sound.size - waveform.size + 1  # at which the window fits
        start = rng.integers(starts if starts > 0 else sound.size)
        stretch: np.ndarray = sound.take(np.arange(start, start + waveform.size), mode="wrap").astype(
            np.float32, copy=False
        )
        snr_db, signal_rms, noise_rms = rng.uniform(low_snr_db, high_snr_db), _rms(waveform), _rms(stretch)
        if min(signal_rms, noise_rms) < SILENCE:
            return waveform
        return waveform + stretch * (signal_rms / noise_rms * _amplitude(-snr_db))

    return augment


def reverberation(
    *,
    low_seconds: float = 0.1,
    high_seconds: float = 0.8,
    low_ratio_db: float = 0.0,
    high_ratio_db: float = 15.0,
    sample_rate: int = 16_000,
) -> Augmentation:
    """A drawn room: the direct sound, then Gaussian noise that decays exponentially (Polack's model). RMS is kept.

    Args:
        low_seconds: least RT60, the time in which the tail falls by 60 dB, in [0.001, 10].
        high_seconds: largest RT60.
        low_ratio_db: least ratio of the direct sound's energy to what is expected of the tail's, dB in [-100, 100].
        high_ratio_db: largest ratio.
        sample_rate: Hz.

    Raises:
        ValueError: if a range is not ordered within its limits.
    """
    check(1, MAX_RATE, sample_rate=sample_rate)
    check(0.001, 10, low_seconds=low_seconds, high_seconds=high_seconds)
    check(-100, 100, low_ratio_db=low_ratio_db, high_ratio_db=high_ratio_db)

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rt60_samples = rng.uniform(low_seconds, high_seconds) * sample_rate
        level = _amplitude(-rng.uniform(low_ratio_db, high_ratio_db))
        rms = _rms(waveform)
        if rms < SILENCE:
            return waveform
        length = min(math.ceil(rt60_samples), waveform.size)  # a later echo falls behind the window
        decay = math.log(1_000) / rt60_samples
        level *= math.sqrt(math.expm1(2 * decay))  # over the energy of all exp(-decay k), k >= 1: a geometric series
        response = level * np.exp(-decay * np.arange(length, dtype=np.float32))
        response *= rng.standard_normal(length, dtype=np.float32)
        response[0] = 1
        size = _fft_size(waveform.size + length)
        wet = irfft(rfft(waveform, size) * rfft(response, size), size)[: waveform.size]
        return (wet * (rms / _rms(wet))).astype(np.float32, copy=False)

    return augment


def band_limit(*, low_hz: float = 300.0, high_hz: float = 3_400.0, sample_rate: int = 16_000) -> Augmentation:
    """Keep a drawn band: from somewhere in 0 to `low_hz`, to somewhere in `high_hz` to half the sample rate.

    Beyond an edge the gain falls to 0 over 20 mel.
    """
    check(1, MAX_RATE, sample_rate=sample_rate)
    check(0, sample_rate / 2, low_hz=low_hz, high_hz=high_hz)
    return _filter(
        lambda mels, rng: _pass_band(mels, rng.uniform(0, low_hz), rng.uniform(high_hz, sample_rate / 2)), sample_rate
    )


def codec(*, low_bits: int = 5, high_bits: int = 8, sample_rate: int = 16_000) -> Augmentation:
    """A telephone: its voice band, mu-law steps of a drawn number of bits in [2, 16], the band again at the receiver.

    ITU-T G.711 has 8 bits; fewer stand for coarser codecs.
    """
    check(2 * TELEPHONE_HZ[1], MAX_RATE, sample_rate=sample_rate)
    check(2, 16, whole=True, low_bits=low_bits, high_bits=high_bits)
    band = _filter(lambda mels, rng: _pass_band(mels, *TELEPHONE_HZ), sample_rate)

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return band(mu_law(band(waveform, rng), int(rng.integers(low_bits, high_bits, endpoint=True))), rng)

    return augment


def mu_law(waveform: np.ndarray, bits: int) -> np.ndarray:
    """Round to the steps of a mu-law codec: ITU-T G.711's curve, without its straight segments.

    Args:
        waveform: `(num_samples,)` float32; what passes [-1, 1] is clipped.
        bits: of a code word, the sign among them: `2**bits - 1` values, 0 among them.

    Returns:
        `(num_samples,)` float32 in [-1, 1].

    >>> mu_law(np.float32([-1.1, 0, 0.001, 0.2]), bits=4).round(4)
    array([-1.   ,  0.   ,  0.   ,  0.202], dtype=float32)
    """
    steps, log_range = 2 ** (bits - 1) - 1, math.log1p(MU)
    codes = np.rint(np.log1p(MU * np.minimum(np.abs(waveform), 1)) * (steps / log_range))
    rounded: np.ndarray = np.copysign(np.expm1(codes * (log_range / steps)) / MU, waveform)
    return rounded


def mask_time(*, max_seconds: float = 0.1, count: int = 2, sample_rate: int = 16_000) -> Augmentation:
    """Silence `count` stretches of 0 to `max_seconds`: SpecAugment, Park et al. 2019, arXiv:1904.08779, section 2."""
    check(1, MAX_RATE, sample_rate=sample_rate)
    check(0, 3_600, max_seconds=max_seconds)
    check(1, 100, whole=True, count=count)

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        masked = waveform.copy()
        for _ in range(count):
            length = min(round(rng.uniform(0, max_seconds) * sample_rate), waveform.size)
            start = rng.integers(waveform.size - length, endpoint=True)
            masked[start : start + length] = 0
        return masked

    return augment


def mask_frequency(*, max_mels: float = 400.0, count: int = 2, sample_rate: int = 16_000) -> Augmentation:
    """Silence `count` bands of 0 to `max_mels`: SpecAugment, Park et al. 2019, arXiv:1904.08779, section 2.

    A band of TRILL's 64 is 40 mel wide, the spectrum at 16 kHz 2840. The gain falls to 0 over a masked band's outer
    20 mel.
    """
    check(1, MAX_RATE, sample_rate=sample_rate)
    top = float(_mel(sample_rate / 2))
    check(0, top, max_mels=max_mels)
    check(1, 100, whole=True, count=count)

    def response(mels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        widths = rng.uniform(0, max_mels, (count, 1))
        lows = rng.uniform(0, top - widths)
        kept: np.ndarray = 1 - _inside(mels, lows, lows + widths).max(axis=0)
        return kept

    return _filter(response, sample_rate)


def speed(*, low: float = 0.9, high: float = 1.1, whole: bool = False) -> Augmentation:
    """Play faster or slower by a drawn factor within [0.25, 4]: tempo and pitch change together.

    The length stays: a slower window loses its end, a faster one is followed by zeros. With `whole` it changes: all is
    heard. Resampling is through the spectrum, so nothing folds back, between two fast lengths: for a second at 16 kHz
    within 0.5 % of the factor.
    """
    check(0.25, 4, low=low, high=high)

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        factor = rng.uniform(low, high)
        first = np.searchsorted(FFT_SIZES, waveform.size + PADDING)
        sizes = FFT_SIZES[first : first + 32]
        new_sizes = FFT_SIZES[np.searchsorted(FFT_SIZES, sizes / factor)]
        nearest = np.argmin(np.abs(sizes / new_sizes - factor))
        size, new_size = int(sizes[nearest]), int(new_sizes[nearest])
        length = max(1, round(waveform.size * new_size / size))
        heard = length if whole else min(waveform.size, length)
        played: np.ndarray = irfft(rfft(waveform, size), new_size)[:heard] * math.sqrt(new_size / size)
        return played if whole else np.pad(played, (0, waveform.size - heard))

    return augment


def formants(*, low: float = 0.85, high: float = 1.18, sample_rate: int = 16_000) -> Augmentation:
    """Another throat: formants are moved by a drawn factor within [0.5, 2], pitch and tempo stay.

    The spectral envelope of each frame of 32 ms, its cepstrum below 2 ms, is stretched along frequency; what a band
    gains by it is at most 20 dB. With `speed` by the inverse factor, pitch and tempo change and the formants stay.
    """
    check(1, MAX_RATE, sample_rate=sample_rate)
    check(0.5, 2, low=low, high=high)
    hop = max(1, round(0.008 * sample_rate))
    length, lifter = 4 * hop, round(0.002 * sample_rate)
    window = np.hanning(length + 1)[:-1].astype(np.float32)  # its square, at a quarter of its length, sums up to 1.5
    bins = np.arange(length // 2 + 1)

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        moved = bins / rng.uniform(low, high)
        count = -(-(waveform.size + length) // hop)
        padded = np.pad(waveform, (length, count * hop + length - waveform.size))
        frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][:count] * window
        spectra = rfft(frames)
        cepstra = irfft(np.log(np.abs(spectra) + 1e-6).astype(np.complex64))
        cepstra[:, lifter + 1 : -lifter] = 0
        envelopes = rfft(cepstra).real
        stretched = np.stack([np.interp(moved, bins, envelope) for envelope in envelopes])
        limit = math.log(_amplitude(20))
        changed = irfft(spectra * np.exp(np.clip(stretched - envelopes, -limit, limit)).astype(np.float32)) * window
        result = np.zeros(count * hop + length, np.float32)
        for part in range(length // hop):  # each quarter of all frames at once
            result[part * hop : (part + count) * hop] += changed[:, part * hop : (part + 1) * hop].ravel()
        return result[length : length + waveform.size] / 1.5

    return augment


def equalise(*, max_db: float = 6.0, points: int = 6, sample_rate: int = 16_000) -> Augmentation:
    """Another microphone: gains within `max_db`, drawn at points evenly apart on the mel axis and joined in dB."""
    check(1, MAX_RATE, sample_rate=sample_rate)
    check(0, 60, max_db=max_db)
    check(2, 100, whole=True, points=points)
    knots = np.linspace(0, _mel(sample_rate / 2), points)
    return _filter(
        lambda mels, rng: 10 ** (np.interp(mels, knots, rng.uniform(-max_db, max_db, points)) / 20), sample_rate
    )


def check(least: float, most: float, *, whole: bool = False, **settings: float) -> None:
    """Settings are numbers that ascend, as they are listed, within the limits."""
    kind = numbers.Integral if whole else numbers.Real
    values = list(settings.values())
    if not (
        all(isinstance(value, kind) for value in values) and all(a <= b for a, b in pairwise([least, *values, most]))
    ):
        rule = " <= ".join([f"{least:g}", *settings, f"{most:g}"]) + " in whole numbers" * whole
        got = " and ".join(map(repr, values))
        raise ValueError(
            f"{' and '.join(settings)} must satisfy {rule}, got {got}. Or leave them out for the defaults."
        )


def _amplitude(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def _mel(hertz: Any) -> Any:
    """The HTK mel scale, as in the front end."""
    return 2595 * np.log10(1 + hertz / 700)


def _rms(waveform: np.ndarray) -> float:
    return math.sqrt(np.mean(np.square(waveform, dtype=np.float64)))


def _fft_size(least: int) -> int:
    return int(FFT_SIZES[np.searchsorted(FFT_SIZES, least)])


@functools.lru_cache(maxsize=8)
def _bin_mels(size: int, sample_rate: int) -> np.ndarray:
    """The mel of each bin of a transform: `(size // 2 + 1,)` float32, read-only."""
    mels: np.ndarray = _mel(np.fft.rfftfreq(size, 1 / sample_rate)).astype(np.float32)
    mels.flags.writeable = False
    return mels


def _inside(mels: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """1 between two mels, falling to 0 towards both over `EDGE_MELS`."""
    inside: np.ndarray = np.clip(np.minimum(mels - low, high - mels) / EDGE_MELS, 0, 1)
    return inside


def _pass_band(mels: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """1 between two frequencies, falling to 0 beyond both."""
    return _inside(mels, float(_mel(low_hz)) - EDGE_MELS, float(_mel(high_hz)) + EDGE_MELS)


def _filter(response: Callable[[np.ndarray, np.random.Generator], np.ndarray], sample_rate: int) -> Augmentation:
    """Multiply the spectrum by a real response drawn over the mels of its bins: no delay, no change of length."""

    def augment(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = _fft_size(waveform.size + PADDING)
        gains = response(_bin_mels(size, sample_rate), rng).astype(np.float32, copy=False)
        return irfft(rfft(waveform, size) * gains, size)[: waveform.size].astype(np.float32, copy=False)

    return augment
