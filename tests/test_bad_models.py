"""Model files that are sound as files and are no embedders, and presets that are not what was packaged."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

import trill
from trill import modelfile, presets
from trill.errors import ModelError

CARD = modelfile.ModelCard("other", "1", 16_000, 100, 50, {"embedding": (100,)})
WAVEFORM = tf.TensorSpec((1, 100), tf.float32, name="waveform")


def convert(function, *inputs):
    """A flatbuffer with a signature, of a function from tensors to a dict of them."""
    module = tf.Module()
    module.serve = tf.function(function, input_signature=inputs)
    concrete = module.serve.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def edited(flatbuffer, edit):
    model = flatbuffer_utils.convert_bytearray_to_object(flatbuffer)
    edit(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@pytest.fixture(scope="module")
def sound():
    """The simplest embedder: its window, doubled."""
    return convert(lambda waveform: {"embedding": 2 * waveform}, WAVEFORM)


def refused(tmp_path, flatbuffer, message, card=CARD):
    path = tmp_path / "model.tflite"
    modelfile.write(path, flatbuffer, card)
    with pytest.raises(
        ModelError, match=rf"(?s)model\.tflite is no embedder that this interpreter can run: .*{message}"
    ):
        trill.load(path).embed(np.zeros(100), 16_000)


def test_the_simplest_embedder(sound, tmp_path):
    modelfile.write(tmp_path / "model.tflite", sound, CARD)
    waveform = np.linspace(-1, 1, 150)
    found = trill.embed(waveform, 16_000, model=tmp_path / "model.tflite", pooling=None)
    np.testing.assert_allclose(found, [2 * waveform[:100], 2 * waveform[50:]], rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_samples": 200}, r"one float32 waveform of shape \(1, 200\), got float32 \(1, 100\)"),
        ({"taps": {"embedding": (7,)}}, r"'embedding' must be float32 of shape \(1, 7\), got .*100"),
        ({"taps": {"embedding": (100,), "final": (3,)}}, r"'final' must be float32 of shape \(1, 3\), got None"),
        ({"taps": {"embedding": ("a",)}}, "'embedding' must be float32 of shape"),
    ],
)
def test_a_card_of_another_model(sound, tmp_path, changes, message):
    refused(tmp_path, sound, message, dataclasses.replace(CARD, **changes))


@pytest.mark.parametrize(
    ("function", "inputs", "message"),
    [
        (
            lambda a, b: {"embedding": a + b},
            (WAVEFORM, tf.TensorSpec((1, 100), name="b")),
            r"one .*waveform.*, got .* and ",
        ),
        (lambda a: {"embedding": a}, (tf.TensorSpec((1, 100), tf.int32),), r"one float32 .*got int32 \(1, 100\)"),
        (
            lambda a: {"embedding": tf.cast(9 * a, tf.int32)},
            (WAVEFORM,),
            r"must be float32 .*got \('int32', \(1, 100\)\)",
        ),
        (lambda a: {"logits": 2 * a}, (WAVEFORM,), r"'embedding' must be float32 of shape \(1, 100\), got None"),
        (lambda a: {"embedding": 2 * a}, (tf.TensorSpec((1, 9, 9, 3)),), r"waveform .*got float32 \(1, 9, 9, 3\)"),
    ],
)
def test_a_network_of_another_kind(tmp_path, function, inputs, message):
    refused(tmp_path, convert(function, *inputs), message)


def unsigned(model):
    model.signatureDefs = []


def custom(model):
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexOfSomeone"


@pytest.mark.parametrize(("edit", "message"), [(unsigned, "signature"), (custom, "FlexOfSomeone|Flex")])
def test_an_edited_network(sound, tmp_path, edit, message):
    refused(tmp_path, edited(sound, edit), message)


def test_a_network_that_fails_when_it_runs(tmp_path):
    """An index out of range, which only computing finds."""
    table = tf.constant([1.0, 2.0])
    network = convert(lambda waveform: {"embedding": tf.gather(table, tf.cast(waveform + 5, tf.int32))}, WAVEFORM)
    refused(tmp_path, network, "gather index out of bounds")


GARBAGE = """
import random, sys, numpy as np, trill
from trill import modelfile
flatbuffer, card = modelfile.read(sys.argv[1])
random = random.Random(0)
pieces = [b"x", bytes(100), random.randbytes(1000)]
pieces += [flatbuffer[:8] + rest for rest in (bytes(100), random.randbytes(1000))]
pieces += [flatbuffer[:length] for length in (4, 20, 1000, len(flatbuffer) // 2, len(flatbuffer) - 4)]
for index, piece in enumerate(pieces):
    path = f"{sys.argv[2]}/{index}.tflite"
    modelfile.write(path, piece, card)
    try:
        trill.load(path)
    except trill.ModelError as error:
        assert "no embedder that this interpreter can run" in str(error), error
    else:
        raise AssertionError(f"{path} was loaded")
"""


def test_garbage_with_a_sound_card(tiny, tmp_path):
    """In a process of its own: an interpreter that crashed would take the tests along."""
    subprocess.run([sys.executable, "-c", GARBAGE, tiny.tflite, tmp_path], check=True, timeout=60)


@pytest.mark.parametrize("name", ["mobilnet", "MobileNet"])
def test_an_unknown_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ModelError, match=rf"one of mobilenet, .*tiny-float16 or the path of a model file, got '{name}'"
    ):
        trill.load(name)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"\0" + data[1:], lambda data: data + b"\0", None]
)
def test_a_packaged_model_that_was_changed(tmp_path, monkeypatch, damage):
    file = presets.presets()["mobilenet"]["file"]
    if damage:
        (tmp_path / file).write_bytes(damage((presets.WEIGHTS / file).read_bytes()))
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match=r"missing or not the file that was packaged. Reinstall trill-speech"):
        trill.load("mobilenet")
