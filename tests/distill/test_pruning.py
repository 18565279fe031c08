"""`trill-distill prune`: which values of an embedding stay, and that they stay what they were."""

import csv

import keras
import numpy as np
import pytest
import soundfile

import trill
from distill import pruning
from tests.distill.test_cli import refused, told
from trill.networks import saving

ARGUMENTS = {"width": 0.125, "pooling": "time", "batch_norm": True}


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Two corpora in a manifest, one of them with a file that is none; a folder; a corpus too small to ask."""
    folder, rng = tmp_path_factory.mktemp("speech"), np.random.default_rng(0)
    (folder / "folder").mkdir()
    for i in range(2 * pruning.MIN_CLIPS + 5):
        soundfile.write(folder / f"{i}.wav", rng.normal(0, rng.uniform(0.01, 0.3), 8_000), 16_000)
    for i in range(pruning.MIN_CLIPS):
        soundfile.write(folder / f"folder/{i}.wav", np.sin(np.arange(8_000) * rng.uniform(0.1, 1)), 16_000)
    (folder / "0.wav").write_bytes(b"no sound")
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "source"])
        rows.writerows([f"{i}.wav", "abc"[i // pruning.MIN_CLIPS]] for i in range(2 * pruning.MIN_CLIPS + 5))
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    config = saving.NetworkConfig("mobilenet", ARGUMENTS, name="small", version="1", licence="MIT")
    keras.utils.set_random_seed(0)
    saving.save(saving.build(config), config, path)
    return path


def test_corpora_are_sources_or_folders_of_enough_clips(speech):
    found = pruning.corpora_of([str(speech / "manifest.csv"), str(speech / "folder")])
    assert {name: len(paths) for name, paths in found.items()} == dict.fromkeys(["a", "b", str(speech / "folder")], 50)
    with pytest.raises(ValueError, match=r"corpora of at least 50 clips, the largest of .* has 0"):
        pruning.corpora_of([])


def test_what_varies_in_every_corpus_is_kept_as_it_was(speech, network, tmp_path):
    few = tmp_path / "few.safetensors"
    (line,) = told("prune", network, speech / "manifest.csv", speech / "folder", "-o", few, "--keep", 100, "-q")
    assert line.startswith("100 of 256 values, which in each of 3 corpora vary at least ")
    assert line.endswith(f"; 1 clips could not be read: {few}")
    kept = saving.load(few)[1].arguments["kept"]
    corpora = pruning.corpora_of([str(speech / "manifest.csv"), str(speech / "folder")])
    rows, _ = pruning.embeddings_of(trill.load(network), corpora, quiet=True)
    varies = pruning.variation(rows)
    assert varies[kept].min() >= np.delete(varies, kept).max()
    for clip in (speech / "1.wav", speech / "folder/1.wav"):
        before, after = trill.embed(clip, model=network), trill.embed(clip, model=few)
        np.testing.assert_allclose(after, before[kept], rtol=0.01, atol=0.003 * np.abs(before).max())


def test_speech_that_says_nothing_is_refused(speech, network, tmp_path):
    asked = ("prune", network, tmp_path / "clips", "-o", tmp_path / "few.safetensors", "--keep", 5, "-q")
    (tmp_path / "clips").mkdir()
    for i in range(pruning.MIN_CLIPS):
        (tmp_path / f"clips/{i}.wav").write_bytes(b"no sound")
    assert "got 0 corpora that could be read" in refused(*asked)
    for i in range(pruning.MIN_CLIPS):
        soundfile.write(tmp_path / f"clips/{i}.wav", np.zeros(8_000), 16_000)
    assert "or one of a single sound" in refused(*asked)
    assert not (tmp_path / "few.safetensors").exists()


def test_pruned_again_the_places_are_those_of_the_whole(network):
    few, config = pruning.prune(*saving.load(network), [3, 5, 8, 13])
    fewer, config = pruning.prune(few, config, [1, 3])
    assert config.arguments == {**ARGUMENTS, "kept": [5, 13]}
    x = np.random.default_rng(0).normal(0, 0.1, (1, 15_600)).astype(np.float32)
    np.testing.assert_array_equal(fewer(x)["embedding"], few(x)["embedding"].numpy()[:, [1, 3]])


def test_weights_have_eleven_significant_bits(network):
    pruned, _ = pruning.prune(*saving.load(network), [0])
    for ours, theirs in zip(pruned.get_weights(), saving.load(network)[0].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2**-11)
        np.testing.assert_array_equal(ours.view(np.uint32) & 0x1FFF, 0)


@pytest.mark.parametrize(
    ("keep", "output", "message"),
    [
        (257, "few.safetensors", "an embedding of 256 values keeps 1 to 256 of them, got 257"),
        (5, "few.tflite", "a network is written to a .safetensors file, got few.tflite"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    keep, output, message, speech, network, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert message in refused("prune", network, speech / "folder", "-o", output, "--keep", keep, "-q")
    assert not list(tmp_path.iterdir())
