"""What a wav2vec 2.0, HuBERT or WavLM checkpoint says it is, and which tensors it must then hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trill.errors import ModelError

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Config:
    """Sizes and variants, named after what they do; `FIELDS` has the checkpoint's words for them.

    Args:
        family: "wav2vec2", "hubert" or "wavlm".
        conv_channels: of each convolution on the waveform.
        conv_widths: their kernels, in samples of their input.
        conv_strides: likewise.
        conv_bias: whether they add one.
        conv_norm: "group": the first is normalised over time, a channel at a time; "layer": each over channels.
        project_norm: whether features are normalised before the projection.
        pre_norm: whether a block normalises its input (the large forms) or its output (the base forms).
        width: of the transformer.
        inner: width inside the feed-forward halves.
        heads: of attention.
        num_blocks: in the checkpoint.
        epsilon: of the transformer's norms.
        positions: width of the positional convolution, in frames.
        position_groups: its groups.
        buckets: of the relative position bias, WavLM only.
        max_distance: in frames, likewise.
    """

    family: str
    conv_channels: tuple[int, ...]
    conv_widths: tuple[int, ...]
    conv_strides: tuple[int, ...]
    conv_bias: bool
    conv_norm: str
    project_norm: bool
    pre_norm: bool
    width: int
    inner: int
    heads: int
    num_blocks: int
    epsilon: float
    positions: int
    position_groups: int
    buckets: int = 0
    max_distance: int = 0

    def num_frames(self, num_samples: int) -> int:
        """Frames of so many samples: 49 of a second in the published models, whose hop is 320 samples.

        >>> config(EXAMPLE).num_frames(16_000)
        49
        """
        for width, stride in zip(self.conv_widths, self.conv_strides, strict=True):
            num_samples = max(0, (num_samples - width) // stride + 1)
        return num_samples

    @property
    def hop_samples(self) -> int:
        """Samples between two frames."""
        hop = 1
        for stride in self.conv_strides:
            hop *= stride
        return hop

    @property
    def window_samples(self) -> int:
        """Samples that one frame sees of the waveform, and the fewest that make one: 400 in the published models."""
        samples = 1
        for width, stride in zip(reversed(self.conv_widths), reversed(self.conv_strides), strict=True):
            samples = (samples - 1) * stride + width
        return samples


def _whole(value: object) -> bool:
    return type(value) is int and 0 < value < 2**31


def _wholes(value: object) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 64 and all(map(_whole, value))


FAMILIES = ("wav2vec2", "hubert", "wavlm")
# Our name: theirs, the rule in words and as a test, and what a file of before the setting existed means.
_REQUIRED = object()
_WHOLE = ("a positive whole number", _whole)
_WHOLES = ("a list of positive whole numbers", _wholes)
_FLAG = ("true or false", lambda value: isinstance(value, bool))
FIELDS: dict[str, tuple[str, tuple[str, Callable[[Any], bool]], object]] = {
    "family": ("model_type", (", ".join(FAMILIES), lambda value: value in FAMILIES), _REQUIRED),
    "conv_channels": ("conv_dim", _WHOLES, _REQUIRED),
    "conv_widths": ("conv_kernel", _WHOLES, _REQUIRED),
    "conv_strides": ("conv_stride", _WHOLES, _REQUIRED),
    "conv_bias": ("conv_bias", _FLAG, _REQUIRED),
    "conv_norm": ("feat_extract_norm", ('"group" or "layer"', lambda v: v in ("group", "layer")), _REQUIRED),
    "project_norm": ("feat_proj_layer_norm", _FLAG, True),
    "pre_norm": ("do_stable_layer_norm", _FLAG, _REQUIRED),
    "width": ("hidden_size", _WHOLE, _REQUIRED),
    "inner": ("intermediate_size", _WHOLE, _REQUIRED),
    "heads": ("num_attention_heads", _WHOLE, _REQUIRED),
    "num_blocks": ("num_hidden_layers", _WHOLE, _REQUIRED),
    "epsilon": ("layer_norm_eps", ("a small positive number", lambda v: type(v) is float and 0 < v < 1), 1e-5),
    "positions": ("num_conv_pos_embeddings", _WHOLE, _REQUIRED),
    "position_groups": ("num_conv_pos_embedding_groups", _WHOLE, _REQUIRED),
}
WAVLM_FIELDS = {
    "buckets": ("num_buckets", _WHOLE, _REQUIRED),
    "max_distance": ("max_bucket_distance", _WHOLE, _REQUIRED),
}
# What must hold between them, in this order.
TOGETHER: dict[str, Callable[[Config], bool]] = {
    "conv_dim, conv_kernel and conv_stride must be equally long": lambda c: (
        len(c.conv_channels) == len(c.conv_widths) == len(c.conv_strides)
    ),
    "a frame must be made of at most ten seconds": lambda c: c.window_samples <= 160_000,
    "hidden_size must be a multiple of num_attention_heads": lambda c: c.width % c.heads == 0,
    "hidden_size must be a multiple of num_conv_pos_embedding_groups": lambda c: c.width % c.position_groups == 0,
    "num_buckets must be a multiple of 4": lambda c: c.buckets % 4 == 0,
    "max_bucket_distance must exceed num_buckets / 4": lambda c: c.family != "wavlm" or c.max_distance > c.buckets / 4,
}
# What would change the numbers and is not computed here, with the one value that leaves them alone. Masks of time and
# features (mask_time_prob, ...), dropout and layer drop are of training only.
ONLY: dict[str, object] = {
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "add_adapter": False,
    "adapter_attn_dim": None,
    "conv_pos_batch_norm": False,
}
EXAMPLE = {
    "model_type": "wav2vec2",
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": False,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": False,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}


def config(content: dict[str, Any], where: object = "config.json") -> Config:
    """Read and check `config.json`.

    Raises:
        ModelError: if a setting is missing, out of range, or one that is not computed here.

    >>> config(EXAMPLE).window_samples, config(EXAMPLE).hop_samples
    (400, 320)
    """
    for name, value in ONLY.items():
        if content.get(name, value) != value:
            raise ModelError(
                f"{name} of {where} must be {value!r}, got {content[name]!r}: no other is computed here. "
                "Take a checkpoint without it."
            )
    fields = FIELDS | (WAVLM_FIELDS if content.get("model_type") == "wavlm" else {})
    values: dict[str, Any] = {}
    for ours, (theirs, (rule, sound), default) in fields.items():
        value = content.get(theirs, default)
        if value is _REQUIRED or not sound(value):
            got = "none" if value is _REQUIRED else repr(value)[:80]
            raise ModelError(f"{theirs} of {where} must be {rule}, got {got}. Copy or download it again.")
        values[ours] = tuple(value) if isinstance(value, list) else value
    made = Config(**values)
    for rule, holds in TOGETHER.items():
        if not holds(made):
            raise ModelError(f"{rule}, {where} describes {made}. Copy or download it again.")
    return made


def outer_shapes(c: Config) -> Shapes:
    """The tensors outside the blocks, as PyTorch holds them; of the positional convolution only the bias."""
    shapes: Shapes = {}
    channels = 1
    for index, (out, width) in enumerate(zip(c.conv_channels, c.conv_widths, strict=True)):
        name = f"feature_extractor.conv_layers.{index}"
        shapes[f"{name}.conv.weight"] = (out, channels, width)
        if c.conv_bias:
            shapes[f"{name}.conv.bias"] = (out,)
        if c.conv_norm == "layer" or index == 0:
            shapes |= _pair(f"{name}.layer_norm", out)
        channels = out
    if c.project_norm:
        shapes |= _pair("feature_projection.layer_norm", channels)
    shapes |= _pair("feature_projection.projection", c.width, channels)
    shapes |= {"encoder.pos_conv_embed.conv.bias": (c.width,)} | _pair("encoder.layer_norm", c.width)
    if c.family == "wavlm":
        shapes["encoder.layers.0.attention.rel_attn_embed.weight"] = (c.buckets, c.heads)
    return shapes


def position_shapes(c: Config) -> tuple[Shapes, ...]:
    """The positional convolution's gain and direction, by their older and newer names: it is weight-normed.

    Salimans & Kingma 2016, arXiv:1602.07868, over all but the tap (`torch.nn.utils.weight_norm(dim=2)`).
    """
    gain, direction = (1, 1, c.positions), (c.width, c.width // c.position_groups, c.positions)
    conv = "encoder.pos_conv_embed.conv"
    return (
        {f"{conv}.weight_g": gain, f"{conv}.weight_v": direction},
        {f"{conv}.parametrizations.weight.original{i}": shape for i, shape in enumerate((gain, direction))},
    )


def block_shapes(c: Config) -> Shapes:
    """The tensors of one block, without `encoder.layers.N.`."""
    shapes = _pair("layer_norm", c.width) | _pair("final_layer_norm", c.width)
    for name in "qkv":
        shapes |= _pair(f"attention.{name}_proj", c.width, c.width)
    shapes |= _pair("attention.out_proj", c.width, c.width)
    shapes |= _pair("feed_forward.intermediate_dense", c.inner, c.width)
    shapes |= _pair("feed_forward.output_dense", c.width, c.inner)
    if c.family == "wavlm":
        shapes |= _pair("attention.gru_rel_pos_linear", 8, c.width // c.heads)
        shapes["attention.gru_rel_pos_const"] = (1, c.heads, 1, 1)
    return shapes


def _pair(name: str, out: int, *inputs: int) -> Shapes:
    return {f"{name}.weight": (out, *inputs), f"{name}.bias": (out,)}
