"""An exported file is its network, needs nothing but built-in operators, and is not written otherwise."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

import trill
from export import tflite
from export.flatbuffer import operators, unpack
from export.tflite import QUANTIZATIONS, Form, convert_network, export_network
from export.verification import interpreters, run
from tests.sounds import noise
from trill import files, modelfile, windows
from trill.errors import ModelError
from trill.networks.keras_model import card_of
from trill.networks.saving import NetworkConfig, build

FLOAT_IO = [name for name, mode in QUANTIZATIONS.items() if not mode.integer_io]
LITERT = interpreters()["LiteRT"]


@pytest.fixture(scope="module", params=FLOAT_IO)
def exported(request, export):
    """A file of each quantization, and its card."""
    return export(request.param)


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
    assert (card.input, card.dynamic) == ("waveform", False)
    assert card.source_sha256 == files.sha256(tiny.safetensors)
    assert card.interpreters == ("LiteRT", "tf.lite", "TFLite 2.16.1")
    assert set(card.verification) == {f"{tap}, {kind}" for tap in card.taps for kind in ("speech", "test sounds")}
    ours = dict.fromkeys(("source_sha256", "sha256"), "") | {"interpreters": (), "verification": {}}
    assert dataclasses.replace(card, quantization="float32", **ours) == card_of(tiny.network, tiny.config)
    assert card.taps == {"embedding": (51,), "final": (6, 4, 51), "block5": (12, 8, 25)}


def test_file_and_network_agree(tiny, exported):
    path, card = exported
    given = noise((4, 15_600), level=0.3).astype(np.float32)
    bound = QUANTIZATIONS[card.quantization].max_error_elsewhere
    for tap, output in tiny.network(given, training=False).items():
        expected = keras.ops.convert_to_numpy(output).reshape(4, -1)
        found = trill.load(path, tap=tap).model.run(given, tap)
        errors = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
        assert errors.max() < bound, tap


def test_built_in_operators_only(exported):
    names = {*operators(unpack(modelfile.read(exported[0])[0]))}
    assert names >= {"LOG", "CONV_2D", "DEPTHWISE_CONV_2D"}
    assert not names & {"CUSTOM", "READ_VARIABLE", "VAR_HANDLE", "CALL_ONCE"}


def test_the_front_end_stays_float32(exported):
    """All operators before the logarithm, and their weights."""
    model, subgraph = graph(exported[0])
    codes = [model.operatorCodes[operator.opcodeIndex].builtinCode for operator in subgraph.operators]
    frontend = subgraph.operators[: codes.index(schema.BuiltinOperator.LOG) + 1]
    used = [subgraph.tensors[index] for operator in frontend for index in [*operator.inputs, *operator.outputs]]
    kinds = {schema.TensorType.FLOAT32, schema.TensorType.COMPLEX64, schema.TensorType.INT32, schema.TensorType.INT64}
    assert {tensor.type for tensor in used} <= kinds
    weights = [tensor for tensor in used if model.buffers[tensor.buffer].data is not None and len(tensor.shape) > 1]
    assert any(64 in tensor.shape for tensor in weights), "the mel matrix"


def test_tensors_begin_at_multiples_of_16_bytes(exported):
    """As TFLite's schema asks."""
    flatbuffer = modelfile.read(exported[0])[0]
    model = schema.Model.GetRootAs(flatbuffer)
    starts = []
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        assert buffer.Offset() == 0, "nothing lies behind the flatbuffer"
        if buffer.DataLength():
            starts.append(buffer._tab.Vector(buffer._tab.Offset(4)) % 16)
    assert len(starts) > 20
    assert set(starts) == {0}


def test_a_window_is_96_frames_of_64_bands(exported):
    _, subgraph = graph(exported[0])
    assert [list(subgraph.tensors[index].shape) for index in subgraph.inputs] == [[1, 15_600]]
    assert [1, 96, 64] in [list(tensor.shape) for tensor in subgraph.tensors]


