"""How good predictions are and how sure that is: scores with intervals from a bootstrap over speakers.

Every score is a function of sums over clips, so a resample of speakers is a product of counts and each speaker's sums.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from trill.training.finetuning.labelled import Head

RESAMPLES = 1_000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Score:
    """A figure and the interval that holds 95 % of its resamples; infinite for fewer than two speakers."""

    value: float
    low: float
    high: float


def _uar(sums: np.ndarray) -> np.ndarray:
    clips, hits = np.split(sums, 2, axis=-1)
    heard = clips > 0
    recall = np.divide(hits, clips, out=np.zeros_like(hits), where=heard)
    mean: np.ndarray = recall.sum(axis=-1) / np.maximum(heard.sum(axis=-1), 1)
    return mean


def _accuracy(sums: np.ndarray) -> np.ndarray:
    clips, hits = np.split(sums, 2, axis=-1)
    share: np.ndarray = hits.sum(axis=-1) / np.maximum(clips.sum(axis=-1), 1)
    return share


def _ccc(sums: np.ndarray) -> np.ndarray:
    """Concordance correlation (Lin 1989): 2 cov / (var + var + squared difference of means)."""
    n, x, y, xx, yy, xy, _ = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1)
    x, y = x / n, y / n
    below = xx / n - x * x + yy / n - y * y + (x - y) ** 2
    concordance: np.ndarray = 2 * (xy / n - x * y) / np.maximum(below, 1e-12)
    return concordance


def _mae(sums: np.ndarray) -> np.ndarray:
    error: np.ndarray = sums[..., 6] / np.maximum(sums[..., 0], 1)
    return error


# By kind of head: scores by name, the first of which chooses; whether more is better.
METRICS: dict[bool, dict[str, tuple[Callable[[np.ndarray], np.ndarray], bool]]] = {
    False: {"UAR": (_uar, True), "accuracy": (_accuracy, True)},
    True: {"CCC": (_ccc, True), "MAE": (_mae, False)},
}


def per_clip(head: Head, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What each clip adds to the sums: `(num_clips, num_sums)` float64. All clips must have a true value."""
    if head.numeric:
        x, y = predicted.astype(np.float64), truth.astype(np.float64)
        return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y, abs(x - y)], axis=1)
    clips = np.eye(head.size)[truth]
    return np.concatenate([clips, clips * (truth == predicted)[:, None]], axis=1)


def score(head: Head, truth: np.ndarray, predicted: np.ndarray) -> float:
    """The score that chooses, in [0, 1] or, for numbers, [-1, 1].

    >>> score(Head("mood", "mood", labels=("calm", "glad")), np.array([0, 0, 1]), np.array([0, 1, 1]))
    0.75
    """
    compute, _ = next(iter(METRICS[head.numeric].values()))
    return float(compute(per_clip(head, truth, predicted).sum(axis=0)))


def compare(
    head: Head,
    truth: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    speakers: np.ndarray,
    against: Mapping[str, str],
) -> dict[str, dict[str, Score]]:
    """Scores of several predictions of the same clips, and their differences.

    Args:
        head: what is predicted.
        truth: `(num_clips,)`.
        predictions: by name, `(num_clips,)` each.
        speakers: `(num_clips,)`, drawn with replacement.
        against: by prediction the one that it is held against.

    Returns:
        By metric and name a `Score`; `NAME - OTHER` is the difference, resampled in pairs.
    """
    names, speaker = np.unique(speakers, return_inverse=True)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES).astype(np.float64)
    counts[0] = 1  # what was seen
    sums = {}
    for name, predicted in predictions.items():
        clips = per_clip(head, truth, predicted)
        by_speaker = np.zeros((len(names), clips.shape[1]))
        np.add.at(by_speaker, speaker, clips)
        sums[name] = counts @ by_speaker
    found: dict[str, dict[str, Score]] = {}
    for metric, (compute, _) in METRICS[head.numeric].items():
        drawn = {name: compute(rows) for name, rows in sums.items()}
        drawn |= {f"{name} - {other}": drawn[name] - drawn[other] for name, other in against.items()}
        found[metric] = {name: _interval(rows, len(names)) for name, rows in drawn.items()}
    return found


def _interval(drawn: np.ndarray, num_speakers: int) -> Score:
    if num_speakers < 2:
        return Score(float(drawn[0]), -np.inf, np.inf)
    low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Score(float(drawn[0]), float(low), float(high))
