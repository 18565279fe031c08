"""Do two clips have the same speaker? A score for each pair, higher for the same: by cosine, or by PLDA.

`noss.metrics.eer` and `d_prime` judge the scores.
"""

import dataclasses
from typing import Any

import numpy as np

from noss.metrics import count_missing
from trill.errors import optional
from trill.verification import BLOCK, checked_pairs, cosine, finite_rows, products

covariance = optional("sklearn.covariance", "noss")
decomposition = optional("sklearn.decomposition", "noss")

__all__ = ["Plda", "cosine", "fit_plda", "plda_scores"]


@dataclasses.dataclass(frozen=True, eq=False)
class Plda:
    """A two-covariance model, in the coordinates where it is diagonal.

    `(embedding - mean) @ transform` has within each speaker variance 1, and between speakers `between`.

    Attributes:
        mean: `(dim,)`.
        transform: `(dim, num_factors)`.
        between: `(num_factors,)`, 0 or more, descending.
        shrinkage: of the covariance within and between speakers, in [0, 1].
        num_speakers: it was estimated from.
    """

    mean: np.ndarray
    transform: np.ndarray
    between: np.ndarray
    shrinkage: tuple[float, float]
    num_speakers: int


def fit_plda(
    embeddings: np.ndarray,
    speakers: np.ndarray,
    *,
    num_factors: int = 200,
    shrinkage: float | None = None,
) -> Plda:
    """Estimate how much embeddings differ within a speaker and between speakers.

    The model: a speaker has a hidden vector, normal around a mean with the covariance between; its clips are normal
    around that with the covariance within (the two-covariance model of Brümmer & de Villiers 2010, "The speaker
    partitioning problem"; probabilistic LDA of Ioffe 2006 and Prince & Elder 2007 with as many factors as
    dimensions). Estimated by moments, as Ioffe's closed form: pooled covariance of the clips around their speakers'
    means, covariance of these means less what clips leave in them. Dimensions are standardised and rotated to their
    principal components before. Few speakers give both covariances directions by chance, so each is drawn towards a
    multiple of the identity, by default as far as Ledoit & Wolf 2004 find best. Vectors of one length (divide them by
    it before) are often nearer to normal.

    Args:
        embeddings: `(num_clips, dim)`, finite. Not the clips that are tested, nor their speakers.
        speakers: `(num_clips,)`.
        num_factors: principal components kept, at most; 200 as is usual after LDA.
        shrinkage: in [0, 1] for both covariances, 0 for plain moments; None estimates it.

    Raises:
        ValueError: if there are fewer than two speakers or none with two clips; if an argument is out of range; if
            with `shrinkage=0` some direction does not vary within any speaker.

    >>> rng = np.random.default_rng(0)
    >>> voices, noise = rng.normal(size=(50, 1, 4)) * [3, 2, 1, 0], rng.normal(size=(50, 20, 4))
    >>> plda = fit_plda((voices + noise).reshape(1000, 4), np.repeat(np.arange(50), 20))
    >>> plda.between.round().tolist()
    [7.0, 3.0, 1.0, 0.0]
    """
    embeddings, speakers = finite_rows(embeddings), np.asarray(speakers)
    if speakers.shape != embeddings.shape[:1] or count_missing(speakers):
        raise ValueError(
            f"each embedding needs a speaker, got {len(embeddings)} and shape {speakers.shape}, "
            f"{count_missing(speakers)} of them NaN or None. Leave out clips without one."
        )
    if num_factors < 1 or not (shrinkage is None or 0 <= shrinkage <= 1):
        raise ValueError(
            f"num_factors must be positive and shrinkage in [0, 1] or None, got {num_factors} and {shrinkage}."
        )
    names, codes, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    if len(names) < 2 or counts.max() < 2:
        raise ValueError(
            "PLDA needs two speakers or more and two clips of one, "
            f"got {len(embeddings)} clips of {len(names)} speakers. Score by cosine."
        )
    mean, scale = embeddings.mean(axis=0), embeddings.std(axis=0)
    scale[np.ptp(embeddings, axis=0) == 0] = 1  # what rounding leaves of a constant is not 0
    x = (embeddings - mean) / scale
    rotation = _principal(x, min(num_factors, x.shape[1], len(x) - 1))
    x = x @ rotation

    means = np.add.reduceat(x[np.argsort(codes, kind="stable")], np.cumsum(counts) - counts) / counts[:, None]
    freedom = len(x) / (len(x) - len(names))  # the speakers' means are estimated too
    within, strength_within = _covariance((x - means[codes]) * np.sqrt(freedom), shrinkage)
    variances, axes = np.linalg.eigh(within)
    if variances[0] <= 1e-10 * variances[-1]:
        raise ValueError(
            f"the covariance within speakers must have full rank, {len(x)} clips of {len(names)} speakers do not give "
            f"it in {len(within)} dimensions. Leave shrinkage at None, or lower num_factors."
        )
    whitening = axes / np.sqrt(variances)
    centre = means.mean(axis=0)  # of the speakers, each counted once
    spread = (means - centre) @ whitening * np.sqrt(len(names) / (len(names) - 1))
    of_means, strength_between = _covariance(spread, shrinkage)
    between, axes = np.linalg.eigh(of_means)
    between = np.maximum(between - (1 / counts).mean(), 0)[::-1]  # the mean of n clips varies by 1/n within
    transform = (rotation @ whitening @ axes[:, ::-1]) / scale[:, None]
    return Plda(mean + scale * (rotation @ centre), transform, between, (strength_within, strength_between), len(names))


