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


def verify(flatbuffer: bytes, network: keras.Model, card: ModelCard, max_error: float) -> dict[str, float]:
    """Compare a converted file with its network, tap by tap and probe by probe.

    Returns:
        The largest error of each tap: length of the difference over length of the network's output.

    Raises:
        ModelError: if one is above `max_error` or not a number.
    """
    sounds = probes(card.window_samples, card.sample_rate)
    windows = np.stack(list(sounds.values()))
    outputs = network(windows, training=False)
    with tempfile.TemporaryDirectory() as folder:
        modelfile.write(Path(folder) / "model.tflite", flatbuffer, card)
        model = TFLiteModel(Path(folder) / "model.tflite", threads=1)
    largest = {}
    for tap, output in outputs.items():
        expected = keras.ops.convert_to_numpy(output).reshape(len(windows), -1)
        lengths = np.maximum(np.linalg.norm(expected, axis=1), np.finfo(np.float32).tiny)
        errors = np.linalg.norm(model.run(windows, tap) - expected, axis=1) / lengths
        for sound, error in zip(sounds, errors, strict=True):
            if not error <= max_error:
                raise ModelError(
                    f"the file must agree with its network to {max_error:g} of its length, got {error:.2g} at tap "
                    f"{tap!r} on {sound}. A coarser quantization or an unsound conversion; export as float32 to tell."
                )
        largest[tap] = float(errors.max())
    return largest
