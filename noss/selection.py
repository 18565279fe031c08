"""Choosing on dev, fitting again, testing once: the arithmetic of `noss.protocol`."""

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from noss.classifiers import fit
from noss.config import ProtocolConfig, Setting
from noss.evaluation import Outcome, score
from noss.features import Features, blocks_of, normaliser, rows_of, vote
from noss.metrics import METRICS
from noss.splits import Split
from trill.errors import optional
from trill.progress import progress

joblib = optional("joblib", "noss")

DIGITS = 12  # of scores that are compared: rounding chooses nothing


@dataclass(frozen=True, eq=False)
class Data:
    """What all splits share.

    Args:
        features: of all clips, by aggregation.
        targets: `(num_clips,)` numbers of classes, or numbers.
        speakers: `(num_clips,)`.
        classes: names of the classes; none in regression.
        metric: that is chosen by.
        config: the protocol.
    """

    features: dict[str, Features]
    targets: np.ndarray
    speakers: np.ndarray
    classes: tuple[str, ...]
    metric: str
    config: ProtocolConfig


@dataclass(frozen=True, eq=False)
class Answer:
    """What a setting says of the clips that are judged, whose sound it saw to normalise, and how long it took."""

    predicted: np.ndarray
    seen: dict[str, int]
    seconds: float


def sweep(data: Data, settings: list[Setting], training: np.ndarray, judged: np.ndarray) -> list[Answer]:
    """What each setting, having learned from some clips, says of others. Rows are prepared once for many settings.

    Args:
        data: of all clips; the targets of those judged are not looked at.
        settings: in the order of `ProtocolConfig.settings`.
        training: positions of the clips to learn from.
        judged: of those to be classified.
    """
    answers: list[Answer] = []
    known: dict[object, list[Answer]] = {}  # of clips of one window, mean, maximum and vote are the same rows
    for (aggregation, how), group in itertools.groupby(settings, lambda each: (each.aggregation, each.normalisation)):
        began = time.perf_counter()
        some = list(group)
        features = data.features[aggregation]
        same = (id(features.rows), how, tuple((each.classifier, each.strength) for each in some))
        if same in known:
            answers += known[same]
            continue
        normalised = normaliser(how, features, data.speakers, training, judged)
        rows, owners = rows_of(features, training, max(1, data.config.voting_rows // len(training)))
        fitted = fit(
            normalised.apply(features.rows[rows], training[owners]),
            data.targets[training][owners],
            [(each.classifier, each.strength) for each in some],
            data.config.splits.seed,
        )
        blocks = [
            (owners, fitted(normalised.apply(features.rows[rows], judged[owners])))
            for rows, owners in blocks_of(features, judged)
        ]
        whose = np.concatenate([owners for owners, _ in blocks])
        said = zip(*(predictions for _, predictions in blocks), strict=True)
        predicted = [vote(np.concatenate(each), whose, len(judged)) for each in said]
        seconds = (time.perf_counter() - began) / len(some)
        known[same] = [Answer(each, normalised.seen, seconds) for each in predicted]
        answers += known[same]
    return answers


def choose(scores: np.ndarray, splits: list[Split], metric: str) -> list[int]:
    """For each split the setting whose mean score over the splits of its group is best, the first of equal ones.

    Args:
        scores: `(num_splits, num_settings)`, NaN where undefined.
        splits: as many.
        metric: a name in `noss.metrics.METRICS`.
    """
    sign = 1 if METRICS[metric].higher_is_better else -1
    groups = np.array([split.group for split in splits])
    best = {}
    for group in np.unique(groups):
        of_group = np.nan_to_num(sign * scores[groups == group], nan=-np.inf)
        best[group] = int(np.argmax(np.round(of_group.mean(axis=0), DIGITS)))
    return [best[group] for group in groups]


def outcomes_of(
    data: Data, splits: list[Split], tried: list[Setting], *, jobs: int, on_test: bool, quiet: bool
) -> tuple[list[Outcome], list[Outcome]]:
    """Of each split what was chosen on dev, and, if asked for, what would be chosen on test."""
    run = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")

    def answers_of(what: str, calls: list[tuple[list[Setting], np.ndarray, np.ndarray]]) -> list[list[Answer]]:
        found: Iterable[Any] = run(joblib.delayed(sweep)(data, *call) for call in calls)
        with progress(found, total=len(calls), unit=what, quiet=quiet) as bar:
            return list(bar)

    on_dev = answers_of("splits chosen for", [(tried, split.train, split.dev) for split in splits])
    dev_scores = _scores(data, [split.dev for split in splits], on_dev)
    chosen = choose(dev_scores, splits, data.metric)
    learned = [np.union1d(split.train, split.dev) if data.config.refit else split.train for split in splits]
    tested = answers_of(
        "splits tested",
        [
            (tried if on_test else [tried[index]], part, split.test)
            for index, part, split in zip(chosen, learned, splits, strict=True)
        ],
    )

    def outcome(number: int, index: int) -> Outcome:
        split, part = splits[number], learned[number]
        answer = tested[number][index if on_test else 0]
        found = score(data.metric, data.targets[split.test], answer.predicted, len(data.classes))
        return Outcome(
            name=split.name,
            group=split.group,
            speaker=split.speaker,
            setting=tried[index],
            dev_score=none_if_nan(dev_scores[number, index]),
            score=none_if_nan(found),
            items=split.test,
            predicted=answer.predicted,
            sizes={"train": len(split.train), "dev": len(split.dev), "test": len(split.test)},
            dev_by=split.dev_by,
            missing=missing_classes(data, {"train": part, "dev": split.dev, "test": split.test}),
            seen=answer.seen,
            seconds={"choose": sum(each.seconds for each in on_dev[number]), "test": answer.seconds},
        )

    best = choose(_scores(data, [split.test for split in splits], tested), splits, data.metric) if on_test else []
    return [outcome(*each) for each in enumerate(chosen)], [outcome(*each) for each in enumerate(best)]


def _scores(data: Data, judged: list[np.ndarray], answers: list[list[Answer]]) -> np.ndarray:
    """`(num_splits, num_settings)`."""
    return np.array(
        [
            [score(data.metric, data.targets[clips], answer.predicted, len(data.classes)) for answer in some]
            for clips, some in zip(judged, answers, strict=True)
        ]
    )


def missing_classes(data: Data, parts: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """Classes that parts lack."""
    found = {
        part: [name for number, name in enumerate(data.classes) if number not in there]
        for part, there in ((part, set(data.targets[clips].tolist())) for part, clips in parts.items())
    }
    return {part: names for part, names in found.items() if names}


def none_if_nan(value: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)
