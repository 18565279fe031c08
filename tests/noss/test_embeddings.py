"""Embeddings on disk: computed once, known by content, there again after any end, and refused when they are none."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import noss.hashes
import noss.store
import trill
from noss.embeddings import embed
from noss.hashes import hash_files
from noss.representations.fingerprint import chirp, fingerprint
from noss.tasks.task import Utterance
from tests.sounds import encode, noise, tone
from trill import audio


class Counting:
    """Two windows a sound, `scale` times its mean and length; counts how often it is asked."""

    name, sample_rate = "counting-1", 16_000

    def __init__(self, scale=1.0, sample_rate=16_000):
        self.scale, self.sample_rate, self.calls = scale, sample_rate, 0

    def embed_windows(self, waveform):
        self.calls += 1
        row = np.array([self.scale * np.abs(waveform).mean(), len(waveform)])
        return np.stack([row, 2 * row])


@dataclasses.dataclass
class Given:
    """Whatever a function gives, but sound matrices for the test sounds."""

    function: object
    name: str = "given-1"
    sample_rate: int = 16_000
    clip_samples: int = 8_000

    def embed_windows(self, waveform):
        return self.function(waveform) if len(waveform) == self.clip_samples else waveform[:300].reshape(100, 3)


def utterances(folder, count=4, **kwargs):
    """Half a second of different noise each."""
    found = []
    for index in range(count):
        path = folder / f"{index}.wav"
        path.write_bytes(encode(noise(8_000, seed=index)))
        settle(path)
        found.append(Utterance(path, path.name, "a", "s", **kwargs))
    return found


def settle(path, age=60):
    """Let a file look as if it had not been touched for a while; its entry's time cannot be set."""
    then = time.time() - age
    os.utime(path, (then, then))


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    monkeypatch.setattr(noss.hashes, "SETTLED_SECONDS", 0.0)


def expected(clips, scale=1.0):
    rows = []
    for clip in clips:
        waveform = audio.read(clip.path)
        row = np.array([scale * np.abs(waveform).mean(), len(waveform)])
        rows += [row, 2 * row]
    return np.array(rows, np.float32)


def test_rows_stand_in_order_and_say_whose_they_are(tmp_path):
    clips = utterances(tmp_path)
    found = embed(Counting(), clips, tmp_path / "store", quiet=True)
    assert found.rows.dtype == np.float32
    assert found.starts.dtype == np.int64
    assert found.starts.tolist() == [0, 2, 4, 6, 8]
    assert found.failed == {}
    np.testing.assert_array_equal(found.rows, expected(clips))
    np.testing.assert_array_equal(found.of(2), found.rows[4:6])


def test_what_is_there_is_not_computed_again(tmp_path):
    clips = utterances(tmp_path)
    first, second = Counting(), Counting()
    before = embed(first, clips, tmp_path / "store", quiet=True)
    known = fingerprint(second)
    calls = second.calls
    again = embed(second, clips, tmp_path / "store", quiet=True, known=known)
    assert second.calls == calls
    np.testing.assert_array_equal(again.rows, before.rows)
    # in another order, a part of them, and one more
    more = [*reversed(clips[1:]), *utterances(tmp_path, 5)[4:]]
    found = embed(second, more, tmp_path / "store", quiet=True, known=known)
    assert second.calls == calls + 1
    np.testing.assert_array_equal(found.rows, expected(more))


def test_a_name_means_nothing(tmp_path):
    clips = utterances(tmp_path)
    embed(Counting(), clips, tmp_path / "store", quiet=True)
    renamed = []
    for index, clip in enumerate(clips):
        path = clip.path.rename(tmp_path / f"other {index}.wav")
        renamed.append(dataclasses.replace(clip, path=path, name=path.name, label="b"))
    representation = Counting()
    representation.name = "another name"
    known = fingerprint(representation)
    calls = representation.calls
    found = embed(representation, renamed, tmp_path / "store", quiet=True, known=known)
    assert representation.calls == calls
    np.testing.assert_array_equal(found.rows, expected(renamed))


def test_the_same_name_with_other_weights_or_rate_is_another(tmp_path):
    clips = utterances(tmp_path)
    kinds = [Counting(), Counting(scale=1 + 2**-20), Counting(sample_rate=8_000)]
    assert len({fingerprint(kind) for kind in kinds}) == 3
    embed(kinds[0], clips, tmp_path / "store", quiet=True)
    np.testing.assert_array_equal(
        embed(kinds[1], clips, tmp_path / "store", quiet=True).rows, expected(clips, scale=1 + 2**-20)
    )
    assert (embed(kinds[2], clips, tmp_path / "store", quiet=True).rows[0] != expected(clips)[0]).all()


