"""A grid of representations and tasks: what is missing is computed, one JSON file each."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from noss import protocol, results, tasks
from noss.cells import Asks, Job, Question, answer, contents_of, key_of, questions, reason_of
from noss.config import ProtocolConfig
from noss.representations import load_representation
from noss.representations.fingerprint import fingerprint
from noss.tasks.task import Task, Trials, Utterance
from trill.errors import optional
from trill.progress import progress
from trill.representation import Representation


@dataclasses.dataclass(frozen=True)
class Cell:
    """One question to one representation.

    Args:
        representation: its name.
        task: its name.
        setting: what was asked, as in `noss.results.Key`.
        key: of the result; None if the representation is too broken to have one.
        resumed: whether the result was there before.
        error: why there is none.
    """

    representation: str
    task: str
    setting: str
    key: results.Key | None = None
    resumed: bool = False
    error: str = ""


Report = Callable[[Cell, results.Result | None], None]


def run(
    grid: Sequence[str | Representation],
    suite: Sequence[tuple[Task, Path | None]],
    output: Path,
    config: ProtocolConfig = protocol.NOSS,
    *,
    asks: Asks | None = None,
    jobs: int = 1,
    runner: str = "",
    threads: int = 2,
    report: Report | None = None,
    note: Callable[[str], None] | None = None,
    quiet: bool = False,
) -> list[Cell]:
    """Judge every representation by every task; a killed run goes on where it was.

    With several jobs, and representations given by text, processes compute a representation at a task each; where one
    alone is missing, or representations are objects, threads compute a split each. Scores are the same either way.

    Args:
        grid: representations, as `noss.representations.load_representation` takes them, with names of their own.
        suite: tasks and the folders of their corpora; None where a task knows its own.
        output: results go there, embeddings into its folder `embeddings`.
        config: the protocol.
        asks: what is asked beside the plain score.
        jobs: how much is computed at once.
        runner: of Apache Beam, with its options, such as "DirectRunner" (`noss.grid_beam`); empty for this machine.
        threads: sounds embedded at once.
        report: told each score, or that there is none.
        note: told what cannot be asked, and why.
        quiet: no progress bars.

    Returns:
        A cell for each question, also for what failed: a representation that breaks the contract, or a corpus that
        cannot be split as asked, loses its own scores and no others.

    Raises:
        CorpusError: if a corpus is missing or not what its task says, before anything is computed.
        ValueError: if two representations have one name, or there is no such representation.
        OSError: if the folder takes no files; like a KeyboardInterrupt it has a note on how to go on.
    """
    representations = [load_representation(spec) for spec in grid]
    names = [each.name for each in representations]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"a name must mean one representation, got {', '.join(twice)} twice. Leave one out.")
    (output / "embeddings").mkdir(parents=True, exist_ok=True)
    asked = [_Asked.of(task, folder, output, config, asks or Asks(), quiet) for task, folder in suite]
    for each in asked:
        for setting, why in each.left_out.items():
            (note or _nobody)(f"{each.task.name}: no {setting}: {why}")
    cells, todo = _plan(list(zip(representations, grid, strict=True)), asked, output, report or _nobody)
    try:
        for cell in _computed(todo, dict(zip(names, representations, strict=True)), jobs, runner, threads, quiet):
            cells.append(cell)
            (report or _nobody)(cell, None if cell.key is None else results.load(output / cell.key.file))
    except (KeyboardInterrupt, OSError) as error:
        there = sum(not cell.error for cell in cells)
        error.add_note(f"{output} keeps {there} of the scores: the same command goes on there.")
        raise
    return cells


@dataclasses.dataclass(frozen=True, eq=False)
class _Asked:
    """A task, read and checked, and what is asked of it."""

    task: Task
    folder: Path | None
    utterances: list[Utterance]
    sounds: str
    questions: list[Question]
    left_out: dict[str, str]

    @classmethod
    def of(
        cls, task: Task, folder: Path | None, output: Path, config: ProtocolConfig, asks: Asks, quiet: bool
    ) -> "_Asked":
        utterances = tasks.load(task, folder)
        sounds = results.sounds_hash(contents_of(utterances, output / "embeddings", quiet=quiet))
        return cls(task, folder, utterances, sounds, *questions(task, utterances, config, asks))

    def trials(self) -> Trials | None:
        if self.task.kind != "verification":
            return None
        return tasks.load_trials(self.task, self.folder, self.utterances)


def _nobody(*_: Any) -> None:
    pass


def _plan(
    loaded: list[tuple[Representation, str | Representation]],
    asked: list[_Asked],
    output: Path,
    report: Report,
) -> tuple[list[Cell], list[Job]]:
    """What was there or has failed already, and what is to be done: keys cost no embedding."""
    cells: list[Cell] = []
    todo: list[Job] = []
    pairs: dict[str, Trials | None] = {}
    for representation, spec in loaded:
        name, known, broken = representation.name, "", ""
        try:
            known = fingerprint(representation)
        except Exception as error:
            broken = reason_of(error)
        for each in asked:
            missing = []
            for question in each.questions:
                cell = Cell(name, each.task.name, question.setting, error=broken)
                key = key_of(name, known, question, each.sounds)
                found = None if broken else _found(output, key, question)
                if found or broken:
                    cells.append(cell if broken else dataclasses.replace(cell, key=key, resumed=True))
                    report(cells[-1], found)
                else:
                    missing.append(question)
            if missing:
                if each.task.name not in pairs:
                    pairs[each.task.name] = each.trials()
                todo.append(
                    Job(
                        spec,
                        name,
                        known,
                        each.task,
                        each.utterances,
                        pairs[each.task.name],
                        each.sounds,
                        tuple(missing),
                        output,
                        each.folder,
                    )
                )
    return cells, todo


def _found(output: Path, key: results.Key, question: Question) -> results.Result | None:
    """The result of a key, if it is there and whole, and what was tried for it is what is tried today."""
    path = output / key.file
    if not path.exists():
        return None
    try:
        found = results.load(path)
    except results.ResultError:
        return None
    tried = json.loads(json.dumps(dataclasses.asdict(question.config)))
    return found if found.key == key and found.evaluation.config == tried else None


def _computed(
    todo: list[Job],
    representations: dict[str, Representation],
    jobs: int,
    runner: str,
    threads: int,
    quiet: bool,
) -> Iterator[Cell]:
    """Cells as they come out."""
    by_text = all(isinstance(job.spec, str) for job in todo)
    if runner and todo:
        from noss.grid_beam import answers

        found: Iterator[tuple[Job, str, str]] = answers(todo, runner, threads)
    elif jobs > 1 and len(todo) > 1 and by_text:
        found = _in_processes(todo, jobs, threads, quiet)
    else:
        found = (
            (job, *said)
            for job in todo
            for said in answer(job, representations[job.name], jobs=jobs, threads=threads, quiet=quiet)
        )
    for job, setting, error in found:
        question = next(each for each in job.questions if each.setting == setting)
        key = None if error else job.key(question)
        yield Cell(job.name, job.task.name, setting, key, error=error)


def _stop_workers() -> None:
    """End the processes that joblib keeps for the next time: they would be in the folder of the last time."""
    optional("joblib.externals.loky", "noss").get_reusable_executor().shutdown(wait=True)


def _in_processes(todo: list[Job], jobs: int, threads: int, quiet: bool) -> Iterator[tuple[Job, str, str]]:
    """Jobs in processes that are started, never forked: TensorFlow does not survive that."""
    _stop_workers()
    try:
        yield from _in_workers(todo, jobs, threads, quiet)
    finally:
        _stop_workers()


def _in_workers(todo: list[Job], jobs: int, threads: int, quiet: bool) -> Iterator[tuple[Job, str, str]]:
    # Tasks first: two processes rarely want to write embeddings of the same representation.
    names = list(dict.fromkeys(job.task.name for job in todo))
    left = sorted(todo, key=lambda job: names.index(job.task.name))
    bar = progress((), total=len(left), unit="representations at tasks", quiet=quiet)
    with bar:
        crashed = False
        while left:
            # After a crash one by one, so that it is known whose it was.
            some = left[:1] if crashed else left
            try:
                for number, said in _parallel(some, jobs, threads):
                    bar.update()
                    yield from ((some[number], *each) for each in said)
                    left = [job for job in left if job is not some[number]]
            except optional("joblib.externals.loky.process_executor", "noss").TerminatedWorkerError as error:
                if crashed:
                    reason = f"its process ended: {str(error).splitlines()[0]} Look at what it printed, or at memory."
                    yield from ((some[0], question.setting, reason) for question in some[0].questions)
                    left = left[1:]
                crashed = True


def _parallel(some: list[Job], jobs: int, threads: int) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    joblib = optional("joblib", "noss")
    # Two at least: one would be this process.
    parallel = joblib.Parallel(
        max(2, min(jobs, len(some))), backend="loky", return_as="generator_unordered", batch_size=1
    )
    inner = max(1, jobs // len(some))
    yield from parallel(joblib.delayed(_in_process)(number, job, inner, threads) for number, job in enumerate(some))


def _in_process(number: int, job: Job, jobs: int, threads: int) -> tuple[int, list[tuple[str, str]]]:
    logging.getLogger("noss").setLevel(logging.ERROR)  # that another writes the same embeddings is as it should be
    return number, list(answer(job, jobs=jobs, threads=threads, quiet=True))
