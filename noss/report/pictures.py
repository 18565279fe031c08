"""The pictures of a section: which scores each shows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from noss.compare import short
from noss.paired import sign
from noss.report import plots, tables
from noss.report.model import Column, Section
from noss.report.plots import Dot
from noss.statistics import Interval

MOST_CURVES = 8  # lines in one picture
MOST_CLASSES = 30  # of a matrix; of more the most frequent confusions are listed
MOST_PAIRS = 25
COSTS = (
    ("seconds_per_second", "seconds a second of sound"),
    ("multiplies_per_second", "multiply-adds a second of sound"),
    ("bytes", "bytes of the model"),
    ("dim", "dimensions of the embedding"),
)


def _dot(name: str, number: int, value: float, interval: Interval | None, standing: str = "") -> Dot:
    if interval is None or not np.isfinite(interval.low):
        return Dot(name, number, value, flag=tables.MARKS[standing], note="(no interval)")
    note = f"({interval.vacuous})" if interval.vacuous else ""
    return Dot(name, number, value, interval.low, interval.high, tables.MARKS[standing], note)


def bars(section: Section, column: Column, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, Any]:
    """The scores of a task, each with its interval."""
    found = [(row.label, section.cells.get((row.label, column.task))) for row in section.rows]
    rows = [
        _dot(shorts[label], numbers[label], cell.score, cell.interval, cell.standing)
        for label, cell in found
        if cell and cell.score is not None
    ]
    better = "" if column.metric.higher_is_better else ", lower is better"
    note = f"{column.metric.name}{better}, {column.num_speakers} speakers"
    if not rows:
        return {"name": column.task, "note": f"{note}: no score", "svg": ""}
    picture = plots.dots(
        f"{column.task}, {note}", rows, plots.domain(column, rows), guide=column.chance, guide_name=column.guess
    )
    return {"name": column.task, "note": note, "svg": picture}


def effect(section: Section, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> Markup | None:
    """How much each model adds or takes, or None where no regression was possible."""
    if not section.ranking.effects:
        return None
    rows = [
        Dot(shorts[each.model], numbers[each.model], each.effect, each.low, each.high, plus="+")
        for each in section.ranking.effects.effects
    ]
    reach = max(abs(end) for each in rows for end in (each.low or 0, each.high or 0)) * 1.05
    return plots.dots("Effect of each model", rows, (-reach, reach), guide=0.0, guide_name="mean of the models")


def curves(section: Section, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """The learning curves of a task, of the best representations."""
    found = []
    for task, rows in section.curves.items():
        column = next((each for each in section.columns if each.task == task), None)
        best = [row.label for row in section.rows[:MOST_CURVES] if row.label in rows]
        series = [(shorts[label], numbers[label], rows[label]) for label in best]
        if series:
            note = column.metric.name if column else ""
            found.append({"name": task, "note": note, "svg": plots.curves(f"Learning curve, {task}", series, column)})
    return found


def costs(section: Section, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """A picture for each cost that two representations or more have, and differ in."""
    if mean_is_error(section):
        return []
    found = []
    for name, heading in COSTS:
        points = [
            (float(row.about[name]), _dot(row.short, numbers[row.label], mean.interval.value, mean.interval))
            for row in section.rows
            if (mean := section.ranking.means.get(row.label)) and _positive(row.about.get(name))
        ]
        if len({cost for cost, _ in points}) > 1:
            picture = plots.scatter(f"Mean score by {heading}", points, heading, "mean score", log=True, front=True)
            found.append({"name": heading.capitalize(), "svg": picture})
    return found


def mean_is_error(section: Section) -> bool:
    """Whether the mean score is of one task whose metric is better the lower it is."""
    averaged = section.ranking.averaged
    return len(averaged) == 1 and sign(section.column(averaged[0]).metric) < 0


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return bool(number and np.isfinite(value) and value > 0)


def leaks(section: Section, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """For each attribute, utility by leakage in the mean over the tasks where all have both."""
    found = []
    for what in dict.fromkeys(each.what for each in section.leaks):
        leaks = {(each.label, each.task): each for each in section.leaks if each.what == what}
        labels = [row.label for row in section.rows if any(label == row.label for label, _ in leaks)]
        tasks = [
            column.task
            for column in section.columns
            if column.task in section.ranking.averaged
            and all((label, column.task) in leaks and _defined(section, label, column.task) for label in labels)
        ]
        if not tasks:
            continue
        points = []
        for label in labels:
            leak = float(np.mean([leaks[label, task].score for task in tasks]))
            useful = float(np.mean([_useful(section, label, task) for task in tasks]))
            points.append((leak, Dot(shorts[label], numbers[label], useful)))
        chance = float(np.mean([leaks[labels[0], task].chance for task in tasks]))
        heading = f"how well the {what} is read"
        picture = plots.scatter(f"Score by {heading}", points, heading, "mean score", guide=chance)
        found.append({"name": what.capitalize(), "note": ", ".join(tasks), "svg": picture})
    return found


def _defined(section: Section, label: str, task: str) -> bool:
    cell = section.cells.get((label, task))
    return cell is not None and cell.score is not None


def _useful(section: Section, label: str, task: str) -> float:
    score = section.cells[label, task].score or 0.0
    return score if section.column(task).metric.higher_is_better else 1 - score


def confusions(section: Section, label: str) -> tuple[list[dict[str, Any]], list[tuple[str, list[Any], str]]]:
    """Matrices, and of tasks with very many classes the most frequent confusions."""
    figures, pooled = [], []
    for column in section.columns:
        cell = section.cells.get((label, column.task))
        if cell is None or column.kind != "classification":
            continue
        evaluation = cell.result.evaluation
        items, predicted, _ = evaluation.tested()
        truth, number = evaluation.truth[items], len(evaluation.classes)
        note = f"{column.metric.name} {short(cell.score)}" if cell.score is not None else ""
        pairs, counts = np.unique(truth * number + predicted, return_counts=True)
        if number <= MOST_CLASSES:
            matrix = np.zeros((number, number))
            matrix.flat[pairs] = counts
            figures.append(
                {"name": column.task, "note": note, "svg": plots.heatmap(column.task, matrix, evaluation.classes)}
            )
            continue
        true, heard = np.divmod(pairs, number)
        of = np.bincount(truth, minlength=number)
        wrong = [at for at in np.argsort(-counts, kind="stable") if true[at] != heard[at]][:MOST_PAIRS]
        rows = [
            (evaluation.classes[true[at]], evaluation.classes[heard[at]], f"{counts[at]} of {of[true[at]]}")
            for at in wrong
        ]
        pooled.append((column.task, rows, f"{number} classes, {note}"))
    return figures, pooled
