"""wav2vec 2.0, HuBERT and WavLM: small ones with random weights against the definition in float64."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from distill.teachers import hub, wav2vec2
from distill.teachers.relative_position import buckets
from distill.teachers.teacher import Teacher
from distill.teachers.wav2vec2_config import EXAMPLE, config
from scripts.make_ssl_checkpoint import FAMILIES, LARGE, SIZES, shapes, write_checkpoint
from tests.oracles import wav2vec2 as oracle
from trill.errors import ModelError
from trill.representation import Representation

ROOT = Path(__file__).parents[2]
ATOL = 5e-5  # of values about 1; float32 is within 2e-5 of the definition
SMALL = {
    "conv_dim": [8, 6, 8],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "layer_norm_eps": 1e-5,
}
BASE = EXAMPLE | SMALL
LAYER = EXAMPLE | LARGE | SMALL
WAVLM = {"model_type": "wavlm", "num_buckets": 16, "max_bucket_distance": 10, "conv_bias": False}
FORMS = {
    "base": BASE,
    "large": LAYER | {"model_type": "hubert"},
    "wavlm base": BASE | WAVLM,
    "wavlm large": LAYER | WAVLM,
    "biased convolutions, an odd positional kernel": BASE | {"conv_bias": True, "num_conv_pos_embeddings": 5},
    "no norm before the projection": BASE | {"model_type": "hubert", "feat_proj_layer_norm": False},
    "layer norms, post-norm blocks": LAYER | {"do_stable_layer_norm": False, "layer_norm_eps": 1e-3},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of each form."""
    folders = {form: tmp_path_factory.mktemp("checkpoint") for form in FORMS}
    for form, folder in folders.items():
        write_checkpoint(folder, FORMS[form], normalize=form != "wavlm base")
    return folders


@pytest.fixture(scope="module")
def teachers(written):
    return {form: wav2vec2.load(hub.open_checkpoint(folder)) for form, folder in written.items()}


def waveform(num_samples, seed=0):
    """Loud, and not around zero, so that normalising shows."""
    return (0.3 + 0.2 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32)


def normalized(clip, form):
    if form == "wavlm base":
        return clip
    clip = clip.astype(np.float64)
    return (clip - clip.mean()) / np.sqrt(((clip - clip.mean()) ** 2).mean() + 1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_one_clip_is_the_definition(form, written, teachers):
    clip = waveform(700)
    expected = oracle.hidden_states(load_file(written[form] / hub.WEIGHTS), FORMS[form], normalized(clip, form))
    assert np.abs(np.diff(expected, axis=1)).max() > 0.1  # that every frame is alike would hide much
    found = np.concatenate(teachers[form].hidden_states(clip[None]))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ATOL)
    for tap, state in zip(teachers[form].taps, found, strict=True):
        np.testing.assert_allclose(teachers[form].embed_windows(clip, tap), state, rtol=0, atol=ATOL)
    np.testing.assert_array_equal(teachers[form].embed_windows(clip), teachers[form].embed_windows(clip, "layer3"))


@pytest.mark.parametrize("form", ["base", "large", "wavlm base", "wavlm large"])
def test_a_padded_batch_is_the_definition_with_its_mask(form, written, teachers):
    lengths, num_samples = [700, 431, 200], 750  # longer than the longest clip: group norm sees that too
    batch = np.stack([np.pad(waveform(length, seed), (0, num_samples - length)) for seed, length in enumerate(lengths)])
    states = np.stack(teachers[form].hidden_states(batch, lengths))
    tensors = load_file(written[form] / hub.WEIGHTS)
    for row, length in enumerate(lengths):
        frames = config(FORMS[form]).num_frames(length)
        padded = np.pad(normalized(batch[row, :length], form), (0, num_samples - length))
        expected = oracle.hidden_states(tensors, FORMS[form], padded, frames)
        np.testing.assert_allclose(states[:, row, :frames], expected[:, :frames], rtol=0, atol=ATOL)
        assert not states[:, row, frames:].any()


@settings(max_examples=15, deadline=None)
@given(length=st.integers(40, 600), padding=st.integers(0, 300), seed=st.integers(0, 9))
@pytest.mark.parametrize("form", ["large", "wavlm large"])
def test_neither_padding_nor_neighbours_change_a_clip(form, teachers, length, padding, seed):
    clip = waveform(length, seed)
    alone = np.concatenate(teachers[form].hidden_states(clip[None]))
    batch = np.stack([np.pad(clip, (0, padding), constant_values=1), waveform(length + padding, seed + 1)])
    together = np.stack(teachers[form].hidden_states(batch, [length, length + padding]))[:, 0]
    np.testing.assert_allclose(together[:, : alone.shape[1]], alone, rtol=0, atol=ATOL)


