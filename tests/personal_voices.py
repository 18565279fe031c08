"""An embedder of a few lines, whose clips and voices are drawn at random."""

import dataclasses
import hashlib

import numpy as np

from trill.embedder import Embedder
from trill.modelfile import ModelCard

DIM = 24
CARD = ModelCard("toy", "1", 16_000, 400, 400, {"embedding": (DIM,), "other": (DIM,)}, sha256="ab" * 32)


@dataclasses.dataclass(frozen=True)
class ToyModel:
    card: ModelCard = CARD
    threads: int = 1

    def run(self, frames, tap):
        """Sixteen samples of the window, and what their hash draws: no two windows are alike."""
        rows = [np.random.default_rng(int(hashlib.sha256(row.tobytes()).hexdigest()[:8], 16)) for row in frames]
        return np.stack([rng.random(DIM, np.float32) for rng in rows])


def toy(**changes):
    return Embedder(ToyModel(dataclasses.replace(CARD, **changes)), "embedding", 400)


def voices(num_labels, clips, dim=DIM, spread=0.2, seed=0):
    """Embeddings `(num_labels, clips, dim)` around a centre a label."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_labels, 1, dim))
    return (centres + spread * rng.normal(size=(num_labels, clips, dim))).astype(np.float32)
