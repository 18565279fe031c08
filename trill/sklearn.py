"""For scikit-learn: a transformer, sounds in, embeddings out; a classifier of embeddings, for a few clips a label."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from trill.embedder import DEFAULT_MODEL, load
from trill.errors import optional
from trill.personal import linear
from trill.personal.background import background_of, none_for
from trill.windows import Pooling

base = optional("sklearn.base", "noss")
multiclass = optional("sklearn.utils.multiclass", "noss")
validation = optional("sklearn.utils.validation", "noss")


class SpeechEmbedder(base.ClassNamePrefixFeaturesOutMixin, base.TransformerMixin, base.BaseEstimator):  # type: ignore[name-defined]
    """Embed each sound of a list; nothing is learned from them.

    Args:
        model: a name of `trill.list_models()`, or the path of a model file.
        tap: which output of the model.
        pooling: "mean", "max" or "mean+std" over a sound's windows.
        hop_seconds: time between the starts of two windows; None for the model's own.
        sample_rate: Hz of sounds given as arrays; files know their own.

    >>> import trill
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> clips = [trill.example(name) for name in ("anna_calm", "anna_excited", "ben_calm", "ben_excited")]
    >>> classifier = make_pipeline(SpeechEmbedder(), LogisticRegression()).fit(clips, ["a", "a", "b", "b"])
    >>> classifier.predict(clips[:1]).tolist()
    ['a']
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        tap: str = "embedding",
        pooling: Pooling = "mean",
        hop_seconds: float | None = None,
        sample_rate: int = 16_000,
    ) -> None:
        self.model = model
        self.tap = tap
        self.pooling = pooling
        self.hop_seconds = hop_seconds
        self.sample_rate = sample_rate

    def fit(self, X: Iterable[Any], y: Any = None) -> "SpeechEmbedder":  # noqa: N803 (scikit-learn's name)
        """Check the parameters and load the model; `X` and `y` are not looked at.

        Raises:
            ModelError: if the model cannot be loaded.
            ValueError: if a parameter is out of range.
        """
        self._embed([])
        return self

    def transform(self, X: Iterable[Any]) -> np.ndarray:  # noqa: N803
        """Embed sounds: a list of paths, bytes, file objects or arrays, or the rows of an array.

        Returns:
            `(num_sounds, dim)` float32.

        Raises:
            AudioError: for the first sound that cannot be read.
            ValueError: if `X` is one sound or a table of columns rather than a list of sounds.
        """
        if hasattr(X, "columns"):
            raise ValueError(
                f"X must be a list of sounds, got {type(X).__name__}. Pass one column of it, e.g. X['path']."
            )
        return self._embed(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.requires_fit = False
        tags.no_validation = True
        return tags

    @property
    def _n_features_out(self) -> int:  # for `get_feature_names_out`
        return self._embed([]).shape[1]

    def _embed(self, sounds: Iterable[Any]) -> np.ndarray:
        embedder = load(self.model, tap=self.tap, hop_seconds=self.hop_seconds)
        return embedder.embed_batch(sounds, self.sample_rate, pooling=self.pooling)


class PersonalClassifier(base.ClassifierMixin, base.BaseEstimator):  # type: ignore[name-defined]
    """What `trill.PersonalHead` learns, as a classifier of embeddings; it knows no strangers.

    Args:
        model: what the embeddings come from, if it is known: a name of `trill.list_models()` or the path of a model
            file. They are then centred and levelled as its speech is, which makes few clips tell more.
        method: "centroid" or "logistic"; None to choose by how many clips there are.

    >>> import trill
    >>> clips = [trill.example(name) for name in ("anna_calm", "anna_excited", "ben_calm", "ben_excited")]
    >>> x = SpeechEmbedder().fit_transform(clips)
    >>> PersonalClassifier("mobilenet").fit(x[::2], ["anna", "ben"]).predict(x[1::2]).tolist()
    ['anna', 'ben']
    """

    def __init__(self, model: str | None = None, *, method: str | None = None) -> None:
        self.model = model
        self.method = method

    def fit(self, X: Any, y: Any) -> "PersonalClassifier":  # noqa: N803
        """Learn labels.

        Args:
            X: `(num_clips, dim)` embeddings.
            y: `(num_clips,)` labels.

        Raises:
            ModelError: if the model cannot be loaded.
            ValueError: if `X` or `y` is no such thing, or `method` is unknown.
        """
        X, y = validation.validate_data(self, X, y, dtype=np.float32)  # noqa: N806
        multiclass.check_classification_targets(y)
        if self.method is not None and self.method not in linear.METHODS:
            raise ValueError(f"method must be one of {', '.join(linear.METHODS)} or None, got {self.method!r}.")
        self.classes_, codes = np.unique(y, return_inverse=True)
        background = none_for(X.shape[1])
        if self.model is not None:
            background = background_of(load(self.model).card, X.shape[1])
        self.head_ = linear.fit(X, codes.tolist(), background, self.method)
        return self

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Scores `(num_clips, num_labels)`; of two labels, how much the second has more, `(num_clips,)`."""
        scores = self._scores(X)
        return np.asarray(scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores)

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """`(num_clips, num_labels)` in [0, 1], 1 in all: each clip has one of the labels."""
        scores = self._scores(X).astype(np.float64)
        chances = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The likeliest label of each row."""
        best = self._scores(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _scores(self, X: Any) -> np.ndarray:  # noqa: N803
        validation.check_is_fitted(self)
        X = validation.validate_data(self, X, dtype=np.float32, reset=False)  # noqa: N806
        return self.head_.scores(X)
