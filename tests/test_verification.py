"""Enrolment, normalised scores and thresholds against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trill
from tests.oracles import metrics
from tests.personal_voices import DIM, toy, voices
from trill import verification
from trill.personal.background import background_of
from trill.personal.linear import unit
from trill.verification import as_norm, eer, enrol, error_rates, threshold


def trials(seed, count=30):
    rng = np.random.default_rng(seed)
    same = rng.permutation(np.arange(count) % 3 == 0)
    return same, np.round(rng.normal(size=count) + same, 1)  # rounded: equal scores


@settings(deadline=None)
@given(st.integers(0, 200))
def test_rates_are_the_definition(seed):
    same, scores = trials(seed)
    levels, accepted, rejected = error_rates(same, scores)
    for level, false_accepts, misses in zip(levels, accepted, rejected, strict=True):
        assert false_accepts == pytest.approx(np.mean([score >= level for score in scores[~same]]))
        assert misses == pytest.approx(np.mean([score < level for score in scores[same]]))


@settings(deadline=None)
@given(st.integers(0, 200))
def test_eer_is_the_definition(seed):
    same, scores = trials(seed)
    assert eer(same, scores) == pytest.approx(metrics.eer(same, scores), abs=1e-12)


@settings(deadline=None)
@given(st.integers(0, 200), st.floats(0, 1))
def test_the_threshold_keeps_its_promise_and_no_lower_one_does(seed, share):
    same, scores = trials(seed)
    limit = threshold(same, scores, share)
    assert np.mean(scores[~same] >= limit) <= share + 1e-9
    lower = scores[scores < limit]
    if len(lower):
        assert np.mean(scores[~same] >= lower.max()) > share


def test_known_error_rates():
    same = [True, True, False, False]
    assert eer(same, [4, 3, 2, 1]) == 0
    assert eer(same, [1, 2, 3, 4]) == 1
    assert eer(same, [1, 1, 1, 1]) == 0.5
    assert threshold(same, [4, 3, 2, 1], 0) == 3
    assert threshold(same, [1, 2, 3, 4], 0) == np.inf


@pytest.mark.parametrize(
    ("same", "scores", "message"),
    [
        ([True, True], [1, 2], "of the same speaker and of others, both"),
        ([], [], "both, with a score each"),
        ([True, False], [1], r"got shapes \(2,\) and \(1,\)"),
        ([True, False], [1, np.nan], "must be finite"),
    ],
)
def test_what_are_no_trials(same, scores, message):
    with pytest.raises(ValueError, match=message):
        eer(same, scores)
    with pytest.raises(ValueError, match=message):
        threshold(same, scores)


def test_a_share_is_a_share():
    with pytest.raises(ValueError, match=r"false_accepts is a share in \[0, 1\], got 5"):
        threshold([True, False], [2, 1], 5)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(2, 7))
def test_as_norm_is_the_definition(seed, top):
    rng = np.random.default_rng(seed)
    scores, enrolled, tested = rng.normal(size=(3, 2)), rng.normal(size=(2, 7)), rng.normal(size=(3, 7))
    found = as_norm(scores, enrolled, tested, top)
    for test in range(3):
        for speaker in range(2):
            near_e, near_t = sorted(enrolled[speaker])[-top:], sorted(tested[test])[-top:]
            sides = [(scores[test, speaker] - np.mean(near)) / np.std(near) for near in (near_e, near_t)]
            assert found[test, speaker] == pytest.approx(np.mean(sides))


def test_the_enrolled_are_known_by_their_clips():
    rows = voices(4, 6)
    people = enrol({"anna": rows[0, :3], "ben": rows[1, :3]}, toy())
    assert people.speakers == ("anna", "ben")
    scores = people.scores(rows[:, 3:].reshape(-1, DIM))
    assert scores.shape == (12, 2)
    same = np.zeros((12, 2), bool)
    same[:3, 0] = same[3:6, 1] = True
    assert eer(same.ravel(), scores.ravel()) == 0
    assert np.abs(scores).max() <= 1 + 1e-6


def test_one_clip_against_one_clip_is_the_cosine():
    """Where no background is known."""
    rows = voices(2, 1)[:, 0]
    found = enrol({"a": rows[:1]}, toy()).scores(rows[1:])
    np.testing.assert_allclose(found[0], verification.cosine(rows, np.array([[0, 1]])), atol=1e-6)


def test_clips_are_placed_as_the_model_hears_speech():
    """Centred and levelled, both sides, where the background is packaged."""
    embedder = trill.load()
    space = background_of(embedder.card, embedder.embedding_dim)
    assert space.model == embedder.card.identity
    rows = np.abs(voices(1, 4, dim=embedder.embedding_dim)[0])
    mean = unit(unit(rows[:2]).mean(axis=0))
    placed = space.level(np.stack([mean, *unit(rows[2:])]))
    expected = verification.cosine(placed, np.array([[0, 1], [0, 2]]))
    np.testing.assert_allclose(enrol({"a": rows[:2]}, embedder).scores(rows[2:])[:, 0], expected, atol=1e-4)


def test_a_cohort_normalises(monkeypatch):
    monkeypatch.setattr(verification, "TOP", 5)
    rows, cohort = voices(3, 4), voices(9, 1, seed=4)[:, 0]
    bare, normed = (enrol({"a": rows[0, :2], "b": rows[1, :1]}, toy(), cohort=c) for c in (None, cohort))
    tests = rows[:, 2]
    place = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    others, heard = place(cohort), place(tests)
    expected = as_norm(bare.scores(tests), bare.centres @ others.T, heard @ others.T, 5)
    np.testing.assert_allclose(normed.scores(tests), expected, rtol=1e-4)
    assert enrol({"a": rows[0]}, toy(), cohort=np.ones((2, DIM))).scores(tests).shape == (3, 1), "no spread, no NaN"


@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        ({}, {}, "enrol needs a speaker or more"),
        ({"a": np.ones((0, DIM))}, {}, "a speaker needs a clip, 'a' has none"),
        ({"unknown": np.ones((1, DIM))}, {}, 'must not be "unknown"'),
        ({"a": np.ones((1, DIM)), "b": np.ones((1, 3))}, {}, r"dim 24, got shape \(1, 3\)"),
        ({"a": np.zeros((1, DIM))}, {}, "must not be zero"),
        ({"a": np.full((1, DIM), np.inf)}, {}, "must be finite"),
        ({"a": np.ones((1, DIM))}, {"cohort": np.ones((1, DIM))}, "a cohort needs two clips or more"),
        ({"a": np.ones((1, DIM))}, {"cohort": np.ones((5, 3))}, r"got shape \(5, 3\)"),
    ],
)
def test_what_cannot_be_enrolled(clips, options, message):
    with pytest.raises(ValueError, match=message):
        enrol(clips, toy(), **options)
