"""MobileNetV1 cut after its last 512-deep block: TRILL's student.

Howard et al. 2017, arXiv:1704.04861, Table 1; the cut is Shor et al. 2020, section 5.2.6.
"""

from collections.abc import Sequence

import keras

from trill.networks import blocks

# (output channels at width 1, stride) of each depthwise-separable block.
BLOCKS = (
    (64, 1),
    (128, 2), (128, 1),
    (256, 2), (256, 1),
    (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
)  # fmt: skip


def mobilenet(
    window_frames: int = 96,
    mel_bands: int = 64,
    width: float = 1.0,
    pooling: blocks.Pooling = "average",
    bottleneck: int | None = None,
    batch_norm: bool = False,
    kept: Sequence[int] | None = None,
) -> keras.Model:
    """Build the student network.

    Args:
        window_frames: frames of its log-mel input.
        mel_bands: bands of its log-mel input.
        width: multiplier of every channel count, in (0, 2].
        pooling: "average" over time and frequency, "time" (over time alone, bands kept) or the paper's "flatten".
        bottleneck: size of a linear layer after pooling, or None for the pooled features.
        batch_norm: normalise by batch statistics instead of adding a bias. Trains faster on regression targets;
            the triplet loss wants none (Shor et al. 2020, section 3.1).
        kept: places of the values that the embedding consists of, ascending; None for all.

    Returns:
        A model from log-mel `(batch, 96, 64)` to taps `block5` `(batch, 12, 8, 256)`, `final` `(batch, 6, 4, 512)`
        and `embedding` `(batch, d)`.

    Raises:
        ValueError: if `width`, `pooling` or `bottleneck` is out of range.

    >>> mobilenet().count_params()
    1605184
    """
    blocks.check_width(width)
    log_mel = keras.Input((window_frames, mel_bands), name="log_mel")
    x = keras.layers.Reshape((window_frames, mel_bands, 1), name="channel")(log_mel)
    x = blocks.conv(x, blocks.scaled(32, width), 3, stride=2, batch_norm=batch_norm, name="stem")
    outputs = {}
    for index, (channels, stride) in enumerate(BLOCKS, start=1):
        x = blocks.depthwise(x, 3, stride=stride, batch_norm=batch_norm, name=f"block{index}_depthwise")
        x = blocks.conv(x, blocks.scaled(channels, width), 1, batch_norm=batch_norm, name=f"block{index}_pointwise")
        outputs[f"block{index}"] = x
    embedding = blocks.with_embedding(blocks.pool(x, pooling), bottleneck, kept)
    taps = {"embedding": embedding, "final": x, "block5": outputs["block5"]}
    return keras.Model(log_mel, taps, name="mobilenet")
