"""Probes: shallow classifiers whose chance level is known, though clips of a speaker are alike.

A probe is a kernel ridge regression on the indicators of the classes, fitted and tested on the splits of the task. Its
predictions are linear in the labels that it learned from, so that a permutation costs a product of matrices. Labels are
permuted among the clips of a speaker, and among speakers with one label each as wholes: the null is that labels have
nothing to do with what the probe sees.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from noss.splits import SplitRule, make_splits
from noss.tasks.task import CorpusError, Task, Utterance
from trill.errors import optional

model_selection = optional("sklearn.model_selection", "noss")
stats = optional("scipy.stats", "noss")

FOLDS = 5
PENALTY = 1.0  # of a kernel that is 1 for a clip and itself
ROUNDS = 499  # permutations: p is 0.002 at the least


@dataclass(frozen=True, eq=False)
class Folds:
    """What a probe learns from and is tested on: pairs of positions of clips."""

    parts: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def tested(self) -> np.ndarray:
        """Positions, over all parts."""
        return np.concatenate([test for _, test in self.parts])


@dataclass(frozen=True, eq=False)
class Probed:
    """What a probe scores, what it scores on average with labels permuted, p, and what it predicts of the tested."""

    score: float
    null: float
    p: float
    predicted: np.ndarray


def make_folds(task: Task, utterances: Sequence[Utterance], seed: int = 0) -> Folds:
    """As the task splits: its own parts, or five folds that keep speakers whole where it does.

    Raises:
        CorpusError: if there are too few clips, classes or speakers.
    """
    labels = np.array([each.label for each in utterances])
    speakers = np.array([each.speaker for each in utterances])
    if len(np.unique(labels)) < 2:
        raise CorpusError("there is one label: nothing can be guessed.")
    if task.split in ("canonical", "within speaker"):
        parts = [each.split for each in utterances]
        drawn = make_splits(labels, speakers, task.split, SplitRule(seed=seed), parts=parts, overlap=True)
        return Folds(tuple((np.union1d(split.train, split.dev), split.test) for split in drawn))
    groups = speakers if task.split == "speakers" else np.arange(len(labels)).astype(str)
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        raise CorpusError("there is one speaker: nothing can be held out.")
    codes = np.unique(labels, return_inverse=True)[1] if task.kind == "classification" else np.zeros(len(labels), int)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer clips than folds: it does what it can
            splitter = model_selection.StratifiedGroupKFold(count, shuffle=True, random_state=seed)
            found = [(train, test) for train, test in splitter.split(codes, codes, groups) if len(train) and len(test)]
    except ValueError as error:
        raise CorpusError(f"{len(labels)} clips are too few to hold some out ({error}).") from error
    return Folds(tuple(found))


def rank_kernel(columns: np.ndarray) -> np.ndarray:
    """A Gaussian kernel on normal scores of the ranks of each column, `(num_clips, num_columns)`; blind to units."""
    ranks = stats.rankdata(columns, axis=0)
    scores = stats.norm.ppf(ranks / (len(ranks) + 1))
    spread = scores.std(axis=0)
    scores = (scores - scores.mean(axis=0)) / np.where(spread > 1e-9, spread, 1)
    squares = (scores**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * scores @ scores.T, 0)
    return np.asarray(np.exp(-distances / (2 * max(1, int((spread > 1e-9).sum())))))


def predict(kernel: np.ndarray, folds: Folds, targets: np.ndarray, is_class: bool) -> np.ndarray:
    """What is predicted of the tested clips.

    Args:
        kernel: `(num_clips, num_clips)`.
        folds: with `num_tested` clips to test in all.
        targets: `(num_rounds, num_clips)` numbers of classes, or numbers.
        is_class: which of them.

    Returns:
        `(num_rounds, num_tested)` likewise. Classes weigh the same, however many clips they have.
    """
    number = int(targets.max()) + 1 if is_class else 1
    found = []
    for train, test in folds.parts:
        regular = kernel[np.ix_(train, train)] + PENALTY * np.eye(len(train))
        weights = np.linalg.solve(regular, kernel[np.ix_(train, test)]).T  # (num_test, num_train)
        learned = targets[:, train]
        answer = np.zeros((len(targets), len(test)), targets.dtype)
        best = np.full(answer.shape, -np.inf)
        for code in range(number):
            column = (learned == code).astype(np.float64) if is_class else learned
            share = column.mean(axis=1, keepdims=True)
            score = share + (column - share) @ weights.T
            if not is_class:
                answer = score
                break
            score = np.where(share > 0, score / np.where(share > 0, share, 1), -np.inf)
            better = score > best
            best[better], answer[better] = score[better], code
        found.append(answer)
    return np.concatenate(found, axis=1)


def permuted(labels: np.ndarray, speakers: np.ndarray, rounds: int, seed: int) -> np.ndarray:
    """Labels as they are, then permuted among the clips of a speaker; among speakers with one label, as wholes.

    Args:
        labels: `(num_clips,)` numbers.
        speakers: `(num_clips,)`.
        rounds: permutations.
        seed: of them.

    Returns:
        `(1 + rounds, num_clips)`.

    >>> found = permuted(np.array([0, 1, 2, 2, 3, 3]), np.array([*"aabbcc"]), 99, 0)
    >>> sorted(set(map(tuple, found.tolist())))
    [(0, 1, 2, 2, 3, 3), (0, 1, 3, 3, 2, 2), (1, 0, 2, 2, 3, 3), (1, 0, 3, 3, 2, 2)]
    """
    _, codes = np.unique(speakers, return_inverse=True)
    clips_of = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    single = [clips for clips in clips_of if len(set(labels[clips].tolist())) == 1]
    varying = [clips for clips in clips_of if len(set(labels[clips].tolist())) > 1]
    wholes = np.array([labels[clips[0]] for clips in single], labels.dtype)
    owners = np.repeat(np.arange(len(single)), [len(clips) for clips in single])
    places = np.concatenate(single) if single else np.empty(0, np.intp)
    random = np.random.default_rng(seed)
    found = np.repeat(labels[None], 1 + rounds, axis=0)
    for row in found[1:]:
        row[places] = random.permutation(wholes)[owners]
        for clips in varying:
            row[clips] = random.permutation(labels[clips])
    return found


def least_p(targets: np.ndarray) -> float:
    """The least p that permutations can give: one over the ways to deal out the labels, as far as these show them.

    >>> least_p(permuted(np.array([0, 0, 1, 1]), np.array([*"aabb"]), 499, 0))
    0.5
    """
    return 1 / len(np.unique(targets, axis=0))


def scores_of(truth: np.ndarray, predicted: np.ndarray, is_class: bool) -> np.ndarray:
    """Unweighted average recall, or the correlation, of each round: `(rounds, n)` twice to `(rounds,)`."""
    if is_class:
        recalls = []
        for code in range(int(truth.max()) + 1):
            of_class = truth == code
            count = of_class.sum(axis=1)
            hits = (of_class & (predicted == code)).sum(axis=1)
            recalls.append(np.where(count > 0, hits / np.maximum(count, 1), np.nan))
        return np.asarray(np.nanmean(recalls, axis=0))
    x = truth - truth.mean(axis=1, keepdims=True)
    y = predicted - predicted.mean(axis=1, keepdims=True)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.asarray((x * y).sum(axis=1) / np.where(scale > 0, scale, np.inf))


def probe(kernel: np.ndarray, targets: np.ndarray, folds: Folds, is_class: bool) -> Probed:
    """Fit and test a probe with the labels as they are, and with each permutation of them.

    Args:
        kernel: `(num_clips, num_clips)`.
        targets: `(1 + rounds, num_clips)` by `permuted`.
        folds: of the clips.
        is_class: whether targets are numbers of classes.
    """
    predicted = predict(kernel, folds, targets, is_class)
    scores = scores_of(targets[:, folds.tested], predicted, is_class)
    p = (scores >= scores[0] - 1e-12).mean()  # the labels as they are count as one permutation
    return Probed(float(scores[0]), float(scores[1:].mean()), float(p), predicted[0])
