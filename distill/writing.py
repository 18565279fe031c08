"""A teacher listens to a corpus once, and what it says is kept: `distill.targets` in the making.

While it is written the folder is called `.partial` and only grows: a journal counts the clips whose frames are on disk,
and a killed run goes on there.
"""

import dataclasses
import functools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from distill import basis
from distill.basis import Basis
from distill.hearing import Hearing, Recipe
from distill.targets import BASIS, CLIPS, FRAMES, MANIFEST, STARTS, Manifest, TargetsError, num_frames, open_targets
from distill.teachers.teacher import Teacher
from trill.files import lock, write_atomically
from trill.parallel import map_in_threads
from trill.progress import progress
from trill.training.cache import Cache

JOURNAL, ASKED, PARTS = "journal.jsonl", "asked.json", "parts"
FIT_CLIPS = 500  # that mean, scale and components are fitted on: 300,000 frames of Whisper at 12 s a clip
SYNC_SECONDS = 5.0  # a power cut costs at most these


@dataclasses.dataclass(frozen=True, eq=False)
class Listener:
    """What is kept of a clip, by its number.

    Args:
        hear: the teacher.
        cache: the clips.
        basis: what its frames become.
    """

    hear: Hearing
    cache: Cache
    basis: Basis

    @property
    def kept(self) -> tuple[str, ...]:
        """The files that are written."""
        return {"frames": (FRAMES,), "clips": (CLIPS,), "both": (FRAMES, CLIPS)}[self.hear.recipe.keep]

    @property
    def counts(self) -> np.ndarray:
        """Frames of each clip, with the silence after it: `(num_clips,)`."""
        return num_frames(self.cache.lengths + _tail(self.cache, self.hear.recipe), self.hear.hop)

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        """Rows by file, `(num_frames, dim)` and `(1, dim)`, as they are stored.

        Raises:
            TargetsError: if a number is not finite.
        """
        teacher, recipe, name = self.hear.teacher, self.hear.recipe, self.cache.names[index]
        frames = self.basis(_finite(self.hear(_clip(self.cache, index, _tail(self.cache, recipe))), teacher, name))
        heard = int(num_frames(self.cache.lengths[index], self.hear.hop))  # without its tail
        both = {FRAMES: frames, CLIPS: frames[:heard].mean(axis=0, keepdims=True)}
        with np.errstate(over="ignore"):
            stored = {file: both[file].astype(recipe.dtype) for file in self.kept}
        return {file: _finite(rows, teacher, name) for file, rows in stored.items()}


# What a listener says of the clips from a number on, in order. The folder is the one that is written.
Said = Callable[[Listener, int, Path], Iterator[dict[str, np.ndarray]]]


def write_targets(
    teacher: Teacher,
    cache: Cache,
    output: str | os.PathLike[str],
    recipe: Recipe,
    *,
    threads: int = 2,
    quiet: bool = False,
    said: Said | None = None,
) -> Manifest:
    """Let a teacher hear a corpus, and keep what it says; the same call goes on with one that was stopped.

    Args:
        teacher: hears clips at its `sample_rate`.
        cache: the corpus, decoded at that rate.
        output: folder to make. If it holds these targets already, nothing is done.
        recipe: what is kept.
        threads: clips at once.
        quiet: no progress bar.
        said: calls the teacher for each clip elsewhere (`distill.beam`); None for threads here.

    Raises:
        ValueError: if the rates differ or the teacher has no such layer or tap.
        TargetsError: if `output` holds other targets, or the teacher says what is no number.
        BlockingIOError: if another process writes there.
        OSError: if the disk is full; the same call goes on.
    """
    output = Path(output)
    partial = output.with_name(f"{output.name}.partial")
    if teacher.sample_rate != cache.sample_rate:
        raise ValueError(
            f"{teacher.name} hears {teacher.sample_rate} Hz, the corpus is decoded at {cache.sample_rate} Hz. "
            "Open its cache at the teacher's rate."
        )
    with lock(output.with_name(f".{output.name}.lock")):
        hear = Hearing(teacher, recipe)
        asked = {**dataclasses.asdict(recipe), "teacher": [teacher.name, teacher.fingerprint], "corpus": cache.content}
        if output.exists():
            _check_same(output, asked)
            return open_targets(output).manifest
        partial.mkdir(parents=True, exist_ok=True)
        if (partial / BASIS).exists():  # before, nothing is kept that another call could spoil
            _check_same(partial, asked)
        else:
            with write_atomically(partial / ASKED) as temporary:
                temporary.write_text(json.dumps(asked), encoding="utf-8")
        try:
            found = _fit(hear, cache, recipe, partial / BASIS, threads, quiet)
            manifest = _manifest(hear, cache, recipe, found)
            listener = Listener(hear, cache, found)
            _write(listener, said or functools.partial(_said_here, threads=threads), partial, quiet)
        except (OSError, KeyboardInterrupt) as error:
            error.add_note(f"What is written is kept in {partial}: the same command goes on from there.")
            raise
        manifest.save(partial / MANIFEST)
        (partial / JOURNAL).unlink()
        shutil.rmtree(partial / PARTS, ignore_errors=True)
        partial.rename(output)
        return manifest


