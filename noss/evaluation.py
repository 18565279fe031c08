"""What comes out of judging a representation: scores, and what is needed to ask further."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from noss import statistics
from noss.config import Setting
from noss.metrics import METRICS
from noss.splits import Cut
from noss.statistics import Interval


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out of one split.

    Args:
        name: of the split.
        group: splits of a group share the setting.
        speaker: if all is of one.
        setting: chosen on dev.
        dev_score: of that setting, having learned from train.
        score: on test, in the metric of the task; None if it is not defined there.
        items: positions of what is tested: clips, or pairs.
        predicted: `(num_items,)` numbers of classes, numbers, or scores of pairs.
        sizes: clips in train, dev and test.
        dev_by: who cut dev: the corpus, or we by speaker or by clip.
        missing: classes that a part lacks: of train (with dev if that is learned from too), dev, test.
        seen: normalised by speaker: how many speakers by their clips in training, by those judged, or by everybody's,
            their own being too few.
        seconds: to choose, and to fit again and test.
    """

    name: str
    group: str
    speaker: str
    setting: Setting
    dev_score: float | None
    score: float | None
    items: np.ndarray
    predicted: np.ndarray
    sizes: dict[str, int]
    dev_by: Cut
    missing: dict[str, list[str]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a representation is at a task, by one protocol.

    Args:
        task, task_version, kind, metric, split: of the task.
        protocol: id of the config.
        config: the config as JSON has it.
        score: in the metric of the task: mean over splits, or of the pooled predictions.
        scores: likewise, in all metrics of this kind of task.
        classes: names; classes are numbered in this order.
        names, speakers: of the clips.
        truth: `(num_items,)` numbers of classes, numbers, or 1 for pairs of one speaker.
        pairs: `(num_items, 2)` positions of clips, in verification.
        outcomes: one a split.
        paper: "score" and "settings" as chosen on test, and the "price" of that, how much too good it looks.
        failed: name of a clip without an embedding -> why. These are left out.
        unused: clips in no part.
        skipped: what was not tried, or which split could not be -> why.
        duplicates: clips with the same sound in two parts of a split.
    """

    task: str
    task_version: str
    kind: str
    metric: str
    split: str
    protocol: str
    config: dict[str, Any]
    score: float | None
    scores: dict[str, float | None]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    speakers: tuple[str, ...]
    truth: np.ndarray
    outcomes: tuple[Outcome, ...]
    pairs: np.ndarray | None = None
    paper: dict[str, Any] | None = None
    failed: dict[str, str] = field(default_factory=dict)
    unused: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    duplicates: tuple[str, ...] = ()

    def tested(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Items, what was predicted, and the number of the split, over all splits: `(n,)` each."""
        lengths = [len(outcome.items) for outcome in self.outcomes]
        return (
            np.concatenate([outcome.items for outcome in self.outcomes]),
            np.concatenate([outcome.predicted for outcome in self.outcomes]),
            np.repeat(np.arange(len(lengths)), lengths),
        )


def score(metric: str, truth: np.ndarray, predicted: np.ndarray, num_classes: int = 0) -> float:
    """A metric of numbers of classes, of numbers or of pairs; NaN where it is not defined.

    Of clips of a single class: the share that is right, which then is all three metrics of classes.

    >>> score("uar", np.array([2, 2]), np.array([2, 0]), num_classes=3)
    0.5
    """
    try:
        if METRICS[metric].kind != "classification":
            return METRICS[metric].function(truth, predicted)
        if (truth == truth[0]).all():
            return float((truth == predicted).mean())
        function: Any = METRICS[metric].function
        return float(function(truth, predicted, classes=range(num_classes)))
    except ValueError:
        return float("nan")


def scores_of(
    kind: str, truth: np.ndarray, outcomes: Sequence[Outcome], num_classes: int, pooled: bool
) -> dict[str, float | None]:
    """Each metric of a kind of task: of all predictions together, or the mean over splits where it is defined."""
    parts = [(outcome.items, outcome.predicted) for outcome in outcomes]
    if pooled:
        parts = [tuple(np.concatenate(some) for some in zip(*parts, strict=True))]  # type: ignore[list-item]
    found: dict[str, float | None] = {}
    for name in (name for name, metric in METRICS.items() if metric.kind == kind):
        values = np.array([score(name, truth[items], predicted, num_classes) for items, predicted in parts])
        found[name] = None if np.isnan(values).all() else float(np.nanmean(values))
    return found


def interval(evaluation: Evaluation, metric: str | None = None, **how: Any) -> Interval:
    """The score of other speakers, as far as those tested tell: speakers drawn with replacement.

    Where the speaker is what is asked for, clips are drawn; one speaker at a time, the speakers' mean scores.

    Args:
        evaluation: of a task.
        metric: by default that of the task.
        how: level, rounds, seed, expanded: as `noss.statistics.bootstrap`.

    Raises:
        ValueError: if it is not defined, for instance for a single speaker.
    """
    metric = metric or evaluation.metric
    if evaluation.split == "within speaker":
        number = len(evaluation.classes)
        found = [score(metric, evaluation.truth[each.items], each.predicted, number) for each in evaluation.outcomes]
        return statistics.bootstrap_mean(found, [each.speaker for each in evaluation.outcomes], **how)
    items, predicted, splits = evaluation.tested()
    return statistics.bootstrap(
        evaluation.truth[items],
        predicted,
        units(evaluation)[items],
        metric,
        splits=None if evaluation.config["pooled"] else splits,
        classes=range(len(evaluation.classes)) if evaluation.classes else None,
        **how,
    )


def units(evaluation: Evaluation) -> np.ndarray:
    """What is drawn: for each item its speaker, both speakers of a pair, or a number of its own."""
    speakers = np.array(evaluation.speakers)
    if evaluation.pairs is not None:
        return np.asarray(speakers[evaluation.pairs])
    if evaluation.classes and (np.array(evaluation.classes)[evaluation.truth] == speakers).all():
        return np.arange(len(speakers)).astype(str)
    return speakers
