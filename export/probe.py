"""What a conversion costs downstream: unweighted average recall of a classifier on network and on file."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trill import audio
from trill.errors import ModelError, optional
from trill.windows import frame

FOLDS = 5
STRENGTH = 0.01  # of the logistic regression: it is the change that counts


def change_of_recall(
    manifest: str | os.PathLike[str],
    embedders: tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]],
    window_samples: int,
    hop_samples: int,
    sample_rate: int,
) -> tuple[float, float]:
    """Unweighted average recall with either of two embedders, in five folds that keep speakers whole.

    Args:
        manifest: CSV with columns `path` (relative to it), `label` and `speaker`.
        embedders: each takes windows `(rows, window_samples)` and gives `(rows, dim)`; a clip is their mean.
        window_samples: samples in a window.
        hop_samples: samples between the starts of two windows.
        sample_rate: Hz.

    Returns:
        Recall in [0, 1] with the first and with the second.

    Raises:
        ModelError: if the manifest lacks a column, or has fewer than two labels or five speakers (five clips of each
            label where the speaker is the label).
    """
    optional("sklearn", "noss")
    path = Path(manifest)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "label", "speaker"} <= rows[0].keys():
        found = ", ".join(rows[0]) if rows else "no rows"
        raise ModelError(f"a probe's manifest has the columns path, label and speaker, {path} has {found}.")
    labels, speakers = (np.array([row[column] for row in rows]) for column in ("label", "speaker"))
    by_clip = (labels == speakers).all()
    units = np.unique(labels, return_counts=True)[1] if by_clip else [len(set(speakers))]
    if len(set(labels)) < 2 or min(units) < FOLDS:
        raise ModelError(
            f"a probe needs two labels and five speakers (or five clips a label, where the label is the speaker), "
            f"{path} has {len(set(labels))} labels and {len(set(speakers))} speakers."
        )
    clips = (audio.read(path.parent / row["path"], target_rate=sample_rate) for row in rows)
    means = [
        [embed(windows).mean(axis=0) for embed in embedders]
        for windows in (frame(clip, window_samples, hop_samples) for clip in clips)
    ]
    first, second = (np.stack(column) for column in zip(*means, strict=True))
    return recall(first, labels, speakers), recall(second, labels, speakers)


def recall(embeddings: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> float:
    """Unweighted average recall over the folds' pooled predictions: `(clips, dim)`, `(clips,)`, `(clips,)`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    by_clip = (labels == speakers).all()
    folds = (StratifiedKFold if by_clip else StratifiedGroupKFold)(FOLDS, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000))
    predicted = cross_val_predict(model, embeddings, labels, groups=None if by_clip else speakers, cv=folds)
    return float(recall_score(labels, predicted, average="macro"))
