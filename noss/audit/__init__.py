"""Can a score on this corpus be believed? What to know before any representation is judged by it.

`audit` asks six things: is the list whole; are there speakers enough, and kept apart; does each class have clips enough
in each part; does one sound stand on both sides; can labels be guessed from what is no speech; and what would splitting
by file add. Each answer is a `Finding` with a verdict, a number and what to do.
"""

import csv
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from noss import embeddings, hashes, tasks
from noss.audit.copies import check_copies, find_copies
from noss.audit.findings import Audit, Finding, Verdict, some
from noss.audit.inflation import check_inflation
from noss.audit.leaks import check_leaks
from noss.audit.people import check_classes, check_speakers, is_known
from noss.audit.sounds import SCALARS, Measures
from noss.tasks import manifest
from noss.tasks.files import unknown
from noss.tasks.loading import NO_LABEL
from noss.tasks.task import CorpusError, Kind, Task, Utterance
from trill.representation import Representation

__all__ = ["Audit", "Finding", "Verdict", "audit", "find_task"]

UNCHECKED = (
    "Whether one person goes by two names that are spelt differently, unless both have the same recording.",
    "Excerpts of one recording that overlap, copies with noise, reverberation or another speed, and one sentence read "
    "by everybody: only whole copies are found.",
    "Sound above 8 kHz, and headers: rate, channels and bits of compressed files. Clips are measured at 16 kHz mono.",
    "Whether labels are right, raters agreed, and people consented.",
)


def find_task(
    path: str | os.PathLike[str], label: str = "label", group: str | None = "speaker", kind: Kind = "classification"
) -> Task:
    """The task of a manifest, or of a pack: a folder with `manifest.csv` and, if wanted, `task.json`.

    Args:
        path: of the CSV file or the folder.
        label: column that is predicted; a pack has its own.
        group: column of the speakers, or None; a pack has its own.
        kind: "classification" or "regression"; a pack has its own.

    Raises:
        CorpusError: if there is none.
    """
    path = Path(path)
    if not path.is_dir():
        return tasks.manifest_task(path, label=label, group=group, kind=kind)
    if (path / "task.json").is_file():
        return manifest.pack_task(path / "task.json")
    if (path / "manifest.csv").is_file():
        return tasks.manifest_task(path / "manifest.csv", label=label, group=group, kind=kind)
    packs = sorted(each.parent.name for each in path.glob("*/task.json"))
    hint = f"It has the packs {some(packs)}: name one." if packs else "Name a CSV file with path, label and speaker."
    raise CorpusError(f"a pack is a folder with manifest.csv, {path} has none. {hint}")


