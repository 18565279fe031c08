"""The hash of each file's content, kept while the file stays as it is."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from trill.files import sha256
from trill.parallel import map_in_threads
from trill.progress import progress

# A file younger than this may change again without its time telling: hashed, but not remembered.
SETTLED_SECONDS = 2.0
WAIT_SECONDS = 600.0  # for another process that writes
COMMIT_SECONDS = 1.0

TABLE = "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size, mtime, ctime, sha256) WITHOUT ROWID"
LOOK_UP = "SELECT size, mtime, ctime, sha256 FROM files WHERE path = ?"
REMEMBER = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)"

Stamp = tuple[int, int, int]


class Content(NamedTuple):
    """What a file held: its stamp then, and SHA-256 in hexadecimal."""

    stamp: Stamp
    sha256: str


def stamp(path: Path) -> Stamp:
    """What changes when a file does: its size and the times, in nanoseconds, of its content and of its entry.

    Raises:
        OSError: if it is not there.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def hash_files(
    paths: Iterable[Path], index: Path, *, threads: int = 2, quiet: bool = False
) -> dict[Path, Content | str]:
    """Hash files; those that did not change since they were hashed last are looked up.

    Args:
        paths: of the files.
        index: an SQLite file, made if missing; several processes may use it at once.
        threads: files read at once.
        quiet: no progress bar.

    Returns:
        For each path what it holds, or the reason why it cannot be read.

    Raises:
        ValueError: if the index is no SQLite file of ours.
    """
    found: dict[Path, Content | str] = {}
    todo: list[Path] = []
    with _opened(index) as database:
        for path in dict.fromkeys(paths):
            try:
                now = stamp(path)
            except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
                found[path] = _reason(path, error)
                continue
            row = database.execute(LOOK_UP, (_key(path),)).fetchone()
            if row and row[:3] == now:
                found[path] = Content(now, row[3])
            else:
                todo.append(path)
        committed = time.monotonic()
        with progress(map_in_threads(_hash, todo, threads), total=len(todo), unit="files hashed", quiet=quiet) as bar:
            for path, content in zip(todo, bar, strict=True):
                found[path] = content
                if isinstance(content, Content) and _settled(content.stamp):
                    database.execute(REMEMBER, (_key(path), *content.stamp, content.sha256))
                if time.monotonic() > committed + COMMIT_SECONDS:
                    database.commit()
                    committed = time.monotonic()
    return found


@contextlib.contextmanager
def _opened(index: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(index, timeout=WAIT_SECONDS)) as database:
            database.execute(TABLE)
            yield database
            database.commit()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{index} must be an index of hashes that can be written, got: {error}. Remove it.") from error


def _key(path: Path) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _hash(path: Path) -> Content | str:
    try:
        return Content(stamp(path), sha256(path))
    except OSError as error:
        return _reason(path, error)


def _settled(at: Stamp) -> bool:
    return max(at[1:]) < (time.time() - SETTLED_SECONDS) * 1e9


def _reason(path: Path, error: Exception) -> str:
    return f"{path} must be a file that can be read, got: {getattr(error, 'strerror', None) or error}."
