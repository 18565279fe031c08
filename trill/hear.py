"""The HEAR 2021 interface (Turian et al. 2022, arXiv:2203.03022), so that its tools can drive any of our embedders.

Audio comes and embeddings go as tensors of the caller's framework (torch or TensorFlow), or as NumPy arrays.
"""

import sys
from typing import Any

import numpy as np

from trill.embedder import DEFAULT_MODEL, Embedder
from trill.embedder import load as load_embedder

# HEAR asks for timestamps dense enough for events of a few hundred milliseconds.
TIMESTAMP_HOP_SECONDS = 0.05


class HearModel:
    """What the HEAR tools read off a model."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self.embedder = embedder
        self.sample_rate = embedder.sample_rate
        self.scene_embedding_size = embedder.embedding_dim
        self.timestamp_embedding_size = embedder.embedding_dim


def load_model(model_file_path: str = "", *_: Any) -> Any:
    """Load a model by name or path; the packaged default for "".

    Returns:
        A `HearModel`; as the HEAR tools ask for a `torch.nn.Module` or a `tf.Module`, it is one where torch or
        TensorFlow has been imported.
    """
    embedder = load_embedder(model_file_path or DEFAULT_MODEL)
    if "torch" in sys.modules:
        return type("HearModel", (HearModel, sys.modules["torch"].nn.Module), {})(embedder)
    if "tensorflow" in sys.modules:
        return type("HearModel", (HearModel, sys.modules["tensorflow"].Module), {})(embedder)
    return HearModel(embedder)


def get_scene_embeddings(audio: Any, model: Any) -> Any:
    """One embedding a sound.

    Args:
        audio: `(num_sounds, num_samples)` in [-1, 1] at `model.sample_rate`.
        model: of `load_model`.

    Returns:
        `(num_sounds, scene_embedding_size)` float32.

    >>> get_scene_embeddings(np.zeros((2, 16_000), np.float32), load_model()).shape
    (2, 1152)
    """
    waveforms = _as_numpy(audio)
    return _like(model.embedder.embed_batch(list(waveforms), model.sample_rate), audio)


def get_timestamp_embeddings(audio: Any, model: Any) -> tuple[Any, Any]:
    """An embedding every 50 ms, and where it lies.

    Each window is centred on its timestamp: the sound is padded with half a window of silence on both sides.

    Args:
        audio: as `get_scene_embeddings`.
        model: of `load_model`.

    Returns:
        `(num_sounds, num_timestamps, timestamp_embedding_size)` float32 and `(num_sounds, num_timestamps)` in
        milliseconds.

    >>> embeddings, timestamps = get_timestamp_embeddings(np.zeros((1, 16_000), np.float32), load_model())
    >>> embeddings.shape, timestamps[0, :3].tolist()
    ((1, 21, 1152), [0.0, 50.0, 100.0])
    """
    waveforms = _as_numpy(audio)
    embedder = model.embedder.using(hop_seconds=TIMESTAMP_HOP_SECONDS)
    half = embedder.card.window_samples // 2
    # Enough on the right that a window is centred on the last sample's timestamp.
    padded = np.pad(waveforms, ((0, 0), (half, embedder.card.window_samples - half)))
    count = 1 + waveforms.shape[1] // embedder.hop_samples
    embeddings = np.stack([embedder.embed_windows(waveform)[:count] for waveform in padded])
    timestamps = np.tile(1000 * embedder.hop_seconds * np.arange(count, dtype=np.float32), (len(waveforms), 1))
    return _like(embeddings, audio), _like(timestamps, audio)


def _as_numpy(audio: Any) -> np.ndarray:
    if hasattr(audio, "detach"):
        audio = audio.detach().cpu()
    waveforms = np.asarray(audio, np.float32)
    if waveforms.ndim != 2:
        raise ValueError(f"audio must have shape (num_sounds, num_samples), got {waveforms.shape}.")
    return waveforms


def _like(array: np.ndarray, audio: Any) -> Any:
    """The array in the framework, and on the device, of `audio`."""
    framework = type(audio).__module__.partition(".")[0]
    if framework == "torch":
        return sys.modules["torch"].from_numpy(array).to(audio.device)
    if framework == "tensorflow":
        return sys.modules["tensorflow"].convert_to_tensor(array)
    return array
