"""The values of an embedding that vary in every corpus, and the network that gives no others.

A few features of a trained network speak in one corpus and are as good as silent in another. Who standardises an
embedding there divides by next to nothing, and the first telephone that wakes such a feature is a thousand deviations
away: docs/decisions/pruning.md has the figures.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trill.embedder import Embedder
from trill.errors import AudioError
from trill.manifests import find_clips, read_manifest
from trill.progress import progress

MIN_CLIPS = 50  # of a corpus that is asked: fewer say little about deviations
MAX_CLIPS = 120
ROUNDING = 1e-6  # a deviation that is none


def corpora_of(sources: Sequence[str]) -> dict[str, list[Path]]:
    """Sounds by corpus: a manifest's column `source` says which, otherwise a source is one.

    Raises:
        ValueError: as `find_clips`, or if no corpus has `MIN_CLIPS` clips.
    """
    corpora: dict[str, list[Path]] = {}
    for source in sources:
        if source.endswith(".csv"):
            for row in read_manifest(Path(source)):
                corpora.setdefault(row.get("source") or source, []).append(Path(source).parent / row["path"])
        else:
            corpora[source] = [clip.path for clip in find_clips([source])]
    large = {name: paths for name, paths in corpora.items() if len(paths) >= MIN_CLIPS}
    if not large:
        raise ValueError(
            f"variation is told from corpora of at least {MIN_CLIPS} clips, the largest of {', '.join(sources)} has "
            f"{max(map(len, corpora.values()), default=0)}. Give more speech."
        )
    return large


def embeddings_of(
    embedder: Embedder, corpora: Mapping[str, Sequence[Path]], quiet: bool = False
) -> tuple[list[np.ndarray], int]:
    """Clips of each corpus, at most `MAX_CLIPS`, drawn alike each time.

    Returns:
        `(num_clips, dim)` for each corpus, and how many files could not be read.
    """
    drawn = [
        [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[:MAX_CLIPS]] for paths in corpora.values()
    ]
    found, unread = [], 0
    with progress(drawn, unit="corpora", quiet=quiet) as bar:
        for paths in bar:
            rows = []
            for path in paths:
                try:
                    rows.append(embedder.embed(path))
                except AudioError:
                    unread += 1
            found += [np.stack(rows)] if rows else []
    return found, unread


def variation(embeddings: Sequence[np.ndarray]) -> np.ndarray:
    """Of each value: its deviation over a corpus' clips, beside that of the corpus' median value, where it is least.

    Raises:
        ValueError: if there is no corpus, or one in which half of the values are the same in all clips.

    >>> variation([np.array([[0, 0, 0], [1, 2, 3]]), np.array([[0, 0, 0], [4, 2, 1]])])
    array([0.5, 1. , 0.5])
    """
    deviations = [rows.std(axis=0) for rows in embeddings]
    loudest = [np.abs(rows).max() for rows in embeddings]
    if not loudest or any(np.median(each) <= ROUNDING * most for each, most in zip(deviations, loudest, strict=True)):
        raise ValueError(
            f"values vary over the clips of every corpus, got {len(deviations)} corpora that could be read, or one of "
            "a single sound. Leave it out, or give other speech."
        )
    return np.asarray(np.min([each / np.median(each) for each in deviations], axis=0))


def dependable(varies: np.ndarray, count: int) -> np.ndarray:
    """The places of the values that vary most, ascending.

    Raises:
        ValueError: if there are fewer.

    >>> dependable(np.array([0.5, 1.0, 0.1, 0.7]), 3)
    array([0, 1, 3])
    """
    if not 0 < count <= len(varies):
        raise ValueError(f"an embedding of {len(varies)} values keeps 1 to {len(varies)} of them, got {count}.")
    return np.sort(np.argsort(-varies, kind="stable")[:count])


def prune(network: Any, config: Any, kept: Iterable[int]) -> tuple[Any, Any]:
    """A network that gives only some values of the embedding, and its description.

    Weights are rounded to eleven significant bits, as many as a model file of half precision stores: compressed, the
    file is two thirds as large.

    Args:
        network: of `trill.networks.saving`.
        config: what it is.
        kept: their places, ascending.
    """
    from trill.networks import saving

    if before := config.arguments.get("kept"):
        kept = [before[place] for place in kept]
    config = dataclasses.replace(config, arguments={**config.arguments, "kept": list(map(int, kept))})
    pruned = saving.build(config)
    for ours, theirs in zip(pruned.weights, network.weights, strict=True):
        fraction, exponent = np.frexp(theirs.numpy())
        ours.assign(np.ldexp(np.round(fraction * 2**11) / 2**11, exponent).astype(np.float32))
    return pruned, config
