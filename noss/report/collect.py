"""What a folder of results says, put together."""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from noss.compare import PLAIN, labels
from noss.config import ProtocolConfig
from noss.curves import curve_config
from noss.evaluation import Evaluation, Outcome, scores_of
from noss.leakage import TRAITS, leakage_config
from noss.metrics import METRICS
from noss.paired import ROUNDS, Sample, samples
from noss.report.issues import issues_of
from noss.report.model import Cell, Column, Leak, Point, Row, Section
from noss.report.ranking import joint_samples, rank, standings
from noss.results import Result
from noss.splits import SplitRule
from noss.statistics import Interval
from trill.progress import progress

CURVE = re.compile(r"(\d+) a class")
LEAKAGE = re.compile(r"leakage (.+)")


def sections(results: Sequence[Result], *, rounds: int = ROUNDS, quiet: bool = False) -> list[Section]:
    """All that is to be told, by protocol.

    Args:
        results: from `noss.results.load_all`.
        rounds: draws of speakers for each interval.
        quiet: no progress bar.

    Raises:
        ValueError: if there is no plain score among them.
    """
    plain = {each.key.protocol: each.evaluation.config for each in results if each.key.setting in PLAIN}
    if not plain:
        raise ValueError(f"a report needs scores, got {len(results)} results and none plain. noss run writes them.")
    found = []
    for protocol, config in sorted(plain.items()):
        asked = {protocol, *_derived(protocol, config)}
        some = [
            each
            for each in results
            if each.key.protocol == protocol or (each.key.protocol in asked and each.key.setting not in PLAIN)
        ]
        found.append(_section(protocol, some, rounds, quiet))
    lost = {each.key.protocol for each in results} - {each.key.protocol for one in found for each in one.results}
    if lost:
        warnings.warn(f"{', '.join(sorted(lost))} belongs to no plain score and is left out.", stacklevel=2)
    return found


def _derived(protocol: str, config: Mapping[str, Any]) -> set[str]:
    """Ids of what is asked beside the plain score: curves have nothing to choose, leakage may need other splits."""
    try:
        classifiers = tuple((name, tuple(strengths)) for name, strengths in config["classifiers"])
        tried = {name: tuple(config[name]) for name in ("aggregations", "normalisations", "scorers")}
        given = {**config, **tried, "splits": SplitRule(**config["splits"]), "classifiers": classifiers}
        parent = ProtocolConfig(**given)
    except (TypeError, ValueError, LookupError):  # of a version that has other fields
        return set()
    if parent.id != protocol:
        return set()
    return {curve_config(parent).id, *(leakage_config(trait, parent).id for trait in TRAITS)}


def _section(protocol: str, results: list[Result], rounds: int, quiet: bool) -> Section:
    kept, left_out = _one_question_a_task(results)
    names = labels(each.key for each in results)
    plain = _plain(kept, names)
    tasks = sorted({task for _, task in plain})
    joint: dict[str, dict[str, Sample]] = {}
    with progress(tasks, total=len(tasks), unit="tasks compared", quiet=quiet) as bar:
        for task in bar:
            joint[task] = joint_samples({row: r.evaluation for (row, name), r in plain.items() if name == task}, rounds)
    sampled = {plain[row, task].key.file: sample for task, some in joint.items() for row, sample in some.items()}
    intervals = {}
    with progress(results, total=len(results), unit="intervals", quiet=quiet) as bar:
        for result in bar:
            intervals[result.key.file] = _interval(result.evaluation, rounds, sampled.get(result.key.file))
    columns, cells = [], {}
    for task in tasks:
        there = {row: result for (row, name), result in plain.items() if name == task}
        column = _column(task, [each.evaluation for each in there.values()])
        standing = standings(column, {row: each.evaluation.score for row, each in there.items()}, joint[task])
        for row, result in there.items():
            interval = intervals[result.key.file]
            known = None if isinstance(interval, str) else interval
            cells[row, task] = Cell(result, result.evaluation.score, known, standing.get(row, ""))
        columns.append(column)
    shorts = short_names(dict.fromkeys(row for row, _ in plain))
    ranking = rank(columns, cells, joint, shorts)
    judged = {each: label for each, label in names.items() if label in shorts}
    return Section(
        protocol=protocol,
        rows=_rows(ranking.order, shorts, judged, results),
        columns=tuple(columns),
        cells=cells,
        ranking=ranking,
        curves=_curves(kept, judged),
        leaks=_leaks(kept, judged, intervals),
        results=tuple(results),
        intervals=intervals,
        issues=tuple(
            issues_of(results, names | {each: shorts[label] for each, label in judged.items()}, intervals, left_out)
        ),
    )


