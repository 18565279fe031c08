"""Embeddings of a task in the plane: UMAP (McInnes et al. 2018, arXiv:1802.03426) of what the store holds."""

import contextlib
import dataclasses
import math
import os
import posixpath
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from noss import hashes
from noss.results import Result
from noss.store import Place, Store
from trill.errors import TrillError, optional

MAX_POINTS = 3000  # of more clips so many are drawn
FEWEST = 10
NEIGHBOURS = 15  # UMAP's own default
SEED = 0


class MapError(TrillError, ValueError):
    """Embeddings or sounds that are not at hand."""


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """A sound: its position in the evaluation, file, start and end in seconds."""

    position: int
    path: Path
    start: float
    end: float | None


@dataclasses.dataclass(frozen=True, eq=False)
class Map:
    """Clips in the plane.

    Args:
        result: whose they are.
        clips: those that are shown.
        places: `(num_clips, 2)`.
        trustworthy: of the neighbours in the plane, how far they are neighbours before (Venna & Kaski 2001), in [0, 1].
        missing: clips without embedding, or whose file changed.
        drawn: whether there were more than `MAX_POINTS`.
        seconds: that it took.
    """

    result: Result
    clips: tuple[Clip, ...]
    places: np.ndarray
    trustworthy: float
    missing: int
    drawn: bool
    seconds: float


def project(
    result: Result, store: Path, sounds: Path, *, quiet: bool = False, say: Callable[[str], None] | None = None
) -> Map:
    """Lay out the clips of a task: the same file on the same machine gives the same map.

    Each clip is the mean of its windows, each dimension standardised.

    Args:
        result: of the task and representation.
        store: folder of the embeddings.
        sounds: folder of the clips, by whose content embeddings are found.
        quiet: no progress bar.
        say: told what begins and how long it took.

    Raises:
        MapError: if there are no embeddings, or fewer than ten of the clips are at hand.
        MissingPackageError: if umap-learn is not installed.
    """
    umap, manifold = _umap(), optional("sklearn.manifold", "noss")
    say = say or (lambda line: None)
    clips, found, missing = _clips(result, store, sounds, quiet)
    drawn = len(clips) > MAX_POINTS
    if drawn:
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(clips))[:MAX_POINTS])
        clips, found = [clips[index] for index in chosen], [found[index] for index in chosen]
    vectors = _means(Store(store, result.key.fingerprint), found)
    say(f"UMAP of {len(clips)} clips of {result.key.task} begins.")
    began = time.monotonic()
    neighbours = min(NEIGHBOURS, (len(clips) - 1) // 2)
    with _one_thread(), contextlib.redirect_stdout(sys.stderr):
        places = umap.UMAP(
            n_neighbors=neighbours,
            init="pca",
            random_state=SEED,
            n_jobs=1,
            verbose=not quiet and sys.stderr.isatty(),
        ).fit_transform(vectors)
        trustworthy = float(manifold.trustworthiness(vectors, places, n_neighbors=neighbours))
    seconds = time.monotonic() - began
    say(f"UMAP took {seconds:.0f} s.")
    return Map(result, tuple(clips), np.asarray(places, np.float64), trustworthy, missing, drawn, seconds)


def _clips(result: Result, store: Path, sounds: Path, quiet: bool) -> tuple[list[Clip], list[Place], int]:
    """Clips whose embeddings are there, where these are, and how many clips have none."""
    known = Store(store, result.key.fingerprint).look_up() if store.is_dir() else {}
    if not known:
        raise MapError(
            f"a map needs the embeddings of {result.key.representation}, {store} has none whole. "
            "Run noss run with this output again."
        )
    by_file: dict[str, list[tuple[float, float | None, Place]]] = {}
    for key, place in known.items():
        sound, start, end = _part(key)
        by_file.setdefault(sound, []).append((start, end, place))
    asked = [_inside(sounds, name) for name in result.evaluation.names]
    paths = [path for path, _ in filter(None, asked)]
    hashed = hashes.hash_files(paths, store / "hashes.sqlite", quiet=quiet)
    clips, found = [], []
    for position, wanted in enumerate(asked):
        if wanted is None or isinstance(content := hashed[wanted[0]], str):
            continue
        path, begin = wanted
        for start, end, place in by_file.get(content.sha256, ()):
            if math.isclose(start, begin, abs_tol=1e-3):  # names round to that
                clips.append(Clip(position, path, start, end))
                found.append(place)
                break
    if len(clips) < FEWEST:
        raise MapError(
            f"a map needs {FEWEST} clips or more, {len(clips)} of {len(asked)} of {result.key.task} lie in {sounds} as "
            "they were embedded. Pass the folder of the corpus: --sounds."
        )
    return clips, found, len(asked) - len(clips)


def _part(key: str) -> tuple[str, float, float | None]:
    """Content, start and end of what an embedding is kept under: `noss.embeddings`.

    >>> _part("ab"), _part("ab 0.5 None")
    (('ab', 0.0, None), ('ab', 0.5, None))
    """
    content, *ends = key.split(" ")
    start, end = ends if len(ends) == 2 else ("0", "None")
    return content, float(start), None if end == "None" else float(end)


def _inside(folder: Path, name: str) -> tuple[Path, float] | None:
    """File and start of a clip; None for one that lies outside the folder.

    >>> _inside(Path("here"), "a/b.wav#1.5"), _inside(Path("here"), "a/../../b.wav")
    ((PosixPath('here/a/b.wav'), 1.5), None)
    """
    file, _, start = name.rpartition("#")
    try:
        begin = float(start) if file else 0.0
    except ValueError:
        file, begin = name, 0.0
    file = posixpath.normpath(file or name)
    if file.startswith(("../", "/")) or file == ".." or "\0" in file:
        return None
    return folder / file, begin


def _means(store: Store, found: list[Place]) -> np.ndarray:
    rows, starts = store.read(found)
    means = np.add.reduceat(rows.astype(np.float64), starts[:-1]) / np.diff(starts)[:, None]
    spread = means.std(axis=0)
    return np.asarray((means - means.mean(axis=0)) / np.where(spread > 0, spread, 1), np.float32)


def _umap() -> Any:
    """UMAP without its variant on Keras, which would load TensorFlow: ten seconds for nothing."""
    unwanted = "umap.parametric_umap"
    blocked = unwanted not in sys.modules
    if blocked:
        sys.modules[unwanted] = None  # type: ignore[assignment] # import then says that it is missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)
            return optional("umap", "noss")
    finally:
        if blocked:
            del sys.modules[unwanted]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order."""
    with optional("threadpoolctl", "noss").threadpool_limits(1):
        yield


def link(path: Path, page: Path) -> str:
    """Where a page finds a file: relative to its folder, so that both may move together."""
    return quote(os.path.relpath(path.absolute(), page.parent.absolute()).replace(os.sep, "/"))
