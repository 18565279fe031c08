"""The page: what each part of the template shows."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from noss.compare import short
from noss.paired import ROUNDS, sign
from noss.report import plots, svg, tables
from noss.report.model import Cell, Column, Mean, Section
from noss.report.plots import Dot
from noss.statistics import Interval
from trill.errors import optional

FOLDER = Path(__file__).parent
MOST_CURVES = 8  # lines in one picture
MOST_CLASSES = 30  # of a matrix; of more the most frequent confusions are listed
MOST_PAIRS = 25
SAID = {"best": "best", "level": "cannot be told from the best", "behind": "", "": ""}
COSTS = (
    ("seconds_per_second", "seconds a second of sound"),
    ("multiplies_per_second", "multiply-adds a second of sound"),
    ("bytes", "bytes of the model"),
    ("dim", "dimensions of the embedding"),
)
PARTS = (
    ("scores", "Scores"), ("tasks", "Task by task"), ("effect", "Model effect"), ("curves", "Few labels"),
    ("cost", "Cost"), ("leakage", "Leakage"), ("confusion", "Confusions"), ("map", "Map"),
    ("who", "Representations"), ("know", "What to know"),
)  # fmt: skip
# What says most about how far to trust the scores, and is named at the top.
WORST = ("failed clips", "duplicates", "no score", "no interval", "interval nearly vacuous", "left out")


def page(
    sections: Sequence[Section],
    *,
    maps: Mapping[str, Mapping[str, Any]] | None = None,
    remarks: Mapping[str, Sequence[str]] | None = None,
    of: Mapping[str, str] | None = None,
    rounds: int = ROUNDS,
) -> str:
    """One HTML file that asks for nothing else.

    Args:
        sections: a protocol each.
        maps: by protocol, from `noss.report.maps.view`.
        remarks: by protocol: what else a reader should know.
        of: by protocol, label of the representation whose confusions are shown; by default the best.
        rounds: draws of speakers asked for.
    """
    jinja2 = optional("jinja2", "noss")
    script, css = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (  # whatever a name or a label holds, nothing but our script runs and nothing is fetched but sound
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; media-src 'self' file: data:"
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((FOLDER / "page.html").read_text(encoding="utf-8"))
    views = [
        _view(
            each, (of or {}).get(each.protocol), (maps or {}).get(each.protocol), (remarks or {}).get(each.protocol, ())
        )
        for each in sections
    ]
    return str(
        template.render(
            title=f"NOSS report: {', '.join(each.protocol for each in sections)}",
            css=Markup(css),  # noqa: S704 ours, like the script
            script=Markup(script),  # noqa: S704
            policy=policy,
            sections=views,
            legend=tables.LEGEND,
            rounds=rounds,
        )
    )


def _view(section: Section, of: str | None, map_: Mapping[str, Any] | None, remarks: Sequence[str]) -> dict[str, Any]:
    shorts = {row.label: row.short for row in section.rows}
    numbers = {row.label: place for place, row in enumerate(section.rows)}
    chosen = of or section.rows[0].label
    confusions, pooled = _confusions(section, chosen)
    facts = tables.known(section)
    view = {
        "section": section,
        "size": tables.size(section),
        "best": tables.best(section),
        "table": _table(section, numbers),
        "guesses": ["—" if each.chance is None else short(each.chance) for each in section.columns],
        "mean_note": tables.mean_note(section),
        "mean_is_error": _mean_is_error(section),
        "bars": [_bars(section, each, shorts, numbers) for each in section.columns],
        "effect": _effect(section, shorts, numbers),
        "curves": _curves(section, shorts, numbers),
        "curves_legend": [(svg.key(place), row.short) for place, row in enumerate(section.rows[:MOST_CURVES])],
        "curves_left": (MOST_CURVES, len(section.rows)) if len(section.rows) > MOST_CURVES else None,
        "costs": _costs(section, numbers),
        "leaks": _leaks(section, shorts, numbers),
        "leak_rows": [
            (e.what, e.task, shorts[e.label], short(e.score), tables.ends(e.interval), short(e.chance))
            for e in section.leaks
        ],
        "chosen": shorts[chosen],
        "confusions": confusions,
        "pooled": pooled,
        "map": map_,
        "facts": [heading for _, heading, _ in facts],
        "who": [
            (
                row.short,
                row.name,
                row.fingerprint[:12],
                *(tables.shown(row.about.get(name), form) for name, _, form in facts),
            )
            for row in section.rows
        ],
        "issues": _issues(section),
        "worst": ", ".join(dict.fromkeys(each.what for each in section.issues if each.what in WORST)),
        "remarks": remarks,
        "versions": "; ".join(tables.versions(section)),
    }
    there = {"curves": "curves", "cost": "costs", "leakage": "leaks", "map": "map"}
    view["parts"] = [
        (anchor, name)
        for anchor, name in PARTS
        if (view[there[anchor]] if anchor in there else anchor != "confusion" or confusions or pooled)
    ]
    return view


# The table.


def _table(section: Section, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "name": row.short,
            "title": f"{row.name}, fingerprint {row.fingerprint[:12]}",
            "mark": svg.key(numbers[row.label]),
            "cells": [
                _mean(section.ranking.means.get(row.label)),
                *(_cell(section.cells.get((row.label, column.task))) for column in section.columns),
            ],
        }
        for row in section.rows
    ]


def _cell(cell: Cell | None) -> dict[str, Any]:
    if cell is None or cell.score is None:
        note = "not judged" if cell is None else "the score is not defined"
        return {"score": "—", "sort": "", "ends": "", "standing": "", "mark": "", "said": "", "note": note}
    return _shown(cell.score, cell.interval, cell.standing)


def _mean(mean: Mean | None) -> dict[str, Any]:
    if mean is None:
        return {
            "score": "—",
            "sort": "",
            "ends": "",
            "standing": "",
            "mark": "",
            "said": "",
            "note": "tasks are missing",
        }
    return _shown(mean.interval.value, mean.interval, mean.standing)


def _shown(score: float, interval: Interval | None, standing: str) -> dict[str, Any]:
    return {
        "score": short(score),
        "sort": repr(float(score)),
        "ends": tables.ends(interval),
        "standing": standing,
        "mark": tables.MARKS[standing],
        "said": SAID[standing],
        "note": interval.vacuous if interval else "",
    }


# Pictures.


def _dot(name: str, number: int, value: float, interval: Interval | None, standing: str = "") -> Dot:
    if interval is None or not np.isfinite(interval.low):
        return Dot(name, number, value, flag=tables.MARKS[standing], note="(no interval)")
    note = f"({interval.vacuous})" if interval.vacuous else ""
    return Dot(name, number, value, interval.low, interval.high, tables.MARKS[standing], note)


def _bars(section: Section, column: Column, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, Any]:
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


def _effect(section: Section, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> Markup | None:
    if not section.ranking.effects:
        return None
    rows = [
        Dot(shorts[each.model], numbers[each.model], each.effect, each.low, each.high, plus="+")
        for each in section.ranking.effects.effects
    ]
    reach = max(abs(end) for each in rows for end in (each.low or 0, each.high or 0)) * 1.05
    return plots.dots("Effect of each model", rows, (-reach, reach), guide=0.0, guide_name="mean of the models")


def _curves(section: Section, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    found = []
    for task, rows in section.curves.items():
        column = next((each for each in section.columns if each.task == task), None)
        best = [row.label for row in section.rows[:MOST_CURVES] if row.label in rows]
        series = [(shorts[label], numbers[label], rows[label]) for label in best]
        if series:
            note = column.metric.name if column else ""
            found.append({"name": task, "note": note, "svg": plots.curves(f"Learning curve, {task}", series, column)})
    return found


def _costs(section: Section, numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """A picture for each cost that two representations or more have, and differ in."""
    if _mean_is_error(section):
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


def _mean_is_error(section: Section) -> bool:
    averaged = section.ranking.averaged
    return len(averaged) == 1 and sign(section.column(averaged[0]).metric) < 0


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return bool(number and np.isfinite(value) and value > 0)


def _leaks(section: Section, shorts: Mapping[str, str], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
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


def _confusions(section: Section, label: str) -> tuple[list[dict[str, Any]], list[tuple[str, list[Any], str]]]:
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


def _issues(section: Section) -> list[tuple[str, list[tuple[str, str, str]]]]:
    everybody = {row.short for row in section.rows}
    found: dict[str, list[tuple[str, str, str]]] = {}
    for issue in section.issues:
        who = "all" if len(everybody) > 1 and everybody <= set(issue.who) else ", ".join(issue.who)
        found.setdefault(issue.what, []).append((issue.where, who, issue.text))
    order: Iterable[str] = [*(each for each in WORST if each in found), *(each for each in found if each not in WORST)]
    return [(what, found[what]) for what in order]
