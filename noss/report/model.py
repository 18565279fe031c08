"""What a report says, as data: a section a protocol, for scores by two protocols never stand in one table."""

import dataclasses
from typing import Any, Literal

from noss.effects import ModelEffects
from noss.metrics import Metric
from noss.report.issues import Issue
from noss.results import Result
from noss.statistics import Interval

Standing = Literal["best", "level", "behind", ""]


@dataclasses.dataclass(frozen=True)
class Row:
    """A representation: its name, unique in the report, a short one, and what is known of it."""

    label: str
    short: str
    name: str
    fingerprint: str
    about: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Column:
    """A task, and what guessing would score; `chance` is None where that is not known."""

    task: str
    kind: str
    metric: Metric
    split: str
    num_clips: int
    num_speakers: int
    num_classes: int
    chance: float | None
    guess: str


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """A score. `standing` against the best of its column: "level" where the two cannot be told apart, "" unknown."""

    result: Result
    score: float | None
    interval: Interval | None
    standing: Standing


@dataclasses.dataclass(frozen=True)
class Mean:
    """Of a row: over all tasks that can be averaged."""

    interval: Interval
    standing: Standing


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Rows, the best first: by their mean, those without one by the regression; and what is said of the first.

    Args:
        order: labels.
        averaged: tasks in the mean.
        means: of rows that have all those.
        lead: a sentence.
        effects: of the models, or None.
        no_effects: why.
    """

    order: tuple[str, ...]
    averaged: tuple[str, ...]
    means: dict[str, Mean]
    lead: str
    effects: ModelEffects | None
    no_effects: str


@dataclasses.dataclass(frozen=True)
class Point:
    """Of a learning curve: clips a class, the score, the lowest and highest of the draws."""

    size: int
    score: float
    low: float
    high: float
    draws: int


@dataclasses.dataclass(frozen=True)
class Leak:
    """How well something is read from an embedding that was not asked for."""

    what: str
    task: str
    label: str
    score: float
    interval: Interval | None
    chance: float


@dataclasses.dataclass(frozen=True, eq=False)
class Section:
    """What one protocol says.

    Args:
        protocol: its id.
        rows: representations, the best first.
        columns: tasks by name.
        cells: by label of the row and task.
        ranking: of the rows, with means, effects and the sentence on the lead.
        curves: by task and label.
        leaks: all.
        results: of any setting.
        intervals: by file of their keys, or why there is none.
        issues: what went wrong.
    """

    protocol: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: dict[tuple[str, str], Cell]
    ranking: Ranking
    curves: dict[str, dict[str, list[Point]]]
    leaks: tuple[Leak, ...]
    results: tuple[Result, ...]
    intervals: dict[str, Interval | str]
    issues: tuple[Issue, ...]

    @property
    def synthetic(self) -> bool:
        """Whether any of it was computed from made-up sounds."""
        return any(bool(each.about.get("synthetic")) for each in self.results)

    def column(self, task: str) -> Column:
        """That of a task."""
        return next(each for each in self.columns if each.task == task)
