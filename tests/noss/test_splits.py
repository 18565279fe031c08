"""What must hold for every split; what cannot be split, and what is said of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noss.splits import SplitRule, make_splits
from noss.tasks import CorpusError

CLIPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=8, max_size=120)
RULES = st.builds(SplitRule, seed=st.integers(0, 5), test_share=st.floats(0.1, 0.6), dev_share=st.floats(0.1, 0.5))


def columns(clips):
    labels, speakers = zip(*clips, strict=True)
    return np.array(labels), np.array([f"speaker {number}" for number in speakers])


def split_or_none(labels, speakers, kind, rule, **options):
    try:
        return make_splits(labels, speakers, kind, rule, **options)
    except CorpusError:
        return None


def parts(split):
    return split.train, split.dev, split.test


@settings(deadline=None)
@given(CLIPS, RULES)
def test_speakers_are_kept_whole_and_every_clip_is_used(clips, rule):
    labels, speakers = columns(clips)
    splits = split_or_none(labels, speakers, "speakers", rule)
    if splits is None:
        assert len(set(speakers)) < 3 or len(set(labels)) < 2
        return
    assert len({split.test.tobytes() for split in splits}) == len(splits) <= 5
    for split in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate(parts(split))), np.arange(len(labels)))
        assert not set(speakers[split.test]) & set(speakers[np.union1d(split.train, split.dev)])
        assert min(map(len, parts(split))) > 0
        if split.dev_by == "speaker":
            assert not set(speakers[split.train]) & set(speakers[split.dev])
        else:
            assert len(set(speakers[np.union1d(split.train, split.dev)])) == 1


@settings(deadline=None)
@given(CLIPS, RULES, st.booleans())
def test_by_clip_each_class_has_its_share(clips, rule, numbers):
    labels, speakers = columns(clips)
    if numbers:
        labels = np.arange(len(labels)) / 7
    splits = split_or_none(labels, speakers, "clips", rule)
    if splits is None:
        assert len(set(labels)) < 2 or len(labels) < 20
        return
    for split in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate(parts(split))), np.arange(len(labels)))
        for label in set(labels) if not numbers else ():
            count, tested = (labels == label).sum(), (labels[split.test] == label).sum()
            assert tested <= count * rule.test_share + 1
            assert (tested >= 1) if count >= 3 else (tested < count)


@settings(deadline=None)
@given(CLIPS, st.integers(0, 3))
def test_one_speaker_at_a_time(clips, seed):
    labels, speakers = columns(clips)
    splits = split_or_none(labels, speakers, "within speaker", SplitRule(seed=seed))
    enough = [
        speaker
        for speaker in set(speakers)
        if sum((labels[speakers == speaker] == label).sum() >= 3 for label in "abc") >= 2
    ]
    if splits is None:
        assert not enough
        return
    assert sorted({split.speaker for split in splits}) == sorted(enough)
    assert [split.group for split in splits] == sorted(split.group for split in splits)
    for split in splits:
        together = np.concatenate(parts(split))
        assert len(set(together)) == len(together)
        assert set(speakers[together]) == {split.speaker}
        assert set(labels[split.test]) == set(labels[split.train]) == set(labels[together])
        assert split.dev_by == "clip"


@settings(deadline=None)
@given(CLIPS, st.sampled_from(["speakers", "clips", "within speaker"]), st.integers(0, 3))
def test_the_same_seed_gives_the_same_splits(clips, kind, seed):
    labels, speakers = columns(clips)
    first, second = (split_or_none(labels, speakers, kind, SplitRule(seed=seed)) for _ in range(2))
    assert (first is None) == (second is None)
    for one, other in zip(first or [], second or [], strict=True):
        for part, again in zip(parts(one), parts(other), strict=True):
            np.testing.assert_array_equal(part, again)


def test_another_seed_gives_other_splits():
    labels, speakers = np.array([*"ab"] * 50), np.repeat(np.arange(20), 5).astype(str)
    tests = {
        split.test.tobytes()
        for seed in (0, 1)
        for split in make_splits(labels, speakers, "speakers", SplitRule(seed=seed))
    }
    assert len(tests) == 10


def test_shares_are_those_asked_for():
    labels, speakers = np.array([*"ab"] * 500), np.repeat(np.arange(100), 10).astype(str)
    for kind in ("speakers", "clips"):
        for split in make_splits(labels, speakers, kind, SplitRule()):
            assert len(split.test) == pytest.approx(300, abs=10)
            assert len(split.dev) == pytest.approx(140, abs=10)


@given(st.integers(5, 9), st.booleans())
def test_folds_test_every_clip_once(num_speakers, whole):
    speakers = np.repeat(np.arange(num_speakers), 12).astype(str)
    labels = np.array([*"ab"] * (6 * num_speakers))
    splits = make_splits(labels, speakers, "speakers" if whole else "clips", SplitRule(folds=5, dev_share=0.25))
    np.testing.assert_array_equal(np.sort(np.concatenate([split.test for split in splits])), np.arange(len(labels)))
    for split in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate(parts(split))), np.arange(len(labels)))
        if whole:
            owners = [set(speakers[part]) for part in parts(split)]
            assert sum(map(len, owners)) == num_speakers


def test_four_speakers_give_four_splits():
    splits = make_splits([*"ab"] * 40, np.repeat([*"wxyz"], 20), "speakers")
    assert len(splits) == 4
    assert sorted(tuple(split.test[[0, -1]]) for split in splits) == [(0, 19), (20, 39), (40, 59), (60, 79)]
    assert {split.dev_by for split in splits} == {"speaker"}


def test_of_two_speakers_one_is_tested_and_dev_is_cut_by_clip():
    splits = make_splits([*"ab"] * 20, np.repeat([*"xy"], 20), "speakers")
    assert [(len(split.test), split.dev_by) for split in splits] == [(20, "clip"), (20, "clip")]


def test_a_speaker_with_most_clips_is_never_tested():
    speakers = np.array(["anonymous"] * 70 + [f"s{index}" for index in range(30)])
    for split in make_splits([*"ab"] * 50, speakers, "speakers"):
        assert "anonymous" not in speakers[split.test]
        assert len(split.test) >= 29


def test_draws_with_all_classes_are_preferred():
    speakers = np.repeat(np.arange(20), 5)
    labels = np.where(speakers < 4, "rare", "frequent")
    for split in make_splits(labels, speakers, "speakers"):
        assert {len(set(labels[part])) for part in parts(split)} == {2}


def test_many_classes_of_few_clips():
    labels = np.repeat(np.arange(1251), 3).astype(str)
    for split in make_splits(labels, labels, "clips", SplitRule(num_splits=2)):
        assert len(set(labels[split.train])) == len(set(labels[split.test])) == 1251


# Canonical splits.

CANONICAL = ["train"] * 12 + ["test"] * 6
SPEAKERS = np.repeat([*"uvwxyz"], 3)


def test_canonical_parts_are_taken_as_they_are():
    given_parts = ["train"] * 9 + ["dev"] * 3 + ["test"] * 6
    (split,) = make_splits([*"abc"] * 6, SPEAKERS, "canonical", parts=given_parts)
    assert [part.tolist() for part in parts(split)] == [[*range(9)], [9, 10, 11], [*range(12, 18)]]
    assert split.dev_by == "corpus"


def test_a_missing_dev_part_is_cut_from_train_by_speaker():
    (split,) = make_splits([*"abc"] * 6, SPEAKERS, "canonical", parts=CANONICAL)
    assert split.test.tolist() == [*range(12, 18)]
    assert len(set(SPEAKERS[split.dev])) == 1
    assert not set(SPEAKERS[split.dev]) & set(SPEAKERS[split.train])


def test_who_is_to_be_recognised_stands_in_all_parts():
    people = np.array([*"abc"] * 6)
    (split,) = make_splits(people, people, "canonical", parts=CANONICAL)
    assert split.dev_by == "clip"
    assert set(people[split.train]) == set(people[split.test]) == {*"abc"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a"] * 9, SPEAKERS[:9], "clips"), r"at least two labels, all 9 clips have 'a'\. Nothing can be told apart"),
        (([*"ab"] * 3, ["x"] * 6, "speakers"), r"apart from 2 on here, got 1\. Add speakers, or split by clip"),
        (([*"ab"] * 3, [*"xyzxyz"], "within speaker"), r"two classes of 3 clips, none of the 3 has them"),
        (([*"ab"], [*"xy"], "speakers"), r"to train on and others to choose by, 2 do not do"),
    ],
)
def test_what_cannot_be_split(arguments, message):
    with pytest.raises(CorpusError, match=message):
        make_splits(*arguments)


@pytest.mark.parametrize(
    ("given_parts", "message"),
    [
        (["train"] * 10 + ["test"] * 8, r"must stand in one part, 1 stand in more: x \(test, train\)\. .* by speaker"),
        (["train"] * 18, r"needs train and test, got 18 and 0 clips"),
        (["train"] * 12 + [None] * 6, r"got 18 names for 18 clips, with None"),
        (["train", "test"], r"got 2 names for 18 clips\. Correct"),
    ],
)
def test_canonical_splits_that_are_refused(given_parts, message):
    with pytest.raises(CorpusError, match=message):
        make_splits([*"abc"] * 6, SPEAKERS, "canonical", parts=given_parts)


def test_an_overlap_that_the_task_explains_is_taken():
    given_parts = ["train"] * 10 + ["test"] * 8
    (split,) = make_splits([*"abc"] * 6, SPEAKERS, "canonical", parts=given_parts, overlap=True)
    assert len(split.test) == 8


def test_folds_need_speakers():
    with pytest.raises(CorpusError, match="apart from 5 on here, got 4"):
        make_splits([*"ab"] * 10, [*"wxyz"] * 5, "speakers", SplitRule(folds=5))
    with pytest.raises(CorpusError, match=r"5 folds need as many clips of a class"):
        make_splits([*"ab"] * 2, [*"wxyz"], "clips", SplitRule(folds=5))


@pytest.mark.parametrize("wrong", [{"test_share": 0}, {"dev_share": 1.0}, {"num_splits": 0}, {"folds": 1}])
def test_rules_that_are_none(wrong):
    with pytest.raises(ValueError, match=r"must be in \(0, 1\)|needs num_splits of 1 or more"):
        SplitRule(**wrong)


def test_a_label_and_a_speaker_for_each_clip():
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(1,\)"):
        make_splits(["a", "b"], ["x"], "clips")
