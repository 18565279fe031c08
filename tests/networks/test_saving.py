"""What `load` refuses, and that a file means the same network on the other backend."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from trill.errors import ModelError
from trill.networks.frontend import FRONTENDS, log_mel
from trill.networks.keras_model import KerasModel
from trill.networks.saving import NetworkConfig, build, load, save

CONFIG = NetworkConfig(
    "mobilenet",
    {"width": 1 / 64, "batch_norm": True},  # 8 channels everywhere: JAX compiles few initialisers
    dataclasses.replace(FRONTENDS["trill"], window_frames=32),
    name="tiny",
    version="1.2",
    licence="Apache-2.0",
    description="for tests",
)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return build(CONFIG)


@pytest.fixture(scope="module")
def content(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "network.safetensors"
    save(network, CONFIG, path)
    return path.read_bytes()


@pytest.fixture
def saved(content, tmp_path):
    path = tmp_path / "network.safetensors"
    path.write_bytes(content)
    return path


def waveforms():
    return np.random.default_rng(0).normal(0, 0.1, (3, CONFIG.frontend.window_samples)).astype(np.float32)


def test_same_network_same_bytes(network, saved, tmp_path):
    save(load(saved)[0], CONFIG, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_tensors_are_called_as_layers(saved):
    names = set(load_file(saved))
    assert {"stem/kernel", "stem_norm/moving_mean", "block11_pointwise_norm/gamma"} < names


def test_saving_another_network_is_refused(network, tmp_path):
    wider = dataclasses.replace(CONFIG, arguments={"width": 0.5, "batch_norm": True})
    with pytest.raises(ModelError, match=r"stem/kernel is F32 \(3, 3, 1, 8\), not F32 \(3, 3, 1, 16\)"):
        save(network, wider, tmp_path / "network.safetensors")
    assert not list(tmp_path.iterdir())


def test_keras_model_is_what_load_runs(network, saved):
    model = KerasModel(saved)
    expected = network(waveforms(), training=False)
    assert (model.card.name, model.card.version, model.card.licence) == ("tiny", "1.2", "Apache-2.0")
    assert (model.card.sample_rate, model.card.window_samples, model.card.hop_samples) == (16_000, 5_360, 2_720)
    assert model.card.taps == {"embedding": (8,), "final": (2, 4, 8), "block5": (4, 8, 8)}
    assert len(model.card.sha256) == 64
    for tap in model.card.taps:
        flat = keras.ops.convert_to_numpy(expected[tap]).reshape(3, -1)
        windows = model.run(waveforms(), tap)
        np.testing.assert_allclose(windows, flat, atol=1e-5 * np.abs(flat).max())
        np.testing.assert_array_equal(windows[1:2], model.run(waveforms()[1:2], tap))


def change(path, edit_tensors=lambda tensors: None, edit_fields=lambda fields: None):
    tensors, fields = load_file(path), json.loads(CONFIG.to_json())
    edit_tensors(tensors)
    edit_fields(fields)
    save_file(tensors, path, metadata={"trill": json.dumps(fields)})


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("stem/kernel"), r"stem/kernel is missing, not F32 \(3, 3, 1, 8\)"),
        (lambda t: t.update(spare=np.zeros(3, np.float32)), r"spare is F32 \(3,\), not known"),
        (
            lambda t: t.update({"stem_norm/beta": np.zeros(9, np.float32)}),
            r"stem_norm/beta is F32 \(9,\), not F32 \(8,\)",
        ),
        (
            lambda t: t.update({"stem_norm/beta": np.zeros(8, np.int32)}),
            r"stem_norm/beta is I32 \(8,\), not F32 \(8,\)",
        ),
        (lambda t: [t.pop(name) for name in list(t)], r"is missing.*; and \d+ more"),
    ],
)
def test_other_tensors_are_named(saved, edit, message):
    change(saved, edit_tensors=edit)
    with pytest.raises(ModelError, match=message):
        load(saved)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda f: f.update(architecture="os.system"), "architecture must be one of mobilenet, .*got 'os.system'"),
        (lambda f: f.update(arguments={"wdith": 1}), "mobilenet takes the arguments width, .*got {'wdith': 1}"),
        (lambda f: f.update(arguments=[]), r"JSON with the fields .*arguments \[\] are no object"),
        (lambda f: f.update(arguments={"width": "wide"}), "mobilenet takes the arguments"),
        (lambda f: f.update(colour="red"), "unexpected keyword argument 'colour'"),
        (lambda f: f.pop("architecture"), "missing 1 required positional argument: 'architecture'"),
        (lambda f: f.pop("frontend"), "JSON with the fields architecture, .*: 'frontend'"),
        (lambda f: f.update(frontend={"mel_bands": 0}), "mel_bands must be positive"),
        (lambda f: f.update(frontend={"mel_bands": "64"}), "not supported between"),
        (lambda f: f.update(frontend={"frame_seconds": float("inf")}), "cannot convert float infinity"),
    ],
)
def test_other_descriptions_are_refused(saved, edit, message):
    change(saved, edit_fields=edit)
    with pytest.raises(ModelError, match=message):
        load(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no sound safetensors file"),
        (b"not a model at all", "no sound safetensors file"),
        (b"\xff" * 64, "no sound safetensors file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "network.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(path)


def test_a_file_cut_short_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ModelError, match="no sound safetensors file"):
        load(saved)


def test_files_of_others_are_refused(saved):
    save_file(load_file(saved), saved)
    with pytest.raises(ModelError, match="tensors without our header"):
        load(saved)


def test_headers_that_are_no_json_are_refused(saved):
    save_file(load_file(saved), saved, metadata={"trill": "[" * 100_000})
    with pytest.raises(ModelError, match="described by JSON"):
        load(saved)


@pytest.mark.parametrize("path", ["missing.safetensors", "."])
def test_a_path_must_be_a_file(tmp_path, path):
    with pytest.raises(ModelError, match="is none"):
        load(tmp_path / path)


ON_JAX = """
import sys, keras, numpy as np
from trill.networks.frontend import log_mel
from trill.networks.saving import load, save
assert keras.backend.backend() == "jax"
folder = sys.argv[1]
model, config = load(f"{folder}/network.safetensors")
waveform = np.load(f"{folder}/waveform.npy")
taps = {name: np.asarray(tap) for name, tap in model.predict_on_batch(waveform).items()}
np.savez(f"{folder}/jax.npz", log_mel=np.asarray(log_mel(waveform, config.frontend)), **taps)
save(model, config, f"{folder}/jax.safetensors")
"""


def test_a_file_means_the_same_on_jax(network, saved):
    pytest.importorskip("jax")
    folder = saved.parent
    np.save(folder / "waveform.npy", waveforms())
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", ON_JAX, folder], check=True, env=environment)
    on_jax = np.load(folder / "jax.npz")
    expected = {**network(waveforms(), training=False), "log_mel": log_mel(waveforms(), CONFIG.frontend)}
    for name, value in expected.items():
        value = keras.ops.convert_to_numpy(value)
        np.testing.assert_allclose(on_jax[name], value, rtol=0, atol=1e-6 * np.abs(value).max(), err_msg=name)
    assert (folder / "jax.safetensors").read_bytes() == saved.read_bytes()


def test_claims_larger_than_the_file_take_no_memory(saved):
    config = dataclasses.replace(CONFIG, arguments={**CONFIG.arguments, "bottleneck": 10**12})
    save_file(load_file(saved), saved, metadata={"trill": config.to_json()})
    with pytest.raises(
        ModelError, match=r"bottleneck .* must be at most the \d+ values in the file, got 1000000000000"
    ):
        load(saved)
    frontend = config.to_json().replace('"mel_bands": 64', '"mel_bands": 100000000000')
    save_file(load_file(saved), saved, metadata={"trill": frontend})
    with pytest.raises(ModelError, match="mel_bands must be positive and at most 1,000,000, got 100000000000"):
        load(saved)
