"""The journal: what was added is there again, however the process that added it ended."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trill.journal import Journal

HEADER = {"model": "tiny", "pooling": "mean"}
NAMES = st.text(max_size=5)  # any Unicode, newlines and lone surrogates included


def block(seed, num_rows, dim=3):
    random = np.random.default_rng(seed)
    return random.standard_normal((num_rows, dim)).astype(np.float32), random.random((num_rows, 2))


def write(path, names_and_rows):
    """A journal with these records, and what they hold."""
    journal = Journal(path, HEADER)
    added = [(name, *block(seed, num_rows)) for seed, (name, num_rows) in enumerate(names_and_rows)]
    for name, embeddings, times in added:
        journal.add(name, f"stamp of {name}", embeddings, times)
    journal.close(remove=False)
    return added


def content(path):
    journal = Journal(path, HEADER)
    found = {name: (record.stamp, *journal.read(name)) for name, record in journal.records.items()}
    journal.close(remove=False)
    return found


def assert_holds(path, added):
    """The journal holds the last of each name in `added`, bit for bit, and nothing else."""
    found, expected = content(path), {name: (embeddings, times) for name, embeddings, times in added}
    assert list(found) == list(expected)
    for name, (stamp, embeddings, times) in found.items():
        assert stamp == f"stamp of {name}"
        assert embeddings.dtype == np.float32
        np.testing.assert_array_equal(embeddings, expected[name][0])
        np.testing.assert_array_equal(times, expected[name][1])


RECORDS = st.lists(st.tuples(NAMES, st.integers(1, 3)), max_size=5)


@settings(deadline=None, max_examples=50)
@given(records=RECORDS, data=st.data())
def test_cut_anywhere_a_prefix_is_left_and_can_be_continued(records, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        added = write(path, records)
        whole = path.read_bytes()
        ends = []
        for count in range(len(records) + 1):  # where each record ends, found by writing fewer
            write(path.with_name(f"{count}"), records[:count])
            ends.append(path.with_name(f"{count}").stat().st_size)
        cut = data.draw(st.integers(0, len(whole)), label="cut")
        path.write_bytes(whole[:cut])
        kept = max((count for count, end in enumerate(ends) if end <= cut), default=0)
        assert_holds(path, added[:kept])

        journal = Journal(path, HEADER)
        more = ("one more", *block(99, 2))
        journal.add("one more", "stamp of one more", *more[1:])
        journal.close(remove=False)
        assert_holds(path, [*added[:kept], more])


@settings(deadline=None, max_examples=50)
@given(position=st.integers(0), flip=st.integers(1, 255))
def test_a_damaged_byte_costs_no_more_than_what_follows(position, flip):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        added = write(path, [("a", 2), ("b", 1), ("c", 3)])
        damaged = bytearray(path.read_bytes())
        damaged[position % len(damaged)] ^= flip
        path.write_bytes(damaged)
        for (name, embeddings, times), found in zip(added, content(path).values(), strict=False):
            np.testing.assert_array_equal(found[1], embeddings, err_msg=name)
            np.testing.assert_array_equal(found[2], times, err_msg=name)


def test_of_two_records_of_a_name_the_later_counts(tmp_path):
    added = write(tmp_path / "journal", [("a", 1), ("b", 1), ("a", 2)])
    assert_holds(tmp_path / "journal", added)


@pytest.mark.parametrize("other", [{**HEADER, "pooling": "max"}, {"model": "tiny"}])
def test_a_journal_of_something_else_is_begun_anew(tmp_path, other):
    write(tmp_path / "journal", [("a", 1)])
    Journal(tmp_path / "journal", other).close(remove=False)
    assert content(tmp_path / "journal") == {}


def test_it_is_held_by_one(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path, HEADER)
    journal.add("a", "stamp of a", *block(0, 1))
    with pytest.raises(
        BlockingIOError, match=r"journal is being written by another run\. Wait or choose another output"
    ):
        Journal(path, {"model": "other"})
    journal.close(remove=False)
    assert_holds(path, [("a", *block(0, 1))])  # the one refused left it as it was


def test_removed_when_done_and_kept_otherwise(tmp_path):
    journal = Journal(tmp_path / "journal", HEADER)
    journal.close(remove=False)
    assert journal.path.exists()
    Journal(tmp_path / "journal", HEADER).close(remove=True)
    assert not journal.path.exists()


def test_a_folder_that_takes_no_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing must take new files: No such file.*Choose another folder"):
        Journal(tmp_path / "missing" / "journal", HEADER)
