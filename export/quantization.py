"""How a file stores its numbers: a row a mode, and how far a mode may turn an embedding.

The converter writes float32; ai-edge-quantizer then rewrites the encoder, which it finds by the front end's name scope:
the window and the mel matrix stay float32 (`docs/decisions/float16.md`).
"""

import contextlib
import dataclasses
import io
import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from trill import audio, examples
from trill.errors import ModelError, optional
from trill.manifests import find_clips
from trill.training.augment import chain
from trill.training.effects import TELEPHONE_HZ, codec
from trill.windows import frame

# Operators with weights; the name of an operator is that of its output. A tap is renamed, so exclude, do not include.
OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
ENCODER = r"^(?!.*frontend).*$"
Configure = Callable[[Any, Any], None]  # a quantizer and an operator's name


@dataclasses.dataclass(frozen=True)
class Quantization:
    """A mode, and its bounds: length of the difference over length of the network's output.

    Args:
        configure: tells a quantizer what to do with an operator; None to leave float32.
        max_error: on speech, at any tap. An error of e keeps the cosine above sqrt(1 - e²).
        max_error_elsewhere: on silence, noise, a sweep and clipping.
        calibrated: whether it needs representative windows.
        wide: whether its range has room for the probes beside representative windows, at no loss on speech.
        integer_io: whether input and output are int8, too. Not for waveforms: eight bits leave nothing of quiet speech.
    """

    configure: Configure | None
    max_error: float
    max_error_elsewhere: float
    calibrated: bool = False
    wide: bool = False
    integer_io: bool = False


def _float16(quantizer: Any, operator: Any) -> None:
    from ai_edge_quantizer import qtyping

    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
    )
    quantizer.update_quantization_recipe(ENCODER, operator, config, "float_casting")


# Twice the worst of the packaged model, more where small random networks need it: docs/decisions/quantization.md.
QUANTIZATIONS = {
    "float32": Quantization(None, 5e-4, 5e-4),
    "float16": Quantization(_float16, 0.006, 0.015),
    "int8-weights": Quantization(lambda q, operator: q.add_weight_only_config(ENCODER, operator, 8), 0.06, 0.3),
    "int8-dynamic": Quantization(lambda q, operator: q.add_dynamic_config(ENCODER, operator, 8), 0.1, 0.3),
    "int8": Quantization(lambda q, operator: q.add_static_config(ENCODER, operator, 8, 8), 0.15, 0.9, calibrated=True),
    "int8-io": Quantization(
        lambda q, operator: q.add_static_config(".*", operator, 8, 8), 0.15, 0.9, calibrated=True, integer_io=True
    ),
    "int16x8": Quantization(
        lambda q, operator: q.add_static_config(ENCODER, operator, 16, 8), 0.06, 0.3, calibrated=True, wide=True
    ),
}


def row(name: str) -> Quantization:
    """A row of `QUANTIZATIONS`.

    Raises:
        ValueError: if there is none of this name.

    >>> row("float16").calibrated
    False
    """
    if name not in QUANTIZATIONS:
        raise ValueError(f"quantization must be one of {', '.join(QUANTIZATIONS)}, got {name!r}.")
    return QUANTIZATIONS[name]


def quantize(flatbuffer: bytes, mode: Quantization, inputs: Iterable[dict[str, np.ndarray]] = ()) -> bytes:
    """Rewrite a float32 flatbuffer of one signature.

    Args:
        flatbuffer: what to rewrite.
        mode: a row of `QUANTIZATIONS`.
        inputs: what it may be given, by name, whose ranges a calibrated mode represents.
    """
    if mode.configure is None:
        return flatbuffer
    optional("ai_edge_quantizer", "export")
    from ai_edge_quantizer import qtyping, quantizer

    recipe = quantizer.Quantizer(flatbuffer)
    for operator in ("*",) if mode.integer_io else OPERATORS:
        mode.configure(recipe, qtyping.TFLOperationName(operator))
    # It draws bars and warns that calibration takes memory.
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ranges = calibrate(recipe, inputs, 1.0 if mode.wide else SHARE) if mode.calibrated else None
        done = recipe.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(done.quantized_model)


