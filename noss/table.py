"""Scores as a table: a row a representation, a column a task, a mean of what can be averaged."""

import csv
import dataclasses
import io
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from noss.evaluation import Evaluation, interval
from noss.metrics import METRICS
from noss.results import Result

WIDTH = 12  # of a column

Style = Callable[[str], str]  # what is best -> how it is shown


@dataclasses.dataclass(frozen=True)
class Table:
    """The scores of one protocol and setting.

    Args:
        title: protocol and setting.
        representations: names, sorted.
        tasks: names, sorted.
        metrics: of the tasks.
        results: by representation and task.
        averaged: places of the tasks that the mean is over; those of one direction.
        older: results left out for newer ones of the same representation and task.
    """

    title: str
    representations: tuple[str, ...]
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    results: dict[tuple[str, str], Result]
    averaged: tuple[int, ...]
    older: int

    def scores(self) -> np.ndarray:
        """`(num_representations, num_tasks)`, NaN where there is none."""
        return np.array(
            [
                [
                    math.nan if found is None else found
                    for found in map(self._score, [name] * len(self.tasks), self.tasks)
                ]
                for name in self.representations
            ]
        )

    def _score(self, representation: str, task: str) -> float | None:
        found = self.results.get((representation, task))
        return None if found is None else found.evaluation.score

    def means(self) -> np.ndarray:
        """`(num_representations,)`, NaN for who lacks one of the tasks: means of other tasks do not compare."""
        return np.asarray(self.scores()[:, self.averaged].mean(axis=1))

    def best(self) -> np.ndarray:
        """`(num_representations, num_tasks)`: which is best, be that the highest or the lowest."""
        signs = np.array([1 if METRICS[metric].higher_is_better else -1 for metric in self.metrics])
        found = np.where(np.isnan(self.scores()), -np.inf, self.scores() * signs)
        return np.asarray((found == found.max(axis=0)) & np.isfinite(found))

    def said_of_mean(self) -> str:
        """What the mean averages."""
        names = sorted({self.metrics[place] for place in self.averaged})
        direction = "higher" if METRICS[names[0]].higher_is_better else "lower"
        rest = [f"{self.tasks[place]} ({self.metrics[place]})" for place in self._rest()]
        without = f"; without {', '.join(rest)}" if rest else ""
        return f"mean: {', '.join(names)} of {len(self.averaged)} tasks, {direction} is better{without}"

    def _rest(self) -> list[int]:
        return [place for place in range(len(self.tasks)) if place not in self.averaged]


def tables(found: Sequence[Result], setting: str = "") -> list[Table]:
    """A table for each protocol, of the results with this setting; of several of one cell the newest.

    Raises:
        ValueError: if there is none; says which settings there are.
    """
    by_protocol: defaultdict[str, list[Result]] = defaultdict(list)
    for result in sorted(found, key=lambda each: each.created):
        if result.key.setting == setting:
            by_protocol[result.key.protocol].append(result)
    if not by_protocol:
        there = sorted({result.key.setting or "(the plain score)" for result in found})
        raise ValueError(f"no result has the setting {setting!r}. There is: {', '.join(there) or 'nothing'}.")
    return [_table(protocol, setting, some) for protocol, some in by_protocol.items()]


def _table(protocol: str, setting: str, some: list[Result]) -> Table:
    newest = {(each.key.representation, each.key.task): each for each in some}
    metrics = {each.key.task: each.evaluation.metric for each in newest.values()}
    names = tuple(sorted(metrics))
    up = [place for place, name in enumerate(names) if METRICS[metrics[name]].higher_is_better]
    return Table(
        f"{protocol}{', ' + setting if setting else ''}",
        tuple(sorted({name for name, _ in newest})),
        names,
        tuple(metrics[name] for name in names),
        newest,
        tuple(up) or tuple(range(len(names))),
        len(some) - len(newest),
    )


def as_text(table: Table, *, intervals: bool = False, bold: Style = str) -> str:
    """For a terminal: the best of a column bold, the mean last."""
    width = WIDTH + 9 if intervals else WIDTH
    scores, best, means = table.scores(), table.best(), table.means()
    first = max(32, *(len(name) for name in table.representations))

    def cell(row: int, column: int) -> str:
        if math.isnan(scores[row, column]):
            return " " * width
        text = f"{scores[row, column]:.3f}"
        if intervals:
            text += f" {spread_of(table.results[table.representations[row], table.tasks[column]].evaluation)}"
        return bold(f"{text:>{width}s}") if best[row, column] else f"{text:>{width}s}"

    lines = [
        table.title,
        f"{'':{first}s} " + " ".join(f"{name[:width]:>{width}s}" for name in table.tasks) + f" {'mean':>6s}",
        f"{'':{first}s} " + " ".join(f"{metric:>{width}s}" for metric in table.metrics),
    ]
    for row, name in enumerate(table.representations):
        mean = "" if math.isnan(means[row]) else f"{means[row]:.3f}"
        lines.append(f"{name:{first}s} " + " ".join(cell(row, at) for at in range(len(table.tasks))) + f" {mean:>6s}")
    lines.append(table.said_of_mean())
    if table.older:
        lines.append(f"{table.older} older results of other sounds, weights or versions are left out")
    return "\n".join(line.rstrip() for line in lines)


def spread_of(evaluation: Evaluation) -> str:
    """The interval of a score, in brackets; a dash where there is none."""
    try:
        found = interval(evaluation)
    except ValueError:  # of a single speaker
        return "[-]"
    return f"[{found.low:.3f}, {found.high:.3f}]"


def as_csv(some: Sequence[Table], *, intervals: bool = False) -> str:
    """A line a score, for other programs."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["protocol", "setting", "representation", "task", "metric", "score", *(["low", "high"] if intervals else [])]
    )
    for table in some:
        for (name, task), result in sorted(table.results.items()):
            score = "" if result.evaluation.score is None else f"{result.evaluation.score:.6f}"
            row = [result.key.protocol, result.key.setting, name, task, result.evaluation.metric, score]
            writer.writerow([*row, *(_ends(result.evaluation) if intervals else [])])
    return file.getvalue()


def _ends(evaluation: Evaluation) -> list[str]:
    try:
        found = interval(evaluation)
    except ValueError:
        return ["", ""]
    return [f"{found.low:.6f}", f"{found.high:.6f}"]
