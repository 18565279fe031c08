"""Small teachers: what holds for random weights, and the values that come with the real ones (../shared/teachers)."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from distill.teachers import crepe, silero, soundstream, yamnet
from distill.teachers.hub import open_checkpoint
from tests.sounds import noise
from trill import windows
from trill.errors import ModelError
from trill.networks.frontend import FRONTENDS, log_mel
from trill.representation import Representation

TEACHERS = Path(__file__).parents[3] / "shared/teachers"
real = pytest.mark.skipif(not TEACHERS.exists(), reason="the teachers are not part of the repository")
CLIPS = ("chirps", "espeak")
FAMILIES = yamnet.FAMILIES | crepe.FAMILIES | silero.FAMILIES | soundstream.FAMILIES
# What makes each network, how many frames a clip has, and its default tap.
MADE = {
    "audioset_mobilenet_320ms": (
        lambda: yamnet.build(yamnet.ROWS["audioset_mobilenet_320ms"], 10),
        lambda n: windows.num_windows(n, 5_360, 5_120),
        "embedding",
    ),
    "yamnet_float_layers1to11": (
        lambda: yamnet.build(yamnet.ROWS["yamnet_float_layers1to11"], 5),
        lambda n: windows.num_windows(n, 15_600, 7_680),
        "embedding",
    ),
    "crepe_tiny": (crepe.build, lambda n: 1 + n // 320, "layer5"),
    "silero_vad_16k": (silero.build, lambda n: -(-n // 512), "lstm"),
    "lyra_soundstream_encoder": (soundstream.build, lambda n: -(-n // 320), "features"),
}


def file_name(layer, weight):
    if layer.name.startswith("bn"):
        return f"{layer.name}.{ {'kernel': 'scale', 'bias': 'offset'}[weight.name] }".replace(" ", "")
    return f"{layer.name}.{weight.name}"


def random_checkpoint(name, folder, seed=0):
    """A checkpoint of random weights, in the shapes of the real one."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in MADE[name][0]().layers:
        for weight in layer.weights:
            shape = tuple(weight.shape)
            fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 1
            if "Depthwise" in type(layer).__name__ and weight.name == "kernel":
                shape, fan_in = shape[:-1], np.prod(shape[:-2])
            if layer.name.startswith("bn"):
                shape, fan_in = shape[-1:] if weight.name == "bias" else shape[1:-1] or shape[-1:], 1
            scale = np.sqrt(1.5 / fan_in) if weight.name != "bias" else 0.1
            tensors[file_name(layer, weight)] = rng.normal(0, scale, shape).astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"name": name}))
    return open_checkpoint(folder)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    return {name: random_checkpoint(name, folder / name) for name in MADE}


@pytest.fixture(scope="module")
def teachers(checkpoints):
    return {name: FAMILIES[name](checkpoint) for name, checkpoint in checkpoints.items()}


each = pytest.mark.parametrize("name", MADE)


@each
@pytest.mark.parametrize("num_samples", [1, 511, 20_001])
def test_frames_and_taps(teachers, name, num_samples):
    teacher, (_, num_frames, default) = teachers[name], MADE[name]
    assert isinstance(teacher, Representation)
    assert teacher.name.startswith(f"{name}-")
    assert teacher.default == default
    frames = teacher.embed_windows(noise(num_samples))
    assert frames.dtype == np.float32
    assert frames.shape == (num_frames(num_samples), teacher.width)
    assert np.isfinite(frames).all()
    states = teacher.hidden_states(noise(num_samples)[None])
    assert len(states) == teacher.num_layers + 1
    for tap, state in zip(teacher.states, states, strict=True):
        assert state.shape == (1, num_frames(num_samples), teacher.widths[tap])
        np.testing.assert_array_equal(state[0], teacher.embed_windows(noise(num_samples), tap))


@each
def test_a_batch_is_its_clips(teachers, name):
    teacher = teachers[name]
    waveform, lengths = noise(40_000).reshape(2, 20_000), [20_000, 9_000]
    states = teacher.hidden_states(waveform, lengths)
    for tap, state in zip(teacher.states, states, strict=True):
        for row, length in enumerate(lengths):
            alone = teacher.embed_windows(waveform[row, :length], tap)
            np.testing.assert_array_equal(state[row, : len(alone)], alone)
            assert not state[row, len(alone) :].any()


