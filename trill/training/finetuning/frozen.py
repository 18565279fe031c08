"""The frozen probe: linear heads on a network that is left as it is. What fine-tuning begins at and is held against."""

from collections.abc import Mapping

import numpy as np

from trill.errors import optional
from trill.training.finetuning import scores
from trill.training.finetuning.heads import decide
from trill.training.finetuning.labelled import Head

# Of a logistic regression (inverse) and a ridge on standardised embeddings; the best on dev is taken.
STRENGTHS = {False: (1e-4, 1e-3, 1e-2, 1e-1), True: (1e2, 1e3, 1e4, 1e5)}
NEVER = -10.0  # log-odds of a label that was never heard: only per speaker may one be missing

Linear = tuple[np.ndarray, np.ndarray]  # kernel (dim, size), bias (size,)


def standardisation(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale `(dim,)` of rows; what does not vary is not scaled."""
    scale = embeddings.std(axis=0)
    return embeddings.mean(axis=0), np.where(scale > 1e-6, scale, 1.0).astype(np.float32)


def fit(
    head: Head, rows: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray], *, balanced: bool
) -> tuple[Linear, float]:
    """Fit a linear head, as strongly regularised as is best on dev.

    Args:
        head: what is predicted; its center and spread standardise numbers.
        rows: by part, "train" and "dev", standardised embeddings `(num_clips, dim)`.
        values: by part, what the clips are, all known.
        balanced: whether each label weighs the same.

    Returns:
        Kernel and bias, and the score on dev.

    Raises:
        MissingPackageError: if scikit-learn is not installed.
    """
    optional("sklearn", "noss")
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        found = [
            _fitted(head, strength, rows["train"], values["train"], balanced) for strength in STRENGTHS[head.numeric]
        ]
    dev = [scores.score(head, values["dev"], _decided(head, rows["dev"], linear)) for linear in found]
    best = int(np.argmax(dev))
    return found[best], dev[best]


def _fitted(head: Head, strength: float, rows: np.ndarray, values: np.ndarray, balanced: bool) -> Linear:
    from sklearn.linear_model import LogisticRegression, Ridge

    if head.numeric:
        ridge = Ridge(alpha=strength).fit(rows, (values - head.center) / head.spread)
        return ridge.coef_[:, None].astype(np.float32), np.array([ridge.intercept_], np.float32)
    weight = "balanced" if balanced else None
    logistic = LogisticRegression(C=strength, class_weight=weight, max_iter=1_000).fit(rows, values)
    kernel, bias = logistic.coef_, logistic.intercept_
    if len(kernel) == 1:  # one row stands for two
        kernel, bias = np.concatenate([-kernel, kernel]) / 2, np.concatenate([-bias, bias]) / 2
    found = np.zeros((rows.shape[1], head.size), np.float32), np.full(head.size, NEVER, np.float32)
    found[0][:, logistic.classes_], found[1][logistic.classes_] = kernel.T, bias
    return found


def _decided(head: Head, rows: np.ndarray, linear: Linear) -> np.ndarray:
    return decide(head, rows @ linear[0] + linear[1])
