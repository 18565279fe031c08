"""Few clips a class: nested, of as many speakers as there are, the same for a seed."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from noss.config import NOSS, REFEREE
from noss.curves import DRAWS, curve_config, largest_size, learning_curve, subsample
from noss.protocol import evaluate, interval, splits_of
from tests.noss.made import corpus, embeddings, task, utterances
from tests.oracles import protocol as oracle


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


# As a protocol.


def test_a_curve_by_hand():
    """Each split and draw: so many clips a class from train and dev, a fixed classifier, the plain test part."""
    labels, speakers, vectors = corpus(num_speakers=10, label=0.8)
    clips, config = utterances(labels, speakers), curve_config(NOSS)
    found = evaluate(task(), clips, embeddings(vectors), config, clips_a_class=4)
    splits, x = splits_of(task(), clips, NOSS), vectors.astype(np.float32)
    by_hand = []
    for split in splits:
        pool = np.sort(np.concatenate([split.train, split.dev]))
        for draw in range(DRAWS):
            part = pool[subsample(labels[pool], speakers[pool], [4], draw)[0]]
            a, b = oracle.standardised(x[part], x[split.test])
            fitted = LogisticRegression(C=0.01, tol=1e-7, max_iter=5000).fit(a, labels[part])
            by_hand.append(recall_score(labels[split.test], fitted.predict(b), average="macro"))
    assert [outcome.score for outcome in found.outcomes] == pytest.approx(by_hand, abs=1e-12)
    assert found.score == pytest.approx(np.mean(by_hand), abs=1e-12)
    assert {outcome.sizes["train"] for outcome in found.outcomes} == {12}
    plain = evaluate(task(), clips, embeddings(vectors), dataclasses.replace(config, name="noss"))
    for outcome, split in zip(found.outcomes[::DRAWS], plain.outcomes, strict=True):
        np.testing.assert_array_equal(outcome.items, split.items)
    spread = interval(found, rounds=200)
    assert spread.low < found.score < spread.high


def test_a_curve_rises_and_smaller_parts_lie_in_larger():
    labels, speakers, vectors = corpus(num_speakers=10, voice=0.5)
    clips, config = utterances(labels, speakers), curve_config(REFEREE)
    scores = [evaluate(task(), clips, embeddings(vectors), config, clips_a_class=n).score for n in (1, 4, 20)]
    assert scores == sorted(scores)
    assert scores[0] > 1 / 3


def test_the_protocol_of_a_curve_is_another():
    assert len({NOSS.id, REFEREE.id, curve_config(NOSS).id, curve_config(REFEREE).id}) == 4
    assert curve_config(NOSS).splits == NOSS.splits
    assert curve_config(REFEREE).pooled


def test_the_rarest_class_of_any_split_says_how_large():
    labels, speakers, _ = corpus(num_speakers=10)
    labels[np.flatnonzero(labels == "c")[7:]] = "a"  # seven are left
    splits = splits_of(task(split="clips"), utterances(labels, speakers), NOSS)
    counts = [np.sum(labels[np.union1d(split.train, split.dev)] == "c") for split in splits]
    assert largest_size(labels, splits, refit=True) == min(counts) < 7
    assert largest_size(labels, splits, refit=False) < min(counts)


def test_a_class_that_training_lacks_is_never_said():
    labels, speakers, vectors = corpus(num_speakers=8)
    parts = np.where(np.arange(len(labels)) < 72, "train", "test").tolist()
    labels[:72] = np.where(labels[:72] == "c", "b", labels[:72])
    found = evaluate(
        task(split="canonical"), utterances(labels, speakers, parts), embeddings(vectors), curve_config(NOSS),
        clips_a_class=3,
    )  # fmt: skip
    for outcome in found.outcomes:
        assert outcome.missing["train"] == ["c"]
        assert 2 not in outcome.predicted


@pytest.mark.parametrize(
    ("kind", "config", "size", "message"),
    [
        ("classification", NOSS, 1, r"nothing can be chosen, got \d+ settings"),
        ("classification", curve_config(NOSS), 500, "as many clips as the largest size, 500"),
        ("regression", dataclasses.replace(NOSS, aggregations=("mean",), normalisations=("none",),
                                           classifiers=(("ridge", (1.0,)),)), 1, "a task of regression"),
    ],
)  # fmt: skip
def test_what_has_no_curve_of_a_protocol(kind, config, size, message):
    labels, speakers, vectors = corpus(num_speakers=8)
    labels = labels if kind == "classification" else np.arange(len(labels)) / 7
    with pytest.raises(ValueError, match=message):
        evaluate(
            task(kind, "uar" if kind == "classification" else "mae"), utterances(labels, speakers),
            embeddings(vectors), config, clips_a_class=size,
        )  # fmt: skip
