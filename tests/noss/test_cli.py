"""`noss table`: what is shown, what is best, what the mean is over."""

import csv
import dataclasses
import io

import pytest

from noss import results
from noss.protocol import NOSS, evaluate
from noss.results import Key
from noss.table import as_text, tables
from noss.trials import evaluate_trials
from tests.noss.clips import noss
from tests.noss.made import corpus, embeddings, task, utterances
from tests.noss.test_trials import TASK as PAIRS
from tests.noss.test_trials import voices

QUICK = dataclasses.replace(
    NOSS, aggregations=("mean",), normalisations=("none",), classifiers=(("lda", (0.5,)), ("ridge", (1.0,)))
)


@pytest.fixture
def evaluations():
    labels, speakers, vectors = corpus(num_speakers=8)
    clips, trials = voices()[0], voices()[2]
    return {
        "uar": evaluate(task(), utterances(labels, speakers), embeddings(vectors), QUICK),
        "mae": evaluate(
            task("regression", "mae"), utterances([len(text) + 0.1 * at for at, text in enumerate(labels)], speakers),
            embeddings(vectors), QUICK,
        ),
        "eer": evaluate_trials(PAIRS, clips, embeddings(voices()[1]), trials, QUICK),
    }  # fmt: skip


@pytest.fixture
def save(evaluations, tmp_path):
    """Write a score as if it had been computed."""

    def write(name, asked, metric, score, setting="", protocol=QUICK.id, sounds="s"):
        evaluation = dataclasses.replace(evaluations[metric], task=asked, score=score, protocol=protocol)
        key = Key(name, "f", asked, evaluation.task_version, sounds, protocol, setting)
        return results.save(tmp_path, key, evaluation)

    return write


def test_rows_columns_and_the_mean_of_all_tasks(save, tmp_path):
    for name, scores in {"a": (0.5, 0.9), "b": (0.6, 0.7), "c": (0.99, None)}.items():
        for asked, score in zip(("moods", "sexes"), scores, strict=True):
            if score is not None:
                save(name, asked, "uar", score)
    lines = noss("table", tmp_path).splitlines()
    assert lines[0] == QUICK.id
    assert lines[1].split() == ["moods", "sexes", "mean"]
    assert lines[2].split() == ["uar", "uar"]
    assert [line.split() for line in lines[3:6]] == [
        ["a", "0.500", "0.900", "0.700"],
        ["b", "0.600", "0.700", "0.650"],
        ["c", "0.990"],  # its mean would be of other tasks
    ]
    assert lines[6] == "mean: uar of 2 tasks, higher is better"
    assert len(lines) == 7


def test_the_lowest_is_best_where_lower_is_better_and_is_not_averaged(save, tmp_path):
    for name, uar, mae, eer in (("a", 0.5, 3.0, 0.2), ("b", 0.6, 9.0, 0.1)):
        save(name, "moods", "uar", uar)
        save(name, "ages", "mae", mae)
        save(name, "voices", "eer", eer)
    (found,) = tables(results.load_all(tmp_path))
    assert found.tasks == ("ages", "moods", "voices")
    assert found.best().tolist() == [[True, False, False], [False, True, True]]
    text = as_text(found, bold=lambda cell: f"{cell}!")
    first, second = text.splitlines()[3:5]
    assert first.split() == ["a", "3.000!", "0.500", "0.200", "0.500"]
    assert second.split() == ["b", "9.000", "0.600!", "0.100!", "0.600"]
    assert text.endswith("mean: uar of 1 tasks, higher is better; without ages (mae), voices (eer)")


def test_only_lower_is_better(save, tmp_path):
    save("a", "voices", "eer", 0.2)
    save("a", "others", "eer", 0.4)
    lines = noss("table", tmp_path).splitlines()
    assert lines[3].split() == ["a", "0.400", "0.200", "0.300"]
    assert lines[4] == "mean: eer of 2 tasks, lower is better"


def test_a_setting_is_shown_alone(save, tmp_path):
    save("a", "moods", "uar", 0.5)
    save("a", "moods", "uar", 0.3, setting="1 a class")
    assert "0.300" not in noss("table", tmp_path)
    printed = noss("table", tmp_path, "--setting", "1 a class")
    assert f"{QUICK.id}, 1 a class" in printed
    assert "0.500" not in printed
    assert "There is: (the plain score), 1 a class." in noss("table", tmp_path, "--setting", "few", code=2)


def test_of_several_the_newest_is_shown_and_said(save, tmp_path, monkeypatch):
    for created, score, sounds in (
        ("2026-01-02", 0.7, "old"),
        ("2026-01-03", 0.8, "new"),
        ("2026-01-01", 0.6, "first"),
    ):
        path = save("a", "moods", "uar", score, sounds=sounds)
        found = dataclasses.replace(results.load(path), created=created)
        monkeypatch.setattr(
            results, "load", lambda path, load=results.load, at=path, found=found: found if path == at else load(path)
        )
    printed = noss("table", tmp_path)
    assert "0.800" in printed
    assert "2 older results of other sounds, weights or versions are left out" in printed


def test_protocols_stand_apart(save, tmp_path):
    save("a", "moods", "uar", 0.5)
    save("a", "moods", "uar", 0.4, protocol="other-1-0")
    printed = noss("table", tmp_path)
    assert printed.count("mean: uar of 1 tasks") == 2


def test_intervals_and_csv(save, tmp_path):
    save("a", "moods", "uar", 0.5)
    save("a", "ages", "mae", None)
    assert "0.500 [" in noss("table", tmp_path, "--intervals")
    rows = list(csv.DictReader(io.StringIO(noss("table", tmp_path, "--csv"))))
    assert [(row["representation"], row["task"], row["metric"], row["score"]) for row in rows] == [
        ("a", "ages", "mae", ""), ("a", "moods", "uar", "0.500000"),
    ]  # fmt: skip
    assert set(rows[0]) == {"protocol", "setting", "representation", "task", "metric", "score"}
    rows = list(csv.DictReader(io.StringIO(noss("table", tmp_path, "--csv", "--intervals"))))
    assert float(rows[1]["low"]) < float(rows[1]["high"])


def test_an_empty_folder_has_no_table(tmp_path):
    assert "has none" in noss("table", tmp_path, code=2)
