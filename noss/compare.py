"""Is one representation better than another, in one answer: by task and in the mean over tasks, by speaker."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from noss.evaluation import Evaluation
from noss.paired import Sample, averaged, mean, samples, sign, verdict
from noss.results import Key, Result
from noss.statistics import Interval

PLAIN = ("", "paper selection")  # settings that hold a score chosen on dev


@dataclasses.dataclass(frozen=True)
class TaskDifference:
    """A less B at one task.

    Attributes:
        task, metric: their names.
        score_a, score_b: on the clips that both have.
        difference: its interval, as the metric has it.
        gain: 1 if A is better, -1 if worse, 0 if that cannot be said.
    """

    task: str
    metric: str
    score_a: float
    score_b: float
    difference: Interval
    gain: int


@dataclasses.dataclass(frozen=True)
class Answer:
    """Is A better than B? Printed, it is a line a task and a sentence.

    Attributes:
        a, b: their names.
        protocol: by which both were judged.
        tasks: where both have a score.
        mean: gain of A over B in the mean over tasks, positive where A is better; None if units differ.
        num_averaged: tasks in that mean.
        left_out: what was not compared -> why.
    """

    a: str
    b: str
    protocol: str
    tasks: tuple[TaskDifference, ...]
    mean: Interval | None
    num_averaged: int
    left_out: dict[str, str]

    @property
    def sentence(self) -> str:
        """The answer with its uncertainty."""
        return in_words(self.a, self.b, self.mean, self.num_averaged, [each.gain for each in self.tasks])

    def __str__(self) -> str:
        lines = [f"A: {self.a}", f"B: {self.b}", f"by {self.protocol}", ""]
        for each in self.tasks:
            d = each.difference
            verdict = {1: "A better", -1: "B better", 0: "undecided"}[each.gain]
            lines.append(
                f"{each.task:20s} {each.metric:8s} {each.score_a:7.3f} {each.score_b:7.3f}  "
                f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}]  {verdict}{f' ({d.vacuous})' if d.vacuous else ''}"
            )
        lines += [f"{what}: left out, {why}" for what, why in self.left_out.items()]
        return "\n".join([*lines, "", self.sentence])

    def as_json(self) -> dict[str, Any]:
        """For `--json`: plain numbers and texts; an interval without an end has None there."""
        found = dataclasses.asdict(self)
        for interval in [found["mean"], *(task["difference"] for task in found["tasks"])]:
            for end in ("low", "high") if interval else ():
                interval[end] = interval[end] if np.isfinite(interval[end]) else None
        return {**found, "sentence": self.sentence}


def in_words(a: str, b: str, gain: Interval | None, num_averaged: int, gains: Sequence[int]) -> str:
    """One sentence; `gain` is of A over B, positive where A is better.

    >>> lead = Interval(0.0312, 0.012, 0.05, 0.95, 200, 1000, 10_000, 0)
    >>> in_words("trill", "mfcc", lead, 3, [1, 1, 0])
    'trill is better than mfcc by .031 [.012, .050] in the mean over 3 tasks: 2 better, 0 worse, 1 undecided.'
    """
    count = f"{gains.count(1)} better, {gains.count(-1)} worse, {gains.count(0)} undecided"
    if gain is None:
        return f"{a} against {b}, tasks of different units: {count}."
    over = f"in the mean over {num_averaged} tasks" if num_averaged > 1 else "on one task"
    left = len(gains) - num_averaged
    over += f" ({left} of another unit left out of the mean)" if left else ""
    if gain.vacuous:
        return f"{a} and {b} cannot be compared {over} ({gain.vacuous}): {count}."
    if gain.low <= 0 <= gain.high:
        ends = f"{short(gain.value, '+')} [{short(gain.low, '+')}, {short(gain.high, '+')}]"
        return f"{a} and {b} cannot be told apart: {ends} {over}: {count}."
    if gain.value < 0:
        turned = dataclasses.replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)
        return in_words(b, a, turned, num_averaged, [-each for each in gains])
    return f"{a} is better than {b} by {short(gain.value)} [{short(gain.low)}, {short(gain.high)}] {over}: {count}."


def short(value: float, plus: str = "") -> str:
    """Three decimals; no zero before the point.

    >>> short(0.5), short(-0.02), short(12.3456), short(0.1, "+")
    ('.500', '−.020', '12.346', '+.100')
    """
    text = f"{value:{plus}.3f}".replace("-", "−")
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text


def compare(
    results: Sequence[Result], a: str, b: str, *, others: Sequence[Result] | None = None, protocol: str = ""
) -> Answer:
    """Is one representation better than another?

    Args:
        results: from `noss.results.load_all`.
        a: name of a representation, or a part that only one has.
        b: of the other.
        others: where B is looked up, if in another folder.
        protocol: a part of its id, where both were judged by several.

    Raises:
        ValueError: if a name means none or several, both mean one, or they share nothing that compares.
    """
    of_a, of_b = _of(results, a), _of(results if others is None else others, b)
    names = [labels([each.key for each in [*of_a, *of_b]])[_identity(some[0].key)] for some in (of_a, of_b)]
    if _identity(of_a[0].key) == _identity(of_b[0].key):
        raise ValueError(f"two representations must be given, got {names[0]} twice. Write more of their names.")
    chosen = _protocol(of_a, of_b, protocol, names)
    tables = [_plain(each for each in some if each.key.protocol == chosen) for some in (of_a, of_b)]
    tasks, parts, left_out = [], [], dict[str, str]()
    for task in sorted({name for table in tables for name, *_ in table}):
        asked = [{key: result for key, result in table.items() if key[0] == task} for table in tables]
        same = sorted(asked[0].keys() & asked[1].keys())
        reason = _difference_of_keys(asked) if not same else ""
        for key in same[:1]:
            try:
                found, gain = _difference(asked[0][key].evaluation, asked[1][key].evaluation)
                tasks.append(found)
                parts.append(gain)
            except ValueError as error:
                reason = str(error)
        if reason:
            left_out[task] = reason
    if not tasks:
        reasons = "; ".join(f"{task}: {why}" for task, why in left_out.items())
        raise ValueError(
            f"{names[0]} and {names[1]} must share a task that compares, they share none by {chosen} ({reasons}). "
            "Judge both with one noss run."
        )
    fitting = averaged(each.metric for each in tasks)
    used = [part for each, part in zip(tasks, parts, strict=True) if each.metric in fitting]
    return Answer(names[0], names[1], chosen, tuple(tasks), mean(used) if used else None, len(used), left_out)


def labels(keys: Iterable[Key]) -> dict[tuple[str, str], str]:
    """Names of representations by name and fingerprint; where a name has several, with the fingerprint's beginning."""
    found = dict.fromkeys(_identity(key) for key in keys)
    counts: dict[str, int] = {}
    for name, _ in found:
        counts[name] = counts.get(name, 0) + 1
    return {each: each[0] if counts[each[0]] == 1 else f"{each[0]} ({each[1][:8]})" for each in found}


