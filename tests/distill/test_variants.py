"""Altered copies of clips: a function of seed, clip and copy; clips like others in cache, targets and run."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import labels, students
from distill.hearing import Recipe
from distill.recipes import read_plan
from distill.targets import TargetsError, check_corpus, open_targets
from distill.variants import Variants, read_variants, varied, with_copies
from distill.writing import write_targets
from tests.distill.made import COLUMNS, WINDOW, Teacher, config, map_known
from tests.runs import assert_same_run, log, make_corpus
from trill.errors import AudioError
from trill.training import augment, corpora
from trill.training.cache import open_cache
from trill.training.corpora import Corpus

ROWS = {"speed": {"low": 0.8, "high": 1.25}, "equalise": {}, "reverberation": {"probability": 0.5}}
VARIANTS = Variants(ROWS, copies=2)
TABLE = {"copies": 2, **ROWS}
RATE = 16_000


@pytest.fixture(autouse=True, scope="module")
def _map():
    with map_known():
        yield


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("variants") / "sounds", 4)


def read(corpus, skip=0):
    return list(corpus.read(skip, RATE))


def of(*clips):
    """A corpus of these sounds, named by number."""
    named = [(f"{number}.wav", clip) for number, clip in enumerate(clips)]
    return Corpus("of", lambda skip, rate: iter(named[skip:]), len(named))


def sound(seed, length=4_000):
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


def assert_same(one, other):
    assert [name for name, _ in one] == [name for name, _ in other]
    for (name, waveform), (_, its) in zip(one, other, strict=True):
        np.testing.assert_array_equal(waveform, its, err_msg=name)


# What a copy is.


def test_each_clip_is_followed_by_its_copies(sounds):
    plain = corpora.join([sounds])
    corpus = varied(plain, VARIANTS)
    found = read(corpus)
    assert corpus.total == len(found) == 12
    assert_same(found[::3], read(plain))
    assert [name.rpartition("/")[2] for name, _ in found[:4]] == [
        "0.wav", "0.wav [variant 1]", "0.wav [variant 2]", "1.wav"
    ]  # fmt: skip
    for (_, clip), (_, one), (_, other) in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert 0.79 < len(clip) / len(one) < 1.26
        assert len({len(clip), len(one), len(other)}) == 3  # three speeds
        assert one.dtype == np.float32
        assert max(abs(one)) <= 1


def test_a_copy_is_what_its_effects_make_of_the_clip():
    """By hand, for effects that draw nothing: played twice as fast, then 6 dB down."""
    time = np.arange(16_000) / RATE
    clip = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    rows = {"speed": {"low": 2, "high": 2}, "gain": {"low_db": -6.0206, "high_db": -6.0206}}
    (_, _), (_, copy) = read(varied(of(clip), Variants(rows)))
    assert len(copy) == 8_000
    np.testing.assert_allclose(copy[200:7_800], 0.5 * clip[400:15_600:2], atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_a_copy_is_a_function_of_seed_clip_and_copy(seed, copies, before, threads):
    """Whatever is around it, how many there are, and where reading began."""
    some = dataclasses.replace(VARIANTS, seed=seed, copies=copies)
    clips = [sound(number) for number in range(before + 1)]
    whole = read(varied(of(*clips), some, threads))
    alone = read(varied(of(clips[-1]), dataclasses.replace(some, copies=4)))
    for (_, one), (_, other) in zip(whole[before * (copies + 1) :], alone, strict=False):
        np.testing.assert_array_equal(one, other)
    for skip in range(len(whole) + 1):
        assert_same(read(varied(of(*clips), some, threads), skip), whole[skip:])


def test_seed_copy_and_clip_make_a_difference():
    found = [waveform for _, waveform in read(varied(of(sound(0), sound(1)), VARIANTS))]
    others = [waveform for _, waveform in read(varied(of(sound(0)), dataclasses.replace(VARIANTS, seed=1)))]
    factors = [4_000 / len(copy) for copy in (*found[1:3], *found[4:], *others[1:])]
    assert len(set(factors)) == 6


def test_sound_that_was_moved_has_the_same_copies(sounds, tmp_path):
    moved = make_corpus(tmp_path / "elsewhere", 4)
    caches = [open_cache(varied(corpora.join([s]), VARIANTS), tmp_path / "c", quiet=True) for s in (sounds, moved)]
    assert caches[0].content == caches[1].content


def test_a_duplicate_is_one_clip_and_so_are_its_copies(tmp_path):
    cache = open_cache(varied(of(sound(0), sound(1), sound(0)), VARIANTS), tmp_path, quiet=True)
    assert len(cache) == 6
    assert cache.duplicates == {f"2.wav{suffix}": f"0.wav{suffix}" for suffix in ("", " [variant 1]", " [variant 2]")}


def test_what_cannot_be_read_is_so_once(tmp_path):
    corpus = varied(of("It is broken.", sound(0), np.zeros(0, np.float32)), VARIANTS)
    cache = open_cache(corpus, tmp_path / "cache", quiet=True)
    assert cache.failed == {"0.wav": "It is broken.", "2.wav": "It has no samples."}
    assert len(cache) == 3
    with pytest.raises(AudioError, match=r"got 3 that cannot, 0\.wav: It is broken"):
        open_cache(varied(of("It is broken."), VARIANTS), tmp_path / "none", quiet=True)


def test_a_cache_that_was_stopped_goes_on_within_the_copies_of_a_clip(sounds, tmp_path):
    whole = open_cache(varied(corpora.join([sounds]), VARIANTS), tmp_path / "whole", quiet=True)
    corpus = varied(corpora.join([sounds]), VARIANTS)
    skipped = []

    def stopping(skip, rate):
        skipped.append(skip)
        for number, found in enumerate(corpus.read(skip, rate)):
            if number == 2:
                raise KeyboardInterrupt
            yield found

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            open_cache(dataclasses.replace(corpus, read=stopping), tmp_path / "cache", quiet=True)
    again = open_cache(corpus, tmp_path / "cache", quiet=True)
    assert skipped == [0, 2, 4, 6, 8]
    assert (again.names, again.digests) == (whole.names, whole.digests)


def test_each_alteration_has_a_cache_of_its_own(sounds):
    plain = corpora.join([sounds])
    assert varied(plain, None) is plain
    slower = Variants({**ROWS, "speed": {"low": 0.7}}, copies=2)
    reordered = Variants(dict(reversed(ROWS.items())), copies=2)
    kinds = [VARIANTS, Variants(ROWS, copies=3), Variants(ROWS, copies=2, seed=1), slower, reordered]
    assert len({plain.fingerprint, *(varied(plain, kind).fingerprint for kind in kinds)}) == 6
    assert varied(plain, VARIANTS).fingerprint == varied(corpora.join([sounds]), VARIANTS).fingerprint


def test_a_corpus_of_unknown_size_stays_so():
    assert varied(Corpus("records", lambda skip, rate: iter(()), None), VARIANTS).total is None


# What a recipe says.


def test_a_table():
    assert read_variants(TABLE) == VARIANTS
    assert read_plan(config(COLUMNS, variants=TABLE).objective).variants == VARIANTS
    assert read_plan(config(COLUMNS).objective).variants is None


WRONG = {
    "no table": ([1], "variants must be a table"),
    "no copies": ({**TABLE, "copies": 0}, r"copies must be in \[1, 1,000\], got 0"),
    "half a copy": ({**TABLE, "copies": 0.5}, "copies of .+ must be a whole number"),
    "seed": ({**TABLE, "seed": -1}, r"seed must be in \[0, 2\*\*32\), got -1"),
    "no effect": ({"copies": 2}, "need an effect, one of gain, reverberation, .+, got none"),
    "noise": ({"copies": 2, "noise": {}}, "mixed in for the student alone"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_table_that_cannot_be(name):
    table, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        read_variants(table)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"echo": {}}, "augmentations must be among .+, got echo"),
        ({"speed": {"whole": True}}, "keys must be among low, high, probability, got whole"),
        ({"speed": {"low": 9}}, "augmentation speed: low and high must satisfy"),
    ],
)
def test_effects_that_cannot_be(sounds, tmp_path, rows, words):
    with pytest.raises(ValueError, match=words):
        open_cache(varied(corpora.join([sounds]), Variants(rows)), tmp_path, quiet=True)


def test_windows_keep_their_length():
    assert augment.build({"speed": {"low": 2, "high": 2}})(sound(0), np.random.default_rng(0)).shape == (4_000,)


def test_a_clip_and_its_copy_are_no_negatives():
    with pytest.raises(ValueError, match="takes triplet or variants, got both: a clip's copies would be its negatives"):
        read_plan(config(COLUMNS, variants=TABLE, triplet={}).objective)


# Labels.


def test_labels_follow(sounds, tmp_path):
    """A copy has its clip's label, and none of its own."""
    rows = [f"{sounds}/{number}.wav,s{number % 2},{number}" for number in range(3)]
    (tmp_path / "one.csv").write_text("\n".join(["path,speaker,age", *rows]))
    (tmp_path / "two.csv").write_text(f"path,speaker,age\n{sounds}/3.wav,,3")
    for sources in (["one.csv"], ["one.csv", "two.csv"]):
        sources = [tmp_path / name for name in sources]
        cache = open_cache(varied(corpora.join(sources), VARIANTS), tmp_path / "cache", quiet=True)
        column = with_copies(labels.read_column(sources, "speaker"), VARIANTS)
        found, kinds = labels.classes(column, cache)
        assert kinds == ["s0", "s1"]
        assert found.tolist() == np.repeat([0, 1, 0, -1][: len(cache) // 3], 3).tolist()
        ages = labels.numbers(with_copies(labels.read_column(sources, "age"), VARIANTS), cache, "age")
        assert len(set(ages)) == len(cache) // 3
        assert (ages.reshape(-1, 3) == ages[::3, None]).all()


# Targets and runs.


@pytest.fixture(scope="module")
def made(sounds, tmp_path_factory):
    """Targets of the varied corpus and of the plain one, in one folder."""
    folder = tmp_path_factory.mktemp("made")
    for name, variants in {"varied": VARIANTS, "plain": None}.items():
        cache = open_cache(varied(corpora.join([sounds]), variants), folder / "cache", quiet=True)
        write_targets(Teacher(), cache, folder / name, Recipe((1, 2), components=3), quiet=True)
    return folder


@pytest.fixture
def train(made, sounds, tmp_path):
    def trained(run="run", targets="varied", sources=(sounds,), options=None, **fields):
        recipe = config(COLUMNS, WINDOW, **fields)
        options = {"cache": made / "cache", "quiet": True, **(options or {})}
        return students.train(sources, tmp_path / run, recipe, [made / targets], **options)

    return trained


def test_a_student_learns_from_copies_and_goes_on(train, sounds, tmp_path):
    told = []
    (tmp_path / "corpus.csv").write_text(
        "\n".join(["path,speaker", *(f"{sounds}/{number}.wav,s{number}" for number in range(4))])
    )
    asked = {"variants": TABLE, "label": [{"column": "speaker"}], "sources": (tmp_path / "corpus.csv",)}
    train("whole", options={"told": told.append}, **asked)
    assert len(told[0]) == 12
    assert {"fake_columns", "fake_window", "label_speaker"} <= set(log(tmp_path / "whole")[0])

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(options={"report": stop}, **asked)
    assert train(**asked).step == 4
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_labels_of_copies_are_learnt(train, sounds, tmp_path, monkeypatch):
    rows = [f"{sounds}/{number}.wav,s{number}" for number in range(4)]
    (tmp_path / "corpus.csv").write_text("\n".join(["path,speaker", *rows]))
    asked, windows = [], students.Windows
    monkeypatch.setattr(students, "Windows", lambda *fields: (asked.append(fields[5]), windows(*fields))[1])
    train(variants=TABLE, label=[{"column": "speaker"}], sources=(tmp_path / "corpus.csv",), steps=2)
    assert asked[0]["label_speaker"].tolist() == np.repeat(range(4), 3).tolist()


def test_targets_of_other_copies_are_refused(train, made, sounds):
    for targets, variants in (("plain", TABLE), ("varied", None), ("varied", {**TABLE, "seed": 1})):
        fields = {"variants": variants} if variants else {}
        with pytest.raises(TargetsError, match="targets must be of the sound that is trained on"):
            train(f"{targets}-{variants}", targets=targets, **fields)
    other = open_cache(varied(corpora.join([sounds]), Variants(ROWS, copies=1)), made / "cache", quiet=True)
    with pytest.raises(TargetsError, match="12 clips, and the corpus has 8"):
        check_corpus(open_targets(made / "varied"), other)
    with pytest.raises(TargetsError, match="holds other targets: corpus is"):
        write_targets(Teacher(), other, made / "varied", Recipe((1, 2), components=3), quiet=True)


def test_a_run_goes_on_with_its_own_copies_alone(train):
    train(variants=TABLE)
    with pytest.raises(ValueError, match=r"objective\.variants\.seed"):
        train(variants={**TABLE, "seed": 1})
