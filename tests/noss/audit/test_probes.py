"""Probes against scikit-learn and a loop; what permutations keep; how often a probe cries wolf."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import recall_score

from noss.audit import probes
from noss.audit.leaks import MAX_CLIPS, _fewer, anonymous
from noss.tasks import CorpusError, Utterance
from tests.noss.made import task, utterances


def made(seed, speakers=10, clips=6, classes=3, trait=False, leak=0.0):
    """Numbers that know the speaker, and as much of the label as `leak`."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(speakers), clips)
    labels = np.concatenate([rng.permutation(np.arange(clips) % classes) for _ in range(speakers)])
    if trait:
        labels = rng.permutation(np.arange(speakers) % classes)[who]
    columns = 2 * rng.normal(size=(speakers, 3))[who] + rng.normal(size=(len(who), 3)) + leak * labels[:, None]
    return labels, who.astype(str), columns


def ask(labels, speakers, columns, rounds=199, seed=0):
    folds = probes.make_folds(task(), utterances(labels.astype(str), speakers))
    targets = probes.permuted(labels, speakers, rounds, seed)
    return probes.probe(probes.rank_kernel(columns), targets, folds, True)


def test_every_round_is_a_kernel_ridge_by_scikit_learn():
    labels, speakers, columns = made(0, leak=0.5)
    kernel = probes.rank_kernel(columns)
    folds = probes.make_folds(task(), utterances(labels.astype(str), speakers))
    targets = probes.permuted(labels, speakers, 3, 0)
    found = probes.predict(kernel, folds, targets, True)
    for row, truth in zip(found, targets, strict=True):
        by_hand = []
        for train, test in folds.parts:
            shares = np.stack([truth[train] == code for code in range(3)], axis=1).astype(float)
            model = KernelRidge(alpha=probes.PENALTY, kernel="precomputed")
            model.fit(kernel[np.ix_(train, train)], shares - shares.mean(axis=0))
            answer = shares.mean(axis=0) + model.predict(kernel[np.ix_(test, train)])
            by_hand += list((answer / shares.mean(axis=0)).argmax(axis=1))
        assert row.tolist() == by_hand
    scores = probes.scores_of(targets[:, folds.tested], found, True)
    expected = [recall_score(a[folds.tested], b, average="macro") for a, b in zip(targets, found, strict=True)]
    assert scores == pytest.approx(expected)


def test_numbers_are_predicted_and_scored_by_correlation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1))
    numbers = x[:, 0] + 0.1 * rng.normal(size=60)
    folds = probes.make_folds(task("regression", "mae"), utterances(numbers, np.arange(60) // 6))
    found = probes.predict(probes.rank_kernel(x), folds, numbers[None], False)
    score = probes.scores_of(numbers[None, folds.tested], found, False)[0]
    assert score == pytest.approx(np.corrcoef(numbers[folds.tested], found[0])[0, 1])
    assert score > 0.9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=30), st.integers(0, 9))
def test_a_permutation_keeps_what_a_speaker_says_or_moves_it_whole(pairs, seed):
    labels, speakers = np.array(pairs).T
    found = probes.permuted(labels, speakers, 5, seed)
    assert found[0].tolist() == labels.tolist()
    single = {who for who in set(speakers.tolist()) if len(set(labels[speakers == who].tolist())) == 1}
    for row in found[1:]:
        moved = Counter()
        for who in set(speakers.tolist()):
            said = row[speakers == who].tolist()
            if who in single:
                assert len(set(said)) == 1
                moved[said[0]] += 1
            else:
                assert Counter(said) == Counter(labels[speakers == who].tolist())
        assert moved == Counter(labels[speakers == who].tolist()[0] for who in single)


@pytest.mark.parametrize("trait", [False, True])
def test_it_seldom_cries_wolf(trait):
    """At 5 %; clips permuted as if they were independent would be alarmed by most traits."""
    found = [ask(*made(seed, speakers=15, trait=trait), seed=seed).p for seed in range(80)]
    assert np.mean(np.array(found) <= 0.05) <= 0.125  # 10 of 80 or fewer: 99 % of the time at 5 %


def test_and_sees_a_leak():
    found = [ask(*made(seed, leak=3), seed=seed).p for seed in range(10)]
    assert np.mean(np.array(found) <= 0.01) >= 0.9


def test_clips_that_were_permuted_freely_would_alarm():
    """Why speakers are permuted as wholes: the test can fail."""
    alarms = 0
    for seed in range(20):
        labels, speakers, columns = made(seed, speakers=15, trait=True)
        folds = probes.make_folds(task(), utterances(labels.astype(str), speakers))
        free = probes.permuted(labels, np.arange(len(labels)).astype(str), 199, seed)
        alarms += probes.probe(probes.rank_kernel(columns), free, folds, True).p <= 0.05
    assert alarms >= 5


@pytest.mark.parametrize("split", ["speakers", "clips", "canonical", "within speaker"])
def test_folds_are_those_of_the_task(split):
    labels, speakers, _ = made(0, clips=9)
    parts = np.array(["train", "dev", "test"])[np.array([*map(int, speakers)]) % 3]
    clips = utterances(labels.astype(str), speakers, parts)
    for train, test in probes.make_folds(task(split=split), clips).parts:
        assert not set(train) & set(test)
        shared = set(speakers[train]) & set(speakers[test])
        assert bool(shared) == (split in ("clips", "within speaker"))
        if split == "canonical":
            assert set(parts[test]) == {"test"}
            assert set(parts[train]) == {"train", "dev"}


def test_too_few_clips_are_an_answer():
    with pytest.raises(CorpusError, match="too few to hold some out"):
        probes.make_folds(task(split="clips"), utterances(["a", "b"], ["x", "y"]))


@pytest.mark.parametrize(
    ("name", "speaker", "left"),
    [
        ("audio/0007_anna.wav", "anna", "audio/0007_"),
        ("Anna-Smith/x.wav", "anna smith", "/x"),
        ("a.b/x.y.wav#1.5", "nobody", "a.b/x.y"),
        ("x.wav", "?x.wav", "x"),
    ],
)
def test_speakers_are_taken_out_of_names(name, speaker, left):
    assert anonymous(Utterance(Path(name), name, "a", speaker)) == left


def test_a_large_corpus_is_probed_by_whole_speakers():
    clips = utterances(["a"] * 6_000, np.arange(6_000) // 10)
    chosen = _fewer(clips, 0)
    assert len(chosen) == MAX_CLIPS
    assert set(Counter(clips[position].speaker for position in chosen).values()) == {10}
    assert len(_fewer(utterances(["a"] * 6_000, np.arange(6_000) // 3_000), 0)) == MAX_CLIPS
