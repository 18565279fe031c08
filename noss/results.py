"""Results on disk: one JSON file a (representation, task, setting), whole or not there.

What a result rests on is its key: another representation, task, protocol or sound is another file. A file that is
damaged or of another format counts as missing, and is computed again; who reads it is told why.
"""

import base64
import dataclasses
import datetime
import hashlib
import json
import os
import platform
import re
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from noss.config import Setting
from noss.evaluation import Evaluation, Outcome
from trill.errors import TrillError, optional
from trill.files import write_atomically
from trill.version import __version__

FORMAT = "noss-result"
VERSION = 1
MAX_BYTES = 2**30  # that something packed may become


class ResultError(TrillError, ValueError):
    """A result that is damaged, or of another format."""


@dataclass(frozen=True)
class Key:
    """What a result is the result of.

    Args:
        representation: its name.
        fingerprint: of its weights and front end: `Embeddings.fingerprint`.
        task: its name.
        task_version: of the task.
        sounds: of what was embedded: `sounds_hash`.
        protocol: id of the config.
        setting: what else was asked, in words: "paper selection", "1 clip a class"; empty for the plain score.
    """

    representation: str
    fingerprint: str
    task: str
    task_version: str
    sounds: str
    protocol: str
    setting: str = ""

    @property
    def file(self) -> str:
        """Name of the file.

        >>> Key("TRILL, layer 19", "ab", "crema_d", "1", "cd", "noss-1-0").file
        'crema_d--trill-layer-19--fb1253aa1fde.json'
        """
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        slug = re.sub(r"[^a-z0-9]+", "-", self.representation.lower()).strip("-")[:60]
        return f"{self.task}--{slug}--{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


@dataclass(frozen=True)
class Result:
    """An evaluation and where it comes from.

    Args:
        key: what it is the result of.
        evaluation: the scores.
        versions: of what computed it, and the machine.
        created: UTC, ISO 8601.
        about: what else is known of the representation, as JSON has it: dimension, cost, licence.
    """

    key: Key
    evaluation: Evaluation
    versions: dict[str, str]
    created: str
    about: dict[str, Any] = field(default_factory=dict)


def sounds_hash(contents: Iterable[str]) -> str:
    """One hash of the hashes of all sounds, in their order.

    >>> sounds_hash(["a", "b"]) != sounds_hash(["b", "a"]) != sounds_hash(["ba"])
    True
    """
    return hashlib.sha256(json.dumps(list(contents)).encode()).hexdigest()


def save(folder: str | os.PathLike[str], key: Key, evaluation: Evaluation, about: dict[str, Any] | None = None) -> Path:
    """Write a result into a folder, made if missing.

    Raises:
        ValueError: if the evaluation is of another task or protocol than the key, or `about` is nothing for JSON.
    """
    asked, given = ((each.task, each.task_version, each.protocol) for each in (key, evaluation))
    if asked != given:
        raise ValueError(f"a key must be that of its evaluation, got {' '.join(asked)} for {' '.join(given)}.")
    path = Path(folder) / key.file
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "key": dataclasses.asdict(key),
        "evaluation": _written(evaluation),
        "versions": _versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "about": about or {},
    }
    whole = {"format": FORMAT, "version": VERSION, "sha256": _hash(content), "result": content}
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(whole, allow_nan=False), encoding="utf-8")
    return path


def load(path: str | os.PathLike[str]) -> Result:
    """Read a result.

    Raises:
        ResultError: if it is none, is damaged, or of another format.
    """
    content = _read(Path(path))
    try:
        return Result(
            Key(**content["key"]),
            _evaluation(content["evaluation"]),
            content["versions"],
            content["created"],
            content["about"],
        )
    except (LookupError, TypeError, ValueError, zlib.error) as error:
        raise ResultError(f"{path} must be a whole result, got {type(error).__name__}: {error}. Remove it.") from error


def load_all(folder: str | os.PathLike[str]) -> list[Result]:
    """All results of a folder, by file name; a file that is damaged or of another format gives a warning."""
    found = []
    for path in sorted(Path(folder).glob("*--*--*.json")):
        try:
            found.append(load(path))
        except ResultError as error:
            warnings.warn(f"{error} It is left out.", stacklevel=2)
    return found


def done(folder: str | os.PathLike[str], key: Key) -> bool:
    """Whether the result of this key is there and whole; one that is not is to be computed again."""
    path = Path(folder) / key.file
    if not path.exists():
        return False
    try:
        return bool(_read(path)["key"] == dataclasses.asdict(key))
    except (ResultError, LookupError, TypeError):
        return False


