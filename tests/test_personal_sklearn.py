"""The classifier inside scikit-learn's own machinery."""

import numpy as np
import pytest

import trill

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from trill.personal import linear
from trill.personal.background import none_for
from trill.sklearn import PersonalClassifier


@parametrize_with_checks([PersonalClassifier(), PersonalClassifier(method="centroid")])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def clusters(clips=6, labels=3, dim=20, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(labels, dim))
    y = np.repeat(np.arange(labels), clips)
    return (centres[y] + 0.3 * rng.normal(size=(len(y), dim))).astype(np.float32), y


def test_it_learns_what_a_head_learns():
    x, y = clusters()
    classifier = PersonalClassifier().fit(x, y)
    head = linear.fit(x, y.tolist(), none_for(x.shape[1]))
    np.testing.assert_array_equal(classifier.decision_function(x), head.scores(x))
    assert classifier.score(x, y) == 1
    assert cross_val_score(PersonalClassifier(), x, y, cv=3).tolist() == [1, 1, 1]


def test_the_model_brings_its_background():
    dim = trill.load().embedding_dim
    x = np.abs(np.random.default_rng(0).normal(size=(6, dim))).astype(np.float32)
    known, unknown = (PersonalClassifier(model).fit(x, list("aabbcc")) for model in ("mobilenet", None))
    assert np.abs(known.head_.weights - unknown.head_.weights).max() > 1e-3
    assert np.abs(known.head_.bias).max() > 0 == np.abs(unknown.head_.bias).max()


def test_parameters_are_set_cloned_and_checked():
    assert clone(PersonalClassifier("mobilenet", method="centroid")).get_params() == {
        "model": "mobilenet",
        "method": "centroid",
    }
    x, y = clusters()
    with pytest.raises(ValueError, match="method must be one of centroid, logistic or None, got 'svm'"):
        PersonalClassifier(method="svm").fit(x, y)
    with pytest.raises(trill.ModelError, match="model must be one of"):
        PersonalClassifier("nothing").fit(x, y)
