"""A head on disk: `head.json`, which says what it is, and the embeddings beside it as NPZ.

The embeddings' file has a name of its own content, and the JSON file, replaced last and in one step, names it: there is
a whole head at every moment. Nothing is executed, and no size is believed before the file's length bears it out.
"""

import dataclasses
import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trill import modelfile, presets
from trill.embedder import Embedder
from trill.errors import ModelError
from trill.files import write_atomically
from trill.personal.labels import Clip, checked_label, clip_id
from trill.personal.linear import METHODS

FORMAT = 1
HEAD = "head.json"
VECTORS = "vectors.npy"
MAX_JSON_BYTES = 100_000_000
MAX_NPZ_BYTES = 4_000_000_000
NPZ_NAME = re.compile(r"clips-[0-9a-f]{16}\.npz")


@dataclasses.dataclass(frozen=True, eq=False)
class Saved:
    """What is kept of a head; the rest follows from it.

    Attributes:
        model: name, version, hash, tap and hop of what made the embeddings.
        labels: the only ones allowed, or None.
        threshold: in [0, 1].
        method: of learning, or None to choose.
        clips: by id.
    """

    model: dict[str, Any]
    labels: tuple[str, ...] | None
    threshold: float
    method: str | None
    clips: dict[str, Clip]


def model_of(embedder: Embedder) -> dict[str, Any]:
    """What a head's embeddings depend on."""
    card = embedder.card
    return {
        "name": card.name,
        "version": card.version,
        "sha256": card.sha256,
        "tap": embedder.tap,
        "hop_samples": embedder.hop_samples,
    }


def packaged(model: Mapping[str, Any]) -> str:
    """The name of the packaged model that a head was made with; where none is that, of the one it would be called."""
    called = model["name"]
    names = [name for name in presets.list_models() if name == called or name.startswith(f"{called}-")]
    same = (name for name in names if modelfile.read(presets.locate(name))[1].sha256 == model["sha256"])
    return next(same, called)


def same_model(embedder: Embedder, model: Mapping[str, Any], folder: str | os.PathLike[str]) -> Embedder:
    """The embedder with the head's tap and hop, if it is of the head's model.

    Raises:
        ModelError: if it is another.
    """
    found = model_of(embedder)
    if any(found[name] != model[name] for name in ("name", "version", "sha256")):
        raise ModelError(
            f"{folder} was made with {model['name']} {model['version']} ({model['sha256'][:8]}), and this is "
            f"{found['name']} {found['version']} ({found['sha256'][:8]}): their embeddings cannot be compared. Load it "
            "with that model's file, or make it again from the sounds."
        )
    try:
        embedder = embedder.using(tap=model["tap"])
    except ValueError as error:
        raise ModelError(f"{folder} does not fit its model: {error}") from error
    return dataclasses.replace(embedder, hop_samples=model["hop_samples"])


