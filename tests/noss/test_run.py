"""`noss run`, as a user calls it, on sounds that a threshold tells apart."""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from noss import embeddings, results, tasks
from noss.cells import Asks
from noss.config import NOSS, REFEREE, Setting
from noss.representations import load_representation
from noss.run import run as run_grid
from noss.tasks import Task, Trials, Utterance, manifest_task
from tests.noss.clips import FUNCTIONS, noss, write_clips
from tests.noss.made import CORPUS


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    Path("mine.py").write_text(FUNCTIONS)
    return write_clips(tmp_path / "corpus")


def run(manifest, output, *arguments, code=0, first="log-mel"):
    always = ("--manifest", manifest, "--label", "loudness", "--protocol", "referee", "-o", output, "-q")
    return noss("run", "-r", first, *always, *arguments, code=code)


def settings(output):
    return {each.key.setting: each for each in results.load_all(output)}


def same(one, other):
    """Whether two results hold the same answers."""
    told = (one.evaluation.scores, [each.setting for each in one.evaluation.outcomes])
    if told != (other.evaluation.scores, [each.setting for each in other.evaluation.outcomes]):
        return False
    return all(np.array_equal(*each) for each in zip(one.evaluation.tested(), other.evaluation.tested(), strict=True))


def test_a_run_scores_and_a_second_computes_nothing(manifest, tmp_path, monkeypatch):
    asked = ("--learning-curve", "1,2", "--leakage", "--paper-selection")
    printed = run(manifest, tmp_path / "results", *asked)
    assert "log-mel-1" in printed
    assert "uar 1.000 [1.000, 1.000]" in printed
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("*.json")}
    assert len(before) == 7
    monkeypatch.setattr(embeddings, "embed", None)
    assert run(manifest, tmp_path / "results", *asked).count("(was there)") == 7
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "results").glob("*.json")}
    assert settings(tmp_path / "results")[""].key.protocol == REFEREE.id


def test_changed_sound_is_judged_anew(manifest, tmp_path):
    run(manifest, tmp_path / "results")
    soundfile.write(manifest.parent / "0.wav", np.zeros(8_000), 16_000)
    assert "(was there)" not in run(manifest, tmp_path / "results")
    assert len(list((tmp_path / "results").glob("*.json"))) == 2


def test_a_damaged_result_is_computed_again(manifest, tmp_path):
    run(manifest, tmp_path / "results")
    [path] = (tmp_path / "results").glob("*.json")
    whole = results.load(path)
    path.write_text(path.read_text()[:-100])
    assert "(was there)" not in run(manifest, tmp_path / "results")
    assert same(whole, results.load(path))


# What is asked.


def test_a_curve_of_another_classifier_is_computed_again(manifest, tmp_path, monkeypatch):
    asked = ("--learning-curve", "1")
    run(manifest, tmp_path / "results", *asked)
    monkeypatch.setattr("noss.curves.FIXED", Setting("mean", "none", "lda", 0.5))
    assert run(manifest, tmp_path / "results", *asked).count("(was there)") == 1
    assert settings(tmp_path / "results")["1 a class"].evaluation.outcomes[0].setting.classifier == "lda"


def test_the_best_on_test_stands_beside_the_honest_score(manifest, tmp_path):
    run(manifest, tmp_path / "plain", first="mine.py:level")
    printed = run(manifest, tmp_path / "both", "--paper-selection", first="mine.py:level")
    found = settings(tmp_path / "both")
    assert set(found) == {"", "paper selection"}
    assert found[""].evaluation.paper is None
    assert same(found[""], settings(tmp_path / "plain")[""])
    assert same(found[""], found["paper selection"])
    paper = found["paper selection"].evaluation.paper
    assert paper["score"] >= found[""].evaluation.score
    assert paper["price"] == pytest.approx(paper["score"] - found[""].evaluation.score)
    assert (
        f"best on test {paper['score']:.3f}*, the price {paper['price']:+.3f} (* chosen on test: too good)" in printed
    )


def test_a_curve_and_what_is_too_much_for_it(manifest, tmp_path):
    printed = run(manifest, tmp_path / "results", "--learning-curve")
    found = settings(tmp_path / "results")
    assert set(found) == {"", "1 a class", "2 a class", "5 a class", "10 a class"}
    few = found["2 a class"]
    assert few.key.protocol == REFEREE.id
    assert few.evaluation.config["name"] == "referee-fixed-5-draws"
    assert few.evaluation.config["classifiers"] == [["logistic", [0.01]]]
    assert {outcome.sizes["train"] for outcome in few.evaluation.outcomes} == {4}
    printed = run(manifest, tmp_path / "results", "--learning-curve", "10,500")
    assert "note: mine: no 500 a class: a class has 16 clips to train on" in printed
    assert printed.count("(was there)") == 2


