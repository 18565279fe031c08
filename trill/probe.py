"""A quick probe of an embedding: unweighted average recall of a linear classifier that never heard the speaker.

For watching a training run and for comparing two embedders of the same clips; a benchmark chooses the classifier's
strength for each embedding and gives intervals.
"""

import dataclasses
import itertools
import operator
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from trill import audio
from trill.errors import optional
from trill.manifests import find_clips, read_manifest
from trill.parallel import map_in_threads
from trill.windows import frame, pool

FOLDS = 5
# Of the ridge, for each dimension: standardised rows have this squared length, so one strength serves all sizes. Mean
# over ten tasks of 114 to 567 clips and four embeddings of 256 to 2048 dimensions: .706; .1 and 1 give .702. A logistic
# regression (C = .01) gives .684 and takes 3 to 12 times as long.
STRENGTH = 0.5
ROWS = 64  # windows a call


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledClips:
    """Files, and for each its label and its speaker: `(num_clips,)` texts."""

    paths: tuple[Path, ...]
    labels: np.ndarray
    speakers: np.ndarray


def read_labels(source: str | os.PathLike[str]) -> LabelledClips:
    """Find labelled clips; nothing is decoded yet.

    Args:
        source: a manifest, CSV with columns `path` (relative to it), `label` and, if known, `speaker`; a folder with
            a `manifest.csv`; or a folder of folders whose names are the labels of the sounds inside. Rows without a
            label are left out. A clip without a speaker is its own, and then recall is too high where speakers recur.

    Raises:
        ValueError: if it is none of them, or the clips do not suffice for `folds`.
        MissingPackageError: if scikit-learn is not installed.
    """
    path = Path(source)
    if (path / "manifest.csv").is_file():
        path = path / "manifest.csv"
    rows = _labelled_folders(path) if path.is_dir() else _labelled_rows(path)
    paths, labels, speakers = zip(*rows, strict=True) if rows else ((), (), ())
    clips = LabelledClips(paths, np.array(labels, str), np.array(speakers, str))
    folds(clips.labels, clips.speakers, str(path))
    return clips


def _labelled_rows(path: Path) -> list[tuple[Path, str, str]]:
    rows = read_manifest(path, ("path", "label"))
    return [
        (path.parent / row["path"], row["label"], row.get("speaker") or row["path"]) for row in rows if row["label"]
    ]


def _labelled_folders(path: Path) -> list[tuple[Path, str, str]]:
    folders = sorted(folder for folder in path.glob("[!.]*") if folder.is_dir())
    if not folders:
        raise ValueError(
            f"a folder of labelled clips must hold a manifest.csv, or folders named as the labels, {path} has neither."
        )
    return [(clip.path, folder.name, clip.name) for folder in folders for clip in find_clips([folder])]


def read_clips(clips: LabelledClips, sample_rate: int, threads: int = 2) -> Iterator[np.ndarray]:
    """The waveforms of the clips, in order: `(num_samples,)` float32 in [-1, 1].

    Who probes more than once keeps them in a list: 64 kB a second at 16 kHz.

    Raises:
        AudioError: if one cannot be read.
    """
    return map_in_threads(lambda path: audio.read(path, target_rate=sample_rate), clips.paths, threads)