SHARE = 0.9  # of windows whose loudest value a range holds: a few spikes cost all others a bit or two


def calibrate(recipe: Any, inputs: Iterable[dict[str, np.ndarray]], share: float) -> dict[str, Any]:
    """The range of each tensor that holds the least and the largest value of this share of inputs each.

    The quantizer's own merge is a moving average from the first sample, which a quiet first sample spoils: it gets one
    input at a time.
    """
    merged: dict[str, Any] = {}
    for given in inputs:
        for tensor, seen in recipe.calibrate({"serving_default": [given]}, num_threads=1).items():
            merged.setdefault(tensor, []).append(seen)
    return {
        tensor: {
            **rows[0],
            **{
                end: rounded(np.quantile([row[end] for row in rows], quantile, axis=0))
                for end, quantile in (("min", 1 - share), ("max", share))
                if end in rows[0]
            },
        }
        for tensor, rows in merged.items()
    }


def rounded(values: np.ndarray) -> np.ndarray:
    """To three digits: a machine that computes other last ones writes the same file.

    >>> rounded(np.array([0.0, 123.4567, -0.00123456])).tolist()
    [0.0, 123.0, -0.00123]
    """
    values = np.asarray(values)
    return np.array([float(f"{value:.3g}") for value in values.ravel()], values.dtype).reshape(values.shape)


MIN_WINDOWS = 8
MIN_LEVEL = 1e-3  # -60 dB of full scale: below it recordings hold noise
MAX_WINDOWS = 200  # ranges hardly grow after that
CALIBRATION_VOICES = ("anna", "ben")  # of the bundled clips; the other two verify


def representative_windows(folder: str | os.PathLike[str] | None, window_samples: int, sample_rate: int) -> np.ndarray:
    """Windows whose ranges a calibrated file represents: as they are, at full scale and quiet, and by telephone.

    Args:
        folder: sound to take them from, spread evenly over its files; None for two of the bundled voices.
        window_samples: samples in a window.
        sample_rate: Hz.

    Returns:
        `(num_windows, window_samples)` float32.

    Raises:
        ModelError: if the sound has fewer than eight windows, or is silent.
    """
    if folder is None:
        files = [examples.example(name) for name in examples.list_examples() if name.startswith(CALIBRATION_VOICES)]
    else:
        files = [clip.path for clip in find_clips([folder])]
    sounds = (audio.read(file, target_rate=sample_rate) for file in _spread(files))
    windows = _spread(np.concatenate([frame(sound, window_samples, window_samples // 2) for sound in sounds]))
    peaks = np.abs(windows).max(axis=1, keepdims=True)
    loud = (windows / np.maximum(peaks, MIN_LEVEL))[peaks[:, 0] >= MIN_LEVEL]
    if len(loud) < MIN_WINDOWS:
        raise ModelError(
            f"representative sound must have at least {MIN_WINDOWS} windows of {window_samples / sample_rate:g} s that "
            f"reach {MIN_LEVEL:g} of full scale, got {len(loud)} of {len(windows)} in {folder or 'the bundled clips'}. "
            "Ten seconds of speech as the model will hear it are a start, a minute of several voices is better."
        )
    heard = np.concatenate([windows, loud, 0.03 * loud]).astype(np.float32)
    if sample_rate < 2 * TELEPHONE_HZ[1]:
        return heard
    telephone, rng = chain([codec(low_bits=8, high_bits=8, sample_rate=sample_rate)]), np.random.default_rng(0)
    return np.concatenate([heard, [telephone(window, rng) for window in heard]])


def _spread(items: Any) -> Any:
    """At most `MAX_WINDOWS` of them, evenly."""
    return items[:: -(-len(items) // MAX_WINDOWS)]
