"""What can be asked of a representation at a task, and the one function that answers: here, or in another process."""

import dataclasses
import functools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from noss import conditions, cost, embeddings, hashes, protocol, results, trials
from noss.conditions import Altered, Condition
from noss.config import ProtocolConfig
from noss.curves import curve_config, largest_size
from noss.evaluation import Evaluation
from noss.leakage import TRAITS, leak, leakage_config, leakage_task
from noss.representations import load_representation
from noss.tasks.task import CorpusError, Task, Trials, Utterance
from trill.errors import TrillError
from trill.representation import Representation

# Settings of a key.
PLAIN, PAPER = "", "paper selection"
FEW, LEAKAGE = "{} a class", "leakage {}"

log = logging.getLogger("noss")


@dataclasses.dataclass(frozen=True)
class Asks:
    """What is asked beside the plain score.

    Args:
        paper_selection: how good it looks if settings are chosen on test, as the paper did.
        sizes: of a learning curve: clips a class.
        leakage: how well speaker, sex and age can be read.
        conditions: how good the plain classifier is on altered sound.
    """

    paper_selection: bool = False
    sizes: tuple[int, ...] = ()
    leakage: bool = False
    conditions: tuple[Condition, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Question:
    """One score that is asked for.

    Args:
        setting: of its key.
        protocol: likewise: id of the config of the plain score.
        task: that is judged.
        utterances: of the task.
        config: what is tried for this question; of the plain score, the protocol.
        clips: positions of the utterances among those of the corpus; None for all.
        clips_a_class: as `noss.protocol.evaluate`.
        condition: that the tested clips are heard under; None for as they are.
    """

    setting: str
    protocol: str
    task: Task
    utterances: Sequence[Utterance]
    config: ProtocolConfig
    clips: Sequence[int] | None = None
    clips_a_class: int = 0
    condition: Condition | None = None


def questions(
    task: Task, utterances: Sequence[Utterance], config: ProtocolConfig, asks: Asks
) -> tuple[list[Question], dict[str, str]]:
    """The questions about a task, and which cannot be asked: setting -> why. Nothing is embedded for that."""
    found, left_out = [Question(PLAIN, config.id, task, utterances, config)], {}
    if asks.paper_selection:
        found.append(dataclasses.replace(found[0], setting=PAPER))
    for condition in asks.conditions:
        if task.kind == "verification":
            left_out[condition.name] = "a condition needs classes or numbers, this is verification"
        else:
            named = condition.name, config.id, task, utterances, condition.config(config)
            found.append(Question(*named, condition=condition))
    few = curve_config(config)
    largest, why = _largest(task, utterances, few) if asks.sizes else (0, "")
    for size in asks.sizes:
        if size <= largest:
            found.append(Question(FEW.format(size), config.id, task, utterances, few, clips_a_class=size))
        else:
            left_out[FEW.format(size)] = why
    for trait in TRAITS if asks.leakage else ():
        setting, told = LEAKAGE.format(trait.name), leak(trait, utterances)
        if isinstance(told, str):
            left_out[setting] = told
        else:
            clips, relabelled = told
            asked = leakage_task(task, trait), relabelled, leakage_config(trait, config)
            found.append(Question(setting, config.id, *asked, clips))
    return found, left_out


def _largest(task: Task, utterances: Sequence[Utterance], config: ProtocolConfig) -> tuple[int, str]:
    if task.kind != "classification":
        return 0, f"a learning curve needs classes, this is {task.kind}"
    try:
        splits = protocol.splits_of(task, utterances, config)
    except CorpusError as error:
        return 0, str(error)
    largest = largest_size([utterance.label for utterance in utterances], splits, config.refit)
    return largest, f"a class has {largest} clips to train on"


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What is missing of one representation at one task.

    Args:
        spec: of the representation: a text, or itself.
        name: of the representation.
        fingerprint: of the representation.
        task: as of the corpus.
        utterances: of the task.
        trials: its pairs, in verification.
        sounds: hash of the sounds that the keys are of.
        questions: to answer.
        output: the folder of the results; embeddings go into its folder `embeddings`.
        folder: of the corpus.
    """

    spec: str | Representation
    name: str
    fingerprint: str
    task: Task
    utterances: Sequence[Utterance]
    trials: Trials | None
    sounds: str
    questions: tuple[Question, ...]
    output: Path
    folder: Path | None

    @property
    def store(self) -> Path:
        """Where embeddings are."""
        return self.output / "embeddings"

    def key(self, question: Question) -> results.Key:
        """Of the answer."""
        return key_of(self.name, self.fingerprint, question, self.sounds)


def key_of(name: str, known: str, question: Question, sounds: str) -> results.Key:
    """Of the answer to a question."""
    task = question.task
    return results.Key(name, known, task.name, task.version, sounds, question.protocol, question.setting)


def contents_of(utterances: Sequence[Utterance], store: Path, *, quiet: bool) -> list[str]:
    """A hash of the sound of each utterance; empty where its file cannot be read."""
    hashed = hashes.hash_files([each.path for each in utterances], store / "hashes.sqlite", quiet=quiet)
    found = [hashed[each.path] for each in utterances]
    # A part of a file is another sound than the file.
    return [
        "" if isinstance(content, str) else f"{content.sha256} {each.start} {each.end}"
        for content, each in zip(found, utterances, strict=True)
    ]


def answer(
    job: Job, representation: Representation | None = None, *, jobs: int = 1, threads: int = 2, quiet: bool = False
) -> Iterator[tuple[str, str]]:
    """Answer the questions of a job, a file each. What fails costs only itself.

    Args:
        job: what is asked.
        representation: as loaded already; None to load it here.
        jobs: splits judged at once.
        threads: sounds embedded at once.
        quiet: no progress bars.

    Yields:
        A setting, and why there is no score of it, empty where there is.

    Raises:
        OSError: if a folder takes no files.
    """
    try:
        if representation is None:
            representation = _loaded(job.spec) if isinstance(job.spec, str) else job.spec
        embedded = embeddings.embed(
            representation, job.utterances, job.store, threads=threads, quiet=quiet, known=job.fingerprint
        )
        contents = contents_of(job.utterances, job.store, quiet=quiet)
        if results.sounds_hash(contents) != job.sounds:
            raise CorpusError(f"the sounds of {job.task.name} must stay as they are, some changed. Run this again.")
        known = _about(job, representation, embedded)
    except Exception as error:
        reason = reason_of(error)
        yield from ((question.setting, reason) for question in job.questions)
        return
    with_plain: Evaluation | None = None
    for question in sorted(job.questions, key=lambda each: each.setting != PAPER):
        try:
            if question.condition is not None:
                found = _under(job, question, representation, embedded, threads, quiet)
            elif question.setting == PLAIN and with_plain:
                found = dataclasses.replace(with_plain, paper=None)
            else:
                found = _evaluate(job, question, representation, embedded, contents, jobs, threads, quiet)
            found = dataclasses.replace(found, protocol=question.protocol)
            with_plain = found if question.setting == PAPER else with_plain
            results.save(job.output, job.key(question), found, known)
            yield question.setting, ""
        except Exception as error:
            yield question.setting, reason_of(error)


def reason_of(error: Exception) -> str:
    """What is said of an error that costs one score; one of the disk, which costs all, is raised again."""
    if isinstance(error, OSError) and not isinstance(error, TrillError):
        raise error
    log.debug("a score is missing", exc_info=error)
    return str(error) if isinstance(error, TrillError | ValueError) else f"{type(error).__name__}: {error}"


def _evaluate(
    job: Job,
    question: Question,
    representation: Representation,
    embedded: embeddings.Embeddings,
    contents: list[str],
    jobs: int,
    threads: int,
    quiet: bool,
) -> Evaluation:
    task, config, paper = question.task, question.config, question.setting == PAPER
    if question.clips is not None and len(question.clips) < len(job.utterances):  # read from disk: it may be large
        contents = [contents[position] for position in question.clips]
        embedded = embeddings.embed(
            representation, question.utterances, job.store, threads=threads, quiet=quiet, known=job.fingerprint
        )
    if job.trials is not None and task.kind == "verification":
        return trials.evaluate_trials(
            task, question.utterances, embedded, job.trials, config, contents=contents, paper_selection=paper
        )
    found = protocol.evaluate(
        task,
        question.utterances,
        embedded,
        config,
        contents=contents,
        paper_selection=paper,
        clips_a_class=question.clips_a_class,
        jobs=jobs,
        quiet=quiet,
    )
    if left_out := len(job.utterances) - len(question.utterances):
        told = f"{left_out} of {len(job.utterances)} do not say {task.label}, or are of a class with too few"
        found = dataclasses.replace(found, skipped={**found.skipped, "clips": told})
    return found


def _under(
    job: Job,
    question: Question,
    representation: Representation,
    embedded: embeddings.Embeddings,
    threads: int,
    quiet: bool,
) -> Evaluation:
    condition, plain = question.condition, job.output / job.key(dataclasses.replace(question, setting=PLAIN)).file
    if condition is None or not plain.exists():
        raise ValueError(f"a condition is judged by the plain score's classifier, {job.task.name} has no plain score.")
    altered = embeddings.embed(
        Altered(representation, condition),
        job.utterances,
        job.store,
        threads=threads,
        quiet=quiet,
        known=condition.fingerprint(job.fingerprint),
    )
    heard = results.load(plain).evaluation
    return conditions.evaluate(job.task, job.utterances, embedded, altered, heard, question.config)


def _about(job: Job, representation: Representation, embedded: embeddings.Embeddings) -> dict[str, Any]:
    file = job.store / f"{job.fingerprint[:32]}-{job.sounds[:16]}.cost.json"
    speed = cost.seconds_per_second(representation, job.utterances, file)
    return {
        "dim": embedded.rows.shape[1],
        **cost.about(representation, job.spec),
        **({} if speed is None else {"seconds_per_second": speed}),
        "synthetic": job.task.corpus.synthetic,
        "folder": str(job.folder or job.task.folder or ""),
    }


@functools.lru_cache(maxsize=1)
def _loaded(spec: str) -> Representation:
    """Of one process: jobs of one representation follow each other."""
    return load_representation(spec)
