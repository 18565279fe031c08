"""Embeddings on disk while a long run is under way, so that killing it loses nothing.

An append-only file: a header line of JSON, then records of one JSON line and its float32 rows. A record cut short by
a kill is dropped when the file is opened again.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np


@dataclasses.dataclass(frozen=True)
class Record:
    """One sound's embeddings: `(rows, dim)` float32 at `offset`, and where its windows lie in seconds."""

    name: str
    stamp: str
    shape: tuple[int, int]
    times: list[list[float]]
    offset: int = 0


class Journal:
    """Records by name, in a file held by one process.

    Args:
        path: of the journal; made if it is not there.
        header: what the run computes; a journal of something else is begun anew.

    Raises:
        BlockingIOError: if another process writes to it.
    """

    def __init__(self, path: Path, header: dict[str, object]) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self._file: BinaryIO = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise BlockingIOError(f"{path} is being written by another run. Wait for it or choose another output.") from error
        line = json.dumps(header).encode() + b"\n"
        self._file.seek(0)
        if self._file.readline() != line:
            self._file.truncate(0)
            self._file.write(line)
        end = self._file.tell()
        for record in self._read():
            self.records[record.name] = record
            end = record.offset + 4 * record.shape[0] * record.shape[1]
        self._file.truncate(end)

    def _read(self) -> Iterator[Record]:
        size = os.fstat(self._file.fileno()).st_size
        while line := self._file.readline():
            try:
                fields = json.loads(line)
                rows, dim = fields["shape"]
                record = Record(**{**fields, "shape": (rows, dim), "offset": self._file.tell()})
            except (ValueError, TypeError, KeyError):
                return
            end = record.offset + 4 * rows * dim
            if end > size:
                return
            yield record
            self._file.seek(end)

    def add(self, name: str, stamp: str, embeddings: np.ndarray, times: np.ndarray) -> None:
        """Append one sound's `(rows, dim)` embeddings; on the disk when this returns."""
        fields = {"name": name, "stamp": stamp, "shape": list(embeddings.shape), "times": times.tolist()}
        line = json.dumps(fields).encode() + b"\n"
        offset = self._file.seek(0, os.SEEK_END) + len(line)
        self._file.write(line + np.ascontiguousarray(embeddings, np.float32).tobytes())
        self._file.flush()
        rows, dim = embeddings.shape
        self.records[name] = Record(name, stamp, (rows, dim), times.tolist(), offset)

    def rows(self, name: str) -> np.ndarray:
        """The embeddings of a record: `(rows, dim)` float32."""
        record = self.records[name]
        self._file.seek(record.offset)
        rows, dim = record.shape
        return np.frombuffer(self._file.read(4 * rows * dim), np.float32).reshape(record.shape)

    def close(self, *, remove: bool) -> None:
        """Let go of the file, and remove it where the run is done with it."""
        if remove:
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        self._file.close()
