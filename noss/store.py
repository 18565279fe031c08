"""Embeddings of one representation on disk: a journal, and an index so that not all of it is read again.

`FINGERPRINT.journal` grows (`trill.journal`: a killed run loses nothing). `FINGERPRINT.json` is written when a run ends
and says where in the journal each sound's rows are. One process writes at a time, any number reads.
"""

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from trill.files import lock, write_atomically
from trill.journal import Journal

FORMAT = 1  # of keys and header: another number begins new journals
MAX_MEMORY = 2**31  # bytes of rows; more are mapped from a file
TIMES_BYTES = 2 * 8  # a row's share of what a record holds before its embeddings

log = logging.getLogger("noss")


class Place(NamedTuple):
    """Where in the journal the `(num_rows, dim)` float32 of a sound begin."""

    num_rows: int
    dim: int
    offset: int


def places(journal: Journal) -> dict[str, Place]:
    """Where everything is in an open journal."""
    return {
        key: Place(record.num_rows, record.dim, record.offset + TIMES_BYTES * record.num_rows)
        for key, record in journal.records.items()
    }


class Store:
    """The files of one representation in a folder.

    Args:
        folder: made if missing.
        fingerprint: of the representation.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(f"embeddings need a folder, got {folder}: {error.strerror}. Choose another.") from error
        self.fingerprint = fingerprint
        self.journal, self.index, self.lock = (
            folder / f"{fingerprint[:32]}{suffix}" for suffix in (".journal", ".json", ".lock")
        )
        self._header = {"noss embeddings": FORMAT, "fingerprint": fingerprint}

    def look_up(self) -> dict[str, Place]:
        """What the index knows, if it fits the journal."""
        try:
            index = json.loads(self.index.read_bytes())
            if index["header"] == self._header and index["size"] <= self.journal.stat().st_size:
                return {key: Place(*place) for key, place in index["places"].items()}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            pass  # missing or damaged: the journal is read instead
        return {}

    @contextlib.contextmanager
    def writing(self) -> Iterator[Journal]:
        """The journal, to add to; another process that writes is waited for.

        Raises:
            OSError: if the folder takes no files or the disk is full; like a KeyboardInterrupt it has a note on how to
                go on.
        """
        with self._held():
            journal = Journal(self.journal, self._header)
            try:
                if not self.look_up().items() <= places(journal).items():
                    self.index.unlink()  # the journal was damaged: other rows will stand where the index points
                yield journal
                found = places(journal)
            except (OSError, KeyboardInterrupt) as error:
                error.add_note(f"{len(journal.records)} clips are kept in {self.journal}: the same call goes on there.")
                raise
            finally:
                journal.close(remove=False)
            with write_atomically(self.index) as temporary:
                index = {"header": self._header, "size": self.journal.stat().st_size, "places": found}
                temporary.write_text(json.dumps(index), encoding="utf-8")

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock(self.lock))
            except BlockingIOError:
                log.warning("another run writes %s: waiting for it.", self.journal)
                stack.enter_context(lock(self.lock, wait=True))
            yield

    def read(self, found: Sequence[Place | None]) -> tuple[np.ndarray, np.ndarray]:
        """Rows `(total, dim)` of places, one after another, and where each begins, `(len(found) + 1,)`."""
        starts = np.cumsum([0, *(place.num_rows if place else 0 for place in found)], dtype=np.int64)
        dim = next((place.dim for place in found if place), 0)
        shape = (int(starts[-1]), dim)
        if not shape[0]:
            return np.empty(shape, np.float32), starts
        with self.journal.open("rb") as journal:
            if 4 * shape[0] * dim <= MAX_MEMORY:
                rows = np.empty(shape, np.float32)
                for start, place in zip(starts, found, strict=False):
                    if place:
                        rows[start : start + place.num_rows] = _read(journal, place)
                return rows, starts
            with tempfile.TemporaryFile(dir=self.journal.parent) as file:  # the map keeps it, and nothing else does
                for place in found:
                    if place:
                        _read(journal, place).tofile(file)
                return np.memmap(file, np.float32, "r+", shape=shape), starts


def _read(journal: BinaryIO, place: Place) -> np.ndarray:
    journal.seek(place.offset)
    return np.fromfile(journal, np.float32, place.num_rows * place.dim).reshape(place.num_rows, place.dim)
