"""From sound to embedding: whole, in batches, or as it arrives."""

import dataclasses
import functools
import logging
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from trill import audio, presets, windows
from trill.audio import Sound
from trill.errors import AudioError, optional
from trill.modelfile import ModelCard
from trill.parallel import map_in_threads
from trill.runtime import TFLiteModel, WindowModel
from trill.windows import Pooling

DEFAULT_MODEL = "mobilenet"
log = logging.getLogger("trill")


def embed(
    sound: Sound,
    sample_rate: int | None = None,
    *,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    pooling: Pooling | None = "mean",
    hop_seconds: float | None = None,
    tap: str = "embedding",
) -> np.ndarray:
    """Embed a sound.

    Args:
        sound: a path, file object, bytes (wav, flac, mp3, ogg, opus, ...), or an array `(num_samples,)` or
            `(num_samples, num_channels)` of floats in [-1, 1] or of int16, int32, int8, uint8.
        sample_rate: Hz of an array; a file knows its own.
        model: a name of `trill.list_models()`, or the path of a model file.
        pooling: how windows become one vector: "mean", "max", "mean+std"; None for one row a window.
        hop_seconds: time between the starts of two windows; None for the model's own.
        tap: which output of the model.

    Returns:
        float32 `(dim,)`, `(2 * dim,)` for "mean+std", or `(num_windows, dim)` without pooling.

    Raises:
        AudioError: if the sound cannot be read.
        ModelError: if the model cannot be.
        ValueError: if another argument is out of range.

    >>> import trill
    >>> trill.embed(trill.example("anna_calm")).shape
    (1152,)
    """
    return load(model, tap=tap, hop_seconds=hop_seconds).embed(sound, sample_rate, pooling=pooling)


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    tap: str = "embedding",
    hop_seconds: float | None = None,
    threads: int | None = None,
) -> "Embedder":
    """Load a model by name, or from a `.tflite` (or, with the extra `train`, `.safetensors`) file.

    Args:
        model: a name of `trill.list_models()`, or a path.
        tap: which output to embed with; `Embedder.taps` lists them.
        hop_seconds: time between the starts of two windows; None for the model's own.
        threads: windows computed at once; None for the cores there are, at most four.

    Raises:
        ModelError: if there is no such model, or its file cannot be trusted or is no embedder.
        ValueError: if `tap`, `hop_seconds` or `threads` is out of range.

    >>> load("mobilenet").sample_rate
    16000
    """
    path = Path(model)
    # A preset is meant even where a folder is called like it.
    if isinstance(model, str) and (model in presets.presets() or not (path.suffix or os.path.exists(path))):
        path = presets.locate(model)
    stamp = (path.stat().st_mtime_ns, path.stat().st_size) if os.path.isfile(path) else (0, 0)
    loaded = _load_file(path, threads, stamp)
    embedder = Embedder(loaded, tap="embedding", hop_samples=loaded.card.hop_samples)
    return embedder.using(tap=tap, hop_seconds=hop_seconds)


@functools.lru_cache(maxsize=4)
def _load_file(path: Path, threads: int | None, stamp: tuple[int, int]) -> WindowModel:
    """Loaded once while the file stays as it is (`stamp`: its time and size)."""
    if path.suffix == ".safetensors":
        # The one door from the runtime to Keras, opened only for a Keras model.
        for package in ("keras", "safetensors"):
            optional(package, "train")
        from trill.networks.keras_model import KerasModel

        return KerasModel(path)
    return TFLiteModel(path, threads)


