"""Every way to an embedding gives the same one, and it is the model's on the windows of the definition."""

import io
import logging
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trill
from tests.oracles import windows as oracle
from tests.sounds import encode, noise, tone
from trill import audio, presets
from trill.errors import AudioError, MissingPackageError, ModelError
from trill.representation import Representation

DIM = 51


def sound(seconds=2.0, seed=0):
    return noise(round(seconds * 16_000), seed, level=0.3)


def by_hand(embedder, waveform):
    """The model on each window of the definition, one at a time."""
    frames = np.array(oracle.frame(waveform.astype(np.float32), 15_600, embedder.hop_samples), np.float32)
    return np.concatenate([embedder.model.run(frame[None], embedder.tap) for frame in frames])


@settings(max_examples=10, deadline=None)
@given(length=st.integers(1, 60_000), hop=st.integers(1_000, 40_000))
def test_windows_are_the_definition(embedder, length, hop):
    waveform = noise(length, length)
    other = embedder.using(hop_seconds=hop / 16_000)
    found, times = other.embed_timed(waveform, 16_000)
    np.testing.assert_array_equal(found, by_hand(other, waveform))
    assert times.tolist() == oracle.times(length, 15_600, hop, 16_000)
    assert times.tolist() == other.window_times(length).tolist()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_long_sound_in_blocks_and_threads_is_the_same(tiny, embedder, threads):
    waveform = sound(3 * audio.BLOCK_SECONDS - 4.99)
    found = trill.load(tiny.tflite, threads=threads, hop_seconds=0.5).embed_windows(waveform)
    np.testing.assert_array_equal(found, by_hand(embedder.using(hop_seconds=0.5), waveform))


def test_every_way_gives_the_same(tiny, embedder, tmp_path):
    waveform = sound().astype(np.float32)
    expected = embedder.embed_windows(waveform)
    assert expected.shape == (7, DIM)
    assert expected.dtype == np.float32
    path = tmp_path / "clip.wav"
    path.write_bytes(encode(waveform, subtype="FLOAT"))
    for same in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        np.testing.assert_array_equal(trill.embed(same, model=tiny.tflite, pooling=None), expected)
    again = trill.embed(waveform, sample_rate=16_000, model=str(tiny.tflite), pooling=None)
    np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(embedder.embed_batch([waveform, path], 16_000)[1], embedder.embed(waveform, 16_000))


@pytest.mark.parametrize("pooling", ["mean", "max", "mean+std"])
def test_pooling(embedder, pooling):
    pooled = embedder.embed(sound(), 16_000, pooling=pooling)
    assert pooled.dtype == np.float32
    rows = embedder.embed(sound(), 16_000, pooling=None).astype(np.float64)
    np.testing.assert_allclose(pooled, oracle.pool(rows, pooling), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(embedder.embed_batch([sound()], 16_000, pooling=pooling), pooled[None])


def test_many_python_threads_at_once(embedder):
    sounds = [sound(0.5 + 0.3 * index, seed=index) for index in range(12)]
    expected = [embedder.embed(waveform, 16_000) for waveform in sounds]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda waveform: embedder.embed(waveform, 16_000), sounds))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(embedder.embed_batch(sounds, 16_000), expected)


@pytest.mark.parametrize(("tap", "dim"), [("embedding", DIM), ("final", 6 * 4 * 51), ("block5", 12 * 8 * 25)])
def test_taps_are_flattened(tiny, tap, dim):
    embedder = trill.load(tiny.tflite, tap=tap)
    assert embedder.taps == ("embedding", "final", "block5")
    assert embedder.embedding_dim == dim
    assert embedder.embed_windows(sound(1)).shape == (1, dim)
    assert trill.embed(sound(), 16_000, model=tiny.tflite, tap=tap, pooling="mean+std").shape == (2 * dim,)
    assert embedder.embed_batch([], 16_000, pooling="mean+std").shape == (0, 2 * dim)


def test_an_embedder_says_what_it_is(embedder):
    assert isinstance(embedder, Representation)
    assert (embedder.sample_rate, embedder.window_seconds, embedder.hop_seconds) == (16_000, 0.975, 0.17)
    assert (embedder.card.name, embedder.card.version, embedder.card.licence) == ("tiny", "1.2", "Apache-2.0")
    assert embedder.name == f"tiny-1.2-{embedder.card.sha256[:8]}:embedding"