def embed_clips(
    embed_windows: Callable[[np.ndarray], np.ndarray],
    waveforms: Iterable[np.ndarray],
    window_samples: int,
    hop_samples: int,
) -> np.ndarray:
    """A row a clip: the mean of its windows.

    Args:
        embed_windows: takes windows `(64, window_samples)` float32 and gives `(64, dim)`. There are always 64, of
            several clips together, so that what is compiled is compiled once; the last are repeated.
        waveforms: `(num_samples,)` each.
        window_samples: samples in a window.
        hop_samples: samples between the starts of two windows.

    Returns:
        `(num_clips, dim)` float32.

    >>> loudest = lambda windows: windows.max(axis=1, keepdims=True)
    >>> embed_clips(loudest, [np.array([1, 2, 4]), np.array([8])], window_samples=2, hop_samples=1).tolist()
    [[3.0], [8.0]]
    """

    def embedded() -> Iterator[tuple[int, np.ndarray]]:
        windows = (
            (clip, row) for clip, sound in enumerate(waveforms) for row in frame(sound, window_samples, hop_samples)
        )
        while some := list(itertools.islice(windows, ROWS)):
            owners, rows = zip(*some, strict=True)
            full = np.stack([*rows, *[rows[-1]] * (ROWS - len(rows))], dtype=np.float32)
            yield from zip(owners, np.asarray(embed_windows(full), np.float32)[: len(rows)], strict=True)

    by_clip = itertools.groupby(embedded(), key=operator.itemgetter(0))
    return np.stack([pool(np.stack([row for _, row in rows]), "mean") for _, rows in by_clip])


def folds(labels: np.ndarray, speakers: np.ndarray, name: str = "this") -> list[tuple[np.ndarray, np.ndarray]]:
    """Five times the indices to train on and those to test on; every clip is tested once, no speaker is on both sides.

    Where the speaker is the label, or each clip has its own, they are drawn by clip. They are the same at each call.

    Args:
        labels: `(num_clips,)`.
        speakers: `(num_clips,)`.
        name: what an error calls them.

    Raises:
        ValueError: if there are fewer than two labels, or five clips of one; or, where speakers are kept whole, fewer
            than five speakers, or two of one label.
        MissingPackageError: if scikit-learn is not installed.
    """
    optional("sklearn", "noss")
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kinds, counts = np.unique(labels, return_counts=True)
    num_speakers = len(np.unique(speakers))
    by_clip = (labels == speakers).all() or num_speakers == len(speakers)
    spread = [len(np.unique(speakers[labels == kind])) for kind in kinds]
    if len(kinds) < 2 or min(counts) < FOLDS or not (by_clip or (num_speakers >= FOLDS and min(spread) >= 2)):
        raise ValueError(
            "a probe needs two labels, five clips of each and, unless the speaker is the label, two speakers of each "
            f"and five in all, {name} has {len(kinds)} labels and {num_speakers} speakers, of the rarest label "
            f"{min(counts, default=0)} clips and {min(spread, default=0)} speakers. "
            "Add clips, or leave rare labels empty."
        )
    splitter = (StratifiedKFold if by_clip else StratifiedGroupKFold)(FOLDS, shuffle=True, random_state=0)
    return list(splitter.split(labels, labels, None if by_clip else speakers))


def recall(embeddings: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> float:
    """Unweighted average recall, over the pooled predictions of `folds`.

    The classifier is a ridge regression of standardised embeddings on the labels, each label weighing the same.

    Args:
        embeddings: `(num_clips, dim)`, finite.
        labels: `(num_clips,)`.
        speakers: `(num_clips,)`.

    Returns:
        In [0, 1]; guessing gives one over the number of labels.

    Raises:
        ValueError: as `folds`; if a number is not finite.
        MissingPackageError: as `folds`.

    >>> recall(np.arange(20.0)[:, None], np.repeat(["low", "high"], 10), np.arange(20))
    1.0
    """
    splits = folds(labels, speakers)
    bad = len(embeddings) - np.isfinite(embeddings).all(axis=1).sum()
    if bad:
        raise ValueError(
            f"embeddings must be finite, {bad} of {len(embeddings)} are not. Their network may have diverged."
        )
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import recall_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    ridge = RidgeClassifier(alpha=STRENGTH * embeddings.shape[1], class_weight="balanced")
    with threadpool_limits(1, "blas"):  # on cores that are busy, training, more threads take ten times as long
        predicted = cross_val_predict(make_pipeline(StandardScaler(), ridge), embeddings, labels, cv=splits)
    return float(recall_score(labels, predicted, average="macro"))
