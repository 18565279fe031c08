"""Silero's voice activity detector at 16 kHz: a recurrent state every 32 ms.

github.com/snakers4/silero-vad, `src/silero_vad/data/silero_vad_16k_op15.onnx`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from distill.teachers import clips
from distill.teachers.clips import ClipTeacher
from distill.teachers.hub import Checkpoint

SAMPLE_RATE, HOP = 16_000, 512
CONTEXT = 64  # samples of the chunk before, and mirrored ones behind
STFT_WINDOW, STFT_STEP, BINS = 256, 128, 129
# (channels, stride) of each convolution of width 3.
LAYERS = ((128, 1), (64, 2), (64, 2), (128, 1))
UNITS = 128
RECURRENT = len(LAYERS) + 1  # the last layer
ROUND_TO = {"tensorflow": 1}  # XLA compiles each length anew: elsewhere chunks are added, which change none before


def build(num_layers: int = RECURRENT) -> keras.Model:
    """Build the first `num_layers` of four convolutions and the LSTM; with all of them, the probability.

    Returns:
        A model from `chunks` `(1, num_chunks, 640)` of one clip to `spectrum`, `conv1` ... `conv4`, `lstm` and
        `probability` (of speech, in [0, 1]), each `(num_chunks, dim)`.

    >>> build().count_params()
    309121
    """
    chunks = keras.Input(batch_shape=(1, None, HOP + 2 * CONTEXT), name="chunks")
    rows = ops.reshape(chunks, (-1, HOP + 2 * CONTEXT, 1))
    parts = keras.layers.Conv1D(2 * BINS, STFT_WINDOW, STFT_STEP, use_bias=False, name="stft")(rows)
    x = ops.sqrt(ops.square(parts[..., :BINS]) + ops.square(parts[..., BINS:]))
    taps = {"spectrum": x}
    for layer, (channels, stride) in enumerate(LAYERS[:num_layers], start=1):
        padded = keras.layers.ZeroPadding1D(1, name=f"pad{layer}")(x)
        x = keras.layers.Conv1D(channels, 3, stride, activation="relu", name=f"conv{layer}")(padded)
        taps[f"conv{layer}"] = x
    if num_layers == RECURRENT:
        states = keras.layers.LSTM(UNITS, return_sequences=True, name="lstm")(ops.reshape(x, (1, -1, UNITS)))
        taps["lstm"] = ops.reshape(states, (-1, UNITS))
        taps["probability"] = keras.layers.Dense(1, "sigmoid", name="out")(ops.relu(taps["lstm"]))
    flat = {name: ops.reshape(value, (-1, int(np.prod(value.shape[1:])))) for name, value in taps.items()}
    return keras.Model({"chunks": chunks}, flat, name="silero")


def chunks_of(clip: np.ndarray) -> np.ndarray:
    """`(num_samples,)` to `(ceil(num_samples / 512), 640)`: 64 samples before, 512, and 64 mirrored at their end."""
    padded = np.pad(clip, (CONTEXT, -len(clip) % HOP))
    chunks = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + HOP)[::HOP]
    return np.pad(chunks, ((0, 0), (0, CONTEXT)), mode="reflect")


def load(checkpoint: Checkpoint, num_layers: int | None = None) -> ClipTeacher:
    """Read the detector; the LSTM starts each clip with a state of zeros.

    Args:
        checkpoint: of the detector.
        num_layers: read and run only so many of its five layers; None for all.

    Raises:
        ModelError: if its tensors are others.
        ValueError: if it has fewer layers than asked for.
    """
    count = clips.check_num_layers(num_layers, RECURRENT)
    network = build(count)
    clips.load_weights(network, checkpoint)
    run = clips.compiled(network)

    def compute(clip: np.ndarray, taps: tuple[str, ...]) -> dict[str, np.ndarray]:
        chunks = chunks_of(clip)
        missing = -len(chunks) % ROUND_TO.get(keras.backend.backend(), 32)
        outputs = run({"chunks": np.pad(chunks, ((0, missing), (0, 0)))[None]})
        return {tap: outputs[tap][: len(chunks)] for tap in taps}

    states = ("spectrum", *(f"conv{layer + 1}" for layer in range(len(LAYERS))), "lstm")[: count + 1]
    return ClipTeacher(
        name=clips.versioned_name(checkpoint) + ("" if count == RECURRENT else f"-{count}"),
        sample_rate=SAMPLE_RATE,
        fingerprint=checkpoint.fingerprint,
        hop_samples=HOP,
        states=states,
        widths={name: value.shape[-1] for name, value in network.output.items()},
        default=states[-1],
        network=network,
        compute=compute,
    )


# By `name` in `config.json`.
FAMILIES: dict[str, Callable[..., Any]] = {"silero_vad_16k": load}
