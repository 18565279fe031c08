"""The page: what each part of the template shows."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from noss.compare import short
from noss.paired import ROUNDS
from noss.report import pictures, svg, tables
from noss.report.model import Cell, Mean, Section
from noss.report.pictures import MOST_CURVES
from noss.statistics import Interval
from trill.errors import optional

FOLDER = Path(__file__).parent
SAID = {"best": "best", "level": "cannot be told from the best", "behind": "", "": ""}
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
    confusions, pooled = pictures.confusions(section, chosen)
    facts = tables.known(section)
    view = {
        "section": section,
        "size": tables.size(section),
        "best": tables.best(section),
        "table": _table(section, numbers),
        "guesses": ["—" if each.chance is None else short(each.chance) for each in section.columns],
        "mean_note": tables.mean_note(section),
        "mean_is_error": pictures.mean_is_error(section),
        "bars": [pictures.bars(section, each, shorts, numbers) for each in section.columns],
        "effect": pictures.effect(section, shorts, numbers),
        "curves": pictures.curves(section, shorts, numbers),
        "curves_legend": [(svg.key(place), row.short) for place, row in enumerate(section.rows[:MOST_CURVES])],
        "curves_left": (MOST_CURVES, len(section.rows)) if len(section.rows) > MOST_CURVES else None,
        "costs": pictures.costs(section, numbers),
        "leaks": pictures.leaks(section, shorts, numbers),
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


# What went wrong.


def _issues(section: Section) -> list[tuple[str, list[tuple[str, str, str]]]]:
    everybody = {row.short for row in section.rows}
    found: dict[str, list[tuple[str, str, str]]] = {}
    for issue in section.issues:
        who = "all" if len(everybody) > 1 and everybody <= set(issue.who) else ", ".join(issue.who)
        found.setdefault(issue.what, []).append((issue.where, who, issue.text))
    order: Iterable[str] = [*(each for each in WORST if each in found), *(each for each in found if each not in WORST)]
    return [(what, found[what]) for what in order]