def _clip(cache: Cache, index: int, tail: int) -> np.ndarray:
    return cache.window(index, 0, int(cache.lengths[index]) + tail)


def _tail(cache: Cache, recipe: Recipe) -> int:
    return 0 if recipe.keep == "clips" else round(recipe.tail_seconds * cache.sample_rate)


def _fit(hear: Hearing, cache: Cache, recipe: Recipe, path: Path, threads: int, quiet: bool) -> Basis:
    if path.exists():
        return Basis.load(path)
    chosen = np.random.default_rng(recipe.seed).permutation(len(cache))[:FIT_CLIPS]
    heard = map_in_threads(lambda index: hear(_clip(cache, int(index), _tail(cache, recipe))), iter(chosen), threads)
    with progress(heard, total=len(chosen), unit="clips to fit on", quiet=quiet) as bar:
        found = basis.fit((_finite(frames, hear.teacher, "a clip") for frames in bar), recipe.components)
    found.save(path)
    return found


def _manifest(hear: Hearing, cache: Cache, recipe: Recipe, found: Basis) -> Manifest:
    return Manifest(
        teacher=hear.teacher.name,
        fingerprint=hear.teacher.fingerprint,
        content=cache.content,
        sample_rate=cache.sample_rate,
        hop_samples=hear.hop,
        dim=found.dim,
        num_clips=len(cache),
        layers=recipe.layers,
        tap=recipe.tap,
        combine=recipe.combine,
        components=recipe.components,
        explained=found.explained if recipe.components else None,
        dtype=recipe.dtype,
    )


def _said_here(listener: Listener, first: int, folder: Path, *, threads: int) -> Iterator[dict[str, np.ndarray]]:
    return map_in_threads(listener, iter(range(first, len(listener.cache))), threads)


def _write(listener: Listener, said: Said, folder: Path, quiet: bool) -> None:
    total, dim, dtype = len(listener.cache), listener.basis.dim, np.dtype(listener.hear.recipe.dtype)
    starts = np.concatenate([[0], np.cumsum(listener.counts)])
    np.save(folder / STARTS, starts)
    shapes = {FRAMES: (int(starts[-1]), dim), CLIPS: (total, dim)}
    with (folder / JOURNAL).open("a+b") as journal:
        done = _done(journal)
        rows = {FRAMES: int(starts[done]), CLIPS: done}
        opened = {name: _Rows(folder / name, shapes[name], dtype, rows[name]) for name in listener.kept}
        try:
            made = said(listener, done, folder)
            synced = time.monotonic()
            with progress(made, total=total, done=done, unit="clips heard", quiet=quiet) as bar:
                for stored in bar:
                    done += 1
                    for name, file in opened.items():
                        file.write(stored[name])
                    if time.monotonic() - synced > SYNC_SECONDS or done == total:
                        for file in opened.values():
                            file.sync()
                        journal.write(b"%d\n" % done)
                        journal.flush()
                        synced = time.monotonic()
        finally:
            for file in opened.values():
                file.close()


class _Rows:
    """A `.npy` file of known shape whose rows come one after another; cut to `done` rows when it is opened."""

    def __init__(self, path: Path, shape: tuple[int, int], dtype: np.dtype[Any], done: int) -> None:
        self.file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
        self.file.truncate(self.file.tell() + done * shape[1] * dtype.itemsize)
        self.file.seek(0, os.SEEK_END)

    def write(self, rows: np.ndarray) -> None:
        self.file.write(rows.tobytes())

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()


def _done(journal: IO[bytes]) -> int:
    """Clips whose rows are on disk: the last whole line."""
    journal.seek(0)
    whole = [line for line in journal if line.endswith(b"\n") and line.strip().isdigit()]
    return int(whole[-1]) if whole else 0


def _finite(rows: np.ndarray, teacher: Teacher, clip: str) -> np.ndarray:
    if not np.isfinite(rows).all():
        raise TargetsError(
            f"a teacher must give numbers, {teacher.name} gives NaN or infinity for {clip}. Leave the sound out, or "
            "store float32."
        )
    return rows


def _check_same(folder: Path, asked: dict[str, Any]) -> None:
    """A folder is not written over by another teacher, or another corpus."""
    try:
        there = json.loads((folder / ASKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        there = {}
    now = json.loads(json.dumps(asked))
    differing = [name for name in now if there.get(name) != now[name]]
    if differing:
        name = differing[0]
        raise TargetsError(
            f"{folder} holds other targets: {name} is {there.get(name)!r}, not {now[name]!r}. "
            f"Choose another folder, or remove it: rm -r {folder}"
        )
