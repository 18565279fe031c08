"""Embeddings as files, read back by the readers that users have."""

import csv
import json

import numpy as np
import pytest

from trill import tables

FACTS = {
    "model": "tiny-1.2-0a1b2c3d:embedding",
    "model_name": "tiny",
    "model_version": "1.2",
    "model_sha256": "0a1b",
    "pooling": "max",
}
NAMES = ["b.wav", 'Ünï, "quoted"\nname.flac', "a.wav"]  # not in the order of the alphabet


def table(num_rows=(1, 1, 1), dim=4, with_times=False, names=NAMES):
    """A table of random rows, and all of them stacked."""
    random = np.random.default_rng(0)
    blocks = [
        (name, random.standard_normal((rows, dim)).astype(np.float32), np.sort(random.random((rows, 2)).round(4)))
        for name, rows in zip(names, num_rows, strict=True)
    ]
    sizes = {name: len(times) for name, _, times in blocks}
    return tables.Table(sizes, lambda: iter(blocks), dim, FACTS, with_times), blocks


def stacked(blocks):
    names = [name for name, _, times in blocks for _ in times]
    return names, np.concatenate([block[1] for block in blocks]), np.concatenate([block[2] for block in blocks])


SHAPES = pytest.mark.parametrize("num_rows", [(1, 1, 1), (2, 1, 3)])


@SHAPES
def test_npz_needs_no_pickle(tmp_path, num_rows):
    made, blocks = table(num_rows, with_times=True)
    tables.write(tmp_path / "x.npz", made)
    names, x, times = stacked(blocks)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        assert set(found) == {"paths", "x", "start", "end", *FACTS}
        assert found["paths"].tolist() == names
        assert found["x"].dtype == np.float32
        np.testing.assert_array_equal(found["x"], x)
        np.testing.assert_array_equal(np.stack([found["start"], found["end"]], axis=1), times)
        assert {name: str(found[name]) for name in FACTS} == FACTS


@SHAPES
def test_csv_keeps_every_bit(tmp_path, num_rows):
    made, blocks = table(num_rows, with_times=True)
    tables.write(tmp_path / "x.csv", made)
    names, x, times = stacked(blocks)
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "start", "end", "e0", "e1", "e2", "e3", "model"]
    assert [row["file"] for row in rows] == names
    np.testing.assert_array_equal(np.array([[row[f"e{i}"] for i in range(4)] for row in rows], np.float32), x)
    np.testing.assert_array_equal([[float(row["start"]), float(row["end"])] for row in rows], times)
    assert {row["model"] for row in rows} == {FACTS["model"]}


def test_csv_keeps_every_float32(tmp_path):
    bits = np.random.default_rng(1).integers(0, 2**32, (50, 20), np.uint32)
    x = np.where(np.isfinite(bits.view(np.float32)), bits.view(np.float32), 0)  # subnormal, huge, negative zero
    made = tables.Table({"a": 50}, lambda: [("a", x, np.zeros((50, 2)))], 20, FACTS, with_times=False)
    tables.write(tmp_path / "x.csv", made)
    found = np.loadtxt(tmp_path / "x.csv", np.float32, delimiter=",", skiprows=1, usecols=range(1, 21))
    np.testing.assert_array_equal(found.view(np.uint32), x.view(np.uint32))


@SHAPES
def test_parquet_carries_the_facts(tmp_path, num_rows):
    parquet = pytest.importorskip("pyarrow.parquet")
    made, blocks = table(num_rows, with_times=True)
    tables.write(tmp_path / "x.parquet", made)
    names, x, times = stacked(blocks)
    found = parquet.read_table(tmp_path / "x.parquet")
    assert found.column_names == ["file", "start", "end", "embedding"]
    assert json.loads(found.schema.metadata[b"trill"]) == FACTS
    assert found["file"].to_pylist() == names
    np.testing.assert_array_equal(np.array(found["embedding"].to_pylist(), np.float32), x)
    np.testing.assert_array_equal(np.stack([found["start"], found["end"]], axis=1), times)


def test_parquet_gathers_small_sounds_into_row_groups(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "ROW_GROUP", 10)
    made, _ = table([3] * 9, names=[f"{i}.wav" for i in range(9)])
    tables.write(tmp_path / "x.parquet", made)
    metadata = parquet.read_metadata(tmp_path / "x.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [12, 12, 3]


@pytest.mark.parametrize("suffix", tables.FORMATS)
@pytest.mark.parametrize("with_times", [False, True])
def test_no_times_unless_asked_and_no_rows_is_a_table_too(tmp_path, suffix, with_times):
    made, _ = table((), names=(), with_times=with_times)
    path = tmp_path / f"x{suffix}"
    tables.write(path, made)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as found:
            assert found["x"].shape == (0, 4)
            assert found["paths"].shape == (0,)
            columns = set(found)
    elif suffix == ".csv":
        (line,) = path.read_text().splitlines()
        columns = set(line.split(","))
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        found = parquet.read_table(path)
        assert found.num_rows == 0
        columns = set(found.column_names)
    assert ("start" in columns) == ("end" in columns) == with_times


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_same_rows_same_bytes(tmp_path, suffix):
    for name in ("1", "2"):
        tables.write(tmp_path / (name + suffix), table((2, 1, 3))[0])
    assert (tmp_path / f"1{suffix}").read_bytes() == (tmp_path / f"2{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_blocks_are_taken_one_by_one(tmp_path, suffix):
    """No more blocks live at once than a row group holds: 200 MB pass through."""
    alive = peak = 0

    class Counted(np.ndarray):
        def __array_finalize__(self, _):
            nonlocal alive, peak
            if self.base is None:
                alive += 1
                peak = max(peak, alive)

        def __del__(self):
            nonlocal alive
            if self.base is None:
                alive -= 1

    def blocks():
        for i in range(50):
            x = Counted((1024, 16), np.float32)
            x[:] = i
            yield f"{i}.wav", x, np.zeros((1024, 2))
            del x

    tables.write(tmp_path / f"x{suffix}", tables.Table({f"{i}.wav": 1024 for i in range(50)}, blocks, 16, FACTS, False))
    assert 0 < peak <= 5


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_a_name_of_other_bytes_is_written(tmp_path, suffix):
    """Linux takes names that are no Unicode; Python shows them with lone surrogates."""
    made, _ = table((1,), names=["caf\udce9.wav"])
    tables.write(tmp_path / f"x{suffix}", made)
    if suffix == ".csv":
        assert b"caf\xe9.wav" in (tmp_path / "x.csv").read_bytes()


@pytest.mark.parametrize("name", ["x", "x.txt", "x.npz.gz"])
def test_another_suffix_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.npz, \.csv, \.parquet, got .*For example: -o embeddings\.npz"):
        tables.write(tmp_path / name, table()[0])


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.npz"
    path.write_text("yesterday's")

    def blocks():
        yield from table()[1][:1]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        tables.write(path, tables.Table({"b.wav": 1}, blocks, 4, FACTS, with_times=False))
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]
    assert path.read_text() == "yesterday's"
