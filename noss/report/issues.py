"""What a reader should know before believing a score."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from noss.compare import short
from noss.metrics import METRICS
from noss.results import Result
from noss.statistics import Interval

SHOWN = 5  # names in a line


@dataclasses.dataclass(frozen=True)
class Issue:
    """Something that went wrong, or is to be known.

    Args:
        what: in a word or two; a row of the table in docs/reading-the-report.md.
        where: the task.
        who: labels of representations.
        text: what exactly.
    """

    what: str
    where: str
    who: tuple[str, ...]
    text: str


def issues_of(
    results: Sequence[Result],
    names: dict[tuple[str, str], str],
    intervals: dict[str, Interval | str],
    left_out: Iterable[Result],
) -> list[Issue]:
    """All, the same thing about several representations in one.

    Args:
        results: of one protocol.
        names: label of each representation.
        intervals: by file of the key, or why there is none.
        left_out: results of another version or other sounds than the table shows.
    """
    found: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for result in results:
        label = names[result.key.representation, result.key.fingerprint]
        where = f"{result.key.task}{f', {result.key.setting}' if result.key.setting else ''}"
        for what, text in _of(result, intervals[result.key.file]):
            found[what, where, text].append(label)
    for label, text in _prices(results, names):
        found["price of choosing on test", "all tasks", text].append(label)
    for result in left_out:
        label = names[result.key.representation, result.key.fingerprint]
        text = "judged on other sounds, or another version of the task, than the table shows"
        found["left out", result.key.task, text].append(label)
    return [Issue(what, where, tuple(dict.fromkeys(who)), text) for (what, where, text), who in sorted(found.items())]


def _of(result: Result, interval: Interval | str) -> Iterable[tuple[str, str]]:
    evaluation = result.evaluation
    if evaluation.score is None:
        yield "no score", "it is not defined: no split tests what it needs"
    elif isinstance(interval, str):
        yield "no interval", interval
    elif interval.vacuous:
        yield "interval nearly vacuous", interval.vacuous
    if evaluation.failed:
        lines = [f"{name}: {why}" for name, why in evaluation.failed.items()]
        yield "failed clips", f"{len(lines)} of {len(evaluation.names)} have no embedding: {_some(lines)}"
    if number := len(evaluation.duplicates):
        stand = "sound stands" if number == 1 else "sounds stand"
        yield "duplicates", f"{number} {stand} in two parts of a split: {_some(list(evaluation.duplicates))}"
    for name, why in evaluation.skipped.items():
        yield "skipped", f"{name}: {why}"
    if evaluation.unused:
        yield "unused clips", f"{evaluation.unused} are in no part"
    missing = {name for each in evaluation.outcomes for name in each.missing.get("train", ())}
    if missing:
        yield "classes not learned", f"a training part lacks {_some(sorted(missing))}"


def _prices(results: Iterable[Result], names: dict[tuple[str, str], str]) -> Iterable[tuple[str, str]]:
    """How much too good the paper's way of choosing looks, a line a representation; scores.csv has it by task."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for result in results:
        price = (result.evaluation.paper or {}).get("price")
        if isinstance(price, int | float) and np.isfinite(METRICS[result.evaluation.metric].high):
            found[names[result.key.representation, result.key.fingerprint]][result.key.task] = price
    for label, prices in found.items():
        worst = max(prices, key=lambda task: prices[task])
        mean = short(float(np.mean(list(prices.values()))))
        more = f" in the mean over {len(prices)} tasks, at most {short(prices[worst])} ({worst})"
        yield label, f"the paper's way would look better by {mean}{more if len(prices) > 1 else ''}"


def _some(names: list[str]) -> str:
    return "; ".join(names[:SHOWN]) + (f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
