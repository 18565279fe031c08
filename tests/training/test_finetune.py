"""From a manifest to a network with heads, per speaker too: resumed, judged, refused, exported."""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest

import trill
from tests.runs import SMALL, assert_same_run, files_of, little_known, log, weights
from tests.sounds import encode, noise, tone
from trill.errors import AudioError, ModelError
from trill.networks import saving
from trill.networks.saving import NetworkConfig
from trill.training import loop
from trill.training.finetune import finetune
from trill.training.finetuning import heads, labelled, outcome, student, windowed
from trill.training.finetuning import material as reading
from trill.training.finetuning import settings as defaults
from trill.training.finetuning.per_speaker import per_speaker
from trill.training.finetuning.settings import Settings

HERTZ = {"low": 300, "high": 2_500}
QUICK = {"steps": 6, "checkpoint_every": 2, "batch_size": 8, "learning_rate": 1e-2}
ALL = Settings(unfreeze="all", max_windows=3)


@pytest.fixture(autouse=True, scope="module")
def _little():
    with little_known():
        yield


def make_labelled(folder, speakers=10, each=6, level=0.3, hiss=0.0):
    """Low and high tones in noise, whose level is each clip's number; a sound has one to three windows.

    With `hiss`, the high ones have more noise, which the least of networks hears.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,pitch,level,speaker"]
    for index in range(speakers * each):
        kind = ("low", "high")[index % 2]
        loud = level * (1 + index % 3)
        sound = tone(0.2 + 0.1 * (index % 4), hertz=HERTZ[kind] + 10 * index, level=0.3)
        (folder / f"{index}.wav").write_bytes(
            encode(sound + noise(len(sound), index, 0.1 * loud + (hiss if kind == "high" else 0)))
        )
        rows.append(f"{index}.wav,{kind},{loud:.2f},s{index // each}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def pitches(tmp_path_factory):
    return make_labelled(tmp_path_factory.mktemp("labelled") / "pitches")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return make_labelled(tmp_path_factory.mktemp("labelled") / "three", speakers=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The network of a thousand weights, with statistics of batch normalisation that are not those of any batch."""
    path = tmp_path_factory.mktemp("model") / "little.safetensors"
    keras.utils.set_random_seed(0)
    network = saving.build(SMALL.network)
    rng = np.random.default_rng(0)
    for variable in network.weights:
        if variable.name in ("moving_mean", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    saving.save(network, SMALL.network, path)
    return path


@pytest.fixture
def tune(tmp_path, pitches, model, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "cache"

    def tuned(source=pitches, output=tmp_path / "run", labels=("pitch",), how=finetune, **options):
        given = {"settings": ALL, "changes": QUICK, "model": model} | options
        return how(source, output, labels, cache=cache, quiet=True, **given)

    return tuned


# What comes out.


def test_a_manifest_becomes_a_network_and_a_verdict(tune, tmp_path, model):
    told, rows = [], []
    found = tune(told=told.append, report=rows.append)
    assert files_of(tmp_path / "run") == [
        ".lock",
        "best.heads.safetensors",
        "best.safetensors",
        "checkpoint.safetensors",
        "last.heads.safetensors",
        "last.safetensors",
        "log.csv",
        "predictions.csv",
        "recipe.toml",
        "result.json",
    ]
    assert [row["step"] for row in rows] == [2, 4, 6]
    [material] = told
    speakers = [set(material.labelled.speakers[part]) for part in dataclasses.astuple(material.split)]
    assert [len(part) for part in speakers] == [6, 2, 2]
    assert set(found.speakers) == speakers[2]
    table = found.scores()["pitch"]["UAR"]
    assert list(table) == ["frozen", "fine-tuned", "fine-tuned - frozen"]
    words = outcome.describe(found)
    for text in ("UAR       frozen", "fine-tuned - frozen", "pitch: fine-tuned "):
        assert text in words
    with (tmp_path / "run/predictions.csv").open(newline="") as file:
        said = list(csv.DictReader(file))
    assert [row["pitch"] for row in said] == [("low", "high")[int(row["path"][:-4]) % 2] for row in said]
    right = [row["pitch"] == row["pitch fine-tuned"] for row in said]
    assert np.mean(right) == pytest.approx(found.scores()["pitch"]["accuracy"]["fine-tuned"].value)
    # The network is not the one it began as, and is a network like any other.
    assert trill.load(tmp_path / "run/best.safetensors").embedding_dim == trill.load(model).embedding_dim
    before, after = weights(model), weights(tmp_path / "run/best.safetensors")
    assert any((before[name] != after[name]).any() for name in before)


def test_it_learns(tune, tmp_path):
    rows, source = [], make_labelled(tmp_path / "hissing", hiss=0.03)
    tune(source, changes={**QUICK, "steps": 60, "checkpoint_every": 30}, report=rows.append)
    assert rows[1]["loss"] < 0.9 * rows[0]["loss"]


def test_what_is_saved_is_what_was_judged(tune, tmp_path, pitches):
    """Predictions are those of best.safetensors and its heads, computed through the door that users take."""
    found = tune()
    embedder = trill.load(tmp_path / "run/best.safetensors")
    made = heads.load(tmp_path / "run/best.safetensors", embedder.embedding_dim)
    for name, said in zip(found.names, found.predictions["fine-tuned"]["pitch"], strict=True):
        windows = embedder.embed(pitches / name, pooling=None)
        scores = made.clip_scores(windows[None], np.ones((1, len(windows)), np.float32))["pitch"]
        assert heads.decide(made.heads[0], np.array(scores))[0] == said


def test_frozen_layers_and_statistics_do_not_move(tune, tmp_path, model):
    tune(settings=dataclasses.replace(ALL, unfreeze="bottleneck"))
    before, after = weights(model), weights(tmp_path / "run/last.safetensors")
    moved = {name for name in before if (before[name] != after[name]).any()}
    assert {name.partition("/")[0] for name in moved} == {"bottleneck"}
    tune(output=tmp_path / "all")
    after = weights(tmp_path / "all/last.safetensors")
    still = {name for name in before if (before[name] == after[name]).all()}
    assert still == {"stem_norm/moving_mean", "stem_norm/moving_variance"}


@pytest.mark.slow
def test_moving_statistics_move(tune, tmp_path, model):
    tune(settings=dataclasses.replace(ALL, moving_statistics=True))
    before, after = weights(model), weights(tmp_path / "run/last.safetensors")
    for name in ("stem_norm/moving_mean", "stem_norm/moving_variance"):
        assert (before[name] != after[name]).any()


@pytest.mark.slow
def test_features_once_computed_are_those_of_each_batch(tune, tmp_path, monkeypatch):
    settings = dataclasses.replace(ALL, unfreeze="bottleneck")
    tune(settings=settings)
    monkeypatch.setattr(windowed, "MAX_FEATURES", 0)
    tune(settings=settings, output=tmp_path / "again")
    one, other = weights(tmp_path / "run/last.safetensors"), weights(tmp_path / "again/last.safetensors")
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_rates_of_layers(tune, tmp_path, model):
    """A share of next to nothing leaves a layer where it was."""
    tune(settings=dataclasses.replace(ALL, layer_decay=1e-7, head_rate=1e-7))
    before, after = weights(model), weights(tmp_path / "run/last.safetensors")
    change = {name: np.abs(before[name] - after[name]).max() for name in before}
    assert change["bottleneck/kernel"] > 1e-3
    assert change["stem/kernel"] < 1e-6


@pytest.mark.parametrize("pooling", [pytest.param("attention", marks=pytest.mark.slow), "autopool"])
def test_several_heads(tune, pooling):
    found = tune(labels=("pitch", "level:regression"), settings=dataclasses.replace(ALL, pooling=pooling))
    assert list(found.scores()) == ["pitch", "level"]
    row = found.scores()["level"]
    assert list(row) == ["CCC", "MAE"]
    truth = found.truth["level"]
    assert set(np.round(truth, 2)) <= {np.float32(0.3), np.float32(0.6), np.float32(0.9)}
    error = np.abs(found.predictions["frozen"]["level"] - truth).mean()
    assert row["MAE"]["frozen"].value == pytest.approx(error, rel=1e-5)


@pytest.mark.slow
def test_clips_with_some_labels(tune, pitches, tmp_path):
    """A label that is missing counts neither in learning nor in judging."""
    text = (pitches / "manifest.csv").read_text().splitlines()
    rows = [text[0], *(line.replace(",low,", ",,") if n % 4 == 0 else line for n, line in enumerate(text[1:]))]
    for name in (pitches / "x").parent.glob("*.wav"):
        (tmp_path / name.name).write_bytes(name.read_bytes())
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    found = tune(tmp_path, output=tmp_path / "run", labels=("pitch", "level:mae"))
    known = found.truth["pitch"] >= 0
    assert 0 < known.sum() < len(known)
    hits = (found.predictions["frozen"]["pitch"] == found.truth["pitch"])[known].mean()
    assert found.scores()["pitch"]["accuracy"]["frozen"].value == pytest.approx(hits)


@pytest.mark.slow
def test_augmentation_changes_what_is_learnt(tune, tmp_path):
    tune()
    tune(output=tmp_path / "augmented", changes={**QUICK, "augment": {"gain": {}}})
    with pytest.raises(AssertionError):
        assert_same_run(tmp_path / "run", tmp_path / "augmented")


# Runs.


def stop_at(step):
    def report(row):
        if row["step"] == step:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("augment", [{}, pytest.param({"gain": {}}, marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_run(tune, tmp_path, augment):
    changes = {**QUICK, "augment": augment}
    whole = tune(output=tmp_path / "whole", changes=changes)
    with pytest.raises(KeyboardInterrupt):
        tune(changes=changes, report=stop_at(2))
    resumed = tune(changes=changes)
    assert_same_run(tmp_path / "whole", tmp_path / "run", ("checkpoint", "last", "best", "last.heads", "best.heads"))
    assert (tmp_path / "run/predictions.csv").read_bytes() == (tmp_path / "whole/predictions.csv").read_bytes()
    assert resumed.scores() == whole.scores()


@pytest.mark.slow
def test_killed_between_heads_and_network_it_ends_the_same(tune, tmp_path, monkeypatch):
    tune(output=tmp_path / "whole")

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(loop.saving, "save", full)
        with pytest.raises(OSError, match="no space"):
            tune()
    assert (tmp_path / "run/best.heads.safetensors").exists()
    assert not (tmp_path / "run/best.safetensors").exists()
    tune()
    assert_same_run(tmp_path / "whole", tmp_path / "run", ("checkpoint", "last", "best", "last.heads", "best.heads"))


def test_it_stops_when_dev_has_had_enough(tune, tmp_path):
    changes = {**QUICK, "steps": 100, "learning_rate": 1e-9}
    settings = dataclasses.replace(ALL, patience=2)
    found = tune(changes=changes, settings=settings)
    assert [row["step"] for row in log(tmp_path / "run")] == [2, 4, 6]
    assert found.facts["best step"] == 2
    (tmp_path / "run/result.json").unlink()
    again = tune(changes=changes, settings=settings)  # nothing is left to train
    assert [row["step"] for row in log(tmp_path / "run")] == [2, 4, 6]
    assert again.scores() == found.scores()


def test_a_finished_run_is_read(tune, tmp_path, monkeypatch):
    found = tune()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    monkeypatch.setattr(loop, "fit", None)
    again = tune()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before
    assert again.scores() == found.scores()
    assert again.facts == found.facts


OTHERS = (
    ({"labels": ("level:mae",)}, "network.name = 'small-pitch', not 'small-level'"),
    ({"seed": 3}, "run holds a run with seed"),
    ({"settings": dataclasses.replace(ALL, pooling="attention")}, "objective.pooling = 'mean', not 'attention'"),
    ({"changes": {**QUICK, "steps": 8}}, "steps = 6, not 8"),
)


def test_a_folder_with_another_run_is_refused(tune):
    tune()
    for change, words in OTHERS:
        with pytest.raises(ValueError, match=words):
            tune(**change)


@pytest.mark.slow
def test_other_labels_of_the_same_clips_are_another_run(tune, tmp_path):
    source = make_labelled(tmp_path / "own")
    tune(source)
    text = (source / "manifest.csv").read_text()
    (source / "manifest.csv").write_text(text.replace("0.wav,low", "0.wav,high", 1))
    with pytest.raises(ValueError, match="the labels is another"):
        tune(source)


# The verdict.


def verdict_of(frozen, tuned, truth):
    head = labelled.Head("mood", "mood", labels=("a", "b"))
    said = {"frozen": {"mood": np.array(frozen)}, "fine-tuned": {"mood": np.array(tuned)}}
    speakers = tuple(str(n // 2) for n in range(len(truth)))
    found = outcome.Outcome((head,), speakers, speakers, {"mood": np.array(truth)}, said, {"fine-tuned": "frozen"})
    return outcome.verdict(found, head)


def test_the_verdict_is_plain():
    truth = [0, 1] * 10
    wrong = [1, 0] * 10
    assert verdict_of(wrong, truth, truth) == "mood: fine-tuned is better than frozen."
    assert "is worse than frozen: it did harm, keep frozen" in verdict_of(truth, wrong, truth)
    assert "did not help: its UAR cannot be told from that of frozen" in verdict_of(truth, truth, truth)


# Per speaker.


def test_each_speaker_alone(tune, tmp_path, three):
    options = {"source": three, "how": per_speaker, "rate": 1e-2, "steps": 4}
    found = tune(**options)
    assert list(found.predictions) == ["frozen", "global", "per speaker"]
    assert sorted(set(found.speakers)) == [f"s{n}" for n in range(3)]
    counted = found.facts["speakers changed"]["pitch"]
    for pair in ("global - frozen", "per speaker - global", "per speaker - frozen"):
        assert sum(counted[pair].values()) == 3
        assert list(counted[pair]) == ["better", "unchanged", "worse"]
    folders = sorted((tmp_path / "run/speakers").iterdir())
    assert [folder.name for folder in folders] == [f"{n:04d}-s{n}" for n in range(3)]
    assert "checkpoint.safetensors" not in files_of(folders[0])
    one, other, everyone = (
        weights(path / "last.safetensors") if path.name != "global" else weights(path / "best.safetensors")
        for path in (folders[0], folders[1], tmp_path / "run/global")
    )
    assert (one["bottleneck/kernel"] != other["bottleneck/kernel"]).any()
    assert (one["bottleneck/kernel"] != everyone["bottleneck/kernel"]).any()
    embedder = trill.load(folders[0] / "last.safetensors")
    assert heads.load(folders[0] / "last.safetensors", embedder.embedding_dim).heads[0].labels == ("high", "low")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.safetensors")}
    assert tune(**options).scores() == found.scores()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.safetensors")} == before
    with pytest.raises(ValueError, match="holds another run"):
        tune(**{**options, "steps": 5})


@pytest.mark.slow
def test_per_speaker_resumes(tune, tmp_path, monkeypatch, three):
    options = {"source": three, "how": per_speaker, "rate": 1e-2, "steps": 4}
    whole = tune(output=tmp_path / "whole", **options)
    fit, left = student.fit, 3

    def stop(*arguments, **keywords):
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return fit(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(student, "fit", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(**options)
    assert len(list((tmp_path / "run/speakers").glob("*/predictions.json"))) == 2
    assert tune(**options).scores() == whole.scores()
    assert (tmp_path / "run/predictions.csv").read_bytes() == (tmp_path / "whole/predictions.csv").read_bytes()


def test_per_speaker_wants_speakers(tune):
    with pytest.raises(ValueError, match="per speaker needs a column `speaker` that is not the label"):
        tune(how=per_speaker, settings=dataclasses.replace(ALL, by_clip=True))


# What is refused, before a run's folder is made.


def test_models_that_cannot_be_trained(tune, tmp_path, tiny):
    with pytest.raises(ModelError, match=r"a \.tflite are constants .*Pass the \.safetensors"):
        tune(model=tiny.tflite)
    with pytest.raises(ModelError, match=r"a network is a .safetensors file"):
        tune(model=tmp_path / "none.safetensors")
    assert not (tmp_path / "run").exists()


def test_the_packaged_model_without_a_checkout(tune, monkeypatch, tmp_path):
    monkeypatch.setattr(reading.importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(ModelError, match=r"the packaged mobilenet is a \.tflite, .* pass --model PATH"):
        tune(model="mobilenet")


def test_one_sound_with_two_labels(tune, tmp_path):
    source = make_labelled(tmp_path / "own")
    (source / "copy.wav").write_bytes((source / "0.wav").read_bytes())
    text = (source / "manifest.csv").read_text()
    (source / "manifest.csv").write_text(f"{text}\ncopy.wav,high,0.30,s0")
    with pytest.raises(ValueError, match=r"a sound has one pitch, 0.wav and copy.wav are the same sound"):
        tune(source)
    (source / "manifest.csv").write_text(f"{text}\ncopy.wav,low,0.30,s1")
    with pytest.raises(ValueError, match=r"a sound has one speaker, 0.wav and copy.wav"):
        tune(source)
    (source / "manifest.csv").write_text(f"{text}\ncopy.wav,low,0.30,s0")
    told = []
    tune(source, told=told.append)
    assert len(told[0].labelled.names) == 60


def test_files_that_cannot_be_read_are_left_out(tune, tmp_path):
    source = make_labelled(tmp_path / "own")
    (source / "7.wav").write_text("This is no sound.")
    (source / "8.wav").unlink()
    found = tune(source)
    assert sorted(found.facts["failed"]) == ["7.wav", "8.wav"]
    assert sum(found.facts["clips"].values()) == 58
    for path in source.glob("*.wav"):
        path.write_text("This is no sound.")
    with pytest.raises(AudioError, match="a corpus needs sound that can be read"):
        tune(source, output=tmp_path / "none")


@pytest.mark.slow
def test_too_few_that_can_be_read(tune, tmp_path):
    source = make_labelled(tmp_path / "own", speakers=3, each=4)
    for index in range(4):
        (source / f"{index}.wav").write_text("This is no sound.")
    with pytest.raises(ValueError, match=r"each label needs 3 speakers, .* what can be read of .* has 2"):
        tune(source)


WRONG = {
    "batch": ({"changes": {"batch_size": 400}}, "batch_size must be at most the 36 clips"),
    "rate": ({"changes": {"learning_rate": -1.0}}, "learning_rate must be positive, got -1.0"),
    "augmentation": ({"changes": {**QUICK, "augment": {"shout": {}}}}, "augmentations must be among"),
    "noise": ({"noise": "sounds"}, "--noise is for the augmentation `noise`"),
    "blocks": ({"settings": Settings(unfreeze="block9")}, "unfreeze must be all, .* stem, bottleneck, got 'block9'"),
    "output": ({"labels": ("embedding",)}, "has no 'embedding'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be(tune, name, tmp_path):
    options, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        tune(**options)
    assert not (tmp_path / "run").exists() or files_of(tmp_path / "run") == [".lock"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pooling": "max"}, "pooling must be one of mean, attention, autopool, got 'max'"),
        ({"patience": 0}, "patience must be 1 or more"),
        ({"layer_decay": 0.0}, "layer_decay must be positive"),
        ({"head_rate": float("nan")}, "head_rate must be positive"),
    ],
)
def test_settings_that_cannot_be(fields, words):
    with pytest.raises(ValueError, match=words):
        Settings(**fields)


def test_a_column_called_as_an_output(tune, tmp_path):
    source = make_labelled(tmp_path / "own")
    text = (source / "manifest.csv").read_text()
    (source / "manifest.csv").write_text(text.replace("pitch", "embedding", 1))
    with pytest.raises(ValueError, match=r"has an output 'embedding' already. Give the manifest's column another name"):
        tune(source, labels=("embedding",))


def test_defaults_go_by_the_number_of_clips(pitches, model, tmp_path):
    def of(total):
        material, _, source = reading.read(pitches, ["pitch"], model, 0, by_clip=False, cache=tmp_path, quiet=True)
        names = tuple(map(str, range(total)))
        split = dataclasses.replace(material.split, train=np.arange(total * 3 // 5))
        many = dataclasses.replace(material, labelled=dataclasses.replace(material.labelled, names=names), split=split)
        config = defaults.recipe(many, source, Settings(), 0, {})
        return config.optimizer.learning_rate, config.objective["unfreeze"], config.batch_size

    assert of(500) == (1e-6, "3", 37)
    assert of(5_000) == (1e-5, "all", 256)
    assert of(100_000) == (1e-4, "all", 256)


# Exported.


@pytest.mark.parametrize(
    "pooling", ["mean", *(pytest.param(name, marks=pytest.mark.slow) for name in ("attention", "autopool"))]
)
def test_the_exported_file_says_what_was_judged(tune, tmp_path, pitches, pooling):
    """Heads, labels and all that a clip's score takes are in the file."""
    from click.testing import CliRunner

    from export.cli import main

    arguments = {"width": 0.1, "batch_norm": True, "bottleneck": 8}
    config = NetworkConfig("mobilenet", arguments, SMALL.network.frontend, "small")
    keras.utils.set_random_seed(0)
    saving.save(saving.build(config), config, tmp_path / "small.safetensors")
    settings = Settings(pooling=pooling, head_rate=5.0, max_windows=3)
    found = tune(
        labels=("pitch", "level:mae"),
        settings=settings,
        changes={**QUICK, "learning_rate": 1e-3},
        model=tmp_path / "small.safetensors",
    )
    arguments = ["convert", str(tmp_path / "run/best.safetensors"), "-o", str(tmp_path / "x.tflite")]
    result = CliRunner().invoke(main, [*arguments, "--quantization", "float32"], prog_name="trill-export")
    assert result.exit_code == 0, result.output
    from trill import modelfile

    about = json.loads(modelfile.read_attachment(tmp_path / "x.tflite", heads.ENTRY))
    assert about["pooling"] == pooling
    assert [head["labels"] for head in about["heads"]] == [["high", "low"], []]
    embedder = trill.load(tmp_path / "x.tflite")
    assert "pitch: high, low; level: a number" in embedder.card.description
    assert {"embedding", "pitch", "level"} <= set(embedder.taps)
    assert next(iter(embedder.taps)) == "embedding"
    for row, name in enumerate(found.names[:6]):
        pitch, level = (embedder.using(tap=tap).embed(pitches / name, pooling=None) for tap in ("pitch", "level"))
        if pooling == "attention":
            gate = embedder.using(tap="attention").embed(pitches / name, pooling=None)
            share = np.exp(gate) / np.exp(gate).sum()
            pitch, level = (share * pitch).sum(axis=0), (share * level).sum(axis=0)
        elif pooling == "autopool":
            chances = np.exp(pitch) / np.exp(pitch).sum(axis=1, keepdims=True)
            alphas = [np.array(head["alpha"]) for head in about["heads"]]
            pitch, level = (
                (values * np.exp(alpha * values)).sum(axis=0) / np.exp(alpha * values).sum(axis=0)
                for values, alpha in ((chances, alphas[0]), (level, alphas[1]))
            )
        else:
            pitch, level = pitch.mean(axis=0), level.mean(axis=0)
        assert pitch.argmax() == found.predictions["fine-tuned"]["pitch"][row]
        assert level[0] == pytest.approx(found.predictions["fine-tuned"]["level"][row], abs=1e-3)
