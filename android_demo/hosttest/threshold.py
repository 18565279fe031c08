"""Measure at which cosine a model's refusals of known voices are as many as its acceptances of strangers.

python android_demo/hosttest/threshold.py MODEL.tflite FOLDER

FOLDER holds a manifest.csv with the columns path and speaker, clips of a few seconds. What it prints belongs into the
app, as the threshold of its Recognizer.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

import trill


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cosines(speakers: list[np.ndarray], enrolled: int) -> tuple[np.ndarray, np.ndarray]:
    """Of clips that are not enrolled to the centroids of their own speaker, and of all others."""
    centroids = np.stack([unit(rows[:enrolled].mean(axis=0)) for rows in speakers])
    scores = [rows[enrolled:] @ centroids.T for rows in speakers]  # (clips, speakers) each
    own = np.concatenate([row[:, index] for index, row in enumerate(scores)])
    others = np.concatenate([np.delete(row, index, axis=1).ravel() for index, row in enumerate(scores)])
    return own, others


def equal_errors(own: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """The cosine at which both errors are nearest to each other, and both."""
    rows = [(t, np.mean(own < t), np.mean(others >= t)) for t in np.linspace(-1, 1, 2001)]
    return min(rows, key=lambda row: abs(row[1] - row[2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    clips = defaultdict(list)
    with open(arguments.folder / "manifest.csv", newline="", encoding="utf-8") as manifest:
        for row in csv.DictReader(manifest):
            clips[row["speaker"]].append(arguments.folder / row["path"])
    embedder = trill.load(arguments.model)
    speakers = [unit(embedder.embed_batch(paths)) for paths in clips.values()]
    for enrolled in (1, 3):
        kept = [rows for rows in speakers if len(rows) > enrolled]
        threshold, refused, accepted = equal_errors(*cosines(kept, enrolled))
        print(  # noqa: T201
            f"{enrolled} enrolled of each of {len(kept)} speakers: threshold {threshold:.2f}, "
            f"{refused:.1%} of own clips refused, {accepted:.1%} of others' accepted"
        )


if __name__ == "__main__":
    main()
