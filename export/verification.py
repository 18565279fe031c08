"""Is the file the network? Compared on speech, and on sounds that break front ends and integers.

Needs no Keras: the network comes as its outputs, and a model file carries test vectors by which `verify_file` judges it
anywhere.
"""

import dataclasses
import importlib
import importlib.util
import io
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from export import quantization
from export.quantization import CALIBRATION_VOICES, Quantization
from trill import audio, examples, modelfile, runtime
from trill.errors import ModelError
from trill.modelfile import ModelCard

# Interpreters by the name that a card has for them. The first must be installed, the others run where they are.
INTERPRETERS = {"LiteRT": "ai_edge_litert.interpreter", "tf.lite": "tensorflow.lite.python.interpreter"}
VECTORS = "vectors.npz"
VECTOR_SOUNDS = ("silence", "sweep", "speech of dieter_calm")
FULL_SCALE = 32_768  # of the int16 samples that test vectors are


def probes(num_samples: int, sample_rate: int) -> dict[str, np.ndarray]:
    """Test waveforms by name, each `(num_samples,)` float32 in [-1, 1) that int16 holds; the same at every call.

    >>> sorted(probes(100, 16_000))[:5]
    ['clipping', 'noise', 'quiet noise', 'silence', 'speech of chloe_calm']
    """
    noise = np.random.default_rng(0).standard_normal(num_samples)
    seconds = np.arange(num_samples) / sample_rate
    sweep = np.sin(2 * np.pi * (50 + sample_rate / 5 * seconds) * seconds)
    sounds = {
        "silence": np.zeros(num_samples),
        "noise": 0.1 * noise,
        "quiet noise": 1e-4 * noise,
        "sweep": 0.5 * sweep,
        "clipping": 3 * sweep + noise,
    }
    for name in examples.list_examples():
        if not name.startswith(CALIBRATION_VOICES):
            clip = audio.read(examples.example(name), target_rate=sample_rate)[sample_rate // 2 :]
            sounds[f"speech of {name}"] = np.resize(clip, num_samples)
    sounds["speech, quiet"] = 0.01 * sounds["speech of dieter_calm"]
    return {name: to_int16(sound).astype(np.float32) / FULL_SCALE for name, sound in sounds.items()}


def to_int16(waveform: np.ndarray) -> np.ndarray:
    return np.clip(np.round(waveform * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def interpreters() -> dict[str, Callable[..., Any]]:
    """Interpreters that are installed, by name."""
    found = {}
    for name, module in INTERPRETERS.items():
        if importlib.util.find_spec(module.partition(".")[0]):
            found[name] = importlib.import_module(module).Interpreter
    return found or {"the one installed": runtime.interpreter_class()}


def run(
    flatbuffer: bytes, inputs: np.ndarray, interpreter: Callable[..., Any], taps: Iterable[str]
) -> dict[str, np.ndarray]:
    """The taps of a flatbuffer, flattened, for each row of its input: `(rows, dim)` float32.

    Raises:
        ModelError: if the interpreter does not run it, or no signature gives these taps.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf.lite announces its end
            model = interpreter(model_content=flatbuffer, num_threads=1)
        keys = [key for key, about in model.get_signature_list().items() if {*taps} <= {*about["outputs"]}]
        runner = model.get_signature_runner(*keys[:1])
        ((name, detail),) = runner.get_input_details().items()
        details = runner.get_output_details()
        rows = [runner(**{name: _stored(row[None], detail)}) for row in inputs]
        return {tap: np.stack([_value(row[tap], details[tap]).ravel() for row in rows]) for tap in taps}
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"the interpreter does not run this file: {error}") from error


def _stored(values: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    """Numbers as the tensor stores them: its integers, if it has any."""
    if detail["dtype"] == np.float32:
        return values.astype(np.float32)
    scale, zero = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(values / scale) + zero, limits.min, limits.max).astype(detail["dtype"])


def _value(stored: np.ndarray, detail: dict[str, Any]) -> np.ndarray:
    if detail["dtype"] == np.float32:
        return stored
    scale, zero = detail["quantization"]
    return ((stored.astype(np.float32) - zero) * scale).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How near a file's output is to its network's: the worst of some sounds.

    Args:
        error: length of the difference over length of the network's output.
        cosine: of the two outputs.
        largest: difference of one value.
        mean: difference of a value.
    """

    error: float
    cosine: float
    largest: float
    mean: float


def compare(found: np.ndarray, expected: np.ndarray, reach: np.ndarray | float = 0.0) -> Agreement:
    """Compare outputs `(sounds, dim)`; an output that is nearly zero is measured by the longest one's thousandth.

    Args:
        found: the file's.
        expected: the network's.
        reach: `(sounds,)`, lengths by which outputs are measured that are shorter.

    >>> compare(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])).error
    0.0
    """
    difference = np.abs(found - expected)
    lengths = np.linalg.norm(expected, axis=1)
    floor = np.maximum(lengths.max() / 1000, np.finfo(np.float32).tiny)
    products = (found * expected).sum(axis=1) / np.maximum(np.linalg.norm(found, axis=1) * lengths, floor**2)
    return Agreement(
        error=float((np.linalg.norm(difference, axis=1) / np.maximum(lengths, np.maximum(reach, floor))).max()),
        cosine=float(np.where(lengths < floor, 1.0, products).min()),
        largest=float(difference.max()),
        mean=float(difference.mean(axis=1).max()),
    )


def check(
    flatbuffer: bytes,
    names: Iterable[str],
    inputs: np.ndarray,
    expected: Mapping[str, np.ndarray],
    mode: Quantization,
    reach: Mapping[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Compare a file with the outputs of its network in every interpreter that is installed.

    Args:
        flatbuffer: the file's.
        names: of the sounds; bounds differ for those that begin with "speech".
        inputs: a row a sound.
        expected: `(sounds, dim)` of each tap that counts.
        mode: whose bounds hold.
        reach: `(sounds,)` of taps whose outputs are small by chance: the lengths that they could have.

    Returns:
        The figures of `Agreement` by tap and kind of sound, worst of the interpreters.

    Raises:
        ModelError: if an error is above its bound or not a number, or an interpreter does not run the file.
    """
    speech = np.array([name.startswith("speech") for name in names])
    kinds = {"speech": (speech, mode.max_error), "test sounds": (~speech, mode.max_error_elsewhere)}
    figures: dict[str, dict[str, float]] = {}
    for interpreter, make in interpreters().items():
        outputs = run(flatbuffer, inputs, make, expected)
        for tap in sorted(expected):
            for kind, (rows, bound) in kinds.items():
                least = reach[tap][rows] if reach and tap in reach else 0.0
                agreement = compare(outputs[tap][rows], expected[tap][rows], least)
                if not agreement.error <= bound:
                    raise ModelError(
                        f"the file must agree with its network to {bound:g} of its length, got {agreement.error:.2g} "
                        f"at tap {tap!r} on {kind} in {interpreter}. A coarser quantization than the network bears, or "
                        "an unsound conversion: export as float32 to tell."
                    )
                key = f"{tap}, {kind}"
                if agreement.error >= figures.get(key, {}).get("error", 0.0):
                    figures[key] = {name: float(f"{x:.3g}") for name, x in dataclasses.asdict(agreement).items()}
    return figures


def pack_vectors(names: list[str], inputs: np.ndarray, expected: Mapping[str, np.ndarray]) -> bytes:
    """A few sounds and what the network makes of them at its first tap, to travel with the file."""
    chosen = [names.index(name) for name in VECTOR_SOUNDS]
    tap = "embedding" if "embedding" in expected else min(expected)
    kept = inputs[chosen]
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        names=np.array(VECTOR_SOUNDS),
        inputs=to_int16(kept) if kept.ndim == 2 else kept,  # a log-mel input stays float32
        tap=np.array(tap),
        expected=expected[tap][chosen],
    )
    return packed.getvalue()


def verify_file(path: str | os.PathLike[str]) -> tuple[ModelCard, dict[str, dict[str, float]]]:
    """Repeat the verdict on a model file from the file alone, in every interpreter that is installed.

    Returns:
        The card, and the figures of `Agreement` for the test vectors.

    Raises:
        ModelError: if the file was altered, carries no test vectors, or is not its network.
    """
    flatbuffer, card = modelfile.read(path)
    try:
        with np.load(io.BytesIO(modelfile.read_attachment(path, VECTORS))) as vectors:
            names, inputs, tap, expected = (vectors[key] for key in ("names", "inputs", "tap", "expected"))
    except (KeyError, ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} carries no readable {VECTORS}: {error} Export it again with trill-export.") from error
    if len({len(names), len(inputs), len(expected)}) != 1 or expected.ndim != 2:
        raise ModelError(f"{path} carries {VECTORS} whose parts do not match. Export it again with trill-export.")
    if inputs.dtype == np.int16:
        inputs = inputs.astype(np.float32) / FULL_SCALE
    return card, check(flatbuffer, names, inputs, {str(tap): expected}, quantization.row(card.quantization))