def test_no_curve_of_numbers_and_of_pairs(manifest, tmp_path):
    said = []
    numbers = manifest_task(manifest, label="age", kind="regression")
    cells = run_grid(
        ["log-mel"], [(numbers, None), (pairs(manifest), None)], tmp_path / "results", REFEREE,
        asks=Asks(sizes=(1,), leakage=True), note=said.append, quiet=True,
    )  # fmt: skip
    assert {(cell.task, cell.setting, cell.error) for cell in cells} == {
        ("mine", "", ""), ("mine", "leakage speaker", ""), ("mine", "leakage sex", ""), ("voices", "", ""),
    }  # fmt: skip
    assert "mine: no 1 a class: a learning curve needs classes, this is regression" in said
    assert "voices: no 1 a class: a learning curve needs classes, this is verification" in said
    assert "mine: no leakage age: it is what the task asks" in said


def test_what_leaks(manifest, tmp_path):
    manifest.write_text(manifest.read_text().replace("speaker 0,f", "speaker 0,", 1))
    run(manifest, tmp_path / "results", "--leakage")
    found = settings(tmp_path / "results")
    assert set(found) == {"", "leakage speaker", "leakage sex", "leakage age"}
    assert {each.key.task for each in found.values()} == {"mine"}
    speaker, sex = found["leakage speaker"].evaluation, found["leakage sex"].evaluation
    assert (speaker.split, len(speaker.classes), speaker.metric) == ("clips", 10, "uar")
    assert (sex.split, sex.classes) == ("speakers", ("f", "m"))
    assert found["leakage age"].evaluation.classes == ("20s", "30s")
    assert sex.score > 0.8
    assert sex.names == speaker.names[1:]
    assert sex.skipped["clips"] == "1 of 40 do not say sex, or are of a class with too few"
    assert "clips" not in speaker.skipped


def read_voices(folder):
    with (folder / "mine.csv").open() as file:
        return [
            Utterance(folder / row["path"], row["path"], row["speaker"], row["speaker"], "test")
            for row in csv.DictReader(file)
        ]


def read_trials(folder, utterances):
    first, second = np.triu_indices(len(utterances), 1)
    speakers = np.array([each.speaker for each in utterances])
    return Trials(first.astype(np.int32), second.astype(np.int32), speakers[first] == speakers[second])


def pairs(manifest):
    return Task(
        "voices", CORPUS, "speaker", read_voices, "verification", "eer", "canonical",
        read_trials=read_trials, folder=manifest.parent,
    )  # fmt: skip


def test_pairs_are_judged_like_the_rest(manifest, tmp_path, monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "voices", pairs(manifest))
    call = ("run", "-r", "log-mel", "--task", "voices", "-o", tmp_path / "results", "-q", "--paper-selection")
    assert "eer 0." in noss(*call)
    found = settings(tmp_path / "results")
    assert found[""].evaluation.kind == "verification"
    assert len(found[""].evaluation.pairs) == 780
    assert found["paper selection"].evaluation.paper["price"] == 0  # nothing to choose
    assert noss(*call).count("(was there)") == 2


# What is known of a representation.


def test_a_result_says_what_it_cost(manifest, tmp_path):
    run(manifest, tmp_path / "results", "-r", "mobilenet")
    by_name = {each.key.representation: each.about for each in results.load_all(tmp_path / "results")}
    [ours] = [about for name, about in by_name.items() if name.startswith("mobilenet")]
    assert ours["dim"] == 1152
    assert ours["licence"] == "Apache-2.0"
    assert 2e6 < ours["bytes"] < 3e6
    assert 1e-5 < ours["seconds_per_second"] < 1
    assert ours["folder"] == str(manifest.parent)
    assert ours["synthetic"] is False
    assert set(by_name["log-mel-1"]) == {"dim", "seconds_per_second", "synthetic", "folder"}


def test_time_is_measured_once(manifest, tmp_path):
    run(manifest, tmp_path / "results")
    [file] = (tmp_path / "results" / "embeddings").glob("*.cost.json")
    file.write_text('{"seconds_per_second": 7.5}')
    run(manifest, tmp_path / "results", "--learning-curve", "1")
    assert settings(tmp_path / "results")["1 a class"].about["seconds_per_second"] == 7.5
    file.write_text("half of")
    run(manifest, tmp_path / "results", "--learning-curve", "2")
    assert json.loads(file.read_text())["seconds_per_second"] < 1


