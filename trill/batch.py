"""Embedding many files into one table: several at once, resumed where it stopped, one bad file costs one line."""

import csv
import dataclasses
import os
from pathlib import Path

import numpy as np

from trill import tables, windows
from trill.embedder import Embedder
from trill.errors import AudioError
from trill.files import write_atomically
from trill.journal import Journal
from trill.manifests import Clip, stamp
from trill.parallel import map_in_threads
from trill.progress import progress
from trill.version import __version__
from trill.windows import Pooling


@dataclasses.dataclass(frozen=True)
class Summary:
    """What came of a run: files embedded now, taken over from an interrupted run, and failed with their reason."""

    output: str
    model: str
    embedded: int
    resumed: int
    failed: dict[str, str]


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
        stamps = {clip.name: stamp(clip.path) for clip in clips}
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


def _write_ledger(path: Path, failed: dict[str, str]) -> None:
    if not failed:
        path.unlink(missing_ok=True)
        return
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows([("path", "error"), *failed.items()])
