"""TFLite's metadata as a reader of its schema finds it, slot by slot."""

import flatbuffers
import pytest
from tensorflow.lite.python import schema_py_generated as schema

from export.tflite import convert_network, export_network
from trill import modelfile
from trill.networks.saving import NetworkConfig, build


class Table:
    """A flatbuffer table read by slot, as generated code does it."""

    def __init__(self, buffer, position):
        self.table = flatbuffers.table.Table(buffer, position)

    def at(self, slot):
        return self.table.Offset(4 + 2 * slot)

    def text(self, slot):
        return self.table.String(self.at(slot) + self.table.Pos).decode() if self.at(slot) else None

    def tables(self, slot):
        start, count = self.table.Vector(self.at(slot)), self.table.VectorLen(self.at(slot))
        return [Table(self.table.Bytes, self.table.Indirect(start + 4 * index)) for index in range(count)]


@pytest.fixture(params=["float32", "float16", "int8"])
def written(request, export):
    path, card = export(request.param)
    model = schema.Model.GetRootAs(modelfile.read(path)[0])
    names = {model.Metadata(index).Name(): model.Metadata(index).Buffer() for index in range(model.MetadataLength())}
    return card, model, bytearray(model.Buffers(names[b"TFLITE_METADATA"]).DataAsNumpy())


def test_others_read_what_the_model_is(written):
    card, _, data = written
    assert data[4:8] == b"M001"
    root = Table(data, int.from_bytes(data[:4], "little"))
    assert [root.text(slot) for slot in (0, 1, 2, 5)] == [card.name, card.description, card.version, card.licence]
    assert root.text(4) is None, "no author"
    assert root.text(7) == "1.0.0"


def test_tensors_are_named_in_the_subgraphs_order(written):
    card, model, data = written
    (graph,) = Table(data, int.from_bytes(data[:4], "little")).tables(3)
    signature = model.SignatureDefs(0)
    tensors = {signature.Outputs(i).TensorIndex(): signature.Outputs(i).Name().decode() for i in range(3)}
    outputs = [tensors[index] for index in model.Subgraphs(0).OutputsAsNumpy()]
    assert [tensor.text(0) for tensor in graph.tables(3)] == outputs
    assert set(outputs) == set(card.taps)
    (tensor,) = graph.tables(2)
    assert tensor.text(0) == "waveform"
    assert tensor.text(1) == "waveform, 16000 Hz mono, 15600 samples a window"


def test_data_behind_the_flatbuffer_is_taken_in(tmp_path):
    """Where the quantizer puts it, in larger models."""
    config = NetworkConfig("mobilenet", {"width": 0.25}, name="larger")
    network = build(config)
    quantized = schema.Model.GetRootAs(convert_network(network, "float16"))
    assert any(quantized.Buffers(index).Offset() for index in range(quantized.BuffersLength()))
    export_network(network, config, tmp_path / "model.tflite", "float16")
    written = schema.Model.GetRootAs(modelfile.read(tmp_path / "model.tflite")[0])
    assert not any(written.Buffers(index).Offset() for index in range(written.BuffersLength()))
