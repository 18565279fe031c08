"""A teacher, a corpus and a student that take a second together."""

import contextlib

import keras
import numpy as np

from tests.runs import make_corpus
from trill.networks import blocks, saving
from trill.networks.frontend import FrontendConfig
from trill.networks.saving import NetworkConfig
from trill.training import corpora
from trill.training.cache import open_cache
from trill.training.recipes import Optimizer, TrainConfig

HOP = 320
FRONTEND = FrontendConfig(window_frames=16, hop_frames=16)  # 2,560 samples in columns: eight frames of the teacher


class Teacher:
    """Sums of squares of each 20 ms, rotated: three layers of six values."""

    def __init__(self, name="fake-teacher", sample_rate=16_000, hop=HOP, before=None, scale=1.0):
        self.name, self.sample_rate, self.hop_samples = name, sample_rate, hop
        self.fingerprint, self.taps, self.num_layers, self.width = f"{scale}", ("layer0", "layer1", "layer2"), 2, 6
        self.before, self.scale, self.heard = before, scale, 0

    def hidden_states(self, waveform, lengths=None):
        self.heard += 1
        if self.before:
            waveform = self.before(self.heard, waveform)
        frames = waveform[:, : waveform.shape[1] // HOP * HOP].reshape(len(waveform), -1, HOP)
        parts = np.stack([np.square(part).mean(-1) for part in np.array_split(frames, 6, axis=2)], axis=2)
        return [np.float32(self.scale * np.log(parts + 1e-4) * (layer + 1) + layer) for layer in range(3)]

    def embed_windows(self, waveform, tap=None):
        return self.hidden_states(waveform[None])[self.taps.index(tap or "layer2")][0]


def make_cache(folder, count=6, sample_rate=16_000):
    """Sounds, and the same decoded."""
    sounds = make_corpus(folder / "sounds", count)
    return sounds, open_cache(corpora.join([sounds]), folder / "cache", sample_rate, quiet=True)


def map_network(window_frames, mel_bands, channels=4, width=1.0):
    """A convolution with a map: four columns, 16 bands."""
    log_mel = keras.Input((window_frames, mel_bands), name="log_mel")
    x = keras.layers.Reshape((window_frames, mel_bands, 1))(log_mel)
    x = blocks.conv(x, int(channels * width), 3, stride=4, batch_norm=True, name="stem")
    return keras.Model(log_mel, {"embedding": blocks.pool(x, "time"), "final": x}, name="map")


@contextlib.contextmanager
def map_known():
    """A row of `ARCHITECTURES` while the block runs."""
    saving.ARCHITECTURES["map"] = map_network
    try:
        yield
    finally:
        del saving.ARCHITECTURES["map"]


def config(*teachers, steps=4, **objective):
    """A recipe with these terms."""
    return TrainConfig(
        NetworkConfig("map", frontend=FRONTEND, name="student"),
        {"kind": "distillation", "teacher": list(teachers), **objective},
        {"gain": {}},
        Optimizer(1e-2, clip_norm=1.0),
        steps=steps,
        batch_size=8,
        checkpoint_every=2,
    )


COLUMNS = {"targets": "fake", "match": "columns"}
WINDOW = {"targets": "fake", "match": "window", "statistics": "mean+std"}
CLIP = {"targets": "fake", "match": "clip", "loss": "cosine"}
