"""Who or what is heard, while it is heard: a stream of sound through a personal head, smoothed.

A window is a second, and one alone is a shaky witness. Three rules, in this order:

1. A window below `SILENCE` (its root mean square) is silence: nothing is shown, and what was heard before it is
   forgotten, because after a pause somebody else may speak.
2. The last `pooled` windows that were not silent are averaged, as the windows of a clip are.
3. The label shown changes when the averages have said the same other label `patience` times in a row; after silence
   the first one is shown at once.

`benchmarks/live.py` measures them. Averaging makes labels right more often, and calmer. Patience beyond 1 makes them
calmer still but late, and so less often right; it is for displays that must not flicker.
"""

import dataclasses
import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from trill import audio, windows
from trill.embedder import Embedder, Window
from trill.errors import AudioError, MissingPackageError, optional
from trill.personal import PersonalHead, Prediction
from trill.personal.labels import UNKNOWN

HOP_SECONDS = 0.48  # half a window: what a label's change can be late by, and what a line on the screen is worth
POOLED = 4  # windows, 2.4 s of sound at this hop: six are a little better in long turns, worse in short ones
PATIENCE = 1
SILENCE = -55.0  # dB of full scale; speech into a microphone lies at -40 to -15, its own noise below -60
CHUNK_SECONDS = 0.1
log = logging.getLogger("trill")


@dataclasses.dataclass(frozen=True)
class Reading:
    """What is heard in a window of a stream.

    Attributes:
        start: of the newest window, in seconds.
        end: of the newest window, in seconds.
        label: what is shown; None in silence.
        score: of that label in the windows that were averaged; 0 in silence.
        heard: what these windows alone say; None in silence.
    """

    start: float
    end: float
    label: str | None
    score: float
    heard: Prediction | None


class Live:
    """A personal head that listens.

    Args:
        head: what was enrolled.
        sample_rate: Hz of the chunks; None for the model's own.
        hop_seconds: time between two readings.
        pooled: windows that are averaged.
        patience: times in a row that another label must be said before it is shown.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        head: PersonalHead,
        sample_rate: int | None = None,
        *,
        hop_seconds: float = HOP_SECONDS,
        pooled: int = POOLED,
        patience: int = PATIENCE,
    ) -> None:
        if pooled < 1 or patience < 1:
            raise ValueError(
                f"pooled and patience must be 1 or more, got {pooled} and {patience}. 1 and 1 smooth nothing."
            )
        embedder: Embedder = head.embedder.using(hop_seconds=hop_seconds)
        self._head, self._patience = head, patience
        self._stream = embedder.stream(sample_rate)
        # The stream's windows once more, as sound: their level says whether anybody speaks.
        self._chunks = audio.ChunkReader(sample_rate or embedder.sample_rate, target_rate=embedder.sample_rate)
        self._framer = windows.Framer(embedder.card.window_samples, embedder.hop_samples)
        self._recent: deque[np.ndarray] = deque(maxlen=pooled)
        self._shown: str | None = None
        self._other, self._times = "", 0

    def push(self, chunk: np.ndarray) -> list[Reading]:
        """Take more sound, as `trill.Stream.push` does, and return a reading for each window that it completes."""
        found = self._stream.push(chunk)
        return self._readings(found, self._framer.push(self._chunks.push(chunk)))

    def finish(self) -> list[Reading]:
        """End the sound and return the readings that were still open."""
        found = self._stream.finish()
        frames = np.concatenate([self._framer.push(self._chunks.finish()), self._framer.finish()])
        return self._readings(found, frames)

    def _readings(self, found: list[Window], frames: np.ndarray) -> list[Reading]:
        return [self._reading(window, level(frame)) for window, frame in zip(found, frames, strict=True)]

    def _reading(self, window: Window, decibels: float) -> Reading:
        if decibels < SILENCE:
            self._recent.clear()
            self._shown, self._times = None, 0
            return Reading(window.start, window.end, None, 0.0, None)
        self._recent.append(window.embedding)
        heard = self._head.predict_embedding(np.mean(self._recent, axis=0))
        self._settle(heard.label)
        return Reading(window.start, window.end, self._shown, score_of(heard, str(self._shown)), heard)

    def _settle(self, label: str) -> None:
        """The third rule."""
        self._times = self._times + 1 if label == self._other else 1
        self._other = label
        if self._shown is None or self._times >= self._patience:
            self._shown = label


def level(frame: np.ndarray) -> float:
    """Root mean square in dB of full scale, of at least -200.

    >>> round(level(np.full(100, 0.1)))
    -20
    """
    return 10 * math.log10(max(float(np.mean(np.square(frame, dtype=np.float64))), 1e-20))


def score_of(heard: Prediction, label: str) -> float:
    """How likely a label is by what is heard, be it the answer or not; for "unknown" that no label is."""
    return 1 - max(heard.scores.values()) if label == UNKNOWN else heard.scores[label]


def readings(live: Live, chunks: Iterable[np.ndarray]) -> Iterator[Reading]:
    """A reading a window, as the chunks come in."""
    for chunk in chunks:
        yield from live.push(chunk)
    yield from live.finish()


def as_if_live(sound: audio.Sound, sample_rate: int, *, fast: bool = False) -> Iterator[np.ndarray]:
    """A file in chunks at `sample_rate`, each at the time a microphone would give it, or as fast as they are read.

    Raises:
        AudioError: as `trill.audio.read`.
    """
    began, given = time.monotonic(), 0
    for chunk in audio.blocks(sound, target_rate=sample_rate, block_seconds=CHUNK_SECONDS):
        given += len(chunk)
        if not fast:
            time.sleep(max(0.0, began + given / sample_rate - time.monotonic()))
        yield chunk


class Microphone:
    """The default microphone, through `sounddevice`: `rate` in Hz, and chunks until it is closed.

    Raises:
        MissingPackageError: if sounddevice or PortAudio is not installed.
        AudioError: if there is no microphone, or it cannot be opened.
    """

    def __init__(self) -> None:
        try:
            sounddevice: Any = optional("sounddevice", "microphone")
        except OSError as error:  # its wheel for Linux is without the library
            raise MissingPackageError(
                f"sounddevice needs PortAudio, which is not installed ({error}). "
                "On Debian and Ubuntu: apt-get install libportaudio2"
            ) from error
        self._failure = sounddevice.PortAudioError
        try:
            self._stream = sounddevice.InputStream(channels=1, dtype="float32")
            self._stream.start()
        except (self._failure, ValueError) as error:  # ValueError: no input device
            raise AudioError(
                f"a microphone must be there and free, got: {error}. Plug one in, allow its use in the system's "
                "settings, or try a recording: --as-if-live FILE."
            ) from error
        self.rate = round(self._stream.samplerate)

    def chunks(self) -> Iterator[np.ndarray]:
        """Chunks of `CHUNK_SECONDS`, `(num_samples,)` float32, until the microphone goes away or the caller stops.

        Raises:
            AudioError: if the microphone goes away.
        """
        lost = False
        with self._stream:
            while True:
                try:
                    chunk, overflowed = self._stream.read(round(CHUNK_SECONDS * self.rate))
                except self._failure as error:
                    raise AudioError(f"the microphone must stay, it has stopped: {error}. Plug it in again.") from error
                if overflowed and not lost:
                    lost = True
                    log.warning("sound was lost: this machine is too busy to listen. Times are late from here on.")
                yield chunk[:, 0].clip(-1, 1)
