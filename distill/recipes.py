"""What a student learns from whom: the table `[objective]` of a recipe of kind "distillation".

[objective]
kind = "distillation"
originals = 0.5                  # share of windows that are of clips themselves, beside their altered copies

[[objective.teacher]]            # a term of the loss
targets = "whisper"              # what --targets holds, by the beginning of the teacher's name
match = "columns"

[[objective.teacher]]
live = "yamnet"                  # a frozen network that runs in the step: --live yamnet=FOLDER
match = "places"
tap = "block5"

[[objective.label]]              # a column of the corpus' manifest; clips without it do not count
column = "speaker"
weight = 0.1

[objective.triplet]              # TRILL's own objective beside it
weight = 0.1

[objective.balance]              # clips with one value of a column count by their length together, to this power
column = "source"
power = 0.5

[objective.variants]             # altered copies of each clip, that teachers hear as well: distill.variants
copies = 5
speed = { low = 0.8, high = 1.25 }
"""

import dataclasses
from typing import Any

from distill.variants import Variants, read_variants
from trill.training.recipes import check, check_choice, made
from trill.training.triplet import MARGIN

KIND = "distillation"
LOSSES = ("mse", "cosine", "l1+cosine")
# What a term compares, and the tap that predicts it unless the recipe names one.
MATCHES = {"columns": "final", "window": "embedding", "clip": "embedding", "places": "block5"}
OF_TARGETS, OF_LIVE = ("columns", "window", "clip"), ("columns", "window", "places")


@dataclasses.dataclass(frozen=True)
class Term:
    """One teacher, compared with one tap.

    Args:
        targets: the beginning of the name of a teacher whose targets are on disk.
        live: a row of `distill.objective.LIVE`, instead.
        match: "columns" (each output column of the student with the frames over its time), "window" (all of it),
            "places" (a map of the student with one of the same shape) or "clip" (the window with its clip).
        tap: of the student; the usual one of the match if empty.
        statistics: of the frames in a window: "mean", or "mean+std".
        loss: "mse", "cosine" (one minus it) or "l1+cosine" (DistilHuBERT's: Chang et al. 2022, arXiv:2110.01900,
            equation 1).
        weight: in the sum of all terms.
        whiten: values of targets are divided by their standard deviation to this power: 0 leaves principal components
            as large as they vary, 1 makes all alike.
        hears: what a live teacher hears, "clean" or "augmented" sound.
        name: in the log; of teacher and match if empty.
    """

    targets: str = ""
    live: str = ""
    match: str = "window"
    tap: str = ""
    statistics: str = "mean"
    loss: str = "mse"
    weight: float = 1.0
    whiten: float = 0.0
    hears: str = "clean"
    name: str = ""

    def __post_init__(self) -> None:
        if bool(self.targets) == bool(self.live):
            raise ValueError(f"a teacher has targets or is live, got targets {self.targets!r} and live {self.live!r}.")
        check_choice("match", self.match, OF_LIVE if self.live else OF_TARGETS)
        check_choice("statistics", self.statistics, ("mean", "mean+std"))
        check_choice("loss", self.loss, LOSSES)
        check_choice("hears", self.hears, ("clean", "augmented"))
        check("weight", self.weight, self.weight > 0, "positive")
        check("whiten", self.whiten, 0 <= self.whiten <= 1, "in [0, 1]")
        if self.whiten and self.live:
            raise ValueError(f"targets are whitened, {self.live} is live: its channels are standardised. Leave it out.")
        if self.statistics != "mean" and self.match != "window":
            raise ValueError(f"statistics are of a window, got {self.statistics!r} with match {self.match!r}.")
        object.__setattr__(self, "tap", self.tap or MATCHES[self.match])
        object.__setattr__(self, "name", self.name or f"{(self.live or self.targets).split('_')[0]}_{self.match}")


@dataclasses.dataclass(frozen=True)
class Label:
    """A column of the corpus' manifest, predicted from a tap; rows where it is empty do not count.

    Args:
        column: such as "speaker" or "age".
        numeric: a number (standardised, squared error) rather than a class (cross-entropy).
        tap: of the student.
        weight: in the sum of all terms.
    """

    column: str
    numeric: bool = False
    tap: str = "embedding"
    weight: float = 1.0

    def __post_init__(self) -> None:
        check("weight", self.weight, self.weight > 0, "positive")

    @property
    def name(self) -> str:
        """In the log."""
        return f"label_{self.column}"


