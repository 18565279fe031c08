"""Embeddings of utterances: computed once for each representation and sound, kept on disk, known by content.

A representation is known by its `fingerprint`, a sound by the SHA-256 of its file and the part of it that is meant:
renaming either computes nothing, changing a weight or a sample computes anew. `noss.store` says how they are kept.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from noss import hashes
from noss.hashes import Content
from noss.representations.fingerprint import check_dim, fingerprint, rows_of
from noss.store import Place, Store, places
from noss.tasks.task import Utterance
from trill import audio
from trill.embedder import Embedder
from trill.errors import AudioError
from trill.parallel import map_in_threads
from trill.progress import progress
from trill.representation import Representation

MAX_SECONDS = 1800.0  # of a sound that is read in one piece

# A waveform or rows, or the reason why there are none.
Result = np.ndarray | str


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a representation makes of utterances.

    Args:
        rows: `(total_windows, dim)` float32, utterance after utterance; mapped from disk where that is over 2 GiB.
        starts: `(num_utterances + 1,)` int64: utterance i is `rows[starts[i]:starts[i + 1]]`, empty where it failed.
        failed: position of an utterance -> why it has no rows.
        fingerprint: of the representation.
    """

    rows: np.ndarray
    starts: np.ndarray
    failed: dict[int, str]
    fingerprint: str

    def of(self, utterance: int) -> np.ndarray:
        """The `(num_windows, dim)` rows of one utterance."""
        return self.rows[self.starts[utterance] : self.starts[utterance + 1]]


def embed(
    representation: Representation,
    utterances: Sequence[Utterance],
    folder: str | os.PathLike[str],
    *,
    threads: int = 2,
    quiet: bool = False,
    known: str | None = None,
) -> Embeddings:
    """Embed utterances, or read from the folder what was embedded before.

    A representation whose `embed_windows` may be called from several threads at once says so by an attribute
    `threads`, how many of them are worth while; the others compute in one thread while the next sounds are decoded.

    Args:
        representation: what embeds.
        utterances: what to embed; the same sound twice is embedded once.
        folder: where embeddings are kept, made if missing; any number of representations and corpora share it, and
            processes: a second one that needs the same representation waits.
        threads: sounds at once.
        quiet: no progress bar.
        known: `fingerprint(representation)`, where the caller has just computed it.

    Returns:
        Rows for all utterances, but those that cannot be read, are longer than half an hour (an `Embedder` takes any
        length) or changed while they were read: these are in `failed`, and tried again by the next call.

    Raises:
        ValueError: if the representation gives no finite matrix, rows of another length than before, or fails; or
            `threads` is not positive. What was embedded before that is kept.
        OSError: if the folder takes no files or the disk is full; like a KeyboardInterrupt it has a note on how to go
            on.
    """
    if threads < 1:
        raise ValueError(f"threads must be positive, got {threads}. The default is 2.")
    folder = Path(folder)
    store = Store(folder, known or fingerprint(representation))
    contents = hashes.hash_files(
        (utterance.path for utterance in utterances), folder / "hashes.sqlite", threads=threads, quiet=quiet
    )
    keys = [_key(utterance, contents[utterance.path]) for utterance in utterances]
    wanted: dict[str, Utterance] = {}
    for key, utterance in zip(keys, utterances, strict=True):
        if key is not None:
            wanted.setdefault(key, utterance)
    there, reasons = store.look_up(), dict[str, str]()
    if any(key not in there for key in wanted):
        there, reasons = _compute(representation, wanted, contents, store, threads, quiet)
    failed = {}
    for position, (key, utterance) in enumerate(zip(keys, utterances, strict=True)):
        if key is None:
            failed[position] = str(contents[utterance.path])
        elif key not in there:
            failed[position] = reasons[key]
    rows, starts = store.read([None if key is None else there.get(key) for key in keys])
    return Embeddings(rows, starts, failed, store.fingerprint)


def _key(utterance: Utterance, content: Content | str) -> str | None:
    """What a sound is kept under; None if its file cannot be read."""
    if isinstance(content, str):
        return None
    if _is_whole(utterance):
        return content.sha256
    return f"{content.sha256} {utterance.start!r} {utterance.end!r}"