def _read(path: Path) -> dict[str, Any]:
    """The content of a file, its hash checked."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        found = whole["format"], whole["version"]
    except OSError as error:
        raise ResultError(f"{path} must be a result that can be read: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ResultError(f"{path} must be a result, it is damaged or something else ({error}). Remove it.") from error
    if found != (FORMAT, VERSION):
        raise ResultError(
            f"{path} must be a {FORMAT} of version {VERSION}, got {found[0]} {found[1]}. "
            "Run the task again, or read it with the version of trill-speech that wrote it."
        )
    if whole.get("sha256") != _hash(whole.get("result")):
        raise ResultError(f"{path} was changed after it was written: its hash does not fit. Remove it, run it again.")
    content: dict[str, Any] = whole["result"]
    return content


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    return {
        "trill": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": optional("sklearn", "noss").__version__,
        "machine": platform.machine(),
    }


# An evaluation as JSON: vectors packed, the items and predictions of all splits in one each.


def _written(evaluation: Evaluation) -> dict[str, Any]:
    items, predicted, _ = evaluation.tested()
    fields = {each.name: getattr(evaluation, each.name) for each in dataclasses.fields(evaluation)}
    return {
        **fields,
        "names": pack_texts(evaluation.names),
        "speakers": pack_texts(evaluation.speakers),
        "truth": pack(evaluation.truth),
        "pairs": None if evaluation.pairs is None else pack(evaluation.pairs.ravel()),
        "items": pack(items),
        "predicted": pack(predicted),
        "outcomes": [
            {
                each.name: getattr(outcome, each.name)
                for each in dataclasses.fields(outcome)
                if each.name not in ("items", "predicted")
            }
            | {"setting": dataclasses.asdict(outcome.setting), "tested": len(outcome.items)}
            for outcome in evaluation.outcomes
        ],
    }


def _evaluation(fields: dict[str, Any]) -> Evaluation:
    items, predicted = unpack(fields.pop("items")), unpack(fields.pop("predicted"))
    outcomes = []
    start = 0
    for row in fields.pop("outcomes"):
        stop = start + row.pop("tested")
        setting = Setting(**row.pop("setting"))
        outcomes.append(Outcome(setting=setting, items=items[start:stop], predicted=predicted[start:stop], **row))
        start = stop
    if not start == len(items) == len(predicted):
        raise ValueError(f"{start} items are tested, {len(items)} and {len(predicted)} are there")
    pairs = fields.pop("pairs")
    return Evaluation(
        names=unpack_texts(fields.pop("names")),
        speakers=unpack_texts(fields.pop("speakers")),
        truth=unpack(fields.pop("truth")),
        pairs=None if pairs is None else unpack(pairs).reshape(-1, 2),
        outcomes=tuple(outcomes),
        classes=tuple(fields.pop("classes")),
        duplicates=tuple(fields.pop("duplicates")),
        **fields,
    )


def pack(values: np.ndarray) -> str:
    """A vector as text: its dtype, and zlib in base 64. Integers in as few bytes as they need, floats in four.

    >>> pack(np.array([0, 1, 2]))[:4], unpack(pack(np.array([0, 1, 2]))).tolist()
    ('|u1:', [0, 1, 2])
    """
    if np.issubdtype(values.dtype, np.floating):
        values = values.astype("<f4")
    elif values.size:
        signed = values.min() < 0
        widest = max(-int(values.min()) - 1, int(values.max())) * (2 if signed else 1)
        size = next(size for size in (1, 2, 4, 8) if widest < 2 ** (8 * size))
        values = values.astype(f"<{'i' if signed else 'u'}{size}")
    return f"{values.dtype.str}:{_packed(values.tobytes())}"


def unpack(text: str) -> np.ndarray:
    """What was packed: int64, or float64 of numbers that fit float32.

    Raises:
        ValueError: if it is damaged, or more than a gigabyte.
    """
    kind, _, data = text.partition(":")
    if not re.fullmatch(r"[<|][iu][1248]|<f4|\|b1", kind):
        raise ValueError(f"a packed vector must hold integers or float32, got {kind[:20]!r}")
    values = np.frombuffer(_unpacked(data), np.dtype(kind))
    return values.astype(np.float64 if kind == "<f4" else np.int64)


def pack_texts(texts: Iterable[str]) -> str:
    """Texts as one text."""
    return _packed(json.dumps(list(texts)).encode())


def unpack_texts(text: str) -> tuple[str, ...]:
    """What was packed."""
    return tuple(map(str, json.loads(_unpacked(text))))


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 6)).decode()


def _unpacked(text: str) -> bytes:
    decompress = zlib.decompressobj()
    data = decompress.decompress(base64.b64decode(text, validate=True), MAX_BYTES)
    if not decompress.eof:
        raise ValueError(f"what is packed must be whole and at most {MAX_BYTES} bytes, {len(data)} were read")
    return data
