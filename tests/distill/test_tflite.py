"""Anybody's .tflite files, made here: what is called how, and what is refused."""

import numpy as np
import pytest

import distill
from tests.sounds import noise
from trill.errors import ModelError

tf = pytest.importorskip("tensorflow")
WAVEFORM = noise(40_000).astype(np.float32)
pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's own
WINDOW = 15_600


def fixed(waveform):  # as YAMNet's: one window, two outputs
    frames = tf.reshape(waveform[:15_360], (96, 160))
    return {"scores": tf.reduce_mean(frames, 1)[None, :5], "embedding": tf.reduce_max(frames, 1)[None]}


def frames_of(waveform):
    return {"frames": tf.signal.frame(waveform, 400, 160)[..., :7]}


def rated(waveform, rate):
    return {"frames": waveform[:, None, :7] * tf.cast(rate, tf.float32)}


def counted(waveform):
    return {"count": tf.cast(waveform[0] > 0, tf.int32)}


FLOATS, NUMBER = tf.float32, tf.TensorSpec([], tf.int32, "rate")
MODELS = {
    "fixed": (fixed, [tf.TensorSpec([WINDOW], FLOATS, "waveform")]),
    "batch": (lambda batch: fixed(batch[0]), [tf.TensorSpec([1, WINDOW], FLOATS, "batch")]),
    "dynamic": (frames_of, [tf.TensorSpec([1, None], FLOATS, "waveform")]),
    "rated": (rated, [tf.TensorSpec([1, None], FLOATS, "waveform"), NUMBER]),
    "log-mel": (lambda mel: {"x": mel * 2}, [tf.TensorSpec([1, 96, 64], FLOATS, "mel")]),
    "int8": (lambda x: {"x": tf.cast(x, tf.float32)}, [tf.TensorSpec([1, WINDOW], tf.int8, "x")]),
    "two": (lambda x, y: {"x": x[:5] + y[:5]}, [tf.TensorSpec([WINDOW], FLOATS, name) for name in "xy"]),
    "counts": (counted, [tf.TensorSpec([WINDOW], FLOATS, "waveform")]),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tflite")
    for name, (function, inputs) in MODELS.items():
        module = tf.Module()
        module.run = tf.function(function, input_signature=inputs)
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.run})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / name))
        (folder / f"{name}.tflite").write_bytes(converter.convert())
    return folder


@pytest.mark.parametrize("name", ["fixed", "batch"])
def test_a_fixed_length_sees_windows_side_by_side(name, folder):
    teacher = distill.load_teacher(folder / f"{name}.tflite")
    assert isinstance(teacher, distill.Teacher)
    assert teacher.name == f"{name}-{teacher.fingerprint[:8]}"
    assert (set(teacher.taps), teacher.width, teacher.hop_samples) == ({"scores", "embedding"}, 96, WINDOW)
    padded = np.pad(WAVEFORM, (0, 3 * WINDOW - len(WAVEFORM))).reshape(3, WINDOW)
    expected = [fixed(window)["embedding"][0] for window in padded]
    np.testing.assert_allclose(teacher.embed_windows(WAVEFORM), expected, rtol=1e-6)
    scores = distill.load_teacher(f"{folder / name}.tflite@scores")
    assert scores.embed_windows(WAVEFORM[:100]).shape == (1, 5)


@pytest.mark.parametrize("length", [16_000, 40_000, 8_000])
def test_a_dynamic_length_sees_the_sound(length, folder):
    teacher = distill.load_teacher(folder / "dynamic.tflite")
    teacher.embed_windows(WAVEFORM[:20_000])  # another length before
    expected = np.lib.stride_tricks.sliding_window_view(WAVEFORM[:length], 400)[::160, :7]
    np.testing.assert_allclose(teacher.embed_windows(WAVEFORM[:length]), expected, rtol=1e-6)
    assert teacher.hop_samples is None


def test_a_model_that_asks_is_told_the_rate(folder):
    teacher = distill.load_teacher(folder / "rated.tflite")
    np.testing.assert_allclose(teacher.embed_windows(WAVEFORM), WAVEFORM[None, :7] * 16_000, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "log-mel",
            r"a teacher takes a float32 waveform.* takes float32 \(1, 96, 64\)\. Take the model with its front",
        ),
        ("int8", r"takes int8 \(1, 15600\)"),
        ("two", r"takes float32 \(15600,\); float32 \(15600,\)"),
        ("counts", r"gives float32, no output of .*counts\.tflite does"),
    ],
)
def test_what_is_refused(name, message, folder):
    with pytest.raises(ModelError, match=message):
        distill.load_teacher(folder / f"{name}.tflite")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"has TFL3 in bytes 5 to 8, .* has b''"),
        (b"PK\x03\x04 no model", r"has TFL3 in bytes 5 to 8"),
        (bytes(4) + b"TFL3", r"is no model that this interpreter can run"),
    ],
)
def test_no_model_at_all(content, message, tmp_path):
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        distill.load_teacher(tmp_path / "x.tflite")


def test_a_sound_that_it_cannot_take_is_said(folder):
    teacher = distill.load_teacher(folder / "dynamic.tflite")
    with pytest.raises(ModelError, match=r"must take sounds of any length at 16000 Hz, it failed on 100 samples"):
        teacher.embed_windows(WAVEFORM[:100])


def test_ours_altered_is_refused_as_ours(tiny, tmp_path):
    data = bytearray(tiny.tflite.read_bytes())
    data[1_000] ^= 1
    (tmp_path / "x.tflite").write_bytes(data)
    with pytest.raises(ModelError, match=r"was altered after it was written"):
        distill.load_teacher(tmp_path / "x.tflite")
