"""Few clips a class: nested, of as many speakers as there are, the same for a seed."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from noss.curves import learning_curve, subsample


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=3, max_size=80), st.integers(0, 9))
def test_parts_are_nested_balanced_and_of_many_speakers(clips, seed):
    labels, speakers = np.array(clips).T
    classes, counts = np.unique(labels, return_counts=True)
    sizes = [size for size in (1, 2, 3, 5, 8) if size <= counts.min()]
    assume(sizes)
    parts = subsample(labels, speakers, sizes, seed)
    for size, part, larger in zip(sizes, parts, [*parts[1:], np.arange(len(labels))], strict=True):
        assert np.unique(part).tolist() == part.tolist()
        assert set(part) <= set(larger)
        for label in classes:
            taken = part[labels[part] == label]
            assert len(taken) == size
            there = np.bincount(speakers[labels == label], minlength=6)
            used = np.bincount(speakers[taken], minlength=6)
            assert (used > 0).sum() == min(size, (there > 0).sum())
            assert ((used >= used.max() - 1) | (used == there)).all()  # in turn, until one has no more
    for part, again in zip(parts, subsample(labels, speakers, sizes, seed), strict=True):
        np.testing.assert_array_equal(part, again)


def test_each_clip_may_be_drawn():
    labels, speakers = np.repeat([0, 1], 12), np.tile(np.repeat(np.arange(4), 3), 2)
    drawn = np.bincount(np.concatenate([subsample(labels, speakers, [1], seed)[0] for seed in range(600)]))
    assert drawn.min() > 25
    assert drawn.max() < 85  # 50 each


def test_a_curve_of_scores():
    labels, speakers = np.arange(60) % 3, np.arange(60) // 6
    seen = []

    def score(clips):
        seen.append(clips)
        return len(clips) + clips[0] / 100

    curve = learning_curve(score, labels, speakers, sizes=(1, 4), seeds=(3, 5, 8))
    assert [len(clips) for clips in seen] == [3, 12] * 3
    assert curve.sizes == (1, 4)
    assert curve.scores[1] == tuple(12 + clips[0] / 100 for clips in seen[1::2])
    for scores, found in zip(curve.scores, curve.spreads, strict=True):
        assert (found.mean, found.sd, found.count) == (
            pytest.approx(np.mean(scores)),
            pytest.approx(np.std(scores, ddof=1)),
            3,
        )
    assert len(str(curve).splitlines()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [1, 4]}, r"as many clips as the largest size, 4, but b has 3\. Leave out larger sizes"),
        ({"sizes": []}, r"ascend from 1 or more, got \[\]\. Usual are 1, 2, 5, 10"),
        ({"sizes": [2, 1]}, r"ascend from 1 or more, got \[2, 1\]"),
        ({"sizes": [0, 1]}, r"got \[0, 1\]"),
        ({"labels": [*"ab"]}, r"a label and a speaker, got shapes \(2,\) and \(8,\)"),
        ({"labels": [], "speakers": []}, r"got shapes \(0,\)"),
        ({"labels": [1.0, *[math.nan] * 7]}, r"7 of them NaN or None\. Leave out"),
        ({"seeds": []}, "needs one seed or more, got none"),
        ({"score": lambda _: math.nan}, "finite numbers"),
    ],
)
def test_what_has_no_curve(change, message):
    given = {"score": len, "labels": [*"aaaaabbb"], "speakers": range(8), "sizes": [1, 3]}
    with pytest.raises(ValueError, match=message):
        learning_curve(**given | change)
