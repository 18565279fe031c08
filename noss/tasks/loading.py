"""From the name of a task and a folder to utterances that can be trusted."""

import contextlib
import csv
import math
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from noss.tasks.task import SPLIT_NAMES, CorpusError, Task, Trials, Utterance
from noss.tasks.tfds import PREFIX, read_tfds

NO_LABEL = frozenset({"", "nan", "<na>"})
SHOWN = 5  # names in a message


def load(task: str | Task, folder: str | os.PathLike[str] | None = None, *, partial: bool = False) -> list[Utterance]:
    """Read and check the utterances of a task. Nothing is decoded: a corpus of 150,000 files takes seconds.

    Args:
        task: a name in `noss.tasks.TASKS`, or a task.
        folder: the unpacked corpus, or `tfds:BUILDER@DATA_DIR` (`noss.tasks.tfds`). A manifest knows its own.
        partial: leave out files that a list of the corpus names and that are not there, with a warning, instead of
            refusing. Scores of a part do not compare with published ones.

    Returns:
        Utterances in an order that depends on the corpus alone, their names unique.

    Raises:
        CorpusError: if the folder is missing or holds none of the corpus; files are missing; a path leaves the folder;
            a clip is listed twice; a label is empty or NaN; there is one class, or one speaker where speakers are to be
            kept apart; a speaker stands in two canonical splits, or a canonical split lacks train or test.
        ValueError: if there is no such task.
    """
    task = _task(task)
    if str(folder).startswith(PREFIX):
        utterances, folder = read_tfds(task, str(folder)), Path(str(folder))
    else:
        folder = _folder(task, folder)
        with _reading(task, folder):
            utterances = task.read(folder)
    if not utterances:
        raise CorpusError(_wanted(task, f"in {folder}, which holds none of it"))
    _check_names(task, folder, utterances)
    utterances = _present(task, utterances, partial)
    _check_labels(task, utterances)
    _check_speakers(task, utterances)
    if task.split == "canonical":
        _check_splits(task, utterances)
    return utterances


def load_trials(
    task: str | Task, folder: str | os.PathLike[str] | None, utterances: Sequence[Utterance], *, partial: bool = False
) -> Trials:
    """The pairs of a verification task, as positions in what `load` returned.

    Args:
        task: as for `load`.
        folder: as for `load`.
        utterances: from `load`.
        partial: as for `load`: leave out trials with a missing clip.

    Raises:
        CorpusError: if a pair names a clip that is not there, or all pairs are of one sort.
        ValueError: if there is no such task, or it has no trials.
    """
    task = _task(task)
    if task.read_trials is None:
        raise ValueError(f"only verification has trials, {task.name} is a {task.kind}.")
    folder = _folder(task, folder)
    with _reading(task, folder):
        trials = task.read_trials(folder, utterances)
    there = (trials.enrol >= 0) & (trials.test >= 0)
    lost = int((~there).sum())
    if lost:
        what = f"{lost} of {len(there)} trials of {task.name} name clips that are not among the utterances"
        if not partial:
            raise CorpusError(f"{what}. Unpack the whole corpus, or pass partial=True.")
        warnings.warn(f"{what}; they are left out.", stacklevel=2)
        trials = Trials(trials.enrol[there], trials.test[there], trials.same[there])
    if not len(trials.same) or trials.same.all() or not trials.same.any():
        raise CorpusError(f"trials must be of both sorts, {task.name} has {len(trials.same)} of one. Check the list.")
    return trials


def _task(task: str | Task) -> Task:
    if isinstance(task, Task):
        return task
    from noss.tasks import TASKS  # the table is built from modules that this one does not know

    if task not in TASKS:
        raise ValueError(f"a task must be one of {', '.join(sorted(TASKS))}, got {task!r}.")
    return TASKS[task]


def _folder(task: Task, folder: str | os.PathLike[str] | None) -> Path:
    path = task.folder if folder is None else Path(folder)
    if path is None:
        raise CorpusError(_wanted(task, "in a folder, got none"))
    if not path.is_dir():
        raise CorpusError(_wanted(task, f"in a folder, got {path}: no such folder"))
    return path


@contextlib.contextmanager
def _reading(task: Task, folder: Path) -> Iterator[None]:
    """What a damaged list of the corpus raises, as an error that says what is wanted."""
    try:
        yield
    except CorpusError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CorpusError(_wanted(task, f"whole in a folder, {folder} cannot be read ({reason})")) from error


def _wanted(task: Task, instead: str) -> str:
    corpus = task.corpus
    layout = "\n".join(f"    {line}" for line in corpus.layout.strip().splitlines())
    return (
        f"{corpus.title} must be unpacked {instead}.\n"
        f"Get it: {corpus.source} ({corpus.licence}). Pass the folder that holds\n{layout}"
    )


def _some(names: Iterable[str], total: int) -> str:
    shown = [name for name, _ in zip(names, range(SHOWN), strict=False)]
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")


