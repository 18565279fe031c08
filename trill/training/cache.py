"""A corpus decoded once: int16 samples on disk, mapped into memory, shared by every process that trains on it.

A cache is a folder named by the fingerprint of its corpus: `samples.int16`, all clips end to end, and `index.jsonl`, a
line a clip. While it is filled the folder is called `.partial` and only grows, so that a killed run goes on where it
was; it is renamed when whole.
"""

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

import numpy as np

from trill.errors import AudioError
from trill.files import lock
from trill.progress import progress
from trill.training.corpora import Corpus

INDEX, SAMPLES = "index.jsonl", "samples.int16"
FULL_SCALE = 32767
FORMAT = 1  # another one makes another cache


@dataclasses.dataclass(frozen=True, eq=False)
class Cache:
    """Clips of a corpus, without duplicates.

    Args:
        samples: `(total_samples,)` int16, mapped.
        starts: `(num_clips + 1,)` int64: a clip is `samples[starts[i]:starts[i + 1]]`.
        names: of the clips.
        sample_rate: Hz.
        failed: sounds that could not be read, and why. They are not tried again: remove the cache's folder for that.
        duplicates: sounds whose samples are another's, and whose: they are one clip, since a copy is no negative.
        digests: SHA-256 of each clip's samples.
    """

    samples: np.ndarray
    starts: np.ndarray
    names: list[str]
    sample_rate: int
    failed: dict[str, str]
    duplicates: dict[str, str]
    digests: list[str] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Samples in each clip: `(num_clips,)` int64."""
        return np.diff(self.starts)

    @property
    def content(self) -> str:
        """SHA-256 of all that is heard, in order: wherever it lies and whatever it is called."""
        return hashlib.sha256(json.dumps([self.sample_rate, self.digests]).encode()).hexdigest()

    def window(self, clip: int, start: int, length: int) -> np.ndarray:
        """`(length,)` float32 in [-1, 1] from a clip; zeros after its end."""
        first = self.starts[clip] + start
        window = np.zeros(length, np.float32)
        stored = self.samples[first : min(first + length, self.starts[clip + 1])]
        np.divide(stored, FULL_SCALE, out=window[: len(stored)])
        return window

    def __str__(self) -> str:
        seconds = self.starts[-1] / self.sample_rate
        length = f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds:.0f} s"
        facts = [f"{len(self):,} clips, {length}"]
        for kind, sounds in (("copies left out", self.duplicates), ("could not be read", self.failed)):
            if sounds:
                facts.append(f"{len(sounds):,} {kind}, e.g. {next(iter(sounds))}")
        return "; ".join(facts)


def default_folder() -> Path:
    """Where caches are kept: `$XDG_CACHE_HOME/trill-speech`, or `~/.cache/trill-speech`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trill-speech"


def open_cache(
    corpus: Corpus, folder: str | os.PathLike[str] | None = None, sample_rate: int = 16_000, *, quiet: bool = False
) -> Cache:
    """Open the cache of a corpus, and fill it first where it is not there.

    One process fills it, others wait. A sound that cannot be read is left out and listed in `failed`.

    Args:
        corpus: what to decode.
        folder: holds caches, made if missing; `default_folder()` if None.
        sample_rate: Hz of the cache.
        quiet: no progress bar.

    Raises:
        AudioError: if no sound of the corpus can be read, or what is on disk is damaged.
        OSError: if the folder takes no files, or the disk is full; the message or its note says how to go on.
    """
    key = hashlib.sha256(json.dumps([FORMAT, sample_rate, corpus.fingerprint]).encode()).hexdigest()[:32]
    path = Path(folder or default_folder()) / key
    if not path.exists():
        with lock(path.with_suffix(".lock"), wait=True):
            if not path.exists():  # nobody filled it while this process waited
                _fill(corpus, path, sample_rate, quiet)
    return _open(path, sample_rate)


