"""Running a model file: the only importer of a TFLite interpreter."""

import contextlib
import importlib
import math
import os
import queue
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from trill import modelfile
from trill.errors import MissingPackageError, ModelError
from trill.modelfile import ModelCard

# Module that holds `Interpreter`, best first.
INTERPRETERS = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow.lite.python.interpreter")


class WindowModel(Protocol):
    """A model that embeds windows: a model file here, a Keras network in `trill.networks.keras_model`."""

    @property
    def card(self) -> ModelCard: ...

    @property
    def threads(self) -> int:
        """How many calls of `run` are worth making at once."""
        ...

    def run(self, windows: np.ndarray, tap: str) -> np.ndarray:
        """`(num_windows, window_samples)` float32 to `(num_windows, dim)` float32."""
        ...


def interpreter_class() -> Callable[..., Any]:
    """The first interpreter that is installed.

    Raises:
        MissingPackageError: if there is none; the message holds the pip line.
    """
    for module in INTERPRETERS:
        with contextlib.suppress(ImportError, AttributeError):
            found: Callable[..., Any] = importlib.import_module(module).Interpreter
            return found
    raise MissingPackageError(
        f"a TFLite interpreter is needed and none of {', '.join(INTERPRETERS)} is installed. "
        "Install one: pip install ai-edge-litert"
    )


def default_threads() -> int:
    """Cores this process may use, at most four: windows are short, and a phone has four fast cores."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, available)


class TFLiteModel:
    """A model file and a few interpreters of it, so that as many threads can call `run` at once.

    Each window is computed alone, by an interpreter of one thread: neither its neighbours nor the number of
    threads change a bit of its embedding.

    Args:
        path: a `.tflite` written by this project.
        threads: how many calls of `run` compute at once; None for the cores there are, at most four.

    Raises:
        ModelError: if the file cannot be trusted or does not compute what its card says.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be positive, got {threads}. None uses the cores there are.")
        self.threads = threads or default_threads()
        self._flatbuffer, self.card = modelfile.read(path)
        self._path = path
        # One place an interpreter, made when first needed.
        self._idle: queue.LifoQueue[_Interpreter | None] = queue.LifoQueue()
        for _ in range(self.threads - 1):
            self._idle.put(None)
        self._idle.put(self._interpreter())

    def __reduce__(self) -> tuple[type["TFLiteModel"], tuple[str, int]]:
        """Another process reads the file again."""
        return TFLiteModel, (os.path.abspath(self._path), self.threads)

    def run(self, windows: np.ndarray, tap: str) -> np.ndarray:
        """`(num_windows, window_samples)` float32 in [-1, 1] to `(num_windows, dim)` float32, taps flattened."""
        output = np.empty((len(windows), math.prod(self.card.taps[tap])), np.float32)
        with self._borrowed() as interpreter, self._blamed(RuntimeError):
            for row, window in zip(output, windows, strict=True):
                row[:] = interpreter(window, tap)
        return output

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator["_Interpreter"]:
        interpreter = self._idle.get()
        try:
            interpreter = interpreter or self._interpreter()
            yield interpreter
        finally:
            self._idle.put(interpreter)

    def _interpreter(self) -> "_Interpreter":
        with self._blamed(ValueError, RuntimeError, KeyError):
            return _Interpreter(self._flatbuffer, self.card)

    @contextlib.contextmanager
    def _blamed(self, *kinds: type[Exception]) -> Iterator[None]:
        """What the interpreter stumbles over is the file's fault."""
        try:
            yield
        except kinds as error:
            raise ModelError(f"{self._path} is no embedder that this interpreter can run: {error}") from error


class _Interpreter:
    """One interpreter of one thread: a window in, one tap out."""

    def __init__(self, flatbuffer: bytes, card: ModelCard) -> None:
        self._interpreter = interpreter_class()(model_content=flatbuffer, num_threads=1)
        self._interpreter.allocate_tensors()
        inputs = self._interpreter.get_input_details()
        if [_kind(detail) for detail in inputs] != [("float32", (1, card.window_samples))]:
            raise ValueError(
                f"its input must be one float32 waveform of shape (1, {card.window_samples}), got "
                f"{' and '.join(f'{dtype} {shape}' for dtype, shape in map(_kind, inputs))}."
            )
        self._input = inputs[0]["index"]
        # A file that learns has other signatures, too; `embed` is its first subgraph, the one that invoke() runs.
        embed = "embed" if "embed" in self._interpreter.get_signature_list() else None
        outputs = self._interpreter.get_signature_runner(embed).get_output_details()
        self._taps = {}
        for name, shape in card.taps.items():
            found = _kind(outputs[name]) if name in outputs else None
            if found != ("float32", (1, *shape)):
                raise ValueError(f"its tap {name!r} must be float32 of shape {(1, *shape)}, got {found}.")
            self._taps[name] = outputs[name]["index"]

    def __call__(self, window: np.ndarray, tap: str) -> np.ndarray:
        self._interpreter.set_tensor(self._input, window[None])
        self._interpreter.invoke()
        output: np.ndarray = self._interpreter.get_tensor(self._taps[tap])
        return output.ravel()


def _kind(detail: dict[str, Any]) -> tuple[str, tuple[int, ...]]:
    """Type and shape of a tensor."""
    return np.dtype(detail["dtype"]).name, tuple(int(n) for n in detail["shape"])
