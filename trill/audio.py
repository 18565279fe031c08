"""Any sound, as a path, a file object, bytes or an array, to mono float32 in [-1, 1] at one rate.

The only reader of sound in the project. libsndfile decodes and soxr ("HQ") resamples, both block by block: memory does
not grow with the length, and what a header claims is checked before decoding and never used to allocate. Channels are
averaged; what passes full scale, in the input or by resampling, is clipped.

A WAV, AIFF, Ogg or MP3 that was cut short gives what is there, whatever its header claims; a FLAC raises, and so does
damage inside a compressed file. Files are trusted to say their format and rate, not their length.
"""

import io
import math
import numbers
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, cast

import numpy as np
import soundfile
import soxr

from trill.errors import AudioError, AudioNotFoundError

Sound = str | os.PathLike[str] | bytes | BinaryIO | np.ndarray

# What a folder is searched for; libsndfile itself goes by content, not by name.
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".au", ".w64", ".caf"})

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 64
MAX_SECONDS = 24 * 3600.0
MAX_STREAM_BYTES = 2**28  # of a stream that cannot seek and is therefore held in memory
MAX_LEVEL = 10.0  # a float sample beyond it is no overshoot but integer scale
BLOCK_SECONDS = 10.0
MAX_BLOCK_VALUES = 2**22  # samples times channels: a block costs 32 MB in float64 at the most
UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's word for a header that leaves the length open, as a streamed FLAC's does

# Sample type -> (zero, full scale). Wider integers are missing: nothing says at which of their bits full scale is.
SCALES = {
    "int8": (0, 2**7),
    "uint8": (2**7, 2**7),
    "int16": (0, 2**15),
    "int32": (0, 2**31),
    "float16": (0, 1),
    "float32": (0, 1),
    "float64": (0, 1),
}
# Unit -> least, most, way out.
LIMITS = {
    "channels": (1, MAX_CHANNELS, "Pass x.T if an array is (num_channels, num_samples); mix a file: ffmpeg -ac 1."),
    "hertz": (MIN_RATE, MAX_RATE, "Correct the header, or pass the samples as an array with their sample_rate."),
}
RATE_HINT = "Pass the rate of your array, e.g. trill.embed(x, sample_rate=16000)."
# What opening a path raises -> what to raise and say; the first that fits.
OPEN_ERRORS: tuple[tuple[type[Exception], type[AudioError], str], ...] = (
    (FileNotFoundError, AudioNotFoundError, "No such file. Check the spelling and the current folder."),
    (IsADirectoryError, AudioError, "That is a folder. Pass the files in it, or use `trill embed FOLDER`."),
    (PermissionError, AudioError, "Permission denied. Make it readable, e.g. chmod +r."),
    (Exception, AudioError, "It cannot be opened. Check the path."),
)


def read(
    sound: Sound, sample_rate: int | None = None, *, target_rate: int = 16_000, max_seconds: float = MAX_SECONDS
) -> np.ndarray:
    """Read a whole sound; `blocks` reads one that is too long for memory.

    Args:
        sound: a path; the bytes of a file; a binary file object (read from its start, left open; at most 256 MB if it
            cannot seek); or an array `(num_samples,)` or `(num_samples, num_channels)` of int8, uint8, int16, int32,
            float16, float32 or float64, full scale of a float being 1.
        sample_rate: hertz of an array, 1000 to 768000. A file knows its own.
        target_rate: hertz of the result.
        max_seconds: longest sound that is taken.

    Returns:
        A new `(num_samples,)` float32 array in [-1, 1].

    Raises:
        AudioNotFoundError: if the path leads nowhere.
        AudioError: if this is no sound, or is empty, too long, damaged or not finite.
        ValueError: if `target_rate` or `max_seconds` is out of range.

    >>> read(np.array([0, 2**14, -(2**15)], np.int16), sample_rate=16_000)
    array([ 0. ,  0.5, -1. ], dtype=float32)
    >>> read(np.ones((48_000, 2)), sample_rate=48_000).shape
    (16000,)
    """
    return np.concatenate(list(blocks(sound, sample_rate, target_rate=target_rate, max_seconds=max_seconds)))