def test_modes_are_as_small_as_they_claim(tiny, exported):
    path, card = exported
    encoder = 4 * tiny.network.count_params()
    saved = tiny.tflite.stat().st_size - path.stat().st_size
    # A tiny network's calibrated tensors weigh as much as what they save.
    claimed = {"float32": 0.0, "float16": 0.4, "int8": 0.35, "int16x8": 0.35}.get(card.quantization, 0.5)
    assert claimed * encoder <= saved < (claimed + 0.25) * encoder


def test_same_network_same_bytes(tiny, tmp_path):
    export_network(tiny.network, tiny.config, tmp_path / "again.tflite")
    assert (tmp_path / "again.tflite").read_bytes() == tiny.tflite.read_bytes()


def test_an_unknown_quantization(tiny):
    with pytest.raises(ValueError, match=r"quantization must be one of float32, float16, .*, got 'int4'\."):
        convert_network(tiny.network, "int4")


def test_another_backend(tiny, monkeypatch):
    monkeypatch.setattr(tflite.keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"needs the TensorFlow backend, got jax\. Save .*KERAS_BACKEND=tensorflow"):
        convert_network(tiny.network)


def test_a_file_of_uninitialised_weights_is_seen(tiny, monkeypatch):
    """What the converter makes, without a word, when it is handed the Keras model."""
    convert = tf.lite.TFLiteConverter.from_concrete_functions
    naive = lambda functions, _: convert(functions, tiny.network)  # noqa: E731
    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_concrete_functions", naive)
    with pytest.raises(
        ModelError, match=r"holds constants and built-in operators, the converter wrote .*READ_VARIABLE"
    ):
        convert_network(tiny.network)


def test_an_operator_that_is_not_built_in(tiny):
    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.math.betainc(tf.abs(x), tf.abs(x), 0.5 * tf.ones_like(x))

    encoder = tiny.network.layers[-1]
    log_mel = keras.Input((96, 64))
    odd = keras.Model(log_mel, {"embedding": Odd()(encoder(log_mel)["embedding"])})
    waveform = keras.Input((15_600,))
    network = keras.Model(waveform, odd(tiny.network.get_layer("frontend")(waveform)))
    with pytest.raises(
        ModelError, match=r"needs operators that TFLite has built in, got: tf\.Betainc.*Replace that layer"
    ):
        convert_network(network)


def resnetish(tmp_path, quantization="float32", **form):
    config = NetworkConfig("resnetish", {"width": 0.1, "normalize": True}, name="small")
    keras.utils.set_random_seed(0)
    network = build(config)
    card = export_network(network, config, tmp_path / "model.tflite", quantization, form=Form(**form))
    return network, card, tmp_path / "model.tflite"


def test_a_float_tap_beside_one_that_was_quantized(tmp_path):
    """Of which the quantizer does not tell the signature."""
    _, card, path = resnetish(tmp_path, "int8")
    for tap in card.taps:
        assert trill.load(path, tap=tap).embed(np.zeros(16_000), 16_000).shape == (math.prod(card.taps[tap]),)


def test_batch_norm_is_folded():
    network = build(NetworkConfig("mobilenet", {"width": 0.1, "batch_norm": True}))
    for weight in network.weights:
        if "moving" in weight.path:
            weight.assign(np.random.default_rng(0).uniform(0.5, 2, weight.shape))
    assert {*operators(unpack(convert_network(network, form=Form(frontend=False))))}.isdisjoint(
        {"MUL", "ADD", "SUB", "RSQRT"}
    )


def test_what_no_tap_needs_is_left_out(tmp_path):
    network, card, path = resnetish(tmp_path, taps=["layer19"])
    assert card.taps == {"layer19": (6, 4, 51)}
    assert trill.load(path, tap="layer19").embed(np.zeros(16_000), 16_000).shape == (6 * 4 * 51,)
    with pytest.raises(ValueError, match=r"tap must be one of layer19 .*, got 'embedding'"):
        trill.load(path, tap="embedding")
    assert len(modelfile.read(path)[0]) < 0.5 * 4 * network.count_params()


