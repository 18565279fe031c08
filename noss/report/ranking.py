"""Which representation is best: at a task, in the mean over tasks, and what each adds whatever the task."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from noss.compare import in_words
from noss.effects import ModelEffects, model_effects
from noss.evaluation import Evaluation
from noss.paired import Sample, averaged, mean, samples, sign, verdict
from noss.report.model import Cell, Column, Mean, Ranking, Standing

# A score on fewer of the clips than that says nothing about the difference to the others.
SHARED = 0.9

Cells = Mapping[tuple[str, str], Cell]
Joint = Mapping[str, dict[str, Sample]]


def joint_samples(judged: Mapping[str, Evaluation], rounds: int) -> dict[str, Sample]:
    """Scores at one task on the same draws: of those tested on nearly all clips, on the clips they share.

    Empty where nothing can be compared: that the metric is not defined is said with the intervals.
    """
    tested = {row: sum(len(each.items) for each in e.outcomes) for row, e in judged.items() if e.score is not None}
    most = max(tested.values(), default=0)
    rows = [row for row, number in tested.items() if number >= SHARED * most]
    try:
        return dict(zip(rows, samples([judged[row] for row in rows], rounds=rounds), strict=True)) if rows else {}
    except ValueError:
        return {}


def standings(column: Column, scores: Mapping[str, float | None], joint: Mapping[str, Sample]) -> dict[str, Standing]:
    """Each representation against the best at a task."""
    up = sign(column.metric)
    defined = {row: up * score for row, score in scores.items() if score is not None}
    if not defined:
        return {}
    best = max(defined, key=lambda row: defined[row])
    found: dict[str, Standing] = {best: "best"}
    for row in joint if best in joint else ():
        if row != best:
            lost = verdict(joint[best].minus(joint[row]).interval(), column.metric) == 1
            found[row] = "behind" if lost else "level"
    return found


def rank(columns: Sequence[Column], cells: Cells, joint: Joint, shorts: Mapping[str, str]) -> Ranking:
    """Put the representations in order.

    Args:
        columns: tasks.
        cells: scores by label and task.
        joint: by task and label.
        shorts: names of all labels, for the sentence.
    """
    fitting = averaged(each.metric.name for each in columns)
    over = [each for each in columns if each.metric.name in fitting]
    names = tuple(each.task for each in over)
    rows = sorted({row for row, _ in cells})
    complete = [row for row in rows if over and all(row in joint[task] for task in names)]
    intervals = {
        row: mean([_utility(joint[each.task][row], each, alone=len(over) == 1) for each in over]) for row in complete
    }
    up = sign(over[0].metric) if len(over) == 1 else 1
    ranked = sorted(complete, key=lambda row: -up * intervals[row].value)
    means = {row: Mean(intervals[row], _standing(ranked[0], row, over, joint)) for row in ranked}
    effects, no_effects = _effects(cells, over)
    rest = {row: _mean_of_there(row, cells, over) for row in set(rows) - set(complete)}
    if effects:
        rest = {each.model: each.effect for each in effects.effects if each.model in rest} | {
            row: -np.inf for row in rest if row not in {each.model for each in effects.effects}
        }
    order = (*ranked, *sorted(rest, key=lambda row: (-rest[row], row)))
    return Ranking(order, names, means, _lead(order, ranked, over, joint, shorts), effects, no_effects)


def _utility(sample: Sample, column: Column, *, alone: bool) -> Sample:
    """What is averaged: the score; of several tasks one less an error rate."""
    if alone or column.metric.higher_is_better:
        return sample
    return dataclasses.replace(sample, values=1 - sample.values)


def _gains(a: str, b: str, over: Sequence[Column], joint: Joint) -> list[Sample]:
    return [joint[each.task][a].minus(joint[each.task][b]).signed(sign(each.metric)) for each in over]


def _standing(best: str, row: str, over: Sequence[Column], joint: Joint) -> Standing:
    if row == best:
        return "best"
    gain = mean(_gains(best, row, over, joint))
    return "behind" if gain.low > 0 and not gain.vacuous else "level"


def _mean_of_there(row: str, cells: Cells, over: Sequence[Column]) -> float:
    found = [(sign(each.metric), cells[row, each.task].score) for each in over if (row, each.task) in cells]
    scores = [up * score for up, score in found if score is not None]
    return float(np.mean(scores)) if scores else -np.inf


def _lead(
    order: Sequence[str], ranked: Sequence[str], over: Sequence[Column], joint: Joint, shorts: Mapping[str, str]
) -> str:
    if len(order) == 1:
        return f"{shorts[order[0]]} stands alone: there is nothing to compare it with."
    if len(ranked) < 2:
        return "No two representations have all tasks, so no mean ranks them: compare them a task at a time."
    first, second = ranked[:2]
    parts = _gains(first, second, over, joint)
    wins = [verdict(part.interval(), "uar") for part in parts]  # gains: higher is better
    return in_words(shorts[first], shorts[second], mean(parts), len(over), wins)


def _effects(cells: Cells, over: Sequence[Column]) -> tuple[ModelEffects | None, str]:
    found = [
        (sign(column.metric) * cell.score, row, task)
        for column in over
        for (row, task), cell in cells.items()
        if task == column.task and cell.score is not None
    ]
    if len({row for _, row, _ in found}) < 2:
        return None, "one representation has no effect relative to others."
    try:
        return model_effects(*zip(*found, strict=True)), ""
    except ValueError as error:
        return None, str(error)
