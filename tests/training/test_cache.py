"""Decoded once, whatever happens on the way.

This file is also the program that processes run: `python -m tests.training.test_cache FOLDER LEDGER SECONDS_A_SOUND`.
"""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sounds import encode, noise
from trill.errors import AudioError
from trill.files import lock
from trill.progress import progress
from trill.training import cache
from trill.training.cache import open_cache
from trill.training.corpora import Corpus, open_corpus


def sound(length=1000, seed=0):
    return noise(length, seed).astype(np.float32)


def corpus_of(sounds, fingerprint="f", asked=None, stop=None):
    """A corpus of `{name: waveform or reason}` that notes what it was asked for, and fails at `stop`."""

    def read(skip, sample_rate):
        for number, (name, held) in enumerate(itertools.islice(sounds.items(), skip, None), skip):
            if stop is not None and number == stop[0]:
                raise stop[1]
            if asked is not None:
                asked.append(name)
            yield name, held

    return Corpus(fingerprint, read, len(sounds))


MIXED = {
    "a": sound(700, 1),
    "bad": "It is no sound.",
    "b": sound(50, 2),
    "ü b again": sound(50, 2),
    "c": sound(900, 3),
    "worse": "Nor is it.",
    "d": sound(1, 4),
}


def content(folder):
    """The bytes of the one cache in a folder."""
    (path,) = (path for path in folder.iterdir() if path.suffix != ".lock")
    assert path.suffix == ""
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What MIXED is on disk."""
    folder = tmp_path_factory.mktemp("whole")
    open_cache(corpus_of(MIXED), folder)
    return content(folder)


def clips_of(found):
    return [found.window(clip, 0, length) for clip, length in enumerate(found.lengths)]


# What is in a cache.


def test_clips_come_back_within_half_a_step(tmp_path):
    sounds = {"noise": sound(3000), "ends": np.float32([-1, 1, 0, 0.5, -0.5, 1e-6]), "long": sound(20_000, 2)}
    found = open_cache(corpus_of(sounds), tmp_path)
    assert (found.names, found.sample_rate, len(found)) == (list(sounds), 16_000, 3)
    assert found.lengths.tolist() == [3000, 6, 20_000]
    for stored, given_ in zip(clips_of(found), sounds.values(), strict=True):
        assert stored.dtype == np.float32
        np.testing.assert_allclose(stored, given_, atol=0.5 / 32767 + 1e-7)
        assert abs(stored).max() <= 1


def test_it_is_mapped_and_read_only(tmp_path):
    found = open_cache(corpus_of(MIXED), tmp_path)
    assert isinstance(found.samples, np.memmap)
    assert (found.samples.dtype, found.samples.flags.writeable) == (np.int16, False)


@given(clip=st.integers(0, 1), start=st.integers(0, 40), length=st.integers(1, 60))
def test_a_window_is_followed_by_zeros(clip, start, length):
    samples = np.arange(1, 51, dtype=np.int16)
    found = cache.Cache(samples, np.array([0, 20, 50]), ["a", "b"], 16_000, {}, {})
    stored = samples[[0, 20][clip] : [20, 50][clip]][start : start + length].tolist()
    window = found.window(clip, start, length)
    assert np.rint(window * cache.FULL_SCALE).tolist() == (stored + [0] * length)[:length]


def test_copies_are_one_clip_and_what_fails_is_listed(tmp_path):
    found = open_cache(corpus_of(MIXED | {"silence": np.empty(0, np.float32)}), tmp_path)
    assert found.names == ["a", "b", "c", "d"]
    assert found.duplicates == {"ü b again": "b"}
    assert found.failed == {"bad": "It is no sound.", "worse": "Nor is it.", "silence": "It has no samples."}
    assert str(found) == "4 clips, 0 s; 1 copies left out, e.g. ü b again; 3 could not be read, e.g. bad"


def test_an_hour_is_told_in_hours():
    found = cache.Cache(np.empty(0, np.int16), np.array([0, 16_000 * 5400]), ["a"], 16_000, {}, {})
    assert str(found) == "1 clips, 1.50 h"


def test_a_folder_of_sound_becomes_a_cache_at_its_rate(tmp_path):
    (tmp_path / "in").mkdir()
    for name, data in {"a.wav": encode(sound(800), 8000), "b.flac": encode(sound(800, 1), 8000, "FLAC")}.items():
        (tmp_path / "in" / name).write_bytes(data)
    (tmp_path / "in" / "copy.wav").write_bytes((tmp_path / "in" / "a.wav").read_bytes())
    (tmp_path / "in" / "text.wav").write_bytes(b"This is no sound.")
    corpus = open_corpus(tmp_path / "in")
    for rate, length in ((8000, 800), (16_000, 1600)):
        found = open_cache(corpus, tmp_path / "caches", rate)
        assert [Path(name).name for name in found.names] == ["a.wav", "b.flac"]
        assert (found.lengths.tolist(), found.sample_rate) == ([length, length], rate)
        assert [Path(name).name for name in found.duplicates] == ["copy.wav"]
        assert "must be wav, flac" in found.failed[str(tmp_path / "in" / "text.wav")]


def test_a_cache_is_filled_once(tmp_path):
    asked = []
    for _ in range(2):
        open_cache(corpus_of(MIXED, asked=asked), tmp_path)
    assert asked == list(MIXED)
    open_cache(corpus_of(MIXED, "another", asked), tmp_path)
    open_cache(corpus_of(MIXED, asked=asked), tmp_path, 8000)
    assert len(asked) == 3 * len(MIXED)


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_counts_what_was_done_before(tmp_path, monkeypatch, quiet):
    shown = []
    monkeypatch.setattr(cache, "progress", lambda items, **kw: shown.append(kw) or progress(items, quiet=True))
    with pytest.raises(KeyboardInterrupt):
        open_cache(corpus_of(MIXED, stop=(3, KeyboardInterrupt)), tmp_path, quiet=quiet)
    open_cache(corpus_of(MIXED), tmp_path, quiet=quiet)
    assert [(kw["total"], kw["done"], kw["quiet"]) for kw in shown] == [(7, 0, quiet), (7, 3, quiet)]


def test_caches_are_kept_where_caches_are(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_cache(corpus_of(MIXED))
    assert len(list((tmp_path / "trill-speech").iterdir())) == 2  # and its lock
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.default_folder() == Path.home() / ".cache" / "trill-speech"


def test_a_long_corpus_needs_no_memory(tmp_path):
    """64 MB of samples, 128 MB as they come."""
    base = sound(80_000)
    corpus = Corpus("long", lambda skip, rate: ((f"{i}", np.roll(base, i)) for i in range(skip, 400)))
    tracemalloc.start()
    found = open_cache(corpus, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.samples.nbytes == 64_000_000
    assert peak < 4e6


# What stops a filling, and how it goes on.


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
@pytest.mark.parametrize("after", range(len(MIXED)))
def test_a_stopped_filling_goes_on(tmp_path, whole, after, error):
    with pytest.raises(error) as stop:
        open_cache(corpus_of(MIXED, stop=(after, error)), tmp_path)
    if error is not ValueError:
        assert stop.value.__notes__[-1].startswith(f"What is decoded is kept in {tmp_path}/")
        assert stop.value.__notes__[-1].endswith(".partial: the same command goes on from there.")
    asked = []
    open_cache(corpus_of(MIXED, asked=asked), tmp_path)
    assert asked == list(MIXED)[after:]
    assert content(tmp_path) == whole


GOOD = b'{"name": "x", "length": 7, "sha256": ""}\n'
GARBAGE = [b"", b"\0\0", GOOD[:-1], GOOD[:20], GOOD.replace(b"7", b"-7"), b"[]\n", b"\xff\n"]


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(GARBAGE))
def test_what_a_crash_cut_off_is_decoded_again(tmp_path_factory, whole, of_index, of_samples, garbage):
    """Files cut anywhere, with anything after the cut, as after a power cut."""
    folder = tmp_path_factory.mktemp("cut")
    with pytest.raises(KeyboardInterrupt):
        open_cache(corpus_of(MIXED, stop=(6, KeyboardInterrupt)), folder)
    (partial,) = folder.glob("*.partial")
    for name, kept in ((cache.INDEX, of_index), (cache.SAMPLES, of_samples)):
        data = (partial / name).read_bytes()
        (partial / name).write_bytes(data[: round(kept * len(data))] + garbage * (name == cache.INDEX))
    open_cache(corpus_of(MIXED), folder)
    assert content(folder) == whole


def test_a_full_disk_loses_nothing(tmp_path):
    """A limit on the size of files stops a write half way, as a disk does."""
    sounds = {f"{i}": sound(30_000, i) for i in range(10)}
    open_cache(corpus_of(sounds), tmp_path / "whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_001, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as full:
            open_cache(corpus_of(sounds), tmp_path / "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert full.value.__notes__[-1].endswith(".partial: the same command goes on from there.")
    asked = []
    open_cache(corpus_of(sounds, asked=asked), tmp_path / "full")
    assert asked == list(sounds)[4:]
    assert content(tmp_path / "full") == content(tmp_path / "whole")


@pytest.mark.parametrize("sounds", [{"a.wav": "It is no sound.", "b.wav": "It is not."}, {}])
def test_a_corpus_without_sound_is_refused_and_tried_again(tmp_path, sounds):
    message = "got 2 that cannot, a.wav: It is no sound." if sounds else "got 0 that cannot"
    for _ in range(2):
        with pytest.raises(AudioError, match=f"a corpus needs sound that can be read, {message}"):
            open_cache(corpus_of(sounds), tmp_path)
    assert len(open_cache(corpus_of(MIXED), tmp_path)) == 4


def test_a_rate_of_nothing_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(encode(sound()))
    with pytest.raises(ValueError, match=r"target_rate must be positive, .*got 0"):
        open_cache(open_corpus(tmp_path), tmp_path / "caches", sample_rate=0)


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="a folder that takes no file even from root")
def test_a_folder_that_takes_no_file_is_named(tmp_path):
    with pytest.raises(PermissionError, match=r"/sys/x must take new files: .*\. Choose another folder"):
        open_cache(corpus_of(MIXED), "/sys/x")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="file must take new files: File exists"):
        open_cache(corpus_of(MIXED), tmp_path / "file")


def test_a_cache_is_read_where_nothing_can_be_written(tmp_path, monkeypatch):
    open_cache(corpus_of(MIXED), tmp_path)
    monkeypatch.setattr(cache, "lock", None)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert len(open_cache(corpus_of(MIXED), tmp_path)) == 4
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"not JSON\n",
        b"\xff\n",
        b"[1]\n",
        b"7\n",
        b"null\n",
        b"{}\n",
        b'{"name": "x"}\n',
        b'{"name": 3, "length": 7, "sha256": ""}\n',
        GOOD.replace(b"7", b"-7"),
        GOOD.replace(b"7", b"0"),
        GOOD.replace(b"7", b"7.5"),
        GOOD.replace(b"7", b'"7"'),
        GOOD.replace(b"7", b"1" + b"0" * 15),
        GOOD.replace(b"7", b"1" + b"0" * 30),
        GOOD.replace(b"7", b"1660") + GOOD.replace(b"7", b"-9"),  # as many as there are
        GOOD,
        GOOD[:-1],
    ],
)
@pytest.mark.parametrize("after", [b"", GOOD])
def test_a_damaged_index_is_an_error_and_no_allocation(tmp_path, index, after):
    open_cache(corpus_of(MIXED), tmp_path)
    (path,) = tmp_path.glob("*/index.jsonl")
    path.write_bytes(after + index)
    tracemalloc.start()
    with pytest.raises(AudioError, match=rf"Remove the damaged cache: rm -r {path.parent}$"):
        open_cache(corpus_of(MIXED), tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_an_emptied_cache_is_an_error(tmp_path):
    open_cache(corpus_of(MIXED), tmp_path)
    for path in tmp_path.glob("*/*"):
        os.truncate(path, 0)
    with pytest.raises(AudioError, match="Remove the damaged cache"):
        open_cache(corpus_of(MIXED), tmp_path)


@pytest.mark.parametrize("change", [-1, -2, 2, -3302])
def test_samples_of_another_size_are_an_error(tmp_path, change):
    open_cache(corpus_of(MIXED), tmp_path)
    (path,) = tmp_path.glob("*/samples.int16")
    os.truncate(path, 3302 + change)
    with pytest.raises(AudioError, match=rf"must hold the 3302 bytes .*, got {3302 + change}\. Remove .*: rm -r "):
        open_cache(corpus_of(MIXED), tmp_path)


# Several processes.

SOUNDS = 200


def many(ledger=None, seconds=0.0):
    """A corpus that takes its time, and writes down what it is asked for."""

    def read(skip, sample_rate):
        for number in range(skip, SOUNDS):
            if ledger:
                with ledger.open("a") as file:
                    file.write(f"{number}\n")
            time.sleep(seconds)
            yield f"{number}.wav", sound(2000 + number, number)

    return Corpus("many", read, SOUNDS)


def start(folder, ledger, seconds):
    command = [sys.executable, "-m", "tests.training.test_cache", str(folder), str(ledger), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def main(folder, ledger, seconds):
    found = open_cache(many(Path(ledger), float(seconds)), folder)
    print(json.dumps([len(found), int(found.samples.astype(np.int64).sum())]))  # noqa: T201


def test_processes_that_open_at_once_fill_once(tmp_path):
    processes = [start(tmp_path / "caches", tmp_path / "ledger", 0.005) for _ in range(3)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert told[0][0] == SOUNDS
    assert told[0] == told[1] == told[2]
    assert (tmp_path / "ledger").read_text().split() == [str(number) for number in range(SOUNDS)]


def test_a_killed_filling_goes_on_where_it_was(tmp_path):
    folder, ledger = tmp_path / "caches", tmp_path / "ledger"
    for kept in (20_000, 200_000, 500_000):
        process = start(folder, ledger, 0.005)
        deadline = time.monotonic() + 60
        while not any(file.stat().st_size > kept for file in folder.glob("*.partial/samples.int16")):
            assert process.poll() is None, "it was done before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    open_cache(many(ledger), folder)
    open_cache(many(), tmp_path / "again")
    assert content(folder) == content(tmp_path / "again")
    asked = [int(number) for number in ledger.read_text().split()]
    assert sorted(set(asked)) == list(range(SOUNDS))
    assert len(asked) <= SOUNDS + 3  # the one under way at each kill


def test_a_held_lock_is_refused_until_its_holder_is_gone(tmp_path):
    with (
        lock(tmp_path / "new" / "lock"),
        pytest.raises(BlockingIOError, match=r"new/lock is held by another run\. Wait for it, or choose another"),
        lock(tmp_path / "new" / "lock"),
    ):
        pass
    with lock(tmp_path / "new" / "lock"):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
