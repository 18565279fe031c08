"""The report without pictures: scores as CSV, the page as Markdown."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from noss.compare import short
from noss.metrics import METRICS
from noss.report.collect import chance_of
from noss.report.model import Cell, Mean, Section
from noss.results import Result
from noss.statistics import Interval

MARKS = {"best": "★", "level": "≈", "behind": "", "": ""}
LEGEND = (
    "★ best of its column; ≈ cannot be told from the best (paired by speaker, 95 %, not corrected for the number of "
    "comparisons); in brackets the 95 % interval for other speakers, "
    "with ? where it says next to nothing."
)
# What is known of a representation: name in `about`, heading, how it is printed.
ABOUT = (
    ("dim", "dimensions", "{:.0f}"),
    ("seconds_per_second", "seconds a second of sound", "{:.3g}"),
    ("multiplies_per_second", "multiply-adds a second of sound", "{:.3g}"),
    ("bytes", "bytes", "{:.0f}"),
    ("licence", "licence", "{}"),
)


def scores_csv(sections: Iterable[Section]) -> str:
    """One row a result, numbers as they are; an interval that is nearly vacuous says why."""
    results = {each.key.file: (each, section) for section in sections for each in section.results}
    rows = [_fields(result, section.intervals[file]) for file, (result, section) in sorted(results.items())]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _fields(result: Result, interval: Interval | str) -> dict[str, Any]:
    key, evaluation, about = result.key, result.evaluation, result.about
    there = None if isinstance(interval, str) else interval
    paper = evaluation.paper or {}
    return {
        "representation": key.representation,
        "task": key.task,
        "setting": key.setting,
        "metric": evaluation.metric,
        "higher_is_better": METRICS[evaluation.metric].higher_is_better,
        "score": evaluation.score,
        "low": there and there.low,
        "high": there and there.high,
        "level": there and there.level,
        "rounds": there and there.rounds,
        "vacuous": interval if isinstance(interval, str) else interval.vacuous,
        "num_speakers": there and there.num_speakers,
        "num_clips": len(evaluation.names),
        "num_classes": len(evaluation.classes) or None,
        "chance": chance_of(evaluation)[0],
        "paper_score": paper.get("score"),
        "price": paper.get("price"),
        "failed": len(evaluation.failed),
        "duplicates": len(evaluation.duplicates),
        "protocol": key.protocol,
        "fingerprint": key.fingerprint,
        "task_version": key.task_version,
        "sounds": key.sounds,
        "created": result.created,
        **{name: about.get(name) for name, *_ in ABOUT},
        "synthetic": about.get("synthetic"),
    }


def known(section: Section) -> list[tuple[str, str, str]]:
    """Rows of `ABOUT` that are known of some representation of a section."""
    return [each for each in ABOUT if any(row.about.get(each[0]) is not None for row in section.rows)]


def shown(value: Any, form: str) -> str:
    """A fact from `about`, which may hold anything; "—" where it is not known.

    >>> shown(0.01234, "{:.3g}"), shown(None, "{}"), shown("many", "{:.0f}")
    ('0.0123', '—', 'many')
    """
    if value is None:
        return "—"
    try:
        return form.format(value)
    except (ValueError, TypeError):
        return str(value)


def ends(interval: Interval | None) -> str:
    """The interval in brackets.

    >>> ends(Interval(0.5, 0.4, 0.6, 0.95, 20, 100, 1000, 0))
    '[.400, .600]'
    """
    if interval is None:
        return "no interval"
    text = f"[{short(interval.low)}, {short(interval.high)}]" if np.isfinite(interval.low) else "[−∞, ∞]"
    return f"{text}?" if interval.vacuous else text


def size(section: Section) -> str:
    """How much was asked, in a sentence."""
    speakers = [each.num_speakers for each in section.columns]
    clips = sum(each.num_clips for each in section.columns)
    few, many = min(speakers), max(speakers)
    count = f"{few} to {many} speakers tested a task" if few < many else f"{few} speakers tested a task"
    return (
        f"{_plural(len(section.rows), 'representation')} on {_plural(len(section.columns), 'task')}: {clips:,} clips, "
        f"{count}."
    )


def best(section: Section) -> str:
    """The mean of the first, in a sentence; empty where there is none."""
    first = section.rows[0]
    mean = section.ranking.means.get(first.label)
    if mean is None or len(section.ranking.averaged) == 1:
        return ""
    return f"{first.short} has the best mean score: {short(mean.interval.value)} {ends(mean.interval)}."


def _plural(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def versions(section: Section) -> list[str]:
    """What computed the results, each version once."""
    found: dict[str, dict[str, None]] = {}
    for result in section.results:
        for name, version in result.versions.items():
            found.setdefault(name, {})[version] = None
    return [f"{name} {', '.join(those)}" for name, those in found.items()]


# Markdown.


def markdown(sections: Sequence[Section]) -> str:
    """All but the pictures."""
    return "\n".join(line for section in sections for line in _markdown(section)) + "\n"


def _markdown(section: Section) -> Iterator[str]:
    shorts = {row.label: row.short for row in section.rows}
    yield f"# NOSS report, protocol {_text(section.protocol)}\n"
    if section.synthetic:
        yield "**SYNTHETIC: computed from made-up sounds. These scores say nothing about speech.**\n"
    yield f"**{_text(section.ranking.lead)}**\n"
    yield f"{size(section)} {_text(best(section))}\n"
    yield "## Scores\n"
    heads = [
        f"{each.task} ({each.metric.name}{' ↓' if not each.metric.higher_is_better else ''})"
        for each in section.columns
    ]
    rows = []
    for row in section.rows:
        cells = [section.cells.get((row.label, each.task)) for each in section.columns]
        rows.append([row.short, _mean(section.ranking.means.get(row.label)), *map(_cell, cells)])
    rows.append(["guess", "", *("—" if each.chance is None else short(each.chance) for each in section.columns)])
    yield from _table(["", "mean", *heads], rows)
    yield f"\n{LEGEND} {mean_note(section)}\n"
    yield "## Model effect\n"
    if section.ranking.effects:
        yield from _table(
            ["", "effect", "95 % interval"],
            [
                [shorts[e.model], short(e.effect, "+"), f"[{short(e.low, '+')}, {short(e.high, '+')}]"]
                for e in section.ranking.effects.effects
            ],
        )
        found = section.ranking.effects
        yield f"\nR² = {found.r_squared:.0%}, {found.num_scores} scores on {found.num_tasks} tasks.\n"
    else:
        yield f"None: {_text(section.ranking.no_effects)}\n"
    if section.curves:
        yield "## Learning curves\n"
        rows = [
            [task, shorts[row], str(p.size), short(p.score), f"{short(p.low)} to {short(p.high)}", str(p.draws)]
            for task, those in section.curves.items()
            for row, points in those.items()
            for p in points
        ]
        yield from _table(["task", "", "clips a class", "score", "lowest to highest draw", "draws"], rows)
        yield ""
    if section.leaks:
        yield "## Leakage\n"
        rows = [
            [each.what, each.task, shorts[each.label], short(each.score), ends(each.interval), short(each.chance)]
            for each in section.leaks
        ]
        yield from _table(["read from the embedding", "task", "", "score", "95 % interval", "guessing"], rows)
        yield ""
    yield "## Representations\n"
    facts = known(section)
    yield from _table(
        ["", "name", "fingerprint", *(heading for _, heading, _ in facts)],
        [
            [row.short, row.name, row.fingerprint[:12], *(shown(row.about.get(name), form) for name, _, form in facts)]
            for row in section.rows
        ],
    )
    yield "\n## What went wrong, and what to know\n"
    for issue in section.issues:
        who = ", ".join(issue.who)
        yield f"- {_text(issue.what)}, {_text(issue.where)} ({_text(who)}): {_text(issue.text)}"
    yield "" if section.issues else "Nothing.\n"
    yield f"Computed with {_text('; '.join(versions(section)))}.\n"


def mean_note(section: Section) -> str:
    """What the mean is over, where that does not go without saying."""
    left = [each.task for each in section.columns if each.task not in section.ranking.averaged]
    lower = [each.task for each in section.columns if each.metric.name == "eer"]
    notes = []
    if left:
        notes.append(f"The mean leaves out {', '.join(left)}: another unit.")
    if lower and len(section.ranking.averaged) > 1:
        notes.append("An equal error rate counts in the mean as one less it.")
    if len(section.ranking.means) < len(section.rows):
        notes.append("A mean stands only where all its tasks have a score on (nearly) all clips.")
    return " ".join(notes)


def _cell(cell: Cell | None) -> str:
    if cell is None or cell.score is None:
        return "—"
    return f"{short(cell.score)} {ends(cell.interval)} {MARKS[cell.standing]}".strip()


def _mean(mean: Mean | None) -> str:
    return "—" if mean is None else f"{short(mean.interval.value)} {ends(mean.interval)} {MARKS[mean.standing]}".strip()


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_text, heads))} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(_text, row))} |"


def _text(text: str) -> str:
    r"""Of a stranger: no markup, no new line.

    >>> _text("<b>|[a](b)")
    '&lt;b>\\|[a]\\(b)'
    """
    escaped = re.sub(r"([\\`|])", r"\\\1", " ".join(text.split()))
    return escaped.replace("](", "]\\(").replace("<", "&lt;")