def test_an_unknown_tap(tmp_path):
    with pytest.raises(ValueError, match=r"taps must be some of embedding, layer19, got final\. None keeps all\."):
        resnetish(tmp_path, taps=["final"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quantization", ["float32", "int8", "int8-io"])
def test_without_the_front_end(tiny, tmp_path, quantization):
    path = tmp_path / "model.tflite"
    card = export_network(tiny.network, tiny.config, path, quantization, form=Form(frontend=False))
    assert card.input == "log-mel"
    flatbuffer, _ = modelfile.read(path)
    assert "RFFT2D" not in operators(unpack(flatbuffer))
    model = LITERT(model_content=flatbuffer)
    (detail,) = model.get_input_details()
    assert (detail["name"], detail["shape"].tolist()) == ("serving_default_log_mel:0", [1, 96, 64])
    kinds = {np.dtype(about["dtype"]).name for about in [detail, *model.get_output_details()]}
    assert kinds == {"int8" if quantization == "int8-io" else "float32"}
    with pytest.raises(ModelError, match=r"input must be one float32 waveform of shape \(1, 15600\)"):
        trill.load(path)


def test_int8_sound_is_refused(tiny):
    with pytest.raises(ValueError, match=r"int8-io stores its input in 8 bits.* without the front end"):
        convert_network(tiny.network, "int8-io")


def test_a_dynamic_file_takes_a_whole_clip(tiny, tmp_path):
    path = tmp_path / "model.tflite"
    card = export_network(tiny.network, tiny.config, path, "float16", form=Form(["embedding"], dynamic=True))
    assert card.dynamic
    clip = trill.audio.read(trill.example("anna_calm"))
    whole = 1 + (len(clip) - card.window_samples) // card.hop_samples
    frames = windows.frame(clip, card.window_samples, card.hop_samples)[:whole]
    found = run(modelfile.read(path)[0], clip[None], LITERT, ["embedding"])["embedding"].reshape(whole, -1)
    expected = tiny.network(frames, training=False)["embedding"].numpy()
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())
    with pytest.raises(ModelError, match="waveform of shape"):
        trill.load(path)


def test_a_dynamic_file_without_front_end_takes_many_windows(tiny):
    flatbuffer = convert_network(tiny.network, form=Form(["embedding"], frontend=False, dynamic=True))
    log_mel = noise((5, 96, 64)).astype(np.float32)
    found = LITERT(model_content=flatbuffer).get_signature_runner()(log_mel=log_mel)["embedding"]
    expected = tiny.network.layers[-1](log_mel, training=False)["embedding"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("existing", [None, b"an older file"])
def test_a_conversion_that_went_wrong_is_not_written(tiny, other, tmp_path, monkeypatch, existing):
    """As when the converter writes an uninitialised file without a word."""
    path = tmp_path / "model.tflite"
    if existing:
        path.write_bytes(existing)
    wrong = convert_network(tiny.network)
    monkeypatch.setattr(tflite, "convert_network", lambda *_, **__: wrong)
    with pytest.raises(
        ModelError, match=r"must agree with its network to 0\.0005 of its length, got .* at tap '.*' on .*"
    ):
        export_network(other, tiny.config, path)
    assert [(file, file.read_bytes()) for file in tmp_path.iterdir()] == [(path, existing)] * bool(existing)


def test_a_network_of_nan_is_not_written(tiny, tmp_path):
    network = build(tiny.config)
    network.weights[0].assign(np.full(network.weights[0].shape, np.nan))
    with pytest.raises(ModelError, match=r"must agree with its network .* got nan"):
        export_network(network, tiny.config, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())
