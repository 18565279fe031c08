"""From a Keras network to one `.tflite` that takes raw waveform and needs built-in operators only."""

import contextlib
import dataclasses
import io
import os

import keras
import tensorflow as tf

from export.verification import verify
from trill import modelfile
from trill.modelfile import ModelCard
from trill.networks.keras_model import card_of
from trill.networks.saving import NetworkConfig


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How weights are stored, and how far the file's embeddings may turn from the network's.

    Args:
        cast: operators whose weights become float16. Never those of the front end: its window and mel matrix in
            float16 leak enough to turn an embedding of a sweep by 6 degrees.
        max_error: of the file against the network on any probe of `export.verification`.
    """

    cast: tuple[str, ...]
    max_error: float


QUANTIZATIONS = {
    "float32": Quantization((), 2e-4),
    "float16": Quantization(("CONV_2D", "DEPTHWISE_CONV_2D"), 5e-3),
}


def convert_network(network: keras.Model, quantization: str = "float32") -> bytes:
    """Convert a network of fixed input shape, one row at a time.

    Args:
        network: one input `(batch, n)` to a dict of taps.
        quantization: a row of `QUANTIZATIONS`.

    Returns:
        A flatbuffer with one signature, inputs and outputs named as the network's.

    Raises:
        ValueError: if `quantization` is no row, or the network is not on the TensorFlow backend.
    """
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"quantization must be one of {', '.join(QUANTIZATIONS)}, got {quantization!r}.")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"export needs the TensorFlow backend, got {keras.backend.backend()}. "
            "Save the network, then load and export it with KERAS_BACKEND=tensorflow."
        )
    (waveform,) = network.inputs
    specification = tf.TensorSpec((1, *waveform.shape[1:]), tf.float32, name=waveform.name)
    function = tf.function(lambda x: network(x, training=False), input_signature=[specification])
    # The converter takes the weights of a module that holds plain variables; handed the Keras model itself it
    # writes an uninitialised file without a word.
    holder = tf.Module()
    holder.variables_of_network = [weight.value for weight in network.weights]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], holder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    flatbuffer: bytes = converter.convert()
    cast = QUANTIZATIONS[quantization].cast
    return cast_to_float16(flatbuffer, cast) if cast else flatbuffer


def cast_to_float16(flatbuffer: bytes, operators: tuple[str, ...]) -> bytes:
    """Store the weights of some operators as float16; they are computed in float32."""
    from ai_edge_quantizer import qtyping, quantizer

    weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
    )
    recipe = quantizer.Quantizer(flatbuffer)
    for operator in operators:
        recipe.update_quantization_recipe(".*", qtyping.TFLOperationName(operator), config, "float_casting")
    with contextlib.redirect_stdout(io.StringIO()):  # it reports sizes
        return bytes(recipe.quantize().quantized_model)


def export_network(
    network: keras.Model, config: NetworkConfig, path: str | os.PathLike[str], quantization: str = "float32"
) -> ModelCard:
    """Convert, compare with the network, and only then write the model file.

    Args:
        network: of `trill.networks.saving.build(config)`, with its weights.
        config: what it is.
        path: of the `.tflite` to write.
        quantization: a row of `QUANTIZATIONS`.

    Returns:
        The card as written, with quantization and hash.

    Raises:
        ModelError: if the file's embeddings differ from the network's; nothing is written.
    """
    flatbuffer = convert_network(network, quantization)
    card = card_of(network, config)
    verify(flatbuffer, network, card, QUANTIZATIONS[quantization].max_error)
    return modelfile.write(path, flatbuffer, dataclasses.replace(card, quantization=quantization))
