"""Each metric against its definition, by itself and as a function of sums; what it says to the rest."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from noss import metrics
from noss.metrics import METRICS
from tests.oracles import metrics as oracle

NAMES = {
    kind: [name for name, metric in METRICS.items() if metric.kind == kind]
    for kind in ("classification", "regression", "verification")
}
NUMBERS = st.integers(-20, 20).map(lambda n: n / 4)  # of few values: ties


def pairs(element, distinct_truth):
    rows = st.lists(st.tuples(*element), min_size=2, max_size=30)
    return rows.filter(lambda rows: len({truth for truth, _ in rows}) >= distinct_truth)


def agree(name, rows):
    """The function, the sums over all clips, and the definition."""
    truth, predicted = zip(*rows, strict=True)
    if METRICS[name].kind == "classification":
        found = METRICS[name].function(truth, predicted, classes="abcd")
    else:
        found = METRICS[name].function(truth, predicted)
    expected = getattr(oracle, name)(truth, predicted)
    assert isinstance(found, float)
    assert found == pytest.approx(expected, abs=1e-9)
    assert METRICS[name].low <= found <= METRICS[name].high
    checked = metrics.checked(METRICS[name].kind, truth, predicted, "abcd")
    sums = METRICS[name].sums(*checked)
    totals = np.asarray(sums.rows.sum(axis=0)).reshape(1, -1)
    assert sums.value(totals).shape == (1,)
    assert sums.value(totals)[0] == pytest.approx(expected, abs=1e-9)
    assert np.isnan(sums.value(0 * totals)).all()


@pytest.mark.parametrize("name", NAMES["classification"])
@given(rows=pairs([st.sampled_from("abc"), st.sampled_from("abcd")], 2))
def test_classification_is_the_definition(name, rows):
    agree(name, rows)


@pytest.mark.parametrize("name", NAMES["regression"])
@given(rows=pairs([NUMBERS, NUMBERS], 2))
def test_regression_is_the_definition(name, rows):
    agree(name, rows)


@pytest.mark.parametrize("name", NAMES["verification"])
@given(rows=pairs([st.booleans(), NUMBERS], 2))
def test_verification_is_the_definition(name, rows):
    agree(name, rows)


@pytest.mark.parametrize("name", METRICS)
def test_of_more_clips_too(name):
    rng = np.random.default_rng(0)
    truth = {"classification": rng.choice([*"abcd"], 300), "regression": rng.normal(40, 12, 300)}.get(
        METRICS[name].kind, rng.random(300) < 0.3
    )
    predicted = truth.copy() if METRICS[name].kind == "classification" else truth + rng.normal(0, 1, 300)
    predicted[:100] = rng.permutation(predicted[:100])
    agree(name, list(zip(truth.tolist(), predicted.tolist(), strict=True)))


def test_a_row_says_what_is_known():
    assert list(METRICS) == ["accuracy", "uar", "micro_f1", "mae", "ccc", "eer", "d_prime"]
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == ["mae", "eer"]


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.5])
def test_verification_of_two_normal_densities(distance):
    """Their equal error rate is Φ(-d/2), and d is d′."""
    quantiles = norm.ppf((np.arange(4000) + 0.5) / 4000)
    scores = np.concatenate([quantiles + distance, quantiles])
    truth = np.repeat([1, 0], 4000)
    assert metrics.eer(truth, scores) == pytest.approx(norm.cdf(-distance / 2), abs=5e-4)
    assert metrics.d_prime(truth, scores) == pytest.approx(distance, abs=5e-3)


def test_pairs_that_are_all_told_apart():
    truth, scores = [1] * 10 + [0] * 40, range(50, 0, -1)
    assert metrics.eer(truth, scores) == 0
    assert metrics.eer(truth, range(50)) == 1
    largest = pytest.approx(math.sqrt(2) * norm.ppf(1 - 1 / 800))
    assert metrics.d_prime(truth, scores) == largest
    assert -metrics.d_prime(truth, range(50)) == largest
    assert metrics.eer(truth, np.zeros(50)) == 0.5
    assert metrics.d_prime(truth, np.zeros(50)) == 0


@given(pairs([st.booleans(), NUMBERS], 2))
def test_only_the_order_of_the_scores_counts(rows):
    truth, scores = map(np.array, zip(*rows, strict=True))
    assert metrics.eer(truth, scores) == metrics.eer(truth, np.exp(scores))
    assert metrics.d_prime(truth, scores) == metrics.d_prime(truth, np.exp(scores))
    assert metrics.eer(~truth, -scores) == pytest.approx(metrics.eer(truth, scores))
    assert metrics.d_prime(~truth, scores) == pytest.approx(-metrics.d_prime(truth, scores))


def test_concordance_of_what_does_not_depend():
    assert metrics.ccc([1, 2, 3], [2, 2, 2]) == 0
    large = 1e6 + np.arange(50.0)
    sums = METRICS["ccc"].sums(large, large[::-1])
    assert sums.value(np.asarray(sums.rows.sum(axis=0)))[()] == pytest.approx(-1)


def test_a_class_that_is_absent_does_not_count():
    assert metrics.uar(["a", "b", "b"], ["a", "c", "b"], classes=["a", "b", "c"]) == 0.75
    with pytest.raises(ValueError, match=r"classes of the truth, got 'c' beside 'a', 'b'\. .* give `classes`"):
        metrics.uar(["a", "b", "b"], ["a", "c", "b"])


# What is refused.


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([], [], r"vectors of one length, not empty, got shapes \(0,\) and \(0,\)"),
        ([0, 1], [0, 1, 1], r"got shapes \(2,\) and \(3,\)\. Give each clip one row in both"),
        ([[0], [1]], [[0], [1]], r"got shapes \(2, 1\) and \(2, 1\)"),
        ([0.0, 1.0, np.nan], [0, 1, 1], r"truth must .*, 1 of 3 (are NaN or None|is not)\. Leave out"),
        ([0, 1, 1], [np.nan, np.nan, 1.0], r"predicted must .*, 2 of 3 are (NaN or None|not)\. Leave out"),
    ],
)
def test_what_is_no_pair_of_vectors(name, truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name].function(truth, predicted)


@pytest.mark.parametrize(
    ("name", "truth", "predicted", "message"),
    [
        ("uar", ["a", "a"], ["a", "b"], r"two classes or more, all 2 clips have 'a'\. .* test on a part with other"),
        ("accuracy", np.array(["a", None, "b"]), ["a"] * 3, r"truth must have a class for every clip, 1 of 3 are NaN"),
        ("uar", [1, 2], ["1", "2"], r"of the truth, got '1', '2' beside 1, 2\."),
        ("micro_f1", [0, 1], [0.5, 1], r"of the truth, got 0\.5 beside 0, 1"),
        ("uar", ["a", "b"] * 4, [*"abcdefgh"], r"got 'c', 'd', 'e' and others beside 'a', 'b'"),
        ("mae", ["young", "old"], [1, 2], r"truth must be numbers, got 'young'\. For classes there is uar"),
        ("mae", [1, 2], [np.inf, 2], r"predicted must be finite numbers, 1 of 2 is not"),
        ("ccc", [3, 3], [1, 2], r"truth must vary .* all 2 clips have 3\. Use mae there"),
        ("eer", [1, 1], [1, 2], r"hold 1 \(same speaker\) and 0 \(another\), both of them, got only 1\. Add pairs"),
        ("d_prime", [0, 2, 1], [1, 2, 3], r"got only 0, 1, 2"),
    ],
)
def test_what_a_metric_is_not_defined_for(name, truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name].function(truth, predicted)


def test_a_class_that_the_task_does_not_know():
    with pytest.raises(ValueError, match=r"must be of the classes, got 'c' beside 'a', 'b'"):
        metrics.accuracy(["a", "c"], ["a", "a"], classes=["a", "b"])