def chosen(found: Sequence[Section], part: str) -> dict[str, str]:
    """By protocol the label of the representation that is meant, or of the best where none is, or none of it.

    Raises:
        ValueError: if a part of a name means several representations of a section, or none anywhere.
    """
    meant = {}
    for section in found:
        exact = [row.label for row in section.rows if part in (row.label, row.short, row.name)]
        matching = exact or [row.label for row in section.rows if part.lower() in row.label.lower()]
        if part and len(matching) > 1:
            raise ValueError(f"a name must mean one representation, got {part!r} for {', '.join(matching)}.")
        meant[section.protocol] = matching if part else []
    if part and not any(meant.values()):
        known = ", ".join(dict.fromkeys(row.label for section in found for row in section.rows))
        raise ValueError(f"a name must mean a representation, got {part!r}. There are {known}.")
    return {each.protocol: (meant[each.protocol] or [each.rows[0].label])[0] for each in found}


def _plain(results: Iterable[Result], names: dict[tuple[str, str], str]) -> dict[tuple[str, str], Result]:
    """The plain score by label and task, where there is none that beside the paper's."""
    found = {}
    for result in sorted(results, key=lambda each: each.key.setting, reverse=True):
        if result.key.setting in PLAIN:
            found[names[result.key.representation, result.key.fingerprint], result.key.task] = result
    return found


