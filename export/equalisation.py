"""Channels brought to like ranges before eight bits share one range.

relu(x / s) = relu(x) / s for s > 0: what a convolution gives a channel can be divided by a factor, if the next
multiplies what it takes from this channel by the same. The network computes what it did, and a few loud channels no
longer leave the others two or three bits. Nagel et al. 2019, arXiv:1906.04721, section 4.1; ranges of activations are
measured here.
"""

import copy
import importlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from export.flatbuffer import operators, pack, unpack
from export.quantization import rounded
from trill import runtime

# Where the channels are in a filter: those it gives, those it takes.
AXES = {"CONV_2D": (0, 3), "DEPTHWISE_CONV_2D": (3, 3)}
SCALABLE = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)
# A depthwise filter has a scale of its own for each channel and bears any factor. The ranges made all the same were
# worse than this on unlike sound; any other filter shares the range with its tensor: docs/decisions/quantization.md.
POWER = 0.75
LEAST = 1e-6  # of the largest: below it a channel is silent, or not listened to


class Pair(NamedTuple):
    """Two convolutions, and the tensor that goes from the one to the other and nowhere else."""

    first: Any
    then: Any
    tensor: int


def equalise(flatbuffer: bytes, inputs: Sequence[np.ndarray]) -> bytes:
    """Bring the channels between convolutions to like ranges.

    Args:
        flatbuffer: a float32 model of one input.
        inputs: what it may be given, whose ranges count.

    Returns:
        A model that computes the same but for rounding.
    """
    model = unpack(flatbuffer)
    pairs = list(_pairs(model))
    loudest = _loudest(flatbuffer, [pair.tensor for pair in pairs], inputs)
    for pair, channels in zip(pairs, loudest, strict=True):
        _scale(model, pair, channels)
    return pack(model)


def _pairs(model: schema.ModelT) -> Iterator[Pair]:
    """In the order in which they are computed."""
    graph, names = model.subgraphs[0], operators(model)
    uses = Counter(index for operator in graph.operators for index in operator.inputs) + Counter(graph.outputs)
    takers = {operator.inputs[0]: operator for operator in graph.operators if names[operator.opcodeIndex] in AXES}
    for first in graph.operators:
        (tensor, *others), name = first.outputs, names[first.opcodeIndex]
        then = takers.get(tensor)
        if (
            name in AXES
            and then is not None
            and not others
            and first.builtinOptions.fusedActivationFunction in SCALABLE
            and uses[tensor] == 1
            and graph.tensors[then.inputs[1]].shape[3] == graph.tensors[tensor].shape[3]  # none is doubled or grouped
        ):
            yield Pair(first, then, tensor)


def _loudest(flatbuffer: bytes, tensors: Sequence[int], inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The largest magnitude of each channel of each tensor."""
    make = runtime.interpreter_class()
    plain = importlib.import_module(make.__module__).OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    model = make(
        model_content=flatbuffer,
        num_threads=1,
        experimental_preserve_all_tensors=True,  # which delegates do not
        experimental_op_resolver_type=plain,
    )
    (taken,) = model.get_input_details()
    found: list[Any] = [0.0] * len(tensors)
    for given in inputs:
        model.resize_tensor_input(taken["index"], given.shape)  # where it takes any number
        model.allocate_tensors()
        model.set_tensor(taken["index"], given)
        model.invoke()
        for place, index in enumerate(tensors):
            found[place] = np.maximum(found[place], np.abs(model.get_tensor(index)).max(axis=(0, 1, 2)))
    return [rounded(channels) for channels in found]


def _scale(model: schema.ModelT, pair: Pair, loudest: np.ndarray) -> None:
    """Divide what goes through the tensor by a factor a channel, in place."""
    names = operators(model)
    gives, takes = AXES[names[pair.first.opcodeIndex]][0], AXES[names[pair.then.opcodeIndex]][1]
    after = _constant(model, pair.then, 1)
    weighed = np.abs(after).max(axis=tuple({0, 1, 2, 3} - {takes}))
    heard = (loudest > LEAST * loudest.max()) & (weighed > LEAST * weighed.max())
    if not heard.any():
        return
    depthwise = names[pair.then.opcodeIndex] == "DEPTHWISE_CONV_2D"
    factors = loudest[heard] ** POWER if depthwise else np.sqrt(loudest[heard] / weighed[heard])
    by_channel = np.ones_like(loudest)
    by_channel[heard] = factors / np.exp(np.log(factors).mean())
    # What is not listened to may be as quiet as one likes.
    by_channel[~heard] = np.maximum(1, loudest[~heard] / max(loudest[heard] / by_channel[heard]))
    before = _constant(model, pair.first, 1)
    before /= np.expand_dims(by_channel, tuple({0, 1, 2, 3} - {gives}))
    if len(pair.first.inputs) > 2 and pair.first.inputs[2] >= 0:
        bias = _constant(model, pair.first, 2)
        bias /= by_channel
    after *= np.expand_dims(by_channel, tuple({0, 1, 2, 3} - {takes}))


def _constant(model: schema.ModelT, operator: Any, number: int) -> np.ndarray:
    """An input of an operator that can be written to, its own from now on: equal constants are stored once."""
    graph, index = model.subgraphs[0], operator.inputs[number]
    tensor = copy.copy(graph.tensors[index])
    buffer = schema.BufferT()
    buffer.data = np.array(model.buffers[tensor.buffer].data, np.uint8)
    if sum(index in other.inputs for other in graph.operators) > 1:
        tensor.name += b"/%d" % len(graph.tensors)  # quantizers go by names
        operator.inputs = np.array(operator.inputs)
        operator.inputs[number] = len(graph.tensors)
        graph.tensors.append(tensor)
    else:
        graph.tensors[index] = tensor
    if sum(tensor.buffer == other.buffer for other in graph.tensors) > 1:
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    else:
        model.buffers[tensor.buffer] = buffer
    return buffer.data.view(np.float32).reshape(tensor.shape)
