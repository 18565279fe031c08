"""The Whisper encoder (Radford et al. 2022, arXiv:2212.04356, section 2.2) and its log-mel front end, in Keras."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from safetensors.numpy import load_file

LAYER_NORM_EPSILON = 1e-5


class WhisperEncoder:
    """Whisper's hidden states of one clip.

    Args:
        folder: holds `config.json` (with `frontend` and `dims`) and `model.safetensors`.
        num_layers: how many transformer blocks to run; None for all.

    Raises:
        ValueError: if the folder holds no Whisper encoder or has fewer blocks than asked for.
    """

    def __init__(self, folder: str | Path, num_layers: int | None = None) -> None:
        folder = Path(folder)
        config = json.loads((folder / "config.json").read_text())
        if "whisper" not in config.get("name", ""):
            raise ValueError(f"{folder} holds {config.get('name')!r}, not a Whisper encoder.")
        self.dims, self.frontend = config["dims"], config["frontend"]
        self.sample_rate: int = self.frontend["sample_rate"]
        self.num_layers = self.dims["blocks"] if num_layers is None else num_layers
        if not 0 <= self.num_layers <= self.dims["blocks"]:
            raise ValueError(f"num_layers must be in [0, {self.dims['blocks']}], got {num_layers}.")
        tensors = load_file(folder / "model.safetensors")
        self.weights = {name: ops.convert_to_tensor(value.astype("float32")) for name, value in tensors.items()}

    def log_mel(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(num_samples // 160, mel_bins)` float32, normalised as Whisper's."""
        length, hop = self.frontend["fft_length"], self.frontend["hop_length"]
        padded = np.pad(np.asarray(waveform, np.float32), length // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop][: len(waveform) // hop]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
        power = np.abs(np.fft.rfft(frames * hann)) ** 2
        log = np.log10(np.maximum(power @ np.asarray(self.weights["frontend.mel_filters"]), 1e-10))
        return ((np.maximum(log, log.max() - 8.0) + 4.0) / 4.0).astype(np.float32)

    def hidden_states(self, waveform: np.ndarray) -> list[np.ndarray]:
        """The transformer's input and the output of each block, each `(num_samples // 320, width)`.

        The clip is seen as it is, not padded to 30 s.
        """
        w = self.weights
        x = ops.convert_to_tensor(self.log_mel(waveform))[None]
        x = keras.activations.gelu(self._conv(x, "conv1", stride=1))
        x = keras.activations.gelu(self._conv(x, "conv2", stride=2))[0]
        x = x + w["positional_embedding"][: x.shape[0]]
        states = [x]
        for index in range(self.num_layers):
            states += [self._block(states[-1], f"block{index}")]
        return [ops.convert_to_numpy(state) for state in states]

    def _conv(self, x: Any, name: str, stride: int) -> Any:
        padded = ops.pad(x, ((0, 0), (1, 1), (0, 0)))
        return ops.conv(padded, self.weights[f"{name}.kernel"], stride, "valid") + self.weights[f"{name}.bias"]

    def _dense(self, x: Any, name: str) -> Any:
        y = ops.matmul(x, self.weights[f"{name}.kernel"])
        bias = self.weights.get(f"{name}.bias")
        return y if bias is None else y + bias

    def _norm(self, x: Any, name: str) -> Any:
        mean, variance = ops.moments(x, axes=[-1], keepdims=True)
        scaled = (x - mean) * ops.rsqrt(variance + LAYER_NORM_EPSILON)
        return scaled * self.weights[f"{name}.gamma"] + self.weights[f"{name}.beta"]

    def _block(self, x: Any, name: str) -> Any:
        y = self._norm(x, f"{name}.ln1")
        heads = (y.shape[0], self.dims["heads"], self.dims["head_dim"])
        q, k, v = (ops.swapaxes(ops.reshape(self._dense(y, f"{name}.attn.{p}"), heads), 0, 1) for p in "qkv")
        weights = ops.softmax(ops.matmul(q, ops.swapaxes(k, 1, 2)) / self.dims["head_dim"] ** 0.5)
        attended = ops.reshape(ops.swapaxes(ops.matmul(weights, v), 0, 1), x.shape)
        x = x + self._dense(attended, f"{name}.attn.o")
        hidden = keras.activations.gelu(self._dense(self._norm(x, f"{name}.ln2"), f"{name}.mlp.fc1"))
        return x + self._dense(hidden, f"{name}.mlp.fc2")