def test_padding_changes_a_base_form_and_neighbours_do_not(teachers):
    clip, length = waveform(700), 500
    alone = teachers["base"].hidden_states(clip[None], [length])[-1]
    for seed in range(3):
        together = teachers["base"].hidden_states(np.stack([clip, waveform(700, seed)]), [length, 700])[-1]
        np.testing.assert_allclose(together[:1], alone, rtol=0, atol=ATOL)
    frames = teachers["base"].num_frames(length)
    unpadded = teachers["base"].embed_windows(clip[:length])
    assert np.abs(alone[0, :frames] - unpadded).max() > 0.01


@given(num_samples=st.integers(0, 3000))
def test_frames_are_counted_as_the_convolutions_make_them(num_samples):
    c = config(EXAMPLE)
    assert c.num_frames(num_samples) == max(0, (num_samples - c.window_samples) // c.hop_samples + 1)


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(320, 800), (16, 10), (32, 40)])
def test_buckets_are_the_definition(num_buckets, max_distance):
    half, exact = num_buckets // 2, num_buckets // 4
    frames = 900 if num_buckets == 320 else 60
    found = buckets(frames, num_buckets, max_distance)
    assert found.shape == (frames, frames)
    for distance in range(1 - frames, frames):
        far = exact + int(np.log(max(1, abs(distance)) / exact) / np.log(max_distance / exact) * (half - exact))
        expected = (abs(distance) if abs(distance) < exact else min(far, half - 1)) + half * (distance > 0)
        assert np.unique(np.diagonal(found, distance)).tolist() == [expected], distance


ON_JAX = """
import sys, keras, numpy as np
from distill.teachers import hub, wav2vec2
assert keras.backend.backend() == "jax"
folder, clip, output = sys.argv[1:]
states = wav2vec2.load(hub.open_checkpoint(folder)).hidden_states(np.load(clip), [700, 500])
np.save(output, np.stack(states))
"""


def test_jax_computes_the_same(written, teachers, tmp_path):
    pytest.importorskip("jax")
    batch = np.stack([waveform(700), waveform(700, 1)])
    np.save(tmp_path / "clip.npy", batch)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    files = (written["wavlm large"], tmp_path / "clip.npy", tmp_path / "states.npy")
    subprocess.run([sys.executable, "-c", ON_JAX, *files], check=True, env=environment, cwd=ROOT)
    expected = np.stack(teachers["wavlm large"].hidden_states(batch, [700, 500]))
    np.testing.assert_allclose(np.load(tmp_path / "states.npy"), expected, rtol=0, atol=ATOL)


def test_a_teacher_meets_the_contracts(teachers):
    teacher = teachers["large"]
    assert isinstance(teacher, Teacher)
    assert isinstance(teacher, Representation)
    assert (teacher.sample_rate, teacher.width, teacher.num_layers) == (16_000, 16, 3)
    assert (teacher.hop_samples, teacher.window_samples) == (20, 30)
    assert teacher.taps == ("layer0", "layer1", "layer2", "layer3")
    assert teacher.embed_windows(waveform(700)).dtype == np.float32
    assert set(wav2vec2.FAMILIES) == {"wav2vec2", "hubert", "wavlm"} == set(FAMILIES)


@pytest.mark.parametrize("form", ["base", "wavlm large"])
@pytest.mark.parametrize("num_layers", [0, 2])
def test_fewer_blocks_are_read_and_run(form, num_layers, written, teachers, monkeypatch):
    checkpoint, read = hub.open_checkpoint(written[form]), []
    tensor = hub.Checkpoint.tensor
    monkeypatch.setattr(hub.Checkpoint, "tensor", lambda self, name: read.append(name) or tensor(self, name))
    teacher = wav2vec2.load(checkpoint, num_layers)
    assert {name.split(".")[2] for name in read if "encoder.layers." in name} - {"0"} == {
        str(i) for i in range(1, num_layers)
    }
    clip = waveform(700)[None]
    assert teacher.num_layers == num_layers
    expected = teachers[form].hidden_states(clip)[: num_layers + 1]
    np.testing.assert_allclose(teacher.hidden_states(clip), expected, rtol=0, atol=ATOL)
    assert teacher.name == f"{teachers[form].name}-{num_layers}"
    assert teacher.fingerprint == teachers[form].fingerprint
    with pytest.raises(ValueError, match=r"num_layers must be in \[0, 3\], got 4"):
        wav2vec2.load(checkpoint, 4)


def test_blocks_above_a_tap_are_not_run(teachers):
    ran = []
    teacher = teachers["base"]
    teacher = dataclasses.replace(teacher, _block=lambda *inputs: ran.append(1) or teachers["base"]._block(*inputs))
    teacher.embed_windows(waveform(300), "layer1")
    assert len(ran) == 1


