"""What altered sound costs, as a table: a row a representation and condition, a column a task, the mean last."""

import csv
import dataclasses
import io
from collections.abc import Sequence

from noss.compare import labels
from noss.conditions import ALTERATIONS
from noss.evaluation import Evaluation
from noss.paired import averaged, mean, samples, sign
from noss.results import Result
from noss.statistics import Interval
from noss.table import WIDTH

PLAIN = ""


@dataclasses.dataclass(frozen=True)
class Loss:
    """A representation under a condition, less itself on clean sound.

    Args:
        protocol: by which both were judged.
        representation: its name, with its fingerprint where several have that.
        condition: its name.
        clean, altered: scores by task.
        differences: altered less clean, in the metric of the task, by task: paired by clip and speaker.
        mean: gain in the mean over the tasks of one unit, negative where altered sound is worse; None without tasks.
        num_averaged: tasks in the mean.
    """

    protocol: str
    representation: str
    condition: str
    clean: dict[str, float]
    altered: dict[str, float]
    differences: dict[str, Interval]
    mean: Interval | None
    num_averaged: int


def losses(found: Sequence[Result]) -> list[Loss]:
    """All that a folder tells, by protocol, representation and condition; tasks without a plain score are left out.

    Raises:
        ValueError: if there is no score under a condition.
    """
    # Later ones replace earlier ones: of sounds that changed, and of noise.
    newest = {
        (each.key.protocol, each.key.representation, each.key.fingerprint, each.key.setting, each.key.task): each
        for each in sorted(found, key=lambda each: each.created)
    }
    names = labels(each.key for each in found)
    rows = sorted(
        {key[:4] for key in newest if key[3] in ALTERATIONS}, key=lambda key: (key[0], key[1], key[3], key[2])
    )
    if not rows:
        raise ValueError("a table of losses needs scores under conditions, got none. noss run --condition writes them.")
    made = []
    for protocol, name, fingerprint, condition in rows:
        of = {key[4]: each for key, each in newest.items() if key[:4] == (protocol, name, fingerprint, condition)}
        pairs = {}
        for task, altered in sorted(of.items()):
            clean = newest.get((protocol, name, fingerprint, PLAIN, task))
            if clean is not None and clean.key == dataclasses.replace(altered.key, setting=PLAIN):
                pairs[task] = clean.evaluation, altered.evaluation
        made.append(_loss(protocol, names[name, fingerprint], condition, pairs))
    return made


def _loss(protocol: str, name: str, condition: str, pairs: dict[str, tuple[Evaluation, Evaluation]]) -> Loss:
    drawn = {task: samples(both) for task, both in pairs.items()}
    less = {task: altered.minus(clean) for task, (clean, altered) in drawn.items()}
    fitting = averaged(clean.metric for clean, _ in pairs.values())
    parts = [less[task].signed(sign(each.metric)) for task, (each, _) in pairs.items() if each.metric in fitting]
    return Loss(
        protocol,
        name,
        condition,
        {task: float(clean.values[0]) for task, (clean, _) in drawn.items()},
        {task: float(altered.values[0]) for task, (_, altered) in drawn.items()},
        {task: each.interval() for task, each in less.items()},
        mean(parts) if parts else None,
        len(parts),
    )


def under(found: Sequence[Result], condition: str) -> list[Result]:
    """The scores under a condition, as plain ones: to be compared with each other. All of them where it is empty."""
    if not condition:
        return list(found)
    of = [each for each in found if each.key.setting == condition]
    heard = {(each.key.protocol, each.evaluation.config["name"]) for each in of}  # the name tells the noise
    if len(heard) > len({protocol for protocol, _ in heard}):
        raise ValueError(f"only scores under one noise compare, {condition} was run with several. Run it again.")
    return [dataclasses.replace(each, key=dataclasses.replace(each.key, setting=PLAIN)) for each in of]


def as_text(some: Sequence[Loss], *, intervals: bool = False) -> str:
    """For a terminal."""
    width = WIDTH + 10 if intervals else WIDTH
    first = max(32, *(len(_name(each)) for each in some))
    lines = []
    for protocol in dict.fromkeys(each.protocol for each in some):
        of = [each for each in some if each.protocol == protocol]
        tasks = sorted({task for each in of for task in each.differences})
        lines += [
            f"{protocol}, altered less clean",
            f"{'':{first}s} " + " ".join(f"{task[:width]:>{width}s}" for task in tasks) + "  mean",
        ]
        for each in of:
            cells = [_cell(each.differences.get(task), intervals) for task in tasks]
            averaged_over = f"  {_cell(each.mean, True)} of {each.num_averaged} tasks"
            lines.append(f"{_name(each):{first}s} " + " ".join(f"{cell:>{width}s}" for cell in cells) + averaged_over)
    return "\n".join(lines)


def as_csv(some: Sequence[Loss]) -> str:
    """A line a difference, for other programs."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        ["protocol", "representation", "condition", "task", "clean", "altered", "difference", "low", "high"]
    )
    for each in some:
        for task, found in each.differences.items():
            numbers = each.clean[task], each.altered[task], found.value, found.low, found.high
            row = [each.protocol, each.representation, each.condition, task]
            writer.writerow([*row, *(f"{number:.6f}" for number in numbers)])
    return file.getvalue()


def _name(each: Loss) -> str:
    return f"{each.representation}, {each.condition}"


def _cell(found: Interval | None, ends: bool) -> str:
    if found is None:
        return ""
    return f"{found.value:+.3f}{f' [{found.low:+.3f}, {found.high:+.3f}]' if ends else ''}"
