"""`load_teacher`: each way to name one, what it gives, and what a name that gives nothing says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import distill
import trill
from distill.teachers import hub, loading, presets
from distill.teachers.presets import Preset
from distill.teachers.wav2vec2_config import EXAMPLE
from distill.teachers.windowed import Windowed
from noss.representations import load_representation
from noss.representations.fingerprint import fingerprint
from scripts.make_ssl_checkpoint import FAMILIES, write_checkpoint
from tests.sounds import noise
from trill.errors import ModelError
from trill.representation import Representation

SHARED = Path(__file__).parents[3] / "shared"
WAVEFORM = noise(16_000).astype(np.float32)
TINY = EXAMPLE | {
    "conv_dim": [8] * 7, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 3,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4, "num_buckets": 8, "max_bucket_distance": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A tiny checkpoint of each family, random weights."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, (family, extra) in enumerate(FAMILIES.items()):
        write_checkpoint(folder / family, extra | TINY | {"model_type": family, "conv_bias": False}, seed=seed)
    return folder


@pytest.fixture
def named(monkeypatch):
    """A preset of those checkpoints."""
    row = Preset("tiny-hubert", "nobody/tiny-hubert", "hubert", 16, "MIT", "", layers=3, revision="refs/pr/1")
    monkeypatch.setattr(loading, "presets", lambda: {**presets.presets(), row.name: row})
    return row


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_goes_to_its_family(family, checkpoints):
    teacher = distill.load_teacher(checkpoints / family)
    assert isinstance(teacher, distill.Teacher)
    assert (teacher.sample_rate, teacher.num_layers, teacher.width, teacher.hop_samples) == (16_000, 3, 16, 320)
    assert family in teacher.name
    assert [state.shape for state in teacher.hidden_states(WAVEFORM[None])] == [(1, 49, 16)] * 4


def test_no_layer_after_the_tap_is_loaded(checkpoints):
    whole = distill.load_teacher(checkpoints / "wavlm")
    part = distill.load_teacher(f"{checkpoints / 'wavlm'}@layer1")
    assert (part.num_layers, part.taps) == (1, ("layer0", "layer1"))
    np.testing.assert_array_equal(part.embed_windows(WAVEFORM), whole.embed_windows(WAVEFORM, "layer1"))
    assert distill.load_teacher(checkpoints / "wavlm", num_layers=2).num_layers == 2
    for what, message in (
        ("@layer4", r"num_layers must be in \[0, 3\], got 4"),
        ("@top", r"tap must be one of layer0"),
    ):
        with pytest.raises(ValueError, match=message):
            distill.load_teacher(f"{checkpoints / 'wavlm'}{what}")
    with pytest.raises(ValueError, match=r"tap must be one of .* got 'layer1'"):
        distill.load_teacher(f"{checkpoints / 'wavlm'}@layer1", num_layers=2)


def test_a_name_is_its_id_and_revision_or_a_folder(checkpoints, named, monkeypatch):
    by_folder = distill.load_teacher(f"tiny-hubert:{checkpoints / 'hubert'}")
    asked = []

    def opened(name, revision=None):
        asked.append((name, revision))
        return hub.Checkpoint(**vars(original(checkpoints / "hubert")))

    original = hub.open_checkpoint
    monkeypatch.setattr(hub, "open_checkpoint", opened)
    assert distill.load_teacher("tiny-hubert").fingerprint == by_folder.fingerprint
    assert distill.load_teacher("tiny-hubert@layer1").num_layers == 1
    assert distill.load_teacher("nobody/tiny-hubert").name == by_folder.name
    assert asked == [(named.id, "refs/pr/1")] * 2 + [(named.id, None)]


def test_what_is_loaded_under_a_name_is_that_model(checkpoints, named):
    with pytest.raises(ModelError, match=r"tiny-hubert must be of family hubert, .* is of 'wavlm'"):
        distill.load_teacher(f"tiny-hubert:{checkpoints / 'wavlm'}")
    with pytest.raises(ModelError, match=r"hubert-base must have .*width 768.* has .*width 16"):
        distill.load_teacher(f"hubert-base:{checkpoints / 'hubert'}")


def test_another_sample_rate_is_the_teachers_or_not_the_names(checkpoints, named, tmp_path):
    write_checkpoint(tmp_path, TINY | {"model_type": "hubert"})
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": true, "sampling_rate": 8000}')
    assert distill.load_teacher(tmp_path).sample_rate == 8_000
    with pytest.raises(ModelError, match=r"must have sample_rate 16000, .* has sample_rate 8000"):
        distill.load_teacher(f"tiny-hubert:{tmp_path}")


@pytest.mark.parametrize("config", [{"model_type": "bert"}, {"name": ["x"]}, {}])
def test_a_model_of_no_known_family(config, checkpoints, tmp_path):
    weights = (checkpoints / "hubert/model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"must be one of wav2vec2, hubert, wavlm, whisper, .*targets-format\.md"):
        distill.load_teacher(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"a teacher must be one of these, got 'nothing':(.|\n)*NAME:FOLDER(.|\n)*wavlm-large"),
        ("", r"a teacher must be one of these, got ''"),
        ("none.tflite", r"a model file must be there, none\.tflite is none"),
        ("none.safetensors", r"none\.safetensors is none"),
        ("nobody/nothing", r"nobody/nothing is no folder here"),
        ("tfhub:nowhere", r"a SavedModel is a folder with saved_model\.pb, nowhere is none"),
        ("wavlm-large:nowhere", r"a checkpoint is a folder or a hub id"),
    ],
)
def test_what_is_wrong_with_a_name(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError if "tfhub" not in name else ValueError, match=message):
        distill.load_teacher(name)


def test_an_empty_folder_and_one_of_pickles(checkpoints, tmp_path):
    with pytest.raises(ModelError, match=r"must hold the file config\.json, got none"):
        distill.load_teacher(tmp_path)
    (tmp_path / "config.json").write_bytes((checkpoints / "hubert/config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"has pytorch_model\.bin: a pickle, which may run code when read"):
        distill.load_teacher(tmp_path)


@pytest.mark.parametrize("waveform", [np.full((16_000, 1), np.nan), np.zeros((2, 1, 9)), np.zeros(0), np.float32(1)])
@pytest.mark.parametrize("kind", ["hubert", "tiny"])
def test_no_sound_is_refused(kind, waveform, checkpoints, tiny):
    teacher = distill.load_teacher(tiny.tflite if kind == "tiny" else checkpoints / kind)
    with pytest.raises(ValueError, match="waveform must be"):
        teacher.embed_windows(np.asarray(waveform, np.float32))
    with pytest.raises(ValueError, match="waveform must be"):
        teacher.hidden_states(np.asarray(waveform, np.float32).T)


@pytest.mark.parametrize("suffix", ["tflite", "safetensors"])
def test_our_own_models_teach(suffix, tiny):
    path = getattr(tiny, suffix)
    teacher, embedder = distill.load_teacher(path), trill.load(path)
    assert isinstance(teacher, distill.Teacher)
    assert (teacher.name, teacher.fingerprint) == (embedder.card.identity, embedder.card.sha256)
    assert (teacher.taps, teacher.width) == (embedder.taps, embedder.embedding_dim)
    assert teacher.hop_samples == embedder.hop_samples
    np.testing.assert_array_equal(teacher.embed_windows(WAVEFORM), embedder.embed_windows(WAVEFORM))
    layer = distill.load_teacher(f"{path}@block5").embed_windows(WAVEFORM)
    np.testing.assert_array_equal(layer, embedder.using(tap="block5").embed_windows(WAVEFORM))
    with pytest.raises(ValueError, match=r"tap must be one of embedding, .* got 'no'"):
        distill.load_teacher(f"{path}@no")


def test_a_tap_of_its_own_name_becomes_the_teachers_choice():
    teacher = Windowed("x", 16_000, "", ("a", "b"), "a", lambda waveform, tap: np.full((1, 1), tap == "b"))
    assert loading._at(teacher, None).embed_windows(WAVEFORM) == 0
    assert loading._at(teacher, "b").embed_windows(WAVEFORM) == 1
    with pytest.raises(ValueError, match=r"tap must be one of a, b of x, got 'c'"):
        loading._at(teacher, "c")


def test_the_packaged_model_teaches_too():
    teacher = distill.load_teacher("mobilenet@final")
    assert (teacher.default, teacher.width) == ("final", 9_216)


def test_batches_of_our_own_models_are_clips_alone(tiny):
    teacher = distill.load_teacher(tiny.tflite)
    batch = noise((2, 48_000)).astype(np.float32)
    states = dict(zip(teacher.taps, teacher.hidden_states(batch, [48_000, 16_000]), strict=True))
    assert states["embedding"].shape == (2, len(teacher.embed_windows(batch[0])), teacher.width)
    np.testing.assert_array_equal(states["embedding"][0], teacher.embed_windows(batch[0]))
    np.testing.assert_array_equal(states["block5"][1, :1], teacher.embed_windows(batch[1, :16_000], "block5"))
    assert not states["block5"][1, 1:].any()
    with pytest.raises(ValueError, match="lengths must"):
        teacher.hidden_states(batch, [48_000, 48_001])


def test_a_file_of_a_checkpoint_is_not_the_checkpoint(checkpoints):
    with pytest.raises(ModelError, match=r"a checkpoint of the model hub is a folder, .*Pass .*/hubert\."):
        distill.load_teacher(checkpoints / "hubert/model.safetensors")


def test_the_benchmark_takes_a_teacher_by_name_alone(checkpoints, tiny):
    found = load_representation(f"distill:{checkpoints / 'wavlm'}@layer2")
    teacher = distill.load_teacher(checkpoints / "wavlm")
    assert isinstance(found, Representation)
    assert found.name.endswith("@layer2")
    np.testing.assert_array_equal(found.embed_windows(WAVEFORM), teacher.embed_windows(WAVEFORM, "layer2"))
    assert fingerprint(found) != fingerprint(load_representation(f"distill:{checkpoints / 'wavlm'}@layer1"))
    assert load_representation(f"distill:{tiny.tflite}@block5").embed_windows(WAVEFORM).ndim == 2
    with pytest.raises(ValueError, match="distill: must be followed by TEACHER@TAP"):
        load_representation("distill:")
    with pytest.raises(ModelError, match="a teacher must be one of these, got 'nothing'"):
        load_representation("distill:nothing")


def test_importing_is_light():
    code = "import distill, sys; distill.describe(); print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "jax", "sklearn", "safetensors", "ai_edge_litert"} & set(done.stdout.split())


@pytest.mark.skipif(not SHARED.exists(), reason="the teachers are not part of the repository")
@pytest.mark.parametrize("folder", [*sorted(SHARED.glob("parity/*/")), *sorted(SHARED.glob("teachers/*/"))], ids=str)
def test_every_real_checkpoint_is_a_teacher(folder):
    teacher = distill.load_teacher(folder)
    assert isinstance(teacher, distill.Teacher)
    frames = teacher.embed_windows(WAVEFORM)
    assert frames.shape[1] == teacher.width
    assert frames.dtype == np.float32
    assert abs(len(frames) - len(WAVEFORM) / teacher.hop_samples) <= 2
    assert len(teacher.hidden_states(WAVEFORM[None])) == teacher.num_layers + 1
