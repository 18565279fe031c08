"""Embeddings as files: `.npz`, `.csv` or `.parquet`, written block by block, whole or not at all."""

import csv
import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trill.errors import optional
from trill.files import write_atomically

# (name, embeddings (num_rows, dim), start and end in seconds (num_rows, 2)) of one sound.
Block = tuple[str, np.ndarray, np.ndarray]

ROW_GROUP = 1024  # rows: a Parquet row group a sound would be larger than the sound's embedding


@dataclasses.dataclass(frozen=True)
class Table:
    """What is written: blocks in order, and what holds for all of them.

    Args:
        num_rows: rows of each sound by its name, in order.
        blocks: gives the blocks anew at each call, in the order of `num_rows`.
        dim: values in a row.
        facts: name, version and hash of the model, pooling, ...: strings that go with the table.
        with_times: a row a window, with `start` and `end`, instead of a row a sound.
    """

    num_rows: dict[str, int]
    blocks: Callable[[], Iterable[Block]]
    dim: int
    facts: dict[str, str]
    with_times: bool


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
    count = sum(table.num_rows.values())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:

        def array(name: str, dtype: str, shape: tuple[int, ...], pieces: Iterable[np.ndarray]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                header = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(entry, header)
                for piece in pieces:
                    entry.write(piece.astype(dtype).tobytes())

        width = max([1, *map(len, table.num_rows)])
        names = (np.full(rows, name) for name, rows in table.num_rows.items())
        array("paths", f"<U{width}", (count,), names)
        array("x", "<f4", (count, table.dim), (embeddings for _, embeddings, _ in table.blocks()))
        if table.with_times:
            array("start", "<f8", (count,), (times[:, 0] for _, _, times in table.blocks()))
            array("end", "<f8", (count,), (times[:, 1] for _, _, times in table.blocks()))
        for name, fact in table.facts.items():
            array(name, f"<U{max(1, len(fact))}", (), [np.array(fact)])


def _write_csv(file: BinaryIO, table: Table) -> None:
    """Columns `file`, with times `start,end` in seconds, `e0`, `e1`, ..., and `model`."""
    lines = csv.writer(_Text(file))
    columns = ("start", "end") if table.with_times else ()
    lines.writerow(["file", *columns, *(f"e{i}" for i in range(table.dim)), "model"])
    for name, embeddings, times in table.blocks():
        for embedding, span in zip(embeddings, times, strict=True):
            seconds = [f"{second:.6f}" for second in span] if table.with_times else []
            # A float32 is printed with as many digits as give it back exactly.
            lines.writerow([name, *seconds, *map(str, embedding), table.facts["model"]])


def _write_parquet(file: BinaryIO, table: Table) -> None:
    """Columns `file`, with times `start` and `end`, `embedding` (a fixed-size list); the facts as schema metadata."""
    arrow = optional("pyarrow", "noss")
    parquet = optional("pyarrow.parquet", "noss")
    columns = [("start", arrow.float64()), ("end", arrow.float64())] if table.with_times else []
    columns = [("file", arrow.string()), *columns, ("embedding", arrow.list_(arrow.float32(), table.dim))]
    schema = arrow.schema(columns, metadata={"trill": json.dumps(table.facts)})

    def batch(name: str, embeddings: np.ndarray, times: np.ndarray) -> Any:
        # A name that is no Unicode (a file of another time) is escaped: Parquet has no other text.
        file = os.fsencode(name).decode("utf-8", "backslashreplace")
        values = arrow.FixedSizeListArray.from_arrays(arrow.array(np.ravel(embeddings)), table.dim)
        return arrow.record_batch([[file] * len(times), *(times.T if table.with_times else []), values], schema=schema)

    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(table.blocks()):
            writer.write_table(arrow.Table.from_batches([batch(*block) for block in group]))


def _groups(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Blocks together that hold at least `ROW_GROUP` rows, but the last."""
    group: list[Block] = []
    for block in blocks:
        group.append(block)
        if sum(len(times) for _, _, times in group) >= ROW_GROUP:
            yield group
            group = []
    if group:
        yield group


class _Text:
    """Just enough of a text file for the csv writer over a binary one; a name of any bytes is written as it was."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8", "surrogateescape"))


FORMATS: dict[str, Callable[[BinaryIO, Table], None]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
