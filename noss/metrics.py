"""Scores of predictions, a row a metric.

A metric is a plain function of two vectors, truth and predicted. Each depends on the clips only through a sum over
them: counts of a class, squares, a histogram of scores. `Metric.sums` says which, and turns ten thousand resamplings
of the speakers into a product of matrices (`noss.statistics`).
"""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from trill import verification
from trill.errors import optional

scores = optional("sklearn.metrics", "noss")
sparse = optional("scipy.sparse", "noss")
special = optional("scipy.special", "noss")

Kind = Literal["classification", "regression", "verification"]


@dataclasses.dataclass(frozen=True, eq=False)
class Sums:
    """A metric as a function of sums over clips."""

    rows: Any  # scipy.sparse, (num_clips, num_sums)
    value: Callable[[np.ndarray], np.ndarray]  # (..., num_sums) -> (...), NaN where undefined


@dataclasses.dataclass(frozen=True)
class Metric:
    """What is known about a metric.

    Attributes:
        name: as in results.
        function: takes truth and predicted, `(num_clips,)` each; gives a float; raises ValueError where undefined.
        kind: what truth and predicted are: "classification", two vectors of classes; "regression", of numbers;
            "verification", 1 for the same speaker and 0 for another, and scores, higher for the same.
        higher_is_better: false for an error.
        low, high: range of the values.
        sums: the same as a function of sums over clips, or None: then each resampling calls `function`.
    """

    name: str
    function: Callable[[Any, Any], float]
    kind: Kind
    higher_is_better: bool = True
    low: float = -np.inf
    high: float = np.inf
    sums: Callable[[np.ndarray, np.ndarray], Sums] | None = None


# Classification.


def accuracy(truth: ArrayLike, predicted: ArrayLike, *, classes: Collection[Any] | None = None) -> float:
    """Share of the clips whose class is right.

    Args:
        truth: `(num_clips,)` classes: texts or integers.
        predicted: `(num_clips,)`.
        classes: of the task; those in `truth` unless given. Give them where a test part may lack one.

    Returns:
        In [0, 1].

    Raises:
        ValueError: if there are no clips, unequally many, NaN, fewer than two classes in `truth`, or one not in
            `classes`.

    >>> accuracy(["a", "a", "a", "b"], ["a", "a", "a", "a"])
    0.75
    """
    truth, predicted = checked("classification", truth, predicted, classes)
    return float(scores.accuracy_score(truth, predicted))


def uar(truth: ArrayLike, predicted: ArrayLike, *, classes: Collection[Any] | None = None) -> float:
    """Unweighted average recall: the mean over classes of the share of their clips that are right.

    Classes without a clip in `truth` do not count. Arguments and errors as `accuracy`.

    Returns:
        In [0, 1]; guessing gives one over the number of classes.

    >>> uar(["a", "a", "a", "b"], ["a", "a", "a", "a"])
    0.5
    """
    truth, predicted = checked("classification", truth, predicted, classes)
    return float(scores.recall_score(truth, predicted, average="macro", labels=np.unique(truth), zero_division=0))


def micro_f1(truth: ArrayLike, predicted: ArrayLike, *, classes: Collection[Any] | None = None) -> float:
    """F1 of the hits, misses and false alarms of all classes together, as Porjazovski et al. 2024 report.

    With one class a clip it is the accuracy. Arguments and errors as `accuracy`.

    Returns:
        In [0, 1].

    >>> micro_f1(["a", "a", "a", "b"], ["a", "a", "a", "a"])
    0.75
    """
    truth, predicted = checked("classification", truth, predicted, classes)
    return float(scores.f1_score(truth, predicted, average="micro", zero_division=0))


def _hits(truth: np.ndarray, predicted: np.ndarray) -> Sums:
    rows = np.column_stack([truth == predicted, np.ones(len(truth))])
    return Sums(sparse.csr_array(rows), lambda totals: _ratio(totals[..., 0], totals[..., 1]))


def _recalls(truth: np.ndarray, predicted: np.ndarray) -> Sums:
    """Hits of each class, then clips of each class."""
    classes, codes = np.unique(truth, return_inverse=True)
    hits = _indicator(codes, len(classes), truth == predicted)

    def value(totals: np.ndarray) -> np.ndarray:
        hits, clips = np.split(totals, 2, axis=-1)
        recalls = np.divide(hits, clips, out=np.zeros_like(hits), where=clips > 0)
        return _ratio(recalls.sum(axis=-1), (clips > 0).sum(axis=-1))

    return Sums(sparse.hstack([hits, _indicator(codes, len(classes))], format="csr"), value)


# Regression.


