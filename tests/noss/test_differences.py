"""Which of two is better: by the same draws, against the truth of simulated corpora; over splits, by definition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from noss.differences import compare, corrected_t_test
from noss.metrics import METRICS
from noss.statistics import bootstrap
from tests.noss.speakers import SIMULATIONS, corpus, expected_recall, simulated
from tests.oracles import statistics as oracle

# By speaker.


def two(seed=0, num_speakers=15, kind="classification"):
    truth, a, speakers = corpus(num_speakers, seed=seed, kind=kind)
    rng = np.random.default_rng(seed)
    return truth, a, np.where(rng.random(len(a)) < 0.6, a, rng.permutation(a)), speakers


@pytest.mark.parametrize("name", METRICS)
def test_comparing_the_other_way_round(name):
    truth, a, b, speakers = two(kind=METRICS[name].kind)
    forth, back = (compare(truth, *both, speakers, name, rounds=300) for both in ((a, b), (b, a)))
    assert forth.probability + back.probability == pytest.approx(1)
    assert (forth.difference.low, forth.difference.value) == pytest.approx(
        (-back.difference.high, -back.difference.value)
    )
    assert forth.score_a == back.score_b == bootstrap(truth, a, speakers, name, rounds=300)
    assert forth.probability > 0.5  # a is better, whichever way the metric goes


@pytest.mark.parametrize("expanded", [True, False])
@given(seed=st.integers(0, 300))
def test_the_probability_says_what_the_interval_says(expanded, seed):
    truth, a, b, speakers = two(seed, num_speakers=9)
    found = compare(truth, a, b, speakers, "accuracy", rounds=2000, level=0.8, expanded=expanded)
    if found.difference.low > 1e-9:
        assert found.probability > 0.89
    elif found.difference.high >= 1e-9:
        assert 0.05 < found.probability < 0.95  # ties count half


def test_the_same_predictions_are_a_draw():
    truth, a, _, speakers = two()
    found = compare(truth, a, a, speakers, names=("x", "y"), splits=np.arange(len(truth)) % 3, rounds=100)
    assert found.probability == 0.5
    assert (found.difference.low, found.difference.high) == (0, 0)
    assert found.t_test.p == 1
    assert str(found).startswith("x and y cannot be told apart: uar 0.")


def test_the_answer_is_a_sentence():
    truth = np.tile([0, 1], 60)
    speakers, splits = np.repeat(np.arange(20), 6), np.arange(120) % 3
    worse = np.where((speakers % 2 == 0) & (splits > 0), truth, 1 - truth)
    found = compare(truth, truth, worse, speakers, names=("trill", "mfcc"), splits=splits)
    assert str(found) == (
        "trill is better than mfcc: uar 1.000 against 0.333, difference +0.667 "
        f"[{found.difference.low:+.3f}, {found.difference.high:+.3f}] (95%, 20 speakers), trill better with "
        f"probability > 99.9%; over 3 splits p = {found.t_test.p:.2g} (corrected t-test)."
    )
    assert found.t_test == corrected_t_test([1, 1, 1], [0, 0.5, 0.5])
    turned = compare(truth, worse, truth, speakers, names=("mfcc", "trill"))
    assert str(turned).startswith("trill is better than mfcc: uar 0.333 against 1.000, difference -0.667 [")
    assert turned.t_test is None
    few = compare(truth, truth, worse, speakers % 4)
    assert str(few).startswith("A and B cannot be compared (4 speakers cannot say how others would score): uar")
    assert few.probability < 0.99


def test_the_interval_of_a_difference_holds_it_as_often_as_it_says():
    value, held = expected_recall(0.8) - expected_recall(0.4), 0
    for seed in range(SIMULATIONS):
        difference = compare(*simulated(20, seed, means=(0.8, 0.4)), rounds=400).difference
        held += difference.low <= value <= difference.high
    assert 0.92 <= held / SIMULATIONS <= 0.98


# Over splits.


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=9), st.floats(0.05, 2))
def test_the_t_test_is_the_definition(scores, test_to_train):
    a, b = np.array(scores).round(3).T
    found = corrected_t_test(a, b, test_to_train)
    if np.ptp((a - b).round(9)) == 0:
        assert found.p == (1 if abs(a - b).max() < 1e-9 else 0)
        return
    assert found.t == pytest.approx(oracle.corrected_t(a.tolist(), b.tolist(), test_to_train))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.t), len(a) - 1))
    assert found.p > stats.ttest_rel(a, b).pvalue - 1e-12  # without the correction


def test_the_t_test_is_rarely_wrong_where_the_plain_one_often_is():
    """Two equal models on five 70/30 splits of the same 100 clips: each the mean of 30 differences."""
    rng = np.random.default_rng(0)
    wrong = np.zeros(2)
    for _ in range(500):
        clips = rng.normal(size=100)
        splits = [rng.choice(clips, 30, replace=False).mean() for _ in range(5)]
        wrong += corrected_t_test(splits, np.zeros(5)).p < 0.05, stats.ttest_1samp(splits, 0).pvalue < 0.05
    assert wrong[0] / 500 == pytest.approx(0.05, abs=0.025)
    assert wrong[1] / 500 > 0.15


@pytest.mark.parametrize(
    ("a", "b", "ratio", "message"),
    [
        ([0.5], [0.6], 0.4, r"two or more, .* got 1 and 1 scores and 0\.4\. For a single split there is compare"),
        ([0.5, 0.6], [0.6], 0.4, "got 2 and 1"),
        ([0.5, 0.6], [0.6, 0.7], 0, "and 0"),
        ([], [], 0.4, r"a must be a vector of finite numbers, not empty, got shape \(0,\)"),
        ([0.5, 0.6], [0.6, math.nan], 0.4, r"b must be .* 1 of them not finite\. Leave out what has no score"),
    ],
)
def test_what_cannot_be_tested(a, b, ratio, message):
    with pytest.raises(ValueError, match=message):
        corrected_t_test(a, b, ratio)
