"""How much arithmetic a network asks for."""

import math

import keras

# Kernels of these are (..., inputs of one group, outputs), and each entry is used once at every output position.
COUNTED = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
# Elementwise: folded into a convolution before they reach a phone.
FREE = (keras.layers.BatchNormalization,)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of convolutions and dense layers for one window.

    Additions of biases, activations, pooling and the front end are not counted, as usual in the literature.

    Args:
        model: a Keras model with static shapes; models inside it are counted too.

    Raises:
        ValueError: if it has a layer with weights of a kind that this function cannot count.

    >>> from trill.networks.mobilenet import mobilenet
    >>> multiply_adds(mobilenet())
    59111424
    """
    return sum(_of_layer(layer) for layer in model.layers)


def _of_layer(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer)
    if isinstance(layer, COUNTED):
        positions = layer.output.shape[1:-1]
        return math.prod(layer.kernel.shape) * math.prod(positions)
    if layer.weights and not isinstance(layer, FREE):
        raise ValueError(
            f"multiply-adds are counted for convolutions and dense layers, got {type(layer).__name__} {layer.name!r}. "
            "Add it to trill.networks.counting."
        )
    return 0
