"""openSMILE's functionals: one row a clip.

The package `opensmile` is free for research only (audEERING Research License): products need another licence, also for
features extracted with it. It shares no process with TensorFlow, which would crash both: it runs in processes of its
own, started when first needed, which end with this one.
"""

import contextlib
import importlib.metadata
import queue
import subprocess
import sys
import weakref
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from trill.errors import MissingPackageError
from trill.runtime import default_threads

SAMPLE_RATE = 16_000
FEATURE_SETS = ("ComParE_2016", "eGeMAPSv02")  # 6,373 and 88 values a clip
MIN_SAMPLES = 960  # a shorter sound gives NaN: it is padded with zeros to 60 ms


class Smile:
    """A feature set of openSMILE; meets `Representation`.

    Args:
        feature_set: one of `FEATURE_SETS`.

    Raises:
        MissingPackageError: if `opensmile` is not installed.
        ValueError: if there is no such feature set.
    """

    sample_rate = SAMPLE_RATE
    licence = "audEERING Research License"

    def __init__(self, feature_set: str) -> None:
        if feature_set not in FEATURE_SETS:
            raise ValueError(f"openSMILE's feature set must be one of {', '.join(FEATURE_SETS)}, got {feature_set!r}.")
        try:
            version = importlib.metadata.version("opensmile")
        except importlib.metadata.PackageNotFoundError:
            raise MissingPackageError(
                "opensmile is needed and not installed. Install it: pip install opensmile (audEERING Research License: "
                "for research only, products need another one, also for features extracted with it)"
            ) from None
        self.name = f"opensmile-{version}-{feature_set}"
        self.feature_set = feature_set
        self.threads = default_threads()
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(self.threads):
            self._idle.put(None)

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(1, dim)` float32."""
        with self._borrowed() as worker:
            return worker(np.pad(waveform, (0, max(0, MIN_SAMPLES - len(waveform)))))

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator["_Worker"]:
        worker = self._idle.get()
        try:
            worker = worker or _Worker(self.feature_set)
            yield worker
        except BaseException:  # it may still compute: an answer to the next question would be this one's
            if worker is not None:
                worker.close()
            worker = None
            raise
        finally:
            self._idle.put(worker)


class _Worker:
    """A process that runs `main`."""

    def __init__(self, feature_set: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "noss.representations.smile", feature_set]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._process = process
        self.close = weakref.finalize(self, _end, process)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        question, answer = self._process.stdin, self._process.stdout
        if question is None or answer is None:
            raise RuntimeError("openSMILE's process has no pipes.")
        try:
            _send(question, waveform)
            return _receive(answer)[None]
        except (OSError, EOFError) as error:
            raise RuntimeError(
                f"openSMILE's process ended with code {self._process.wait()}; what it said stands above."
            ) from error


def _end(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.kill()
    process.wait()


def _send(pipe: IO[bytes], values: np.ndarray) -> None:
    data = np.ascontiguousarray(values, np.float32).tobytes()
    pipe.write(len(data).to_bytes(8, "little") + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> np.ndarray:
    size = pipe.read(8)
    data = pipe.read(int.from_bytes(size, "little")) if len(size) == 8 else b""
    if not data:
        raise EOFError
    return np.frombuffer(data, np.float32)


def main(feature_set: str) -> None:
    """Answer waveforms on standard input with rows on standard output, until the first ends."""
    opensmile: Any = importlib.import_module("opensmile")
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while True:
            waveform = _receive(sys.stdin.buffer)
            _send(sys.stdout.buffer, smile.process_signal(waveform, SAMPLE_RATE).to_numpy().ravel())


if __name__ == "__main__":
    main(sys.argv[1])
