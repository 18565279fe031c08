"""Intervals against resampling by hand, and against the truth of simulated corpora."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from noss import resampling
from noss.metrics import METRICS, Metric, uar
from noss.statistics import bootstrap, bootstrap_mean, spread
from tests.noss.speakers import SIMULATIONS, corpus, expected_recall, simulated
from tests.oracles import metrics as metric_oracle
from tests.oracles import statistics as oracle


def without_sums(name):
    """The row as a user would write one; it knows the classes, of which a round may lack some."""
    function = functools.partial(uar, classes="abc") if name == "uar" else METRICS[name].function
    return dataclasses.replace(METRICS[name], sums=None, function=function)


# Resampling.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", METRICS)
def test_resampling_is_the_definition(name, seed):
    truth, predicted, speakers = corpus(seed=seed, kind=METRICS[name].kind)
    found = bootstrap(truth, predicted, speakers, name, rounds=80, seed=seed, expanded=False, level=0.8)
    metric = getattr(metric_oracle, name)
    values = oracle.resampled(metric, truth.tolist(), predicted.tolist(), speakers.tolist(), 80, seed)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])), abs=1e-9)
    assert found.value == pytest.approx(metric(truth.tolist(), predicted.tolist()))
    assert (found.num_speakers, found.num_clips, found.rounds, found.undefined) == (6, len(truth), 80, 0)


@pytest.mark.parametrize("name", ["eer", "d_prime"])
def test_resampling_of_pairs_is_the_definition(name):
    rng = np.random.default_rng(0)
    speakers = rng.choice([*"abcd"], (40, 2))
    truth = speakers[:, 0] == speakers[:, 1]
    scores = (truth + rng.normal(size=40)).round(1)
    found = bootstrap(truth, scores, speakers, name, rounds=60, expanded=False, level=0.8)
    metric = getattr(metric_oracle, name)
    values = oracle.resampled_pairs(metric, truth.tolist(), scores.tolist(), speakers.tolist(), 60, 0)
    assert found.undefined == np.isnan(values).sum()
    assert (found.low, found.high) == pytest.approx(tuple(np.nanquantile(values, [0.1, 0.9])), abs=1e-9)
    by_one = bootstrap(truth, scores, speakers, without_sums(name), rounds=60, expanded=False, level=0.8)
    assert (by_one.low, by_one.high) == pytest.approx((found.low, found.high))


def test_the_plain_interval_is_that_of_score_py():
    truth, predicted, speakers = corpus(num_speakers=12)
    found = bootstrap(truth, predicted, speakers, rounds=500, expanded=False)
    expected = oracle.score_py_interval(truth.tolist(), predicted.tolist(), speakers.tolist())
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["uar", "eer"])
def test_a_metric_without_sums_is_called_each_round(name):
    clips = corpus(kind=METRICS[name].kind)
    slow, fast = (bootstrap(*clips, metric, rounds=50) for metric in (without_sums(name), name))
    assert dataclasses.astuple(slow) == pytest.approx(dataclasses.astuple(fast))


@pytest.mark.parametrize("name", ["uar", "eer"])
def test_the_size_of_a_block_does_not_count(name, monkeypatch):
    clips = corpus(kind=METRICS[name].kind)
    whole = bootstrap(*clips, name, rounds=100)
    monkeypatch.setattr(resampling, "BLOCK", 500)
    assert bootstrap(*clips, name, rounds=100) == whole
    assert bootstrap(*clips, name, rounds=100, seed=1) != whole


@given(st.integers(0, 50))
def test_the_order_of_the_clips_does_not_count(seed):
    truth, predicted, speakers = corpus(seed=seed, num_speakers=9)
    order = np.random.default_rng(seed).permutation(len(truth))
    found = bootstrap(truth[order], predicted[order], speakers[order], "accuracy", rounds=50)
    assert found == bootstrap(truth, predicted, speakers, "accuracy", rounds=50)
    assert found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9


def test_over_splits_a_speaker_is_drawn_in_all_of_them():
    truth, predicted, speakers = corpus(num_speakers=10)
    once = bootstrap(truth, predicted, speakers, rounds=200)
    twice = bootstrap(
        *(np.tile(x, 2) for x in (truth, predicted, speakers)), rounds=200, splits=np.repeat([1, 2], len(truth))
    )
    assert (twice.low, twice.value, twice.high) == pytest.approx((once.low, once.value, once.high))
    odd = np.arange(len(truth)) % 2
    mean = np.mean([uar(truth[odd == i], predicted[odd == i]) for i in (0, 1)])
    assert bootstrap(truth, predicted, speakers, splits=odd, rounds=10).value == pytest.approx(mean)


def test_a_split_that_is_not_drawn_does_not_count():
    """Each split has one speaker: of a round those that are drawn have a value."""
    truth, speakers = np.tile([0, 1], 10), np.repeat([0, 1], 10)
    predicted = np.where(speakers == 0, truth, 0)
    found = bootstrap(truth, predicted, speakers, splits=speakers, rounds=100)
    assert (found.low, found.value, found.high, found.undefined) == (0.5, 0.75, 1, 0)


def test_the_mean_of_scores():
    scores, speakers = np.random.default_rng(0).normal(size=(2, 40)), np.tile(np.arange(40), 2)
    found = bootstrap_mean(scores.ravel(), speakers)
    expected = stats.t.interval(0.95, 39, scores.mean(), stats.sem(scores.mean(axis=0)))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02)
    assert found.value == pytest.approx(scores.mean())


# How often the interval holds the truth.


def coverage(num_speakers, rounds=400, **options):
    value, held = expected_recall(0.5), 0
    for seed in range(SIMULATIONS):
        truth, predicted, speakers = simulated(num_speakers, seed)
        found = bootstrap(truth, predicted, speakers, rounds=rounds, **options)
        held += found.low <= value <= found.high
    return held / SIMULATIONS


@pytest.mark.parametrize(("num_speakers", "low", "high"), [(10, 0.92, 0.98), (30, 0.925, 0.975)])
def test_the_interval_holds_the_truth_as_often_as_it_says(num_speakers, low, high):
    assert low <= coverage(num_speakers) <= high


def test_with_few_speakers_plain_percentiles_hold_it_less_often():
    assert coverage(6, expanded=False) < 0.88 < 0.9 < coverage(6)


def test_drawing_clips_as_if_they_were_independent_holds_it_far_less_often():
    value, held = expected_recall(0.5), 0
    for seed in range(100):
        truth, predicted, speakers = simulated(30, seed)
        found = bootstrap(truth, predicted, np.arange(len(speakers)), rounds=200)
        held += found.low <= value <= found.high
    assert held < 80


def test_pairs_drawn_by_both_speakers_hold_the_equal_error_rate():
    """Of distances between voices in three dimensions; by the first speaker alone it is held less often."""
    excess = lambda d: stats.chi2.sf(d / 0.98, 3) - stats.chi2.cdf(d / 2.98, 3)  # noqa: E731
    threshold = optimize.brentq(excess, 0.01, 20)
    value, held = stats.chi2.sf(threshold / 0.98, 3), np.zeros(2)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        speakers = np.repeat(np.arange(12), 3)
        x = rng.normal(size=(12, 3))[speakers] + 0.7 * rng.normal(size=(36, 3))
        pairs = np.stack(np.triu_indices(36, 1), axis=1)
        scores = -((x[pairs[:, 0]] - x[pairs[:, 1]]) ** 2).sum(axis=1)
        owners = speakers[pairs]
        for i, by in enumerate((owners, owners[:, 0])):
            found = bootstrap(owners[:, 0] == owners[:, 1], scores, by, "eer", rounds=200)
            held[i] += found.low <= value <= found.high
    assert held[1] < held[0]
    assert held[0] >= 93


# An interval that says little says so.


def test_four_speakers_are_few():
    truth, predicted, speakers = corpus(num_speakers=4, clips=30)
    found = bootstrap(truth, predicted, speakers)
    assert "nearly vacuous: 4 speakers cannot say how others would score" in str(found)
    each = [uar(truth[speakers == s], predicted[speakers == s]) for s in np.unique(speakers)]
    assert found.low == pytest.approx(min(each), abs=0.02)
    assert found.high == pytest.approx(max(each), abs=0.02)
    assert not bootstrap(*corpus(num_speakers=8)).vacuous


def test_rounds_without_a_value_are_counted():
    """Two of ten speakers have the pairs of one speaker: a round misses both with probability 0.8 ** 10."""
    speakers = np.repeat(np.arange(10), 5)
    truth = (speakers < 2) & (np.arange(50) % 2 == 0)
    found = bootstrap(truth, truth + np.arange(50) % 3, speakers, "eer", rounds=2000)
    assert found.undefined / 2000 == pytest.approx(0.8**10, abs=0.02)
    assert found.vacuous == (
        f"{found.undefined} of 2000 rounds have no value, too few speakers have clips of each kind"
    )


def test_no_round_has_a_value():
    """It wants all twelve clips, and a round has twelve different ones with probability 12! / 12 ** 12."""
    metric = Metric("all", lambda truth, _: len(truth) if len(set(truth)) == 12 else uar([], []), "regression")
    found = bootstrap(range(12), range(12), range(12), metric, rounds=5)
    assert (found.low, found.value, found.high, found.undefined) == (-math.inf, 12, math.inf, 5)
    assert "5 of 5 rounds have no value" in found.vacuous


# Splits.


def test_spread_over_splits():
    found = spread([0.5, 0.7, 0.6, 0.6])
    assert (found.mean, found.sd, found.low, found.high, found.count) == (
        pytest.approx(0.6),
        pytest.approx(math.sqrt(0.02 / 3)),
        0.5,
        0.7,
        4,
    )
    assert spread([0.5]).sd is None
    assert str(spread([0.5])) == "0.500 (one score)"


# What is refused.

ONE = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "f1"}, r"one of accuracy, uar, .*, got 'f1'\. Or give a noss\.metrics\.Metric"),
        ({"speakers": [1, 1, 1, 1]}, r"two of them or more, got 1\. For one that holds for this speaker only"),
        ({"speakers": [1, 2, 1]}, "must have one length, got 4, 3 and 4"),
        ({"splits": [1, 2, 1]}, "must have one length, got 4, 4 and 3"),
        ({"speakers": np.zeros((4, 3))}, r"\(num_pairs, 2\) of pairs, got shape \(4, 3\)"),
        ({"speakers": [1, 1, 2, math.nan]}, r"each clip needs a speaker, 1 of 4 are NaN or None\. Leave out, or name"),
        ({"speakers": np.array([[1, 2], [None, 2]] * 2)}, "2 of 8 are NaN or None"),
        ({"speakers": 3}, r"got shape \(\)"),
        ({"level": 95}, r"level must be in \(0, 1\), got 95"),
        ({"rounds": 0}, "rounds must be positive, got 0"),
        ({"predicted": [0, 1, 0, 2]}, r"classes of the truth, got 2 .* give `classes`"),
        ({"splits": [0, 1, 0, 1]}, "two classes or more, all 2 clips have 0"),
        ({"truth": [0, 0, 0, 0]}, "two classes or more"),
        ({"metric": Metric("sure", lambda *_: uar([], []), "regression")}, "not empty"),
    ],
)
def test_what_has_no_interval(change, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(**{"truth": ONE, "predicted": ONE, "speakers": [1, 1, 2, 2]} | change)


def test_classes_that_the_test_part_lacks():
    found = bootstrap(ONE, [0, 1, 0, 2], [1, 1, 2, 2], classes=[0, 1, 2], rounds=10)
    assert found.value == 0.75
