"""Resnetish: ResNet-50 for log-mel windows, TRILL's encoder.

He et al. 2016, arXiv:1512.03385, Table 1 (50-layer); Hershey et al. 2017, arXiv:1609.09430, section 3.4: the first
convolution has stride 1, so that a 96x64 window ends as 6x4x2048. Shor et al. 2020, section 3.1: no batch
normalisation, a bias everywhere, because triplets are a biased sample; an embedding layer of 512.
"""

from collections.abc import Sequence
from typing import Any

import keras

from trill.networks import blocks

# (blocks, channels inside, channels out, stride of the first 1x1 convolution) of each stage at width 1.
STAGES = (
    (3, 64, 256, 1),
    (4, 128, 512, 2),
    (6, 256, 1024, 2),
    (3, 512, 2048, 2),
)
TAPS = ("embedding", "layer19")


def resnetish(
    window_frames: int = 96,
    mel_bands: int = 64,
    width: float = 1.0,
    bottleneck: int | None = 512,
    normalize: bool = False,
    taps: Sequence[str] = TAPS,
    kept: Sequence[int] | None = None,
) -> keras.Model:
    """Build the teacher network.

    Args:
        window_frames: frames of its log-mel input.
        mel_bands: bands of its log-mel input.
        width: multiplier of every channel count, in (0, 2].
        bottleneck: size of the linear layer that is the embedding, or None for the pooled channels.
        normalize: whether embeddings have length 1 (the triplet loss compares those), or leave the network as they are.
        taps: which outputs to keep; layers that no tap needs are left out, so `["layer19"]` holds 9.0 M parameters
            and 1.50 G multiply-adds instead of 24.5 M and 1.85 G.
        kept: places of the values that the embedding consists of, ascending; None for all.

    Returns:
        A model from log-mel `(batch, 96, 64)` to taps `embedding` `(batch, 512)` and `layer19` `(batch, 6, 4, 512)`,
        the output before its ReLU of the first convolution with 512 channels on a 6x4 map (Shor et al. 2020,
        section 5.1).

    Raises:
        ValueError: if `width` or `bottleneck` is out of range or `taps` names no output.

    >>> resnetish(taps=["layer19"]).count_params()
    9046528
    """
    blocks.check_width(width)
    if not taps or not set(taps) <= set(TAPS):
        raise ValueError(f"taps must be some of {', '.join(TAPS)}, got {list(taps)}. Leave them out for all.")
    log_mel = keras.Input((window_frames, mel_bands), name="log_mel")
    x = keras.layers.Reshape((window_frames, mel_bands, 1), name="channel")(log_mel)
    x = blocks.conv(x, blocks.scaled(64, width), 7, name="stem")
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage, (count, inside, out, stride) in enumerate(STAGES, start=1):
        for index in range(1, count + 1):
            x, first = bottleneck_block(
                x,
                blocks.scaled(inside, width),
                blocks.scaled(out, width),
                stride=stride if index == 1 else 1,
                project=index == 1,
                name=f"stage{stage}_block{index}",
            )
            if index == 1:
                layer19 = first  # of the last stage, once the loop is through
    embedding = blocks.with_embedding(blocks.pool(x, "average"), bottleneck, kept)
    if normalize:
        embedding = keras.layers.UnitNormalization(name="normalize")(embedding)
    outputs = {"embedding": embedding, "layer19": layer19}
    return keras.Model(log_mel, {tap: outputs[tap] for tap in taps}, name="resnetish")


def bottleneck_block(x: Any, inside: int, out: int, *, stride: int, project: bool, name: str) -> tuple[Any, Any]:
    """1x1, 3x3 and 1x1 convolutions around a shortcut; returns the output, and the first convolution's before ReLU."""
    shortcut = blocks.conv(x, out, 1, stride=stride, activation=None, name=f"{name}_shortcut") if project else x
    first = blocks.conv(x, inside, 1, stride=stride, activation=None, name=f"{name}_reduce")
    y = keras.layers.Activation("relu", name=f"{name}_reduce_relu")(first)
    y = blocks.conv(y, inside, 3, name=f"{name}_conv")
    y = blocks.conv(y, out, 1, activation=None, name=f"{name}_expand")
    y = keras.layers.Add(name=f"{name}_add")([shortcut, y])
    return keras.layers.Activation("relu", name=f"{name}_relu")(y), first
