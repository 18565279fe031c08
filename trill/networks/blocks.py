"""The few layers the encoders are made of."""

from collections.abc import Sequence
from typing import Any, Literal

import keras

from trill.networks.normalization import BatchNormalization

Pooling = Literal["average", "time", "flatten"]
HEAD = "head_"  # how the name of a linear layer begins that says what a clip is: the rest is its tap

# How the last feature map (batch, time, frequency, channels) becomes one vector.
POOLINGS: dict[str, Any] = {
    "average": lambda x, name: keras.layers.GlobalAveragePooling2D(name=name)(x),
    # Mean over time alone keeps the frequency bands apart: what is low and what is high says who speaks.
    "time": lambda x, name: keras.layers.Flatten(name=name)(
        keras.layers.AveragePooling2D((x.shape[1], 1), name=f"{name}_time")(x)
    ),
    "flatten": lambda x, name: keras.layers.Flatten(name=name)(x),
}


def pool(x: Any, how: Pooling, *, name: str = "pool") -> Any:
    """Summarise a feature map by a row of `POOLINGS`.

    Raises:
        ValueError: if `how` is no row.
    """
    if how not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {how!r}.")
    return POOLINGS[how](x, name)


def conv(
    x: Any,
    channels: int,
    size: int,
    *,
    name: str,
    stride: int = 1,
    batch_norm: bool = False,
    activation: str | None = "relu",
) -> Any:
    """Convolution, then bias or batch normalisation, then activation."""
    layer = keras.layers.Conv2D(
        channels,
        size,
        stride,
        padding="same",
        use_bias=not batch_norm,
        kernel_initializer="he_normal" if activation else "glorot_uniform",
        name=name,
    )
    return _finish(layer(x), name, batch_norm, activation)


def depthwise(
    x: Any, size: int, *, name: str, stride: int = 1, batch_norm: bool = False, activation: str | None = "relu"
) -> Any:
    """Depthwise convolution, then bias or batch normalisation, then activation."""
    # He's initialisation, 2 / fan-in. Keras takes all channels for the fan-in of a kernel that sees one: without batch
    # normalisation the eleven blocks of `mobilenet` would shrink their input to 1e-16.
    he_normal = keras.initializers.VarianceScaling(2.0 * x.shape[-1])
    # TensorFlow has no fast gradient in bfloat16 of one that strides, on CPUs: half of a training step.
    dtype = "float32" if stride > 1 and keras.config.dtype_policy().name == "mixed_bfloat16" else None
    layer = keras.layers.DepthwiseConv2D(
        size, stride, padding="same", use_bias=not batch_norm, depthwise_initializer=he_normal, dtype=dtype, name=name
    )
    return _finish(layer(x), name, batch_norm, activation)


def _finish(x: Any, name: str, batch_norm: bool, activation: str | None) -> Any:
    if batch_norm:
        x = BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def squeeze_excite(x: Any, squeezed: int, *, name: str) -> Any:
    """Weigh each channel by a gate that sees the mean of all (Howard et al. 2019, section 5.3)."""
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    gate = conv(gate, squeezed, 1, name=f"{name}_reduce")
    gate = conv(gate, x.shape[-1], 1, activation="hard_sigmoid", name=f"{name}_expand")
    return keras.layers.Multiply(name=f"{name}_excite")([x, gate])


def with_embedding(pooled: Any, bottleneck: int | None, kept: Sequence[int] | None = None) -> Any:
    """The embedding: the pooled features, or a linear layer on them; of its values, all or those at some places.

    Raises:
        ValueError: if `bottleneck` is not positive, or `kept` is not an ascending list of the embedding's places.
    """
    if bottleneck is not None:
        if bottleneck < 1:
            raise ValueError(f"bottleneck must be a positive size or None, got {bottleneck}.")
        pooled = keras.layers.Dense(bottleneck, name="bottleneck")(pooled)
    if kept is None:
        return pooled
    size = pooled.shape[-1]
    if not kept or list(kept) != sorted(set(kept)) or not all(type(i) is int and 0 <= i < size for i in kept):
        raise ValueError(
            f"kept must be ascending whole numbers from 0 to {size - 1}, got {str(kept)[:60]}. None keeps all."
        )
    return Select(kept, name="kept")(pooled)


class Select(keras.layers.Layer):
    """Of `(batch, dim)`, the values at some places."""

    def __init__(self, kept: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.kept = tuple(kept)

    def call(self, inputs: Any) -> Any:
        return keras.ops.take(inputs, self.kept, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kept": self.kept}


def scaled(channels: int, width: float) -> int:
    """A channel count at a width, at least 8."""
    return max(8, int(channels * width))


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and never less than nine tenths: vector units like it.

    As in the authors' MobileNets, github.com/tensorflow/models, research/slim/nets/mobilenet/conv_blocks.py.

    >>> [multiple_of_8(channels) for channels in (1, 16, 18, 44)]
    [8, 16, 24, 48]
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def check_width(width: float) -> None:
    if not 0 < width <= 2:
        raise ValueError(f"width must be in (0, 2], got {width}. 1.0 is the paper's network.")
