"""Sound on disk, one after another: folders, files and manifests; TFRecords; TensorFlow Datasets."""

import dataclasses
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trill import audio
from trill.errors import AudioError, optional
from trill.manifests import find_clips, stamp
from trill.parallel import map_in_threads

# A sound's name, and its waveform (num_samples,) float32 or why it cannot be read.
Named = tuple[str, np.ndarray | str]
# A sound's name, and what reads it: target_rate -> waveform.
Sound = tuple[str, Callable[..., np.ndarray]]
# What the sounds depend on: names and stamps.
Facts = list[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Sounds in a fixed order.

    Args:
        fingerprint: SHA-256 in hexadecimal; changes when a sound is added, taken away, changed or moved.
        read: read(skip, sample_rate) gives the sounds from the one numbered `skip` on. About five are in memory.
        total: how many there are, if known.
    """

    fingerprint: str
    read: Callable[[int, int], Iterator[Named]]
    total: int | None = None


def open_corpus(source: str | os.PathLike[str], threads: int = 2) -> Corpus:
    """Find the sounds of a source; nothing is decoded yet.

    A TFRecord is a `tf.train.Example`. Its feature `audio` is an encoded file, or one channel of PCM, as floats in
    [-1, 1] or integers of 16 bits, with a feature `sample_rate`; a feature `id` names it. A record without sound costs
    only itself, a damaged file raises an `AudioError` where it is read.

    Args:
        source: a folder, searched for sound files; a sound file; a manifest (`.csv` with a column `path`); a file of
            TFRecords (`.tfrecord` somewhere in its name, GZIP if it ends in `.gz`) or a folder with some, of which
            nothing else is read; or `tfds:NAME@SPLIT`, a data set of TensorFlow Datasets with a feature `audio`, such
            as `tfds:speech_commands:0.0.3@train[:10%]`. Without `@SPLIT` it is `train`. It must be prepared already,
            in `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.
        threads: how many sounds are decoded at once.

    Raises:
        ValueError: if there is none.
        MissingPackageError: for `tfds:` without that package; for TFRecords without TensorFlow, when they are read.
    """
    path = Path(source)
    total = None
    if str(source).startswith("tfds:"):
        facts, sounds, total = _tfds(str(source).removeprefix("tfds:"))
    elif records := _record_files(path):
        facts, sounds = _stamps(records), lambda: _tfrecords(records)
    else:
        clips = find_clips([path])
        facts, total = _stamps(clip.path for clip in clips), len(clips)
        sounds = lambda: ((clip.name, functools.partial(audio.read, clip.path)) for clip in clips)  # noqa: E731
    if {stamp for _, stamp in facts} == {"missing"}:
        raise ValueError(
            f"a corpus is a folder of sound, a manifest, TFRecords or tfds:NAME, there is no {facts[0][0]}."
        )

    def read(skip: int, sample_rate: int) -> Iterator[Named]:
        return map_in_threads(functools.partial(_decode, sample_rate), itertools.islice(sounds(), skip, None), threads)

    return Corpus(hashlib.sha256(json.dumps(facts).encode()).hexdigest(), read, total)


def join(sources: Sequence[str | os.PathLike[str]], threads: int = 2) -> Corpus:
    """The sounds of several sources, one source after the other; a name becomes `SOURCE: NAME`.

    One source is as `open_corpus` finds it.

    Raises:
        ValueError: as `open_corpus`; if one of several sources does not know how many sounds it has.
        MissingPackageError: as `open_corpus`.
    """
    parts = [open_corpus(source, threads) for source in sources]
    if len(parts) == 1:
        return parts[0]
    totals = [part.total for part in parts if part.total is not None]
    if len(totals) < len(parts) or not parts:
        raise ValueError(
            f"sources that are joined must know how many sounds they have, TFRecords do not, got {len(parts)} sources. "
            "Pass TFRecords alone, in one folder."
        )

    def read(skip: int, sample_rate: int) -> Iterator[Named]:
        for source, part, total in zip(sources, parts, totals, strict=True):
            if skip < total:
                yield from ((f"{source}: {name}", sound) for name, sound in part.read(skip, sample_rate))
            skip = max(0, skip - total)

    facts = json.dumps([part.fingerprint for part in parts])
    return Corpus(hashlib.sha256(facts.encode()).hexdigest(), read, sum(totals))


def _stamps(files: Iterable[os.PathLike[str]]) -> Facts:
    """In order, since the cache of a corpus is filled and resumed in it."""
    return [(os.path.abspath(file), stamp(Path(file))) for file in files]


def _decode(sample_rate: int, sound: Sound) -> Named:
    name, read = sound
    try:
        return name, read(target_rate=sample_rate)
    except (AudioError, OSError, MemoryError) as error:
        return name, str(error) or type(error).__name__


def _record_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.glob("[!.]*.tfrecord*") if file.is_file())
    return [path] * (".tfrecord" in path.name)


def _tfrecords(files: Iterable[Path]) -> Iterator[Sound]:
    tf = optional("tensorflow", "train")
    for file in files:
        records = tf.data.TFRecordDataset(str(file), "GZIP" if file.suffix == ".gz" else "").as_numpy_iterator()
        for number, example in _numbered(map(tf.train.Example.FromString, records), str(file)):
            ids = _values(example, "id")
            name = str(ids[0], "utf-8", "replace") if ids and isinstance(ids[0], bytes) else f"{file}#{number}"
            yield name, functools.partial(_read_example, example)


def _numbered(records: Iterable[Any], where: str) -> Iterator[tuple[int, Any]]:
    damage = (optional("tensorflow", "train").errors.OpError, optional("google.protobuf.message", "train").DecodeError)
    number = -1
    try:
        for number, record in enumerate(records):
            yield number, record
    except damage as error:
        raise AudioError(
            f"records must be whole, {where} is cut short or damaged after {number + 1} of them: {error}. "
            "Write or fetch it again."
        ) from error


def _values(example: Any, name: str) -> Sequence[Any]:
    features = example.features.feature
    kind = features[name].WhichOneof("kind") if name in features else None  # looking up a key would add it
    values: Sequence[Any] = getattr(features[name], kind).value if kind else []
    return values


def _read_example(example: Any, *, target_rate: int) -> np.ndarray:
    values, rates = _values(example, "audio"), _values(example, "sample_rate")
    if not values:
        raise AudioError(
            f"a record needs values in its feature `audio`, got the features {', '.join(example.features.feature)}. "
            "Write the encoded file as bytes, or samples with `sample_rate`."
        )
    held = values[0] if isinstance(values[0], bytes) else _samples(np.array(values))
    return audio.read(held, rates[0] if rates else None, target_rate=target_rate)


def _samples(values: np.ndarray) -> np.ndarray:
    """Integers are PCM of 16 bits, whatever they are stored in."""
    if values.dtype.kind != "i":
        return values
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < -(2**15) or high >= 2**15:
        raise AudioError(f"integer samples must have 16 bits, -32768 to 32767, got {low} to {high}. Or store floats.")
    return values.astype(np.int16)


def _tfds(name: str) -> tuple[Facts, Callable[[], Iterator[Sound]], int]:
    """What its sounds depend on, them in the order of its files, and their number."""
    tfds = optional("tensorflow_datasets", "tfds")
    dataset, _, split = name.partition("@")
    split = split or "train"
    try:
        builder = tfds.builder(dataset)
        chosen = builder.info.splits[split]
    except (ValueError, KeyError) as error:  # no such data set or split, or it is not prepared
        reason = str(error.args[0]).partition("\n")[0]
        raise ValueError(
            f"tfds:{name} must be a prepared data set, got: {reason} "
            f"Prepare it with `tfds build {dataset}`, or set TFDS_DATA_DIR to the folder that it is in."
        ) from error
    features = builder.info.features
    rate = getattr(features["audio"], "sample_rate", None) if "audio" in features else None
    if rate is None:
        raise ValueError(
            f"a data set needs a feature `audio` that knows its sample_rate, {dataset} has {', '.join(features)}."
        )

    def sounds() -> Iterator[Sound]:
        in_order = tfds.ReadConfig(interleave_cycle_length=1)
        examples = builder.as_dataset(split=split, shuffle_files=False, read_config=in_order)
        for number, example in _numbered(tfds.as_numpy(examples), f"tfds:{name}"):
            yield f"{dataset}@{split}#{number}", functools.partial(_read_array, example["audio"], rate)

    return [(builder.info.full_name, split), *_stamps(chosen.filepaths)], sounds, chosen.num_examples


def _read_array(values: np.ndarray, rate: int, *, target_rate: int) -> np.ndarray:
    return audio.read(_samples(values), rate, target_rate=target_rate)
