"""Embeddings as files: `.npz`, `.csv` or `.parquet`, written row block by row block, whole or not at all."""

import csv
import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trill.errors import optional
from trill.files import write_atomically

# (file, times in seconds (rows, 2), embeddings (rows, dim)) of one sound.
Block = tuple[str, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Table:
    """What is written: blocks in order, and what holds for all of them.

    Args:
        blocks: gives the blocks anew at each call.
        num_rows: rows in all blocks together.
        dim: values in a row.
        facts: name, version and hash of the model, pooling, ...: strings that go with the table.
        with_times: a row a window, with `start` and `end`, instead of a row a sound.
    """

    blocks: Callable[[], Iterable[Block]]
    num_rows: int
    dim: int
    facts: dict[str, str]
    with_times: bool

    def rows(self) -> Iterator[tuple[str, float, float, np.ndarray]]:
        """File, start, end and embedding of each row."""
        for name, times, embeddings in self.blocks():
            for (start, end), embedding in zip(times, embeddings, strict=True):
                yield name, float(start), float(end), embedding


def write(path: str | os.PathLike[str], table: Table) -> None:
    """Write a table in the format of its suffix.

    Raises:
        ValueError: if the suffix is none of `FORMATS`.
        MissingPackageError: for `.parquet` without pyarrow.
    """
    writer = FORMATS[check_suffix(path)]
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        writer(file, table)


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of an output, if it is a format of ours and what writes it is installed."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"an output ends in {', '.join(FORMATS)}, got {str(path)!r}. For example: -o embeddings.npz")
    if suffix == ".parquet":
        optional("pyarrow.parquet", "noss")
    return suffix


def _write_npz(file: BinaryIO, table: Table) -> None:
    """Arrays `paths` (n,), `x` (n, dim), with times `start` and `end` (n,), and one string for each fact."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as entry:
            header = {"descr": "<f4", "fortran_order": False, "shape": (table.num_rows, table.dim)}
            np.lib.format.write_array_header_1_0(entry, header)
            for _, _, embeddings in table.blocks():
                entry.write(np.ascontiguousarray(embeddings, "<f4").tobytes())
        columns: dict[str, np.ndarray] = {name: np.array(value) for name, value in table.facts.items()}
        names = [(name, len(times)) for name, times, _ in table.blocks()]
        columns["paths"] = np.array([name for name, count in names for _ in range(count)], dtype=np.str_)
        if table.with_times:
            times = np.concatenate([times for _, times, _ in table.blocks()] or [np.empty((0, 2))])
            columns["start"], columns["end"] = times[:, 0], times[:, 1]
        for name, column in columns.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, column, allow_pickle=False)


def _write_csv(file: BinaryIO, table: Table) -> None:
    """Columns `file`, with times `start,end` in seconds, `e0`, `e1`, ..., and `model`."""
    lines = csv.writer(_Text(file))
    times = ("start", "end") if table.with_times else ()
    lines.writerow(["file", *times, *(f"e{i}" for i in range(table.dim)), "model"])
    for name, start, end, embedding in table.rows():
        seconds = (f"{start:.6f}", f"{end:.6f}") if table.with_times else ()
        # Seven to nine digits hold a float32 exactly.
        lines.writerow([name, *seconds, *(str(value) for value in embedding), table.facts["model"]])


def _write_parquet(file: BinaryIO, table: Table) -> None:
    """Columns `file`, with times `start` and `end`, `embedding` (a fixed-size list); the facts as schema metadata."""
    arrow = optional("pyarrow", "noss")
    parquet = optional("pyarrow.parquet", "noss")
    times = [("start", arrow.float64()), ("end", arrow.float64())] if table.with_times else []
    columns = [("file", arrow.string()), *times, ("embedding", arrow.list_(arrow.float32(), table.dim))]
    schema = arrow.schema(columns, metadata={"trill": json.dumps(table.facts)})
    with parquet.ParquetWriter(file, schema) as writer:
        for name, spans, embeddings in table.blocks():
            values = arrow.FixedSizeListArray.from_arrays(arrow.array(np.ravel(embeddings)), table.dim)
            seconds = [spans[:, 0], spans[:, 1]] if table.with_times else []
            writer.write_table(arrow.table([[name] * len(spans), *seconds, values], schema=schema))


class _Text:
    """Just enough of a text file for the csv writer over a binary one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8"))


FORMATS: dict[str, Callable[[BinaryIO, Table], None]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
