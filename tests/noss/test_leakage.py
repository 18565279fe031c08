"""Which clips are asked about a trait, what is asked of them, and when nothing is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from noss.config import NOSS, REFEREE
from noss.leakage import TRAITS, leak, leakage_config, leakage_task
from noss.protocol import evaluate
from noss.tasks import Utterance, load, manifest_task, pack_tasks
from tests.noss.made import embeddings, task

SPEAKER, SEX, AGE = TRAITS


def clip(number, speaker, label="x", **traits):
    return Utterance(
        Path(f"{number}.wav"), f"{number}.wav", label, speaker, "train", traits=tuple(traits.items())
    )  # fmt: skip


def people(count, clips=2, **traits):
    """Speakers of one sex or age, two labels."""
    name = "-".join(traits.values())
    return [
        clip(f"{name}{who}{at}", f"{name}{who}", "xy"[at % 2], **traits) for who in range(count) for at in range(clips)
    ]


def test_speakers_of_two_clips_are_asked_for():
    utterances = [clip(0, "anna"), clip(1, "anna"), clip(2, "berta"), clip(3, "carla"), clip(4, "carla"), clip(5, "?5")]
    positions, asked = leak(SPEAKER, utterances)
    assert positions == [0, 1, 3, 4]
    assert [each.label for each in asked] == ["anna", "anna", "carla", "carla"]
    assert {each.split for each in asked} == {None}


def test_of_a_sex_there_must_be_five():
    utterances = [*people(5, sex="f"), *people(6, sex="m"), *people(4, sex="x"), *people(9)]
    positions, asked = leak(SEX, utterances)
    assert {each.label for each in asked} == {"f", "m"}
    assert positions == list(range(22))


def test_years_are_decades():
    utterances = [*people(5, age="29"), *people(2, age="30"), *people(3, age="39.5"), *people(1, age="41")]
    _, asked = leak(AGE, utterances)
    assert {each.label for each in asked} == {"20s", "30s"}
    _, asked = leak(AGE, [*people(5, age="child"), *people(5, age="adult")])
    assert {each.label for each in asked} == {"child", "adult"}


@pytest.mark.parametrize(
    ("trait", "utterances", "message"),
    [
        (SEX, people(9), "the corpus does not say it"),
        (SEX, [replace(each, speaker=f"?{each.name}") for each in people(9, sex="f")], "the corpus does not say it"),
        (SEX, [*people(9, sex="f"), *people(4, sex="m")], "two classes of 5 speakers or more"),
        (SPEAKER, people(9, clips=1), "two classes of 2 clips or more"),
        (SPEAKER, [replace(each, label=each.speaker) for each in people(9, sex="f")], "it is what the task asks"),
        (
            SEX,
            [
                *(replace(each, label="woman") for each in people(9, sex="f")),
                *(replace(each, label="man") for each in people(9, sex="m")),
            ],
            "it is what the task asks",
        ),
        (AGE, people(9, age="unknown"), "two classes"),
        (AGE, people(9, age="-1"), "the corpus does not say it"),
    ],
)
def test_what_cannot_be_asked(trait, utterances, message):
    assert message in leak(trait, utterances)


def test_the_task_keeps_its_name_and_asks_something_else():
    asked = task("regression", "mae", "canonical", overlap="all", version="7")
    found = leakage_task(asked, SEX)
    assert (found.name, found.version) == (asked.name, "7")
    assert (found.kind, found.metric, found.split, found.overlap, found.label) == (
        "classification", "uar", "speakers", "", "sex",
    )  # fmt: skip
    assert leakage_task(asked, SPEAKER).split == "clips"


def test_folds_are_not_asked_of_speakers_with_two_clips():
    assert leakage_config(SPEAKER, NOSS) is NOSS
    assert leakage_config(SEX, REFEREE) is REFEREE
    random = leakage_config(SPEAKER, REFEREE)
    assert random.splits.folds == 0
    assert random.id != REFEREE.id


def test_what_is_in_the_embedding_is_found_and_what_is_not_is_chance():
    rng = np.random.default_rng(0)
    utterances = [*people(20, clips=6, sex="f"), *people(20, clips=6, sex="m")]
    speakers = np.unique([each.speaker for each in utterances], return_inverse=True)[1]
    heard = {
        "sex": np.array([dict(each.traits)["sex"] == "f" for each in utterances])[:, None] * np.ones(6),
        "speaker": rng.normal(size=(40, 6))[speakers],
        "nothing": np.zeros((len(utterances), 6)),
    }
    config = replace(NOSS, aggregations=("mean",), normalisations=("none", "speaker"), classifiers=(("lda", (0.5,)),))
    scores = {}
    for what, vectors in heard.items():
        for trait in (SPEAKER, SEX):
            _, asked = leak(trait, utterances)
            rows = embeddings(vectors + 0.2 * rng.normal(size=vectors.shape))
            found = evaluate(leakage_task(task(), trait), asked, rows, leakage_config(trait, config))
            scores[what, trait.name] = found.score
            for outcome in found.outcomes:  # what the speaker's mean would give away is not tried
                assert outcome.setting.normalisation == "none"
    assert scores["sex", "sex"] == 1
    assert scores["speaker", "speaker"] > 0.9
    assert scores["sex", "speaker"] < 0.1  # of forty
    assert scores["nothing", "sex"] == pytest.approx(0.5, abs=0.15)
    assert scores["nothing", "speaker"] < 0.08


def test_a_manifest_says_who_speaks(tmp_path):
    (tmp_path / "a").mkdir()
    for name in "ab":
        (tmp_path / "a" / f"{name}.wav").touch()
    path = tmp_path / "a" / "manifest.csv"
    path.write_text("path,label,speaker,gender,age\na.wav,x,1, F ,31\nb.wav,y,2,,\n")
    assert [each.traits for each in load(manifest_task(path))] == [(("sex", "f"), ("age", "31")), ()]
    about = {"name": "a", "split": "speaker", "metric": "uar"}
    for said, synthetic in ((None, False), (True, True), ("no", False)):
        (tmp_path / "a" / "task.json").write_text(json.dumps(about if said is None else {**about, "synthetic": said}))
        assert pack_tasks(tmp_path)["a"].corpus.synthetic is synthetic
