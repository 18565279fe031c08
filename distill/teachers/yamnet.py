"""MobileNets that know AudioSet: YAMNet in two trainings, and a smaller one on 0.32 s windows.

Layers are counted as the TRILL paper counts YAMNet's: the first convolution is `layer1`, then depthwise and pointwise
convolutions alternate, so that `layer10` is the depthwise half of the fifth block
(github.com/tensorflow/models, research/audioset/yamnet).
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from distill.teachers import clips
from distill.teachers.clips import ClipTeacher
from distill.teachers.hub import Checkpoint, open_checkpoint
from trill.errors import ModelError, optional
from trill.networks import blocks
from trill.networks.frontend import FRONTENDS, FrontendConfig, LogMel
from trill.windows import frame

# (output channels, stride) of each depthwise-separable block: MobileNetV1's.
YAMNET_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
SMALL_BLOCKS = (
    (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (256, 1), (512, 2),
)  # fmt: skip
WINDOWS = 8  # that are computed at once


@dataclasses.dataclass(frozen=True)
class Row:
    """A network.

    Args:
        frontend: how the waveform becomes its input.
        stem: channels and stride of the first convolution.
        blocks: of the others.
        activation: after every pointwise convolution and the first.
        depthwise_activation: after every depthwise one.
        pool: what makes the embedding of the last map.
        names: what the file calls the first convolution, and the depthwise and pointwise one of block `b`.
        classes: name in the file and size of the classifier; None where there is none.
    """

    frontend: FrontendConfig
    stem: tuple[int, int]
    blocks: tuple[tuple[int, int], ...]
    activation: str
    depthwise_activation: str | None
    pool: type[keras.layers.Layer]
    names: tuple[str, Callable[[int], str], Callable[[int], str]]
    classes: tuple[str, int] | None


_YAMNET_NAMES = ("layer01_conv", lambda b: f"layer{2 * b:02d}_depthwise", lambda b: f"layer{2 * b + 1:02d}_pointwise")
_YAMNET = Row(
    FRONTENDS["yamnet"], (32, 2), YAMNET_BLOCKS, "relu6", "relu6", keras.layers.GlobalAveragePooling2D,
    _YAMNET_NAMES, ("layer29_fc", 521),
)  # fmt: skip
_YAMNET_FLOAT = dataclasses.replace(_YAMNET, activation="relu", depthwise_activation="relu")
ROWS = {
    "yamnet_relu6": _YAMNET,  # published with int8 weights
    "yamnet_float": _YAMNET_FLOAT,  # scripts/convert_yamnet.py makes it of yamnet.h5
    "yamnet_float_layers1to11": dataclasses.replace(_YAMNET_FLOAT, blocks=YAMNET_BLOCKS[:5], classes=None),
    "audioset_mobilenet_320ms": Row(
        dataclasses.replace(FRONTENDS["yamnet"], window_frames=32, hop_frames=32), (16, 1), SMALL_BLOCKS,
        "relu", None, keras.layers.GlobalMaxPooling2D,
        ("conv1", lambda b: f"block{b:02d}_depthwise", lambda b: f"block{b:02d}_pointwise"), ("logits", 527),
    ),
}  # fmt: skip


def build(row: Row, num_layers: int) -> keras.Model:
    """Build the first `num_layers` blocks; with all of them, the embedding and, where there are, the classes.

    Returns:
        A model from `log_mel` `(batch, window_frames, 64)` to `layer1`, `layer2`, ... `(batch, time, frequency,
        channels)`, `embedding` `(batch, dim)` and `scores` `(batch, classes)` in [0, 1].

    >>> build(ROWS["yamnet_relu6"], num_layers=13).count_params()
    3729481
    """
    first, depthwise, pointwise = row.names
    log_mel = keras.Input((row.frontend.window_frames, row.frontend.mel_bands), name="log_mel")
    x = keras.layers.Reshape((*log_mel.shape[1:], 1), name="channel")(log_mel)
    x = blocks.conv(x, row.stem[0], 3, stride=row.stem[1], activation=row.activation, name=first)
    taps = {"layer1": x}
    for block, (channels, stride) in enumerate(row.blocks[:num_layers], start=1):
        x = blocks.depthwise(x, 3, stride=stride, activation=row.depthwise_activation, name=depthwise(block))
        taps[f"layer{2 * block}"] = x
        x = blocks.conv(x, channels, 1, activation=row.activation, name=pointwise(block))
        taps[f"layer{2 * block + 1}"] = x
    if num_layers == len(row.blocks):
        taps["embedding"] = row.pool(name="embedding")(x)
        if row.classes:
            name, size = row.classes
            taps["scores"] = keras.layers.Dense(size, "sigmoid", name=name)(taps["embedding"])
    return keras.Model(log_mel, taps, name="audioset")


def load(checkpoint: Checkpoint, num_layers: int | None = None) -> ClipTeacher:
    """Read one of `ROWS`.

    Its frames are windows: of 0.975 s every 0.48 s, or of 0.335 s every 0.32 s, padded at the end as everywhere in the
    project (`trill.windows.frame`). Maps are flattened, time first, as the NOSS papers use them; `hidden_states` are
    `layer1` and the output of each block. `network` goes from log-mel to the maps.

    Args:
        checkpoint: whose `name` is a row.
        num_layers: read and run only so many blocks; None for all.

    Raises:
        ModelError: if it is none, or its tensors are others.
        ValueError: if it has fewer blocks than asked for.
    """
    row = ROWS.get(str(checkpoint.config.get("name")))
    if row is None:
        raise ModelError(f"name must be one of {', '.join(ROWS)}, {checkpoint.folder} has another.")
    count = clips.check_num_layers(num_layers, len(row.blocks))
    network = build(row, count)
    clips.load_weights(network, checkpoint, _dequantized)
    waveform = keras.Input((row.frontend.window_samples,), name="waveform")
    maps = network(LogMel(row.frontend, name="frontend")(waveform))
    flat = {name: keras.layers.Flatten(name=f"flat_{name}")(value) for name, value in maps.items()}
    run = clips.compiled(keras.Model({"waveform": waveform}, flat))

    def compute(clip: np.ndarray, taps: tuple[str, ...]) -> dict[str, np.ndarray]:
        windows = frame(clip, row.frontend.window_samples, row.frontend.hop_samples)
        outputs = clips.in_batches(run, "waveform", windows, WINDOWS)
        return {tap: outputs[tap] for tap in taps}

    return ClipTeacher(
        name=clips.versioned_name(checkpoint) + ("" if count == len(row.blocks) else f"-{count}"),
        sample_rate=row.frontend.sample_rate,
        fingerprint=checkpoint.fingerprint,
        hop_samples=row.frontend.hop_samples,
        states=tuple(f"layer{2 * block + 1}" for block in range(count + 1)),
        widths={name: value.shape[1] for name, value in flat.items()},
        default="embedding" if "embedding" in flat else f"layer{2 * count + 1}",
        network=network,
        compute=compute,
    )


# By `name` in `config.json`.
FAMILIES: dict[str, Callable[..., Any]] = dict.fromkeys(ROWS, load)


def yamnet_layer10(folder: str | os.PathLike[str]) -> keras.Model:
    """YAMNet to the TRILL paper's "layer 10", to be run inside a training step.

    Args:
        folder: holds one of the YAMNets.

    Returns:
        A frozen model from log-mel `(batch, 96, 64)` (`FRONTENDS["yamnet"]`) to `(batch, 12, 8, 256)`: the depthwise
        half of the fifth block, after its activation.

    Raises:
        ModelError: if the folder holds none.
    """
    network = load(open_checkpoint(folder), num_layers=5).network
    model = keras.Model(network.input, network.output["layer10"], name="yamnet_layer10")
    model.trainable = False
    return model


def _dequantized(checkpoint: Checkpoint, name: str) -> np.ndarray:
    """A tensor, or the product of its int8 values and their scale for each output channel."""
    stored = checkpoint.tensors.get(f"{name}_int8")
    if stored is None:
        return checkpoint.tensor(name)
    with optional("safetensors", "teachers").safe_open(stored.file, framework="numpy") as file:
        values = file.get_tensor(f"{name}_int8")
    return values.astype(np.float32) * checkpoint.tensor(f"{name}_scale")
