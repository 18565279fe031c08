"""Folders of results whose scores are made up: nothing is fitted, so that a suite takes no time."""

import dataclasses
import json

import numpy as np

from noss.config import REFEREE, Setting
from noss.evaluation import Evaluation, Outcome, scores_of
from noss.results import Key, save

HOSTILE = '<script>alert("x")</script>|[y](http://z)'
SETTING = Setting("mean", "none", "balanced_logistic", 0.01)


def evaluation(
    kind="classification",
    *,
    task="made",
    metric=None,
    skill=0.8,
    classes=("angry", "calm", "sad"),
    num_speakers=12,
    clips=9,
    splits=1,
    seed=0,
    protocol=REFEREE,
    **changes,
):
    """Predictions that are right with a probability of about `skill`, more often of some speakers."""
    rng, own = np.random.default_rng(7), np.random.default_rng([seed, *task.encode()])
    speakers = np.repeat(np.arange(num_speakers), clips)
    number = len(speakers)
    pairs = None
    if kind == "verification":
        metric, classes = metric or "eer", ()
        pairs = np.stack(np.triu_indices(number, 1), axis=1)
        truth = (speakers[pairs[:, 0]] == speakers[pairs[:, 1]]).astype(np.int64)
        predicted = [truth * 3 * skill + own.normal(size=len(truth)) for _ in range(splits)]
    elif kind == "regression":
        metric, classes = metric or "mae", ()
        truth = rng.uniform(20, 70, number)
        predicted = [truth + own.normal(size=number) * 20 * (1 - skill) for _ in range(splits)]
    else:
        metric = metric or "uar"
        truth = rng.permuted(np.arange(number) % len(classes))
        share = np.clip(skill + rng.normal(0, 0.1, num_speakers)[speakers], 0, 1)
        right = [own.random(number) < share for _ in range(splits)]
        predicted = [np.where(each, truth, own.integers(len(classes), size=number)) for each in right]
    items = np.arange(len(truth))
    outcomes = [
        Outcome(f"split {n}", "", "", SETTING, 0.5, None, items, each, {"train": 9, "dev": 3, "test": 6}, "speaker")
        for n, each in enumerate(predicted)
    ]
    outcomes = tuple(
        dataclasses.replace(each, score=scores_of(kind, truth, [each], len(classes), True)[metric]) for each in outcomes
    )
    scores = scores_of(kind, truth, outcomes, len(classes), protocol.pooled)
    made = Evaluation(
        task=task,
        task_version="1",
        kind=kind,
        metric=metric,
        split="speakers",
        protocol=protocol.id,
        config=json.loads(json.dumps(dataclasses.asdict(protocol))),
        score=scores[metric],
        scores=scores,
        classes=tuple(classes),
        names=tuple(f"audio/{index}.wav" for index in range(number)),
        speakers=tuple(f"speaker {each}" for each in speakers),
        truth=truth,
        outcomes=outcomes,
        pairs=pairs,
    )
    return dataclasses.replace(made, **changes)


def put(folder, judged, representation="trill", *, setting="", fingerprint=None, sounds="sounds", about=None):
    """Save it, and give its key."""
    fingerprint = fingerprint or f"fingerprint of {representation}"
    key = Key(representation, fingerprint, judged.task, judged.task_version, sounds, judged.protocol, setting)
    save(folder, key, judged, about)
    return key


SKILLS = {"trill-1-0123abcd:embedding": 0.85, "yamnet": 0.7, "mfcc": 0.5}


def suite(folder, skills=SKILLS):
    """Everything a folder may hold: three kinds of task, curves, leakage, costs, things that went wrong."""
    for number, (name, skill) in enumerate(skills.items()):
        about = {
            "dim": 64 * (number + 1),
            "seconds_per_second": 0.01 / (number + 1),
            "bytes": 10**7 // (number + 1) ** 2,
            "licence": HOSTILE,
        }
        how = {"skill": skill, "seed": number}
        failed = {"audio/3.wav": f"no sound {HOSTILE}"} if number == 1 else {}
        hostile = ("angry", "calm", HOSTILE)
        for judged in (
            evaluation(task="emotion", classes=hostile, failed=failed, duplicates=("a.wav = b.wav",), **how),
            evaluation(task="keyword", classes=[f"word {n}" for n in range(10)], num_speakers=30, clips=10, **how),
            evaluation("regression", task="age", **how),
            evaluation("verification", task="verify", num_speakers=8, clips=4, **how),
            evaluation(task="few", num_speakers=4, clips=30, **how),
        ):
            put(folder, judged, name, about=about)
        for size in (1, 2, 5, 10):
            learned = evaluation(task="emotion", classes=hostile, splits=5, skill=skill * (1 - 0.6 / size), seed=number)
            put(folder, learned, name, setting=f"{size} a class")
        for what, classes in (("speaker", [f"speaker {n}" for n in range(12)]), ("sex", ("f", "m"))):
            for task in ("emotion", "keyword"):
                read = evaluation(task=task, classes=classes, skill=skill**2, seed=number)
                put(folder, read, name, setting=f"leakage {what}")
        price = {"score": 0.9, "price": 0.0123, "settings": []}
        put(folder, evaluation(task="keyword", paper=price, **how), name, setting="paper selection")
    return folder
