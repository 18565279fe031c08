"""Scores of pairs against their definitions, and on voices whose model is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noss import verification
from noss.metrics import eer
from noss.verification import cosine, fit_plda, plda_scores
from tests.oracles import metrics as oracle


def voices(num_speakers, clips, between, within, mean=0.0, seed=0):
    """Embeddings of a known two-covariance model, from roots of the covariances; speakers."""
    rng = np.random.default_rng(seed)
    dim = len(between)
    speakers = np.repeat(np.arange(num_speakers), clips)
    hidden = mean + rng.normal(size=(num_speakers, dim)) @ between
    return hidden[speakers] + rng.normal(size=(len(speakers), dim)) @ within, speakers


def all_pairs(speakers):
    """Pairs, and whether they are of one speaker."""
    pairs = np.stack(np.triu_indices(len(speakers), 1), axis=1)
    return pairs, speakers[pairs[:, 0]] == speakers[pairs[:, 1]]


@given(st.integers(0, 99), st.integers(1, 9))
def test_cosine_is_the_definition(seed, dim):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(5, dim)).astype(np.float32)
    pairs = rng.integers(5, size=(8, 2))
    expected = [oracle.cosine(embeddings[i].tolist(), embeddings[j].tolist()) for i, j in pairs]
    np.testing.assert_allclose(cosine(embeddings, pairs), expected, atol=1e-12)


@pytest.mark.parametrize("shrinkage", [None, 0, 0.3])
def test_plda_is_the_ratio_of_two_densities(shrinkage, monkeypatch):
    monkeypatch.setattr(verification, "BLOCK", 7)
    rng = np.random.default_rng(0)
    embeddings, speakers = voices(15, 6, rng.normal(size=(5, 5)), rng.normal(size=(5, 5)), mean=3, seed=1)
    plda = fit_plda(embeddings, speakers, shrinkage=shrinkage)
    inverse = np.linalg.inv(plda.transform)
    within, between = inverse.T @ inverse, inverse.T @ np.diag(plda.between) @ inverse
    pairs = rng.integers(len(embeddings), size=(50, 2))
    expected = [oracle.log_likelihood_ratio(embeddings[i], embeddings[j], plda.mean, within, between) for i, j in pairs]
    np.testing.assert_allclose(plda_scores(plda, embeddings, pairs), expected, atol=1e-8)


def test_plda_finds_the_model_of_many_speakers():
    rng = np.random.default_rng(0)
    between, within, mean = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    plda = fit_plda(*voices(20_000, 4, between, within, mean))
    inverse = np.linalg.inv(plda.transform)
    found = inverse.T @ np.diag(plda.between) @ inverse
    np.testing.assert_allclose(inverse.T @ inverse, within.T @ within, atol=0.1)
    np.testing.assert_allclose(found, between.T @ between, atol=0.1)
    np.testing.assert_allclose(plda.mean, mean, atol=0.05)
    assert max(plda.shrinkage) < 0.01


def test_speakers_with_few_and_many_clips_give_the_same_model():
    between, within = np.diag([2.0, 0.5]), np.eye(2)
    embeddings, speakers = voices(4000, 6, between, within)
    few = np.tile(np.arange(6), 4000) < np.where(speakers % 2, 6, 2)
    plda = fit_plda(embeddings[few], speakers[few])
    np.testing.assert_allclose(plda.between, [4, 0.25], rtol=0.1)


@pytest.mark.parametrize(("dim", "between"), [(3, 1.0), (10, 1.0), (20, 3.0)])
def test_the_equal_error_rate_is_that_of_the_true_model(dim, between):
    train, test = (voices(n, 8, np.sqrt(between) * np.eye(dim), np.eye(dim), seed=n) for n in (400, 250))
    pairs, same = all_pairs(test[1])
    scores = plda_scores(fit_plda(*train), test[0], pairs)
    assert eer(same, scores) == pytest.approx(oracle.analytic_eer(dim, between), abs=0.015)


def test_plda_beats_cosine_where_clips_differ_more_in_some_directions():
    within = np.diag([8.0, 8.0, *[1.0] * 8])
    embeddings, speakers = voices(150, 6, np.eye(10), within, mean=2.0)
    train, test = speakers < 75, speakers >= 75
    pairs, same = all_pairs(speakers[test])
    plda = eer(same, plda_scores(fit_plda(embeddings[train], speakers[train]), embeddings[test], pairs))
    assert plda < eer(same, cosine(embeddings[test], pairs)) - 0.1


def test_with_few_speakers_shrinkage_helps():
    """Thirty speakers in forty dimensions: plain moments find directions by chance."""
    rng = np.random.default_rng(3)
    between, within = np.diag(rng.uniform(0.5, 1.5, 40)), np.diag(rng.uniform(0.5, 2, 40))
    train = voices(30, 4, between, within, seed=1)
    test = voices(100, 4, between, within, seed=2)
    pairs, same = all_pairs(test[1])
    plain, shrunk = (eer(same, plda_scores(fit_plda(*train, shrinkage=s), test[0], pairs)) for s in (0, None))
    assert shrunk < plain - 0.02


def test_more_dimensions_than_clips_and_dimensions_that_are_constant():
    rng = np.random.default_rng(0)
    embeddings, speakers = voices(20, 4, np.eye(5), 0.3 * np.eye(5))
    wide = np.hstack([embeddings @ rng.normal(size=(5, 400)), np.zeros((80, 3))]) + 1e-3 * rng.normal(size=(80, 403))
    wide[:, -3:] = 0.1
    assert wide.std(axis=0)[-1] != 0  # rounding
    train, test = speakers < 12, speakers >= 12
    plda = fit_plda(wide[train], speakers[train], num_factors=1000)
    assert plda.transform.shape == (403, 47)
    pairs, same = all_pairs(speakers[test])
    assert eer(same, plda_scores(plda, wide[test], pairs)) < 0.1


def test_scale_and_offset_of_a_dimension_do_not_count():
    embeddings, speakers = voices(20, 5, np.eye(4), np.eye(4))
    pairs, _ = all_pairs(speakers)
    moved = embeddings * np.geomspace(1e-3, 1e3, 4) + 7
    expected = plda_scores(fit_plda(embeddings, speakers), embeddings, pairs)
    np.testing.assert_allclose(plda_scores(fit_plda(moved, speakers), moved, pairs), expected, atol=1e-6)


def test_the_same_clips_give_the_same_scores():
    embeddings, speakers = voices(300, 3, np.eye(600), np.eye(600))  # many dimensions: a randomised decomposition
    first, second = (fit_plda(embeddings, speakers.astype(str), num_factors=20) for _ in range(2))
    np.testing.assert_array_equal(first.transform, second.transform)


# What is refused.

GOOD = np.arange(12.0).reshape(6, 2) ** 1.5


@pytest.mark.parametrize("score", [cosine, lambda *given: plda_scores(fit_plda(GOOD, [0, 0, 0, 1, 1, 1]), *given)])
@pytest.mark.parametrize(
    ("embeddings", "pairs", "message"),
    [
        (GOOD[0], [[0, 1]], r"a row a clip, \(num_clips, dim\), got shape \(2,\)"),
        (GOOD * np.nan, [[0, 1]], "finite, 6 of 6 are not"),
        (GOOD, [0, 1], r"\(num_pairs, 2\) integers, got shape \(2,\)"),
        (GOOD, [[0.0, 1.0]], "integers, got .* float64"),
        (GOOD, [[0, 6]], r"indices from 0 to 5, got 0 to 6\. Number"),
        (GOOD, [[-1, 3]], "from 0 to 5, got -1 to 3"),
    ],
)
def test_what_is_no_pair_of_embeddings(score, embeddings, pairs, message):
    with pytest.raises(ValueError, match=message):
        score(embeddings, np.array(pairs))


def test_silence_has_no_angle():
    with pytest.raises(ValueError, match="must not be zero, 1 of 6 are"):
        cosine(np.vstack([GOOD[:5], [0, 0]]), np.array([[0, 1]]))


@pytest.mark.parametrize(
    ("speakers", "options", "message"),
    [
        ([0, 0, 1], {}, r"each embedding needs a speaker, got 6 and shape \(3,\)"),
        ([0, 0, 0, 1, 1, None], {}, r"1 of them NaN or None\. Leave out"),
        ([0] * 6, {}, r"two speakers or more and two clips of one, got 6 clips of 1 speakers\. Score by cosine"),
        (range(6), {}, "got 6 clips of 6 speakers"),
        ([0, 0, 0, 1, 1, 1], {"shrinkage": 2}, r"shrinkage in \[0, 1\] or None, got 200 and 2"),
        ([0, 0, 0, 1, 1, 1], {"num_factors": 0}, "num_factors must be positive .* got 0 and None"),
        (
            [0, 0, 1, 2, 3, 4],
            {"shrinkage": 0},
            r"full rank, 6 clips of 5 speakers .* in 2 dimensions\. Leave shrinkage",
        ),
    ],
)
def test_what_plda_cannot_be_fitted_on(speakers, options, message):
    with pytest.raises(ValueError, match=message):
        fit_plda(GOOD, np.array(speakers), **options)


def test_plda_wants_the_dimension_it_was_fitted_on():
    with pytest.raises(ValueError, match="the dimension that PLDA was fitted on, 2, got 3"):
        plda_scores(fit_plda(GOOD, [0, 0, 0, 1, 1, 1]), np.ones((2, 3)), np.array([[0, 1]]))
