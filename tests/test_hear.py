"""The HEAR interface, driven as its tools drive it: with NumPy, TensorFlow and torch."""

import sys
import types

import numpy as np
import pytest

import trill
from tests.sounds import noise
from trill import hear


@pytest.fixture(scope="module")
def model():
    return hear.load_model()


def sounds(count=2, seconds=1.0):
    return noise((count, round(16_000 * seconds))).astype(np.float32)


def test_a_model_says_what_it_takes_and_gives(model):
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (16_000, 1152, 1152)


def test_a_model_is_loaded_by_path_as_by_name(model, tmp_path):
    path = trill.presets.locate("mobilenet")
    assert hear.load_model(str(path)).embedder.name == model.embedder.name
    with pytest.raises(trill.ModelError, match=r"nothing\.tflite is not there"):
        hear.load_model(str(tmp_path / "nothing.tflite"))


def test_a_scene_is_an_embedding(model):
    audio = sounds(3)
    scenes = hear.get_scene_embeddings(audio, model)
    assert scenes.shape == (3, 1152)
    assert scenes.dtype == np.float32
    np.testing.assert_array_equal(scenes, [trill.embed(sound, 16_000) for sound in audio])


@pytest.mark.parametrize("seconds", [0.001, 0.0499, 0.05, 0.7, 2.03])
def test_timestamps_cover_the_sound(model, seconds):
    embeddings, timestamps = hear.get_timestamp_embeddings(sounds(2, seconds), model)
    assert embeddings.shape == (*timestamps.shape, 1152)
    assert embeddings.dtype == timestamps.dtype == np.float32
    np.testing.assert_array_equal(timestamps[0], timestamps[1])
    np.testing.assert_allclose(np.diff(timestamps[0]), 50)
    assert timestamps[0, 0] == 0
    assert 1000 * seconds - 50 < timestamps[0, -1] <= 1000 * seconds + 1e-3


def test_a_timestamp_is_the_middle_of_its_window(model):
    (sound,) = audio = sounds(1, 2.0)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    for index in (0, 20, 40):  # the start, the middle, the end
        middle = round(timestamps[0, index] * 16)
        window = np.pad(sound, 15_600)[middle + 7_800 : middle + 23_400]
        np.testing.assert_array_equal(embeddings[0, index], model.embedder.embed_windows(window)[0])


@pytest.mark.parametrize("shape", [(16_000,), (1, 2, 16_000)])
def test_other_shapes_are_refused(model, shape):
    for function in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        with pytest.raises(ValueError, match=r"shape \(num_sounds, num_samples\), got"):
            function(np.zeros(shape, np.float32), model)


def test_tensorflow_in_tensorflow_out(monkeypatch):
    tf = pytest.importorskip("tensorflow")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    model, audio = hear.load_model(), sounds()
    assert isinstance(model, tf.Module)
    scenes = hear.get_scene_embeddings(tf.constant(audio), model)
    embeddings, timestamps = hear.get_timestamp_embeddings(tf.constant(audio), model)
    assert all(tf.is_tensor(x) and x.dtype == tf.float32 for x in (scenes, embeddings, timestamps))
    np.testing.assert_array_equal(scenes, hear.get_scene_embeddings(audio, model))
    assert embeddings.shape == (*timestamps.shape, 1152)


def test_torch_in_torch_out(monkeypatch):
    """Against the few names of torch that the adapter touches: torch is no dependency."""

    class Module:
        def __setattr__(self, name, value):
            assert "ready" in self.__dict__, "torch: cannot assign before Module.__init__()"
            self.__dict__[name] = value

        def __init__(self):
            self.__dict__["ready"] = True

    class Tensor:
        def __init__(self, array, device="cpu", grad=False):
            self.array, self.device, self.grad = array, device, grad

        def detach(self):
            return Tensor(self.array, self.device)

        def cpu(self):
            return Tensor(self.array, "cpu", self.grad)

        def to(self, device):
            return Tensor(self.array, device)

        def __array__(self, dtype=None, copy=None):
            assert self.device == "cpu", "torch: can't convert cuda tensor to numpy"
            assert not self.grad, "torch: can't call numpy() on Tensor that requires grad"
            return np.asarray(self.array, dtype)

    Tensor.__module__ = "torch"
    torch = types.SimpleNamespace(nn=types.SimpleNamespace(Module=Module), from_numpy=Tensor)
    monkeypatch.setitem(sys.modules, "torch", torch)
    model, audio = hear.load_model(), sounds()
    assert isinstance(model, Module)
    scenes = hear.get_scene_embeddings(Tensor(audio, "cuda:1", grad=True), model)
    embeddings, timestamps = hear.get_timestamp_embeddings(Tensor(audio, "cuda:1", grad=True), model)
    assert {type(x) for x in (scenes, embeddings, timestamps)} == {Tensor}
    assert {x.device for x in (scenes, embeddings, timestamps)} == {"cuda:1"}
    np.testing.assert_array_equal(scenes.array, hear.get_scene_embeddings(audio, model))


def test_without_a_framework_a_model_is_plain(monkeypatch):
    for framework in ("torch", "tensorflow"):
        monkeypatch.delitem(sys.modules, framework, raising=False)
    assert type(hear.load_model()) is hear.HearModel
