"""What learns: a few labelled embeddings to one linear score a label.

Every method ends in the same two arrays, weights and bias, applied to embeddings of length 1, as the head in an
exported file is (docs/personalization-on-device.md): the two give the same scores.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trill.personal.background import Background


@dataclasses.dataclass(frozen=True, eq=False)
class LinearHead:
    """One row a label.

    Attributes:
        method: a name of `METHODS`.
        clips: it was learnt from, the mean of its labels.
        labels: names of the rows.
        weights: `(num_labels, dim)` float32.
        bias: `(num_labels,)` float32.
    """

    method: str
    clips: float
    labels: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Of embeddings `(..., dim)`, of any length but zero: `(..., num_labels)` float32."""
        return np.asarray(unit(vectors) @ self.weights.T + self.bias)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows brought to length 1, float32; a row of zeros stays one."""
    vectors, tiny = np.asarray(vectors, np.float32), np.finfo(np.float32).tiny
    # By the largest value first, so that no square overflows or vanishes.
    vectors = vectors / np.maximum(np.abs(vectors).max(axis=-1, keepdims=True), tiny)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), tiny))


# How steep the scores are: a softmax of them gives the chances that a logistic regression means, so that training on a
# device can go on from here. 3, 10 and 30 were tried: docs/decisions/enrolment.md.
STEEPNESS = 3.0
STRENGTH = 1e-3  # L2 of what the regression adds to the centroids, against the mean loss
STEPS = 40  # more change no decision on the dev packs


def centroids(x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far an embedding goes in the direction of a label's mean.

    Args:
        x: `(num_clips, dim)`, of mean square about 1.
        codes: `(num_clips,)` numbers of labels from 0, none left out.

    Returns:
        Weights `(num_labels, dim)` and bias `(num_labels,)`.

    >>> centroids(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0, 1]))[0].tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """
    order, counts = np.argsort(codes, kind="stable"), np.bincount(codes)
    sums = np.add.reduceat(x[order], np.cumsum(counts) - counts)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return STEEPNESS * sums / np.maximum(lengths, np.finfo(sums.dtype).tiny), np.zeros(len(counts), x.dtype)


def logistic(x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression, every label weighing the same, drawn by L2 not to zero but to the centroids.

    With few clips it is the nearest centroid therefore, and departs from it as clips disagree. Newton's steps with
    Böhning's bound of the Hessian (Böhning 1992, Annals of the Institute of Statistical Mathematics 44:197): one
    matrix inverted serves all steps and there is no step size to choose. They take Nesterov's momentum, begun anew
    where it leads uphill (O'Donoghue & Candès 2015, Foundations of Computational Mathematics 15:715). Computed in the
    space of the clips, of which there are fewer than dimensions.

    Args:
        x: as `centroids`.
        codes: likewise.

    Returns:
        As `centroids`.
    """
    x = np.asarray(x, np.float64)
    prior, bias = centroids(x, codes)
    targets = np.eye(len(prior))[codes]
    importance = (1 / np.bincount(codes))[codes, None] / len(prior)  # of a clip, 1 in all
    root = np.sqrt(importance)
    gram, begin = x @ x.T, x @ prior.T
    inverse = np.linalg.inv(root * gram * root.T / 2 + STRENGTH * np.eye(len(x)))
    dual = ahead = np.zeros_like(targets)  # weights = prior + dual.T @ x
    since = 0  # steps since momentum began
    for _ in range(STEPS):
        logits = begin + gram @ ahead
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        step = root * (inverse @ ((importance * (chances - targets) + STRENGTH * ahead) / root))
        moved = ahead - step - dual
        uphill = np.vdot(step, moved) > 0
        since = 0 if uphill else since + 1
        dual, ahead = dual + moved, dual + moved * (1 + since / (since + 3))
    return prior + dual.T @ x, bias


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "centroid": centroids,
    "logistic": logistic,
}

# Method, least labels, least clips a label (their mean, so that one new label does not change the method), most labels,
# most clips: the first row that holds is chosen. From two clips a label the regression is the better at telling labels
# apart and strangers from them; the upper bounds keep it to about a second (docs/decisions/enrolment.md).
CHOICE = (
    ("logistic", 2, 2, 50, 1_000),
    ("centroid", 1, 1, np.inf, np.inf),
)


def choose(counts: np.ndarray) -> str:
    """The method for labels with so many clips each.

    >>> choose(np.array([1, 1])), choose(np.array([3, 1])), choose(np.array([9]))
    ('centroid', 'logistic', 'centroid')
    """
    labels, clips = len(counts), int(np.sum(counts))
    return next(
        method
        for method, least_labels, each, most_labels, most_clips in CHOICE
        if least_labels <= labels <= most_labels and each * labels <= clips <= most_clips
    )


def fit(vectors: np.ndarray, labels: Sequence[Any], background: Background, method: str | None = None) -> LinearHead:
    """Learn labels; the order of the clips plays no part but in the last bits.

    Args:
        vectors: `(num_clips, dim)` embeddings, not zero.
        labels: of each: texts, or anything that has an order.
        background: of the model.
        method: a name of `METHODS`; None to choose by how many clips there are.
    """
    names, codes = np.unique(np.array(labels, dtype=object), return_inverse=True)
    method = method or choose(np.bincount(codes))
    rows, bias = METHODS[method](background.level(unit(vectors)), codes)
    weights, bias = background.fold(rows, bias)
    return LinearHead(
        method, len(codes) / len(names), tuple(names), weights.astype(np.float32), bias.astype(np.float32)
    )