# What goes wrong.


def test_a_bad_representation_loses_its_own_scores(manifest, tmp_path):
    bad = ("broken", "nan", "grows", "scalar", "crashes")
    arguments = [part for name in bad for part in ("-r", f"mine.py:{name}")]
    printed = run(manifest, tmp_path / "results", *arguments, "-r", "mine.py:level", code=1)
    assert {each.key.representation for each in results.load_all(tmp_path / "results")} == {
        "log-mel-1",
        "mine.py:level",
    }
    lines = dict(line.strip().split(", ", 1) for line in printed.splitlines() if line.startswith("  mine.py"))
    assert list(lines) == [f"mine.py:{name}" for name in bad]
    assert "5 of 7 scores are missing" in printed
    assert "must be finite in float32, mine.py:nan gave nan" in lines["mine.py:nan"]
    assert "must be equally long" in lines["mine.py:grows"]
    assert "shape (num_windows, dim)" in lines["mine.py:scalar"]
    assert "RuntimeError: no weights" in lines["mine.py:crashes"]


def test_stopped_it_keeps_what_is_there_and_says_how_to_go_on(manifest, tmp_path):
    Path("stop").touch()
    both = ("-r", "mine.py:stops")
    printed = run(manifest, tmp_path / "results", *both, first="mine.py:level", code=130)
    assert f"{tmp_path / 'results'} keeps 1 of the scores: the same command goes on there." in printed
    Path("stop").unlink()
    printed = run(manifest, tmp_path / "results", *both, first="mine.py:level")
    assert printed.count("(was there)") == 1
    assert len(results.load_all(tmp_path / "results")) == 2


def test_processes_give_the_same(manifest, tmp_path):
    (tmp_path / "packs").mkdir()
    for name, speakers in (("a", 10), ("b", 12)):
        path = write_clips(tmp_path / "packs" / name, speakers=speakers, name="manifest.csv")
        path.write_text(path.read_text().replace("loudness", "label", 1))
        about = {"name": name, "split": "speaker-disjoint", "metric": "uar", "synthetic": True}
        (tmp_path / "packs" / name / "task.json").write_text(json.dumps(about))
    call = ("run", "--suite", tmp_path / "packs", "--protocol", "referee", "-q", "-r", "log-mel", "--learning-curve")
    noss(*call, "1", "-o", tmp_path / "one")
    noss(*call, "1", "-o", tmp_path / "two", "--jobs", "2")
    one, two = ({each.key: each for each in results.load_all(tmp_path / name)} for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert len(one) == 4
    assert all(same(one[key], two[key]) for key in one)
    assert all(each.about["synthetic"] for each in two.values())


def test_a_process_that_dies_takes_nothing_along(manifest, tmp_path):
    printed = run(manifest, tmp_path / "results", "-r", "mine.py:dies", "--jobs", "2", code=1, first="mine.py:level")
    assert "1 of 2 scores are missing:\n  mine.py:dies, mine: its process ended" in printed
    [found] = results.load_all(tmp_path / "results")
    assert found.key.representation == "mine.py:level"


def test_processes_are_in_the_folder_of_today(manifest, tmp_path, monkeypatch):
    run(manifest, tmp_path / "one", "-r", "mine.py:level", "--jobs", "2")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/other.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path / "elsewhere")
    run(manifest, tmp_path / "two", "-r", "other.py:level", "--jobs", "2")
    assert len(results.load_all(tmp_path / "two")) == 2


def test_threads_give_the_same(manifest, tmp_path):
    suite, loaded = [(manifest_task(manifest, label="loudness"), None)], load_representation("log-mel")
    for jobs in (1, 3):
        run_grid([loaded], suite, tmp_path / str(jobs), REFEREE, jobs=jobs, quiet=True)
    one, other = (settings(tmp_path / name)[""] for name in ("1", "3"))
    assert same(one, other)


