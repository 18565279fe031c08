"""Aggregation, votes and normalisation against their definitions."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noss import features
from noss.features import Features, aggregate, blocks_of, normaliser, rows_of, vote
from tests.oracles import protocol as oracle


def windows(counts, dim=3, seed=0):
    rows = np.random.default_rng(seed).normal(size=(sum(counts), dim)).astype(np.float32)
    return SimpleNamespace(rows=rows, starts=np.cumsum([0, *counts]))


def of_clip(embeddings, clip):
    return embeddings.rows[embeddings.starts[clip] : embeddings.starts[clip + 1]]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20).filter(any), st.sampled_from(["mean", "max", "mean+std"]))
def test_aggregation_is_the_definition(counts, how):
    embeddings = windows(counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "MAX_BYTES", 48)  # four windows at a time
        found = aggregate(embeddings, how)
    assert found.rows.dtype == np.float32
    assert found.starts.tolist() == list(range(len(counts) + 1))
    for clip, count in enumerate(counts):
        expected = oracle.aggregate(of_clip(embeddings, clip), how) if count else np.zeros(found.dim)
        np.testing.assert_allclose(found.rows[clip], expected, atol=1e-6)


def test_windows_that_vote_stay_where_they_are():
    embeddings = windows([2, 3])
    assert aggregate(embeddings, "mode").rows is embeddings.rows


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=9))
def test_votes_are_the_definition(said):
    owners = np.repeat(np.arange(len(said)), [len(each) for each in said])
    found = vote(np.concatenate(said), owners, len(said))
    assert found.tolist() == [oracle.vote(each) for each in said]


@given(st.integers(0, 99))
def test_normalising_by_speaker_is_the_definition(seed):
    rng = np.random.default_rng(seed)
    clips = Features(rng.normal(size=(40, 3)).astype(np.float32) * 5 + 7, np.arange(41))
    clips.rows[:, 2] = 4  # stands still
    speakers = rng.integers(6, size=40).astype(str)
    training, judged = np.arange(0, 25), np.arange(25, 38)
    apply = normaliser("speaker", clips, speakers, training, judged).apply
    for part in (training, judged):
        expected = [oracle.by_speaker(clips.rows, speakers, training, judged, clip) for clip in part]
        np.testing.assert_allclose(apply(clips.rows[part], part), expected, atol=1e-5)


def test_it_says_whose_clips_it_saw():
    clips = Features(np.random.default_rng(0).normal(size=(30, 2)), np.arange(31))
    speakers = np.array(["heard"] * 10 + ["new"] * 10 + ["rare"] * 4 + ["heard"] * 6)
    training, judged = np.arange(10), np.arange(10, 30)
    found = normaliser("speaker", clips, speakers, training, judged)
    assert found.seen == {"training": 1, "judged": 1, "too few clips": 1}
    normalised = found.apply(clips.rows, np.arange(30))
    np.testing.assert_allclose(normalised[10:20].mean(axis=0), 0, atol=1e-6)  # by what is judged
    assert abs(normalised[24:].mean()) > 1e-3  # by what was heard in training


def test_windows_are_normalised_like_clips():
    embeddings = windows([3] * 12)
    clips = Features(embeddings.rows, embeddings.starts)
    speakers = np.repeat(["x", "y"], 6)
    found = normaliser("speaker", clips, speakers, np.arange(12), np.arange(0)).apply(
        clips.rows, np.repeat(np.arange(12), 3)
    )
    np.testing.assert_allclose(found[:18].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(found[18:].std(axis=0), 1, atol=1e-5)


def test_l2_gives_length_one_and_leaves_zero():
    rows = np.array([[3, 4], [0, 0]], np.float32)
    found = normaliser("l2", Features(rows, np.arange(3)), np.array(["x", "y"]), np.arange(2), np.arange(0))
    np.testing.assert_allclose(found.apply(rows, np.arange(2)), [[0.6, 0.8], [0, 0]])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 5))
def test_rows_to_learn_from_are_spread_over_the_clip(counts, most):
    embeddings = windows(counts)
    rows, owners = rows_of(Features(embeddings.rows, embeddings.starts), np.arange(len(counts)), most)
    for clip, count in enumerate(counts):
        mine = rows[owners == clip] - embeddings.starts[clip]
        assert len(mine) == min(count, most)
        assert (np.diff(mine) >= count // len(mine)).all()
        assert abs((mine + 0.5).mean() - count / 2) <= 0.5


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_blocks_are_all_rows_in_order(counts):
    embeddings = windows(counts)
    clips = Features(embeddings.rows, embeddings.starts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "MAX_BYTES", 48)
        blocks = list(blocks_of(clips, np.arange(len(counts))))
    rows, owners = rows_of(clips, np.arange(len(counts)))
    np.testing.assert_array_equal(np.concatenate([block[0] for block in blocks]), rows)
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]), owners)


def test_what_there_is_not():
    with pytest.raises(ValueError, match=r"aggregation must be one of mean, max, mode, mean\+std, got 'median'"):
        aggregate(windows([1]), "median")
    with pytest.raises(ValueError, match="normalisation must be one of none, l2, speaker, got 'l1'"):
        normaliser("l1", Features(np.zeros((1, 1)), np.arange(2)), np.array(["x"]), np.arange(1), np.arange(0))
