"""A scikit-learn transformer: sounds in, embeddings out."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from trill.embedder import DEFAULT_MODEL, load
from trill.errors import optional
from trill.windows import Pooling

base = optional("sklearn.base", "noss")


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
