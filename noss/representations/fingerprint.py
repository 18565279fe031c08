"""What a representation is, whatever it is called: a hash of what it makes of a few fixed sounds."""

import hashlib
import json
import warnings
from collections.abc import Iterator

import numpy as np

from trill.errors import AudioError
from trill.representation import Representation

SECONDS = 1.0
CHIRP_SECONDS, LONG_CHIRP_SECONDS = 2.0, 8.0
FEW_WINDOWS = 3  # fewer show no hop between windows: the chirp is played longer
# Two calls may differ by so much of the largest value; more is no rounding.
ROUNDING = 1e-3


def fingerprint(representation: Representation) -> str:
    """SHA-256 of a representation's sample rate and of its output for a chirp, noise, quiet noise and silence.

    Weights, front end, tap and hop all show in it, names do not. Another processor may round differently and then
    gives another fingerprint: embeddings are computed once more, never mixed.

    Args:
        representation: what to know again.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: if it gives no finite matrix, or not the same one for the same sound.

    >>> class Loudness:
    ...     name, sample_rate = "loudness-1", 16_000
    ...     def embed_windows(self, waveform):
    ...         return np.abs(waveform[:16_000]).mean(keepdims=True)[None]
    >>> len(fingerprint(Loudness()))
    64
    """
    digest = hashlib.sha256(json.dumps(["sample_rate", representation.sample_rate]).encode())
    dim: int | None = None
    for sound in _sounds(representation.sample_rate):
        rows = rows_of(representation, sound, "a test sound", dim)
        _add(digest, rows)
        if dim is None:
            dim = rows.shape[1]
            _check_repeats(rows, rows_of(representation, sound, "a test sound"), representation.name)
            if len(rows) < FEW_WINDOWS:
                longer = chirp(representation.sample_rate, LONG_CHIRP_SECONDS)
                _add(digest, rows_of(representation, longer, "a test sound", dim))
    return digest.hexdigest()


def rows_of(representation: Representation, waveform: np.ndarray, clip: str, dim: int | None = None) -> np.ndarray:
    """What a representation makes of one sound, `(num_windows, dim)` float32, if it is that.

    Args:
        representation: what embeds.
        waveform: `(num_samples,)` float32.
        clip: what messages call the sound.
        dim: values of a row, where that is known.

    Raises:
        ValueError: if it fails, or gives no matrix of finite numbers with at least one row of length `dim`.
        AudioError: if it says that this is no sound for it.
        MemoryError: if the sound is too long for it.
    """
    name = representation.name
    try:
        found = np.asarray(representation.embed_windows(waveform))
    except (AudioError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(
            f"a representation must take any sound, {name} failed on {clip} ({waveform.size} samples at "
            f"{representation.sample_rate} Hz): {type(error).__name__}: {error}"
        ) from error
    check_dim(found.shape[-1] if found.ndim == 2 else dim, dim, name, clip)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "fiu":
        raise ValueError(
            f"embed_windows must give numbers of shape (num_windows, dim), at least one window, "
            f"{name} gave {found.dtype} {found.shape} for {clip}. Pad short sounds; give one vector as x[None]."
        )
    with np.errstate(over="ignore"):  # becomes infinite, and is refused
        found = np.ascontiguousarray(found, np.float32)
    if not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise ValueError(
            f"embeddings must be finite in float32, {name} gave {found[row, column]} at window {row}, dimension "
            f"{column} for {clip}. Add an offset before a logarithm or a division: clips may be silent."
        )
    return found


def check_dim(found: int | None, dim: int | None, name: str, clip: str) -> None:
    """Raise a `ValueError` if a row of this clip is not as long as those before; None is not known."""
    if None not in (found, dim) and found != dim:
        raise ValueError(
            f"all rows of a representation must be equally long, {name} gave {found} values for {clip} and {dim} "
            "before. Pool over time inside it, or give a row a window."
        )


def chirp(sample_rate: int, seconds: float) -> np.ndarray:
    """A tone that rises from 50 Hz to nearly half the sample rate and swells: `(num_samples,)` float32."""
    share = np.arange(round(seconds * sample_rate)) / (seconds * sample_rate)
    top = 0.45 * sample_rate
    phase = 2 * np.pi * seconds * (50 * share + (top - 50) * share**2 / 2)
    return (0.5 * (0.2 + 0.8 * share) * np.sin(phase)).astype(np.float32)


def _sounds(sample_rate: int) -> Iterator[np.ndarray]:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, round(SECONDS * sample_rate)).astype(np.float32)
    yield chirp(sample_rate, CHIRP_SECONDS)
    yield noise
    yield np.float32(1e-3) * noise
    yield np.zeros_like(noise)


def _add(digest: "hashlib._Hash", rows: np.ndarray) -> None:
    digest.update(json.dumps(rows.shape).encode())
    digest.update((rows + np.float32(0)).tobytes())  # -0.0 is 0.0


def _check_repeats(rows: np.ndarray, again: np.ndarray, name: str) -> None:
    if np.array_equal(again, rows):
        return
    if again.shape != rows.shape or np.abs(again - rows).max() > ROUNDING * np.abs(rows).max():
        raise ValueError(
            f"a representation must give the same numbers for the same sound, {name} did not. "
            "Switch dropout and noise off, e.g. model.eval(), and keep no state between calls."
        )
    warnings.warn(
        f"{name} rounds differently from call to call: its embeddings will not be found again on disk. "
        "Let it run on one thread.",
        stacklevel=3,
    )
