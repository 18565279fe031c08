"""A teacher that listens as a pipeline of Apache Beam: one machine or many, whatever its runner does. Extra `beam`.

Every worker needs the same paths: the teacher, the cache of the corpus, and the targets in the making. Workers write
what they heard of a few clips into a part, a file of its own; parts that are there already are not in the pipeline, and
when all are there the targets are put together from them, the same bytes as without Beam.
"""

import dataclasses
import functools
import shlex
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

import distill
from distill.basis import Basis
from distill.hearing import Hearing, Recipe
from distill.targets import BASIS, CLIPS, TargetsError
from distill.writing import PARTS, Listener, Said
from trill.errors import TrillError, optional
from trill.files import write_atomically
from trill.parallel import map_in_threads
from trill.training.cache import Cache

CLIPS_A_PART = 32
_loading = threading.Lock()  # workers of one process share a teacher


@dataclasses.dataclass(frozen=True)
class Part:
    """Clips that one worker hears: where they are among the samples of a cache."""

    first: int
    starts: tuple[int, ...]
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Work:
    """What is the same for all parts, and can be sent to another machine."""

    teacher: str
    num_layers: int | None
    fingerprint: str
    recipe: Recipe
    samples: str
    sample_rate: int
    folder: str
    threads: int


def said_on(runner: str, teacher: str, num_layers: int | None = None, threads: int = 2) -> Said:
    """Clips heard by a runner of Beam, as `distill.writing.write_targets` takes it.

    The basis is not fitted there: that is for the caller's teacher.

    Args:
        runner: its name and options: "DirectRunner", or "FlinkRunner --flink_master=host:8081".
        teacher: as `distill.load_teacher` takes it, from any worker.
        num_layers: likewise.
        threads: clips of a part at once.

    Raises:
        MissingPackageError: if Apache Beam is not installed.
    """
    optional("apache_beam", "beam")

    def said(listener: Listener, first: int, folder: Path) -> Iterator[dict[str, np.ndarray]]:
        cache, hear = listener.cache, listener.hear
        # The path of the mapped file; a memmap itself would be sent with all that is in it.
        samples = str(Path(cast(Any, cache.samples).filename).resolve())
        parts = folder.resolve() / PARTS
        parts.mkdir(exist_ok=True)
        work = Work(
            teacher, num_layers, hear.teacher.fingerprint, hear.recipe, samples, cache.sample_rate, str(parts), threads
        )
        numbers = range(first // CLIPS_A_PART * CLIPS_A_PART, len(cache), CLIPS_A_PART)
        if missing := [_part(cache, number) for number in numbers if not _path(parts, number).exists()]:
            _run(missing, work, runner)
        for number in numbers:
            for index, rows in enumerate(_rows(listener, number, _path(parts, number)), number):
                if index >= first:
                    yield rows

    return said


def _part(cache: Cache, first: int) -> Part:
    last = min(first + CLIPS_A_PART, len(cache))
    return Part(first, tuple(cache.starts[first : last + 1].tolist()), tuple(cache.names[first:last]))


def _path(parts: Path, first: int) -> Path:
    return parts / f"{first:09}.npz"


def _run(parts: list[Part], work: Work, runner: str) -> None:
    beam = optional("apache_beam", "beam")
    name, *options = shlex.split(runner)
    pipeline_options = optional("apache_beam.options.pipeline_options", "beam").PipelineOptions(
        [f"--runner={name}", *options]
    )
    with tempfile.TemporaryDirectory(dir=work.folder, prefix=".beam-") as folder:
        with beam.Pipeline(options=pipeline_options) as pipeline:
            said = pipeline | beam.Create(parts) | beam.Reshuffle() | beam.Map(functools.partial(_hear, work=work))
            said | beam.io.WriteToText(str(Path(folder) / "said"))
        errors = [line for file in sorted(Path(folder).glob("said*")) for line in file.read_text("utf-8").splitlines()]
    if wrong := sorted(filter(None, errors)):
        raise TargetsError(wrong[0])


def _hear(part: Part, work: Work) -> str:
    """Write a part; why not, if it cannot be."""
    try:
        hear = _hearing(work)
        starts = np.array(part.starts, np.int64)
        cache = Cache(np.memmap(work.samples, "<i2", "r"), starts, list(part.names), work.sample_rate, {}, {})
        listener = Listener(hear, cache, Basis.load(Path(work.folder).parent / BASIS))
        heard = list(map_in_threads(listener, range(len(cache)), work.threads))
        with write_atomically(_path(Path(work.folder), part.first)) as temporary:
            rows = {file: np.concatenate([clip[file] for clip in heard]) for file in listener.kept}
            np.savez(temporary, allow_pickle=False, **rows)
    except (TrillError, ValueError, OSError) as error:
        return " ".join(str(error).splitlines()) or type(error).__name__
    return ""


def _hearing(work: Work) -> Hearing:
    with _loading:
        hear = _loaded(work.teacher, work.num_layers, work.recipe)
    if hear.teacher.fingerprint != work.fingerprint:
        raise TargetsError(f"workers must load the same teacher, {work.teacher} is another there. Give them its files.")
    return hear


@functools.lru_cache(maxsize=1)
def _loaded(teacher: str, num_layers: int | None, recipe: Recipe) -> Hearing:
    return Hearing(distill.load_teacher(teacher, num_layers), recipe)


def _rows(listener: Listener, first: int, path: Path) -> Iterator[dict[str, np.ndarray]]:
    """What a part says of its clips, one after another.

    Raises:
        TargetsError: if it is not whole.
    """
    counts = listener.counts[first : first + CLIPS_A_PART]
    with np.load(path, allow_pickle=False) as stored:
        found = {file: stored[file] for file in listener.kept if file in stored}
    ends = {file: np.ones_like(counts) if file == CLIPS else counts for file in listener.kept}
    due = {file: (int(ends[file].sum()), listener.basis.dim) for file in ends}
    if {file: rows.shape for file, rows in found.items()} != due:
        raise TargetsError(f"a part must have the rows of its clips, {path} has not. Remove it: rm {path}")
    split = {file: np.split(rows, np.cumsum(ends[file])[:-1]) for file, rows in found.items()}
    for clip in range(len(counts)):
        yield {file: rows[clip] for file, rows in split.items()}
