"""What a label and an embedding may be, and which clips of which labels a head knows."""

import dataclasses
import hashlib
import itertools
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

UNKNOWN = "unknown"
MAX_LABEL = 200  # characters


def checked_label(label: object) -> str:
    r"""A label in Unicode's composed form (NFC), so that one word typed on two systems is one label.

    Raises:
        ValueError: if it is no text, empty, longer than 200 characters, or "unknown", which a head answers with.

    >>> checked_label("e\u0301") == "\u00e9"
    True
    """
    if not isinstance(label, str) or not label:
        raise ValueError(f"a label must be a text that is not empty, got {label!r}. For example: 'anna'.")
    label = unicodedata.normalize("NFC", label)
    if len(label) > MAX_LABEL:
        raise ValueError(f"a label must have at most {MAX_LABEL} characters, got {len(label)}. Shorten it.")
    if label == UNKNOWN:
        raise ValueError(f'a label must not be "{UNKNOWN}": it is the answer to what has no label. Choose another.')
    return label


def clip_id(vector: np.ndarray) -> str:
    """The name of a clip: twelve digits of the hash of its embedding, so that a clip added again is known."""
    return hashlib.sha256(np.ascontiguousarray(vector, "<f4").tobytes()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True, eq=False)
class Clip:
    """An embedding `(dim,)` float32 and what it is an example of."""

    label: str
    vector: np.ndarray


def with_clips(
    clips: Mapping[str, Clip], label: str, vectors: Iterable[np.ndarray]
) -> tuple[dict[str, Clip], list[str]]:
    """A new collection with more clips of a label, and their ids.

    A clip that is there already stays as it is.

    Raises:
        ValueError: if a clip is there under another label.
    """
    more, ids = dict(clips), []
    for vector in vectors:
        name = clip_id(vector)
        known = more.setdefault(name, Clip(label, vector))
        if known.label != label:
            raise ValueError(
                f"a clip has one label: {name} is {known.label!r} already, got {label!r}. "
                f"Take it back first: head.forget_clip({name!r})."
            )
        ids.append(name)
    return more, ids


def checked_vectors(vectors: Any, ndim: int, dim: int, model: str) -> np.ndarray:
    """Embeddings `(dim,)` or `(num_clips, dim)` as float32.

    Raises:
        ValueError: if they are no floats of this shape, or not finite.
    """
    found = np.asarray(vectors)
    shape = "(num_clips, dim)" if ndim == 2 else "(dim,)"
    if found.ndim != ndim or found.shape[-1] != dim or not np.issubdtype(found.dtype, np.floating):
        raise ValueError(
            f"embeddings of {model} are floats {shape} with dim {dim}, got shape {found.shape} of {found.dtype}. "
            "Embed with this head's model: head.embedder.embed(sound)."
        )
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError("embeddings must be finite, got NaN or infinity. Leave out clips that failed.")
    return found


def listed(names: Collection[str]) -> str:
    """The first five names, and how many more there are.

    >>> listed("abcdefg")
    "'a', 'b', 'c', 'd', 'e' and 2 more"
    """
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(map(repr, itertools.islice(names, 5))) or "none") + more