@each
def test_sound_reaches_every_tap(teachers, name):
    """A tap that ignores its input would pass the tests of shapes."""
    teacher = teachers[name]
    for tap in teacher.taps:
        loud, quiet = (teacher.embed_windows(noise(16_000, seed), tap) for seed in (1, 2))
        assert np.abs(loud - quiet).max() > 1e-4, tap


@each
def test_as_many_layers_as_asked(checkpoints, teachers, name):
    teacher = teachers[name]
    first = FAMILIES[name](checkpoints[name], num_layers=2)
    assert first.num_layers == 2
    assert first.name == f"{teacher.name}-2"
    assert first.states == teacher.states[:3]
    for tap in first.taps:
        np.testing.assert_allclose(
            first.embed_windows(noise(9_000), tap), teacher.embed_windows(noise(9_000), tap), atol=1e-6
        )
    with pytest.raises(ValueError, match=rf"num_layers must be in \[0, {teacher.num_layers}\], got 99"):
        FAMILIES[name](checkpoints[name], num_layers=99)


@each
def test_a_tensor_of_another_shape(checkpoints, name, tmp_path):
    tensors = load_file(checkpoints[name].folder / "model.safetensors")
    some = next(key for key in tensors if key.endswith("bias"))
    (tmp_path / "config.json").write_text(json.dumps({"name": name}))
    save_file({**tensors, some: tensors[some][1:]}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=rf"{some} of .* must have the shape"):
        FAMILIES[name](open_checkpoint(tmp_path))
    del tensors[some]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=f"must hold the tensor {some}"):
        FAMILIES[name](open_checkpoint(tmp_path))


def test_soundstream_sees_nothing_of_the_future(teachers):
    teacher, waveform = teachers["lyra_soundstream_encoder"], noise(6_400)
    changed = waveform.copy()
    changed[3_200:] += 0.5
    for tap in teacher.taps:
        before, after = teacher.embed_windows(waveform, tap), teacher.embed_windows(changed, tap)
        np.testing.assert_array_equal(before[:10], after[:10])
        assert (before[10] != after[10]).any()


def test_soundstream_in_blocks_is_soundstream_at_once(checkpoints, monkeypatch):
    teacher = soundstream.load(checkpoints["lyra_soundstream_encoder"])
    waveform = noise(60_000)
    whole = {tap: teacher.embed_windows(waveform, tap) for tap in teacher.taps}
    monkeypatch.setattr(soundstream, "BLOCK", 50 * soundstream.HOP)
    for tap in teacher.taps:
        np.testing.assert_allclose(teacher.embed_windows(waveform, tap), whole[tap], atol=5e-5)
    # The context is no larger than it must be by much: without it, blocks are seen.
    monkeypatch.setattr(soundstream, "CONTEXT", 20 * soundstream.HOP)
    assert np.abs(teacher.embed_windows(waveform) - whole["features"]).max() > 1e-4


def test_silero_remembers_and_sees_nothing_of_the_future(teachers):
    teacher, waveform = teachers["silero_vad_16k"], noise(10_240)
    state = teacher.embed_windows(waveform)
    np.testing.assert_allclose(teacher.embed_windows(waveform[:5_120]), state[:10], atol=1e-6)
    changed = waveform.copy()
    changed[:512] = 0
    assert np.abs(teacher.embed_windows(changed)[5:] - state[5:]).max() > 1e-6
    np.testing.assert_allclose(
        teacher.embed_windows(changed, "conv4")[2:], teacher.embed_windows(waveform, "conv4")[2:], atol=1e-6
    )


def test_crepe_hears_no_loudness_and_no_offset(teachers):
    teacher, waveform = teachers["crepe_tiny"], noise(8_000)
    louder = teacher.embed_windows(3 * waveform)
    np.testing.assert_allclose(louder, teacher.embed_windows(waveform), atol=1e-4)
    # The windows away from the ends see no zeros before or after the clip.
    np.testing.assert_allclose(crepe.windows_of(waveform + 0.5)[2:-2], crepe.windows_of(waveform)[2:-2], atol=1e-4)
    np.testing.assert_allclose(crepe.windows_of(waveform).std(axis=1, ddof=1), 1, atol=1e-6)
    assert not crepe.windows_of(np.zeros(2_000, np.float32)).any()


