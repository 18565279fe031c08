"""Tasks of one's own: a CSV file, or a folder of packs."""

import csv
import hashlib
import json
import math
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from noss.tasks.files import part_name, unknown
from noss.tasks.task import Corpus, CorpusError, Kind, Split, Task, Utterance
from trill.manifests import read_manifest

LAYOUT = """
{0}
a.wav,happy,anna
...
and, if wanted, split (train, dev, test), start and end (seconds), sex and age (years).
Paths are relative to the manifest."""
DEFAULT_METRICS: dict[Kind, str] = {"classification": "uar", "regression": "mae"}
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "devel": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
}
TRAITS = {"gender": "sex", "sex": "sex", "age": "age"}  # column -> what is kept of who speaks, beside the label


def manifest_task(
    path: str | os.PathLike[str],
    *,
    label: str = "label",
    group: str | None = "speaker",
    kind: Kind = "classification",
    metric: str | None = None,
    split: Split | None = None,
    root: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> Task:
    r"""A task from a CSV file in UTF-8 with a column `path` and one for the label.

    Args:
        path: the manifest.
        label: column that is predicted.
        group: column of the speakers, or None if nobody knows them: then a clip is its own speaker.
        kind: "classification" or "regression".
        metric: by default "uar" for classes, "mae" for numbers.
        split: by default "canonical" if a column `split` is filled, "speakers" if there is a `group`, else "clips".
        root: folder that paths are relative to and may not leave; by default that of the manifest.
        name: by default the manifest's, or its folder's if that is `manifest`.

    Returns:
        A task that knows its folder; its version is a hash of the manifest and of how it is read.

    Raises:
        CorpusError: if there is no such manifest, it lacks a column, or has no rows.
        ValueError: if kind, metric or name is none.

    >>> import tempfile
    >>> manifest = Path(tempfile.mkdtemp()) / "moods.csv"
    >>> _ = manifest.write_text("path,label,speaker\na.wav,happy,anna\n")
    >>> task = manifest_task(manifest)
    >>> task.name, task.metric, task.split
    ('moods', 'uar', 'speakers')
    """
    path = Path(path)
    if kind not in DEFAULT_METRICS:
        raise ValueError(f"a manifest's kind must be {' or '.join(DEFAULT_METRICS)}, got {kind!r}.")
    rows = _rows(path, label, group)
    if split is None:
        split = "canonical" if any(row.get("split") for row in rows) else "speakers" if group else "clips"
    how = json.dumps([label, group, kind, split])
    version = hashlib.sha256(path.read_bytes() + how.encode()).hexdigest()[:12]
    stem = path.resolve().parent.name if path.stem == "manifest" else path.stem
    return Task(
        name=_slug(stem) if name is None else name,
        corpus=Corpus(f"The manifest {path}", str(path), "its own", LAYOUT.format(f"path,{label},{group or ''}")),
        label=label,
        read=partial(_read, manifest=path, label=label, group=group, kind=kind),
        kind=kind,
        metric=metric or DEFAULT_METRICS[kind],
        split=split,
        folder=path.parent if root is None else Path(root),
        version=version,
    )


def pack_tasks(folder: str | os.PathLike[str]) -> dict[str, Task]:
    """The packs of a folder, by name: folders with a `manifest.csv` (path, label, speaker) and a `task.json`.

    Of `task.json`, `name`, `split` and `metric` are needed: a split that begins with "speaker" keeps speakers whole,
    any other is by clip. `label`, `kind`, `licence`, `source`, `citation`, `classes` and `synthetic` are taken if
    there.

    Raises:
        CorpusError: if there is no pack, or one is broken.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*/task.json"))
    if not files:
        raise CorpusError(f"a folder of packs must hold */task.json beside */manifest.csv, {folder} has none.")
    tasks: dict[str, Task] = {}
    for file in files:
        task = pack_task(file)
        if task.name in tasks:
            raise CorpusError(f"a pack's name must be its own, {file} is the second {task.name}. Rename it.")
        tasks[task.name] = task
    return tasks


def pack_task(file: Path) -> Task:
    """One pack, by its `task.json`; as `pack_tasks`."""
    try:
        about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name, split, metric = (str(about[key]) for key in ("name", "split", "metric"))
        kind: Kind = about.get("kind", "classification")
        by: Split = "speakers" if split.startswith("speaker") else "clips"
        task = manifest_task(file.with_name("manifest.csv"), kind=kind, metric=metric, split=by, name=name)
    except CorpusError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CorpusError(f"a pack needs a task.json with name, split and metric, {file} has not: {error}.") from error
    title = str(about.get("citation") or about.get("label") or name)
    source, licence = str(about.get("source") or file), str(about.get("licence") or "its own")
    fields = dict(task.__dict__)
    synthetic = about.get("synthetic") is True
    fields["corpus"] = Corpus(title, source, licence, task.corpus.layout, synthetic=synthetic)
    fields["label"] = str(about.get("label") or task.label)
    if about.get("classes"):
        fields["read"] = partial(_read_classes, read=task.read, classes=frozenset(about["classes"]), file=file)
    return Task(**fields)


def _read_classes(folder: Path, *, read: Any, classes: frozenset[str], file: Path) -> list[Utterance]:
    utterances: list[Utterance] = read(folder)
    found = {str(utterance.label) for utterance in utterances}
    if found != classes:
        raise CorpusError(
            f"a manifest must hold the classes of its task.json, {file} differs in "
            f"{', '.join(sorted(found ^ classes)[:5])}. Correct one of them."
        )
    return utterances


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "manifest"


def _rows(path: Path, label: str, group: str | None) -> list[dict[str, str]]:
    try:
        return read_manifest(path, ("path", label, *([group] if group else [])))
    except (ValueError, csv.Error) as error:
        hint = f" Choose the columns with label and group, now {label!r} and {group!r}." if path.is_file() else ""
        raise CorpusError(f"{error}{hint}") from error


def _read(folder: Path, *, manifest: Path, label: str, group: str | None, kind: Kind) -> list[Utterance]:
    root = os.path.abspath(folder)
    utterances = []
    for row in _rows(manifest, label, group):
        file = Path(os.path.relpath(os.path.join(root, row["path"]), root)).as_posix()  # links are not followed
        start, end = _seconds(row, "start"), _seconds(row, "end")
        if not (0 <= (start or 0) < (math.inf if end is None else end)):
            raise CorpusError(
                f"a part must start at 0 or later and before its end, {row['path']} of {manifest} has {start} to {end}."
            )
        written = (row[label] or "").strip()
        split = (row.get("split") or "").strip().lower()
        utterances.append(
            Utterance(
                path=Path(root, file),
                name=file if start is None else part_name(file, start),
                label=_number(written) if kind == "regression" else written,
                speaker=(row[group] or "").strip() if group else unknown(file),
                split=SPLIT_WORDS.get(split, split) or None,
                start=start or 0.0,
                end=end,
                traits=_traits(row),
            )
        )
    return utterances


def _traits(row: dict[str, str]) -> tuple[tuple[str, str], ...]:
    written = ((trait, (row.get(column) or "").strip().lower()) for column, trait in TRAITS.items())
    return tuple((trait, text) for trait, text in written if text)


def _seconds(row: dict[str, str], column: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    seconds = _number(text)
    if not math.isfinite(seconds):
        raise CorpusError(f"{column} must be seconds, {row['path']} has {text!r}. Leave it empty for the whole clip.")
    return seconds


def _number(text: str) -> float:
    """NaN if it is none: `load` counts and names those."""
    try:
        return float(text)
    except ValueError:
        return math.nan
