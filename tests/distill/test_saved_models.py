"""SavedModels as teachers: made here with the signatures of the published ones and little in them."""

import contextlib
import io
import tarfile

import numpy as np
import pytest

import distill
from tests.sounds import noise
from trill.networks import saved_models
from trill.networks.saved_model_families import FAMILIES, WAV2VEC2_SAMPLES

tf = pytest.importorskip("tensorflow")
WAVEFORM = noise(32_000).astype(np.float32)
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own


def rows(waveform, length, hop, width):
    """Waveform `(n,)` to `(rows, width)`."""
    return tf.signal.frame(tf.abs(waveform), length, hop)[:, :width]


class Distilled(tf.Module):
    """trill-distilled/3: samples and their rate to `(time, 2048)`."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)])
    def __call__(self, samples, sample_rate):
        with tf.control_dependencies([tf.debugging.assert_equal(sample_rate, 16_000)]):
            return {"embedding": rows(samples, 15_600, 2_720, 2_048)}


class Frill(tf.Module):
    """frill/1: a batch of one to `(time, 2048)`."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def __call__(self, batch):
        tf.debugging.assert_equal(tf.shape(batch)[0], 1)
        return {"embedding": rows(batch[0], 15_600, 2_720, 2_048)}


class Trillsson(tf.Module):
    """trillsson1/1: `(batch, time)` to `(batch, 1024)`."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def __call__(self, batch):
        return {"embedding": batch[:, :1_024]}


class Wav2vec2(tf.Module):
    """wav2vec2/1: `(batch, 246000)` to frames; the positional convolution is grouped."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(np.random.default_rng(0).normal(size=(4, 1, 16)).astype("f"))

    def states(self, batch):
        frames = tf.signal.frame(batch, 400, 320)[..., :16]
        return frames + tf.nn.conv1d(frames, self.kernel, 1, "SAME")

    @tf.function(input_signature=[tf.TensorSpec([None, WAV2VEC2_SAMPLES], tf.float32)])
    def __call__(self, batch):
        return self.states(batch)


class Masked(Wav2vec2):
    """wav2vec2-robust/1: a mask beside the batch."""

    @tf.function(input_signature=[(tf.TensorSpec([None, WAV2VEC2_SAMPLES]), tf.TensorSpec([None, WAV2VEC2_SAMPLES]))])
    def __call__(self, inputs):
        batch, mask = inputs
        return {"output_0": self.states(batch) + tf.reduce_sum(mask)}