# Speakers, loudness, parts of clips -> what is said, and the exit code.
INPUTS = {
    "a speaker in two parts": (
        {"speaker": ["anna"] * 40, "split": ["train", "test"] * 20}, "must stand in one split, 1 of mine", 2,
    ),
    "one class": ({"loudness": ["loud"] * 40}, "at least two classes, mine has only 'loud' in 40 clips", 2),
    "one speaker": ({"speaker": ["anna"] * 40}, "kept apart from two on, mine has only 'anna'", 2),
    "no label": ({"loudness": ["nan"] * 3 + ["loud"] * 37}, "3 of mine have none: 0.wav ('nan')", 2),
    "no file": ({"path": [f"{number + 1}.wav" for number in range(40)]}, "1 of 40 clips that mine lists are not on", 2),
    "four speakers in five folds": (
        {"speaker": [f"speaker {number % 4}" for number in range(40)]}, "kept apart from 5 on here, got 4", 1,
    ),
    "a class that a part lacks": (
        {"loudness": ["loud", "soft"] * 18 + ["rare"] * 4}, "uar 0.", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_bad_corpora_say_what_is_wrong(name, manifest, tmp_path):
    changes, said, code = INPUTS[name]
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    changed = [{**row, **{column: values[at] for column, values in changes.items()}} for at, row in enumerate(rows)]
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, changed[0])
        writer.writeheader()
        writer.writerows(changed)
    assert said in run(manifest, tmp_path / "results", "--learning-curve", "1", code=code)


def test_four_speakers_are_enough_for_random_splits(tmp_path):
    manifest = write_clips(tmp_path / "four", speakers=4, clips=10)
    config = dataclasses.replace(NOSS, aggregations=("mean",), classifiers=(("lda", (0.5,)),))
    run_grid(["log-mel"], [(manifest_task(manifest, label="loudness"), None)], tmp_path / "results", config, quiet=True)
    [found] = results.load_all(tmp_path / "results")
    assert len(found.evaluation.outcomes) == 4


def test_the_same_sound_in_two_parts_is_said(manifest, tmp_path):
    (manifest.parent / "39.wav").write_bytes((manifest.parent / "0.wav").read_bytes())
    suite = [(manifest_task(manifest, label="loudness"), None)]
    with pytest.warns(UserWarning, match=r"a sound should stand in one part, 1 stand in more: 0\.wav = 39\.wav"):
        run_grid(["log-mel"], suite, tmp_path / "results", REFEREE, quiet=True)
    [found] = results.load_all(tmp_path / "results")
    assert found.evaluation.duplicates == ("0.wav = 39.wav",)


def test_sound_that_changes_while_it_runs_is_no_score(manifest, tmp_path, monkeypatch):
    asked = []

    def changes(*given, **options):
        soundfile.write(manifest.parent / "1.wav", np.zeros(4_000), 16_000)
        asked.append(1)
        return embed(*given, **options)

    embed = embeddings.embed
    monkeypatch.setattr(embeddings, "embed", changes)
    assert "must stay as they are, some changed" in run(manifest, tmp_path / "results", code=1)
    assert asked
    assert not results.load_all(tmp_path / "results")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-r", "log-mel", "-o", "out"), "something must be asked"),
        (("--manifest", "corpus/mine.csv", "--label", "loudness", "-o", "out"), "something must be judged: pass -r"),
        (("-r", "log-mel", "--task", "nothing", "-o", "out"), "a task must be one of"),
        (("-r", "log-mel", "--task", "crema_d", "-o", "out"), "must be unpacked in a folder, got none"),
        (("-r", "nothing", "--manifest", "corpus/mine.csv", "--label", "loudness", "-o", "out"), "must be one of"),
        (
            ("-r", "log-mel", "--manifest", "corpus/mine.csv", "--label", "loudness", "-o", "out",
             "--learning-curve", "few"), "sizes of a learning curve are numbers of clips a class from 1 on",
        ),
    ],
)  # fmt: skip
def test_bad_calls_say_what_is_wanted(manifest, arguments, said):
    assert said in noss("run", *arguments, code=2)
    assert not list(manifest.parent.parent.glob("out/*.json"))


def test_one_name_is_one_representation(manifest, tmp_path):
    assert "got log-mel-1 twice" in run(manifest, tmp_path / "results", "-r", "log-mel", code=2)


def test_the_demo_brings_its_own(manifest, tmp_path, monkeypatch):
    made = []

    def demo_tasks(folder, *, quiet):
        made.append(folder)
        return {"mine": manifest_task(manifest, label="loudness")}

    demo = SimpleNamespace(demo_tasks=demo_tasks, DEMO_REPRESENTATIONS=("log-mel",))
    monkeypatch.setitem(sys.modules, "noss.demo", demo)
    monkeypatch.setattr("noss.demo", demo, raising=False)
    printed = noss("run", "--suite", "demo", "-o", tmp_path / "results", "-q", "--protocol", "referee")
    assert "log-mel-1" in printed
    assert made == [tmp_path / "results" / "demo-suite"]
