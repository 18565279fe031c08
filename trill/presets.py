"""Models by name: the rows of presets.toml."""

import functools
import tomllib
from pathlib import Path
from typing import Any

from trill import files
from trill.errors import ModelError

WEIGHTS = Path(__file__).with_name("weights")
PRESETS = Path(__file__).with_name("presets.toml")


@functools.cache
def presets() -> dict[str, dict[str, Any]]:
    """Every row: `file`, `sha256` and `card`, both files in `trill/weights/`."""
    return tomllib.loads(PRESETS.read_text(encoding="utf-8"))


def list_models() -> list[str]:
    """Names that `trill.load` takes.

    >>> "mobilenet" in list_models()
    True
    """
    return sorted(presets())


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _: int) -> str:
    """Hashed once while the file's time stays."""
    return files.sha256(path)


def locate(name: str) -> Path:
    """The file of a packaged model, its hash checked.

    Raises:
        ModelError: if there is no such preset, or its file is missing or altered.
    """
    if name not in presets():
        raise ModelError(
            f"model must be one of {', '.join(list_models())} or the path of a model file, got {name!r}. "
            "A path ends in .tflite or .safetensors."
        )
    row = presets()[name]
    path = WEIGHTS / str(row["file"])
    if not path.is_file() or _sha256(path, path.stat().st_mtime_ns) != row["sha256"]:
        raise ModelError(f"{path} is missing or not the file that was packaged. Reinstall trill-speech.")
    return path
