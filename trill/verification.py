"""Is it the speaker it claims to be? Enrolment from a few clips, scores of trials, thresholds for a stated price.

>>> import trill
>>> embedder = trill.load()
>>> voices = enrol({"anna": embedder.embed_batch([trill.example("anna_calm")])}, embedder)
>>> voices.scores(embedder.embed_batch([trill.example("anna_excited"), trill.example("ben_calm")])).shape
(2, 1)
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from trill.embedder import Embedder
from trill.personal.background import Background, background_of, none_for
from trill.personal.labels import checked_label, checked_vectors
from trill.personal.linear import unit

BLOCK = 4096  # pairs at a time: their two vectors are copied
TOP = 100  # nearest of the cohort; Matejka et al. take 200 to 400 of thousands


def cosine(embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine of the angle between the two embeddings of each pair.

    Args:
        embeddings: `(num_clips, dim)`, finite, none of them zero.
        pairs: `(num_pairs, 2)` indices of clips: enrolled and tested.

    Returns:
        `(num_pairs,)` float64 in [-1, 1].

    Raises:
        ValueError: if an embedding is zero or not finite, or a pair names no clip.

    >>> cosine(np.array([[1, 0], [2, 0], [0, 3]]), np.array([[0, 1], [0, 2]])).tolist()
    [1.0, 0.0]
    """
    embeddings, pairs = checked_pairs(embeddings, pairs)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError(
            f"embeddings must not be zero, {int((lengths == 0).sum())} of {len(lengths)} are: a zero vector has no "
            "angle. Leave out silent clips."
        )
    return np.asarray(np.clip(products(embeddings / lengths, pairs, BLOCK), -1, 1))


@dataclasses.dataclass(frozen=True, eq=False)
class Enrolment:
    """Speakers that are known; made by `enrol`.

    Attributes:
        speakers: names of the rows.
        centres: `(num_speakers, dim)` float32, length 1, centred and levelled.
        cohort: `(size, dim)` float32 likewise, of other speakers; or None.
        background: what centres and levels.
        model: name of the embedder, for errors.
    """

    speakers: tuple[str, ...]
    centres: np.ndarray
    cohort: np.ndarray | None
    background: Background
    model: str

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """How much each clip sounds like each speaker.

        Args:
            vectors: `(num_clips, dim)` embeddings.

        Returns:
            `(num_clips, num_speakers)` float64: cosines in [-1, 1], or, with a cohort, how many standard deviations
            above other speakers.

        Raises:
            ValueError: if the vectors are not of this model, not finite or zero.
        """
        tests = _placed(vectors, self.background, self.model)
        raw = np.asarray(tests @ self.centres.T, np.float64)
        if self.cohort is None:
            return raw
        return as_norm(raw, self.centres @ self.cohort.T, tests @ self.cohort.T, min(TOP, len(self.cohort)))


def enrol(clips: Mapping[str, np.ndarray], embedder: Embedder, *, cohort: np.ndarray | None = None) -> Enrolment:
    """Enrol speakers from embeddings of a few clips each.

    Args:
        clips: `(num_clips, dim)` embeddings of each speaker, as `embedder.embed_batch` gives them.
        embedder: they come from; its packaged background centres and levels them where there is one.
        cohort: `(size, dim)` embeddings, a clip each of other speakers, best 200 or more, recorded as the trials are.
            Scores are then normalised by them (`as_norm`). A cohort of other recordings makes scores worse.

    Raises:
        ValueError: if there is no speaker, or one without a clip; fewer than two clips in the cohort; or a vector is
            not of this model, not finite or zero.
    """
    if not clips:
        raise ValueError("enrol needs a speaker or more, got none. Pass {name: embeddings}.")
    dim = next(iter(clips.values())).shape[-1]
    fits = embedder.tap == "embedding"
    background = background_of(embedder.card, dim) if fits else none_for(dim)
    centres = []
    for name, rows in clips.items():
        checked_label(name)
        if len(rows) == 0:
            raise ValueError(f"a speaker needs a clip, {name!r} has none. Leave the speaker out.")
        mean = unit(_checked(rows, background, embedder.name)).mean(axis=0, keepdims=True)
        centres.append(_placed(mean, background, embedder.name)[0])
    if cohort is not None and len(cohort) < 2:
        raise ValueError(f"a cohort needs two clips or more, best 200, got {len(cohort)}. Pass None for cosines.")
    others = None if cohort is None else _placed(cohort, background, embedder.name)
    return Enrolment(tuple(clips), np.stack(centres), others, background, embedder.name)


def as_norm(scores: np.ndarray, enrolled: np.ndarray, tested: np.ndarray, top: int) -> np.ndarray:
    """Adaptive symmetric normalisation: what a score is worth beside those of other speakers near to either side.

    The mean of (score - mean) / deviation with mean and deviation of the enrolled side's nearest of the cohort, and the
    same with the tested side's (Matějka et al. 2017, "Analysis of Score Normalization in Multilingual Speaker
    Recognition", Interspeech, section 2: adaptive S-norm 1).

    Args:
        scores: `(num_tests, num_speakers)`.
        enrolled: `(num_speakers, cohort_size)` scores of the speakers against the cohort.
        tested: `(num_tests, cohort_size)` scores of the tests against it.
        top: nearest of the cohort that count.

    Returns:
        `(num_tests, num_speakers)` float64.

    >>> as_norm(np.array([[3.0]]), np.array([[0.0, 2.0, -9.0]]), np.array([[1.0, -9.0, 3.0]]), top=2).tolist()
    [[1.5]]
    """
    sides = []
    for cohort in (enrolled, tested):
        nearest = np.partition(np.asarray(cohort, np.float64), -top, axis=1)[:, -top:]
        deviation = np.maximum(nearest.std(axis=1), np.finfo(np.float32).eps)
        sides.append((nearest.mean(axis=1), deviation))
    (mean_e, deviation_e), (mean_t, deviation_t) = sides
    return np.asarray(((scores - mean_e) / deviation_e + (scores - mean_t[:, None]) / deviation_t[:, None]) / 2)


