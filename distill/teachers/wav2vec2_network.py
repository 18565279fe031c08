"""What wav2vec 2.0, HuBERT and WavLM compute, as functions of their weights, in `keras.ops`.

Baevski et al. 2020, arXiv:2006.11477, section 2; Hsu et al. 2021, arXiv:2106.07447; Chen et al. 2022, arXiv:2110.13900.
Norms stand where `transformers` 4.48 has them: modeling_wav2vec2.py, modeling_hubert.py, modeling_wavlm.py.

Weights are dicts by the checkpoint's names with the axes of each tensor reversed, which makes PyTorch's kernels
(out, in) and (out, in, width) those of Keras.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from distill.teachers.relative_position import gated
from distill.teachers.wav2vec2_config import Config

Weights = dict[str, Any]
CONV_EPSILON = 1e-5  # PyTorch's default: the configured one is for the projection and the transformer
MASKED = -1e9
POSITIONS = "encoder.pos_conv_embed.conv"


def compiled(
    function: Callable[..., Any], config: Config, weights: Weights, ranks: tuple[int, ...]
) -> Callable[..., Any]:
    """`function(config, ...)` as the backend compiles it.

    Args:
        function: takes configuration, weights and arrays.
        config: the first argument.
        weights: like those of every call.
        ranks: of the arrays; on TensorFlow one graph serves all shapes of these, XLA makes one a shape.
    """
    function = functools.partial(function, config)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        shapes = {name: tf.TensorSpec(weight.shape, tf.float32) for name, weight in weights.items()}
        arrays = (tf.TensorSpec([None] * rank, tf.float32) for rank in ranks)
        return tf.function(function, autograph=False, input_signature=(shapes, *arrays))
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def features(config: Config, weights: Weights, waveform: Any) -> Any:
    """The convolutions: `(batch, num_samples)` to `(batch, frames, channels)`."""
    x = waveform[..., None]
    axis = 1 if config.conv_norm == "group" else -1  # over time, a channel at a time; or over channels
    for index, stride in enumerate(config.conv_strides):
        name = f"feature_extractor.conv_layers.{index}"
        x = ops.conv(x, weights[f"{name}.conv.weight"], stride, "valid")
        if config.conv_bias:
            x = x + weights[f"{name}.conv.bias"]
        if f"{name}.layer_norm.weight" in weights:
            x = _norm(x, weights, f"{name}.layer_norm", CONV_EPSILON, axis)
        x = _gelu(x)
    return x


def transformer_input(config: Config, weights: Weights, waveform: Any, mask: Any) -> Any:
    """The first hidden state.

    Args:
        config: the network.
        weights: those outside the blocks.
        waveform: `(batch, num_samples)`, normalised where the model wants it.
        mask: `(batch, frames)`, 1 where a frame is of the clip and 0 after its end.

    Returns:
        `(batch, frames, width)`.
    """
    x = features(config, weights, waveform)
    if config.project_norm:
        x = _norm(x, weights, "feature_projection.layer_norm", config.epsilon)
    x = _dense(x, weights, "feature_projection.projection") * mask[..., None]
    x = x + _positions(config, weights, x)
    return x if config.pre_norm else final_norm(config, weights, x)


def _positions(config: Config, weights: Weights, x: Any) -> Any:
    # An even kernel makes a frame too many with the reference's padding, and drops the last.
    before, after = config.positions // 2, (config.positions - 1) // 2
    padded = ops.pad(x, ((0, 0), (before, after), (0, 0)))
    # A group at a time: in one, Keras on TensorFlow compiles the convolution anew for each length, and runs it slower.
    groups = (ops.split(y, config.position_groups, axis=-1) for y in (padded, weights[f"{POSITIONS}.weight"]))
    convolved = [ops.conv(y, kernel, 1, "valid") for y, kernel in zip(*groups, strict=True)]
    return _gelu(ops.concatenate(convolved, axis=-1) + weights[f"{POSITIONS}.bias"])


def final_norm(config: Config, weights: Weights, x: Any) -> Any:
    """The encoder's own norm: of the last state where blocks norm their input, else of the first."""
    return _norm(x, weights, "encoder.layer_norm", config.epsilon)


def block(config: Config, weights: Weights, x: Any, mask: Any, bias: Any) -> Any:
    """A transformer block: `(batch, frames, width)` to the same.

    Args:
        config: the network.
        weights: the block's, without `encoder.layers.N.`.
        x: its input.
        mask: `(batch, frames)`; frames of 0 are not looked at.
        bias: `(heads, frames, frames)` by relative position, WavLM only; else not looked at.
    """
    eps = config.epsilon
    if config.pre_norm:
        x = x + _attention(config, weights, _norm(x, weights, "layer_norm", eps), mask, bias)
        return x + _feed_forward(_norm(x, weights, "final_layer_norm", eps), weights)
    x = _norm(x + _attention(config, weights, x, mask, bias), weights, "layer_norm", eps)
    return _norm(x + _feed_forward(x, weights), weights, "final_layer_norm", eps)


def _attention(config: Config, weights: Weights, x: Any, mask: Any, bias: Any) -> Any:
    head_dim = config.width // config.heads

    def by_head(y: Any) -> Any:  # (batch, frames, width) -> (batch, heads, frames, head_dim)
        return ops.swapaxes(ops.reshape(y, (*ops.shape(y)[:2], config.heads, head_dim)), 1, 2)

    q, k, v = (by_head(_dense(x, weights, f"attention.{name}_proj")) for name in "qkv")
    scores = ops.matmul(q * head_dim**-0.5, ops.swapaxes(k, 2, 3)) + (1.0 - mask[:, None, None]) * MASKED
    if config.family == "wavlm":
        scores = scores + gated(by_head(x), weights, bias)
    attended = ops.swapaxes(ops.matmul(ops.softmax(scores), v), 1, 2)
    return _dense(ops.reshape(attended, (*ops.shape(attended)[:2], config.width)), weights, "attention.out_proj")


def _feed_forward(x: Any, weights: Weights) -> Any:
    inner = _gelu(_dense(x, weights, "feed_forward.intermediate_dense"))
    return _dense(inner, weights, "feed_forward.output_dense")


def _dense(x: Any, weights: Weights, name: str) -> Any:
    return ops.matmul(x, weights[f"{name}.weight"]) + weights[f"{name}.bias"]


def _norm(x: Any, weights: Weights, name: str, epsilon: float, axis: int = -1) -> Any:
    if axis == 1:
        # Summed along the last axis: along another, term by term, thousands of frames cost a digit.
        mean, variance = (y[:, None] for y in ops.moments(ops.swapaxes(x, 1, 2), axes=[-1]))
    else:
        mean, variance = ops.moments(x, axes=[axis], keepdims=True)
    return (x - mean) * ops.rsqrt(variance + epsilon) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _gelu(x: Any) -> Any:
    return keras.activations.gelu(x, approximate=False)
