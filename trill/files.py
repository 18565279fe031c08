"""Files: written whole or not at all, hashed, locked."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path` that is renamed to it when the block ends, and removed if it fails.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with write_atomically(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [file.name for file in target.parent.iterdir()]
    ['note.txt']
    """
    path = Path(path)
    # The suffix stays last: some writers choose their format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: str | os.PathLike[str], *, wait: bool = False) -> Iterator[None]:
    """Keep other processes out while the block runs; the lock goes with the process, however that ends.

    Args:
        path: a file, made if missing, with its folder, and left there.
        wait: until it is free, rather than failing.

    Raises:
        BlockingIOError: if another process holds it and `wait` is False.
        OSError: if it cannot be made.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise type(error)(f"{path.parent} must take new files: {error.strerror}. Choose another folder.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise BlockingIOError(f"{path} is held by another run. Wait for it, or choose another folder.") from None
        yield
