"""Pairs: scores by hand, what is chosen by what, and what it says to the rest."""

import dataclasses

import numpy as np
import pytest

from noss import trials as module
from noss.metrics import eer
from noss.protocol import NOSS, interval
from noss.splits import make_splits
from noss.tasks import CorpusError, Trials
from noss.trials import evaluate_trials
from noss.verification import cosine, fit_plda, plda_scores
from tests.noss.made import embeddings, task, utterances

TASK = task("verification", "eer", "canonical")
PLAIN = dataclasses.replace(NOSS, aggregations=("mean",), normalisations=("none",))


def voices(num_train=12, num_test=8, clips=6, dim=8, seed=0):
    """Utterances of speakers that train lacks, vectors, and all pairs of the test part."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(num_train + num_test), clips)
    loud = np.geomspace(8, 0.5, dim)  # what varies most says least of the speaker
    vectors = rng.normal(size=(num_train + num_test, dim))[speakers] + rng.normal(size=(len(speakers), dim)) * loud
    parts = np.where(speakers < num_train, "train", "test").tolist()
    first, second = np.triu_indices(num_test * clips, 1)
    start = num_train * clips
    trials = Trials(first + start, second + start, speakers[first + start] == speakers[second + start])
    return utterances(speakers.astype(str), speakers, parts), vectors, trials


def test_scores_by_hand():
    clips, vectors, trials = voices()
    found = evaluate_trials(TASK, clips, embeddings(vectors), trials, PLAIN, paper_selection=True)
    rows, pairs = vectors.astype(np.float32), np.stack([trials.enrol, trials.test], axis=1)
    speakers = np.array([each.speaker for each in clips])
    by_hand = {
        "cosine": eer(trials.same, cosine(rows, pairs)),
        "plda": eer(trials.same, plda_scores(fit_plda(rows[:72], speakers[:72]), rows, pairs)),
    }
    assert by_hand["plda"] < by_hand["cosine"]
    (outcome,) = found.outcomes
    assert outcome.setting.classifier == "plda"
    assert found.score == outcome.score == pytest.approx(by_hand["plda"], abs=1e-6)
    (split,) = make_splits(np.arange(120.0), speakers, "canonical", NOSS.splits, parts=[each.split for each in clips])
    dev_pairs, dev_same = module._drawn(split.dev, speakers, 0)
    fitted = fit_plda(rows[split.train], speakers[split.train])
    assert outcome.dev_score == pytest.approx(eer(dev_same, plda_scores(fitted, rows, dev_pairs)), abs=1e-6)
    assert outcome.sizes == {"train": 60, "dev": 12, "test": 48}
    assert outcome.dev_by == "speaker"
    assert found.paper["price"] == 0
    np.testing.assert_array_equal(found.pairs, pairs)
    assert interval(found, rounds=200).num_speakers == 8
    assert found.scores["d_prime"] > 0


def test_the_pairs_that_are_asked_about_choose_nothing():
    clips, vectors, trials = voices()
    others = Trials(trials.enrol, trials.test, np.random.default_rng(0).permutation(trials.same))
    one, two = (evaluate_trials(TASK, clips, embeddings(vectors), each, NOSS) for each in (trials, others))
    assert one.outcomes[0].setting == two.outcomes[0].setting
    np.testing.assert_array_equal(one.outcomes[0].predicted, two.outcomes[0].predicted)
    assert two.score == pytest.approx(0.5, abs=0.1)


def test_without_a_part_to_train_on_it_is_cosine():
    clips, vectors, trials = voices(num_train=0)
    found = evaluate_trials(TASK, clips, embeddings(vectors), trials, NOSS)
    assert str(found.outcomes[0].setting) == "mean, none, cosine 0"
    assert found.outcomes[0].dev_score is None
    assert found.skipped == {"plda": "nothing to train on, nothing to choose by"}


def test_a_clip_that_failed_takes_its_pairs_along():
    clips, vectors, trials = voices()
    failed = {0: "no sound", 100: "too long"}
    found = evaluate_trials(TASK, clips, embeddings(vectors, failed=failed), trials, PLAIN)
    assert found.failed == {"0.wav": "no sound", "100.wav": "too long"}
    assert len(found.pairs) == len(trials.same) - 47
    assert 100 not in found.pairs
    gone = embeddings(vectors, failed=dict.fromkeys(range(72, 120), "no sound"))
    with pytest.raises(CorpusError, match=r"both sorts, 0 of 1128 are left and of one\. 48 clips failed: no sound"):
        evaluate_trials(TASK, clips, gone, trials, PLAIN)


def test_of_many_pairs_some_are_kept_and_all_are_scored(monkeypatch):
    clips, vectors, trials = voices()
    every = evaluate_trials(TASK, clips, embeddings(vectors), trials, PLAIN)
    monkeypatch.setattr(module, "MAX_KEPT", 300)
    some = evaluate_trials(TASK, clips, embeddings(vectors), trials, PLAIN)
    assert some.score == every.score
    assert len(some.truth) == len(some.pairs) == len(some.outcomes[0].predicted) == 120 + 150
    assert some.skipped["pairs"] == "858 of 1128 are scored, but not kept"


def test_pairs_to_choose_by_are_of_both_sorts():
    clips = np.arange(40)
    speakers = np.repeat(np.arange(10), 4).astype(str)
    pairs, same = module._drawn(clips, speakers, 0)
    np.testing.assert_array_equal(speakers[pairs[:, 0]] == speakers[pairs[:, 1]], same)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert same.mean() == pytest.approx(0.5, abs=0.01)


def test_a_speaker_in_train_and_test_is_refused():
    clips, vectors, trials = voices()
    clips[0] = dataclasses.replace(clips[0], speaker=clips[-1].speaker)
    with pytest.raises(CorpusError, match=r"must stand in one part, 1 stand in more: 19 \(test, train\)"):
        evaluate_trials(TASK, clips, embeddings(vectors), trials, PLAIN)


def test_what_cannot_be_evaluated():
    clips, vectors, trials = voices()
    with pytest.raises(ValueError, match="needs a task of pairs, got classification"):
        evaluate_trials(task(), clips, embeddings(vectors), trials)
    with pytest.raises(ValueError, match="pairs need an aggregation into one vector"):
        evaluate_trials(
            TASK, clips, embeddings(vectors), trials, dataclasses.replace(NOSS, normalisations=("speaker",))
        )
