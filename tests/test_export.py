"""An exported file is its network, needs nothing but built-in operators, and is not written otherwise."""

import dataclasses

import keras
import numpy as np
import pytest
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

import trill
from export import tflite
from export.tflite import QUANTIZATIONS, convert_network, export_network
from export.verification import probes, verify
from tests.sounds import noise
from trill import modelfile
from trill.errors import ModelError
from trill.networks.keras_model import card_of
from trill.networks.saving import build

OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


@pytest.fixture(scope="module", params=QUANTIZATIONS)
def exported(request, tiny, tmp_path_factory):
    """A file of each quantization, and its card."""
    path = tmp_path_factory.mktemp("export") / f"{request.param}.tflite"
    return path, export_network(tiny.network, tiny.config, path, request.param)


@pytest.fixture(scope="module")
def other(tiny):
    """The same network with other weights."""
    keras.utils.set_random_seed(1)
    return build(tiny.config)


def graph(path):
    model = flatbuffer_utils.convert_bytearray_to_object(modelfile.read(path)[0])
    (subgraph,) = model.subgraphs
    return model, subgraph


def test_the_card_is_the_networks(tiny, exported):
    path, card = exported
    assert modelfile.read(path)[1] == card
    assert card.quantization == path.stem
    assert dataclasses.replace(card, quantization="float32", sha256="") == card_of(tiny.network, tiny.config)
    assert card.taps == {"embedding": (51,), "final": (6, 4, 51), "block5": (12, 8, 25)}


def test_file_and_network_agree(tiny, exported):
    path, card = exported
    windows = noise((4, 15_600), level=0.3).astype(np.float32)
    bound = {"float32": 1e-4, "float16": 1e-2}[card.quantization]
    for tap, output in tiny.network(windows, training=False).items():
        expected = keras.ops.convert_to_numpy(output).reshape(4, -1)
        found = trill.load(path, tap=tap).model.run(windows, tap)
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound * np.abs(expected).max(), err_msg=tap)


def test_built_in_operators_only(exported):
    model, _ = graph(exported[0])
    names = {OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes}
    assert names >= {"RFFT2D", "CONV_2D", "DEPTHWISE_CONV_2D"}
    assert not names & {"CUSTOM", "READ_VARIABLE", "VAR_HANDLE", "CALL_ONCE"}


def test_a_window_is_96_frames_of_64_bands(exported):
    _, subgraph = graph(exported[0])
    assert [list(subgraph.tensors[index].shape) for index in subgraph.inputs] == [[1, 15_600]]
    assert [1, 96, 64] in [list(tensor.shape) for tensor in subgraph.tensors]


def test_float16_halves_the_encoder_and_spares_the_front_end(tiny, exported):
    path, card = exported
    _, subgraph = graph(path)
    halves = {
        tensor.type == schema.TensorType.FLOAT16 for tensor in subgraph.tensors if list(tensor.shape) == [64, 257]
    }
    assert halves == {False}, "the mel matrix"
    encoder = 4 * tiny.network.count_params()
    assert (path.stat().st_size < tiny.tflite.stat().st_size - 0.4 * encoder) == (card.quantization == "float16")


def test_same_network_same_bytes(tiny, tmp_path):
    export_network(tiny.network, tiny.config, tmp_path / "again.tflite")
    assert (tmp_path / "again.tflite").read_bytes() == tiny.tflite.read_bytes()


def test_an_unknown_quantization(tiny):
    with pytest.raises(ValueError, match=r"quantization must be one of float32, float16, got 'int4'\."):
        convert_network(tiny.network, "int4")


def test_another_backend(tiny, monkeypatch):
    monkeypatch.setattr(tflite.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"needs the TensorFlow backend, got jax\. Save .*KERAS_BACKEND=tensorflow"):
        convert_network(tiny.network)


def test_probes_are_sound():
    for name, waveform in probes(15_600, 16_000).items():
        assert waveform.dtype == np.float32, name
        assert np.abs(waveform).max() <= 1, name
        np.testing.assert_array_equal(waveform, probes(15_600, 16_000)[name])


def test_verification_measures_each_tap(tiny):
    flatbuffer, card = modelfile.read(tiny.tflite)
    largest = verify(flatbuffer, tiny.network, card, 2e-4)
    assert largest.keys() == card.taps.keys()
    assert all(0 < error <= 2e-4 for error in largest.values())


def test_verification_sees_a_change_of_length(tiny):
    """Which a cosine would not."""
    flatbuffer, card = modelfile.read(tiny.tflite)
    louder = keras.Model(tiny.network.input, {tap: 1.01 * output for tap, output in tiny.network.output.items()})
    with pytest.raises(ModelError, match=r"agree .* to 0\.0002 of its length, got 0\.0099 at tap"):
        verify(flatbuffer, louder, card, 2e-4)


@pytest.mark.parametrize("existing", [None, b"an older file"])
def test_a_conversion_that_went_wrong_is_not_written(tiny, other, tmp_path, monkeypatch, existing):
    """As when the converter writes an uninitialised file without a word."""
    path = tmp_path / "model.tflite"
    if existing:
        path.write_bytes(existing)
    monkeypatch.setattr(tflite, "convert_network", lambda *_: modelfile.read(tiny.tflite)[0])
    with pytest.raises(
        ModelError, match=r"must agree with its network to 0\.0002 of its length, got .* at tap '.*' on .*"
    ):
        export_network(other, tiny.config, path)
    assert [(file, file.read_bytes()) for file in tmp_path.iterdir()] == [(path, existing)] * bool(existing)


def test_a_network_of_nan_is_not_written(tiny, tmp_path):
    network = build(tiny.config)
    network.weights[0].assign(np.full(network.weights[0].shape, np.nan))
    with pytest.raises(ModelError, match=r"must agree with its network .* got nan"):
        export_network(network, tiny.config, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())