def audit(
    task: str | Task,
    folder: str | os.PathLike[str] | None = None,
    representation: Representation | None = None,
    *,
    cache: str | os.PathLike[str] | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Audit:
    """Look for what makes scores on a corpus too good, or say nothing.

    Args:
        task: a name in `noss.tasks.TASKS`, or a task, e.g. of `noss.tasks.manifest_task`.
        folder: the unpacked corpus; a manifest knows its own.
        representation: to measure by what a split by file would add; None leaves that out.
        cache: folder where measures and embeddings are kept by content, so that a second audit decodes nothing; None
            for one that is removed afterwards.
        seed: of folds, permutations and intervals.
        quiet: no progress bars.

    Returns:
        Findings. What `noss run` would refuse, such as a speaker in two parts or a label that is missing, is one of
        them, and the rest of the corpus is audited.

    Raises:
        CorpusError: if there is no such corpus, it cannot be read, or no clip with a label is left.
        ValueError: if there is no such task, or the representation breaks the contract.
    """
    task = tasks.TASKS[task] if isinstance(task, str) and task in tasks.TASKS else task
    if isinstance(task, str):
        raise ValueError(f"a task must be one of {', '.join(sorted(tasks.TASKS))}, got {task!r}.")
    utterances, listed = _read(task, folder)
    with ExitStack() as stack:
        store = Path(cache) if cache is not None else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store.mkdir(parents=True, exist_ok=True)
        measured = embeddings.embed(Measures(), utterances, store, quiet=quiet)
        heard = [position for position in range(len(utterances)) if position not in measured.failed]
        clips = [utterances[position] for position in heard]
        found = [listed, *_sounds(utterances, measured), *check_speakers(task, utterances)]
        found += check_classes(task, utterances)
        if clips:
            contents = _contents(clips, store, quiet)
            groups = find_copies(clips, measured.rows, contents, quiet=quiet)
            found += check_copies(task, clips, groups, contents)
            found += check_leaks(task, clips, measured.rows, seed=seed)
            found.append(check_inflation(task, clips, representation, store, quiet=quiet))
    return Audit(
        task=task.name,
        task_version=task.version,
        kind=task.kind,
        metric=task.metric,
        split=task.split,
        num_clips=len(utterances),
        num_speakers=len({each.speaker for each in utterances if is_known(each)}),
        num_labels=len({each.label for each in utterances}),
        seconds=float(measured.rows[:, SCALARS.index("seconds")].sum()) if clips else 0.0,
        findings=tuple(found),
        unchecked=UNCHECKED,
    )


def _read(task: Task, folder: str | os.PathLike[str] | None) -> tuple[list[Utterance], Finding]:
    """Clips with a name of their own, a file and a label; and what `noss.tasks.load` says of the list."""
    try:
        return tasks.load(task, folder), Finding(
            "List", "as noss run reads it", "ok", "every clip has a file and a label."
        )
    except CorpusError as error:
        refused = error
    place = task.folder if folder is None else Path(folder)
    if place is None or not place.is_dir():
        raise refused
    try:
        listed = task.read(place)
    except (CorpusError, OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error):
        raise refused from None
    unique = {each.name: each for each in listed}
    inside = {name for name in unique if not name.startswith("/") and ".." not in name.split("/")}
    there = [unique[name] for name in unique if name in inside and unique[name].path.is_file()]
    usable = [_named(each) for each in there if _has_label(task, each)]
    if not usable:
        raise refused
    values = {
        "listed": len(listed),
        "twice": len(listed) - len(unique),
        "outside": len(unique) - len(inside),
        "missing": len(inside) - len(there),
        "without_label": len(there) - len(usable),
        "without_speaker": sum(each.speaker.strip().lower() in NO_LABEL for each in there),
    }
    counted = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in values.items() if count)
    return usable, Finding(
        "List",
        "as noss run reads it",
        "broken",
        f"refused: {refused}",
        f"Of this list ({counted}), {len(usable)} clips with a file and a label are audited here.",
        values,
    )


def _named(utterance: Utterance) -> Utterance:
    """With a speaker of its own if it has none."""
    empty = utterance.speaker.strip().lower() in NO_LABEL
    return dataclasses.replace(utterance, speaker=unknown(utterance.name)) if empty else utterance


def _has_label(task: Task, utterance: Utterance) -> bool:
    if task.kind == "regression":
        return isinstance(utterance.label, float) and bool(np.isfinite(utterance.label))
    return str(utterance.label).strip().lower() not in NO_LABEL


def _sounds(utterances: Sequence[Utterance], measured: embeddings.Embeddings) -> list[Finding]:
    """What cannot be decoded, and what is silent."""
    failed = measured.failed
    findings = [Finding("List", "sound", "ok", f"all {len(utterances)} clips can be decoded.")]
    if failed:
        verdict: Verdict = "broken" if len(failed) == len(utterances) else "look"
        names, reason = [utterances[position].name for position in failed], next(iter(failed.values()))
        findings = [
            Finding(
                "List",
                "sound",
                verdict,
                f"{len(failed)} of {len(utterances)} clips cannot be decoded: {some(names)}. {reason}",
                "They are left out of every score: fetch them again, or take them off the list.",
                {"failed": {utterances[position].name: reason for position, reason in failed.items()}},
            )
        ]
    silent = [
        utterance.name
        for position, utterance in enumerate(utterances)
        if position not in failed and measured.of(position)[0, SCALARS.index("print_seconds")] == 0
    ]
    if silent:
        advice = "Nothing can be heard in them: take them off the list."
        said = f"{len(silent)} clips hold nothing but silence: {some(silent)}."
        findings.append(Finding("List", "silence", "look", said, advice, {"silent": silent}))
    return findings


def _contents(utterances: Sequence[Utterance], store: Path, quiet: bool) -> list[str]:
    """Of each clip a hash of its file and part; one of its own where the file has just become unreadable."""
    found = hashes.hash_files([each.path for each in utterances], store / "hashes.sqlite", quiet=quiet)
    return [
        each.name if isinstance(content := found[each.path], str) else f"{content.sha256} {each.start} {each.end}"
        for each in utterances
    ]
