"""Many files into one table: in order, resumed, and each bad file costs only itself."""

import csv
import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import trill
from tests.sounds import encode, noise, tone
from trill import batch, modelfile, tables
from trill.batch import embed_files
from trill.journal import Journal
from trill.manifests import Clip, find_clips

NAMES = ["b.wav", "a.wav", "ü, 'c'.wav", "d.flac"]


@pytest.fixture(scope="module")
def embedder():
    return trill.load()


@pytest.fixture
def clips(tmp_path):
    """Four files and their clips, not in the order of the alphabet."""
    for index, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(encode(noise(24_000, index), format=name[-4:].strip(".").upper()))
    return [Clip(name, tmp_path / name) for name in NAMES]


@pytest.fixture
def output(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "x.npz"


def ledger(output):
    with output.with_name(f"{output.name}.errors.csv").open(newline="", encoding="utf-8") as file:
        return {row["path"]: row["error"] for row in csv.DictReader(file)}


def left_behind(output):
    return sorted(file.name for file in output.parent.iterdir())


def stop_after(monkeypatch, count, error=KeyboardInterrupt):
    """Make the run stop when so many files are in the journal."""
    add = Journal.add

    def stopping(journal, *record):
        if len(journal.records) == count:
            raise error
        add(journal, *record)

    monkeypatch.setattr(Journal, "add", stopping)


@pytest.fixture
def stopped(clips, output, embedder, monkeypatch):
    """A run that was stopped after two of four files; what it left."""
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt) as stop:
            embed_files(clips, output, embedder, workers=1)
    assert stop.value.__notes__ == [
        f"2 files are kept in {output.parent}/.x.npz.partial: the same command goes on from there."
    ]
    assert left_behind(output) == [".x.npz.partial"]


# What is written.


@pytest.mark.parametrize("pooling", ["mean", "max", "mean+std"])
def test_rows_are_embeddings_in_order(clips, output, embedder, pooling):
    summary = embed_files(clips, output, embedder, pooling=pooling, workers=3)
    assert summary == batch.Summary(str(output), embedder.name, embedded=4, resumed=0, failed={})
    with np.load(output) as found:
        assert found["paths"].tolist() == NAMES
        np.testing.assert_array_equal(found["x"], [trill.embed(clip.path, pooling=pooling) for clip in clips])
        assert "start" not in found
        facts = {name: str(found[name]) for name in ("model", "model_name", "model_version", "model_sha256", "pooling")}
    card = embedder.card
    assert facts == {
        "model": embedder.name,
        "model_name": card.name,
        "model_version": card.version,
        "model_sha256": card.sha256,
        "pooling": pooling,
    }
    assert left_behind(output) == ["x.npz"]


def test_a_row_a_window(clips, output, embedder):
    embed_files(clips, output, embedder, pooling=None)
    embeddings, times = zip(*(embedder.embed_timed(clip.path) for clip in clips), strict=True)
    with np.load(output) as found:
        assert found["paths"].tolist() == [name for name, rows in zip(NAMES, times, strict=True) for _ in rows]
        np.testing.assert_array_equal(found["x"], np.concatenate(embeddings))
        np.testing.assert_array_equal(np.stack([found["start"], found["end"]], 1), np.concatenate(times))


BAD = {
    "text.wav": b"This is no sound.",
    "empty.wav": b"",
    "cut.flac": encode(noise(24_000), format="FLAC")[:20_000],
    "nul\0.wav": None,
    "missing.wav": None,
}


def test_a_bad_file_costs_one_line(tmp_path, clips, output, embedder):
    for name, content in BAD.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
    bad = [Clip(name, tmp_path / name) for name in BAD]
    mixed = [clips[0], *bad[:3], *clips[1:], *bad[3:]]
    summary = embed_files(mixed, output, embedder)
    assert summary.embedded == 4
    assert list(summary.failed) == list(BAD)
    assert ledger(output) == summary.failed
    assert not any("\n" in error for error in summary.failed.values())
    with np.load(output) as found:
        assert found["paths"].tolist() == NAMES

    embed_files(clips, output, embedder)
    assert left_behind(output) == ["x.npz"]  # a clean run takes the ledger away


def test_where_all_fail_there_is_no_table(tmp_path, output, embedder):
    summary = embed_files([Clip("a.wav", tmp_path / "a.wav")], output, embedder)
    assert (summary.embedded, list(summary.failed)) == (0, ["a.wav"])
    assert left_behind(output) == ["x.npz.errors.csv"]


# What is resumed.


@pytest.mark.usefixtures("stopped")
def test_a_stopped_run_goes_on(clips, output, embedder):
    summary = embed_files(clips, output, embedder)
    assert (summary.embedded, summary.resumed) == (2, 2)
    again = output.with_name("again.npz")
    embed_files(clips, again, embedder)
    assert output.read_bytes() == again.read_bytes()


