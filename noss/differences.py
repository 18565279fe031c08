"""Which of two representations is better on one task: by the same draws of speakers, and over splits."""

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noss.metrics import Metric
from noss.resampling import draws_of, resample, statistic
from noss.statistics import Interval, check_level, finite, interval_of, metric_of, over_splits
from trill.errors import optional

special = optional("scipy.special", "noss")

# Over splits.


@dataclasses.dataclass(frozen=True)
class TTest:
    """A corrected resampled t-test: the mean difference, t, its degrees of freedom and the two-sided p."""

    difference: float
    t: float
    degrees: int
    p: float


def corrected_t_test(a: ArrayLike, b: ArrayLike, test_to_train: float = 3 / 7) -> TTest:
    """Do two representations differ, judged by their scores on the same splits?

    Splits share training clips, so their differences vary less than those of independent experiments would: the
    variance is multiplied by 1/J + n_test/n_train instead of 1/J (Nadeau & Bengio 2003, Machine Learning 52:239).

    Args:
        a: `(num_splits,)` scores of one.
        b: of the other, on the same splits.
        test_to_train: clips of the test part over clips of the training part: 3/7 for 70/30 splits, 1/(k - 1) for k
            folds.

    Raises:
        ValueError: if there are fewer than two splits, unequally many, a score is not finite, or the ratio not
            positive.

    >>> corrected_t_test([0.70, 0.73, 0.69, 0.73, 0.71], [0.66, 0.70, 0.66, 0.68, 0.67]).p < 0.01
    True
    """
    first, second = finite("a", a), finite("b", b)
    if len(first) != len(second) or len(first) < 2 or not test_to_train > 0:
        raise ValueError(
            "a t-test needs the same splits, two or more, and a positive ratio of test to training clips, "
            f"got {len(first)} and {len(second)} scores and {test_to_train}. For a single split there is compare."
        )
    differences, degrees = first - second, len(first) - 1
    mean = float(differences.mean())
    error = float(np.sqrt((1 / len(first) + test_to_train) * differences.var(ddof=1)))
    rounding = 1e-12 * float(np.abs([first, second]).max())
    if error <= rounding:  # the same difference everywhere
        mean, error = (0.0, 1.0) if abs(mean) <= rounding else (mean, 0.0)
    t = mean / error if error else float(np.copysign(np.inf, mean))
    return TTest(mean, t, degrees, float(2 * special.stdtr(degrees, -abs(t))))


# By speaker.


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Which of two representations is better on one task; printed, it is one sentence.

    Attributes:
        a, b: their names.
        metric: its name.
        score_a, score_b: each with its interval.
        difference: the first less the second, by the same draws: its interval is narrower than those suggest.
        probability: that a is better; 0.5 where nothing is known.
        t_test: over splits, or None.
    """

    a: str
    b: str
    metric: str
    score_a: Interval
    score_b: Interval
    difference: Interval
    probability: float
    t_test: TTest | None = None

    def __str__(self) -> str:
        difference = self.difference
        better, worse = (self.a, self.b) if self.probability >= 0.5 else (self.b, self.a)
        verdict = f"{better} is better than {worse}"
        if difference.vacuous:
            verdict = f"{self.a} and {self.b} cannot be compared ({difference.vacuous})"
        elif difference.low <= 0 <= difference.high:
            verdict = f"{self.a} and {self.b} cannot be told apart"
        probability = max(self.probability, 1 - self.probability)
        text = (
            f"{verdict}: {self.metric} {self.score_a.value:.3f} against {self.score_b.value:.3f}, difference "
            f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] "
            f"({difference.level:.0%}, {difference.num_speakers} speakers), {better} better with probability "
            f"{'> 99.9%' if probability > 0.999 else f'{probability:.1%}'}"
        )
        if self.t_test is not None:
            text += f"; over {self.t_test.degrees + 1} splits p = {self.t_test.p:.2g} (corrected t-test)"
        return f"{text}."


def compare(
    truth: ArrayLike,
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    speakers: ArrayLike,
    metric: str | Metric = "uar",
    *,
    names: tuple[str, str] = ("A", "B"),
    splits: ArrayLike | None = None,
    test_to_train: float = 3 / 7,
    classes: Collection[Any] | None = None,
    level: float = 0.95,
    rounds: int = 10_000,
    seed: int = 0,
    expanded: bool = True,
) -> Comparison:
    """Compare the predictions of two representations on the same clips.

    Each round draws speakers once and scores both. The probability is the share of rounds in which A is better (a tie
    counts half), drawn towards 0.5 with few speakers as much as the interval is widened.

    Args:
        truth: `(num_clips,)`.
        predicted_a: `(num_clips,)`.
        predicted_b: of the same clips in the same order.
        speakers: `(num_clips,)`, or `(num_pairs, 2)`.
        metric: a name in `noss.metrics.METRICS`, or a row of your own; it says whether higher is better.
        names: of the representations.
        splits: `(num_clips,)`, if the rows are of several splits: scores are then means over splits, and there is a
            t-test over them.
        test_to_train: as `corrected_t_test`.
        classes: as `noss.statistics.bootstrap`, like the rest.
        level: likewise.
        rounds: likewise.
        seed: likewise.
        expanded: likewise.

    Raises:
        ValueError: as `noss.statistics.bootstrap`.

    >>> truth = np.array([0, 1] * 40)
    >>> speakers = np.repeat(np.arange(20), 4)
    >>> first, second = np.where(speakers < 18, truth, 0), np.where(speakers % 2, truth, 0)
    >>> print(compare(truth, first, second, speakers, names=("trill", "mfcc"), rounds=1000))  # doctest: +ELLIPSIS
    trill is better than mfcc: uar 0.950 against 0.750, difference +0.200 [...] (95%, 20 speakers), trill better ...
    """
    check_level(level)
    row, draws = metric_of(metric), draws_of(speakers, rounds, seed)
    by_split = resample(draws, [statistic(truth, p, draws, row, splits, classes) for p in (predicted_a, predicted_b)])
    a, b = map(over_splits, by_split)
    return Comparison(
        *names,
        row.name,
        interval_of(a, draws, level, expanded),
        interval_of(b, draws, level, expanded),
        interval_of(a - b, draws, level, expanded),
        _probability((a - b)[1:] * (1 if row.higher_is_better else -1), draws.num_speakers, expanded),
        corrected_t_test(by_split[0][:, 0], by_split[1][:, 0], test_to_train) if len(by_split[0]) > 1 else None,
    )


def _probability(gains: np.ndarray, num_speakers: int, expanded: bool) -> float:
    """Of a gain above 0: the share of the rounds, as a quantile that the interval of this level would end at."""
    gains = gains[~np.isnan(gains)]
    share = ((gains > 0).sum() + (gains == 0).sum() / 2 + 0.5) / (len(gains) + 1)  # of finitely many, never all
    if not expanded:
        return float(share)
    quantile = special.ndtri(share) * np.sqrt((num_speakers - 1) / num_speakers)
    return float(special.stdtr(num_speakers - 1, quantile))