def edited(folder, output, *, rename=lambda name: name, add=None, **settings):
    """A copy of a checkpoint with tensors renamed or added and settings of `config.json` changed; None removes one."""
    tensors = {rename(name): value for name, value in load_file(folder / hub.WEIGHTS).items()} | (add or {})
    save_file({name: value for name, value in tensors.items() if value is not None}, output / hub.WEIGHTS)
    content = json.loads((folder / "config.json").read_text()) | settings
    (output / "config.json").write_text(
        json.dumps({name: value for name, value in content.items() if value is not None})
    )
    (output / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    return hub.open_checkpoint(output)


def test_prefix_head_and_old_names_change_nothing(written, teachers, tmp_path):
    def old(name):
        for new, before in (("original0", "weight_g"), ("original1", "weight_v")):
            name = name.replace(f"parametrizations.weight.{new}", before)
        return f"hubert.{name}"

    head = {"lm_head.weight": np.ones((12, 16), np.float32), "classifier.bias": np.ones(3, np.float32)}
    teacher = wav2vec2.load(edited(written["large"], tmp_path, rename=old, add=head))
    clip = waveform(500)
    np.testing.assert_array_equal(teacher.embed_windows(clip), teachers["large"].embed_windows(clip))
    assert teacher.fingerprint != teachers["large"].fingerprint


def test_unknown_tensors_are_listed(written, tmp_path):
    add = {f"extra.{i}": np.ones(2, np.float32) for i in range(6)}
    with pytest.warns(UserWarning, match=r"no known part, which are not read: extra\.0, .*extra\.4 and 1 more"):
        wav2vec2.load(edited(written["base"], tmp_path, add=add))


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ("base", {"model_type": "data2vec"}, r"model_type of .* must be wav2vec2, hubert, wavlm, got 'data2vec'"),
        ("base", {"hidden_size": None}, r"hidden_size of .*config.json must be a positive whole number, got none"),
        ("base", {"hidden_size": True}, "hidden_size .* got True"),
        ("base", {"num_hidden_layers": 2**40}, "num_hidden_layers .* got 1099511627776"),
        ("base", {"num_hidden_layers": 10**9}, r"must hold encoder\.layers\.3\.layer_norm\.weight of shape .*got none"),
        ("base", {"conv_stride": [5, 2, 0]}, "conv_stride .* a list of positive whole numbers"),
        ("base", {"conv_stride": [5, 2]}, "must be equally long"),
        ("base", {"conv_stride": [2**30] * 3}, "at most ten seconds"),
        (
            "base",
            {"conv_kernel": [10, 3, 4]},
            r"conv_layers\.2\.conv\.weight of shape \(8, 6, 4\) .*got shape \(8, 6, 2\)",
        ),
        ("base", {"num_attention_heads": 5}, "multiple of num_attention_heads"),
        ("base", {"num_conv_pos_embedding_groups": 3}, "multiple of num_conv_pos_embedding_groups"),
        ("base", {"hidden_size": 32}, r"got shape \(16, 8\)"),
        ("base", {"layer_norm_eps": 0.0}, "a small positive number, got 0.0"),
        ("base", {"feat_extract_norm": "batch"}, '"group" or "layer", got \'batch\''),
        ("base", {"feat_extract_norm": "layer"}, r"conv_layers\.1\.layer_norm\.weight"),
        ("base", {"hidden_act": "relu"}, "hidden_act of .* must be 'gelu', got 'relu': no other is computed here"),
        ("base", {"add_adapter": True}, "add_adapter of .* must be False, got True"),
        ("base", {"adapter_attn_dim": 16}, "adapter_attn_dim of .* must be None, got 16"),
        ("base", {"conv_pos_batch_norm": True}, "conv_pos_batch_norm"),
        ("base", {"model_type": "wavlm"}, "num_buckets of .* got none"),
        ("wavlm base", {"num_buckets": 18}, "num_buckets must be a multiple of 4"),
        ("wavlm base", {"max_bucket_distance": 4}, "max_bucket_distance must exceed"),
        ("wavlm base", {"num_buckets": 20}, r"rel_attn_embed\.weight of shape \(20, 4\)"),
    ],
)
def test_what_a_checkpoint_claims_is_checked(form, settings, message, written, tmp_path):
    with pytest.raises(ModelError, match=message):
        wav2vec2.load(edited(written[form], tmp_path, **settings))


@pytest.mark.parametrize(
    "preprocessor",
    [{}, {"sampling_rate": 16_000}, {"sampling_rate": "16k", "do_normalize": True}, {"do_normalize": True}],
)
def test_how_a_waveform_is_prepared_must_be_said(preprocessor, written):
    checkpoint = dataclasses.replace(hub.open_checkpoint(written["base"]), preprocessor=preprocessor)
    with pytest.raises(ModelError, match="must say sampling_rate in Hz and do_normalize"):
        wav2vec2.load(checkpoint)