def _compute(
    representation: Representation,
    wanted: dict[str, Utterance],
    contents: dict[Path, Content | str],
    store: Store,
    threads: int,
    quiet: bool,
) -> tuple[dict[str, Place], dict[str, str]]:
    """Embed what the store lacks; returns what it holds then, and why the rest is not in it."""
    reasons: dict[str, str] = {}
    with store.writing() as journal:
        todo = {key: utterance for key, utterance in wanted.items() if key not in journal.records}
        dim = next((record.dim for record in journal.records.values()), None)
        results = _results(representation, list(todo.values()), contents, threads)
        done = len(wanted) - len(todo)
        with progress(results, total=len(wanted), done=done, unit="clips", quiet=quiet) as bar:
            for (key, utterance), result in zip(todo.items(), bar, strict=True):
                if isinstance(result, str):
                    reasons[key] = result
                    continue
                check_dim(result.shape[1], dim, representation.name, utterance.name)
                dim = result.shape[1]
                journal.add(key, "", result, np.zeros((len(result), 2)))
        return places(journal), reasons


def _results(
    representation: Representation,
    utterances: list[Utterance],
    contents: dict[Path, Content | str],
    threads: int,
) -> Iterator[Result]:
    """The result of each utterance, in order."""
    embedder = representation if isinstance(representation, Embedder) else None
    at_once = embedder.model.threads if embedder else int(getattr(representation, "threads", 1))

    def read(utterance: Utterance) -> Result:
        return _unless_unreadable(lambda: _waveform(utterance, representation.sample_rate), utterance, contents)

    def embed_waveform(utterance: Utterance, waveform: Result) -> Result:
        if isinstance(waveform, str):
            return waveform
        return _unless_unreadable(lambda: rows_of(representation, waveform, utterance.name), utterance, contents)

    def embed_one(utterance: Utterance) -> Result:
        if embedder and _is_whole(utterance):  # in blocks, however long
            return _unless_unreadable(lambda: embedder.embed_timed(utterance.path)[0], utterance, contents)
        return embed_waveform(utterance, read(utterance))

    if embedder or at_once > 1:
        return map_in_threads(embed_one, utterances, min(threads, at_once))
    # An iterator is handed over one by one: few waveforms wait in memory.
    return map(embed_waveform, utterances, map_in_threads(read, iter(utterances), threads))


def _unless_unreadable(
    compute: Callable[[], np.ndarray], utterance: Utterance, contents: dict[Path, Content | str]
) -> Result:
    """What is computed from a file, or why it could not be; what was read must be what was hashed."""
    try:
        result = compute()
        if hashes.stamp(utterance.path) == cast(Content, contents[utterance.path]).stamp:
            return result
    except (AudioError, OSError, MemoryError) as error:
        return str(error) or type(error).__name__
    return f"{utterance.path} must stay as it is while it is embedded, it changed. Run this again."


def _is_whole(utterance: Utterance) -> bool:
    return utterance.start == 0 and utterance.end is None


def _waveform(utterance: Utterance, sample_rate: int) -> np.ndarray:
    """The part of the file that is meant: `(num_samples,)` float32."""
    first = round(utterance.start * sample_rate)
    stop = None if utterance.end is None else round(utterance.end * sample_rate)
    most = first + round(MAX_SECONDS * sample_rate)
    pieces: list[np.ndarray] = []
    position = 0
    blocks = cast(Generator[np.ndarray], audio.blocks(utterance.path, target_rate=sample_rate))
    with closing(blocks):
        for block in blocks:
            if position + len(block) > most and (stop is None or stop > most):
                raise AudioError(
                    f"{utterance.name} must be at most {MAX_SECONDS:g} s long to be embedded in one piece, got more. "
                    "Cut it into utterances: start and end."
                )
            pieces.append(block[max(0, first - position) : None if stop is None else max(0, stop - position)])
            position += len(block)
            if stop is not None and position >= stop:
                break
    waveform = np.concatenate(pieces)
    if not len(waveform):
        raise AudioError(
            f"{utterance.name} must hold sound from {utterance.start:g} s on, its file ends at "
            f"{position / sample_rate:g} s. Correct its start and end."
        )
    return waveform