@pytest.mark.parametrize("tap", ["embedding", "block5"])
def test_another_tap_or_hop_is_another(embedder, tap):
    assert fingerprint(embedder.using(tap=tap)) != fingerprint(embedder.using(tap=tap, hop_seconds=0.5))
    assert fingerprint(embedder.using(tap=tap)) != fingerprint(embedder.using(tap="final"))
    assert fingerprint(embedder.using(tap=tap)) == fingerprint(embedder.using(tap=tap))


def test_other_content_is_computed_even_with_the_size_and_time_of_before(tmp_path):
    clips = utterances(tmp_path)
    embed(Counting(), clips, tmp_path / "store", quiet=True)
    status = clips[1].path.stat()
    clips[1].path.write_bytes(encode(tone(0.5)))
    os.utime(clips[1].path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert clips[1].path.stat().st_size == status.st_size
    np.testing.assert_array_equal(embed(Counting(), clips, tmp_path / "store", quiet=True).rows, expected(clips))


def test_the_same_sound_twice_is_embedded_once(tmp_path):
    clips = utterances(tmp_path, 2)
    copy = tmp_path / "copy.wav"
    copy.write_bytes(clips[0].path.read_bytes())
    clips += [clips[0], dataclasses.replace(clips[0], path=copy, name="copy")]
    representation = Counting()
    known = fingerprint(representation)
    calls = representation.calls
    found = embed(representation, clips, tmp_path / "store", quiet=True, known=known)
    assert representation.calls == calls + 2
    np.testing.assert_array_equal(found.rows, expected(clips))


def test_parts_of_a_file_are_sounds_of_their_own(tmp_path):
    (clip,) = utterances(tmp_path, 1)
    spans = [(0.0, None), (0.1, 0.2), (0.1, None), (0.0, 0.2), (0.4, 9.0), (0.1, 0.2)]
    parts = [dataclasses.replace(clip, name=str(span), start=span[0], end=span[1]) for span in spans]
    found = embed(Counting(), parts, tmp_path / "store", quiet=True)
    waveform = audio.read(clip.path)
    for index, (start, end) in enumerate(spans):
        part = waveform[round(16_000 * start) : None if end is None else round(16_000 * end)]
        assert found.of(index)[0].tolist() == [np.float32(np.abs(part).mean()), len(part)]


def test_clips_that_cannot_be_read_cost_only_themselves(tmp_path):
    clips = utterances(tmp_path, 5)
    clips[0].path.unlink()
    clips[1].path.write_bytes(b"no sound")
    clips[2].path.write_bytes(b"")
    clips[3] = dataclasses.replace(clips[3], start=7.0)
    found = embed(Counting(), clips, tmp_path / "store", quiet=True)
    assert sorted(found.failed) == [0, 1, 2, 3]
    for position, reason in enumerate(
        [
            r"0\.wav.*No such file",
            r"1\.wav.*must be wav, flac",
            r"2\.wav.*0 bytes",
            r"sound from 7 s on, .* ends at 0\.5",
        ]
    ):
        assert re.search(reason, found.failed[position])
    assert found.starts.tolist() == [0, 0, 0, 0, 0, 2]
    np.testing.assert_array_equal(found.rows, expected(clips[4:]))
    mended = utterances(tmp_path, 5)
    assert embed(Counting(), mended, tmp_path / "store", quiet=True).failed == {}


def test_nothing_to_embed_is_an_empty_matrix(tmp_path):
    assert embed(Counting(), [], tmp_path / "store", quiet=True).rows.shape == (0, 0)
    (clip,) = utterances(tmp_path, 1)
    clip.path.unlink()
    found = embed(Counting(), [clip], tmp_path / "store", quiet=True)
    assert (found.rows.shape, found.starts.tolist(), list(found.failed)) == ((0, 0), [0, 0], [0])


def test_a_sound_too_long_for_one_piece_fails_and_a_part_of_it_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("noss.embeddings.MAX_SECONDS", 0.3)
    (clip,) = utterances(tmp_path, 1)
    found = embed(Counting(), [clip, dataclasses.replace(clip, start=0.2, end=0.4)], tmp_path / "store", quiet=True)
    assert "must be at most 0.3 s long to be embedded in one piece" in found.failed[0]
    assert len(found.rows) == 2


def test_an_embedder_embeds_as_it_does_alone(embedder, tmp_path):
    clips = utterances(tmp_path)
    parts = [*clips, dataclasses.replace(clips[0], start=0.1, end=0.3)]
    found = embed(embedder, parts, tmp_path / "store", quiet=True)
    alone = [embedder.embed(clip.path, pooling=None) for clip in clips]
    alone.append(embedder.embed_windows(audio.read(clips[0].path)[1_600:4_800]))
    np.testing.assert_array_equal(found.rows, np.concatenate(alone))


def test_a_representation_with_threads_is_called_from_several(tmp_path):
    class Threaded(Counting):
        threads = 3
        both = threading.Barrier(2, timeout=10)

        def embed_windows(self, waveform):
            if len(waveform) == 8_000:
                self.both.wait()  # passes only if two are here at once
            return super().embed_windows(waveform)

    clips = utterances(tmp_path)
    np.testing.assert_array_equal(embed(Threaded(), clips, tmp_path / "store", quiet=True).rows, expected(clips))


BAD = [
    (lambda x: np.full((2, 3), np.nan), r"must be finite.*given-1 gave nan at window 0, dimension 0 for 0\.wav"),
    (lambda x: np.array([[1.0, 2.0, 1e39]]), r"finite in float32, given-1 gave inf at window 0, dimension 2"),
    (lambda x: np.zeros(3), r"shape \(num_windows, dim\).*gave float64 \(3,\) for 0\.wav.*x\[None\]"),
    (lambda x: np.zeros((0, 3)), r"at least one window, given-1 gave float64 \(0, 3\)"),
    (lambda x: np.zeros((2, 3), complex), r"must give numbers.*complex128"),
    (lambda x: [["a", "b", "c"]], r"must give numbers.*<U1"),
    (lambda x: None, r"must give numbers.*object"),
    (lambda x: 1 / 0, r"must take any sound, given-1 failed on 0\.wav \(8000 samples at 16000 Hz\): ZeroDivisionError"),
    (
        lambda x: x[: 100 + int(1e6 * abs(x[0])) % 7][None],
        r"equally long, given-1 gave \d+ values for \d\.wav and \d+ bef",
    ),
]


@pytest.mark.parametrize(("function", "message"), BAD)
def test_a_bad_representation_is_named_with_the_clip(function, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        embed(Given(function), utterances(tmp_path), tmp_path / "store", quiet=True)


def test_what_came_before_a_bad_output_is_kept(tmp_path):
    clips = utterances(tmp_path)
    third = audio.read(clips[2].path)
    mistaken = Given(lambda x: np.full((1, 3), np.nan) if np.array_equal(x, third) else x[:6].reshape(2, 3))
    with pytest.raises(ValueError, match=r"2\.wav"):
        embed(mistaken, clips, tmp_path / "store", quiet=True, threads=1)
    calls = []
    mended = Given(lambda x: (calls.append(1), x[:6].reshape(2, 3))[1])
    assert embed(mended, clips, tmp_path / "store", quiet=True).rows.shape == (8, 3)
    assert len(calls) == 2


def test_a_sound_that_the_representation_refuses_fails_alone(tmp_path):
    clips = utterances(tmp_path)
    second = audio.read(clips[1].path)

    def refuse(x):
        if np.array_equal(x, second):
            raise trill.AudioError("too strange")
        return np.ones((1, 3))

    assert embed(Given(refuse), clips, tmp_path / "store", quiet=True).failed == {1: "too strange"}


def test_a_fingerprint_wants_the_same_numbers_twice():
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"same numbers for the same sound, given-1 did not\. Switch dropout"):
        fingerprint(Given(lambda x: random.random((3, 3)), clip_samples=len(chirp(16_000, 2))))
    with pytest.warns(UserWarning, match="rounds differently from call to call"):
        fingerprint(Given(lambda x: 1 + 1e-6 * random.random((3, 3)), clip_samples=len(chirp(16_000, 2))))


def test_a_file_that_changes_while_it_is_read_fails(tmp_path):
    (clip,) = utterances(tmp_path, 1)

    def change(x):
        clip.path.write_bytes(encode(noise(8_000, seed=9)))
        return np.ones((1, 3))

    found = embed(Given(change), [clip], tmp_path / "store", quiet=True)
    assert "must stay as it is while it is embedded, it changed" in found.failed[0]
    (clip,) = utterances(tmp_path, 1)
    assert embed(Given(lambda x: np.ones((1, 3))), [clip], tmp_path / "store", quiet=True).failed == {}


def test_many_rows_are_mapped_from_disk(tmp_path, monkeypatch):
    clips = utterances(tmp_path)
    monkeypatch.setattr(noss.store, "MAX_MEMORY", 10)
    found = embed(Counting(), clips, tmp_path / "store", quiet=True)
    assert isinstance(found.rows, np.memmap)
    np.testing.assert_array_equal(found.rows, expected(clips))
    assert {file.suffix for file in (tmp_path / "store").iterdir()} == {".journal", ".json", ".lock", ".sqlite"}


@pytest.mark.parametrize("damage", ["remove", "garble", "other journal", "cut the journal", "flip a byte"])
def test_a_damaged_store_is_mended(damage, tmp_path):
    clips = utterances(tmp_path)
    embed(Counting(), clips, tmp_path / "store", quiet=True)
    (index,) = (tmp_path / "store").glob("*.json")
    journal = index.with_suffix(".journal")
    whole = bytearray(journal.read_bytes())
    whole[-50] ^= 1
    {
        "remove": lambda: index.unlink(),
        "garble": lambda: index.write_text('{"header"'),
        "other journal": lambda: index.write_text(index.read_text().replace("fingerprint", "something")),
        "cut the journal": lambda: journal.write_bytes(whole[:-1]),
        "flip a byte": lambda: (journal.write_bytes(whole), index.unlink()),
    }[damage]()
    for _ in range(2):
        np.testing.assert_array_equal(embed(Counting(), clips, tmp_path / "store", quiet=True).rows, expected(clips))


def test_an_index_never_points_into_what_was_written_after_damage(tmp_path):
    clips = utterances(tmp_path)
    embed(Counting(), clips, tmp_path / "store", quiet=True)
    (index,) = (tmp_path / "store").glob("*.json")
    journal, stale = index.with_suffix(".journal"), index.read_bytes()
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-1])  # the last record is dropped when the journal is opened
    more = utterances(tmp_path, 6)[4:]
    embed(Counting(), more, tmp_path / "store", quiet=True)
    assert index.read_bytes() != stale
    np.testing.assert_array_equal(embed(Counting(), clips, tmp_path / "store", quiet=True).rows, expected(clips))