def plda_scores(plda: Plda, embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Log-likelihood ratio of each pair: the same speaker against two speakers.

    Args:
        plda: from `fit_plda`.
        embeddings: `(num_clips, dim)`, finite.
        pairs: `(num_pairs, 2)` indices of clips: enrolled and tested.

    Returns:
        `(num_pairs,)` float64, natural logarithm; above 0 where the same speaker is the better explanation.

    Raises:
        ValueError: if an embedding is not finite or has another dimension, or a pair names no clip.

    >>> plda = Plda(np.zeros(1), np.eye(1), np.array([4.0]), (0.0, 0.0), 10)
    >>> plda_scores(plda, np.array([[2.0], [2.1], [-2.0]]), np.array([[0, 1], [0, 2]])).round(2).tolist()
    [0.88, -2.69]
    """
    embeddings, pairs = checked_pairs(embeddings, pairs)
    if embeddings.shape[1] != len(plda.mean):
        raise ValueError(
            f"embeddings must have the dimension that PLDA was fitted on, {len(plda.mean)}, got {embeddings.shape[1]}."
        )
    u = (embeddings - plda.mean) @ plda.transform
    b = plda.between
    # In each direction the pair has variances 1 + b and, if of one speaker, covariance b: the log of the ratio of two
    # normal densities of (u, v), collected by u v and by u² + v².
    offset = (np.log1p(b) - np.log1p(2 * b) / 2).sum()
    alone = u**2 @ (b**2 / (2 * (1 + b) * (1 + 2 * b)))
    return np.asarray(offset - alone[pairs].sum(axis=1) + products(u * np.sqrt(b / (1 + 2 * b)), pairs, BLOCK))


def _covariance(x: np.ndarray, shrinkage: float | None) -> tuple[np.ndarray, float]:
    """Of rows around zero: `(dim, dim)`, and how far it was shrunk."""
    if shrinkage is None:
        found, strength = covariance.ledoit_wolf(x, assume_centered=True)
        return np.asarray(found), float(strength)
    empirical = covariance.empirical_covariance(x, assume_centered=True)
    return np.asarray(covariance.shrunk_covariance(empirical, shrinkage)), shrinkage


def _principal(x: np.ndarray, num_factors: int) -> np.ndarray:
    """Axes `(dim, num_factors)`, orthonormal; all of them where none is left out."""
    pca: Any = decomposition.PCA(num_factors, random_state=0).fit(x)
    rank = max(1, int((pca.explained_variance_ > 1e-10 * pca.explained_variance_[0]).sum()))
    return np.asarray(pca.components_[:rank].T)
