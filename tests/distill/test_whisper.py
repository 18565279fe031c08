"""Whisper against its definition and against the reference's values, and what must hold for every clip."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from distill.teachers import whisper
from distill.teachers.hub import Checkpoint, open_checkpoint
from distill.teachers.whisper_encoder import HUB_LAYERS, HUB_WEIGHTS
from tests.oracles import whisper as oracle
from tests.sounds import noise
from trill.errors import ModelError
from trill.representation import Representation

BANDS, WIDTH, MLP, HEADS, BLOCKS, POSITIONS = 80, 8, 12, 2, 3, 40
CHUNK = POSITIONS * 320
CONFIG = {
    "model_type": "whisper",
    "num_mel_bins": BANDS,
    "d_model": WIDTH,
    "encoder_ffn_dim": MLP,
    "encoder_attention_heads": HEADS,
    "encoder_layers": BLOCKS,
    "max_source_positions": POSITIONS,
    "activation_function": "gelu",
}
PREPROCESSOR = {"sampling_rate": 16_000, "hop_length": 160, "n_fft": 400, "feature_size": BANDS, "n_samples": CHUNK}
PARITY = Path(__file__).parents[3] / "shared/parity"
TEACHER = Path(__file__).parents[3] / "shared/teachers/whisper_tiny_en_encoder"


def random_weights(seed=0):
    """An encoder's tensors by the hub's names, without a prefix, of numbers that float16 holds."""
    rng = np.random.default_rng(seed)
    shapes = {
        "conv1.weight": (WIDTH, BANDS, 3), "conv1.bias": (WIDTH,),
        "conv2.weight": (WIDTH, WIDTH, 3), "conv2.bias": (WIDTH,),
        "embed_positions.weight": (POSITIONS, WIDTH), "layer_norm.weight": (WIDTH,), "layer_norm.bias": (WIDTH,),
    }  # fmt: skip
    for block in range(BLOCKS):
        for part in "qkv":
            shapes[f"layers.{block}.self_attn.{part}_proj.weight"] = (WIDTH, WIDTH)
        for name in ("q_proj", "v_proj", "out_proj"):
            shapes[f"layers.{block}.self_attn.{name}.bias"] = (WIDTH,)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            shapes |= {f"layers.{block}.{name}.weight": (WIDTH,), f"layers.{block}.{name}.bias": (WIDTH,)}
        shapes[f"layers.{block}.self_attn.out_proj.weight"] = (WIDTH, WIDTH)
        shapes |= {f"layers.{block}.fc1.weight": (MLP, WIDTH), f"layers.{block}.fc1.bias": (MLP,)}
        shapes |= {f"layers.{block}.fc2.weight": (WIDTH, MLP), f"layers.{block}.fc2.bias": (WIDTH,)}
    values = {name: rng.normal(0.0, 0.5 if len(shape) > 1 else 0.2, shape) for name, shape in shapes.items()}
    for name in values:
        if name.endswith("norm.weight"):
            values[name] += 1
    return {name: value.astype(np.float16).astype(np.float32) for name, value in values.items()}


def write(folder, weights, config=CONFIG, preprocessor=PREPROCESSOR):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, folder / "model.safetensors")
    return open_checkpoint(folder)


def prefixed(weights, prefix="model.encoder."):
    decoder = {"model.decoder.layers.0.fc1.weight": np.ones((2, 2), np.float32)}
    return {f"{prefix}{name}": value for name, value in weights.items()} | decoder


def as_encoder_only(weights):
    """The other form: our names, kernels the other way round."""
    ours = {}
    for name, value in weights.items():
        if name == "embed_positions.weight":
            ours["positional_embedding"] = value
            continue
        block = re.match(r"layers\.(\d+)\.", name)
        layer, kind = name[block.end() if block else 0 :].rsplit(".", 1)
        layer = {hub: own for own, hub in HUB_LAYERS.items()}[layer]
        norm = layer.startswith("ln")
        kind = next(own for own, hub in HUB_WEIGHTS.items() if hub == kind and (own in ("gamma", "beta")) == norm)
        ours[f"{f'block{block[1]}.' if block else ''}{layer}.{kind}"] = value.T if kind == "kernel" else value
    return ours


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def checkpoint(weights, tmp_path_factory):
    return write(tmp_path_factory.mktemp("hub") / "tiny", prefixed(weights))


@pytest.fixture(scope="module")
def teacher(checkpoint):
    return whisper.load(checkpoint)


@pytest.fixture(scope="module")
def padding(checkpoint):
    return whisper.load(checkpoint, pad=True)


@pytest.mark.parametrize("bands", [80, 128])
def test_mel_filters_are_the_definition(bands):
    np.testing.assert_allclose(whisper.mel_filters(bands), oracle.mel_filters(bands), atol=1e-12)


@pytest.mark.parametrize("waveform", [noise(320), noise(4_800), np.pad(noise(1_600), (0, 1_600)), np.zeros(320)])
def test_log_mel_is_the_definition(waveform):
    ours = whisper.log_mel(waveform, 80)
    np.testing.assert_allclose(ours, oracle.log_mel(waveform, 80), atol=1e-6)
    assert ours.dtype == np.float32


def test_hidden_states_are_the_definition(teacher, weights):
    waveform = noise(6_400)
    expected = oracle.hidden_states(oracle.log_mel(waveform, BANDS), weights, HEADS, BLOCKS)
    states = teacher.hidden_states(waveform[None])
    assert len(states) == len(expected) == len(teacher.taps) == BLOCKS + 1
    for state, right in zip(states, expected, strict=True):
        np.testing.assert_allclose(state[0], right, atol=2e-5)


def test_padding_is_a_clip_with_zeros_behind_it(teacher, padding):
    waveform = noise(6_000)
    whole = np.pad(waveform, (0, CHUNK - 6_000))
    for padded, state, alone in zip(
        padding.hidden_states(waveform[None]),
        teacher.hidden_states(whole[None]),
        teacher.hidden_states(waveform[None]),
        strict=True,
    ):
        assert padded.shape == alone.shape == (1, 19, WIDTH)
        np.testing.assert_allclose(padded, state[:, :19], atol=1e-5)
    assert np.abs(padded - alone).max() > 1e-3


def test_forms_of_files_give_the_same_teacher(teacher, weights, tmp_path):
    dims = {"n_mels": BANDS, "d_model": WIDTH, "mlp": MLP, "heads": HEADS, "blocks": BLOCKS, "n_ctx": POSITIONS}
    half = {name: value.astype(np.float16) for name, value in weights.items()}
    forms = [
        write(tmp_path / "bare", weights),
        write(tmp_path / "encoder", prefixed(half, "encoder."), preprocessor=None),
        write(tmp_path / "own", as_encoder_only(weights), {"name": "mine", "dims": dims}, None),
    ]
    waveform = noise(2_000)
    names = {teacher.name}
    for form in forms:
        other = whisper.load(form)
        names.add(other.name)
        np.testing.assert_array_equal(other.embed_windows(waveform), teacher.embed_windows(waveform))
    assert len(names) == 4
    assert other.name.startswith("mine-")


@pytest.mark.parametrize("num_layers", [0, 1, 2])
def test_as_many_blocks_as_asked_are_read_and_run(checkpoint, teacher, num_layers, monkeypatch):
    read = []
    tensor = Checkpoint.tensor
    monkeypatch.setattr(Checkpoint, "tensor", lambda self, name: read.append(name) or tensor(self, name))
    first = whisper.load(checkpoint, num_layers)
    blocks = {int(name.split(".")[3]) for name in read if ".layers." in name}
    assert blocks == set(range(num_layers))
    assert first.num_layers == num_layers
    assert first.name == f"{teacher.name}-{num_layers}"
    waveform = noise(3_000)[None]
    for state, right in zip(first.hidden_states(waveform), teacher.hidden_states(waveform), strict=False):
        np.testing.assert_allclose(state, right, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 2 * CHUNK + 700), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_neighbours_and_what_is_past_the_end_change_no_clip(teacher, lengths, seed):
    waveform = np.random.default_rng(seed).normal(0, 0.1, (len(lengths), max(lengths))).astype(np.float32)
    states = teacher.hidden_states(waveform, lengths)
    for row, length in enumerate(lengths):
        frames = -(-length // 320)
        for tap, state in zip(teacher.taps, states, strict=True):
            np.testing.assert_allclose(
                state[row, :frames], teacher.embed_windows(waveform[row, :length], tap), atol=2e-5
            )
            assert not state[row, frames:].any()


def test_a_long_clip_is_its_chunks(teacher):
    waveform = noise(2 * CHUNK + 500)
    whole = teacher.embed_windows(waveform)
    parts = [teacher.embed_windows(waveform[start : start + CHUNK]) for start in (0, CHUNK, 2 * CHUNK)]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-5)
    assert len(whole) == 2 * POSITIONS + 2


def test_it_is_a_representation(teacher):
    assert isinstance(teacher, Representation)
    assert (teacher.sample_rate, teacher.hop_samples, teacher.width) == (16_000, 320, WIDTH)
    assert teacher.chunk_samples == CHUNK
    assert teacher.taps == ("layer0", "layer1", "layer2", "layer3")
    assert teacher.embed_windows(noise(16_000), "layer1").dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.embed_windows(noise(100), "layer9"), "tap must be one of layer0, .*, got 'layer9'"),
        (lambda t: t.embed_windows(noise(100)[None]), r"must be \(num_samples,\) and not empty, got shape \(1, 100\)"),
        (lambda t: t.embed_windows(np.empty(0)), "not empty"),
        (lambda t: t.embed_windows(np.zeros(100, np.int16)), "floating-point in .* got int16"),
        (lambda t: t.embed_windows(np.full(100, np.nan)), "must be finite"),
        (lambda t: t.hidden_states(noise(100)), r"must be \(batch, num_samples\)"),
        (lambda t: t.hidden_states(noise(100)[None], [101]), r"in \[1, 100\] for each of 1 rows, got \[101\]"),
        (lambda t: t.hidden_states(noise(100)[None], [0]), r"got \[0\]"),
        (lambda t: t.hidden_states(noise(100)[None], [9, 9]), "for each of 1 rows"),
    ],
)
def test_it_says_what_it_takes(teacher, call, message):
    with pytest.raises(ValueError, match=message):
        call(teacher)


@pytest.mark.parametrize("num_layers", [-1, 4])
def test_it_has_so_many_blocks(checkpoint, num_layers):
    with pytest.raises(ValueError, match=rf"num_layers must be in \[0, 3\], got {num_layers}"):
        whisper.load(checkpoint, num_layers)


def without(weights, name):
    return {key: value for key, value in weights.items() if name not in key}


@pytest.mark.parametrize(
    ("change", "config", "preprocessor", "message"),
    [
        (lambda w: w, {"model_type": "bert"}, {}, '"model_type": "whisper".* has \'bert\''),
        (lambda w: w, {"d_model": "8"}, {}, "d_model of .*config.json must be a positive integer, got '8'"),
        (lambda w: w, {"encoder_layers": 0}, {}, "encoder_layers .* got 0"),
        (lambda w: w, {"encoder_layers": 10**9}, {}, r"layers\.999999999\.fc1\.weight of shape \(12, 8\), got none"),
        (lambda w: w, {"d_model": 2**40}, {}, r"conv1\.weight of shape .* got \(8, 80, 3\)"),
        (lambda w: w, {"max_source_positions": 10**12}, {}, r"embed_positions\.weight of shape"),
        (lambda w: w, {"encoder_attention_heads": 3}, {}, "3 heads of .* must divide its width of 8"),
        (lambda w: w, {"activation_function": "relu"}, {}, "activation is gelu, got 'relu'"),
        (lambda w: w, {}, {"hop_length": 320}, "hop_length of .* must be 160, as Whisper's, got 320"),
        (lambda w: w, {}, {"sampling_rate": 8_000}, "sampling_rate of .* must be 16000"),
        (lambda w: w, {}, {"n_samples": 1}, f"n_samples of .* must be {CHUNK}"),
        (lambda w: without(w, "conv2.bias"), {}, {}, r"conv2\.bias of shape \(8,\), got none"),
        (lambda w: without(w, "layers.1.self_attn.q_proj.bias"), {}, {}, "q_proj.bias of shape"),
        (
            lambda w: w | {"layers.0.fc2.bias": np.zeros(3, np.float32)},
            {},
            {},
            r"fc2\.bias of shape \(8,\), got \(3,\)",
        ),
    ],
)
def test_a_checkpoint_that_contradicts_itself(weights, tmp_path, change, config, preprocessor, message):
    with pytest.raises(ModelError, match=message):
        whisper.load(write(tmp_path, change(weights), CONFIG | config, PREPROCESSOR | preprocessor))


ON_JAX = """
import sys
import keras
import numpy as np
from distill.teachers import whisper
from distill.teachers.hub import open_checkpoint
assert keras.backend.backend() == "jax"
teacher = whisper.load(open_checkpoint(sys.argv[1]))
waveform = np.load(sys.argv[2])
np.save(sys.argv[3], np.stack(teacher.hidden_states(waveform, [4_000, 2_100])))
"""


@pytest.mark.slow
def test_on_jax_it_is_the_same(teacher, checkpoint, tmp_path):
    waveform = noise(8_000).reshape(2, 4_000)
    np.save(tmp_path / "waveform.npy", waveform)
    paths = [checkpoint.folder, tmp_path / "waveform.npy", tmp_path / "states.npy"]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", ON_JAX, *paths], check=True, env=environment)
    states = np.stack(teacher.hidden_states(waveform, [4_000, 2_100]))
    np.testing.assert_allclose(np.load(tmp_path / "states.npy"), states, atol=2e-5)


def report(errors):
    """A table for those who see the test fail."""
    return "\n".join(f"{name:<40} {error:.1e}" for name, error in errors.items())


@pytest.mark.skipif(not PARITY.exists(), reason="the reference's values are not part of the repository")
@pytest.mark.parametrize("folder", ["whisper", "whisper_v3_fp16"])
def test_parity_with_the_reference(folder):
    expected = np.load(PARITY / folder / "expected.npz")
    teacher = whisper.load(open_checkpoint(PARITY / folder), pad=True)
    both = np.zeros((2, teacher.chunk_samples), np.float32)  # whole chunks: the reference gives frames past the sound
    errors = {}
    for row, clip in zip(both, "ab", strict=True):
        waveform = expected[f"wave_{clip}"]
        row[: len(waveform)] = waveform
        mel = teacher.log_mel(waveform).T
        errors[f"log-mel {clip}"] = np.abs(mel - expected[f"input_features_{clip}"]).max()
        states, right = teacher.hidden_states(row[None]), expected[f"hidden_{clip}"]
        assert len(states) == len(right)
        for layer, state in enumerate(right):
            errors[f"layer{layer} {clip}"] = np.abs(states[layer][0, : len(state)] - state).max()
    last = teacher.hidden_states(both)[-1]
    errors["last, batch"] = np.abs(last[:, :160] - expected["batch_last_first160"]).max()
    assert max(errors.values()) < 2e-5, report(errors)


@pytest.mark.skipif(not TEACHER.exists(), reason="the teachers are not part of the repository")
def test_tiny_en_gives_what_comes_with_its_weights():
    fixture = np.load(TEACHER / "fixture.npz")
    teacher = whisper.load(open_checkpoint(TEACHER), pad=True)
    errors = {}
    for clip in ("chirps", "espeak"):
        waveform = fixture[f"{clip}_wav"]
        states = teacher.hidden_states(waveform[None])
        mel = teacher.log_mel(waveform)[: len(waveform) // 160]
        errors[f"log-mel {clip}"] = np.abs(mel - fixture[f"{clip}_logmel_first"]).max()
        stored = fixture[f"{clip}_block1_first"]
        rounding = np.spacing(np.abs(stored)).astype(np.float64) / 2  # it is float16
        errors[f"block1 {clip}"] = (np.abs(states[2][0] - stored.astype(np.float64)) - rounding).max()
        errors[f"output {clip}"] = np.abs(states[-1][0] - fixture[f"{clip}_output_first"]).max()
    assert max(errors.values()) < 1e-4, report(errors)