def mae(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error, in the unit of what is predicted, such as years.

    Args:
        truth: `(num_clips,)` finite numbers.
        predicted: `(num_clips,)`.

    Returns:
        0 or more; lower is better.

    Raises:
        ValueError: if there are no clips, unequally many, or a number is not finite.

    >>> mae([20, 30, 60], [22, 30, 56])
    2.0
    """
    truth, predicted = checked("regression", truth, predicted)
    return float(scores.mean_absolute_error(truth, predicted))


def ccc(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Concordance correlation: correlation that also wants the same mean and the same spread.

    Twice the covariance over the two variances and the squared difference of the means, all with 1/n (Lin 1989,
    Biometrics 45:255). A constant prediction has 0. Arguments and errors as `mae`; a constant truth is an error too.

    Returns:
        In [-1, 1].

    >>> ccc([1, 2, 3], [1, 2, 3]), ccc([1, 2, 3], [3, 2, 1]), round(ccc([1, 2, 3], [2, 3, 4]), 3)
    (1.0, -1.0, 0.571)
    """
    truth, predicted = checked("regression", truth, predicted)
    if np.ptp(truth) == 0:
        raise ValueError(
            f"truth must vary for a concordance correlation, all {len(truth)} clips have {truth[0]:g}. Use mae there."
        )
    covariance = ((truth - truth.mean()) * (predicted - predicted.mean())).mean()
    return float(2 * covariance / (truth.var() + predicted.var() + (truth.mean() - predicted.mean()) ** 2))


def _absolute_errors(truth: np.ndarray, predicted: np.ndarray) -> Sums:
    rows = np.column_stack([np.abs(truth - predicted), np.ones(len(truth))])
    return Sums(sparse.csr_array(rows), lambda totals: _ratio(totals[..., 0], totals[..., 1]))


def _moments(truth: np.ndarray, predicted: np.ndarray) -> Sums:
    """Clips, then sums of x, y, x², y² and xy, where x is the truth with mean 0 and variance 1: no digits are lost."""
    scale = truth.std() or 1.0
    x, y = (truth - truth.mean()) / scale, (predicted - truth.mean()) / scale
    rows = np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y])

    def value(totals: np.ndarray) -> np.ndarray:
        x, y, xx, yy, xy = np.moveaxis(_ratio(totals[..., 1:], totals[..., :1]), -1, 0)
        varies = np.where(xx - x * x > 1e-9, 1.0, 0.0)  # of the variance of all: what rounding leaves of a constant
        return _ratio(2 * (xy - x * y) * varies, (xx - x * x + yy - y * y + (x - y) ** 2) * varies)

    return Sums(sparse.csr_array(rows), value)


# Verification.