def _one_question_a_task(results: list[Result]) -> tuple[list[Result], list[Result]]:
    """Of each task the version and sounds that most representations have, then the newest; and the rest."""
    asked: defaultdict[str, defaultdict[tuple[str, str], list[Result]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        asked[result.key.task][result.key.task_version, result.key.sounds].append(result)
    kept = []
    for questions in asked.values():
        kept += max(
            questions.values(),
            key=lambda some: (
                len({each.key.fingerprint for each in some if each.key.setting in PLAIN}),
                max(each.created for each in some),
            ),
        )
    chosen = {each.key.file for each in kept}
    return kept, [each for each in results if each.key.file not in chosen]


def _interval(evaluation: Evaluation, rounds: int, sample: Sample | None) -> Interval | str:
    """Of a score, from what was drawn to compare it if that was of all its clips; or why there is none."""
    if evaluation.score is None:
        return "the score is not defined"
    within = evaluation.split == "within speaker"
    tested = len(evaluation.outcomes) if within else sum(len(each.items) for each in evaluation.outcomes)
    try:
        if sample is None or len(sample.draws.codes) < tested:
            (sample,) = samples([evaluation], rounds=rounds)
        return sample.interval()
    except ValueError as error:
        return str(error)


def _column(task: str, judged: list[Evaluation]) -> Column:
    evaluation = max(judged, key=lambda each: sum(len(outcome.items) for outcome in each.outcomes))
    chance, guess = chance_of(evaluation)
    items = [each.items for each in evaluation.outcomes]
    clips = np.unique(np.concatenate(items))
    if evaluation.pairs is not None:
        clips = np.unique(evaluation.pairs[clips])
    return Column(
        task,
        evaluation.kind,
        METRICS[evaluation.metric],
        evaluation.split,
        len(evaluation.names),
        len({evaluation.speakers[clip] for clip in clips}),
        len(evaluation.classes),
        chance,
        guess,
    )


def chance_of(evaluation: Evaluation) -> tuple[float | None, str]:
    """What one would score that hears nothing, and how."""
    truth = evaluation.truth[np.concatenate([each.items for each in evaluation.outcomes])]
    match evaluation.metric:
        case "uar":
            return 1 / len(np.unique(truth)), "guessing"
        case "accuracy" | "micro_f1":
            return float(np.unique(truth, return_counts=True)[1].max() / len(truth)), "always the most frequent class"
        case "mae":
            return float(np.abs(truth - np.median(truth)).mean()), "always the median"
        case "eer":
            return 0.5, "guessing"
        case "ccc" | "d_prime":
            return 0.0, "guessing"
    return None, ""


def _curves(results: Iterable[Result], names: dict[tuple[str, str], str]) -> dict[str, dict[str, list[Point]]]:
    found: defaultdict[str, defaultdict[str, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        size, evaluation = CURVE.fullmatch(result.key.setting), result.evaluation
        label = names.get((result.key.representation, result.key.fingerprint))
        if size and label and evaluation.score is not None:
            scores = _by_draw(evaluation) or [evaluation.score]
            found[result.key.task][label].append(
                Point(int(size[1]), evaluation.score, min(scores), max(scores), len(scores))
            )
    return {
        task: {row: sorted(points, key=lambda each: each.size) for row, points in rows.items()}
        for task, rows in sorted(found.items())
    }


def _by_draw(evaluation: Evaluation) -> list[float]:
    """The score of each draw of the training clips, over all its splits."""
    draws: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in evaluation.outcomes:
        draws[outcome.name.rpartition(", draw ")[2] if ", draw " in outcome.name else outcome.name].append(outcome)
    number, pooled = len(evaluation.classes), evaluation.config["pooled"]
    found = [
        scores_of(evaluation.kind, evaluation.truth, outcomes, number, pooled)[evaluation.metric]
        for outcomes in draws.values()
    ]
    return [score for score in found if score is not None]


def _leaks(
    results: Iterable[Result], names: dict[tuple[str, str], str], own: dict[str, Interval | str]
) -> tuple[Leak, ...]:
    found = []
    for result in results:
        what, evaluation = LEAKAGE.fullmatch(result.key.setting), result.evaluation
        label = names.get((result.key.representation, result.key.fingerprint))
        if what and label and evaluation.score is not None and evaluation.classes:
            interval = own[result.key.file]
            found.append(
                Leak(
                    what[1],
                    result.key.task,
                    label,
                    evaluation.score,
                    None if isinstance(interval, str) else interval,
                    1 / len(evaluation.classes),
                )
            )
    return tuple(found)


def _rows(
    order: Iterable[str], shorts: dict[str, str], names: dict[tuple[str, str], str], results: Iterable[Result]
) -> tuple[Row, ...]:
    identity = {label: each for each, label in names.items()}
    abouts: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        abouts[result.key.representation, result.key.fingerprint].append(result.about)
    return tuple(Row(label, shorts[label], *identity[label], about=_merged(abouts[identity[label]])) for label in order)


def _merged(abouts: list[dict[str, Any]]) -> dict[str, Any]:
    """What is known; of numbers the median, for the time to embed was measured with each task."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for about in abouts for name in about):
        values = [about[name] for about in abouts if about.get(name) is not None]
        numbers = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
        if numbers and len(numbers) == len(values):
            found[name] = float(np.median(numbers))
        elif values:
            found[name] = values[0]
    return found


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Names without hash, default tap and module, as far as they stay different.

    >>> short_names(["mobilenet-1-a123f259:embedding", "log-mel-1", "mine.py:pitch-1"])
    {'mobilenet-1-a123f259:embedding': 'mobilenet-1', 'log-mel-1': 'log-mel-1', 'mine.py:pitch-1': 'pitch-1'}
    """
    needless = re.compile(r"-[0-9a-f]{8}(?=:|$)|^[^\W\d]\w*(\.[^\W\d]\w*)+:")
    found = {name: needless.sub("", name).removesuffix(":embedding") or name for name in names}
    several = [short for short in found.values() if list(found.values()).count(short) > 1]
    return {name: name if short in several else short for name, short in found.items()}