def _check_names(task: Task, folder: Path, utterances: list[Utterance]) -> None:
    outside = [each.name for each in utterances if each.name.startswith("/") or ".." in each.name.split("/")]
    if outside:
        raise CorpusError(
            f"a path must stay in {folder}, {len(outside)} of {task.name} leave it: {_some(outside, len(outside))}. "
            "Move the clips there; for a manifest, pass the folder that holds them as root."
        )
    counts = Counter(utterance.name for utterance in utterances)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise CorpusError(
            f"a clip must be listed once, {task.name} has {len(twice)} more than once: {_some(twice, len(twice))}. "
            "Remove the duplicates: they would stand in train and in test."
        )


def _present(task: Task, utterances: list[Utterance], partial: bool) -> list[Utterance]:
    """Those whose file is there: one look into each folder that is named, not one at each file."""
    folders: dict[str, set[str]] = {}
    present: list[Utterance] = []
    missing: list[Utterance] = []
    for utterance in utterances:
        parent, name = os.path.split(os.fspath(utterance.path))
        if parent not in folders:
            try:
                folders[parent] = set(os.listdir(parent))
            except (OSError, ValueError):  # ValueError: a name that cannot be one
                folders[parent] = set()
        (present if name in folders[parent] else missing).append(utterance)
    if missing:
        what = (
            f"{len(missing)} of {len(utterances)} clips that {task.name} lists are not on disk: "
            f"{_some((utterance.name for utterance in missing), len(missing))}"
        )
        if not partial or not present:
            raise CorpusError(f"{what}. Unpack the whole corpus, or pass partial=True to leave them out.")
        warnings.warn(f"{what}. They are left out: scores do not compare with published ones.", stacklevel=3)
    return present


def _check_labels(task: Task, utterances: list[Utterance]) -> None:
    regression = task.kind == "regression"
    bad = [utterance for utterance in utterances if not _is_label(utterance.label, regression)]
    if bad:
        rule = "a finite number" if regression else "a word"
        shown = _some((f"{utterance.name} ({utterance.label!r})" for utterance in bad), len(bad))
        raise CorpusError(
            f"every clip needs a label that is {rule}, {len(bad)} of {task.name} have none: {shown}. "
            "Fill them in or remove the rows."
        )
    labels = {utterance.label for utterance in utterances}
    if len(labels) < 2:
        raise CorpusError(
            f"a task needs at least two {'values' if regression else 'classes'}, "
            f"{task.name} has only {labels.pop()!r} in {len(utterances)} clips. Nothing can be told apart."
        )


def _is_label(label: str | float, regression: bool) -> bool:
    if regression:
        return isinstance(label, float) and math.isfinite(label)
    return isinstance(label, str) and label.strip().lower() not in NO_LABEL


def _check_speakers(task: Task, utterances: list[Utterance]) -> None:
    empty = [utterance.name for utterance in utterances if utterance.speaker.strip().lower() in NO_LABEL]
    if empty:
        raise CorpusError(
            f"every clip needs a speaker, {len(empty)} of {task.name} have none: {_some(empty, len(empty))}. "
            "Fill them in, or pass group=None if nobody knows."
        )
    speakers = {utterance.speaker for utterance in utterances}
    if task.split == "speakers" and len(speakers) < 2:
        raise CorpusError(
            f"speakers can be kept apart from two on, {task.name} has only {speakers.pop()!r}. "
            "Check the speakers, or pass group=None to split by clip."
        )


def _check_splits(task: Task, utterances: list[Utterance]) -> None:
    unknown = [f"{each.name} ({each.split!r})" for each in utterances if each.split not in SPLIT_NAMES]
    if unknown:
        raise CorpusError(
            f"a canonical split names each clip {', '.join(SPLIT_NAMES)}, "
            f"{len(unknown)} of {task.name} say otherwise: {_some(unknown, len(unknown))}."
        )
    splits = {utterance.split for utterance in utterances}
    needed = {"test"} if task.kind == "verification" else {"train", "test"}
    if needed - splits:
        raise CorpusError(
            f"a canonical split needs {' and '.join(sorted(needed))}, {task.name} has only "
            f"{', '.join(sorted(str(split) for split in splits))}. Unpack all archives of the corpus."
        )
    identified = task.kind != "verification" and all(each.label == each.speaker for each in utterances)
    if task.overlap or identified:  # who is to be recognised must have been heard
        return
    of_speaker: defaultdict[str, set[str | None]] = defaultdict(set)
    for utterance in utterances:
        of_speaker[utterance.speaker].add(utterance.split)
    several = [
        f"{speaker} ({', '.join(sorted(map(str, found)))})" for speaker, found in of_speaker.items() if len(found) > 1
    ]
    if several:
        raise CorpusError(
            f"a speaker must stand in one split, {len(several)} of {task.name} stand in more: "
            f"{_some(several, len(several))}. Scores would measure who speaks: split by speaker."
        )