def blocks(
    sound: Sound,
    sample_rate: int | None = None,
    *,
    target_rate: int = 16_000,
    max_seconds: float = MAX_SECONDS,
    block_seconds: float = BLOCK_SECONDS,
) -> Iterator[np.ndarray]:
    """Read a sound piece by piece; together the pieces equal `read` bit for bit, whatever their size.

    Args:
        sound: as for `read`.
        sample_rate: as for `read`.
        target_rate: as for `read`.
        max_seconds: as for `read`.
        block_seconds: length of a piece, about: resampling shifts the cuts, many channels shorten the pieces.

    Yields:
        `(num_samples,)` float32 arrays in [-1, 1], at least one, none empty.

    Raises:
        AudioError: as `read`; what the header or the array shows at the first piece, the rest where it is reached.
        ValueError: if `target_rate`, `max_seconds` or `block_seconds` is out of range.

    >>> [len(block) for block in blocks(np.zeros(40_000), sample_rate=16_000, block_seconds=1)]
    [16000, 16000, 8000]
    """
    if not (max_seconds > 0 and block_seconds > 0):
        raise ValueError(
            f"max_seconds and block_seconds must be positive, got {max_seconds!r} and {block_seconds!r}. "
            f"The defaults are {MAX_SECONDS:g} and {BLOCK_SECONDS:g}."
        )
    with _open(sound, sample_rate) as raw:
        reader = ChunkReader(raw.rate, target_rate=target_rate, name=raw.name)
        if raw.num_samples != UNKNOWN_LENGTH:
            _check_length(raw, raw.num_samples, max_seconds)
        num_made = 0
        for block in raw.cut(int(min(max(1, block_seconds * raw.rate), MAX_BLOCK_VALUES // raw.num_channels))):
            ready = reader.push(block)
            _check_length(raw, reader.num_samples, max_seconds)
            num_made += len(ready)
            if len(ready):
                yield ready
        rest = reader.finish()
        if len(rest):
            yield rest
        elif not num_made:
            raise AudioError(
                f"{raw.name} must hold at least one sample at {target_rate} Hz, "
                f"got {reader.num_samples} at {raw.rate} Hz. Check that the recording is not empty."
            )


class ChunkReader:
    """Sound that arrives in chunks, such as a microphone's; together they equal `read` of the whole, bit for bit.

    Args:
        sample_rate: hertz of the chunks, 1000 to 768000.
        target_rate: hertz of the result.
        name: what messages call the sound.

    Raises:
        AudioError: if `sample_rate` is out of range.
        ValueError: if `target_rate` is.

    >>> reader = ChunkReader(8_000)
    >>> sum(len(reader.push(np.zeros(80))) for _ in range(100)) + len(reader.finish())
    16000
    """

    def __init__(self, sample_rate: int, *, target_rate: int = 16_000, name: str = "the stream") -> None:
        for rate, what, kind in ((sample_rate, "sample_rate", AudioError), (target_rate, "target_rate", ValueError)):
            if not _is_rate(rate):
                rule = f"{what} must be positive, a whole number from {MIN_RATE} to {MAX_RATE} Hz"
                raise kind(f"{rule}, got {rate!r}. {RATE_HINT}")
        equal = sample_rate == target_rate
        self._resampler = None if equal else soxr.ResampleStream(sample_rate, target_rate, 1, quality="HQ")
        self.name = name
        self.num_samples = 0  # pushed so far, each channel

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """Take `(num_samples,)` or `(num_samples, num_channels)` and return `(num_ready,)` float32, maybe none.

        Raises:
            AudioError: if the chunk is no sound; the index in the message counts from the first chunk.
        """
        mono = _to_mono(_columns(chunk, self.name), self.num_samples, self.name)
        self.num_samples += len(mono)
        return self._resample(mono, last=False)

    def finish(self) -> np.ndarray:
        """Return the `(num_ready,)` samples that the resampler still holds. Nothing may be pushed after it."""
        return self._resample(np.empty(0, np.float32), last=True)

    def _resample(self, mono: np.ndarray, last: bool) -> np.ndarray:
        ready: np.ndarray = self._resampler.resample_chunk(mono, last) if self._resampler else mono
        return ready.clip(-1, 1)


@dataclass(frozen=True)
class _Raw:
    """Sound as it is stored."""

    name: str
    rate: int
    num_channels: int
    num_samples: int  # as claimed
    cut: Callable[[int], Iterator[np.ndarray]]  # n -> blocks (at most n, num_channels) of a type in SCALES


@contextmanager
def _open(sound: Any, sample_rate: int | None) -> Iterator[_Raw]:
    if isinstance(sound, np.ndarray):
        yield _from_array(sound, sample_rate)
        return
    with _as_file(sound) as (file, name), _decoder(file, name) as decoder:
        rate = decoder.samplerate
        if sample_rate not in (None, rate):
            raise AudioError(
                f"sample_rate must be that of the header, {rate} Hz in {name}, got {sample_rate!r}. "
                "Leave it out: a file knows its rate and is resampled."
            )
        _check_limit("channels", decoder.channels, name)
        _check_limit("hertz", rate, name)
        yield _Raw(name, rate, decoder.channels, decoder.frames, partial(_decode, decoder, file, name))


def _from_array(array: np.ndarray, sample_rate: int | None) -> _Raw:
    if sample_rate is None:
        raise AudioError(f"sample_rate must be given with an array, got None. {RATE_HINT}")
    name = f"the array of shape {array.shape}"
    columns = _columns(array, name)
    cut = lambda length: (columns[start : start + length] for start in range(0, len(columns), length))  # noqa: E731
    return _Raw(name, sample_rate, columns.shape[1], len(columns), cut)


def _columns(array: np.ndarray, name: str) -> np.ndarray:
    """See an array as `(num_samples, num_channels)`, if it is sound."""
    kind = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
    if kind not in SCALES:
        raise AudioError(
            f"{name} must be an array of type {', '.join(SCALES)}, got {kind}. "
            "Convert it: x.astype(np.int16) if it holds 16-bit samples, else divide it by its full scale."
        )
    if array.ndim not in (1, 2):
        raise AudioError(
            f"{name} must be (num_samples,) or (num_samples, num_channels), got {array.ndim} dimensions. "
            "Pass one sound at a time, e.g. x[0]."
        )
    columns = np.asarray(array)[:, None] if array.ndim == 1 else np.asarray(array)
    _check_limit("channels", columns.shape[1], name)
    return columns


def _check_limit(what: str, value: int, name: str) -> None:
    low, high, hint = LIMITS[what]
    if not low <= value <= high:
        raise AudioError(f"{name} must have {low} to {high} {what}, got {value}. {hint}")


def _check_length(raw: _Raw, num_samples: int, max_seconds: float) -> None:
    if num_samples > max_seconds * raw.rate:
        raise AudioError(
            f"{raw.name} must be at most {max_seconds:g} s long, got {num_samples / raw.rate:.1f} s. "
            "Cut it, or raise max_seconds."
        )


@contextmanager
def _as_file(sound: Any) -> Iterator[tuple[BinaryIO, str]]:
    """Give a path, bytes or a file object as a file that can seek and stands at its start, with a name for messages."""
    if isinstance(sound, str | os.PathLike):
        name = repr(os.fspath(sound))
        try:
            file = open(sound, "rb", buffering=0)  # noqa: SIM115
        except (OSError, ValueError) as error:  # ValueError: a null byte
            kind, hint = next((kind, hint) for cause, kind, hint in OPEN_ERRORS if isinstance(error, cause))
            raise kind(f"a path must lead to a file that can be read, got {name}. {hint}") from error
        with file:
            regular = os.fstat(file.fileno())
            # Each call lets go of the interpreter lock, which costs threads over many short files: one for three.
            yield (file if stat.S_ISREG(regular.st_mode) and regular.st_size else _rewound(file, name)), name
    elif isinstance(sound, bytes | bytearray | memoryview):
        name = f"the sound of {len(sound)} bytes"
        yield _rewound(io.BytesIO(sound), name), name
    elif callable(getattr(sound, "read", None)):
        name = f"the file object {getattr(sound, 'name', type(sound).__name__)!r}"
        yield _rewound(sound, name), name
    else:
        raise AudioError(
            f"a sound must be a path, bytes, a binary file object or a NumPy array, got {type(sound).__name__}. "
            "Pass numbers as np.asarray(x), with their sample_rate."
        )


def _rewound(file: Any, name: str) -> BinaryIO:
    try:
        if not isinstance(file.read(0), bytes):
            raise AudioError(f'a file object must give bytes, got text from {name}. Open it in mode "rb".')
        if not getattr(file, "seekable", lambda: False)():
            file = _in_memory(file, name)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    except AudioError:
        raise
    except (OSError, ValueError) as error:  # closed, open for writing, or a broken connection
        raise AudioError(f"{name} must be open for reading, got: {error}. Open it again.") from error
    if size == 0:
        raise AudioError(f"{name} must hold sound, got 0 bytes. Check that the download or recording finished.")
    return cast(BinaryIO, file)


def _in_memory(stream: Any, name: str) -> BinaryIO:
    held = io.BytesIO()
    while part := stream.read(2**20):
        held.write(part)
        if held.tell() > MAX_STREAM_BYTES:
            raise AudioError(
                f"{name} cannot seek and must hold at most {MAX_STREAM_BYTES} bytes, got more. "
                "Write it to a file and pass the path."
            )
    return held


@contextmanager
def _decoder(file: BinaryIO, name: str) -> Iterator[Any]:
    try:
        # A descriptor is read in C; a Python file would be called back for every few kilobytes.
        decoder = soundfile.SoundFile(file.fileno() if isinstance(file, io.FileIO) else file, closefd=False)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a name that ends in .raw
        reason = getattr(error, "error_string", "No header.")
        raise AudioError(
            f"{name} must be wav, flac, mp3, ogg, opus or another format of libsndfile with a sound header, "
            f"got: {reason} Convert it: ffmpeg -i in.m4a out.wav."
        ) from error
    # soundfile seeks after each read if it may, which fails at the end of a FLAC of unknown length and slows MP3 down.
    decoder.seekable = lambda: False
    with decoder:
        yield decoder


def _decode(decoder: Any, file: BinaryIO, name: str, length: int) -> Iterator[np.ndarray]:
    num_read, failure, rate = 0, None, decoder.samplerate
    length = min(length, max(1, decoder.frames))  # a claim may shorten what is allocated, never lengthen it
    try:
        while len(block := decoder.read(length, dtype="float32", always_2d=True)):
            num_read += len(block)
            yield block
            if num_read == decoder.frames and decoder.format == "WAV":
                break  # where libsndfile has counted what is there, many short files are spared an empty read
    except soundfile.LibsndfileError as error:
        failure = error
        num_read = decoder.tell()  # with what was good of the block that failed
    mp3 = decoder.format == "MP3"
    # Without a Xing header the length of an MP3 is guessed from its first frame, and decoding stops there or earlier.
    if mp3 and failure is None and file.read(1) == b"\xff":  # another frame
        raise AudioError(
            f"{name} must tell its whole length in a Xing header, got none or a wrong one: libsndfile stopped after "
            f"{num_read / rate:.2f} s. Write a new one: ffmpeg -i in.mp3 -c copy out.mp3."
        )
    if failure or (not mp3 and num_read < decoder.frames < UNKNOWN_LENGTH):
        claimed = (
            "all its frames" if decoder.frames == UNKNOWN_LENGTH else f"the {decoder.frames / rate:.2f} s it claims"
        )
        raise AudioError(
            f"{name} must hold {claimed}, got {num_read / rate:.2f} s before it is cut short or damaged. "
            "Fetch it again, or save what is there: ffmpeg -i in.flac out.wav."
        ) from failure


def _to_mono(block: np.ndarray, offset: int, name: str) -> np.ndarray:
    """Scale, check and average `(n, num_channels)` to `(n,)` float32; `offset` is the index of its first sample."""
    zero, full_scale = SCALES[block.dtype.name]
    channels = block.T  # (num_channels, n)
    if block.dtype != np.float32 or len(channels) > 1:
        channels = (channels.astype(np.float64, order="C") - zero) / full_scale
    if channels.size and not (channels.min() >= -MAX_LEVEL and channels.max() <= MAX_LEVEL):  # NaN fails as well
        index, channel = np.argwhere(~(np.abs(channels.T) <= MAX_LEVEL))[0]
        value = channels[channel, index]
        where = f"{value:g} at sample {offset + index}" + f", channel {channel}" * (len(channels) > 1) + f" of {name}"
        if not math.isfinite(value):
            raise AudioError(f"samples must be finite, got {where}. Repair them, e.g. np.nan_to_num(x).")
        raise AudioError(f"float samples must lie in [-1, 1], got {where}. Divide by full scale, e.g. x / 32768.")
    return np.array(channels[0] if len(channels) == 1 else channels.mean(axis=0), np.float32)


def _is_rate(rate: Any) -> bool:
    return isinstance(rate, numbers.Real) and float(rate).is_integer() and MIN_RATE <= float(rate) <= MAX_RATE
