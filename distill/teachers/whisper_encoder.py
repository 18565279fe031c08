"""Whisper's encoder (Radford et al. 2022, arXiv:2212.04356, section 2.2) as a Keras network, and its weights in files.

Two forms of files: the hub's, of a whole model, and one of encoder weights alone, whose kernels lie as Keras wants them
and whose names are those of our layers.
"""

import dataclasses
import math
from typing import Any

import keras
import numpy as np
from keras import ops

from distill.teachers.clips import check_shape
from distill.teachers.hub import Checkpoint
from trill.errors import ModelError

LAYER_NORM_EPSILON = 1e-5
KERNEL = 3  # of both convolutions, one zero on each side
HUB_PREFIXES = ("model.encoder.", "encoder.", "")

# How the hub calls our layers and their weights.
HUB_LAYERS = {
    "conv1": "conv1", "conv2": "conv2", "ln_post": "layer_norm",
    "ln1": "self_attn_layer_norm", "attn.q": "self_attn.q_proj", "attn.k": "self_attn.k_proj",
    "attn.v": "self_attn.v_proj", "attn.o": "self_attn.out_proj",
    "ln2": "final_layer_norm", "mlp.fc1": "fc1", "mlp.fc2": "fc2",
}  # fmt: skip
HUB_WEIGHTS = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
POSITIONS = {"hub": "embed_positions.weight", "encoder": "positional_embedding"}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What an encoder measures.

    >>> Sizes(mel_bands=80, width=384, mlp=1536, heads=6, blocks=4, positions=1500)  # tiny
    Sizes(mel_bands=80, width=384, mlp=1536, heads=6, blocks=4, positions=1500)
    """

    mel_bands: int
    width: int
    mlp: int
    heads: int
    blocks: int
    positions: int


# Where `config.json` has them; the hub's at its top, the other form's in "dims".
SIZE_KEYS = {
    "hub": ("num_mel_bins", "d_model", "encoder_ffn_dim", "encoder_attention_heads", "encoder_layers",
            "max_source_positions"),
    "encoder": ("n_mels", "d_model", "mlp", "heads", "blocks", "n_ctx"),
}  # fmt: skip


def encoder(sizes: Sizes, num_layers: int) -> keras.Model:
    """Build the first `num_layers` blocks.

    Returns:
        A model from `log_mel` `(batch, 2 * frames, mel_bands)`, zeros where there is no sound, and `mask`
        `(batch, frames)`, 1 where there is, to `layer0` ... `(batch, frames, width)`: the input of the first block,
        then the output of each, after the final norm where it is the encoder's last. What is masked changes nothing.

    >>> encoder(Sizes(80, 384, 1536, 6, 4, 1500), num_layers=1).count_params()
    2885760
    """
    log_mel, mask = keras.Input((None, sizes.mel_bands), name="log_mel"), keras.Input((None,), name="mask")
    x = _conv(log_mel, sizes.width, stride=1, name="conv1")
    # Log-mel frames are even in number, so that the last frame of the sound sees none of the padding behind it.
    x = _conv(x, sizes.width, stride=2, name="conv2")
    index = ops.cast(ops.cumsum(mask, axis=1), "int32") - 1
    x = x + keras.layers.Embedding(sizes.positions, sizes.width, name="positions")(index)
    seen = ops.expand_dims(ops.cast(mask, "bool"), 1)
    states = [x]
    for block in range(num_layers):
        states.append(_block(states[-1], seen, sizes, name=f"block{block}"))
    if num_layers == sizes.blocks:
        states[-1] = _norm(states[-1], "ln_post")
    outputs = {f"layer{index}": state for index, state in enumerate(states)}
    return keras.Model({"log_mel": log_mel, "mask": mask}, outputs, name="whisper")


def _conv(x: Any, width: int, *, stride: int, name: str) -> Any:
    # "same" would pad a stride of 2 on the right alone.
    padded = keras.layers.ZeroPadding1D(1, name=f"{name}_pad")(x)
    return keras.layers.Conv1D(width, KERNEL, stride, activation="gelu", name=name)(padded)


def _norm(x: Any, name: str) -> Any:
    return keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name=name)(x)


def _block(x: Any, seen: Any, sizes: Sizes, *, name: str) -> Any:
    y = _norm(x, f"{name}.ln1")
    attention = keras.layers.MultiHeadAttention(sizes.heads, sizes.width // sizes.heads, name=f"{name}.attn")
    x = x + attention(y, y, attention_mask=seen)
    hidden = keras.layers.Dense(sizes.mlp, activation="gelu", name=f"{name}.mlp.fc1")(_norm(x, f"{name}.ln2"))
    return x + keras.layers.Dense(sizes.width, name=f"{name}.mlp.fc2")(hidden)


def sizes_of(checkpoint: Checkpoint) -> Sizes:
    """What the encoder in a checkpoint measures: the configuration's word, held against the tensors' shapes.

    Raises:
        ModelError: if the checkpoint is no Whisper encoder, or the two contradict each other.
    """
    form = _form(checkpoint)
    config = checkpoint.config if form == "hub" else checkpoint.config["dims"]
    sizes = Sizes(*(_positive(checkpoint, key, config.get(key)) for key in SIZE_KEYS[form]))
    # Before a network of that size is built; the other shapes are checked as they are read.
    last = f"block{sizes.blocks - 1}"
    claims = {
        "conv1.kernel": (KERNEL, sizes.mel_bands, sizes.width),
        "positional_embedding": (sizes.positions, sizes.width),
        f"{last}.mlp.fc1.kernel": (sizes.width, sizes.mlp),
    }
    for name, shape in claims.items():
        _stored_name(checkpoint, name, shape)
    if sizes.width % sizes.heads:
        raise ModelError(f"{sizes.heads} heads of {checkpoint.folder} must divide its width of {sizes.width}.")
    if checkpoint.config.get("activation_function", "gelu") != "gelu":
        raise ModelError(f"Whisper's activation is gelu, got {checkpoint.config['activation_function']!r}.")
    return sizes


def _positive(checkpoint: Checkpoint, key: str, value: object) -> int:
    if type(value) is not int or value < 1:
        raise ModelError(f"{key} of {checkpoint.folder / 'config.json'} must be a positive integer, got {value!r}.")
    return value


def load_weights(network: keras.Model, checkpoint: Checkpoint) -> None:
    """Fill a network of `encoder` from a checkpoint.

    Raises:
        ModelError: if a tensor is missing or has another shape.
    """
    for layer in network.layers:
        for weight in layer.weights:
            weight.assign(_weight(checkpoint, layer.name, weight))


# Variables of Keras' attention: (width, heads, head width) inside, (heads, head width, width) at its end.
ATTENTION = {"query": "q", "key": "k", "value": "v", "attention_output": "o"}


def _weight(checkpoint: Checkpoint, layer: str, weight: Any) -> np.ndarray:
    *_, part, kind = weight.path.split("/")
    if layer == "positions":
        return _tensor(checkpoint, "positional_embedding", weight.shape)
    if part not in ATTENTION:
        return _tensor(checkpoint, f"{layer}.{kind}", weight.shape)
    if (part, kind) == ("key", "bias"):  # Whisper has none; softmax would not see it
        return np.zeros(weight.shape, np.float32)
    # In files the heads' axes are one.
    width = math.isqrt(math.prod(weight.shape)) if kind == "kernel" else math.prod(weight.shape)
    flat = (width, width) if kind == "kernel" else (width,)
    return _tensor(checkpoint, f"{layer}.{ATTENTION[part]}.{kind}", flat).reshape(weight.shape)


def _tensor(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> np.ndarray:
    value = checkpoint.tensor(_stored_name(checkpoint, name, shape))
    return value.T if _transposed(checkpoint, name) else value


def _transposed(checkpoint: Checkpoint, name: str) -> bool:
    return _form(checkpoint) == "hub" and name.endswith(".kernel")


def _form(checkpoint: Checkpoint) -> str:
    """Which of the two forms a checkpoint has."""
    if checkpoint.config.get("model_type") == "whisper":
        return "hub"
    if isinstance(checkpoint.config.get("dims"), dict) and "positional_embedding" in checkpoint.tensors:
        return "encoder"
    raise ModelError(
        f'a Whisper checkpoint says "model_type": "whisper" in config.json, {checkpoint.folder} has '
        f"{checkpoint.config.get('model_type', checkpoint.config.get('name'))!r}. Give the folder of a Whisper model."
    )


def _stored_name(checkpoint: Checkpoint, name: str, shape: tuple[int, ...]) -> str:
    """What the file calls a weight of ours, once it is there and has our shape."""
    stored, expected = name, tuple(shape)
    if _form(checkpoint) == "hub":
        block, _, rest = name.partition(".") if name.startswith("block") else ("", "", name)
        layer, _, kind = rest.rpartition(".")
        within = f"layers.{block.removeprefix('block')}." if block else ""
        hub = POSITIONS["hub"] if name == POSITIONS["encoder"] else f"{within}{HUB_LAYERS[layer]}.{HUB_WEIGHTS[kind]}"
        stored = next((p + hub for p in HUB_PREFIXES if p + hub in checkpoint.tensors), hub)
        expected = expected[::-1] if _transposed(checkpoint, name) else expected
    check_shape(checkpoint, stored, expected)
    return stored
