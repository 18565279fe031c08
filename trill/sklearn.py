"""A scikit-learn transformer: sounds in, embeddings out."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from trill.embedder import DEFAULT_MODEL, Embedder, load
from trill.errors import optional
from trill.windows import Pooling

base = optional("sklearn.base", "noss")


class SpeechEmbedder(base.TransformerMixin, base.BaseEstimator):  # type: ignore[misc,name-defined]
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
        """Check the parameters and load the model; `X` and `y` are not looked at."""
        embedder = self._embedder()
        self.n_features_out_ = embedder.embedding_dim * (2 if self.pooling == "mean+std" else 1)
        return self

    def transform(self, X: Iterable[Any]) -> np.ndarray:  # noqa: N803
        """Embed sounds: a list of paths, bytes, file objects or arrays, or the rows of an array.

        Returns:
            `(num_sounds, dim)` float32.

        Raises:
            AudioError: for the first sound that cannot be read.
        """
        embedder = self._embedder()
        rows = [
            embedder.embed(sound, self.sample_rate if isinstance(sound, np.ndarray) else None, pooling=self.pooling)
            for sound in X
        ]
        return np.stack(rows) if rows else np.empty((0, embedder.embedding_dim), np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`speechembedder0`, `speechembedder1`, ...: a name a value."""
        return np.array([f"speechembedder{index}" for index in range(self.n_features_out_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        tags.no_validation = True
        return tags

    def _embedder(self) -> Embedder:
        return load(self.model, tap=self.tap, hop_seconds=self.hop_seconds)
