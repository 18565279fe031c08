"""A `.tflite` as an object and back."""

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def unpack(flatbuffer: bytes) -> schema.ModelT:
    """The model, with the data of every tensor inside."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for buffer in model.buffers:
        if buffer.offset:  # the quantizer keeps data behind the flatbuffer, where it would be lost
            buffer.data = np.frombuffer(flatbuffer, np.uint8, count=buffer.size, offset=buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack(model: schema.ModelT) -> bytes:
    """The inverse of `unpack`."""
    builder = _AlignedBuilder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _AlignedBuilder(flatbuffers.Builder):
    """Data of tensors begins at multiples of 16 bytes, as TFLite's schema asks; Python's generated code forgets it."""

    def StartVector(self, item_size: int, count: int, alignment: int) -> int:  # noqa: N802
        return int(super().StartVector(item_size, count, 16 if item_size == 1 else alignment))


def joined(model: schema.ModelT, other: schema.ModelT) -> schema.ModelT:
    """`model` with the subgraphs and signatures of `other` behind its own; changes both, loses metadata of `other`."""
    codes, buffers, graphs = len(model.operatorCodes), len(model.buffers), len(model.subgraphs)
    for graph in other.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer += buffers
        for operator in graph.operators:
            operator.opcodeIndex += codes
            if isinstance(operator.builtinOptions, schema.CallOnceOptionsT):  # which makes the variables
                operator.builtinOptions.initSubgraphIndex += graphs
    for signature in other.signatureDefs:
        signature.subgraphIndex += graphs
    for part in ("operatorCodes", "buffers", "subgraphs", "signatureDefs"):
        setattr(model, part, [*getattr(model, part), *getattr(other, part)])
    return model


def operators(model: schema.ModelT) -> list[str]:
    """The name of each operator code."""
    return [OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