def _fill(corpus: Corpus, path: Path, sample_rate: int, quiet: bool) -> None:
    partial = path.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    try:
        with (partial / INDEX).open("a+b") as index, (partial / SAMPLES).open("a+b") as samples:
            done, known = _cut_to_whole_lines(index, samples)
            sounds = corpus.read(done, sample_rate)
            with progress(sounds, total=corpus.total, done=done, unit="clips decoded", quiet=quiet) as bar:
                for name, sound in bar:
                    _append(index, samples, name, sound, known)
            for file in (samples, index):
                os.fsync(file.fileno())
    except (OSError, KeyboardInterrupt) as error:
        error.add_note(f"What is decoded is kept in {partial}: the same command goes on from there.")
        raise
    if not known:
        failed = [_parse(line) for line in (partial / INDEX).read_bytes().splitlines(keepends=True)]
        shutil.rmtree(partial)
        reason = "".join(f", {line['name']}: {line['error']}" for line in failed[:1])
        raise AudioError(f"a corpus needs sound that can be read, got {len(failed)} that cannot{reason}")
    partial.rename(path)


def _append(index: IO[bytes], samples: IO[bytes], name: str, sound: np.ndarray | str, known: dict[str, str]) -> None:
    """Samples first: a line stands for samples that are there."""
    line: dict[str, Any] = {"name": name}
    if isinstance(sound, str) or not len(sound):
        line["error"] = sound if isinstance(sound, str) else "It has no samples."
    else:
        scaled = sound * FULL_SCALE
        stored = np.rint(scaled, out=scaled).astype("<i2")
        digest = hashlib.sha256(stored).hexdigest()
        if digest in known:
            line["copy_of"] = known[digest]
        else:
            known[digest] = name
            samples.write(stored)
            samples.flush()
            line |= {"length": len(stored), "sha256": digest}
    index.write(json.dumps(line).encode() + b"\n")
    index.flush()


def _cut_to_whole_lines(index: IO[bytes], samples: IO[bytes]) -> tuple[int, dict[str, str]]:
    """Cut both files after the last line whose samples are on disk: how many lines those are, and digest -> name."""
    size = samples.seek(0, os.SEEK_END)
    index.seek(0)
    known: dict[str, str] = {}
    num_lines = end_of_index = end_of_samples = 0
    for raw in index:
        try:
            line = _parse(raw)
        except ValueError:
            break
        end = end_of_samples + 2 * line.get("length", 0)
        if end > size:
            break
        if "length" in line:
            known[line["sha256"]] = line["name"]
        num_lines, end_of_index, end_of_samples = num_lines + 1, end_of_index + len(raw), end
    index.truncate(end_of_index)
    samples.truncate(end_of_samples)
    return num_lines, known


def _parse(raw: bytes) -> dict[str, Any]:
    """A line of the index, as `_append` writes it.

    Raises:
        ValueError: if it is none.
    """
    line: dict[str, Any] = json.loads(raw)
    match line:
        case {"name": str(), "length": int(length), "sha256": str()} if length > 0 and raw.endswith(b"\n"):
            return line
        case {"name": str(), "error": str()} | {"name": str(), "copy_of": str()} if raw.endswith(b"\n"):
            return line
    raise ValueError("a line of an index must hold a name, and length and digest, error or copy_of")


def _open(path: Path, sample_rate: int) -> Cache:
    starts: list[int] = [0]
    names: list[str] = []
    digests: list[str] = []
    told: dict[str, dict[str, str]] = {"error": {}, "copy_of": {}}
    with (path / INDEX).open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = _parse(raw)
            except ValueError as error:
                raise AudioError(
                    f"{path / INDEX}, line {number}: {error}. Remove the damaged cache: rm -r {path}"
                ) from error
            if "length" in line:
                starts.append(starts[-1] + line["length"])
                names.append(line["name"])
                digests.append(line["sha256"])
            for fact in told.keys() & line.keys():
                told[fact][line["name"]] = line[fact]
    size = (path / SAMPLES).stat().st_size
    if not names or size != 2 * starts[-1]:
        raise AudioError(
            f"{path / SAMPLES} must hold the {2 * starts[-1]} bytes that its index counts, got {size}. "
            f"Remove the damaged cache: rm -r {path}"
        )
    samples = np.memmap(path / SAMPLES, "<i2", "r")
    return Cache(samples, np.array(starts, np.int64), names, sample_rate, told["error"], told["copy_of"], digests)