def test_crepe_windows_are_centred():
    rows = crepe.windows_of(np.eye(1, 2_000, 640, dtype=np.float32)[0])
    assert rows.shape == (7, 1_024)
    assert [int(row.argmax()) for row in rows[1:4]] == [512 + 320, 512, 512 - 320]


def test_silero_chunks():
    clip = np.arange(1, 1_101, dtype=np.float32)
    chunks = silero.chunks_of(clip)
    assert chunks.shape == (3, 640)
    assert not chunks[0, :64].any()
    np.testing.assert_array_equal(chunks[1, :576], clip[448:1_024])
    np.testing.assert_array_equal(chunks[1, 576:], clip[1_022 : 1_022 - 64 : -1])
    assert not chunks[2, 64 + 1_100 - 1_024 : 576].any()


def test_yamnet_is_its_network_on_windows(teachers):
    """Front end, cutting and flattening, each by another way."""
    teacher, waveform = teachers["yamnet_float_layers1to11"], noise(40_000)
    rows = windows.frame(waveform, 15_600, 7_680)
    maps = teacher.network(log_mel(rows, FRONTENDS["yamnet"]))
    assert maps["layer10"].shape == (4, 12, 8, 256)
    flat = teacher.embed_windows(waveform, "layer10")
    np.testing.assert_allclose(flat, np.reshape(maps["layer10"], (4, -1)), atol=1e-5)
    mean = np.mean(keras.ops.convert_to_numpy(maps["layer11"]), axis=(1, 2))
    np.testing.assert_allclose(teacher.embed_windows(waveform), mean, atol=1e-5)


def test_the_small_network_has_no_activation_after_depthwise_convolutions(teachers):
    for name, negative in (("audioset_mobilenet_320ms", True), ("yamnet_float_layers1to11", False)):
        assert (teachers[name].embed_windows(noise(6_000), "layer2") < 0).any() == negative
        assert (teachers[name].embed_windows(noise(6_000), "layer3") >= 0).all()


def test_quantized_kernels_are_multiplied_by_the_scale_of_their_output(tmp_path):
    folder = tmp_path / "float"
    plain = random_checkpoint("audioset_mobilenet_320ms", folder)
    tensors = load_file(folder / "model.safetensors")
    rng = np.random.default_rng(0)
    quantized = {}
    for name, value in tensors.items():
        if name.endswith("kernel"):
            quantized[f"{name}_int8"] = rng.integers(-127, 128, value.shape).astype(np.int8)
            quantized[f"{name}_scale"] = rng.uniform(0.001, 0.01, value.shape[-1]).astype(np.float32)
            tensors[name] = quantized[f"{name}_int8"] * quantized[f"{name}_scale"]
        else:
            quantized[name] = value
    save_file(tensors, folder / "model.safetensors")
    save_file(quantized, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(plain.config))
    ours, right = (yamnet.load(open_checkpoint(path)).embed_windows(noise(6_000)) for path in (tmp_path, folder))
    np.testing.assert_allclose(ours, right, rtol=1e-5, atol=1e-5)


def test_layer10_is_frozen(checkpoints, teachers):
    model = yamnet.yamnet_layer10(checkpoints["yamnet_float_layers1to11"].folder)
    assert not model.trainable_weights
    windows_ = noise(96 * 64).reshape(1, 96, 64)
    layer10 = teachers["yamnet_float_layers1to11"].network(windows_)["layer10"]
    np.testing.assert_allclose(model(windows_), layer10, atol=1e-5)


def test_another_network_is_refused(checkpoints):
    with pytest.raises(ModelError, match="name must be one of yamnet_relu6, "):
        yamnet.load(checkpoints["crepe_tiny"])


ON_JAX = """
import sys
import keras
import numpy as np
from distill.teachers import crepe, silero, soundstream, yamnet
from distill.teachers.hub import open_checkpoint
assert keras.backend.backend() == "jax"
families = yamnet.FAMILIES | crepe.FAMILIES | silero.FAMILIES | soundstream.FAMILIES
for folder in sys.argv[2:]:
    checkpoint = open_checkpoint(folder)
    np.save(f"{folder}.npy", families[checkpoint.config["name"]](checkpoint).embed_windows(np.load(sys.argv[1])))
"""


