"""From windows to what a classifier sees: aggregation over time, and normalisation, as two tables.

Nothing here looks at a label.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MAX_BYTES = 2**27  # of float32 that are worked on at a time
MIN_CLIPS = 5  # of a speaker; fewer say little of the voice, and being so few would show in what they are turned into


@dataclass(frozen=True, eq=False)
class Features:
    """Rows of clips: one each, or one for each window, where predictions vote.

    Args:
        rows: `(num_rows, dim)` float32.
        starts: `(num_clips + 1,)`: clip i is `rows[starts[i]:starts[i + 1]]`.
    """

    rows: np.ndarray
    starts: np.ndarray

    @property
    def dim(self) -> int:
        """Of a row."""
        return int(self.rows.shape[1])


# Aggregation.


def aggregate(embeddings: Any, how: str) -> Features:
    """Rows of clips from rows of windows.

    Args:
        embeddings: has `rows (total_windows, dim)` and `starts (num_clips + 1,)`; a clip without windows becomes zeros.
        how: a name in `AGGREGATIONS`: "mean", "max", "mean+std" (the standard deviation with 1/n), or "mode": the
            windows stay, and a clip gets the prediction that most of them get; between equally many the one met first.

    Raises:
        ValueError: if there is no such aggregation.

    >>> from types import SimpleNamespace
    >>> windows = SimpleNamespace(rows=np.array([[1, 5], [3, 1], [2, 2]], np.float32), starts=np.array([0, 2, 3]))
    >>> aggregate(windows, "mean+std").rows.tolist()
    [[2.0, 3.0, 1.0, 2.0], [2.0, 2.0, 0.0, 0.0]]
    """
    if how not in AGGREGATIONS:
        raise ValueError(f"aggregation must be one of {', '.join(AGGREGATIONS)}, got {how!r}.")
    summarise = AGGREGATIONS[how]
    rows, starts = embeddings.rows, np.asarray(embeddings.starts)
    alone = len(rows) == len(starts) - 1 and bool((np.diff(starts) == 1).all())
    if summarise is None or (alone and how in ("mean", "max")):  # of one window it is that: no copy
        return Features(rows, starts)
    clips = np.flatnonzero(np.diff(starts))  # their rows follow each other without a gap
    width = summarise(np.zeros((1, rows.shape[1]), np.float32), np.zeros(1, np.intp), np.ones(1)).shape[1]
    found = np.zeros((len(starts) - 1, width), np.float32)
    for some in _chunks(np.diff(starts)[clips], rows.shape[1]):
        first, stop = starts[clips[some][0]], starts[clips[some][-1] + 1]
        begins = starts[clips[some]] - first
        found[clips[some]] = summarise(rows[first:stop], begins, np.diff([*begins, stop - first]))
    return Features(found, np.arange(len(starts)))


def _mean(rows: np.ndarray, begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.asarray(np.add.reduceat(rows, begins, dtype=np.float64) / counts[:, None])


def _max(rows: np.ndarray, begins: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum.reduceat(rows, begins))


def _mean_std(rows: np.ndarray, begins: np.ndarray, counts: np.ndarray) -> np.ndarray:
    mean = _mean(rows, begins, counts)
    squares = (rows - np.repeat(mean, counts.astype(np.intp), axis=0)) ** 2
    return np.concatenate([mean, np.sqrt(_mean(squares, begins, counts))], axis=1)


# Windows of some clips `(num_rows, dim)`, where each clip begins, how many it has -> (num_clips, another dim).
AGGREGATIONS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None] = {
    "mean": _mean,
    "max": _max,
    "mode": None,
    "mean+std": _mean_std,
}


def vote(predicted: np.ndarray, owners: np.ndarray, num_clips: int) -> np.ndarray:
    """What most rows of each clip say; between equally many, what was said first.

    Args:
        predicted: `(num_rows,)`.
        owners: `(num_rows,)` the clip of each row, ascending, each of them there.
        num_clips: how many there are.

    >>> vote(np.array([3, 1, 1, 2, 0]), np.array([0, 0, 0, 1, 1]), 2).tolist()
    [1, 2]
    """
    if len(predicted) == num_clips:
        return predicted
    values, codes = np.unique(predicted, return_inverse=True)
    pairs, first, counts = np.unique(owners * len(values) + codes, return_index=True, return_counts=True)
    best = np.lexsort((first, -counts, pairs // len(values)))
    of_clip = pairs[best] // len(values)
    winners = best[np.searchsorted(of_clip, np.arange(num_clips))]
    return np.asarray(values[pairs[winners] % len(values)])


# Normalisation.

Apply = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows and the clip of each -> rows


@dataclass(frozen=True, eq=False)
class Normaliser:
    """What is done to rows before they are standardised, and how many speakers it was learned from, by where."""

    apply: Apply
    seen: dict[str, int] = field(default_factory=dict)


def normaliser(
    how: str, features: Features, speakers: np.ndarray, training: np.ndarray, judged: np.ndarray
) -> Normaliser:
    """What turns rows into what is classified.

    "speaker" subtracts a speaker's mean and divides by the speaker's standard deviation, dimension by dimension. These
    come from clips in training where there are any; a speaker whom training lacks is known by the clips that are
    judged, without their labels, as a device gets to know its owner. One with fewer than five clips gets the values of
    the training clips all together.

    Args:
        how: a name in `NORMALISATIONS`: "none", "l2" or "speaker".
        features: of all clips.
        speakers: `(num_clips,)`.
        training: positions of the clips that a classifier learns from.
        judged: of those that it is asked about.

    Raises:
        ValueError: if there is no such normalisation.
    """
    if how not in NORMALISATIONS:
        raise ValueError(f"normalisation must be one of {', '.join(NORMALISATIONS)}, got {how!r}.")
    return NORMALISATIONS[how](features, speakers, training, judged)


def _none(*_: Any) -> Normaliser:
    return Normaliser(lambda rows, clips: rows)


def _l2(*_: Any) -> Normaliser:
    def apply(rows: np.ndarray, clips: np.ndarray) -> np.ndarray:
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64)).astype(rows.dtype)
        return np.asarray(rows / np.where(lengths > 0, lengths, 1)[:, None])

    return Normaliser(apply)


def _by_speaker(features: Features, speakers: np.ndarray, training: np.ndarray, judged: np.ndarray) -> Normaliser:
    _, codes = np.unique(speakers, return_inverse=True)
    here = np.unique(codes[np.concatenate([training, judged])])
    place = np.zeros(codes.max() + 1, np.intp)
    place[here] = np.arange(len(here))
    mean, scale = (np.empty((len(here), features.dim), np.float32) for _ in range(2))
    seen = {"training": 0, "judged": 0, "too few clips": 0}
    general = None
    for index, speaker in enumerate(here):
        where, mine = "training", training[codes[training] == speaker]
        if not len(mine):
            where, mine = "judged", judged[codes[judged] == speaker]
        if len(mine) >= MIN_CLIPS:
            mean[index], scale[index] = _moments(features, mine)
        else:
            where = "too few clips"
            general = general or _moments(features, training)
            mean[index], scale[index] = general
        seen[where] += 1

    def apply(rows: np.ndarray, clips: np.ndarray) -> np.ndarray:
        found = np.empty(rows.shape, np.float32)
        for some in _chunks(np.ones(len(rows)), 4 * features.dim):
            whose = place[codes[clips[some]]]
            found[some] = (rows[some] - mean[whose]) / scale[whose]
        return found

    return Normaliser(apply, seen)


def _moments(features: Features, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the rows of some clips, 1 where a dimension stands still."""
    total, squares, number = 0.0, 0.0, 0
    blocks = list(blocks_of(features, clips))
    for rows, _ in blocks:
        total, number = total + features.rows[rows].sum(axis=0, dtype=np.float64), number + len(rows)
    mean = np.asarray(total / number)
    for rows, _ in blocks:
        squares = squares + ((features.rows[rows] - mean) ** 2).sum(axis=0)
    return mean, still_is_one(np.sqrt(squares / number), mean)


