"""MobileNetV3 for log-mel windows: FRILL's students.

Howard et al. 2019, arXiv:1905.02244, Tables 1 and 2, up to the last convolution; the classifier's hidden layer is
replaced by the optional bottleneck (Peplinski et al. 2021, arXiv:2011.04609, section 3.1).
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras

from trill.networks import blocks

Size = Literal["tiny", "small", "large"]

# (kernel size, expanded channels, output channels, squeeze-and-excite, activation, stride) of each inverted residual
# at width 1.
_SMALL = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1),
    (5, 144, 48, True, "hard_swish", 1),
    (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1),
    (5, 576, 96, True, "hard_swish", 1),
)  # fmt: skip
_LARGE = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
)  # fmt: skip
BLOCKS: dict[str, tuple[tuple[int, int, int, bool, str, int], ...]] = {
    # FRILL's: small without its repetitions of the 48- and, once, of the 96-channel block.
    "tiny": _SMALL[:7] + _SMALL[8:10],
    "small": _SMALL,
    "large": _LARGE,
}


def mobilenet_v3(
    window_frames: int = 96,
    mel_bands: int = 64,
    size: Size = "small",
    width: float = 1.0,
    pooling: blocks.Pooling = "average",
    bottleneck: int | None = None,
    batch_norm: bool = True,
    kept: Sequence[int] | None = None,
) -> keras.Model:
    """Build a mobile network.

    Args:
        window_frames: frames of its log-mel input.
        mel_bands: bands of its log-mel input.
        size: "large" or "small" as published, or "tiny", which is "small" without two of its eleven blocks.
        width: multiplier of every channel count, in (0, 2], rounded to a multiple of 8. FRILL's is small at 2.
        pooling: "average" over time and frequency, "time" (over time alone, bands kept) or "flatten".
        bottleneck: size of a linear layer after pooling, or None for the pooled features.
        batch_norm: normalise by batch statistics, as published, instead of adding a bias.
        kept: places of the values that the embedding consists of, ascending; None for all.

    Returns:
        A model from log-mel `(batch, 96, 64)` to taps `final` `(batch, 3, 2, c)` and `embedding` `(batch, d)`, where
        `c` is 576 (tiny, small) or 960 (large) at width 1 and `d` is `bottleneck` or, averaged, `c`.

    Raises:
        ValueError: if `size`, `width`, `pooling` or `bottleneck` is out of range.

    >>> mobilenet_v3(size="tiny").output["embedding"].shape
    (None, 576)
    """
    blocks.check_width(width)
    if size not in BLOCKS:
        raise ValueError(f"size must be one of {', '.join(BLOCKS)}, got {size!r}.")

    def scaled(channels: int) -> int:
        return blocks.multiple_of_8(channels * width)

    log_mel = keras.Input((window_frames, mel_bands), name="log_mel")
    x = keras.layers.Reshape((window_frames, mel_bands, 1), name="channel")(log_mel)
    x = blocks.conv(x, scaled(16), 3, stride=2, batch_norm=batch_norm, activation="hard_swish", name="stem")
    for index, (kernel, expanded, out, squeeze, activation, stride) in enumerate(BLOCKS[size], start=1):
        x = inverted_residual(
            x,
            kernel,
            scaled(expanded),
            scaled(out),
            squeeze=squeeze,
            activation=activation,
            stride=stride,
            batch_norm=batch_norm,
            name=f"block{index}",
        )
    x = blocks.conv(x, scaled(6 * BLOCKS[size][-1][2]), 1, batch_norm=batch_norm, activation="hard_swish", name="final")
    embedding = blocks.with_embedding(blocks.pool(x, pooling), bottleneck, kept)
    return keras.Model(log_mel, {"embedding": embedding, "final": x}, name="mobilenet_v3")


def inverted_residual(
    x: Any,
    kernel: int,
    expanded: int,
    out: int,
    *,
    squeeze: bool,
    activation: str,
    stride: int,
    batch_norm: bool,
    name: str,
) -> Any:
    """Expand, convolve each channel, squeeze and excite, project; the input is added where shapes allow."""
    common: dict[str, Any] = {"batch_norm": batch_norm, "activation": activation}
    y = x if expanded == x.shape[-1] else blocks.conv(x, expanded, 1, name=f"{name}_expand", **common)
    y = blocks.depthwise(y, kernel, stride=stride, name=f"{name}_depthwise", **common)
    if squeeze:
        y = blocks.squeeze_excite(y, blocks.multiple_of_8(expanded / 4), name=f"{name}_squeeze")
    y = blocks.conv(y, out, 1, batch_norm=batch_norm, activation=None, name=f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if y.shape == x.shape else y
