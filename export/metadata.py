"""TFLite's own metadata inside the flatbuffer, which Android Studio, Netron and TFLite Support read.

The schema is github.com/tensorflow/tflite-support, metadata_schema.fbs: four of its tables, written slot by slot since
its package cannot be installed beside TensorFlow 2.21.
"""

from collections.abc import Sequence

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from export.flatbuffer import pack, unpack
from trill.modelfile import ModelCard

NAME = b"TFLITE_METADATA"
PARSER_VERSION = "1.0.0"  # of the schema: all it takes for these tables


def with_metadata(flatbuffer: bytes, card: ModelCard) -> bytes:
    """The same model, carrying name, description, version, licence and its tensors' names in TFLite's form."""
    model = unpack(flatbuffer)
    signature = model.signatureDefs[0]  # a file that learns has others, too; the first embeds
    graph = model.subgraphs[signature.subgraphIndex]
    # Beside an output that stays float, the quantizer forgets to tell the signature where another now is.
    moved = {graph.tensors[index].name.removesuffix(b"_dequant"): index for index in graph.outputs}
    for tensor in signature.outputs:
        tensor.tensorIndex = moved.get(graph.tensors[tensor.tensorIndex].name, tensor.tensorIndex)
    # The signature names tensors; metadata lists them in the subgraph's order.
    names = {tensor.tensorIndex: tensor.name.decode() for tensor in [*signature.inputs, *signature.outputs]}
    takes = f"{card.input}, {card.sample_rate} Hz mono, {card.window_samples} samples a window"
    inputs = [(names[index], takes) for index in graph.inputs]
    outputs = [(names[index], "one row a window") for index in graph.outputs]
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(model_metadata(card, inputs, outputs), np.uint8)
    entry.name, entry.buffer = NAME, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return pack(model)


def model_metadata(card: ModelCard, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]]) -> bytes:
    """A `ModelMetadata` flatbuffer: (name, description) of each tensor."""
    builder = flatbuffers.Builder(1024)

    def text(value: str) -> int:
        return builder.CreateString(value)

    def table(*fields: int | None) -> int:
        """A table whose slots hold offsets, or nothing."""
        builder.StartObject(len(fields))
        for slot, offset in enumerate(fields):
            if offset is not None:
                builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        return builder.EndObject()

    def vector(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def tensors(described: Sequence[tuple[str, str]]) -> int:
        return vector([table(text(name), text(description)) for name, description in described])

    # name, description, input_tensor_metadata, output_tensor_metadata
    graph = table(text("main"), None, tensors(inputs), tensors(outputs))
    # name, description, version, subgraph_metadata, author, license, associated_files, min_parser_version
    subgraphs = vector([graph])
    model = table(
        text(card.name), text(card.description), text(card.version), subgraphs, None, text(card.licence), None,
        text(PARSER_VERSION),
    )  # fmt: skip
    builder.Finish(model, file_identifier=b"M001")
    return bytes(builder.Output())