def test_other_numbers_have_another_name(tiny, embedder):
    others = [
        embedder.using(tap="final"),
        embedder.using(hop_seconds=0.5),
        embedder.using(tap="final", hop_seconds=0.5),
        trill.load(tiny.safetensors),
        trill.load(),
    ]
    assert len({embedder.name, *(other.name for other in others)}) == 6
    assert embedder.using(tap="embedding", hop_seconds=0.17) == embedder
    assert embedder.using(tap="final").using(hop_seconds=0.5).tap == "final"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tap": "layer19"}, "tap must be one of embedding, final, block5 for tiny-1.2-.*, got 'layer19'"),
        ({"tap": ""}, "tap must be one of .*got ''"),
        ({"hop_seconds": 0}, "hop_seconds must be at least one sample, got 0. The model's own is the default"),
        ({"hop_seconds": -0.17}, "hop_seconds .* got -0.17"),
        ({"hop_seconds": 3e-5}, "hop_seconds .* got 3e-05"),
        ({"hop_seconds": float("nan")}, "hop_seconds .* got nan"),
        ({"hop_seconds": float("inf")}, "hop_seconds .* got inf"),
    ],
)
def test_arguments_out_of_range(tiny, embedder, options, message):
    for refused in (trill.load, lambda model, **options: trill.embed(sound(), 16_000, model=model, **options)):
        with pytest.raises(ValueError, match=message):
            refused(tiny.tflite, **options)
    with pytest.raises(ValueError, match=message):
        embedder.using(**options)


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_out_of_range(tiny, threads):
    with pytest.raises(ValueError, match=f"threads must be positive, got {threads}"):
        trill.load(tiny.tflite, threads=threads)


def test_an_unknown_pooling_is_told_before_the_work(embedder):
    untouched = io.BytesIO(b"no sound")
    for refused in (embedder.embed, lambda sound, pooling: embedder.embed_batch([sound], pooling=pooling)):
        with pytest.raises(ValueError, match=r"pooling must be one of 'mean', .* got 'median'") as error:
            refused(untouched, pooling="median")
        assert not isinstance(error.value, AudioError)
    with pytest.raises(ValueError, match=r"pooling must be .*got None"):
        embedder.embed_batch([sound()], 16_000, pooling=None)


SHORT = {
    "one sample": np.array([0.5]),
    "10 ms": tone(0.01),
    "silent": np.zeros(16_000),
    "clipped": np.clip(tone(1.0, level=9.0), -1, 1),
    "beyond full scale": tone(1.0, level=9.0),
    "int16 at full scale": np.tile(np.array([-32_768, 32_767], np.int16), 8_000),
}


@pytest.mark.parametrize("case", SHORT)
def test_hardly_a_sound(embedder, case):
    found = embedder.embed(SHORT[case], 16_000, pooling=None)
    assert found.shape == (1, DIM)
    assert np.isfinite(found).all()


def test_full_scale_does_not_wrap(embedder):
    scale = {np.int16: 2**15, np.int32: 2**31, np.float64: 1}
    full = [np.full(16_000, -number, kind) for kind, number in scale.items()]
    first, *others = embedder.embed_batch(full, 16_000)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_sample_rates(embedder):
    waveform = tone(1.5, rate=44_100)
    found = embedder.embed(waveform, 44_100)
    np.testing.assert_array_equal(found, embedder.embed_windows(audio.read(waveform, 44_100)).mean(axis=0))
    np.testing.assert_array_equal(found, embedder.embed(encode(waveform, 44_100, subtype="DOUBLE")))
    with pytest.raises(AudioError, match="sample_rate must be given with an array, got None"):
        embedder.embed(waveform)
    with pytest.raises(AudioError, match=r"sample_rate must be that of the header, 44100 Hz .* got 16000"):
        embedder.embed(encode(waveform, 44_100), 16_000)


def test_a_batch_mixes_files_of_any_rate_with_arrays(embedder, tmp_path):
    path = tmp_path / "clip.flac"
    path.write_bytes(encode(tone(1.0, 44_100), 44_100, "FLAC"))
    rows = embedder.embed_batch([path, sound(1), path.read_bytes()], 16_000)
    np.testing.assert_array_equal(rows, [embedder.embed(path), embedder.embed(sound(1), 16_000), rows[0]])