SLOW = """
import sys, time
import numpy as np
from pathlib import Path
from noss.embeddings import embed
from noss.tasks.task import Utterance

class Slow:
    name, sample_rate = "slow-1", 16_000
    calls = 0
    def embed_windows(self, waveform):
        if len(waveform) == 8_000:
            time.sleep(float(sys.argv[2]))
            Slow.calls += 1
            print("call", flush=True)
        return waveform[:300].reshape(100, 3)

folder = Path(sys.argv[1])
clips = [Utterance(path, path.name, "a", "s") for path in sorted(folder.glob("*.wav"))]
print("shape", embed(Slow(), clips, folder / "store", quiet=True).rows.shape, flush=True)
"""


def slow(folder, seconds):
    command = [sys.executable, "-c", SLOW, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_the_next_run_goes_on(tmp_path):
    utterances(tmp_path, 20)
    process = slow(tmp_path, 0.2)
    for _ in range(10):
        assert process.stdout.readline() == "call\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = slow(tmp_path, 0)
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    assert out.endswith("shape (2000, 3)\n")
    assert 10 <= out.count("call") <= 15  # those of the last half second were not on disk yet
    again, _ = slow(tmp_path, 0).communicate(timeout=60)
    assert again == "shape (2000, 3)\n"


def test_a_second_process_waits_and_then_reads(tmp_path):
    utterances(tmp_path, 8)
    processes = [slow(tmp_path, 0.2) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert all(out.endswith("shape (800, 3)\n") for out, _ in outputs)
    assert sum(out.count("call") for out, _ in outputs) == 8
    assert "waiting for it" in "".join(err for _, err in outputs)


def test_stopped_it_says_how_to_go_on(tmp_path):
    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        embed(Given(stop), utterances(tmp_path), tmp_path / "store", quiet=True, threads=1)
    assert "0 clips are kept in" in stopped.value.__notes__[0]


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"threads must be positive, got 0\. The default is 2\."):
        embed(Counting(), [], tmp_path, threads=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"embeddings need a folder, got .*file: .*Choose another"):
        embed(Counting(), [], tmp_path / "file", quiet=True)


def test_a_file_is_hashed_once(tmp_path, monkeypatch):
    paths = [clip.path for clip in utterances(tmp_path)]
    first = hash_files(paths, tmp_path / "index.sqlite", quiet=True)
    monkeypatch.setattr(noss.hashes, "sha256", lambda path: pytest.fail(f"{path} is hashed again"))
    assert hash_files([*paths, *paths], tmp_path / "index.sqlite", quiet=True) == first


def test_a_file_of_this_moment_is_hashed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(noss.hashes, "SETTLED_SECONDS", 2.0)
    path = tmp_path / "new"
    path.write_bytes(b"one")
    first = hash_files([path], tmp_path / "index.sqlite", quiet=True)[path]
    monkeypatch.setattr(noss.hashes, "stamp", lambda path: first.stamp)  # written again within a tick of the clock
    path.write_bytes(b"two")
    assert hash_files([path], tmp_path / "index.sqlite", quiet=True)[path].sha256 != first.sha256


def test_an_index_that_is_none_says_so(tmp_path):
    (tmp_path / "index.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(ValueError, match=r"index\.sqlite must be an index of hashes.*Remove it"):
        hash_files([], tmp_path / "index.sqlite", quiet=True)


def test_names_of_any_bytes(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.wav"))
    path.write_bytes(encode(tone(0.5)))
    found = embed(Counting(), [Utterance(path, "odd", "a", "s")], tmp_path / "store", quiet=True)
    assert found.rows.shape == (2, 2)