def error_rates(same: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What every threshold costs.

    Args:
        same: `(num_trials,)`: true for the same speaker.
        scores: `(num_trials,)` finite, higher for the same speaker.

    Returns:
        Thresholds, rising, each accepting scores that reach it, the last one none: `(num_levels + 1,)`; shares of
        strangers accepted, and of own clips rejected, at each.

    Raises:
        ValueError: if there are not as many scores as trials, they are of one kind, or a score is not finite.
    """
    truth, values = np.asarray(same, bool), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape or truth.all() or not truth.any():
        raise ValueError(
            f"trials must be of the same speaker and of others, both, with a score each, got shapes {truth.shape} and "
            f"{values.shape}, {int(truth.sum())} of the same. Add trials of the other kind."
        )
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite, got NaN or infinity. Leave out clips that failed.")
    levels, ranks = np.unique(values, return_inverse=True)
    own, others = (np.bincount(ranks[kind], minlength=len(levels)) for kind in (truth, ~truth))
    rejected = np.concatenate([[0], np.cumsum(own)]) / own.sum()
    accepted = 1 - np.concatenate([[0], np.cumsum(others)]) / others.sum()
    return np.append(levels, np.inf), accepted, rejected


def threshold(same: ArrayLike, scores: ArrayLike, false_accepts: float = 0.01) -> float:
    """The lowest score to accept so that at most this share of strangers passes, on these trials.

    On other trials more may pass: with 1 % take thousands of trials of strangers.

    Args:
        same: as `error_rates`, like `scores`.
        scores: likewise.
        false_accepts: in [0, 1].

    Returns:
        Accept what reaches it. Infinity if any score lets too many pass.

    Raises:
        ValueError: as `error_rates`; if `false_accepts` is out of range.

    >>> threshold([True, True, False, False], [0.9, 0.4, 0.5, 0.1], false_accepts=0.5)
    0.4
    """
    if not 0 <= false_accepts <= 1:
        raise ValueError(f"false_accepts is a share in [0, 1], got {false_accepts}. 0.01 lets one in a hundred pass.")
    levels, accepted, _ = error_rates(same, scores)
    return float(levels[np.argmax(accepted <= false_accepts + 1e-12)])


def eer(same: ArrayLike, scores: ArrayLike) -> float:
    """Equal error rate: where as large a share of own clips is rejected as of strangers is accepted.

    Between two thresholds the rates are interpolated linearly.

    Args:
        same: as `error_rates`, like `scores`.
        scores: likewise.

    Returns:
        In [0, 1]; lower is better, guessing gives 0.5.

    >>> round(eer([True, True, True, False, False, False], [0.9, 0.8, 0.3, 0.4, 0.2, 0.1]), 4)
    0.3333
    """
    _, accepted, rejected = error_rates(same, scores)
    return float(np.interp(0, rejected - accepted, accepted))


def products(x: np.ndarray, pairs: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Scalar product of the two rows of each pair, `block` pairs at a time."""
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), block):
        some = pairs[start : start + block]
        np.einsum("ij,ij->i", x[some[:, 0]], x[some[:, 1]], out=found[start : start + block])
    return found


def finite_rows(embeddings: np.ndarray) -> np.ndarray:
    """A row a clip in float64, or the error that says why not."""
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2 or embeddings.size == 0:
        raise ValueError(f"embeddings must be a row a clip, (num_clips, dim), got shape {embeddings.shape}.")
    bad = len(embeddings) - int(np.isfinite(embeddings).all(axis=1).sum())
    if bad:
        raise ValueError(
            f"embeddings must be finite, {bad} of {len(embeddings)} are not. Their network may have diverged."
        )
    return embeddings


def checked_pairs(embeddings: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings in float64 and pairs of their rows, or the error that says why not."""
    embeddings, pairs = finite_rows(embeddings), np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(f"pairs must be (num_pairs, 2) integers, got shape {pairs.shape} of {pairs.dtype}.")
    if pairs.size and not 0 <= pairs.min() <= pairs.max() < len(embeddings):
        raise ValueError(
            f"pairs must be indices from 0 to {len(embeddings) - 1}, got {pairs.min()} to {pairs.max()}. "
            "Number the clips as their rows."
        )
    return embeddings, pairs


def _checked(rows: np.ndarray, background: Background, model: str) -> np.ndarray:
    rows = checked_vectors(rows, 2, len(background.mean), model)
    if not rows.any(axis=1).all():
        raise ValueError("embeddings must not be zero: a zero vector has no angle. Leave out silent clips.")
    return rows


def _placed(rows: np.ndarray, background: Background, model: str) -> np.ndarray:
    """Rows of length 1, centred, levelled and of length 1 again."""
    return unit(background.level(unit(_checked(rows, background, model))))
