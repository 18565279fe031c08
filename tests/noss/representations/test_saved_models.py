"""SavedModels called as YAMNet, VGGish and TRILL are, made here with little in them."""

import contextlib
import io
import tarfile

import numpy as np
import pytest

from noss.representations import load_representation
from tests.sounds import noise
from trill.networks import saved_models

tf = pytest.importorskip("tensorflow")
WAVEFORM = noise(32_000).astype(np.float32)
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own


def patches(waveform, hop):
    """Waveform `(n,)` to `(patches, 96, 40, 1)`, a stand-in for a spectrogram."""
    frames = tf.abs(tf.signal.frame(waveform, 400, 160))[:, ::10]
    return tf.signal.frame(frames, 96, hop, axis=0)[..., None]


class Yamnet(tf.Module):
    """As tensorflow/models' export.py: a list of outputs, for one sound or a batch; layers inside."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 1, 4)).astype("f"))
        self.single = self.__call__.get_concrete_function(tf.TensorSpec([None], tf.float32))
        self.batched = self.__call__.get_concrete_function(tf.TensorSpec([None, None], tf.float32))

    @tf.function
    def __call__(self, waveform):
        if waveform.shape.rank == 2:
            waveform = waveform[0]
        x = patches(waveform, 48)
        for name in ("layer4/pointwise_conv", "layer6/depthwise_conv"):
            with tf.name_scope(f"yamnet_frames/{name}/relu"):
                x = tf.nn.relu(tf.nn.conv2d(x[..., :1], self.kernel, 2, "SAME"), name="Relu")
        embeddings = tf.reduce_mean(x, (1, 2))
        return [tf.nn.softmax(embeddings), embeddings, waveform[:64]]


class Vggish(tf.Module):
    """As vggish_export_tfhub.py: one tensor, and no padding of short sounds."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(np.random.default_rng(0).normal(size=(40, 8)).astype("f"))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def __call__(self, waveform):
        x = tf.reduce_mean(patches(waveform, 96), (1, 3))
        with tf.name_scope("vggish/fc1/fc1_1"):
            x = tf.nn.relu(x @ self.kernel, name="Relu")
        return x * 2 - 1


class Trill(tf.Module):
    """As the published module: samples and their rate to outputs by name."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)])
    def __call__(self, samples, sample_rate):
        with tf.control_dependencies([tf.debugging.assert_equal(sample_rate, 16_000)]):
            x = patches(samples, 17)
        return {"embedding": tf.reduce_mean(x, (1, 3)), "layer19": x[:, :6, :4]}


class Uncallable(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def compute(self, waveform):
        return {"embedding": tf.reduce_mean(patches(waveform, 96), (1, 3))}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for name, kind in {"yamnet": Yamnet, "vggish": Vggish, "trill": Trill, "uncallable": Uncallable}.items():
        made[name] = tmp_path_factory.mktemp(name)
        model = kind()
        tf.saved_model.save(model, str(made[name]), signatures=model.compute if name == "uncallable" else None)
    return made


@pytest.mark.parametrize(
    ("family", "tap", "expected"),
    [
        ("yamnet", "", lambda model, x: model(x)[1]),
        ("yamnet", "@top", lambda model, x: model(x)[1]),
        ("vggish", "@top", lambda model, x: model(x)),
        ("vggish", "@fcn1", lambda model, x: (model(x) + 1) / 2),
        ("trill", "@top", lambda model, x: model(x, 16_000)["embedding"]),
        ("trill", "@layer19", lambda model, x: tf.reshape(model(x, 16_000)["layer19"], (-1, 24))),
    ],
)
def test_taps_are_what_the_model_gives(family, tap, expected, folders):
    found = load_representation(f"{family}:{folders[family]}{tap}")
    model = {"yamnet": Yamnet, "vggish": Vggish, "trill": Trill}[family]()
    np.testing.assert_allclose(found.embed_windows(WAVEFORM), expected(model, WAVEFORM), rtol=1e-5, atol=1e-6)
    assert found.sample_rate == 16_000
    assert found.name.startswith(f"{family}-")
    assert found.name.endswith(tap or "@top")
    assert len(found.embed_windows(WAVEFORM[:10])) == 1


def test_layers_inside_are_found_in_the_graph(folders):
    taps = {tap: load_representation(f"yamnet:{folders['yamnet']}@{tap}") for tap in ("layer10", "layer7", "top")}
    rows = {tap: found.embed_windows(WAVEFORM) for tap, found in taps.items()}
    assert {tap: found.shape for tap, found in rows.items()} == {
        "layer10": (3, 24 * 10 * 4), "layer7": (3, 48 * 20 * 4), "top": (3, 4)
    }  # fmt: skip
    np.testing.assert_allclose(rows["layer10"].reshape(3, -1, 4).mean(axis=1), rows["top"], rtol=1e-5)


def test_a_signature_will_do_and_a_missing_layer_is_said(folders):
    found = load_representation(f"vggish:{folders['uncallable']}")
    assert found.embed_windows(WAVEFORM).shape == (2, 40)
    with pytest.raises(ValueError, match=r"it has the outputs embedding and 0 layers that end in layer6/depthwise"):
        load_representation(f"yamnet:{folders['uncallable']}@layer10")


def packed(folder):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.add(folder, ".")
    return file.getvalue()


def test_a_handle_is_downloaded_once(folders, tmp_path, monkeypatch):
    asked = []

    def answer(url):
        asked.append(url)
        return contextlib.closing(io.BytesIO(packed(folders["trill"])))

    monkeypatch.setattr(saved_models, "CACHE", tmp_path / "hub")
    monkeypatch.setattr(saved_models.urllib.request, "urlopen", answer)
    first = load_representation("trill@layer19")
    second = load_representation("trill:https://tfhub.dev/google/nonsemantic-speech-benchmark/trill/3@layer19")
    assert first.name == second.name
    handle = "https://tfhub.dev/google/nonsemantic-speech-benchmark/trill/3"
    assert asked == [f"{handle}?tf-hub-format=compressed"]


@pytest.mark.parametrize("content", [b"<html>", b""])
def test_a_download_that_is_no_model_leaves_nothing(content, tmp_path, monkeypatch):
    monkeypatch.setattr(saved_models, "CACHE", tmp_path / "hub")
    monkeypatch.setattr(saved_models.urllib.request, "urlopen", lambda url: contextlib.closing(io.BytesIO(content)))
    with pytest.raises(OSError, match=r"must give a SavedModel as \.tar\.gz.*Download it by hand"):
        load_representation("yamnet")
    assert list((tmp_path / "hub").iterdir()) == []


def test_an_archive_cannot_write_elsewhere(tmp_path, monkeypatch):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../outside"), io.BytesIO())
    monkeypatch.setattr(saved_models, "CACHE", tmp_path / "hub")
    monkeypatch.setattr(
        saved_models.urllib.request, "urlopen", lambda url: contextlib.closing(io.BytesIO(file.getvalue()))
    )
    with pytest.raises(OSError, match="OutsideDestinationError"):
        load_representation("yamnet")
    assert not (tmp_path / "outside").exists()
