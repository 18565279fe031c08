"""Embedding many files into one table: several at once, resumed where it stopped, one bad file costs one line."""

import csv
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from trill import audio, tables, windows
from trill.embedder import Embedder
from trill.errors import AudioError
from trill.files import write_atomically
from trill.journal import Journal
from trill.parallel import map_in_threads
from trill.progress import progress
from trill.windows import Pooling


@dataclasses.dataclass(frozen=True)
class Clip:
    """A file and the name it has in the output."""

    name: str
    path: Path


@dataclasses.dataclass(frozen=True)
class Summary:
    """What came of a run: files embedded now, taken over from an interrupted run, and failed with their reason."""

    output: str
    model: str
    embedded: int
    resumed: int
    failed: dict[str, str]


def find_clips(inputs: Iterable[str | os.PathLike[str]]) -> list[Clip]:
    """Files as given, folders searched for sound files, and manifests (`.csv` with a column `path`, relative to it).

    A file that is missing is kept: it becomes a line of the summary. The order is that of the inputs, sorted in a
    folder; a name met twice is kept once.

    Raises:
        ValueError: if a folder holds no sound file, or a manifest has no column `path` or no rows.
    """
    clips: dict[str, Clip] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in audio.SOUND_SUFFIXES and file.is_file())
            new = [Clip(str(file), file) for file in found]
            if not new:
                raise ValueError(f"a folder must hold sound files ({', '.join(sorted(audio.SOUND_SUFFIXES))}), {path} has none.")
        elif path.suffix.lower() == ".csv":
            new = list(_manifest(path))
        else:
            new = [Clip(str(path), path)]
        clips |= {clip.name: clip for clip in new if clip.name not in clips}
    return list(clips.values())


def _manifest(path: Path) -> Iterator[Clip]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "path" not in (rows.fieldnames or ()):
            raise ValueError(f"a manifest needs a column `path`, {path} has {rows.fieldnames}.")
        names = [row["path"] for row in rows if row["path"]]
    if not names:
        raise ValueError(f"a manifest needs at least one row with a path, {path} has none.")
    for name in names:
        yield Clip(name, path.parent / name)


def embed_files(
    clips: list[Clip],
    output: str | os.PathLike[str],
    embedder: Embedder,
    *,
    pooling: Pooling | None = "mean",
    workers: int | None = None,
    quiet: bool = False,
) -> Summary:
    """Embed files into a table at `output`; see `trill.tables` for its formats.

    While it runs, results are kept in a journal beside the output; killed, the same call goes on where it stopped.
    Files that fail are left out of the table and listed in the summary and in `<output>.errors.csv`.

    Args:
        clips: what to embed, in the order of the table.
        output: ends in .npz, .csv or .parquet; replaced when all is done.
        embedder: what embeds.
        pooling: None gives a row a window, with its times.
        workers: files at once; None for as many as the model computes at once.
        quiet: no progress bar.

    Raises:
        ValueError: if `output` has no known suffix or its folder does not exist.
        BlockingIOError: if another run writes the same output.
    """
    output = Path(output)
    tables.check_suffix(output)
    if not output.parent.is_dir():
        raise ValueError(f"the output's folder must exist, {output.parent} does not. Make it first.")
    dim = embedder.embedding_dim * (2 if pooling == "mean+std" else 1)
    facts = {
        "model": embedder.name,
        "model_name": embedder.card.name,
        "model_version": embedder.card.version,
        "model_sha256": embedder.card.sha256,
        "pooling": pooling or "none",
    }
    journal = Journal(output.with_name(f".{output.name}.partial"), facts)
    failed: dict[str, str] = {}
    done = False
    try:
        stamps = {clip.name: _stamp(clip.path) for clip in clips}
        todo = [c for c in clips if c.name not in journal.records or journal.records[c.name].stamp != stamps[c.name]]

        def one(clip: Clip) -> tuple[str, np.ndarray, np.ndarray] | tuple[str, str]:
            try:
                return clip.name, *_embed_file(clip.path, embedder, pooling)
            except (AudioError, OSError, MemoryError) as error:
                return clip.name, str(error) or type(error).__name__

        results = map_in_threads(one, todo, workers or embedder.model.threads)
        for result in progress(results, total=len(todo), unit="file", quiet=quiet):
            if len(result) == 2:
                failed[result[0]] = result[1]
            else:
                name, embeddings, times = result
                journal.add(name, stamps[name], embeddings, times)
        kept = [clip.name for clip in clips if clip.name not in failed]

        def blocks() -> Iterator[tables.Block]:
            for name in kept:
                yield name, np.array(journal.records[name].times), journal.rows(name)

        num_rows = sum(journal.records[name].shape[0] for name in kept)
        tables.write(output, tables.Table(blocks, num_rows, dim, facts, with_times=pooling is None))
        _write_ledger(output.with_name(f"{output.name}.errors.csv"), failed)
        done = True
    finally:
        journal.close(remove=done)
    return Summary(str(output), embedder.name, len(todo) - len(failed), len(clips) - len(todo), failed)


def _embed_file(path: Path, embedder: Embedder, pooling: Pooling | None) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings `(rows, dim)` and their times `(rows, 2)`."""
    embeddings, times = embedder.embed_timed(path)
    if pooling is None:
        return embeddings, times
    return windows.pool(embeddings, pooling)[None], np.array([[0.0, times[-1, 1]]])


def _stamp(path: Path) -> str:
    """Changes when the file does."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _write_ledger(path: Path, failed: dict[str, str]) -> None:
    if not failed:
        path.unlink(missing_ok=True)
        return
    with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "error"), *failed.items()])
