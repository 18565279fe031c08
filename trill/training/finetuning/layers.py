"""Which layers of an encoder are trained, at what share of the rate, and where what stays as it is ends."""

import dataclasses
import re
from typing import Any

import keras

GROUP = re.compile(r"stage\d+_block\d+|[a-z]+\d*")  # `block7`, `stage3_block2`, `stem`, `bottleneck`: names' beginnings


@dataclasses.dataclass(frozen=True)
class Parts:
    """A network in two: what stays as it is, and what is trained.

    Args:
        lower: waveform `(batch, window_samples)` to features, frozen.
        upper: features to the embedding, with every layer that is trained.
        depths: groups of layers that are trained, the topmost 0.
    """

    lower: keras.Model
    upper: keras.Model
    depths: dict[str, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the features of one window."""
        return tuple(self.upper.input.shape[1:])

    def depth(self, variable: Any) -> int:
        """How many trained groups lie above the layer of this variable."""
        return self.depths.get(group_of(variable.path.partition("/")[0]), 0)


def group_of(layer: str) -> str:
    """The block that a layer belongs to.

    >>> [group_of(name) for name in ("block7_pointwise_norm", "stage3_block2_conv", "stem_relu")]
    ['block7', 'stage3_block2', 'stem']
    """
    match = GROUP.match(layer)
    return match.group() if match else layer


def divide(network: keras.Model, unfreeze: str) -> Parts:
    """Freeze what is not to be trained, in place, and cut the network above as much of that as can be.

    Args:
        network: of `trill.networks.saving`.
        unfreeze: "all"; a number of blocks, counted from the top, as far as there are; or names of blocks, as
            `block10,block11`.

    Raises:
        ValueError: if a block is unknown.
    """
    frontend, encoder = network.get_layer("frontend"), network.layers[-1]
    groups = list(dict.fromkeys(group_of(layer.name) for layer in encoder.layers if layer.weights))
    chosen = _chosen(groups, unfreeze)
    for layer in encoder.layers:
        layer.trainable = group_of(layer.name) in chosen
    depths = {group: depth for depth, group in enumerate(reversed([group for group in groups if group in chosen]))}
    # The highest place through which all passes and below which all is frozen; the input is one.
    first = next((place for place, layer in enumerate(encoder.layers) if layer.trainable_variables), None)
    place, upper = next(
        (layer.output, upper)
        for layer in reversed(encoder.layers[:first])
        if (upper := _above(layer.output, encoder)) is not None
    )
    waveform = keras.Input(network.input.shape[1:], name="waveform")
    below = keras.Model(encoder.input, place)
    return Parts(keras.Model(waveform, below(frontend(waveform))), upper, depths)


def _chosen(groups: list[str], unfreeze: str) -> list[str]:
    if unfreeze == "all":
        return groups
    if unfreeze.isdigit():
        return groups[max(0, len(groups) - int(unfreeze)) :]
    names = unfreeze.split(",")
    if unknown := [name for name in names if name not in groups]:
        raise ValueError(
            f"unfreeze must be all, a number of blocks from the top, or some of {', '.join(groups)}, "
            f"got {unknown[0]!r}."
        )
    return names


def _above(place: Any, encoder: keras.Model) -> keras.Model | None:
    """The encoder from a tensor on, where that is all it needs and every trained layer lies above; else None."""
    if not isinstance(place, keras.KerasTensor) or place is encoder.output["embedding"]:
        return None
    try:
        upper = keras.Model(place, encoder.output["embedding"])
    except ValueError:  # something passes by this place
        return None
    trained = {id(variable) for layer in encoder.layers for variable in layer.trainable_variables}
    return upper if trained <= {id(variable) for variable in upper.trainable_variables} else None