def _identity(key: Key) -> tuple[str, str]:
    return key.representation, key.fingerprint


def _of(results: Sequence[Result], part: str) -> list[Result]:
    """The plain results of the one representation that is meant."""
    known = labels(each.key for each in results if each.key.setting in PLAIN)
    exact = [each for each, label in known.items() if part in (label, *each)]
    meant = exact or [each for each, label in known.items() if part.lower() in label.lower()]
    if len(meant) != 1:
        what = f"{len(meant)}: {', '.join(known[each] for each in meant)}" if meant else "none"
        raise ValueError(
            f"a name must mean one representation, got {part!r} for {what}. "
            f"There {'are' if known else 'is'} {', '.join(known.values()) or 'no result'}."
        )
    return [each for each in results if _identity(each.key) == meant[0] and each.key.setting in PLAIN]


def _protocol(of_a: list[Result], of_b: list[Result], part: str, names: list[str]) -> str:
    both = [{each.key.protocol for each in some} for some in (of_a, of_b)]
    found = sorted(each for each in both[0] & both[1] if part in each)
    if not found:
        raise ValueError(
            f"only scores by one protocol compare, got {', '.join(sorted(both[0]))} for {names[0]} and "
            f"{', '.join(sorted(both[1]))} for {names[1]}{f', none with {part!r}' if part else ''}."
        )
    if len(found) > 1:
        raise ValueError(f"one protocol must be chosen, both were judged by {', '.join(found)}: --protocol.")
    return found[0]


def _plain(results: Iterable[Result]) -> dict[tuple[str, str, str], Result]:
    """The plain score by task, version and sounds; that chosen on dev beside the paper's where there is no other."""
    found: dict[tuple[str, str, str], Result] = {}
    for result in sorted(results, key=lambda each: each.key.setting, reverse=True):
        found[result.key.task, result.key.task_version, result.key.sounds] = result
    return found


def _difference_of_keys(asked: list[dict[tuple[str, str, str], Result]]) -> str:
    if not all(asked):
        return f"only {'B' if asked[1] else 'A'} has a score"
    versions = [{key[1] for key in some} for some in asked]
    return "its versions differ" if not versions[0] & versions[1] else "its sounds differ"


def _difference(one: Evaluation, other: Evaluation) -> tuple[TaskDifference, Sample]:
    a, b = samples([one, other])
    difference = a.minus(b)
    interval = difference.interval()
    return (
        TaskDifference(
            one.task,
            one.metric,
            float(a.values[0]),
            float(b.values[0]),
            interval,
            verdict(interval, one.metric),
        ),
        difference.signed(sign(one.metric)),
    )
