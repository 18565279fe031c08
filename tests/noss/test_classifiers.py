"""Classifiers along principal axes against scikit-learn on the rows as they are."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from noss import classifiers
from noss.classifiers import fit, principal_axes
from tests.oracles import protocol as oracle

SHAPES = [(60, 8), (60, 200), (40, 40)]  # rows and dimensions: more of the one, of the other


def made_up(num_rows, dim, seed=0, num_classes=3):
    rng = np.random.default_rng(seed)
    targets = rng.integers(num_classes, size=2 * num_rows)
    rows = rng.normal(size=(num_classes, dim))[targets] * 0.4 + rng.normal(size=(2 * num_rows, dim)) @ np.diag(
        np.geomspace(1, 30, dim)
    )
    rows[:, 0] = 5  # stands still
    rows = rows.astype(np.float32)
    return rows[:num_rows], targets[:num_rows], rows[num_rows:]


@pytest.mark.parametrize("shape", SHAPES)
def test_axes_keep_all_products(shape, monkeypatch):
    monkeypatch.setattr(classifiers, "BLOCK", 700)
    rows, _, others = made_up(*shape)
    axes = principal_axes(rows)
    plain, plain_others = oracle.standardised(rows, others)
    np.testing.assert_allclose(axes.turned @ axes.turned.T, plain @ plain.T, atol=1e-4)
    np.testing.assert_allclose(axes.project(others) @ axes.turned.T, plain_others @ plain.T, atol=1e-3)
    np.testing.assert_allclose(axes.project(rows), axes.turned, atol=1e-4)
    np.testing.assert_allclose((axes.turned**2).sum(axis=0), axes.squares, rtol=1e-4)
    assert axes.basis.shape[1] <= min(shape[0] - 1, shape[1] - 1)


@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize("strength", [1e-3, 1e-1])
@pytest.mark.parametrize("shape", SHAPES)
def test_logistic_regression_is_that_of_the_rows(shape, strength, weight):
    rows, targets, others = made_up(*shape)
    targets[:20] = 0
    plain, plain_others = oracle.standardised(rows, others)
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000, class_weight=weight).fit(plain, targets)
    name = "balanced_logistic" if weight else "logistic"
    (found,) = fit(rows, targets, [(name, strength)])(others)
    scores = np.sort(model.decision_function(plain_others), axis=1)
    sure = scores[:, -1] - scores[:, -2] > 2e-3 * np.abs(scores).max()
    np.testing.assert_array_equal(found[sure], model.predict(plain_others)[sure])
    assert sure.mean() > 0.9


@pytest.mark.parametrize("shrinkage", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", SHAPES)
def test_lda_is_that_of_the_rows(shape, shrinkage):
    rows, targets, others = made_up(*shape)
    plain, plain_others = oracle.standardised(rows, others)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(plain, targets)
    (found,) = fit(rows, targets, [("lda", shrinkage)])(others)
    scores = np.sort(model.decision_function(plain_others), axis=1)
    sure = scores[:, -1] - scores[:, -2] > 1e-3 * np.abs(scores).max()
    np.testing.assert_array_equal(found[sure], model.predict(plain_others)[sure])
    assert sure.mean() > 0.9


@pytest.mark.parametrize("strength", [0.01, 1, 10])
@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_is_the_definition(shape, strength):
    rows, _, others = made_up(*shape)
    targets = np.random.default_rng(1).normal(40, 12, len(rows))
    (found,) = fit(rows, targets, [("ridge", strength)])(others)
    np.testing.assert_allclose(found, oracle.ridge(rows, targets, others, strength), rtol=1e-4)
    plain, plain_others = oracle.standardised(rows, others)
    np.testing.assert_allclose(
        found, Ridge(alpha=strength * shape[1]).fit(plain, targets).predict(plain_others), rtol=1e-4
    )


def test_the_forest_gets_the_rows_as_they_are():
    rows, targets, others = made_up(60, 8)
    (found, again), (other,) = (
        fit(rows, targets, [("forest", 1)] * 2, seed=3)(others),
        fit(rows, targets, [("forest", 9)], seed=3)(others),
    )
    model = RandomForestClassifier(100, min_samples_leaf=1, random_state=3).fit(rows, targets)
    np.testing.assert_array_equal(found, model.predict(others))
    np.testing.assert_array_equal(found, again)
    assert (found != other).any()


def test_rows_of_one_class_predict_it():
    rows, _, others = made_up(10, 4)
    for found in fit(rows, np.full(10, 7), [("lda", 0.5), ("logistic", 0.1), ("forest", 1)])(others):
        assert found.tolist() == [7] * 10
    assert fit(rows, np.full(10, 2.5), [("ridge", 1.0)])(others)[0].tolist() == [2.5] * 10


def test_rows_that_are_all_alike_predict_something():
    targets = np.array([0, 1] * 5)
    for dim in (3, 30):
        rows = np.ones((10, dim), np.float32)
        found = fit(rows, targets, [("lda", 0.5), ("logistic", 0.1), ("balanced_logistic", 0.1), ("forest", 1)])(rows)
        assert all(set(each.tolist()) <= {0, 1} for each in found)
        assert np.isfinite(fit(rows, targets.astype(float), [("ridge", 1.0)])(rows)).all()


def test_a_dead_dimension_that_wakes_up_later_says_nothing():
    rows, targets, others = made_up(30, 5)
    woken = others.copy()
    woken[:, 0] = 9
    for name, strength in (("lda", 0.5), ("logistic", 0.1), ("forest", 1)):
        np.testing.assert_array_equal(*(fit(rows, targets, [(name, strength)])(some)[0] for some in (others, woken)))
