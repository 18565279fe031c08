"""Classifiers as a table, and the rotation that lets one decomposition serve all of them.

Features are standardised on the training rows, then turned to their principal axes: n rows span n dimensions at most,
so 12,288 become as many as there are rows. That is exact, not an approximation, for whatever is penalised by or shrunk
towards a multiple of the identity, which looks the same from every side: logistic regression and ridge with an L2
penalty, and linear discriminant analysis shrunk towards the mean variance (that of all dimensions, not of the axes).
Trees cut along single dimensions: a random forest gets the rows as they are.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from noss.features import still_is_one
from trill.errors import optional

ensemble = optional("sklearn.ensemble", "noss")
linear_model = optional("sklearn.linear_model", "noss")

BLOCK = 2**22  # float64 numbers at a time, standardised
NOTHING = 1e-10  # of the largest variance: rounding, and with n rows centred at least one direction is that
# Of L-BFGS. With scikit-learn's 1e-4 two of 112 clips of a dev part changed with the rotation alone, and so another
# strength was chosen; 1e-5 is within 5e-3 of converged, and takes 1.3 to 1.8 times as many iterations.
TOLERANCE = 1e-5
MAX_ITERATIONS = 1000
TREES = 100

Predict = Callable[[np.ndarray], np.ndarray]  # rows -> classes or numbers


@dataclass(frozen=True, eq=False)
class Axes:
    """The principal axes of standardised training rows.

    Args:
        mean: `(dim,)` of the training rows.
        scale: `(dim,)` their standard deviation.
        train: `(num_rows, dim)` the training rows, where they are fewer than dimensions; else None.
        basis: `(dim, rank)` orthonormal, or `(num_rows, rank)`: the axes are sums of standardised training rows. Kept
            so, they need no room of their own, and projecting a few rows is less work than writing the axes out.
        turned: `(num_rows, rank)` float64: the training rows along the axes, with mean 0.
        squares: `(rank,)` sums of squares of the columns of `turned`, descending.
    """

    mean: np.ndarray
    scale: np.ndarray
    train: np.ndarray | None
    basis: np.ndarray
    turned: np.ndarray
    squares: np.ndarray

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Other rows along the axes: `(num_rows, dim)` to `(num_rows, rank)` float64."""
        width = self.basis.shape[1] if self.train is None else len(self.train)
        found = np.zeros((len(rows), width))
        for part in _parts(len(self.mean), len(rows) + width):
            others = self.basis[part] if self.train is None else self._standardised(self.train, part).T
            found += self._standardised(rows, part) @ others
        return found if self.train is None else found @ self.basis

    def _standardised(self, rows: np.ndarray, part: slice) -> np.ndarray:
        return _standardised(rows, part, self.mean, self.scale)


def principal_axes(rows: np.ndarray) -> Axes:
    """Standardise `(num_rows, dim)` and turn it, in blocks of dimensions: no standardised copy is made.

    >>> axes = principal_axes(np.array([[1, 2, 0], [3, 6, 0], [5, 10, 0]], np.float32))
    >>> axes.basis.shape, axes.squares.round(6).tolist()
    ((3, 1), [6.0])
    """
    num_rows, dim = rows.shape
    mean, scale = np.empty(dim), np.empty(dim)
    for part in _parts(dim, num_rows):
        mean[part] = rows[:, part].mean(axis=0, dtype=np.float64)
        scale[part] = rows[:, part].std(axis=0, dtype=np.float64)
    scale = still_is_one(scale, mean)
    if num_rows > dim:
        return _of_many_rows(rows, mean, scale)
    gram = np.zeros((num_rows, num_rows))
    for part in _parts(dim, num_rows):
        block = _standardised(rows, part, mean, scale)
        gram += block @ block.T
    squares, left = _decomposed(gram)
    basis = left / np.sqrt(np.where(squares > 0, squares, 1))
    return Axes(mean, scale, rows, basis, left * np.sqrt(squares), squares)


