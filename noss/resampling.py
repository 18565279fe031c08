"""Speakers drawn with replacement, each with all its clips, and what a metric is on such draws.

The arithmetic under the intervals of `noss.statistics`. A metric that is a function of sums over clips
(`noss.metrics.Metric.sums`) is summed once over the clips of each speaker; then a block of rounds is one product of
the counts drawn, `(rounds, num_speakers)`, with these sums. Other metrics are called once a round.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noss.metrics import Metric, checked, count_missing
from trill.errors import optional

sparse = optional("scipy.sparse", "noss")

BLOCK = 2**22  # numbers at a time: 32 MB


@dataclasses.dataclass(frozen=True, eq=False)
class Draws:
    """Which speakers are drawn: the same for whatever is asked of them.

    Attributes:
        codes: `(num_clips,)` numbers of the speakers, or `(num_pairs, 2)`.
        num_speakers: two or more.
        rounds: how often as many are drawn as there are.
        seed: the same seed, the same draws.
    """

    codes: np.ndarray
    num_speakers: int
    rounds: int
    seed: int


@dataclasses.dataclass(frozen=True, eq=False)
class Statistic:
    """A metric on each split, by how often each speaker counts.

    Attributes:
        of: `(rounds, num_speakers)` counts -> `(num_splits, rounds)`, NaN where undefined.
        width: numbers a round that it makes on the way, about.
    """

    of: Callable[[np.ndarray], np.ndarray]
    width: int


def draws_of(speakers: ArrayLike, rounds: int, seed: int) -> Draws:
    """Number the speakers.

    Raises:
        ValueError: if there is but one, or a clip has none; if `speakers` is neither a vector nor has two columns; if
            `rounds` is not positive.

    >>> draws_of(["b", "a", "b"], rounds=1000, seed=0).codes.tolist()
    [1, 0, 1]
    """
    speakers = np.asarray(speakers)
    if speakers.ndim != 1 and speakers.shape[1:] != (2,):
        raise ValueError(
            f"speakers must be (num_clips,), or (num_pairs, 2) of pairs, got shape {speakers.shape}. "
            "Give each clip one."
        )
    if rounds < 1:
        raise ValueError(f"rounds must be positive, got {rounds}. Usual are 10000.")
    missing = count_missing(speakers)
    if missing:
        raise ValueError(
            f"each clip needs a speaker, {missing} of {speakers.size} are NaN or None. Leave out, or name, these clips."
        )
    names, codes = np.unique(speakers, return_inverse=True)
    if len(names) < 2:
        raise ValueError(
            f"an interval by speaker needs two of them or more, got {len(names)}. For one that holds for this speaker "
            "only, give each clip a name of its own."
        )
    return Draws(codes.reshape(speakers.shape), len(names), rounds, seed)


def counts(draws: Draws, width: int) -> Iterator[np.ndarray]:
    """How often each speaker is drawn: `(some rounds, num_speakers)` float64, as many rounds as fit a block.

    >>> next(counts(draws_of(["a", "b", "c"], rounds=4, seed=0), width=1)).sum(axis=1).tolist()
    [3.0, 3.0, 3.0, 3.0]
    """
    random = np.random.default_rng(draws.seed)
    n = draws.num_speakers
    block = max(1, BLOCK // max(n, width))
    for start in range(0, draws.rounds, block):
        size = min(block, draws.rounds - start)
        drawn = random.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def resample(draws: Draws, statistics: Sequence[Statistic]) -> list[np.ndarray]:
    """Each statistic on all clips, then on each round: `(num_splits, 1 + rounds)`."""
    every = np.ones((1, draws.num_speakers))
    found = [[statistic.of(every)] for statistic in statistics]
    for drawn in counts(draws, max(statistic.width for statistic in statistics)):
        for values, statistic in zip(found, statistics, strict=True):
            values.append(statistic.of(drawn))
    return [np.concatenate(values, axis=1) for values in found]


def statistic(
    truth: ArrayLike,
    predicted: ArrayLike,
    draws: Draws,
    metric: Metric,
    splits: ArrayLike | None = None,
    classes: Collection[Any] | None = None,
) -> Statistic:
    """A metric, on each split, as a function of how often each speaker counts.

    Args:
        truth: `(num_clips,)`.
        predicted: `(num_clips,)`.
        draws: of the same clips.
        metric: a row of `noss.metrics.METRICS`, or another.
        splits: `(num_clips,)` names, or None for a single split.
        classes: of the task, where `truth` may lack one.

    Raises:
        ValueError: if the metric is not defined for the clips of a split, or lengths differ.
    """
    truth, predicted = checked(metric.kind, truth, predicted, classes)
    splits = np.zeros(len(truth)) if splits is None else np.asarray(splits)
    if splits.shape != truth.shape or len(draws.codes) != len(truth):
        raise ValueError(
            f"truth, speakers and splits must have one length, got {len(truth)}, {len(draws.codes)} and {len(splits)}. "
            "Give each clip one row in all."
        )
    if classes is None and metric.kind == "classification":
        classes = np.unique(truth).tolist()
    parts = []
    for split in np.unique(splits):
        clips = splits == split
        some = checked(metric.kind, truth[clips], predicted[clips], classes)
        parts.append(_on_one_split(*some, draws.codes[clips], metric))
    return Statistic(lambda drawn: np.stack([part.of(drawn) for part in parts]), max(part.width for part in parts))


def _on_one_split(truth: np.ndarray, predicted: np.ndarray, codes: np.ndarray, metric: Metric) -> Statistic:
    """As `statistic`, but `(rounds,)`."""
    kinds, groups = np.unique(codes, axis=0, return_inverse=True)  # speakers, or pairs of them
    groups = groups.reshape(-1)
    if metric.sums is None:
        return Statistic(
            lambda drawn: _one_by_one(truth, predicted, _counts_of(kinds, drawn)[:, groups], metric), len(groups)
        )
    sums = metric.sums(truth, predicted)
    members = sparse.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))), (len(kinds), len(groups)))
    by_group = (members @ sums.rows).T.tocsr()  # (num_sums, num_groups)
    return Statistic(
        lambda drawn: sums.value((by_group @ _counts_of(kinds, drawn).T).T), max(len(kinds), by_group.shape[0])
    )


def _counts_of(kinds: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """`(rounds, num_kinds)`: how often each speaker is drawn, or each pair of two: once a copy of the one and other."""
    if kinds.ndim == 1:
        return np.asarray(drawn[:, kinds])
    first, second = kinds.T
    return np.asarray(drawn[:, first] * np.where(first == second, 1, drawn[:, second]))


def _one_by_one(truth: np.ndarray, predicted: np.ndarray, repeats: np.ndarray, metric: Metric) -> np.ndarray:
    values = np.full(len(repeats), np.nan)
    for index, row in enumerate(repeats.astype(np.intp)):
        clips = np.repeat(np.arange(len(truth)), row)
        try:
            values[index] = metric.function(truth[clips], predicted[clips])
        except ValueError:  # too few clips, or of one kind; of all of them it is the caller's mistake
            if (row == 1).all():
                raise
    return values