@dataclasses.dataclass(frozen=True)
class Window:
    """One window of a stream: where it lies in seconds, and its embedding `(dim,)`."""

    embedding: np.ndarray
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Embedder:
    """A model, one of its taps and a hop; meets `trill.representation.Representation`. Made by `trill.load`."""

    model: WindowModel
    tap: str
    hop_samples: int

    @property
    def card(self) -> ModelCard:
        """What the model file says about itself."""
        return self.model.card

    @property
    def name(self) -> str:
        """Model, version, hash and tap: the same name, the same numbers."""
        hop = "" if self.hop_samples == self.card.hop_samples else f"@{self.hop_samples}"
        return f"{self.card.identity}:{self.tap}{hop}"

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.card.sample_rate

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return self.card.window_samples / self.sample_rate

    @property
    def hop_seconds(self) -> float:
        """Time between the starts of two windows."""
        return self.hop_samples / self.sample_rate

    @property
    def taps(self) -> tuple[str, ...]:
        """Outputs to choose from."""
        return tuple(self.card.taps)

    @property
    def embedding_dim(self) -> int:
        """Values in one window's embedding; taps of several axes are flattened."""
        return int(np.prod(self.card.taps[self.tap]))

    def using(self, *, tap: str | None = None, hop_seconds: float | None = None) -> "Embedder":
        """The same model with another tap or hop.

        Raises:
            ValueError: if the model has no such tap, or the hop is not at least one sample.
        """
        if tap is not None and tap not in self.taps:
            raise ValueError(f"tap must be one of {', '.join(self.taps)} for {self.card.identity}, got {tap!r}.")
        hop = self.hop_samples if hop_seconds is None else hop_seconds * self.sample_rate
        if not 1 <= hop < math.inf:
            raise ValueError(
                f"hop_seconds must be at least one sample, got {hop_seconds}. The model's own is the default."
            )
        return dataclasses.replace(self, tap=tap or self.tap, hop_samples=round(hop))

    def embed(self, sound: Sound, sample_rate: int | None = None, *, pooling: Pooling | None = "mean") -> np.ndarray:
        """Embed a sound: see `trill.embed`. Long files are read and embedded in blocks."""
        if pooling is not None:
            windows.check_pooling(pooling)  # before a long computation
        embeddings, _ = self.embed_timed(sound, sample_rate)
        return embeddings if pooling is None else windows.pool(embeddings, pooling)

    def embed_timed(self, sound: Sound, sample_rate: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Embed each window of a sound and say where it lies.

        Returns:
            `(num_windows, dim)` float32, and start and end in seconds, `(num_windows, 2)`.
        """
        framer = windows.Framer(self.card.window_samples, self.hop_samples)
        rows = map_in_threads(self._run, _framed(framer, sound, sample_rate, self.sample_rate), self.model.threads)
        return np.concatenate(list(rows)), self.window_times(framer.num_samples)

    def _run(self, frames: np.ndarray) -> np.ndarray:
        return self.model.run(frames, self.tap)

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """Embed each window of a mono waveform at `sample_rate`.

        Args:
            waveform: `(num_samples,)` floats in [-1, 1].

        Returns:
            `(num_windows, dim)` float32.
        """
        return self.embed(waveform, self.sample_rate, pooling=None)

    def window_times(self, num_samples: int) -> np.ndarray:
        """Start and end in seconds of the windows of so many samples at `sample_rate`: `(num_windows, 2)`."""
        return windows.times(num_samples, self.card.window_samples, self.hop_samples, self.sample_rate)

    def embed_batch(
        self,
        sounds: Iterable[Sound],
        sample_rate: int | None = None,
        *,
        pooling: Pooling = "mean",
        on_error: Literal["raise", "nan"] = "raise",
    ) -> np.ndarray:
        """Embed many sounds, several at once.

        Args:
            sounds: what `embed` takes, each.
            sample_rate: Hz of the arrays among them; files know their own.
            pooling: as in `embed`.
            on_error: "nan" gives a sound that cannot be read a row of NaN and a line in the log, so that it costs
                only itself.

        Returns:
            `(num_sounds, dim)` float32, in order.

        Raises:
            AudioError: for the first sound that cannot be read, if `on_error` is "raise".
            ValueError: if another argument is out of range.
        """
        if isinstance(sounds, str | bytes):
            raise ValueError(f"sounds must be a list of sounds, got one, {sounds[:80]!r}. Pass [sound], or use embed.")
        windows.check_pooling(pooling)
        if on_error not in ("raise", "nan"):
            raise ValueError(f'on_error must be "raise" or "nan", got {on_error!r}.')
        width = self.embedding_dim * (2 if pooling == "mean+std" else 1)

        def one(item: tuple[int, Sound]) -> np.ndarray:
            index, sound = item
            try:
                return self.embed(sound, sample_rate if isinstance(sound, np.ndarray) else None, pooling=pooling)
            except AudioError as error:
                if on_error == "raise":
                    raise
                log.warning("sound %d: %s", index, error)
                return np.full(width, np.nan, np.float32)

        numbered: Iterable[tuple[int, Sound]] = enumerate(sounds)
        rows = list(map_in_threads(one, list(numbered) if hasattr(sounds, "__len__") else numbered, self.model.threads))
        return np.stack(rows) if rows else np.empty((0, width), np.float32)

    def stream(self, sample_rate: int | None = None) -> "Stream":
        """Embed sound as it arrives, in chunks of any size.

        Args:
            sample_rate: Hz of the chunks; None for the model's own.

        >>> stream = load("mobilenet").stream()
        >>> microphone = np.zeros((10, 4_000), np.float32)  # 2.5 s in chunks of a quarter of a second
        >>> found = [window for chunk in microphone for window in stream.push(chunk)] + stream.finish()
        >>> [(window.start, window.end) for window in found]
        [(0.0, 0.975), (0.96, 1.935), (1.92, 2.5)]
        """
        return Stream(self, self.sample_rate if sample_rate is None else sample_rate)


def _framed(framer: windows.Framer, sound: Sound, sample_rate: int | None, target_rate: int) -> Iterator[np.ndarray]:
    """The windows of a sound, block by block; those of a short one in one piece."""
    frames = np.empty((0, framer.window), np.float32)
    for block in audio.blocks(sound, sample_rate, target_rate=target_rate):
        if len(frames):
            yield frames
        frames = framer.push(block)
    yield np.concatenate([frames, framer.finish()])


class Stream:
    """Sound as it arrives; made by `Embedder.stream`.

    The windows of all pushes and of `finish`, in order, equal the windows of the whole sound.
    """

    def __init__(self, embedder: Embedder, sample_rate: int) -> None:
        self._embedder = embedder
        self._chunks = audio.ChunkReader(sample_rate, target_rate=embedder.sample_rate)
        self._framer = windows.Framer(embedder.card.window_samples, embedder.hop_samples)
        self._count = 0
        self._finished = False

    def push(self, chunk: np.ndarray) -> list[Window]:
        """Take more sound and return the windows it completes.

        Args:
            chunk: `(num_samples,)` or `(num_samples, num_channels)`, floats in [-1, 1] or integers as in `trill.embed`.

        Raises:
            AudioError: if the chunk is no sound.
            ValueError: if the stream is finished.
        """
        self._check_open()
        return self._windows(self._framer.push(self._chunks.push(chunk)))

    def finish(self) -> list[Window]:
        """End the sound and return the windows that were still open, the last one zero-padded."""
        self._check_open()
        self._finished = True
        whole = self._windows(self._framer.push(self._chunks.finish()))
        return whole + self._windows(self._framer.finish())

    def _check_open(self) -> None:
        if self._finished:
            raise ValueError("a stream takes no sound after finish(). Begin another: embedder.stream().")

    def _windows(self, frames: np.ndarray) -> list[Window]:
        embedder, first = self._embedder, self._count
        self._count += len(frames)
        found = []
        for index, embedding in enumerate(embedder.model.run(frames, embedder.tap), start=first):
            start = index * embedder.hop_samples
            end = min(start + embedder.card.window_samples, self._framer.num_samples)
            found.append(Window(embedding, start / embedder.sample_rate, end / embedder.sample_rate))
        return found
