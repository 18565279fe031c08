"""A saved Keras network as the runtime sees a model: windows in, a tap out."""

import os

import keras
import numpy as np

from trill import files
from trill.modelfile import ModelCard
from trill.networks import saving
from trill.networks.saving import NetworkConfig

# Every call of the network has this many rows: another batch size may round differently.
BATCH = 8


class KerasModel:
    """A network of `trill.networks.saving`, run on Keras' backend; meets `trill.runtime.WindowModel`.

    Args:
        path: a `.safetensors` file that `saving.save` wrote.

    Raises:
        ModelError: if the file is none, or unsound.
    """

    threads = 1  # the backend has its own

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.network, config = saving.load(path)
        self.card = card_of(self.network, config, sha256=files.sha256(path))

    def run(self, windows: np.ndarray, tap: str) -> np.ndarray:
        """`(num_windows, window_samples)` float32 in [-1, 1] to `(num_windows, dim)` float32, taps flattened."""
        padded = np.pad(windows, ((0, -len(windows) % BATCH), (0, 0)))
        rows = [self._batch(padded[start : start + BATCH], tap) for start in range(0, len(padded), BATCH)]
        dim = int(np.prod(self.card.taps[tap]))
        return np.concatenate([np.empty((0, dim), np.float32), *rows])[: len(windows)]

    def _batch(self, windows: np.ndarray, tap: str) -> np.ndarray:
        output = keras.ops.convert_to_numpy(self.network(windows, training=False)[tap])
        return output.reshape(len(windows), -1)


def card_of(network: keras.Model, config: NetworkConfig, sha256: str = "") -> ModelCard:
    """The card of a network; the shapes of its taps are read off its outputs."""
    return ModelCard(
        name=config.name,
        version=config.version,
        sample_rate=config.frontend.sample_rate,
        window_samples=config.frontend.window_samples,
        hop_samples=config.frontend.hop_samples,
        taps={name: tuple(output.shape[1:]) for name, output in network.output.items()},
        licence=config.licence,
        description=config.description,
        sha256=sha256,
    )