def eer(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Equal error rate: where as large a share of the same speakers is rejected as of the others is accepted.

    Between two thresholds the rates are interpolated linearly (equal scores are accepted together); the convex hull
    of the ROC would give as much or less.

    Args:
        truth: `(num_pairs,)`: 1 or true for the same speaker, 0 or false for another.
        predicted: `(num_pairs,)` finite scores, higher for the same speaker.

    Returns:
        In [0, 1]; lower is better, guessing gives 0.5.

    Raises:
        ValueError: if there are no pairs, unequally many, only pairs of one kind, or a score is not finite.

    >>> eer([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.3, 0.4, 0.2, 0.1])  # doctest: +ELLIPSIS
    0.3333...
    """
    truth, predicted = checked("verification", truth, predicted)
    return verification.eer(truth, predicted)


def d_prime(truth: ArrayLike, predicted: ArrayLike) -> float:
    """How many standard deviations two normal densities of variance 1 with this area under the ROC are apart.

    √2 Φ⁻¹(AUC), as in AudioSet and HEAR. The area is kept half a pair away from 0 and 1 (Macmillan & Kaplan 1985 for
    rates), so that scores which separate all pairs give a finite number that grows with their count. Arguments and
    errors as `eer`.

    Returns:
        Any number; higher is better, guessing gives 0.

    >>> round(d_prime([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.3, 0.4, 0.2, 0.1]), 3)
    1.726
    """
    truth, predicted = checked("verification", truth, predicted)
    targets = truth.sum()
    area = np.asarray(scores.roc_auc_score(truth, predicted))
    return float(_d_prime(area, targets * (len(truth) - targets)))


def _d_prime(area: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        margin = 1 / (2 * pairs)
    return np.asarray(np.sqrt(2) * special.ndtri(np.clip(area, margin, 1 - margin)))


def _histogram(truth: np.ndarray, predicted: np.ndarray) -> Any:
    """How many pairs of the same speaker have the lowest score, the next, ...; then how many of others."""
    levels, ranks = np.unique(predicted, return_inverse=True)
    same = truth.astype(bool)
    return sparse.hstack([_indicator(ranks, len(levels), kind) for kind in (same, ~same)], format="csr")


def _crossing(truth: np.ndarray, predicted: np.ndarray) -> Sums:
    def value(totals: np.ndarray) -> np.ndarray:
        below = np.cumsum(np.stack(np.split(totals, 2, axis=-1)), axis=-1)
        below = _ratio(below, below[..., -1:])  # (2, ..., num_levels): shares of same, other at or below a level
        below = np.concatenate([np.zeros_like(below[..., :1]), below], axis=-1)
        misses, false_alarms = below[0], 1 - below[1]
        after = np.argmax(misses >= false_alarms, axis=-1)[..., None]
        before = np.maximum(after - 1, 0)
        x0, y0, x1, y1 = (
            np.take_along_axis(rate, at, axis=-1)[..., 0] for at in (before, after) for rate in (false_alarms, misses)
        )
        return np.asarray(x0 + (x1 - x0) * _ratio(x0 - y0, (x0 - y0) - (x1 - y1)))

    return Sums(_histogram(truth, predicted), value)


def _area(truth: np.ndarray, predicted: np.ndarray) -> Sums:
    def value(totals: np.ndarray) -> np.ndarray:
        same, other = np.split(totals, 2, axis=-1)
        won = (same * (np.cumsum(other, axis=-1) - other / 2)).sum(axis=-1)
        pairs = same.sum(axis=-1) * other.sum(axis=-1)
        return _d_prime(_ratio(won, pairs), pairs)

    return Sums(_histogram(truth, predicted), value)


def _indicator(columns: np.ndarray, num_columns: int, values: np.ndarray | None = None) -> Any:
    """A sparse `(num_clips, num_columns)`: in each row one value, 1 unless given."""
    values = np.ones(len(columns)) if values is None else values.astype(np.float64)
    return sparse.csr_array((values, (np.arange(len(columns)), columns)), shape=(len(columns), num_columns))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(denominator > 0, numerator / denominator, np.nan))


# What is scored.


def checked(
    kind: Kind, truth: ArrayLike, predicted: ArrayLike, classes: Collection[Any] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Truth and predicted as vectors that a metric of this kind is defined for, or the error that says why not.

    >>> checked("regression", [1, 2], [1, float("nan")])
    Traceback (most recent call last):
    ...
    ValueError: predicted must be finite numbers, 1 of 2 is not. Leave out clips without one.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 1 or truth.shape != predicted.shape or truth.size == 0:
        raise ValueError(
            "truth and predicted must be vectors of one length, not empty, "
            f"got shapes {truth.shape} and {predicted.shape}. Give each clip one row in both."
        )
    if kind == "classification":
        _check_classes(truth, predicted, classes)
        return truth, predicted
    truth, predicted = _numbers("truth", truth), _numbers("predicted", predicted)
    if kind == "verification" and {0.0, 1.0} != set(np.unique(truth)):
        found = ", ".join(f"{value:g}" for value in np.unique(truth)[:3])
        raise ValueError(
            f"truth of pairs must hold 1 (same speaker) and 0 (another), both of them, got only {found}. "
            "Add pairs of the other kind."
        )
    return truth, predicted


def count_missing(names: np.ndarray) -> int:
    """How many are NaN or None.

    >>> count_missing(np.array(["a", None, float("nan")], dtype=object))
    2
    """
    return sum(name is None or name != name for name in names.ravel().tolist())


def _check_classes(truth: np.ndarray, predicted: np.ndarray, classes: Collection[Any] | None) -> None:
    for name, values in (("truth", truth), ("predicted", predicted)):
        missing = count_missing(values)
        if missing:
            raise ValueError(
                f"{name} must have a class for every clip, {missing} of {len(values)} are NaN or None. "
                "Leave out clips without one."
            )
    found = set(truth.tolist())
    if len(found) < 2:
        raise ValueError(
            f"truth must hold two classes or more, all {len(truth)} clips have {truth.tolist()[0]!r}. "
            "Whatever says so is right: test on a part with other classes too."
        )
    known = found if classes is None else set(np.asarray(list(classes)).tolist())
    unknown = sorted(map(repr, (found | set(predicted.tolist())) - known))
    if unknown:
        raise ValueError(
            f"predicted must be {'classes of the truth' if classes is None else 'of the classes'}, got "
            f"{', '.join(unknown[:3])}{' and others' if len(unknown) > 3 else ''} beside "
            f"{', '.join(sorted(map(repr, known))[:3])}. Where the test part lacks a class of the task, give `classes`."
        )


def _numbers(name: str, values: np.ndarray) -> np.ndarray:
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {values.tolist()[0]!r}. For classes there is uar.") from None
    bad = len(numbers) - int(np.isfinite(numbers).sum())
    if bad:
        raise ValueError(
            f"{name} must be finite numbers, {bad} of {len(numbers)} {'is' if bad == 1 else 'are'} not. "
            "Leave out clips without one."
        )
    return numbers


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", accuracy, "classification", low=0, high=1, sums=_hits),
        Metric("uar", uar, "classification", low=0, high=1, sums=_recalls),
        Metric("micro_f1", micro_f1, "classification", low=0, high=1, sums=_hits),
        Metric("mae", mae, "regression", higher_is_better=False, low=0, sums=_absolute_errors),
        Metric("ccc", ccc, "regression", low=-1, high=1, sums=_moments),
        Metric("eer", eer, "verification", higher_is_better=False, low=0, high=1, sums=_crossing),
        Metric("d_prime", d_prime, "verification", sums=_area),
    )
}
