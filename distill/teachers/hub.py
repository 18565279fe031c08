"""Finding and reading checkpoints in the model hub's form: a folder with `config.json` and safetensors.

Nothing in a checkpoint is run or believed unseen: `safetensors` checks that the tensors lie side by side and fill the
file; here are checked the sizes before anything is read, names given twice, paths that leave the folder, and numbers
that are none.
"""

import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trill import files
from trill.errors import MissingPackageError, ModelError, optional

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PATTERNS = ("*.json", "*.safetensors")
# XLS-R with 2 billion parameters has a header of 0.1 MB: what is larger is none of ours, and is not read.
MAX_JSON_BYTES = 4_000_000
FLOATS = ("F16", "BF16", "F32", "F64")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
AGAIN = "Copy or download it again."


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies and what its file says it is."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk, its weights unread.

    Args:
        folder: holds it.
        config: `config.json`.
        preprocessor: `preprocessor_config.json`, or empty.
        tensors: what the weight files hold, by name.
    """

    folder: Path
    config: dict[str, Any]
    preprocessor: dict[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Stored] = field(default_factory=dict, repr=False)

    def names(self) -> tuple[str, ...]:
        """Names of all tensors, of all weight files."""
        return tuple(self.tensors)

    def tensor(self, name: str) -> np.ndarray:
        """Read one tensor as float32; nothing else of its file stays in memory.

        Raises:
            ModelError: if there is none of this name, it holds no floating-point numbers, or not only numbers.
        """
        stored = self.tensors.get(name)
        if stored is None:
            raise ModelError(f"{self.folder} must hold the tensor {name}, got {_listed(self.names())}. {AGAIN}")
        if stored.dtype not in FLOATS:
            raise ModelError(
                f"{name} of {stored.file} must be one of {', '.join(FLOATS)}, got {stored.dtype}. "
                "Take the checkpoint in one of these forms: quantized weights are not read."
            )
        optional("ml_dtypes", "teachers")  # teaches NumPy bfloat16
        safetensors = optional("safetensors", "teachers")
        try:
            with safetensors.safe_open(stored.file, framework="numpy") as file, np.errstate(over="ignore"):
                value = np.asarray(file.get_tensor(name), np.float32)
        except (OSError, safetensors.SafetensorError) as error:
            raise ModelError(f"{stored.file} changed since it was opened: {error}. {AGAIN}") from error
        # NaN shows in both extremes: two passes take no memory, a mask would.
        if value.size and not (np.isfinite(value.min()) and np.isfinite(value.max())):
            raise ModelError(
                f"{name} of {stored.file} must hold finite numbers, got {np.count_nonzero(~np.isfinite(value))} "
                f"NaN or infinite of {value.size}. {AGAIN}"
            )
        return value

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 over configuration and weight files: the content, not the name or place. Reads them all once."""
        settings = {key: value for key, value in self.config.items() if key != "_name_or_path"}
        parts = [json.dumps(part, sort_keys=True) for part in (settings, self.preprocessor)]
        parts += sorted(files.sha256(file) for file in {stored.file for stored in self.tensors.values()})
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def open_checkpoint(name_or_folder: str | os.PathLike[str], revision: str | None = None) -> Checkpoint:
    """Open a checkpoint and check its files; weights are read by `Checkpoint.tensor`.

    Args:
        name_or_folder: a folder, or a hub id such as "facebook/hubert-base-ls960", which is downloaded into the hub's
            own cache unless it is there (JSON and safetensors only).
        revision: of a hub id: branch, tag or commit; None for the main branch.

    Raises:
        ModelError: if there is no such folder, it cannot be downloaded, or its files are unsound or not safetensors.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        folder = _download(os.fspath(name_or_folder), revision)
    folder = folder.resolve()
    config = _read_json(folder, "config.json")
    has_preprocessor = (folder / "preprocessor_config.json").exists()
    preprocessor = _read_json(folder, "preprocessor_config.json") if has_preprocessor else {}
    return Checkpoint(folder, config, preprocessor, _find_tensors(folder))


def _download(name: str, revision: str | None) -> Path:
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) or ".." in name:
        raise ModelError(
            f"a checkpoint is a folder or a hub id such as facebook/hubert-base-ls960, and {name!r} is neither. "
            "Check the path and the current folder."
        )
    by_hand = (
        f"Or where there is a network: hf download {name} --include {' '.join(map(repr, PATTERNS))} "
        "--local-dir FOLDER, and give the FOLDER instead."
    )
    try:
        hub = optional("huggingface_hub", "teachers")
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS)))
    except MissingPackageError as error:
        raise ModelError(f"{name} is no folder here, and to download it {error} {by_hand}") from error
    except Exception as error:  # the hub's client has its own kinds, its HTTP library's and those of the system
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{name} is no folder here and could not be downloaded: {reason} {by_hand}") from error


def _find_tensors(folder: Path) -> dict[str, Stored]:
    """What the weight files hold: of one file, or of those that an index names."""
    if (folder / WEIGHTS).exists():
        return _read_header(_inside(folder, WEIGHTS))
    if not (folder / INDEX).exists():
        raise ModelError(_no_weights(folder))
    index = _read_json(folder, INDEX)
    shard_of = index.get("weight_map")
    if not isinstance(shard_of, dict) or not shard_of or not all(isinstance(name, str) for name in shard_of.values()):
        raise ModelError(f"{folder / INDEX} must hold weight_map, tensor to file name, got {_short(shard_of)}. {AGAIN}")
    tensors: dict[str, Stored] = {}
    for name in sorted(set(shard_of.values())):
        shard = _read_header(_inside(folder, name))
        claimed = {tensor for tensor, file in shard_of.items() if file == name}
        if shard.keys() != claimed:
            only = sorted(shard.keys() ^ claimed)
            raise ModelError(
                f"{INDEX} and {folder / name} must name the same tensors, only one of them has {_listed(only)}. {AGAIN}"
            )
        tensors |= shard
    return tensors


def _no_weights(folder: Path) -> str:
    unsafe = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    if not unsafe:
        return f"{folder} must hold {WEIGHTS} or {INDEX}, got neither. Download the whole checkpoint."
    return (
        f"weights must be {WEIGHTS}, {folder} has {_listed(unsafe)}: a pickle, which may run code when read. The hub's "
        "page of the model may offer safetensors as a revision (refs/pr/N); or convert where it can do no harm: "
        "transformers.AutoModel.from_pretrained(ID).save_pretrained(FOLDER, safe_serialization=True)."
    )


def _read_header(path: Path) -> dict[str, Stored]:
    """What a safetensors file says it holds, after `safetensors` has checked that the numbers are there.

    Layout: 8 bytes, little-endian, the length of a JSON object; the object; the numbers.
    github.com/huggingface/safetensors, "Format".
    """
    safetensors = optional("safetensors", "teachers")
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, MAX_JSON_BYTES):
            raise ModelError(
                f"the header of {path} must have 2 to {MAX_JSON_BYTES:,} bytes and fit the file's {size:,}, "
                f"got {length:,}. {AGAIN}"
            )
        header = _parse(file.read(length), path, "a safetensors header")
    try:
        with safetensors.safe_open(path, framework="numpy"):
            pass
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} is no sound safetensors file: {error}. {AGAIN}") from error
    header.pop("__metadata__", None)
    if not header:
        raise ModelError(f"{path} must hold tensors, got none. {AGAIN}")
    return {name: Stored(path, row["dtype"], tuple(row["shape"])) for name, row in header.items()}


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    path = _inside(folder, name)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise ModelError(f"{path} must have at most {MAX_JSON_BYTES:,} bytes, got {path.stat().st_size:,}. {AGAIN}")
    return _parse(path.read_bytes(), path, name)


def _parse(data: bytes, path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{what} must be JSON, {path} holds {_short(data)}: {error}. {AGAIN}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{what} must be a JSON object, {path} holds {_short(content)}. {AGAIN}")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of which Python would keep the last of two equal names and another reader the first."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"it names {_short(name)} twice")
        content[name] = value
    return content


def _inside(folder: Path, name: str) -> Path:
    """The file of this name, if it is one and lies in the folder or among the blobs of the hub's cache."""
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        raise ModelError(f"files of a checkpoint lie in its folder, {folder} names {name!r}. {AGAIN}")
    path = (folder / name).resolve()
    # The cache's layout: models--OWNER--NAME/{snapshots/COMMIT/FILE -> ../../blobs/HASH, blobs/HASH}.
    homes = [folder, *([folder.parents[1] / "blobs"] if folder.parent.name == "snapshots" else [])]
    if path.parent not in homes:
        raise ModelError(f"files of a checkpoint lie in its folder, {folder / name} leads to {path}. Copy the file.")
    if not path.is_file():
        raise ModelError(f"{folder} must hold the file {name}, got none. Download the whole checkpoint.")
    return folder / name


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _short(value: object) -> str:
    text = repr(value[:60]) if isinstance(value, bytes | str) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