def test_a_clip_shorter_than_a_frame_is_padded_to_one(teachers):
    clip = waveform(7)
    (state, *_) = teachers["large"].hidden_states(clip[None])
    assert state.shape == (1, 1, 16)
    assert np.abs(state).max() > 0.1  # zeros would be a frame after the clip's end
    batch = np.stack([np.pad(clip, (0, 193)), waveform(200)])
    together = teachers["large"].hidden_states(batch, [7, 200])[0]
    np.testing.assert_allclose(together[0, :1], state[0], rtol=0, atol=ATOL)
    assert not together[0, 1:].any()


@pytest.mark.parametrize("form", ["base", "large"])
@pytest.mark.parametrize("clip", [np.zeros(300, np.float32), np.full(300, 1e-20, np.float32), np.ones(300, np.float32)])
def test_silence_is_finite(form, clip, teachers):
    assert np.isfinite(teachers[form].hidden_states(clip[None])).all()


@pytest.mark.parametrize(
    ("clip", "arguments", "message"),
    [
        (np.zeros((2, 100)), ([100],), "lengths"),
        (np.zeros((2, 100)), ([100, 101],), "lengths"),
        (np.zeros((2, 100)), ([100, 0],), "lengths"),
        (np.zeros(100), (), "waveform must be"),
        (np.zeros((1, 0)), (), "waveform must be"),
        (np.full((1, 100), np.nan), (), "finite"),
        (np.zeros((1, 320_000)), (), r"a clip may last 15 s, got 20\.0 s\. Cut it"),
    ],
)
def test_what_is_no_clip_is_refused(clip, arguments, message, teachers):
    with pytest.raises(ValueError, match=message):
        teachers["base"].hidden_states(clip, *arguments)


def test_the_longest_clip_of_a_published_size(teachers):
    """Two minutes of a large model; 320 samples a frame."""
    large = dataclasses.replace(teachers["large"], config=config(SIZES["large"]))
    assert large.max_seconds == 120


def test_a_longer_clip_is_embedded_in_parts(teachers, monkeypatch):
    monkeypatch.setattr(wav2vec2, "MAX_SCORES", teachers["base"].config.heads * 50**2)  # 50 frames
    longest = round(teachers["base"].max_seconds * 16_000)
    clip = waveform(2 * longest + 7)
    parts = [teachers["base"].embed_windows(clip[first : first + longest]) for first in (0, longest, 2 * longest)]
    found = teachers["base"].embed_windows(clip)
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert len(parts[2]) == 1


def test_unknown_taps_are_refused(teachers):
    with pytest.raises(ValueError, match=r"tap must be one of layer0, layer1, layer2, layer3, got 'layer4'"):
        teachers["base"].embed_windows(waveform(300), "layer4")


@pytest.mark.parametrize(
    ("size", "family", "parameters"),
    [("base", "wav2vec2", 94_371_712), ("large", "wav2vec2", 315_438_720), ("large", "wavlm", 315_453_120)],
)
def test_made_checkpoints_have_the_published_sizes(size, family, parameters):
    """Of the hub's wav2vec2-base, wav2vec2-large-lv60 and wavlm-large, without heads."""
    content = SIZES[size] | FAMILIES[family] | {"model_type": family}
    assert sum(int(np.prod(shape)) for shape in shapes(content).values()) == parameters


PEAK = """
import sys, numpy as np
from keras import ops
from distill.teachers import hub, wav2vec2

def memory(field):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(field))

ops.convert_to_numpy(ops.matmul(np.ones((4, 4), "float32"), np.ones((4, 4), "float32")))
before = memory("VmRSS")
teacher = wav2vec2.load(hub.open_checkpoint(sys.argv[1]), int(sys.argv[2]))
states = teacher.hidden_states(0.1 * np.random.default_rng(0).standard_normal((1, 16_000), np.float32))
assert len(states) == int(sys.argv[2]) + 1 and all(np.isfinite(state).all() for state in states)
print(memory("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
@pytest.mark.parametrize(("size", "num_layers", "share"), [("base", 12, 1.5), ("large", 24, 1.5), ("large", 17, 1.1)])
def test_a_published_size_runs_within_its_file_and_a_half(size, num_layers, share, tmp_path):
    """Peak memory of a fresh process, over what the framework alone takes."""
    command = [sys.executable, ROOT / "scripts/make_ssl_checkpoint.py", tmp_path, "--size", size, "--family", "wavlm"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    command = [sys.executable, "-c", PEAK, tmp_path, str(num_layers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert int(done.stdout) < share * (tmp_path / hub.WEIGHTS).stat().st_size
