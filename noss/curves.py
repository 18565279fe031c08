"""How the score grows with the number of labelled clips, because little data is the point.

With a clip or two a class nothing is left to choose by, so nothing is chosen: one linear classifier on the mean over
time, with a strength that was fixed before any score was seen. Whoever has a dev part at that size has more data than
the size says. The tested clips are those of the plain splits; the training part is drawn several times.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from noss.config import ProtocolConfig, Setting
from noss.evaluation import Outcome, score
from noss.metrics import count_missing
from noss.selection import Data, missing_classes, none_if_nan, sweep
from noss.splits import Split
from noss.statistics import Spread, spread
from trill.errors import optional
from trill.progress import progress

joblib = optional("joblib", "noss")

SIZES = (1, 2, 5, 10)  # clips a class
DRAWS = 5  # of the training part, of each split
# Fixed beforehand: the plainest of what the protocol tries, and a strength in the middle of its grid.
FIXED = Setting("mean", "none", "logistic", 1e-2)


def curve_config(config: ProtocolConfig) -> ProtocolConfig:
    """What a learning curve tries: nothing to choose, on the splits of a protocol.

    >>> curve_config(ProtocolConfig()).settings("classification")
    [Setting(aggregation='mean', normalisation='none', classifier='logistic', strength=0.01)]
    """
    return dataclasses.replace(
        config,
        name=f"{config.name}-fixed-{DRAWS}-draws",
        aggregations=(FIXED.aggregation,),
        normalisations=(FIXED.normalisation,),
        classifiers=((FIXED.classifier, (FIXED.strength,)),),
    )


def largest_size(labels: ArrayLike, splits: Sequence[Split], refit: bool) -> int:
    """How many clips a class there are to draw in every split: those of the rarest class that is there.

    >>> split = Split("0", np.array([0, 1, 2]), np.array([3]), np.array([4]), "0")
    >>> largest_size([*"aabba"], [split], refit=True), largest_size([*"aabba"], [split], refit=False)
    (2, 1)
    """
    labels = np.asarray(labels)
    return min(int(np.unique(labels[pool(split, refit)], return_counts=True)[1].min()) for split in splits)


def pool(split: Split, refit: bool) -> np.ndarray:
    """The clips that training parts are drawn from: with refitting those of dev, too."""
    return np.union1d(split.train, split.dev) if refit else split.train


def outcomes_of_few(
    data: Data, splits: list[Split], setting: Setting, size: int, *, jobs: int, quiet: bool
) -> list[Outcome]:
    """Of each split and each of `DRAWS` training parts of `size` clips a class what came out on the test part.

    Raises:
        ValueError: if a class of a training part has fewer clips.
    """
    begin = data.config.splits.seed * DRAWS
    drawn = []
    for split, draw in itertools.product(splits, range(DRAWS)):
        clips = pool(split, data.config.refit)
        (some,) = subsample(data.targets[clips], data.speakers[clips], [size], begin + draw)
        drawn.append((split, draw, clips[some]))
    run = joblib.Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    found = run(joblib.delayed(sweep)(data, [setting], part, split.test) for split, _, part in drawn)
    with progress(found, total=len(drawn), unit="draws tested", quiet=quiet) as bar:
        answers = [answer for (answer,) in bar]
    return [
        Outcome(
            name=f"{split.name}, draw {draw}",
            group=split.group,
            speaker=split.speaker,
            setting=setting,
            dev_score=None,
            score=none_if_nan(score(data.metric, data.targets[split.test], answer.predicted, len(data.classes))),
            items=split.test,
            predicted=answer.predicted,
            sizes={"train": len(part), "dev": 0, "test": len(split.test)},
            dev_by=split.dev_by,
            missing=missing_classes(data, {"train": part, "test": split.test}),
            seen=answer.seen,
            seconds={"choose": 0.0, "test": answer.seconds},
        )
        for (split, draw, part), answer in zip(drawn, answers, strict=True)
    ]


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
