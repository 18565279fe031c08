"""What a conversion costs downstream: recall of a classifier on network and on file."""

import os
from collections.abc import Callable

import numpy as np

from trill.probe import embed_clips, read_clips, read_labels, recall
from trill.progress import progress


def change_of_recall(
    source: str | os.PathLike[str],
    embedders: tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]],
    window_samples: int,
    hop_samples: int,
    sample_rate: int,
) -> tuple[float, float]:
    """Unweighted average recall with either of two embedders, of the same classifier in the same folds.

    Args:
        source: labelled clips, see `trill.probe.read_labels`.
        embedders: each takes windows `(64, window_samples)` and gives `(64, dim)`; a clip is the mean of its windows.
        window_samples: samples in a window.
        hop_samples: samples between the starts of two windows.
        sample_rate: Hz.

    Returns:
        Recall in [0, 1] with the first and with the second.

    Raises:
        ValueError: as `trill.probe.read_labels`.
        AudioError: if a clip cannot be read.
    """
    clips = read_labels(source)

    def recall_of(embed: Callable[[np.ndarray], np.ndarray]) -> float:
        with progress(read_clips(clips, sample_rate), total=len(clips.paths), unit="clips") as waveforms:
            return recall(embed_clips(embed, waveforms, window_samples, hop_samples), clips.labels, clips.speakers)

    return recall_of(embedders[0]), recall_of(embedders[1])
