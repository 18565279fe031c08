"""How the score grows with the number of labelled clips, because little data is the point."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from noss.metrics import count_missing
from noss.statistics import Spread, spread


def subsample(labels: ArrayLike, speakers: ArrayLike, sizes: Sequence[int], seed: int) -> list[np.ndarray]:
    """Draw training parts of so many clips a class, the smaller inside the larger.

    The clips of a class come from as many speakers as they can; which speaker comes first is drawn for each class, so
    with few clips classes mostly differ in their speakers too, as they do for who labels a handful of clips.

    Args:
        labels: `(num_clips,)` of the training part.
        speakers: `(num_clips,)`.
        sizes: clips a class, ascending.
        seed: of the draw.

    Returns:
        For each size the indices of its clips, ascending: `(size * num_classes,)`.

    Raises:
        ValueError: if sizes do not ascend from 1 or more, or a class has fewer clips.

    >>> [len(part) for part in subsample(["a", "b", "b", "a", "a"], [1, 1, 2, 2, 3], sizes=[1, 2], seed=0)]
    [2, 4]
    """
    labels, speakers = np.asarray(labels), np.asarray(speakers)
    missing = count_missing(labels) + count_missing(speakers)
    if labels.shape != speakers.shape or labels.ndim != 1 or not labels.size or missing:
        raise ValueError(
            f"each clip needs a label and a speaker, got shapes {labels.shape} and {speakers.shape}, {missing} of them "
            "NaN or None. Leave out clips without one."
        )
    if not len(sizes) or min(sizes) < 1 or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes must ascend from 1 or more, got {list(sizes)}. Usual are 1, 2, 5, 10.")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < sizes[-1]:
        raise ValueError(
            f"each class needs as many clips as the largest size, {sizes[-1]}, but {classes[counts.argmin()]!s} has "
            f"{counts.min()}. Leave out larger sizes."
        )
    random = np.random.default_rng(seed)
    order = [_speakers_in_turn(random.permutation(np.flatnonzero(labels == label)), speakers) for label in classes]
    return [np.sort(np.concatenate([clips[:size] for clips in order])) for size in sizes]


def _speakers_in_turn(clips: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """The first clip of every speaker, then the second of every one that has two, and so on."""
    _, first, codes = np.unique(speakers[clips], return_index=True, return_inverse=True)
    turn = np.empty(len(clips), int)
    for code in range(len(first)):
        turn[codes == code] = np.arange((codes == code).sum())
    return np.asarray(clips[np.lexsort((first[codes], turn))])


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """Scores by the number of labelled clips a class.

    Attributes:
        sizes: clips a class.
        scores: for each size one a seed.
        spreads: for each size mean and spread over seeds.
    """

    sizes: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    spreads: tuple[Spread, ...]

    def __str__(self) -> str:
        return "\n".join(f"{size:5d} a class: {spread}" for size, spread in zip(self.sizes, self.spreads, strict=True))


def learning_curve(
    score: Callable[[np.ndarray], float],
    labels: ArrayLike,
    speakers: ArrayLike,
    *,
    sizes: Sequence[int] = (1, 2, 5, 10),
    seeds: Iterable[int] = range(5),
) -> LearningCurve:
    """How the score grows with the number of labelled clips.

    Args:
        score: takes indices of clips of the training part, trains on them, and gives the score on a test part that is
            always the same.
        labels: `(num_clips,)` of the training part.
        speakers: `(num_clips,)`.
        sizes: clips a class, ascending; as `subsample`.
        seeds: one draw each.

    Raises:
        ValueError: as `subsample`, or if there is no seed or a score is not finite.

    >>> labels, speakers = np.arange(40) % 2, np.arange(40) // 4
    >>> print(learning_curve(lambda clips: 1 - 1 / len(clips), labels, speakers, sizes=[1, 5], seeds=[0, 1]))
        1 a class: 0.500 (sd 0.000, 0.500 to 0.500, 2 scores)
        5 a class: 0.900 (sd 0.000, 0.900 to 0.900, 2 scores)
    """
    rows = [[float(score(part)) for part in subsample(labels, speakers, sizes, seed)] for seed in seeds]
    by_size = tuple(zip(*rows, strict=True))
    if not by_size:
        raise ValueError("a learning curve needs one seed or more, got none. Usual are range(5).")
    return LearningCurve(tuple(sizes), by_size, tuple(map(spread, by_size)))
