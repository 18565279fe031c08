"""Is the file the network? Compared on sounds that break front ends: silence, noise, a sweep, clipping."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from trill import modelfile
from trill.errors import ModelError
from trill.modelfile import ModelCard
from trill.runtime import TFLiteModel


def probes(num_samples: int, sample_rate: int) -> dict[str, np.ndarray]:
    """Test waveforms by name, each `(num_samples,)` float32 in [-1, 1]; the same at every call.

    >>> sorted(probes(100, 16_000))
    ['clipping', 'noise', 'quiet noise', 'silence', 'sweep']
    """
    noise = np.random.default_rng(0).standard_normal(num_samples)
    seconds = np.arange(num_samples) / sample_rate
    sweep = np.sin(2 * np.pi * (50 + sample_rate / 5 * seconds) * seconds)
    sounds = {
        "silence": np.zeros(num_samples),
        "noise": 0.1 * noise,
        "quiet noise": 1e-4 * noise,
        "sweep": 0.5 * sweep,
        "clipping": np.clip(3 * sweep + noise, -1, 1),
    }
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


def verify(flatbuffer: bytes, network: keras.Model, card: ModelCard, min_cosine: float) -> dict[str, float]:
    """Compare a converted file with its network, tap by tap and probe by probe.

    Returns:
        The smallest cosine similarity of each tap.

    Raises:
        ModelError: if one is below `min_cosine` or not a number.
    """
    sounds = probes(card.window_samples, card.sample_rate)
    windows = np.stack(list(sounds.values()))
    expected = {
        name: np.reshape(output, (len(windows), -1)) for name, output in network(windows, training=False).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        modelfile.write(Path(folder) / "model.tflite", flatbuffer, card)
        model = TFLiteModel(Path(folder) / "model.tflite", threads=1)
    smallest = {}
    for tap, rows in expected.items():
        found = model.run(windows, tap)
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(rows, axis=1)
        cosines = np.sum(found * rows, axis=1) / np.maximum(norms, 1e-20)
        for sound, cosine in zip(sounds, cosines, strict=True):
            if not cosine >= min_cosine:
                raise ModelError(
                    f"the file must agree with its network to a cosine of {min_cosine}, got {cosine:.6f} at tap "
                    f"{tap!r} on {sound}. A coarser quantization or an unsound conversion; export as float32 to tell."
                )
        smallest[tap] = float(cosines.min())
    return smallest
