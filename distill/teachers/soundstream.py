"""The encoder of SoundStream (Zeghidour et al. 2021, arXiv:2107.03312, section III-A) as the codec Lyra V2 has it.

Raw waveform to 64 values every 20 ms, every layer causal: how speech sounds, not what is said. Grouped convolutions and
no normalisation: github.com/google/lyra, `lyra/model_coeffs/soundstream_encoder.tflite`.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill.teachers import clips
from distill.teachers.clips import ClipTeacher
from distill.teachers.hub import Checkpoint

SAMPLE_RATE, HOP = 16_000, 320
FIRST = 64, 64, 16  # channels, kernel and stride of the first convolution
# (channels, kernel, stride and groups of the convolution at its end, groups of its residual units) of each stage.
STAGES = ((128, 10, 5, 1, 1), (256, 4, 2, 2, 2), (512, 4, 2, 4, 4))
DILATIONS = (1, 3, 9)  # of the three residual units of a stage
FEATURES = 64, 3, 4  # channels, kernel and groups of the last convolution
SLOPE = 0.3  # of every activation below 0
# What a frame sees: 63 samples, then 26 steps of 16 and 9 more; 26 of 80 and 3 more; 26 of 160 and 3 more; 2 of 320.
CONTEXT = 32 * HOP
BLOCK = 1_500 * HOP  # of a long clip, that is computed at once: 30 s
ROUND_TO = {"tensorflow": HOP}  # XLA compiles each length anew: elsewhere they are whole seconds


def build(num_layers: int = len(STAGES)) -> keras.Model:
    """Build the first `num_layers` stages; with all of them, the features.

    Returns:
        A model from `waveform` `(batch, num_samples, 1)`, a multiple of 320 samples, to `first` (64 channels, 1000 Hz),
        `stage1` (128, 200 Hz), `stage2` (256, 100 Hz), `stage3` (512, 50 Hz) and `features` (64, 50 Hz), each
        `(batch, time, channels)`.

    >>> build().count_params()
    660352
    """
    waveform = keras.Input((None, 1), name="waveform")
    channels, kernel, stride = FIRST
    x = _conv(waveform, channels, kernel, stride=stride, name="first_conv")
    taps = {"first": x}
    for stage, (channels, kernel, stride, groups, unit_groups) in enumerate(STAGES[:num_layers]):
        for unit, dilation in enumerate(DILATIONS):
            x = _residual(x, dilation, unit_groups, name=f"encoder_{stage}.resnet_{unit}")
        x = _conv(_leaky(x), channels, kernel, stride=stride, groups=groups, name=f"encoder_{stage}.down_conv")
        taps[f"stage{stage + 1}"] = x
    if num_layers == len(STAGES):
        channels, kernel, groups = FEATURES
        taps["features"] = _conv(_leaky(x), channels, kernel, groups=groups, name="bottleneck.conv")
    return keras.Model({"waveform": waveform}, taps, name="soundstream")


def _residual(x: Any, dilation: int, groups: int, *, name: str) -> Any:
    padded = keras.layers.ZeroPadding1D((2 * dilation, 0), name=f"{name}_pad")(_leaky(x))
    y = keras.layers.DepthwiseConv1D(3, dilation_rate=dilation, name=f"{name}a_depthwise_conv")(padded)
    y = _conv(y, x.shape[-1], 1, name=f"{name}a_pointwise_conv")
    return x + _conv(_leaky(y), x.shape[-1], 1, groups=groups, name=f"{name}b_conv")


def _conv(x: Any, channels: int, kernel: int, *, name: str, stride: int = 1, groups: int = 1) -> Any:
    """As streaming with a state of zeros: a kernel ends where its stride does."""
    padded = keras.layers.ZeroPadding1D((kernel - stride, 0), name=f"{name}_pad")(x)
    return keras.layers.Conv1D(channels, kernel, stride, groups=groups, name=name)(padded)


def _leaky(x: Any) -> Any:
    return keras.ops.leaky_relu(x, SLOPE)


def load(checkpoint: Checkpoint, num_layers: int | None = None) -> ClipTeacher:
    """Read the encoder.

    Every tap has a frame each 20 ms, of what sounded until its end; of the earlier, faster layers it is the mean.
    `num_samples` give `ceil(num_samples / 320)` frames, the last padded with zeros. `network` gives the layers at their
    own rates.

    Args:
        checkpoint: with the names of Lyra's layers.
        num_layers: read and run only so many of its three stages; None for all.

    Raises:
        ModelError: if its tensors are others.
        ValueError: if it has fewer stages than asked for.
    """
    count = clips.check_num_layers(num_layers, len(STAGES))
    network = build(count)
    clips.load_weights(network, checkpoint)
    run = clips.compiled(network)
    widths = {name: value.shape[-1] for name, value in network.output.items()}

    def compute(clip: np.ndarray, taps: tuple[str, ...]) -> dict[str, np.ndarray]:
        blocks = [_block(run, clip, start, taps) for start in range(0, len(clip), BLOCK)]
        return {tap: np.concatenate([block[tap] for block in blocks]) for tap in taps}

    return ClipTeacher(
        name=clips.versioned_name(checkpoint) + ("" if count == len(STAGES) else f"-{count}"),
        sample_rate=SAMPLE_RATE,
        fingerprint=checkpoint.fingerprint,
        hop_samples=HOP,
        states=("first", *(f"stage{stage + 1}" for stage in range(count))),
        widths=widths,
        default=list(widths)[-1],
        network=network,
        compute=compute,
    )


# By `name` in `config.json`.
FAMILIES: dict[str, Callable[..., Any]] = {"lyra_soundstream_encoder": load}


def _block(run: Callable[..., Any], clip: np.ndarray, start: int, taps: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The frames from sample `start` on: with the sound before that they see, they are those of the whole clip."""
    before = min(start, CONTEXT)
    sound = clip[start - before : start + BLOCK]
    padded = np.pad(sound, (0, -len(sound) % ROUND_TO.get(keras.backend.backend(), SAMPLE_RATE)))
    outputs = run({"waveform": padded[None, :, None]})
    frames = {tap: outputs[tap][0].reshape(len(padded) // HOP, -1, outputs[tap].shape[-1]) for tap in taps}
    return {tap: rows.mean(axis=1)[before // HOP : -(-len(sound) // HOP)] for tap, rows in frames.items()}