def test_what_cannot_be_read_costs_only_itself(embedder, tmp_path, caplog):
    (tmp_path / "notes.wav").write_text("to whom it may concern")
    bad = {
        "notes.wav": tmp_path / "notes.wav",
        "missing.wav": tmp_path / "missing.wav",
        "a folder": tmp_path,
        "0 bytes": b"",
        "nan at sample 1": np.array([0.0, np.nan]),
        "3 dimensions": np.zeros((9, 2, 3)),
    }
    with caplog.at_level(logging.WARNING, "trill"):
        rows = embedder.embed_batch([sound(1), *bad.values(), sound(2)], 16_000, pooling="mean+std", on_error="nan")
    assert rows.shape == (8, 2 * DIM)
    assert np.isnan(rows[1:-1]).all()
    for row, seconds in ((rows[0], 1), (rows[-1], 2)):
        np.testing.assert_array_equal(row, embedder.embed(sound(seconds), 16_000, pooling="mean+std"))
    lines = sorted(caplog.messages)  # "sound 1: ...", "sound 2: ..."
    assert [line for part, line in zip(bad, lines, strict=True) if part in line] == lines
    with pytest.raises(AudioError, match=r"notes\.wav"):
        embedder.embed_batch([sound(1), *bad.values()], 16_000)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([["a.wav"]], {"on_error": "skip"}, 'on_error must be "raise" or "nan", got \'skip\''),
        (["clip.wav"], {}, r"must be a list of sounds, got one, 'clip\.wav'\. Pass \[sound\]"),
        ([b"RIFF"], {"on_error": "nan"}, "must be a list of sounds, got one, b'RIFF'"),
    ],
)
def test_a_batch_says_what_it_takes(embedder, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        embedder.embed_batch(*arguments, **options)


def test_a_model_is_loaded_once_until_its_file_changes(tiny, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tiny.tflite.read_bytes())
    first = trill.load(path)
    assert trill.load(path, tap="final", hop_seconds=1).model is first.model
    path.write_bytes(presets.locate("mobilenet").read_bytes())
    assert trill.load(path).card.name == trill.load().card.name
    path.unlink()
    with pytest.raises(ModelError, match="not there"):
        trill.load(path)


def test_a_preset_is_meant_even_beside_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "mobilenet").mkdir()
    monkeypatch.chdir(tmp_path)
    assert trill.load("mobilenet").model is trill.load().model


def test_a_saved_network_gives_the_same_as_its_export(tiny, embedder):
    network = trill.load(tiny.safetensors)
    assert (network.taps, network.hop_samples) == (embedder.taps, embedder.hop_samples)
    for tap in embedder.taps:
        expected = embedder.using(tap=tap).embed_windows(sound())
        found = network.using(tap=tap).embed_windows(sound())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("package", ["keras", "safetensors"])
def test_a_saved_network_without_keras(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # its import fails
    (tmp_path / "network.safetensors").write_bytes(b"")
    with pytest.raises(MissingPackageError, match=rf"{package} is needed .*pip install 'trill-speech\[train\]'"):
        trill.load(tmp_path / "network.safetensors")


def test_an_embedder_travels_to_other_processes(embedder):
    again = pickle.loads(pickle.dumps(embedder.using(tap="final")))  # noqa: S301
    assert again.name == embedder.using(tap="final").name
    np.testing.assert_array_equal(again.embed(sound(), 16_000), embedder.using(tap="final").embed(sound(), 16_000))


FORKED = """
import multiprocessing, sys, numpy as np, trill
embedder = trill.load(sys.argv[1], threads=2)
long = np.random.default_rng(0).uniform(-0.3, 0.3, 400_000)
def one(_): return embedder.embed(long, 16_000).tobytes()
expected = one(0)  # in threads, before the fork
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(one, range(4)) == [expected] * 4
"""


def test_a_fork_after_use_does_not_hang(tiny):
    subprocess.run([sys.executable, "-c", FORKED, tiny.tflite], check=True, timeout=60)


@pytest.mark.parametrize("name", trill.list_models())
def test_packaged_models(name):
    path, embedder = presets.locate(name), trill.load(name)
    assert path.stat().st_size <= 8e6
    plain, _, quantization = name.partition("-")
    assert embedder.card.name == plain
    assert quantization in ("", embedder.card.quantization)
    assert embedder.card.licence == "Apache-2.0"
    assert path.with_name(presets.presets()[name]["card"]).is_file(), "its model card"
    embedding = embedder.embed(trill.example("anna_calm"))
    assert embedding.shape == (embedder.embedding_dim,)
    assert np.isfinite(embedding).all()
    assert embedding.std() > 0