@pytest.mark.slow
def test_on_jax_they_are_the_same(teachers, checkpoints, tmp_path):
    np.save(tmp_path / "waveform.npy", noise(9_000))
    folders = [str(checkpoint.folder) for checkpoint in checkpoints.values()]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", ON_JAX, tmp_path / "waveform.npy", *folders], check=True, env=environment)
    for name, folder in zip(checkpoints, folders, strict=True):
        np.testing.assert_allclose(np.load(f"{folder}.npy"), teachers[name].embed_windows(noise(9_000)), atol=1e-4)


# The real weights. Of each value that the fixtures hold: the tap that gives it from the raw waveform, and the tolerance
# of the weights' README (most say what an independent float implementation reaches; float16 values are rounded).
FIXTURES = {
    "yamnet_float_layers1to11": {"layer10": ("layer10", 1e-4), "layer11_mean": ("embedding", 1e-5)},
    "yamnet_relu6": {
        "float_layer10": ("layer10", 1e-4),
        "float_embedding": ("embedding", 1e-4),
        "float_scores": ("scores", 1e-4),
    },
    "audioset_mobilenet_320ms": {"embedding": ("embedding", 1e-5), "scores": ("scores", 1e-5)},
    "lyra_soundstream_encoder": {"float_features": ("features", 1e-4)},
    "crepe_tiny": {"embed_hop320": ("layer5", 1e-5), "activation_hop320": ("pitch", 1e-5)},
    "silero_vad_16k": {
        "lstm_h": ("lstm", 2e-5),
        "prob": ("probability", 1e-5),
        "conv4_own_forward": ("conv4", 1e-4),
    },
}


@pytest.fixture(scope="module")
def real_teachers():
    loaded = {}
    return lambda name: loaded.setdefault(name, FAMILIES[name](open_checkpoint(TEACHERS / name)))


def fixture_of(name):
    return np.load(TEACHERS / name / "fixture.npz")


def error(ours, stored):
    """The largest difference, less the rounding of stored float16."""
    rounding = np.spacing(np.abs(stored)).astype(np.float64) / 2 if stored.dtype == np.float16 else 0
    return (np.abs(ours.astype(np.float64) - stored) - rounding).max()


@real
@pytest.mark.parametrize(
    ("name", "value", "clip"),
    [(name, value, clip) for name, rows in FIXTURES.items() for value, clip in itertools.product(rows, CLIPS)],
)
def test_real_weights_give_what_comes_with_them(real_teachers, name, value, clip):
    stored = fixture_of(name)[f"{clip}_{value}"]
    tap, tolerance = FIXTURES[name][value]
    frames = real_teachers(name).embed_windows(fixture_of(name)[f"{clip}_wav"], tap)
    # Windows that reach past the end are ours alone.
    assert error(frames[: len(stored)].reshape(stored.shape), stored) <= tolerance


@real
@pytest.mark.parametrize(("value", "tap"), [("encoder0_down", "stage1"), ("encoder1_down", "stage2")])
@pytest.mark.parametrize("clip", CLIPS)
def test_soundstream_at_its_own_rates(real_teachers, value, tap, clip):
    """6e-4 on values up to 1171, says the README."""
    fixture = fixture_of("lyra_soundstream_encoder")
    network = real_teachers("lyra_soundstream_encoder").network
    maps = network({"waveform": fixture[f"{clip}_wav"][None, :, None]})
    assert error(keras.ops.convert_to_numpy(maps[tap])[0], fixture[f"{clip}_{value}"]) <= 6e-4


@real
def test_crepe_on_the_frames_of_its_repository(real_teachers):
    fixture = fixture_of("crepe_tiny")
    pitch = real_teachers("crepe_tiny").network({"window": fixture["repo_test_frames"]})["pitch"]
    assert error(keras.ops.convert_to_numpy(pitch), fixture["repo_test_activation"]) <= 1e-6


@real
@pytest.mark.parametrize("clip", CLIPS)
def test_int8_originals_differ_by_their_noise(real_teachers, clip):
    """The README's figures: YAMNet's embedding by a cosine of 0.9990, Lyra's features by 0.992 a frame, rounded."""
    for name, value, lowest in (
        ("yamnet_relu6", "embedding", 0.9989),
        ("lyra_soundstream_encoder", "features", 0.9915),
    ):
        stored = fixture_of(name)[f"{clip}_int8_{value}"]
        ours = real_teachers(name).embed_windows(fixture_of(name)[f"{clip}_wav"], value)[: len(stored)]
        cosine = (ours * stored).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(stored, axis=1)
        assert cosine.min() > lowest
