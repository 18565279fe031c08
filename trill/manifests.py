"""Sounds by name: files, folders, manifests."""

import csv
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from trill import audio


@dataclasses.dataclass(frozen=True)
class Clip:
    """A file and the name it has in the output."""

    name: str
    path: Path


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
    return [Clip(row["path"], path.parent / row["path"]) for row in read_manifest(path)]


def read_manifest(path: Path, columns: tuple[str, ...] = ("path",)) -> list[dict[str, str]]:
    """The rows of a manifest that name a file: a CSV file in UTF-8 whose first line names the columns.

    Raises:
        ValueError: if it cannot be read, lacks one of `columns`, or has no row with a path.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            found = rows.fieldnames or ["none"]
            for column in columns:
                if column not in found:
                    raise ValueError(
                        f"a manifest needs a column `{column}`, {path} has {', '.join(found[:8])}. "
                        "Name it in the first line."
                    )
            named = [row for row in rows if row["path"]]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ValueError(f"a manifest must be a CSV file in UTF-8, {path} cannot be read as one: {error}.") from error
    if not named:
        raise ValueError(f"a manifest needs at least one row with a path, {path} has none.")
    return named


def stamp(path: Path) -> str:
    """Size and time of a file, a text that changes when the file does.

    >>> stamp(Path("no/such/file"))
    'missing'
    """
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a name that cannot be one
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"
