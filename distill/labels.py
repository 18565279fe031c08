"""What manifests say of clips: speaker, emotion, age, ..., by the names that clips have in a cache."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trill.manifests import read_manifest
from trill.training.cache import Cache


def read_column(sources: Sequence[str | os.PathLike[str]], column: str) -> dict[str, str]:
    """Values of a column by clip; those that are empty are left out.

    Args:
        sources: manifests, or folders with a `manifest.csv`, as `corpora.join` takes them.
        column: its name.

    Raises:
        ValueError: if a source has no manifest, or none has the column.
    """
    found: dict[str, str] = {}
    known = False
    for source in sources:
        path = Path(source)
        manifest = path if path.suffix.lower() == ".csv" else path / "manifest.csv"
        prefix = f"{source}: " if len(sources) > 1 else ""
        for row in read_manifest(manifest):
            known |= column in row
            name = row["path"] if manifest == path else str(path / row["path"])
            if row.get(column):
                found[prefix + name] = row[column]
    if not known:
        raise ValueError(
            f"the recipe needs a column `{column}` in the corpus' manifest, {', '.join(map(str, sources))} has none."
        )
    return found


def classes(values: dict[str, str], cache: Cache) -> tuple[np.ndarray, list[str]]:
    """`(num_clips,)` int32 indices into the sorted kinds, -1 where there is none; and the kinds."""
    kinds = sorted(set(values.values()))
    index = {kind: number for number, kind in enumerate(kinds)}
    return np.array([index.get(values.get(name, ""), -1) for name in cache.names], np.int32), kinds


def numbers(values: dict[str, str], cache: Cache, column: str) -> np.ndarray:
    """`(num_clips,)` float32, standardised; NaN where there is none.

    Raises:
        ValueError: if a value is no number.
    """
    try:
        found = np.array([float(values.get(name, "nan")) for name in cache.names], np.float32)
    except ValueError as error:
        raise ValueError(f"a numeric label must be a number, {column} is not: {error}. Leave `numeric` out.") from error
    return (found - np.nanmean(found)) / max(float(np.nanstd(found)), 1e-6)