def _of_many_rows(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> Axes:
    every = slice(None)
    gram = np.zeros((len(mean), len(mean)))
    for part in _parts(len(rows), len(mean)):
        block = _standardised(rows[part], every, mean, scale)
        gram += block.T @ block
    squares, basis = _decomposed(gram)
    axes = Axes(mean, scale, None, basis, np.empty((0, 0)), squares)
    turned = np.empty((len(rows), len(squares)))
    for part in _parts(len(rows), len(mean)):
        turned[part] = axes.project(rows[part])
    return Axes(mean, scale, None, basis, turned, squares)


def _decomposed(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, descending, and vectors, without those that are rounding; one at least."""
    values, vectors = np.linalg.eigh(gram)
    rank = max(1, int((values > NOTHING * values[-1]).sum())) if values[-1] > 0 else 1
    return np.maximum(values[::-1][:rank], 0), np.ascontiguousarray(vectors[:, ::-1][:, :rank])


def _parts(length: int, width: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, width))
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


def _standardised(rows: np.ndarray, part: slice, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Some dimensions, float64."""
    return np.asarray((rows[:, part] - mean[part]) / scale[part])


# What is fitted. Each takes the training rows, their targets, a strength and a seed.


@dataclass(frozen=True, eq=False)
class Training:
    """Rows to learn from, as they are or along their axes.

    Args:
        rows: `(num_rows, k)`.
        squares: of the columns, along axes.
        dim: of the features, before they were turned.
    """

    rows: np.ndarray
    squares: np.ndarray
    dim: int


def _logistic(weight: str | None) -> Callable[[Training, np.ndarray, float, int], Predict]:
    def fit(training: Training, targets: np.ndarray, strength: float, _: int) -> Predict:
        model: Any = linear_model.LogisticRegression(
            C=strength, tol=TOLERANCE, max_iter=MAX_ITERATIONS, class_weight=weight
        )
        return _predictor(model.fit(training.rows, targets))

    return fit


def _forest(training: Training, targets: np.ndarray, strength: float, seed: int) -> Predict:
    model: Any = ensemble.RandomForestClassifier(TREES, min_samples_leaf=int(strength), random_state=seed)
    return _predictor(model.fit(training.rows, targets))


def _predictor(model: Any) -> Predict:
    """A fitted model of scikit-learn as a function."""
    return lambda rows: np.asarray(model.predict(rows))


def _lda(training: Training, targets: np.ndarray, strength: float, _: int) -> Predict:
    """Linear discriminant analysis, its covariance within classes drawn towards a multiple of the identity.

    As scikit-learn's with solver "lsqr" and this `shrinkage`, which would solve dim equations in as many unknowns.
    Along the axes the total covariance is diagonal; that within classes is less by one direction a class, so its
    inverse follows from a matrix of the number of classes (Woodbury).
    """
    classes, codes, counts = np.unique(targets, return_inverse=True, return_counts=True)
    priors = counts / len(targets)
    means = np.stack([training.rows[codes == code].mean(axis=0) for code in range(len(classes))])
    total = training.squares / len(targets)
    within = total.sum() - priors @ (means**2).sum(axis=1)
    variance = max(within, 1e-10 * total.sum()) / training.dim
    diagonal = (1 - strength) * total + strength * (variance or 1)  # 0: all rows are alike
    low = np.sqrt(priors)[:, None] * means  # covariance between classes: low.T @ low
    solved = means / diagonal
    inner = np.eye(len(classes)) / (1 - strength) - (low / diagonal) @ low.T
    solved += (np.linalg.solve(inner, low @ solved.T).T @ low) / diagonal
    offset = np.log(priors) - (means * solved).sum(axis=1) / 2
    return lambda rows: np.asarray(classes[np.argmax(rows @ solved.T + offset, axis=1)])


def _ridge(training: Training, targets: np.ndarray, strength: float, _: int) -> Predict:
    """Least squares with a penalty of `strength` for each dimension, so that one strength serves all sizes."""
    offset = targets.mean()
    coefficients = training.rows.T @ (targets - offset) / (training.squares + strength * training.dim)
    return lambda rows: np.asarray(rows @ coefficients + offset)


@dataclass(frozen=True)
class Classifier:
    """What is known about a classifier.

    Args:
        name: as in settings.
        kind: of the tasks that it is for.
        fit: training, targets, strength, seed -> what predicts.
        strength: what its strength is.
        turned: whether it takes rows along their axes, or as they are.
    """

    name: str
    kind: Literal["classification", "regression"]
    fit: Callable[[Training, np.ndarray, float, int], Predict]
    strength: str
    turned: bool = True


CLASSIFIERS = {
    row.name: row
    for row in (
        Classifier("logistic", "classification", _logistic(None), "C of an L2 penalty"),
        Classifier("balanced_logistic", "classification", _logistic("balanced"), "C; classes weigh the same"),
        Classifier("forest", "classification", _forest, "rows in a leaf, at least", turned=False),
        Classifier("lda", "classification", _lda, "shrinkage, in (0, 1)"),
        Classifier("ridge", "regression", _ridge, "penalty a dimension"),
    )
}


@dataclass(frozen=True, eq=False)
class Fitted:
    """Classifiers that learned from the same rows, and the axes of these if one needs them."""

    axes: Axes | None
    turned: tuple[bool, ...]
    predict: tuple[Predict, ...]

    def __call__(self, rows: np.ndarray) -> list[np.ndarray]:
        """For each classifier `(num_rows,)` predictions; rows are turned once."""
        projected = self.axes.project(rows) if self.axes else rows
        return [
            predict(projected if turned else rows) for turned, predict in zip(self.turned, self.predict, strict=True)
        ]


def fit(rows: np.ndarray, targets: np.ndarray, wanted: list[tuple[str, float]], seed: int = 0) -> Fitted:
    """Fit classifiers to the same rows.

    Args:
        rows: `(num_rows, dim)` float32, finite.
        targets: `(num_rows,)` integers or, in regression, floats. If all are equal, that is what is predicted.
        wanted: names in `CLASSIFIERS`, each with a strength.
        seed: of the random forest.

    >>> rows = np.array([[0, 0], [1, 0], [0, 1], [5, 5], [6, 5], [5, 6]], np.float32)
    >>> [found.tolist() for found in fit(rows, np.array([0, 0, 0, 1, 1, 1]), [("lda", 0.5), ("logistic", 0.1)])(rows)]
    [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]
    """
    table = [CLASSIFIERS[name] for name, _ in wanted]
    turned = tuple(row.turned for row in table)
    if (targets == targets[0]).all():
        return Fitted(None, turned, (lambda some: np.repeat(targets[:1], len(some)),) * len(wanted))
    axes = principal_axes(rows) if any(turned) else None
    plain = Training(rows, np.empty(0), rows.shape[1])
    along = Training(axes.turned, axes.squares, rows.shape[1]) if axes else plain
    predict = tuple(
        row.fit(along if row.turned else plain, targets, strength, seed)
        for row, (_, strength) in zip(table, wanted, strict=True)
    )
    return Fitted(axes, turned, predict)