@dataclasses.dataclass(frozen=True)
class Triplet:
    """TRILL's objective as a term: batches are pairs of windows of a clip then.

    Args:
        weight: in the sum of all terms.
        margin: of squared distances.
        tap: of the student.
    """

    weight: float = 1.0
    margin: float = MARGIN
    tap: str = "embedding"
    name = "triplet"

    def __post_init__(self) -> None:
        check("weight", self.weight, self.weight > 0, "positive")
        check("margin", self.margin, self.margin > 0, "positive")


@dataclasses.dataclass(frozen=True)
class Balance:
    """How much groups of clips count, where some are much longer than others.

    Args:
        column: of the corpus' manifest; clips with one value of it are a group, and those without any are one.
        power: a group is drawn from with a chance in proportion to its length to this power: 1 as it is, 0 all groups
            alike.
    """

    column: str
    power: float = 0.5

    def __post_init__(self) -> None:
        check("power", self.power, 0 <= self.power <= 1, "in [0, 1]")


@dataclasses.dataclass(frozen=True)
class Plan:
    """All terms of a distillation, and the sound it hears.

    Args:
        teachers: terms.
        labels: terms.
        triplet: a term.
        variants: altered copies of clips.
        originals: share of windows that are of clips themselves, beside their copies; None for that of their length.
        balance: of groups of clips; None where each window counts the same.
    """

    teachers: tuple[Term, ...]
    labels: tuple[Label, ...] = ()
    triplet: Triplet | None = None
    variants: Variants | None = None
    originals: float | None = None
    balance: Balance | None = None

    def __post_init__(self) -> None:
        if self.originals is not None:
            check("originals", self.originals, 0 < self.originals < 1, "in (0, 1)")
            if self.variants is None:
                raise ValueError("originals are beside [objective.variants], which there are none of. Leave it out.")

    @property
    def terms(self) -> tuple[Term | Label | Triplet, ...]:
        return (*self.teachers, *self.labels, *([self.triplet] if self.triplet else []))


def read_plan(objective: dict[str, Any]) -> Plan:
    """The table `[objective]` of a recipe.

    Raises:
        ValueError: if its kind is another, or it has a key or a value that it cannot have.

    >>> read_plan({"kind": "distillation", "teacher": [{"targets": "whisper", "match": "columns"}]}).teachers[0].tap
    'final'
    """
    if objective.get("kind") != KIND:
        raise ValueError(f"`trill-distill train` takes recipes of kind {KIND!r}, got {objective.get('kind')!r}.")
    if unknown := objective.keys() - {"kind", "originals", "teacher", "label", "triplet", "balance", "variants"}:
        raise ValueError(
            "[objective] knows kind, originals, teacher, label, triplet, balance and variants, got "
            f"{', '.join(sorted(unknown))}."
        )
    teachers = tuple(made(Term, row, "[[objective.teacher]]") for row in _rows(objective, "teacher"))
    labels = tuple(made(Label, row, "[[objective.label]]") for row in _rows(objective, "label"))
    triplet = made(Triplet, objective["triplet"], "[objective.triplet]") if "triplet" in objective else None
    balance = made(Balance, objective["balance"], "[objective.balance]") if "balance" in objective else None
    variants = read_variants(objective["variants"]) if "variants" in objective else None
    if triplet and variants:
        raise ValueError(
            "[objective] takes triplet or variants, got both: a clip's copies would be its negatives. Leave one out."
        )
    plan = Plan(teachers, labels, triplet, variants, objective.get("originals"), balance)
    names = [term.name for term in plan.terms]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"[objective] needs terms, each with a name of its own, got {', '.join(names) or 'none'}. "
            'Give two alike a name: name = "...".'
        )
    return plan


def _rows(objective: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    rows = objective.get(kind, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{kind} must be tables [[objective.{kind}]], got {rows!r}.")
    return rows
