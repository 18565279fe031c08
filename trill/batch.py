"""Embedding many files into one table: several at once, resumed where it stopped, one bad file costs one line."""

import csv
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trill import audio, tables, windows
from trill.embedder import Embedder
from trill.errors import AudioError
from trill.files import write_atomically
from trill.journal import Journal
from trill.parallel import map_in_threads
from trill.progress import progress
from trill.version import __version__
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
    folder, whose hidden files are left out; a file met twice is kept once.

    Raises:
        ValueError: if a folder holds no sound file, a manifest cannot be read, has no column `path` or no rows, or
            two files have the same name in two manifests.
    """
    clips: dict[str, Clip] = {}
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            found = _folder(path)
        elif path.suffix.lower() == ".csv":
            found = _manifest(path)
        else:
            found = [_clip(path)]
        for clip in found:
            known = clips.setdefault(clip.name, clip)
            if known is not clip and known.path.resolve() != clip.path.resolve():
                raise ValueError(
                    f"a name must mean one file, {clip.name} is both {known.path} and {clip.path}. "
                    "Embed the manifests into an output each, or give them absolute paths."
                )
    return list(clips.values())


def _clip(path: Path) -> Clip:
    return Clip(str(path), path)


def _folder(path: Path) -> list[Clip]:
    suffixes = audio.SOUND_SUFFIXES
    files = (file for file in path.rglob("[!.]*") if file.suffix.lower() in suffixes and file.is_file())
    clips = [_clip(file) for file in sorted(files)]
    if not clips:
        raise ValueError(f"a folder must hold sound files ({', '.join(sorted(suffixes))}), {path} has none.")
    return clips


def _manifest(path: Path) -> list[Clip]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                columns = ", ".join((rows.fieldnames or ["none"])[:8])
                raise ValueError(f"a manifest needs a column `path`, {path} has {columns}. Name it in the first line.")
            names = [row["path"] for row in rows if row["path"]]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ValueError(f"a manifest must be a CSV file in UTF-8, {path} cannot be read as one: {error}.") from error
    if not names:
        raise ValueError(f"a manifest needs at least one row with a path, {path} has none.")
    return [Clip(name, path.parent / name) for name in names]


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
    Files that fail are left out of the table and listed in the summary and in `<output>.errors.csv`. If all fail,
    there is no table.

    Args:
        clips: what to embed, in the order of the table.
        output: ends in .npz, .csv or .parquet; replaced when all is done.
        embedder: what embeds.
        pooling: None gives a row a window, with its times.
        workers: files at once; None for as many as the model computes at once.
        quiet: no progress bar.

    Raises:
        ValueError: if `output` has no known suffix, is a folder, or its folder does not exist.
        BlockingIOError: if another run writes the same output.
        OSError: if the folder takes no file or the disk is full; like a KeyboardInterrupt, it carries a note that says
            how to go on.
    """
    output = Path(output)
    check_output(output)
    dim = embedder.embedding_dim * (2 if pooling == "mean+std" else 1)
    facts = {
        "model": embedder.name,
        "model_name": embedder.card.name,
        "model_version": embedder.card.version,
        "model_sha256": embedder.card.sha256,
        "pooling": pooling or "none",
    }

    def one(clip: Clip) -> tuple[str, np.ndarray, np.ndarray] | tuple[str, str]:
        try:
            return clip.name, *_embed_file(clip.path, embedder, pooling)
        except (AudioError, OSError, MemoryError) as error:
            return clip.name, str(error) or type(error).__name__

    journal = Journal(output.with_name(f".{output.name}.partial"), {**facts, "trill": __version__})
    failed: dict[str, str] = {}
    done = False
    try:
        stamps = {clip.name: _stamp(clip.path) for clip in clips}
        todo = [c for c in clips if c.name not in journal.records or journal.records[c.name].stamp != stamps[c.name]]
        resumed = len(clips) - len(todo)
        results = map_in_threads(one, todo, workers or embedder.model.threads)
        with progress(results, total=len(clips), done=resumed, unit="files", quiet=quiet) as bar:
            for name, *result in bar:
                if len(result) == 1:
                    failed[name] = result[0]
                else:
                    journal.add(name, stamps[name], *result)
        num_rows = {c.name: journal.records[c.name].num_rows for c in clips if c.name not in failed}
        if num_rows:
            blocks = lambda: ((name, *journal.read(name)) for name in num_rows)  # noqa: E731
            tables.write(output, tables.Table(num_rows, blocks, dim, facts, with_times=pooling is None))
        _write_ledger(output.with_name(f"{output.name}.errors.csv"), failed)
        done = True
    except (OSError, KeyboardInterrupt) as error:
        error.add_note(f"{len(journal.records)} files are kept in {journal.path}: the same command goes on from there.")
        raise
    finally:
        journal.close(remove=done)
    return Summary(str(output), embedder.name, len(todo) - len(failed), resumed, failed)


def check_output(output: Path) -> None:
    """Refuse an output that could not be written in the end.

    Raises:
        ValueError: if its suffix is unknown, it is a folder, or its folder does not exist.
    """
    tables.check_suffix(output)
    if output.is_dir():
        raise ValueError(f"an output is a file, {output} is a folder. Choose another name.")
    if not output.parent.is_dir():
        raise ValueError(f"the output's folder must exist, {output.parent} does not. Make it: mkdir -p {output.parent}")


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
    except (OSError, ValueError):  # ValueError: a name that cannot be one
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _write_ledger(path: Path, failed: dict[str, str]) -> None:
    if not failed:
        path.unlink(missing_ok=True)
        return
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows([("path", "error"), *failed.items()])
