"""Targets on disk: what is written is what the teacher said, whenever it was stopped; what is not is refused."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from distill import basis, writing
from distill.hearing import Hearing, Recipe
from distill.targets import Manifest, TargetsError, check_corpus, num_frames, open_targets
from distill.writing import write_targets
from tests.distill.made import HOP, Teacher, make_cache
from tests.runs import make_corpus
from trill.errors import ModelError
from trill.training import corpora
from trill.training.cache import open_cache

RECIPE = Recipe((1, 2), components=3, dtype="float32")
PAGE = Path(__file__).parents[2] / "docs/targets-format.md"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("corpus"))[1]


@pytest.fixture
def write(cache, tmp_path):
    def written(teacher=None, recipe=RECIPE, output="targets", clips=cache, **options):
        return write_targets(teacher or Teacher(), clips, tmp_path / output, recipe, quiet=True, **options)

    return written


def said(teacher, cache, clip, recipe):
    """By hand: what a teacher says of a clip and the silence after it."""
    waveform = cache.window(clip, 0, cache.lengths[clip] + round(recipe.tail_seconds * cache.sample_rate))
    waveform = np.pad(waveform, (0, -len(waveform) % HOP))
    states = teacher.hidden_states(waveform[None])
    return np.concatenate([states[layer][0] for layer in recipe.layers], axis=1).astype(np.float64)


def by_hand(teacher, cache, recipe):
    """Standardised over all clips (there are fewer than `FIT_CLIPS`), on the leading eigenvectors, of mean square 1."""
    clips = [said(teacher, cache, clip, recipe) for clip in range(len(cache))]
    every = np.concatenate(clips)
    mean, scale = every.mean(axis=0), every.std(axis=0)
    values, vectors = np.linalg.eigh(np.cov((every - mean) / scale, rowvar=False, bias=True))
    directions = vectors[:, ::-1][:, : recipe.components]
    kept = [((clip - mean) / scale) @ directions for clip in clips]
    level = np.sqrt(np.mean(np.square(np.concatenate(kept))))
    share = values[::-1][: recipe.components].sum() / values.sum()
    return [clip / level for clip in kept], share


# What is written.


def test_targets_are_what_the_teacher_says(write, cache, tmp_path):
    manifest = write()
    found = open_targets(tmp_path / "targets")
    check_corpus(found, cache)
    expected, share = by_hand(Teacher(), cache, RECIPE)
    assert manifest.explained == pytest.approx(share, abs=1e-6)
    assert (manifest.dim, manifest.hop_samples, manifest.layers) == (3, HOP, (1, 2))
    for clip, frames in enumerate(expected):
        ours = found.frames[found.starts[clip] : found.starts[clip + 1]]
        signs = np.sign((ours * frames).sum(axis=0))
        np.testing.assert_allclose(ours, frames * signs, atol=2e-3)
        heard = num_frames(cache.lengths[clip], HOP)
        np.testing.assert_allclose(found.clips[clip], ours[:heard].mean(axis=0), atol=1e-6)


def test_without_components_values_are_standardised(write, tmp_path):
    write(recipe=Recipe((2,), tail_seconds=0))
    frames = open_targets(tmp_path / "targets").frames
    assert frames.dtype == np.float16
    np.testing.assert_allclose(frames.astype(np.float32).mean(axis=0), 0, atol=2e-3)
    np.testing.assert_allclose(frames.astype(np.float32).std(axis=0), 1, atol=2e-3)


def test_a_mean_of_layers_and_a_tap(write, tmp_path):
    write(recipe=Recipe((0, 2), combine="mean", dtype="float32"), output="mean")
    write(recipe=Recipe(tap="layer1", dtype="float32"), output="tap")
    # The teacher's layers are multiples of one another: standardised, they are one.
    mean, tap = open_targets(tmp_path / "mean").frames, open_targets(tmp_path / "tap").frames
    np.testing.assert_allclose(mean, tap, atol=1e-4)


@pytest.mark.parametrize(("keep", "missing"), [("frames", "clips"), ("clips", "frames")])
def test_only_what_is_asked_for_is_kept(write, tmp_path, keep, missing):
    write(recipe=Recipe((1,), keep=keep))
    assert getattr(open_targets(tmp_path / "targets"), missing) is None
    assert not (tmp_path / "targets" / f"{missing}.npy").exists()


def test_a_constant_value_is_zero():
    frames = np.random.default_rng(0).normal(size=(100, 2))
    found = basis.fit([np.column_stack([frames, np.full(100, 7.0)])], None)
    np.testing.assert_allclose(found(np.array([[0.0, 0.0, 7.0]]))[0, 2], 0, atol=1e-6)


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("length", [1, 319, 320, 321, 16_000, 31 * 16_000 + 5])
def test_every_clip_has_its_frames(length, ahead):
    """Of any length, in parts of 30 s, also where the last frames look ahead."""

    class Ahead(Teacher):
        def hidden_states(self, waveform, lengths=None):
            return [state[:, : state.shape[1] - ahead] for state in super().hidden_states(waveform)]

    waveform = np.random.default_rng(0).normal(0, 0.1, length).astype(np.float32)
    hear = Hearing(Ahead(), Recipe((1,)))
    assert hear.hop == HOP
    padded = np.pad(waveform, (0, -length % HOP))
    np.testing.assert_array_equal(hear(waveform), Teacher().hidden_states(padded[None])[1][0])


def test_a_hop_that_is_not_told_is_found():
    teacher = Teacher(hop=None)
    assert Hearing(teacher, Recipe((1,))).hop == HOP


# Stopped, and gone on with.


class Stop(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("threads", [1, 2])
def test_stopped_anywhere_it_ends_the_same(write, tmp_path, monkeypatch, threads):
    """Each process is allowed a few clips more than the one before; none had time to tidy up."""
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0.0)
    write(output="whole")
    stopped = 0
    for allowed in range(3, 14):

        def before(heard, waveform, allowed=allowed):
            if heard > allowed:
                raise Stop
            return waveform

        try:
            write(Teacher(before=before), threads=threads)
            break
        except Stop:
            stopped += 1
            assert not (tmp_path / "targets").exists()
    assert stopped >= 5
    write(threads=threads)
    assert_same_folder(tmp_path / "targets", tmp_path / "whole")


def assert_same_folder(one, other):
    assert sorted(os.listdir(one)) == sorted(os.listdir(other))
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_clips_that_are_there_are_not_heard_again(write, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0.0)
    teacher = Teacher(before=lambda heard, waveform: _raise() if heard > 2 + 6 + 4 else waveform)
    with pytest.raises(Stop):
        write(teacher, threads=1)
    again = Teacher()
    write(again, threads=1)
    assert again.heard == 2 + 2  # to look at it, and the two that were missing


def _raise():
    raise Stop


def test_half_written_rows_are_cut_off(write, tmp_path, monkeypatch):
    """As after a power cut: rows and half a line of the journal beyond what was synced."""
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0.0)
    write(output="whole")
    with pytest.raises(Stop):
        write(Teacher(before=lambda heard, waveform: _raise() if heard > 12 else waveform), threads=1)
    partial = tmp_path / "targets.partial"
    for name in ("frames.npy", "clips.npy"):
        with (partial / name).open("ab") as file:
            file.write(b"half a row")
    with (partial / "journal.jsonl").open("ab") as file:
        file.write(b"5")
    write()
    assert_same_folder(tmp_path / "targets", tmp_path / "whole")


def test_the_same_call_does_nothing(write, tmp_path):
    write()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "targets").iterdir()}
    assert write() == open_targets(tmp_path / "targets").manifest
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "targets").iterdir()} == before


# What is refused, and nothing is written over.


@pytest.mark.parametrize("state", ["whole", "partial"])
def test_targets_of_another_are_not_written_over(write, tmp_path, state):
    if state == "whole":
        write()
    else:
        with pytest.raises(Stop):
            write(Teacher(before=lambda heard, waveform: _raise() if heard > 10 else waveform))
    folder = tmp_path / ("targets" if state == "whole" else "targets.partial")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = make_cache(tmp_path / "other", 5)[1]
    for words, options in {
        "teacher is": {"teacher": Teacher(scale=2.0)},
        "layers is": {"recipe": Recipe((1,), components=3, dtype="float32")},
        "corpus is": {"clips": other},
    }.items():
        with pytest.raises(TargetsError, match=f"{folder} holds other targets: {words} .+rm -r {folder}"):
            write(**options)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_with_something_else_is_not_written_over(write, tmp_path):
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets/mine.txt").write_text("mine")
    with pytest.raises(TargetsError, match="holds other targets"):
        write()
    assert os.listdir(tmp_path / "targets") == ["mine.txt"]


def test_a_teacher_that_gives_no_number(write, tmp_path):
    def broken(heard, waveform):
        return waveform * np.nan if heard > 2 + 6 + 3 else waveform

    with pytest.raises(TargetsError, match=r"must give numbers, fake-teacher gives NaN or infinity for .+3\.wav"):
        write(Teacher(before=broken), threads=1)
    assert not (tmp_path / "targets").exists()
    write()


def test_values_too_large_for_float16(write, monkeypatch):
    frames = basis.Basis.__call__
    monkeypatch.setattr(basis.Basis, "__call__", lambda self, rows: frames(self, rows) * 1e6)
    with pytest.raises(TargetsError, match=r"gives NaN or infinity .+ store float32"):
        write(recipe=Recipe((1,)))


WRONG = {
    "rate": ({"teacher": Teacher(sample_rate=8_000)}, "fake-teacher hears 8000 Hz, the corpus is decoded at 16000 Hz"),
    "layer": ({"recipe": Recipe((3,))}, r"layers of fake-teacher are 0 .+ to 2, got 3"),
    "components": (
        {"recipe": Recipe((1,), components=7)},
        r"components must be in \[1, 6\], the teacher's width, got 7",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_teacher_cannot_leaves_nothing_in_the_way(write, name):
    options, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        write(**options)
    write()


def test_a_teacher_of_whole_clips_has_no_frames(write, tmp_path):
    class Whole(Teacher):
        def hidden_states(self, waveform, lengths=None):
            return [state.mean(axis=1, keepdims=True) for state in super().hidden_states(waveform)]

    with pytest.raises(ValueError, match=r"says one thing of a clip, and has no frames\. Keep clips: --keep clips"):
        write(Whole(hop=None))
    write(Whole(hop=None), Recipe((1,), keep="clips"))
    assert open_targets(tmp_path / "targets").clips.shape == (6, 6)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"combine": "sum"}, "combine must be one of concat, mean, got 'sum'"),
        ({"layers": (1,), "tap": "layer1"}, "of layers or of a tap"),
        ({"tail_seconds": -1}, "tail_seconds must be in"),
    ],
)
def test_what_cannot_be_kept(fields, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**fields)


# What is on disk is not believed.


@pytest.fixture
def folder(write, tmp_path):
    write()
    return tmp_path / "targets"


def change(folder, **fields):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **fields}))


def test_targets_of_other_sound(folder, tmp_path):
    other = make_cache(tmp_path / "other", 5)[1]
    with pytest.raises(TargetsError, match="these are of other sound: 6 clips, and the corpus has 5"):
        check_corpus(open_targets(folder), other)


def test_targets_of_moved_sound_are_of_that_sound(folder, tmp_path):
    """They cost days; a path is nothing to them."""
    moved = make_corpus(tmp_path / "elsewhere")
    check_corpus(open_targets(folder), open_cache(corpora.join([moved]), tmp_path / "cache", quiet=True))


def test_targets_of_another_rate(folder, tmp_path):
    cache = make_cache(tmp_path / "other", 6, sample_rate=8_000)[1]
    with pytest.raises(TargetsError, match="fake-teacher heard 16000 Hz, the student's front end takes 8000 Hz"):
        check_corpus(open_targets(folder), cache)


def test_frames_shorter_than_their_clip(folder, cache):
    change(folder, hop_samples=160)
    with pytest.raises(TargetsError, match=r"frames must cover their clip, .+ frames of 160; .+ Is hop_samples right"):
        check_corpus(open_targets(folder), cache)


def test_targets_with_a_number_that_is_none(folder):
    frames = np.load(folder / "frames.npy")
    frames[3] = np.nan
    np.save(folder / "frames.npy", frames)
    found = open_targets(folder)
    with pytest.raises(TargetsError, match="must be finite, those of fake-teacher for clip 0 are not"):
        found.window(0, 0, 8)


DAMAGE = {
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "a folder with manifest.json"),
    "no JSON": (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read as one"),
    "a list": (lambda folder: (folder / "manifest.json").write_text("[]"), "cannot be read as one"),
    "another key": (lambda folder: change(folder, run="rm"), "cannot be read as one: .+run"),
    "no number": (lambda folder: change(folder, dim="3"), "dim of targets must be int, got '3'"),
    "a huge number": (lambda folder: change(folder, num_clips=10**20), "num_clips of targets must be positive"),
    "another form": (lambda folder: change(folder, format=2), "must have format 1, got 2"),
    "another dtype": (lambda folder: change(folder, dtype="object"), "dtype of targets must be one of"),
    "another size": (lambda folder: change(folder, dim=4), r"frames.npy must be float32 of shape \(\d+, 4\)"),
    "no frames": (
        lambda folder: [(folder / name).unlink() for name in ("frames.npy", "clips.npy")],
        "need frames.npy or clips.npy",
    ),
    "no starts": (lambda folder: (folder / "starts.npy").unlink(), "need starts.npy"),
    "cut short": (
        lambda folder: (folder / "frames.npy").write_bytes((folder / "frames.npy").read_bytes()[:-4]),
        "frames.npy is no sound NumPy array",
    ),
    "falling starts": (
        lambda folder: np.save(folder / "starts.npy", np.load(folder / "starts.npy")[[0, 2, 1, 3, 4, 5, 6]]),
        "must begin with 0 and rise",
    ),
    "a pickle": (
        lambda folder: np.save(folder / "frames.npy", np.array([{}]), allow_pickle=True),
        "frames.npy is no sound NumPy array",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_said(folder, name):
    damage, words = DAMAGE[name]
    damage(folder)
    with pytest.raises(TargetsError, match=words):
        open_targets(folder)


def test_a_basis_that_is_none(tmp_path):
    (tmp_path / "basis.safetensors").write_text("This is none.")
    with pytest.raises(ModelError, match="is no basis of targets"):
        basis.Basis.load(tmp_path / "basis.safetensors")


# Written elsewhere.


def test_the_page_of_the_format_is_true(tmp_path, monkeypatch):
    """Its example makes targets that are taken."""
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    make_corpus(tmp_path / "recordings")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    exec(compile(code, PAGE.name, "exec"), {})  # noqa: S102
    found = open_targets("targets")
    check_corpus(found, open_cache(corpora.join(["recordings/"]), quiet=True))
    assert {field for field in Manifest.__dataclass_fields__ if f"`{field}`" not in PAGE.read_text()} == set()
    shutil.rmtree("targets")
