"""A head that learns labels from a few clips, and says which of them, or none, a sound has."""

import dataclasses
import functools
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from trill.audio import Sound
from trill.embedder import DEFAULT_MODEL, Embedder, load
from trill.errors import ModelError
from trill.personal import background as backgrounds
from trill.personal import device, linear, store
from trill.personal.background import Background
from trill.personal.labels import UNKNOWN, Clip, checked_label, checked_vectors, listed, with_clips
from trill.personal.linear import LinearHead

THRESHOLD = 0.5


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a head says of a sound.

    Attributes:
        label: the most likely one, or "unknown".
        score: how likely the answer is right, in [0, 1]: for "unknown" that no label is.
        scores: how likely each label is on its own, the likeliest first.
    """

    label: str
    score: float
    scores: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class _State:
    """All that is known at one moment; replaced, never changed, so that readers need no lock."""

    clips: Mapping[str, Clip]
    background: Background
    method: str | None
    trained: LinearHead | None = None  # on a device, instead of from clips

    @functools.cached_property
    def fitted(self) -> LinearHead | None:
        clips = self.clips.values()
        if self.trained is not None or not clips:
            return self.trained
        vectors, labels = np.stack([clip.vector for clip in clips]), [clip.label for clip in clips]
        return linear.fit(vectors, labels, self.background, self.method)


class PersonalHead:
    """Labels learnt from a few clips each: voices, commands, moods.

    Adding, forgetting and predicting may happen in several threads: a prediction sees what was known before a change
    or after it, never half.

    Args:
        labels: the only labels there may be; None takes any.
        model: a name of `trill.list_models()`, the path of a model file, or an `Embedder`.
        threshold: how likely a label must be, in [0, 1], or the answer is "unknown"; 0 always gives a label.
        method: "centroid" or "logistic"; None to choose by how many clips there are.
        background: a file of `scripts/fit_calibration.py` for a model that is not packaged.

    Raises:
        ModelError: if the model cannot be loaded.
        ValueError: if a label or the threshold is out of range.

    >>> import trill
    >>> head = PersonalHead()
    >>> head.add("anna", trill.example("anna_calm"))  # doctest: +ELLIPSIS
    '...'
    >>> head.predict(trill.example("anna_calm")).label
    'anna'
    """

    def __init__(
        self,
        labels: Iterable[str] | None = None,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        threshold: float = THRESHOLD,
        method: str | None = None,
        background: str | os.PathLike[str] | None = None,
    ) -> None:
        self._embedder = model if isinstance(model, Embedder) else load(model)
        if isinstance(labels, str):
            raise ValueError(f"labels must be a list of texts or None, got one, {labels!r}. Pass [{labels!r}].")
        self._closed = None if labels is None else frozenset(map(checked_label, labels))
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {threshold}. {THRESHOLD} is the default.")
        if method is not None and method not in linear.METHODS:
            raise ValueError(f"method must be one of {', '.join(linear.METHODS)} or None, got {method!r}.")
        self._threshold = float(threshold)
        # Also what tells the width: a model of several inputs or outputs need not say it on its card.
        self._silence = self._embedder.embed_windows(np.zeros(self._embedder.card.window_samples, np.float32))[0]
        self._lock = threading.Lock()
        self._background = _background(self._embedder, len(self._silence), background)
        self._state = _State({}, self._background, method)

    @property
    def embedder(self) -> Embedder:
        """What embeds the sounds."""
        return self._embedder

    @property
    def threshold(self) -> float:
        """How likely a label must be, or the answer is "unknown"."""
        return self._threshold

    @property
    def closed_labels(self) -> tuple[str, ...] | None:
        """The only labels there may be, sorted; None where any may."""
        return None if self._closed is None else tuple(sorted(self._closed))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels with a clip, sorted."""
        state = self._state
        return tuple(
            sorted({clip.label for clip in state.clips.values()} if state.trained is None else state.trained.labels)
        )

    @property
    def clips(self) -> dict[str, str]:
        """The label of each clip by its id, in the order they were added."""
        return {name: clip.label for name, clip in self._state.clips.items()}

    @property
    def method(self) -> str:
        """What predicts now, "centroid" or "logistic": chosen by how many clips there are."""
        return self._fitted().method

    @overload
    def add(self, label: str, sound: Sound, sample_rate: int | None = None) -> str: ...
    @overload
    def add(self, label: str, sound: list[Sound] | tuple[Sound, ...], sample_rate: int | None = None) -> list[str]: ...
    def add(
        self, label: str, sound: Sound | list[Sound] | tuple[Sound, ...], sample_rate: int | None = None
    ) -> str | list[str]:
        """Learn from a clip, or from several: all of them or, where one is at fault, none.

        Args:
            label: a text of 1 to 200 characters, kept in Unicode's composed form; not "unknown".
            sound: whatever `trill.embed` takes, or a list of it.
            sample_rate: Hz of arrays; files know their own.

        Returns:
            The id of the clip, or a list of ids, for `forget_clip`. A clip that was added before has the same.

        Raises:
            AudioError: if a sound cannot be read.
            ValueError: if the label is not allowed, a clip is there under another label or is digital silence.
        """
        self._check_allowed(label)
        several = isinstance(sound, list | tuple)
        rows = self._embedder.embed_batch(sound if isinstance(sound, list | tuple) else [sound], sample_rate)
        ids = self.add_embeddings(label, rows)
        return ids if several else ids[0]

    def add_embeddings(self, label: str, vectors: np.ndarray) -> list[str]:
        """Learn from embeddings that are at hand: all of them or, where one is at fault, none.

        Args:
            label: as in `add`.
            vectors: `(num_clips, dim)` from this head's model, as `embedder.embed` gives them. Their width is checked;
                that they come from this model the caller vouches for.

        Returns:
            Ids of the clips.

        Raises:
            ValueError: as `add`; if the width is another, or a number is not finite.
        """
        label = self._check_allowed(label)
        rows = self._checked(vectors, 2)
        silent = int(self._is_silent(rows).sum())
        if silent:
            raise ValueError(f"a clip must hold sound, {silent} of {len(rows)} are silence. Record them again.")
        with self._lock:
            self._check_learns()
            clips, ids = with_clips(self._state.clips, label, rows)
            self._state = dataclasses.replace(self._state, clips=clips)
        return ids

    def forget(self, label: str) -> int:
        """Forget a label and its clips; gone from the disk with the next `save`.

        Returns:
            How many clips were forgotten.

        Raises:
            ValueError: if there is no such label.
        """
        label = checked_label(label)
        with self._lock:
            self._check_learns()
            clips = self._state.clips
            left = {name: clip for name, clip in clips.items() if clip.label != label}
            if len(left) == len(clips):
                raise ValueError(f"there is no clip of {label!r} to forget. Labels: {listed(self.labels)}.")
            self._state = dataclasses.replace(self._state, clips=left)
        return len(clips) - len(left)

    def forget_clip(self, clip: str) -> str:
        """Forget one clip, by the id that `add` gave; with its last clip a label goes, too.

        Returns:
            The label it had.

        Raises:
            ValueError: if there is no such clip.
        """
        with self._lock:
            left = dict(self._state.clips)
            if clip not in left:
                raise ValueError(f"there is no clip {clip!r} to forget. Clips: {listed(left)}.")
            label = left.pop(clip).label
            self._state = dataclasses.replace(self._state, clips=left)
        return label

    def predict(self, sound: Sound, sample_rate: int | None = None) -> Prediction:
        """Which label a sound has, or "unknown".

        Args:
            sound: whatever `trill.embed` takes.
            sample_rate: Hz of an array; a file knows its own.

        Raises:
            AudioError: if the sound cannot be read.
            ValueError: if nothing was added yet.
        """
        self._fitted()  # an empty head says so before a long sound is embedded
        return self.predict_embedding(self._embedder.embed(sound, sample_rate))

    def predict_embedding(self, vector: np.ndarray) -> Prediction:
        """As `predict`, for an embedding `(dim,)` of this head's model.

        Silence has no label: every score is 0.

        Raises:
            ValueError: if nothing was added yet; if the width is another, or a number is not finite.
        """
        fitted = self._fitted()
        vector = self._checked(vector, 1)
        if self._is_silent(vector[None])[0]:
            return Prediction(UNKNOWN, 1.0, dict.fromkeys(fitted.labels, 0.0))
        chances = self._background.chances(fitted.method, fitted.clips, fitted.scores(vector))
        order = np.argsort(-chances, kind="stable")
        scores = {fitted.labels[index]: float(chances[index]) for index in order}
        best, chance = next(iter(scores.items()))
        if chance < self._threshold:
            return Prediction(UNKNOWN, 1 - chance, scores)
        return Prediction(best, chance, scores)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the head, replacing one that is there; stopped half-way, the old one is left.

        Raises:
            OSError: if the folder cannot be written.
        """
        with self._lock:  # one writer at a time; predictions go on
            self._check_learns()
            state, facts = self._state, store.model_of(self._embedder)
            saved = store.Saved(facts, self.closed_labels, self._threshold, state.method, dict(state.clips))
            store.write(folder, saved)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        model: str | os.PathLike[str] | Embedder | None = None,
        *,
        background: str | os.PathLike[str] | None = None,
    ) -> "PersonalHead":
        """Read what `save` wrote.

        Args:
            folder: of the head.
            model: as for a new head; None for the packaged model that the head was made with.
            background: as for a new head; it is not saved with it.

        Raises:
            ModelError: if there is no head, it was cut short or altered, or is of another model; if the model cannot be
                loaded.
        """
        saved = store.read(folder)
        chosen = store.packaged(saved.model) if model is None else model
        embedder = chosen if isinstance(chosen, Embedder) else load(chosen)
        embedder = store.same_model(embedder, saved.model, folder)
        head = cls(saved.labels, embedder, threshold=saved.threshold, method=saved.method, background=background)
        head._state = dataclasses.replace(head._state, clips=saved.clips)
        return head

    def to_file_weights(self, num_classes: int = 16) -> dict[str, np.ndarray]:
        """The head as state of a file that learns on a phone: what its `set_weights` takes.

        Its `scores` are then those that this head makes its chances of, rows in the order of `labels`, and training
        can go on from there. docs/personalization-on-device.md has the signatures.

        Args:
            num_classes: of the file; rows that are left over are free.

        Raises:
            ValueError: if nothing was added yet, or there are more labels than classes.
        """
        return device.to_file(self._fitted(), num_classes)

    @classmethod
    def from_file_weights(
        cls,
        weights: Mapping[str, np.ndarray],
        labels: Sequence[str],
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        method: str = "logistic",
        clips: float = 3.0,
        threshold: float = THRESHOLD,
        background: str | os.PathLike[str] | None = None,
    ) -> "PersonalHead":
        """A head that predicts as the file does whose `get_weights` gave these; it learns nothing more here.

        Args:
            weights: of `get_weights`: at least `weights` (C, dim), `bias` (C) and `active` (C).
            labels: of the active rows, in order.
            model: that embeds for the file.
            method: the head's whose scores these are, if they came from one; chances depend on it.
            clips: a label, that it was trained with.
            threshold: as for a new head.
            background: likewise.

        Raises:
            ValueError: if labels and active rows are not as many, or the arrays do not fit the model.
        """
        head = cls(labels, model, threshold=threshold, method=method, background=background)
        trained = device.from_file(weights, labels, len(head._silence), method, clips)
        head._state = dataclasses.replace(head._state, trained=trained)
        return head

    def _fitted(self) -> LinearHead:
        fitted = self._state.fitted
        if fitted is None:
            raise ValueError("a head without a clip cannot predict. Give it one: head.add(label, sound).")
        return fitted

    def _check_learns(self) -> None:
        if self._state.trained is not None:
            raise ValueError("a head from a file's weights has no clips to change or save. Keep the file's weights.")

    def _check_allowed(self, label: object) -> str:
        label = checked_label(label)
        if self._closed is not None and label not in self._closed:
            raise ValueError(f"label must be one of {listed(sorted(self._closed))}, got {label!r}.")
        return label

    def _checked(self, vectors: Any, ndim: int) -> np.ndarray:
        return checked_vectors(vectors, ndim, len(self._silence), self._embedder.name)

    def _is_silent(self, rows: np.ndarray) -> np.ndarray:
        rows, silence = rows.astype(np.float64), self._silence.astype(np.float64)  # whose squares cannot overflow
        near = np.linalg.norm(rows - silence, axis=1) <= 1e-3 * np.linalg.norm(silence)
        return np.asarray(near | ~rows.any(axis=1))


def _background(embedder: Embedder, dim: int, path: str | os.PathLike[str] | None) -> Background:
    if path is None:
        fits = embedder.tap == "embedding"
        return backgrounds.background_of(embedder.card, dim) if fits else backgrounds.none_for(dim)
    found = backgrounds.read(path)
    if len(found.mean) != dim:
        raise ModelError(
            f"{path} is of {found.model}, {len(found.mean)} values wide, and {embedder.name} gives {dim}. Make one for "
            "this model: scripts/fit_calibration.py."
        )
    return found
