"""Anybody's `.tflite` that takes a waveform, as a teacher."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distill.teachers.clips import check_tap
from distill.teachers.windowed import Windowed
from trill import files, modelfile, windows
from trill.errors import ModelError
from trill.runtime import interpreter_class

SAMPLE_RATE = 16_000  # a file does not say its own
IDENTIFIER = slice(4, 8)
NUMBER, WAVEFORM, BATCH = 0, 1, 2  # ranks of an input


def load(path: Path, tap: str | None = None) -> Windowed:
    """A file that takes `(num_samples,)` or `(1, num_samples)` float32 at 16 kHz, and maybe a sample rate.

    One of a fixed length sees windows side by side, the last padded with zeros; another sees the whole sound.

    Args:
        path: of the file; the interpreter trusts what is in it, so load only what you trust.
        tap: an output; None for "embedding", or the first.

    Raises:
        ModelError: if the file is none, or takes something else.
        ValueError: if there is no such tap.
    """
    if path.stat().st_size > modelfile.MAX_FILE_BYTES:
        raise ModelError(f"a model file holds at most {modelfile.MAX_FILE_BYTES:,} bytes, {path} has more.")
    data = path.read_bytes()
    if data[IDENTIFIER] != b"TFL3":
        raise ModelError(
            f"a .tflite file has TFL3 in bytes 5 to 8, {path} has {data[IDENTIFIER]!r}. Download it again."
        )
    try:
        interpreter = interpreter_class()(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
        outputs = _outputs(interpreter)
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{path} is no model that this interpreter can run: {error}") from error
    window, run = _runner(interpreter, path)
    taps = tuple(outputs)
    if not taps:
        raise ModelError(f"a teacher gives float32, no output of {path} does. Take the float model.")

    def compute(waveform: np.ndarray, tap: str) -> np.ndarray:
        pieces = windows.frame(waveform, window, window) if window else [waveform]
        try:
            return np.concatenate([_rows(run(piece, outputs[tap])) for piece in pieces])
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{path} must take {'windows' if window else 'sounds of any length'} at {SAMPLE_RATE} Hz, it failed on "
                f"{len(waveform)} samples: {error}. Pad short sounds."
            ) from error

    default = check_tap(tap, taps, "embedding" if "embedding" in taps else taps[0])
    sha256 = files.sha256(path)
    return Windowed(f"{path.stem}-{sha256[:8]}", SAMPLE_RATE, sha256, taps, default, compute, window)


def _outputs(interpreter: Any) -> dict[str, int]:
    """The float outputs: index of the tensor by name in the signature, or by place."""
    if len(interpreter.get_signature_list()) == 1:
        named = interpreter.get_signature_runner().get_output_details()
    else:
        named = {f"output{place}": detail for place, detail in enumerate(interpreter.get_output_details())}
    return {name: int(detail["index"]) for name, detail in named.items() if detail["dtype"] == np.float32}


def _runner(interpreter: Any, path: Path) -> tuple[int | None, Callable[[np.ndarray, int], np.ndarray]]:
    """The samples in a window, None for any number; and a function from so many and an output to its value."""
    details = interpreter.get_input_details()
    inputs = {len(detail["shape"]): detail for detail in details}
    sound, rate = inputs.get(WAVEFORM) or inputs.get(BATCH), inputs.get(NUMBER)
    if (
        sound is None
        or sound["dtype"] != np.float32
        or math.prod(sound["shape"][:-1]) != 1
        or len(details) != 1 + (rate is not None)
    ):
        found = "; ".join(f"{np.dtype(row['dtype']).name} {tuple(map(int, row['shape']))}" for row in details)
        raise ModelError(
            "a teacher takes a float32 waveform, (num_samples,) or (1, num_samples), and maybe a sample rate; "
            f"{path} takes {found}. Take the model with its front end in it."
        )
    index, shape = sound["index"], [int(count) for count in sound["shape"]]
    # A length of one stands for any: so converters write what they are told is unknown.
    window = int(sound["shape_signature"][-1]) if len(sound["shape_signature"]) else shape[-1]

    def run(waveform: np.ndarray, output: int) -> np.ndarray:
        if shape[-1] != len(waveform):
            interpreter.resize_tensor_input(index, [*shape[:-1], len(waveform)])
            interpreter.allocate_tensors()
            shape[-1] = len(waveform)
        interpreter.set_tensor(index, waveform.reshape(shape))
        if rate is not None:
            interpreter.set_tensor(rate["index"], np.asarray(SAMPLE_RATE, rate["dtype"]))
        interpreter.invoke()
        return np.array(interpreter.get_tensor(output))

    return window if window > 1 else None, run


def _rows(output: np.ndarray) -> np.ndarray:
    """Frames of the one clip of a batch, or a row a clip."""
    output = output[0] if output.ndim == 3 and len(output) == 1 else output
    return output.reshape(len(output) if output.ndim > 1 else 1, -1)