class Frames(tf.Module):
    """Nobody's: a batch with its rate to frames of two kinds."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)])
    def __call__(self, batch, rate):
        frames = tf.signal.frame(batch, 400, 160) * tf.cast(rate, tf.float32)
        return {"energy": tf.reduce_mean(frames**2, 2, keepdims=True), "frames": frames[..., :3]}


class Image(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
    def __call__(self, image):
        return image


KINDS = {
    "trill-distilled": Distilled,
    "frill": Frill,
    "trillsson1": Trillsson,
    "wav2vec2-tf": Wav2vec2,
    "wav2vec2-robust-tf": Masked,
    "any": Frames,
    "image": Image,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {name: tmp_path_factory.mktemp(name) for name in KINDS}
    for name, kind in KINDS.items():
        tf.saved_model.save(kind(), str(made[name]))
    return made


@pytest.fixture
def any_width(monkeypatch):
    """Published widths are not those of what is made here."""
    monkeypatch.setattr("distill.teachers.presets.Preset.check", lambda self, teacher, whole: None)


@pytest.mark.parametrize(
    ("name", "hop", "expected"),
    [
        ("trill-distilled", 2_720, lambda x: rows(x, 15_600, 2_720, 2_048)),
        ("frill", None, lambda x: rows(x, 15_600, 2_720, 2_048)),
        ("trillsson1", None, lambda x: x[None, :1_024]),
    ],
)
def test_a_preset_from_a_folder_is_what_the_model_gives(name, hop, expected, folders):
    teacher = distill.load_teacher(f"{name}:{folders[name]}")  # widths are the published ones: checked
    np.testing.assert_allclose(teacher.embed_windows(WAVEFORM), expected(WAVEFORM), rtol=1e-6)
    assert isinstance(teacher, distill.Teacher)
    assert (teacher.sample_rate, teacher.taps, teacher.hop_samples) == (16_000, ("top",), hop)
    assert teacher.name == f"{name}-{teacher.fingerprint[:8]}"
    assert len(teacher.embed_windows(WAVEFORM[:100])) == 1


@pytest.mark.parametrize("name", ["wav2vec2-tf", "wav2vec2-robust-tf"])
def test_wav2vec2_sees_the_clip_normalised_and_padded(name, folders, any_width):
    teacher = distill.load_teacher(f"{name}:{folders[name]}")
    centred = (WAVEFORM - WAVEFORM.mean()) / np.sqrt(WAVEFORM.var() + 1e-5)
    padded = np.pad(centred, (0, WAV2VEC2_SAMPLES - len(WAVEFORM)))[None]
    expected = Wav2vec2()(padded)[0, :99] + (len(WAVEFORM) if "robust" in name else 0)
    np.testing.assert_allclose(teacher.embed_windows(WAVEFORM), expected, rtol=1e-5, atol=1e-4)
    assert teacher.hop_samples == 320
    assert len(teacher.embed_windows(WAVEFORM[:5])) == 1
    # What is longer than the exported length is cut; a piece without a frame of its own is left out.
    long = np.tile(WAVEFORM, 8)[: WAV2VEC2_SAMPLES + 399]
    assert len(teacher.embed_windows(long)) == 768
    two = teacher.embed_windows(np.concatenate([long[:WAV2VEC2_SAMPLES], WAVEFORM]))
    np.testing.assert_allclose(two[768:], teacher.embed_windows(WAVEFORM), rtol=1e-6, atol=1e-6)


def test_any_savedmodel_that_takes_a_waveform(folders):
    teacher = distill.load_teacher(str(folders["any"]))
    assert teacher.taps == ("energy", "frames")
    assert teacher.embed_windows(WAVEFORM).shape == (198, 1)
    frames = np.lib.stride_tricks.sliding_window_view(WAVEFORM, 400)[::160][:, :3] * 16_000
    np.testing.assert_allclose(teacher.embed_windows(WAVEFORM, "frames"), frames, rtol=1e-6)
    assert distill.load_teacher(f"{folders['any']}@frames").embed_windows(WAVEFORM).shape == (198, 3)
    assert distill.load_teacher(f"tfhub:{folders['any']}").fingerprint == teacher.fingerprint
    energy, states = teacher.hidden_states(np.stack([WAVEFORM, -WAVEFORM]), [32_000, 20_000])
    assert (energy.shape, states.shape) == ((2, 198, 1), (2, 198, 3))
    np.testing.assert_array_equal(states[1, :123], teacher.embed_windows(-WAVEFORM[:20_000], "frames"))
    assert not states[1, 123:].any()


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("image", "{}", r"must take a float32 waveform, .* it refused both"),
        ("any", "{}@top", r"tap must be one of energy, frames, got 'top'"),
        ("any", "frill:{}/nowhere", r"a SavedModel is a folder with saved_model\.pb, .*nowhere is none"),
        ("trillsson1", "frill:{}", r"frill must have sample_rate 16000, width 2048, .* has .* width 1024"),
    ],
)
def test_what_is_wrong_with_a_savedmodel(name, what, message, folders):
    with pytest.raises(ValueError, match=message):
        distill.load_teacher(what.format(folders[name]))


def test_layers_by_number_are_for_transformers(folders):
    with pytest.raises(ValueError, match=r"num_layers is for transformers, .* has the taps energy, frames"):
        distill.load_teacher(folders["any"], num_layers=2)


@pytest.mark.parametrize("waveform", [np.full(16_000, np.nan), np.zeros((1, 16_000)), np.zeros(0)])
def test_no_sound_is_refused(waveform, folders):
    teacher = distill.load_teacher(folders["any"])
    with pytest.raises(ValueError, match="waveform must be"):
        teacher.embed_windows(waveform.astype(np.float32))


def test_a_handle_is_looked_up_and_downloaded_once(folders, tmp_path, monkeypatch):
    packed, asked = io.BytesIO(), []
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folders["trillsson1"], ".")

    def answer(url):
        asked.append(url)
        return contextlib.closing(io.BytesIO(packed.getvalue()))

    monkeypatch.setattr(saved_models, "CACHE", tmp_path / "hub")
    monkeypatch.setattr(saved_models.urllib.request, "urlopen", answer)
    by_name = distill.load_teacher("trillsson1")
    by_handle = distill.load_teacher("tfhub:google/trillsson1/1@top")
    assert by_name.name == by_handle.name == distill.load_teacher(f"tfhub:{FAMILIES['trillsson1'].handle}").name
    assert asked == ["https://tfhub.dev/google/trillsson1/1?tf-hub-format=compressed"]
