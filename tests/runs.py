"""Small runs: a network of a thousand weights on windows of 0.18 s, and what a run's folder holds."""

import contextlib
import csv
import dataclasses

import keras
import numpy as np
import safetensors.numpy

from tests.sounds import encode
from trill.networks import blocks, saving
from trill.networks.frontend import FrontendConfig
from trill.networks.saving import NetworkConfig
from trill.training.recipes import Optimizer, TrainConfig


def little(window_frames, mel_bands, channels=4, batch_norm=True, bottleneck=4):
    """A convolution; a step of it is traced in a quarter of a second."""
    log_mel = keras.Input((window_frames, mel_bands), name="log_mel")
    x = keras.layers.Reshape((window_frames, mel_bands, 1))(log_mel)
    x = blocks.conv(x, channels, 3, stride=4, batch_norm=batch_norm, name="stem")
    embedding = blocks.with_embedding(blocks.pool(x, "average"), bottleneck)
    return keras.Model(log_mel, {"embedding": embedding}, name="little")


@contextlib.contextmanager
def little_known():
    """A row of `ARCHITECTURES` while the block runs."""
    saving.ARCHITECTURES["little"] = little
    try:
        yield
    finally:
        del saving.ARCHITECTURES["little"]


# Whatever a run has to remember: statistics of batch normalisation, moments, a schedule. The last round is shorter.
SMALL = TrainConfig(
    network=NetworkConfig("little", frontend=FrontendConfig(window_frames=16), name="small"),
    augment={"gain": {}},
    optimizer=Optimizer(1e-3, "cosine", warmup_steps=2, weight_decay=0.01, clip_norm=1.0),
    steps=5,
    batch_size=8,
    checkpoint_every=2,
)
NOT_EXACT = ("seconds", "examples_per_second")


def changed(**fields):
    return dataclasses.replace(SMALL, **fields)


def make_corpus(folder, count=6):
    """Voices of a sort: two tones in noise, 0.5 to 1 s."""
    folder.mkdir(parents=True)
    for index in range(count):
        rng = np.random.default_rng(index)
        time = np.arange(rng.integers(8_000, 16_000)) / 16_000
        tones = sum(0.2 * np.sin(2 * np.pi * hertz * time) for hertz in rng.uniform(150, 3_000, 2))
        (folder / f"{index}.wav").write_bytes(encode(tones + rng.normal(0, 0.02, time.size)))
    return folder


def weights(path):
    return safetensors.numpy.load_file(path)


def log(output):
    with (output / "log.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def assert_same_run(first, second, files=("checkpoint", "last")):
    """The same weights, moments and log, to the bit; but for how long it took."""
    for name in files:
        one, other = weights(first / f"{name}.safetensors"), weights(second / f"{name}.safetensors")
        assert one.keys() == other.keys()
        for tensor in one:
            np.testing.assert_array_equal(one[tensor], other[tensor], err_msg=f"{name}: {tensor}")
    rows, others = log(first), log(second)
    for row in (*rows, *others):
        for name in NOT_EXACT:
            row.pop(name)
    assert rows == others


def files_of(output):
    return sorted(path.name for path in output.iterdir())
