"""Embeddings on disk while a long run is under way, so that killing it loses nothing.

An append-only file: a header line of JSON, then records of one line (JSON and a checksum), times (float64) and rows
(float32). A record that was cut short or damaged is dropped, with what follows it, when the file is opened again.
"""

import dataclasses
import fcntl
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """Where one sound's rows lie: times `(num_rows, 2)`, then embeddings `(num_rows, dim)`, from `offset` on."""

    stamp: str  # changes when the sound does
    num_rows: int
    dim: int
    offset: int

    @property
    def num_bytes(self) -> int:
        """Length of times and embeddings."""
        return self.num_rows * (2 * 8 + self.dim * 4)


FLUSH_SECONDS = 0.5


class Journal:
    """Records by name, in a file held by one process.

    Args:
        path: of the journal; made if it is not there.
        header: what the run computes; a journal of something else is begun anew.

    Raises:
        BlockingIOError: if another process holds it.
        OSError: if it cannot be made.
    """

    def __init__(self, path: Path, header: Mapping[str, object]) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        try:
            self._file: BinaryIO = path.open("a+b", buffering=2**20)
        except OSError as error:
            raise type(error)(f"{path.parent} must take new files: {error.strerror}. Choose another folder.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            if isinstance(error, BlockingIOError):
                error = BlockingIOError(f"{path} is being written by another run. Wait or choose another output.")
            raise error from None
        line = json.dumps(header).encode() + b"\n"
        self._file.seek(0)
        if self._file.readline() != line:
            self._file.truncate(0)
            self._file.write(line)
        end = self._file.tell()
        for name, record in self._read():
            self.records[name] = record
            end = record.offset + record.num_bytes
        self._file.truncate(end)
        self._end = end
        self._flushed = time.monotonic()

    def _read(self) -> Iterator[tuple[str, Record]]:
        """The records up to the first that is not whole."""
        for line in iter(self._file.readline, b""):
            head = line.rpartition(b" ")[0]
            try:
                fields = json.loads(head)
                rows, dim = fields["shape"]
                record = Record(fields["stamp"], rows, dim, self._file.tell())
                body = self._file.read(record.num_bytes)
            except (ValueError, TypeError, KeyError):
                return
            if line != head + _checksum(head, body):
                return
            yield fields["name"], record

    def add(self, name: str, stamp: str, embeddings: np.ndarray, times: np.ndarray) -> None:
        """Append one sound's `(num_rows, dim)` embeddings and `(num_rows, 2)` times.

        At most half a second later a kill takes them no more.
        """
        body = np.asarray(times, np.float64).tobytes() + np.asarray(embeddings, np.float32).tobytes()
        head = json.dumps({"name": name, "stamp": stamp, "shape": embeddings.shape}).encode()
        line = head + _checksum(head, body)
        self._file.write(line + body)  # at the end, whatever was read: the file is open for appending
        self.records[name] = Record(stamp, len(embeddings), embeddings.shape[1], self._end + len(line))
        self._end += len(line) + len(body)
        # Writing lets go of the interpreter lock, which costs threads that embed short files: not for each of them,
        # and last, as Ctrl-C may end it: what is in the file is told of.
        if time.monotonic() > self._flushed + FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The embeddings `(num_rows, dim)` float32 and times `(num_rows, 2)` float64 of a record."""
        record = self.records[name]
        self._file.seek(record.offset)
        body = self._file.read(record.num_bytes)
        times = np.frombuffer(body, np.float64, 2 * record.num_rows)
        embeddings = np.frombuffer(body, np.float32, offset=times.nbytes)
        return embeddings.reshape(record.num_rows, record.dim), times.reshape(record.num_rows, 2)

    def close(self, *, remove: bool) -> None:
        """Let go of the file, and remove it where the run is done with it."""
        if remove:
            self.path.unlink(missing_ok=True)
        self._file.close()


def _checksum(head: bytes, body: bytes) -> bytes:
    return b" %08x\n" % zlib.crc32(body, zlib.crc32(head))