def write(folder: str | os.PathLike[str], saved: Saved) -> None:
    """Write a head, replacing one that is there; files of earlier ones are removed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = list(saved.clips)
    vectors = np.stack([saved.clips[name].vector for name in names]) if names else np.empty((0, 0), np.float32)
    content = io.BytesIO()
    np.savez(content, vectors=vectors.astype("<f4"))
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    npz = folder / f"clips-{digest[:16]}.npz"
    head = {
        "format": FORMAT,
        "model": saved.model,
        "labels": saved.labels,
        "threshold": saved.threshold,
        "method": saved.method,
        "clips": [{"id": name, "label": saved.clips[name].label} for name in names],
        "vectors": {"file": npz.name, "sha256": digest, "shape": vectors.shape},
    }
    with write_atomically(npz) as temporary:
        temporary.write_bytes(content.getvalue())
    with write_atomically(folder / HEAD) as temporary:
        temporary.write_text(json.dumps(head, indent=1), encoding="utf-8")
    for old in folder.glob("clips-*.npz"):
        if NPZ_NAME.fullmatch(old.name) and old != npz:
            old.unlink(missing_ok=True)


def read(folder: str | os.PathLike[str]) -> Saved:
    """Read a head.

    Raises:
        ModelError: if there is none, or it was cut short or altered.
    """
    folder = Path(folder)
    path = folder / HEAD
    if not path.is_file():
        raise ModelError(
            f"a head is a folder with {HEAD}, {folder} has none. Make one: trill.PersonalHead().save(...)."
        )
    try:
        return _read(folder)
    except ModelError:
        raise
    except Exception as error:  # damaged JSON and zip files have a dozen kinds of errors
        raise ModelError(
            f"{path} is no head of ours, or was cut short or altered by hand ({type(error).__name__}: {error}). "
            "Copy the folder again, or make the head again from the sounds."
        ) from error


def _read(folder: Path) -> Saved:
    head = json.loads(_bytes(folder / HEAD, MAX_JSON_BYTES))
    if head["format"] != FORMAT:
        raise ModelError(f"{folder} has format {head['format']!r}, this version reads {FORMAT}. Update trill-speech.")
    model, facts = head["model"], head["vectors"]
    _expect(all(isinstance(model[name], str) for name in ("name", "version", "sha256", "tap")), "model", model)
    _expect(type(model["hop_samples"]) is int and model["hop_samples"] > 0, "hop_samples", model["hop_samples"])
    threshold = head["threshold"]
    _expect(type(threshold) in (int, float) and 0 <= threshold <= 1, "threshold", threshold)
    _expect(head["method"] is None or head["method"] in METHODS, "method", head["method"])
    _expect(isinstance(facts["file"], str) and NPZ_NAME.fullmatch(facts["file"]), "file", facts["file"])
    names = [(clip["id"], checked_label(clip["label"])) for clip in head["clips"]]
    shape = tuple(facts["shape"])
    _expect(len(shape) == 2 and all(type(size) is int and size >= 0 for size in shape), "shape", shape)
    _expect(shape[0] == len(names) == len({name for name, _ in names}), "number of clips", len(names))
    labels = None if head["labels"] is None else tuple(map(checked_label, head["labels"]))
    _expect(labels is None or {label for _, label in names} <= set(labels), "labels", labels)

    vectors = _vectors(_bytes(folder / facts["file"], MAX_NPZ_BYTES), shape, facts["sha256"])
    clips = {name: Clip(label, vector) for (name, label), vector in zip(names, vectors, strict=True)}
    _expect(all(name == clip_id(clip.vector) for name, clip in clips.items()), "id of a clip", "another")
    return Saved(dict(model), labels, float(threshold), head["method"], clips)


def _vectors(data: bytes, shape: tuple[int, int], sha256: str) -> np.ndarray:
    _expect(hashlib.sha256(data).hexdigest() == sha256, "SHA-256 of the embeddings", "another")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo(VECTORS)
        # Stored as they are, so that the file's length bounds what is read.
        _expect(entry.compress_type == zipfile.ZIP_STORED and entry.file_size <= len(data), "entry", entry.file_size)
        content = io.BytesIO(archive.read(entry))
    _expect(np.lib.format.read_magic(content) == (1, 0), "version of the array", "another")
    found, fortran, dtype = np.lib.format.read_array_header_1_0(content)
    _expect(found == shape and not fortran and dtype == np.dtype("<f4"), "array", (found, dtype))
    body = content.read()
    _expect(len(body) == 4 * math.prod(shape), "length of the array", len(body))
    vectors = np.frombuffer(body, "<f4").reshape(shape).astype(np.float32)
    _expect(bool(np.isfinite(vectors).all()), "embeddings", "NaN or infinity")
    return vectors


def _bytes(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    _expect(len(data) <= most, f"size of {path.name}", f"more than {most:,} bytes")
    return data


def _expect(holds: object, what: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{what} cannot be {str(found)[:200]}")