@pytest.mark.usefixtures("stopped")
def test_a_file_that_changed_is_embedded_anew(clips, output, embedder):
    clips[0].path.write_bytes(encode(tone(1.0)))
    summary = embed_files(clips, output, embedder)
    assert (summary.embedded, summary.resumed) == (3, 1)
    with np.load(output) as found:
        np.testing.assert_array_equal(found["x"][0], trill.embed(clips[0].path))


@pytest.mark.usefixtures("stopped")
def test_a_file_that_vanished_fails(clips, output, embedder):
    clips[1].path.unlink()
    summary = embed_files(clips, output, embedder)
    assert (summary.resumed, list(summary.failed)) == (1, ["a.wav"])


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("change", ["pooling", "tap", "hop", "model"])
def test_other_options_begin_anew(tmp_path, clips, output, embedder, change):
    if change == "model":
        flatbuffer, card = modelfile.read(trill.presets.locate("mobilenet"))
        modelfile.write(tmp_path / "other.tflite", flatbuffer, dataclasses.replace(card, version="other"))
    changed = {
        "pooling": embedder,
        "tap": embedder.using(tap="block5"),
        "hop": embedder.using(hop_seconds=0.5),
        "model": trill.load(tmp_path / "other.tflite") if change == "model" else None,
    }[change]
    summary = embed_files(clips, output, changed, pooling="max" if change == "pooling" else "mean")
    assert (summary.embedded, summary.resumed) == (4, 0)


def test_a_killed_process_loses_nothing(tmp_path, output):
    sound = noise(40_000)
    (tmp_path / "many").mkdir()
    for index in range(300):
        (tmp_path / "many" / f"{index}.wav").write_bytes(encode(sound[10 * index : 10 * index + 32_000]))
    main = "from trill.cli import main; main(prog_name='trill')"
    command = [sys.executable, "-c", main, "embed", str(tmp_path / "many"), "--workers", "1", "-o"]
    process = subprocess.Popen([*command, str(output)], stderr=subprocess.DEVNULL)
    journal = output.with_name(".x.npz.partial")
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 200_000):
        assert process.poll() is None, "it was done before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert left_behind(output) == [".x.npz.partial"]

    done = subprocess.run([*command, str(output)], capture_output=True, text=True, check=True)
    embedded, resumed = (int(word) for word in done.stdout.split() if word.isdigit())
    assert resumed >= 20
    assert embedded + resumed == 300
    again = output.with_name("again.npz")
    embed_files(find_clips([tmp_path / "many"]), again, trill.load())
    assert output.read_bytes() == again.read_bytes()
    assert left_behind(output) == ["again.npz", "x.npz"]


# What stands in the way.


def test_a_second_run_is_refused_and_the_first_goes_on(clips, output, embedder, monkeypatch):
    add, refusals = Journal.add, []

    def adding(journal, *record):
        with pytest.raises(BlockingIOError, match="is being written by another run") as refusal:
            embed_files(clips, output, embedder)
        refusals.append(refusal)
        add(journal, *record)

    monkeypatch.setattr(Journal, "add", adding)
    assert embed_files(clips, output, embedder).embedded == len(refusals) == 4


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["journal", "table"])
def test_a_full_disk_loses_nothing(clips, output, embedder, monkeypatch, where):
    output.write_text("yesterday's")

    def full(file, _):
        file.write(b"half a table")
        raise FULL

    with monkeypatch.context() as patch:
        if where == "journal":
            stop_after(patch, 3, FULL)
        else:
            patch.setitem(tables.FORMATS, ".npz", full)
        with pytest.raises(OSError, match="No space left") as error:
            embed_files(clips, output, embedder)
    assert "files are kept in" in error.value.__notes__[-1]
    assert left_behind(output) == [".x.npz.partial", "x.npz"]
    assert output.read_text() == "yesterday's"
    summary = embed_files(clips, output, embedder)
    assert summary.resumed == (3 if where == "journal" else 4)
    assert left_behind(output) == ["x.npz"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("x.txt", r"ends in \.npz, \.csv, \.parquet, got .*x\.txt'"),
        ("missing/x.npz", r"folder must exist, .*missing does not\. Make it: mkdir -p .*missing$"),
        ("folder.npz", r"an output is a file, .*folder\.npz is a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_first(tmp_path, clips, embedder, output, message):
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ValueError, match=message):
        embed_files(clips, tmp_path / output, embedder)


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="a folder that takes no file even from root")
def test_a_folder_that_takes_no_file_is_named(clips, embedder):
    with pytest.raises(PermissionError, match=r"/sys must take new files: Permission denied\. Choose another folder"):
        embed_files(clips, "/sys/x.npz", embedder)
