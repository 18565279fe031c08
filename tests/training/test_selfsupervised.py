"""From a folder to a trained network: what is checked before it begins, and that what it learns from stays the same."""

import dataclasses
import shutil

import keras
import pytest

from tests.runs import SMALL, assert_same_run, changed, files_of, little_known, log, make_corpus
from tests.sounds import encode, noise, tone
from trill.errors import AudioError, ModelError
from trill.networks import saving
from trill.networks.saving import NetworkConfig
from trill.training import loop, runs, selfsupervised
from trill.training.recipes import Optimizer

QUICK = changed(steps=2)


@pytest.fixture(autouse=True, scope="module")
def _little():
    with little_known():
        yield


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "sounds")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Low and high tones, five each of two speakers."""
    folder = tmp_path_factory.mktemp("labelled")
    rows = ["path,label,speaker"]
    for index in range(20):
        kind = ("low", "high")[index % 2]
        sound = tone(0.4, hertz=(200 if kind == "low" else 2_000) + index) + noise(6_400, index, 0.05)
        (folder / f"{index}.wav").write_bytes(encode(sound))
        rows.append(f"{index}.wav,{kind},{index // 2 % 5}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(tmp_path, sounds, cache):
    def trained(source=sounds, config=QUICK, output=tmp_path / "run", **options):
        return selfsupervised.train(source, output, config, cache=cache, quiet=True, **options)

    return trained


def test_a_folder_becomes_a_network(train, tmp_path, sounds):
    told, rows = [], []
    done = train(told=told.append, report=rows.append)
    assert done.step == 2
    assert [str(clips).partition(",")[0] for clips in told] == ["6 clips"]
    assert [row["step"] for row in rows] == [2]
    assert files_of(tmp_path / "run") == [
        ".lock",
        "checkpoint.safetensors",
        "last.safetensors",
        "log.csv",
        "recipe.toml",
    ]
    assert selfsupervised.TrainConfig.from_toml((tmp_path / "run/recipe.toml").read_text()) == QUICK
    assert keras.config.dtype_policy().name == "float32"


def test_the_same_command_gives_the_same_weights(train, tmp_path):
    train(output=tmp_path / "one")
    train(output=tmp_path / "two")
    assert_same_run(tmp_path / "one", tmp_path / "two")
    train(output=tmp_path / "three", config=dataclasses.replace(QUICK, seed=1))
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "one", tmp_path / "three")


def test_a_finished_run_is_not_touched(train, tmp_path, monkeypatch):
    train()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    monkeypatch.setattr(saving, "build", None)  # there is nothing to do
    assert train().step == 2
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("change", ["added", "removed", "changed"])
def test_a_run_on_changed_sound_is_refused(train, sounds, tmp_path, change):
    corpus = shutil.copytree(sounds, tmp_path / "corpus")
    train(corpus)
    if change == "removed":
        (corpus / "0.wav").unlink()
    else:
        (corpus / ("9.wav" if change == "added" else "0.wav")).write_bytes(encode(noise(16_001)))
    with pytest.raises(ValueError, match=r"run holds a run on other sound: the corpus is another, or files were added"):
        train(corpus)


def test_noise_is_sound_too(train, sounds, tmp_path):
    noises = make_corpus(tmp_path / "noises", 2)
    config = dataclasses.replace(QUICK, augment={"noise": {}})
    train(config=config, noise=noises)
    with pytest.raises(ValueError, match="the noise is another"):
        train(config=config, noise=sounds)


def test_validation_keeps_the_best(train, tmp_path, labelled):
    done = train(config=changed(steps=4, checkpoint_every=1), validate=labelled)
    scores = [row["validation"] for row in done.rows]
    assert done.best == max(scores) == max(row["validation"] for row in log(tmp_path / "run"))
    network, _ = saving.load(tmp_path / "run/best.safetensors")
    frontend = SMALL.network.frontend
    assert runs.make_probe(labelled, frontend)(network) == pytest.approx(max(scores), abs=1e-6)
    assert all(0 <= score <= 1 for score in scores)


# What is refused, and that nothing is left that blocks what is right.


def refused_then_trained(train, match, tmp_path, error=ValueError, **options):
    with pytest.raises(error, match=match):
        train(**options)
    assert not (tmp_path / "run").exists() or files_of(tmp_path / "run") == [".lock"]
    assert train().step == 2


def test_a_folder_without_sound(train, tmp_path):
    (tmp_path / "empty").mkdir()
    refused_then_trained(train, "a folder must hold sound files", tmp_path, source=tmp_path / "empty")
    assert files_of(tmp_path) == ["empty", "run"]


def test_sounds_that_are_none(train, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/x.wav").write_text("This is no sound.")
    refused_then_trained(train, "a corpus needs sound that can be read", tmp_path, AudioError, source=tmp_path / "bad")


def test_one_clip_has_no_negatives(train, tmp_path):
    one = make_corpus(tmp_path / "one", 1)
    refused_then_trained(train, "Negatives come from other clips", tmp_path, source=one)


WRONG = {
    "odd batch": (changed(batch_size=5), ValueError, "batch_size must be even"),
    "batch too large": (
        changed(batch_size=14),
        ValueError,
        "needs 7 clips, the corpus has 6. Pass --batch-size 12 or less",
    ),
    "objective": (changed(objective={"kind": "pairs"}), ValueError, r"\[objective\] needs a kind, one of triplet, got"),
    "no objective": (changed(objective={}), ValueError, r"\[objective\] needs a kind, one of triplet, got None"),
    "list of objectives": (changed(objective={"kind": ["triplet"]}), ValueError, r"one of triplet, got \['triplet'\]"),
    "objective's key": (changed(objective={"kind": "triplet", "size": 1}), ValueError, "takes margin, .+, got size"),
    "objective's value": (changed(objective={"kind": "triplet", "margin": -1}), ValueError, "margin must be positive"),
    "objective's type": (
        changed(objective={"kind": "triplet", "margin": "a"}),
        ValueError,
        "the objective triplet cannot",
    ),
    "architecture": (changed(network=NetworkConfig("vgg")), ModelError, "architecture must be one of"),
    "argument": (changed(network=NetworkConfig("mobilenet", {"depth": 1})), ModelError, "takes the arguments"),
    "size": (
        changed(network=NetworkConfig("mobilenet", {"width": 3})),
        ModelError,
        r"width must be in \(0, 2\], got 3",
    ),
    "kind of size": (changed(network=NetworkConfig("mobilenet", {"width": "a"})), ModelError, "takes the arguments"),
    "augmentation": (changed(augment={"shout": {}}), ValueError, "augmentations must be among"),
    "augmentation's key": (changed(augment={"gain": {"db": 1}}), ValueError, "augmentation gain: keys must be among"),
    "augmentation's value": (changed(augment={"gain": {"low_db": "a"}}), ValueError, "augmentation gain: low_db"),
    "no table": (changed(augment={"gain": 3}), ValueError, "augmentation gain: keys must be among .+, got 3"),
    "no noise": (changed(augment={"noise": {}}), ValueError, "noise needs at least one sound, .+ --noise FOLDER"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_recipe_that_cannot_be_trained(train, tmp_path, name):
    config, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        train(config=config)
    assert files_of(tmp_path / "run") == [".lock"]


def test_noise_that_nothing_uses(train, sounds, tmp_path):
    refused_then_trained(train, "noise is for recipes with the augmentation `noise`", tmp_path, noise=sounds)


def test_labels_that_are_none(train, sounds, tmp_path):
    refused_then_trained(train, "a folder of labelled clips must hold", tmp_path, validate=sounds)


def test_an_objective_that_gives_no_number(train, tmp_path, monkeypatch):
    class Broken(keras.layers.Layer):
        figures = ()

        def call(self, outputs, _):
            return {"loss": keras.ops.sum(outputs["embedding"]) * float("nan")}

    with monkeypatch.context() as patch:
        patch.setitem(selfsupervised.OBJECTIVES, "broken", Broken)
        with pytest.raises(loop.DivergedError, match="got nan at step 1"):
            train(config=changed(objective={"kind": "broken"}))
    assert files_of(tmp_path / "run") == [".lock", "recipe.toml"]
    assert train(config=changed(optimizer=Optimizer(1e-4), steps=1)).step == 1  # no checkpoint, nothing to go on with


# What is taken.


def test_clips_shorter_than_a_window(train, tmp_path):
    short = tmp_path / "short"
    short.mkdir()
    for index in range(4):
        (short / f"{index}.wav").write_bytes(encode(noise(100 + index, index)))
    assert train(short).step == 2


def test_a_corrupt_file_is_named(train, sounds, tmp_path):
    mixed = shutil.copytree(sounds, tmp_path / "mixed")
    (mixed / "bad.wav").write_text("This is no sound.")
    told = []
    train(mixed, told=lambda clips: told.append(str(clips)))
    assert len(told) == 1
    assert told[0].startswith("6 clips, ")
    assert told[0].endswith(f"1 could not be read, e.g. {mixed}/bad.wav")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_precision_ends_with_the_run(train, precision):
    train(config=changed(steps=1, precision=precision))
    assert keras.config.dtype_policy().name == "float32"
