"""What a manifest says of clips: labels, numbers and who speaks; and whether that suffices to learn."""

import csv
import dataclasses
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trill.manifests import read_manifest
from trill.training.cache import Cache

KINDS = ("classification", "regression", "mae")
PARTS = 3  # train, dev, test


@dataclasses.dataclass(frozen=True)
class Head:
    """One thing to predict.

    Args:
        name: of the output, the column's in letters, digits and underscores.
        column: of the manifest.
        kind: "classification"; "regression", a number learnt by its concordance (1 - CCC of a batch); "mae", a number
            learnt by its absolute error.
        labels: the classes, sorted; none for numbers.
        center: mean of the numbers that are learnt from.
        spread: their standard deviation.
    """

    name: str
    column: str
    kind: str = "classification"
    labels: tuple[str, ...] = ()
    center: float = 0.0
    spread: float = 1.0

    @property
    def numeric(self) -> bool:
        """Whether it predicts a number."""
        return self.kind != "classification"

    @property
    def size(self) -> int:
        """Values it gives for a clip."""
        return 1 if self.numeric else len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Clips by name, with what is known of each.

    Args:
        names: as the manifest calls the files.
        speakers: `(num_clips,)` texts.
        heads: what is predicted.
        values: by head `(num_clips,)`: int32 classes, -1 where there is none, or float32, NaN where there is none.
        by_clip: whether each clip counts as a speaker of its own.
    """

    names: tuple[str, ...]
    speakers: np.ndarray
    heads: tuple[Head, ...]
    values: Mapping[str, np.ndarray]
    by_clip: bool = False

    def take(self, rows: np.ndarray) -> "Labelled":
        """The clips at these indices."""
        values = {name: column[rows] for name, column in self.values.items()}
        names = tuple(self.names[row] for row in rows)
        return dataclasses.replace(self, names=names, speakers=self.speakers[rows], values=values)

    @property
    def groups(self) -> np.ndarray:
        """What is kept whole when clips are split, `(num_clips,)`: speakers, or clips where these are the label."""
        return np.array(self.names) if self.by_clip else self.speakers

    def known(self, head: Head) -> np.ndarray:
        """Whether a clip has a value, `(num_clips,)`."""
        column = self.values[head.name]
        return ~np.isnan(column) if head.numeric else column >= 0


def parse_head(text: str) -> Head:
    """A head from `COLUMN` or `COLUMN:KIND`.

    Raises:
        ValueError: if the kind is unknown.

    >>> parse_head("age:regression")
    Head(name='age', column='age', kind='regression', labels=(), center=0.0, spread=1.0)
    """
    column, _, kind = text.partition(":")
    if not column or kind not in ("", *KINDS):
        raise ValueError(f"a label is COLUMN or COLUMN:KIND, the kind one of {', '.join(KINDS)}, got {text!r}.")
    return Head(re.sub(r"\W", "_", column), column, kind or KINDS[0])


def read(manifest: str | os.PathLike[str], labels: Sequence[str], *, by_clip: bool = False) -> Labelled:
    """Read labels; no sound is decoded yet.

    Args:
        manifest: CSV with the columns `path` and `speaker` and those of `labels`, or a folder with a `manifest.csv`.
            Clips that have none of the labels are left out.
        labels: what `parse_head` takes, each.
        by_clip: speakers are unknown: each clip is its own.

    Raises:
        ValueError: if a column is missing, a number is none, rows contradict each other, speakers are missing, or the
            clips do not suffice: see `check`.
    """
    path = manifest_of(manifest)
    heads = [parse_head(text) for text in labels]
    if len({head.name for head in heads}) < len(heads) or not heads:
        raise ValueError(f"labels must be one or more different columns, got {', '.join(labels) or 'none'}.")
    for head in heads:
        _check_column(path, head.column)
    table = [row for row in read_manifest(path) if any(row.get(head.column) for head in heads)]
    rows = _merged(table, [head.column for head in heads], path)
    speakers = [name if by_clip else row.get("speaker") or "" for name, row in rows.items()]
    if missing := speakers.count(""):
        raise ValueError(
            f"a fine-tuning is judged on speakers it never heard, {missing} of {len(rows)} labelled clips of {path} "
            "have no `speaker`. Name them, or pass --by-clip if every clip is of someone else."
        )
    values = {}
    for number, head in enumerate(heads):
        texts = [row.get(head.column) or "" for row in rows.values()]
        if head.numeric:
            values[head.name] = _numbers(texts, list(rows), head.column)
        else:
            heads[number] = head = dataclasses.replace(head, labels=tuple(sorted({*texts} - {""})))
            index = {label: place for place, label in enumerate(head.labels)}
            values[head.name] = np.array([index.get(text, -1) for text in texts], np.int32)
        by_clip |= not head.numeric and texts == speakers  # who speaks is asked: nobody is unheard
    found = Labelled(tuple(rows), np.array(speakers, str), tuple(heads), values, by_clip)
    check(found, str(path))
    return found


def manifest_of(source: str | os.PathLike[str]) -> Path:
    path = Path(source)
    return path / "manifest.csv" if path.is_dir() else path


def _check_column(path: Path, column: str) -> None:
    read_manifest(path)  # says what is wrong with a manifest that is none
    with path.open(newline="", encoding="utf-8-sig") as file:
        found = next(csv.reader(file))
    if column not in found:
        raise ValueError(
            f"a label is a column of the manifest, {path} has no {column!r} but {', '.join(found[:12])}. "
            "Pass --label COLUMN."
        )


def _merged(table: Sequence[dict[str, str]], columns: Sequence[str], path: Path) -> dict[str, dict[str, str]]:
    """Rows by path; a file that is met twice must be the same."""
    rows: dict[str, dict[str, str]] = {}
    for row in table:
        first = rows.setdefault(row["path"], row)
        for column in (*columns, "speaker"):
            if first.get(column) != row.get(column):
                raise ValueError(
                    f"a clip has one {column}, {row['path']} in {path} is both {first.get(column)!r} and "
                    f"{row.get(column)!r}. Keep the right row."
                )
    return rows


def _numbers(texts: Sequence[str], names: Sequence[str], column: str) -> np.ndarray:
    found = np.full(len(texts), np.nan, np.float32)
    for place, text in enumerate(texts):
        try:
            number = float(text) if text else math.nan
        except ValueError:
            number = math.inf
        if text and not math.isfinite(number):
            raise ValueError(
                f"{column} must be a finite number, {names[place]} has {text!r}. Correct it, or leave it empty."
            )
        found[place] = number
    return found


def check(clips: Labelled, where: str) -> None:
    """Whether there is enough to learn from, to choose by and to judge with.

    Raises:
        ValueError: if a head has fewer than two labels, a label fewer than three speakers (clips, where each clip is
            its own), numbers fewer than three speakers or are all the same.
    """
    unit = "clips" if clips.by_clip else "speakers"
    rule = f"each label needs {PARTS} {unit}, one each to learn from, to choose by and to judge with"
    for head in clips.heads:
        known = clips.known(head)
        column, groups = clips.values[head.name][known], clips.groups[known]
        if len(np.unique(column)) < 2:
            only = f"one, {head.labels[0]!r}" if head.labels else "one or none"
            raise ValueError(
                f"{head.column} needs two different values, {where} has {only}, in {len(column)} clips. "
                "Add clips of another, or pass another --label."
            )
        if head.numeric and len(np.unique(groups)) < PARTS:
            raise ValueError(f"{head.column} needs {PARTS} {unit}, {where} has {len(np.unique(groups))}. Add some.")
        spread = Counter(label for label, _ in {*zip(column.tolist(), groups.tolist(), strict=True)})
        rare = [label for label, count in spread.items() if count < PARTS]
        if rare and not head.numeric:
            raise ValueError(
                f"{rule}, {head.labels[rare[0]]!r} of {where} has {spread[rare[0]]}"
                + (f", and {len(rare) - 1} more labels have too few" if len(rare) > 1 else "")
                + f". Add {unit}, or leave {head.column} empty in its rows."
            )


def placed(clips: Labelled, cache: Cache, where: str) -> tuple[Labelled, np.ndarray]:
    """The clips that are in a cache, and their numbers there, in its order.

    Raises:
        ValueError: if one sound has two labels or speakers, or too few clips could be read.
    """
    place = {name: row for row, name in enumerate(clips.names)}
    for copy, name in cache.duplicates.items():
        if {copy, name} <= place.keys():
            _check_copy(clips, place[copy], place[name])
    found = [(number, place[name]) for number, name in enumerate(cache.names) if name in place]
    numbers, rows = np.array(found, np.int64).reshape(-1, 2).T
    kept = clips.take(rows)
    check(kept, f"what can be read of {where}")
    return kept, numbers


def _check_copy(clips: Labelled, copy: int, first: int) -> None:
    facts = {head.column: clips.values[head.name] for head in clips.heads} | (
        {} if clips.by_clip else {"speaker": clips.speakers}
    )
    for column, values in facts.items():
        one, other = values[first], values[copy]
        if one != other and not (one != one and other != other):  # NaN is as NaN
            raise ValueError(
                f"a sound has one {column}, {clips.names[first]} and {clips.names[copy]} are the same sound and differ "
                "in it. Keep the right one."
            )
