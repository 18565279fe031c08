"""Fine-tuning for one speaker, a method of few_shot.py: the network's top block goes on learning where a head begins.

The head is the personal one of the same clips, on embeddings of length 1; every step sees all of them.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from trill import audio
from trill.networks import saving
from trill.personal import linear
from trill.personal.background import Background
from trill.training.finetuning import layers
from trill.windows import frame

BLOCKS = "1"
RATE, STEPS = 1e-4, 40
BATCH = 64  # windows, of the part that stays as it is


class Tuned:
    """Learns from clips of a pack by their number, anew each time.

    Args:
        weights: a .safetensors of `trill.networks.saving`.
        paths: the pack's clips.
        x: their embeddings by the same network, `(num_clips, dim)`.
        background: of its personal heads.
        steps: of Adam.
    """

    def __init__(
        self, weights: Path, paths: list[Path], x: np.ndarray, background: Background, steps: int = STEPS
    ) -> None:
        network, config = saving.load(weights)
        self.x, self.background, self.steps = x, background, steps
        parts = layers.divide(network, BLOCKS)
        front = config.frontend
        clips = [
            frame(audio.read(path, target_rate=front.sample_rate), front.window_samples, front.hop_samples)
            for path in paths
        ]
        found = parts.lower.predict(np.concatenate(clips), batch_size=BATCH, verbose=0)
        counts = np.array(list(map(len, clips)))
        self.mask = (np.arange(counts.max()) < counts[:, None]).astype(np.float32)
        self.features = np.zeros((*self.mask.shape, *found.shape[1:]), np.float32)
        self.features[self.mask > 0] = found
        self.upper, self.begin = parts.upper, parts.upper.get_weights()

    def __call__(self, rows: np.ndarray, codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """What decides a label for clips, learnt from others."""
        head = linear.fit(self.x[rows], [f"{code:03d}" for code in codes], self.background)
        self.upper.set_weights(self.begin)
        model = Scores(self.upper, len(head.labels))
        model.compile(
            keras.optimizers.Adam(RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False
        )
        model.head.set_weights([head.weights.T, head.bias])
        inputs = [self.features[rows], self.mask[rows]]
        for _ in range(self.steps):
            model.train_on_batch(inputs, codes)
        return lambda test: self._decide(model, test)

    def _decide(self, model: keras.Model, test: np.ndarray) -> np.ndarray:
        found: np.ndarray = model.predict([self.features[test], self.mask[test]], batch_size=BATCH, verbose=0)
        return found.argmax(axis=1)


class Scores(keras.Model):
    """Scores of clips: the mean of their windows' embeddings, of length 1, through a linear head."""

    def __init__(self, upper: keras.Model, num_labels: int) -> None:
        super().__init__()
        self.upper = upper
        self.head = keras.layers.Dense(num_labels)
        self.head.build((None, upper.output.shape[-1]))

    def call(self, inputs: Any, training: bool = False) -> Any:
        features, mask = inputs
        # As pre-trained, batch normalisation's statistics included.
        windows = self.upper(ops.reshape(features, (-1, *features.shape[2:])), training=False)
        windows = ops.reshape(windows, (-1, mask.shape[1], windows.shape[-1]))
        mean = ops.sum(windows * mask[..., None], axis=1) / ops.sum(mask, axis=1, keepdims=True)
        return self.head(ops.normalize(mean, axis=-1))