def still_is_one(scale: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A standard deviation to divide by: 1 where there is nothing but the rounding of float32."""
    return np.asarray(np.where(scale > 1e-7 * np.abs(mean), scale, 1))


NORMALISATIONS: dict[str, Callable[[Features, np.ndarray, np.ndarray, np.ndarray], Normaliser]] = {
    "none": _none,
    "l2": _l2,
    "speaker": _by_speaker,
}

# Rows of clips.


def rows_of(features: Features, clips: np.ndarray, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Which rows some clips have, and whose each is, counted from 0.

    Args:
        features: of all clips.
        clips: positions.
        most: rows of a clip; of more, so many at equal distances.

    >>> windows = Features(np.zeros((6, 1)), np.array([0, 4, 6]))
    >>> [part.tolist() for part in rows_of(windows, np.array([0, 1]), most=2)]
    [[1, 3, 4, 5], [0, 0, 1, 1]]
    """
    counts = np.diff(features.starts)[clips]
    wanted = counts if most is None else np.minimum(counts, most)
    owners = np.repeat(np.arange(len(clips)), wanted)
    index = np.arange(len(owners)) - (np.cumsum(wanted) - wanted)[owners]
    index = ((2 * index + 1) * counts[owners]) // (2 * wanted[owners])  # the middle of equal parts
    return features.starts[clips][owners] + index, owners


def blocks_of(features: Features, clips: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """As `rows_of`, a few clips at a time."""
    for some in _chunks(np.diff(features.starts)[clips], features.dim):
        rows, owners = rows_of(features, clips[some])
        yield rows, owners + some.start


def _chunks(counts: np.ndarray, dim: int) -> Iterator[slice]:
    """Clips whose rows together are at most `MAX_BYTES`, or one that has more."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        room = (ends[start - 1] if start else 0) + MAX_BYTES // (4 * max(1, dim))
        stop = max(start + 1, int(np.searchsorted(ends, room, side="right")))
        yield slice(start, stop)
        start = stop
