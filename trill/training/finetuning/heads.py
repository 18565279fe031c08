"""Linear heads on the windows of a clip, pooled; what they are held to; and how they are kept beside their encoder."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy
from keras import ops

from trill import files
from trill.errors import ModelError
from trill.networks import saving
from trill.networks.blocks import HEAD
from trill.networks.saving import NetworkConfig
from trill.training.finetuning.labelled import KINDS, Head

POOLINGS = ("mean", "attention", "autopool")
FORMAT = 1
HEADER_KEY = "trill_heads"
ENTRY = "heads.json"  # of a model file


class Heads(keras.layers.Layer):
    """Heads of standardised embeddings; as an objective, their losses.

    | pooling | a clip of windows with embeddings e_t |
    |---|---|
    | mean | the head of the mean of e_t |
    | attention | the head of sum a_t e_t, with a = softmax of a linear function of e_t |
    | autopool | sum p_t w_t of the heads of e_t (for classes, their probabilities), with w = softmax over t of alpha p_t, alpha learnt for each value from 0, the mean: McFee et al. 2018, arXiv:1804.10070 |

    Args:
        heads: what is predicted.
        dim: of the embedding.
        pooling: one of `POOLINGS`.
        weights: by head that is a class, `(num_labels,)` of the loss; none weighs all the same.
    """  # noqa: E501

    def __init__(
        self, heads: Sequence[Head], dim: int, pooling: str = "mean", weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__(dtype="float32", name="heads")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}.")
        self.heads, self.pooling, self.dim = tuple(heads), pooling, dim
        self.figures = tuple(head.name for head in heads)
        self.class_weights = {name: np.asarray(row, np.float32) for name, row in (weights or {}).items()}
        self.mean = self.add_weight(shape=(dim,), initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=(dim,), initializer="ones", trainable=False, name="scale")
        for number, head in enumerate(heads):
            for name, shape in (("kernel", (dim, head.size)), ("bias", (head.size,))):
                setattr(
                    self, f"{name}{number}", self.add_weight(shape=shape, initializer="zeros", name=f"{name}{number}")
                )
            if pooling == "autopool":
                alpha = self.add_weight(shape=(head.size,), initializer="zeros", name=f"alpha{number}")
                setattr(self, f"alpha{number}", alpha)
        if pooling == "attention":
            self.attention = self.add_weight(shape=(dim, 1), initializer="zeros", name="attention")

    def build(self, input_shape: Any = None) -> None:
        """Nothing: all is there."""

    def clip_scores(self, embeddings: Any, mask: Any) -> dict[str, Any]:
        """What is said of clips.

        Args:
            embeddings: `(batch, num_windows, dim)`.
            mask: `(batch, num_windows)`, 1 where there is a window, 0 after a clip's end.

        Returns:
            By head `(batch, size)`: log-probabilities up to a constant, or a standardised number.
        """
        rows = (ops.cast(embeddings, "float32") - self.mean) / self.scale
        absent = (1.0 - mask) * -1e9
        if self.pooling == "autopool":
            return {head.name: self._autopool(number, head, rows, absent) for number, head in enumerate(self.heads)}
        gate = ops.matmul(rows, self.attention)[..., 0] if self.pooling == "attention" else ops.zeros_like(mask)
        pooled = ops.sum(rows * _over_windows(gate + absent)[..., None], axis=1)
        return {head.name: self._linear(number, pooled) for number, head in enumerate(self.heads)}

    def _linear(self, number: int, rows: Any) -> Any:
        return ops.matmul(rows, getattr(self, f"kernel{number}")) + getattr(self, f"bias{number}")

    def _autopool(self, number: int, head: Head, rows: Any, absent: Any) -> Any:
        found = self._linear(number, rows)  # (batch, num_windows, size)
        found = found if head.numeric else ops.softmax(found, axis=-1)
        shares = _over_windows(getattr(self, f"alpha{number}") * found + absent[..., None])
        pooled = ops.sum(found * shares, axis=1)
        return pooled if head.numeric else ops.log(pooled + 1e-7)

    def call(self, embeddings: Any, targets: Any) -> dict[str, Any]:
        """The sum of the heads' losses, and each by name.

        Args:
            embeddings: `(batch * num_windows, dim)`.
            targets: `mask` `(batch, num_windows)`, and by head `(batch,)`: classes, -1 where there is none, or
                standardised numbers, NaN where there is none.
        """
        mask = targets["mask"]
        scores = self.clip_scores(ops.reshape(embeddings, (-1, mask.shape[1], self.dim)), mask)
        losses = {head.name: self._loss(head, scores[head.name], targets[head.name]) for head in self.heads}
        return {"loss": sum(losses.values()), **losses}

    def _loss(self, head: Head, score: Any, target: Any) -> Any:
        if not head.numeric:
            known = ops.maximum(target, 0)
            weight = ops.cast(target >= 0, "float32")
            if head.name in self.class_weights:
                weight *= ops.take(ops.convert_to_tensor(self.class_weights[head.name]), known)
            loss = keras.losses.sparse_categorical_crossentropy(known, score, from_logits=True)
            return ops.sum(loss * weight) / ops.maximum(ops.sum(weight), 1e-6)
        weight = ops.cast(ops.logical_not(ops.isnan(target)), "float32")
        count = ops.maximum(ops.sum(weight), 1.0)
        true, found = ops.where(weight > 0, target, 0.0), score[:, 0] * weight
        if head.kind == "mae":
            return ops.sum(ops.abs(true - found)) / count
        means = ops.sum(true) / count, ops.sum(found) / count
        one, other = (true - means[0]) * weight, (found - means[1]) * weight
        below = ops.sum(one * one + other * other) / count + (means[0] - means[1]) ** 2
        return 1.0 - 2.0 * ops.sum(one * other) / count / ops.maximum(below, 1e-6)

    def set_linear(self, mean: np.ndarray, scale: np.ndarray, linear: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Begin at what was fitted on frozen embeddings: kernel `(dim, size)` and bias `(size,)` of each head."""
        self.mean.assign(mean)
        self.scale.assign(scale)
        for number, (kernel, bias) in enumerate(linear):
            getattr(self, f"kernel{number}").assign(kernel)
            getattr(self, f"bias{number}").assign(bias)


def _over_windows(gate: Any) -> Any:
    """Softmax over axis 1; Keras' own warns where a clip has one window."""
    powers = ops.exp(gate - ops.max(gate, axis=1, keepdims=True))
    return powers / ops.sum(powers, axis=1, keepdims=True)


def decide(head: Head, scores: np.ndarray) -> np.ndarray:
    """Scores `(num_clips, size)` to what is predicted, `(num_clips,)`: classes, or numbers as the manifest has them."""
    if head.numeric:
        numbers: np.ndarray = scores[:, 0] * head.spread + head.center
        return numbers
    return scores.argmax(axis=1).astype(np.int32)


def beside(path: str | os.PathLike[str]) -> Path:
    """Where the heads of an encoder are: `best.heads.safetensors` beside `best.safetensors`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.heads{path.suffix}")


def save(heads: Heads, network: keras.Model, config: NetworkConfig, path: str | os.PathLike[str]) -> None:
    """Write heads beside the path that `saving.save(network, config, path)` writes, bound to it by its hash."""
    encoder = safetensors.numpy.save(
        {variable.path: variable.numpy() for variable in network.weights},
        metadata={saving.HEADER_KEY: config.to_json()},
    )
    about = {
        "format": FORMAT,
        "encoder_sha256": hashlib.sha256(encoder).hexdigest(),
        "pooling": heads.pooling,
        "heads": [dataclasses.asdict(head) for head in heads.heads],
    }
    tensors = {variable.name: np.asarray(variable.numpy()) for variable in heads.weights}
    with files.write_atomically(beside(path)) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata={HEADER_KEY: json.dumps(about)}))


def load(path: str | os.PathLike[str], dim: int) -> Heads:
    """Read the heads beside an encoder of embeddings of `dim` values.

    Raises:
        ModelError: if they are damaged or of another encoder.
    """
    where = beside(path)
    way_out = "Fine-tune again, or move the file away to use the encoder alone."
    try:
        with safetensors.safe_open(where, framework="numpy") as file:
            about = json.loads((file.metadata() or {})[HEADER_KEY])
            if about["format"] != FORMAT:
                raise ModelError(f"{where} has format {about['format']}, this version reads {FORMAT}. {way_out}")
            if about["encoder_sha256"] != files.sha256(path):
                raise ModelError(f"{where} must be of the encoder beside it, {path} is another. {way_out}")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 it cannot be iterated
            shapes = {name: tuple(found.get_shape()) for name, found in slices.items()}
            specs = [_head(fields) for fields in about["heads"]]
            claimed = {f"kernel{number}": (dim, head.size) for number, head in enumerate(specs)}
            if any(shapes.get(name) != shape for name, shape in claimed.items()):
                raise ModelError(f"{where} must hold {claimed}, got {shapes}. {way_out}")
            heads = Heads(specs, dim, about["pooling"])
            expected = {variable.name: variable for variable in heads.weights}
            if shapes != {name: tuple(variable.shape) for name, variable in expected.items()}:
                raise ModelError(f"{where} must hold {', '.join(expected)} in their shapes, got {shapes}. {way_out}")
            for name, variable in expected.items():
                variable.assign(file.get_tensor(name))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{where} holds no heads that can be read: {error}. {way_out}") from error
    return heads


def _head(fields: dict[str, Any]) -> Head:
    """A head as a file describes it, once it can be one."""
    head = Head(**{**fields, "labels": tuple(fields["labels"])})
    texts = (head.name, head.column, *head.labels)
    if head.kind not in KINDS or not all(isinstance(text, str) for text in texts) or not head.size:
        raise ValueError(f"a head is a name, a column, a kind and labels, not {fields}")
    if not np.isfinite([head.center, head.spread]).all():
        raise ValueError(f"center and spread of {head.name} must be finite")
    return head


def attach(
    network: keras.Model, config: NetworkConfig, path: str | os.PathLike[str]
) -> tuple[keras.Model, NetworkConfig, dict[str, bytes]]:
    """Give a network the heads that lie beside its file as outputs; without such a file, it is left as it is.

    An output says of a window what a clip of this window alone is said to be: log-probabilities up to a constant, in
    the order of the labels, or the number. With pooling "attention" there is one more output, `attention`: softmax over
    windows gives their weights. A network with the pooling "autopool" has its alphas in `heads.json`.

    Returns:
        The network; its description, with the labels; what a model file is to carry: `heads.json`.

    Raises:
        ModelError: as `load`.
    """
    if not beside(path).exists():
        return network, config, {}
    frontend, encoder = network.get_layer("frontend"), network.layers[-1]
    embedding = encoder.output["embedding"]
    heads = load(path, embedding.shape[-1])
    mean, scale = heads.mean.numpy(), heads.scale.numpy()
    outputs, told = {}, []
    for number, head in enumerate(heads.heads):
        kernel, bias = (getattr(heads, f"{name}{number}").numpy() for name in ("kernel", "bias"))
        factor, shift = (head.spread, head.center) if head.numeric else (1.0, 0.0)
        kernel = kernel / scale[:, None] * factor
        outputs[head.name] = _dense(embedding, kernel, bias * factor + shift - mean @ kernel, head.name)
        fields: dict[str, Any] = {"kind": head.kind, "labels": list(head.labels)}
        if heads.pooling == "autopool":
            fields["alpha"] = (getattr(heads, f"alpha{number}").numpy() / factor).tolist()
        told.append({"name": head.name, **fields})
    if heads.pooling == "attention":
        kernel = heads.attention.numpy() / scale[:, None]
        outputs["attention"] = _dense(embedding, kernel, -mean @ kernel, "attention")
    together = keras.Model(encoder.input, {**encoder.output, **outputs}, name=encoder.name)
    waveform = keras.Input(network.input.shape[1:], name="waveform")
    words = [f"{head.name}: {', '.join(head.labels) or 'a number'}" for head in heads.heads]
    return (
        keras.Model(waveform, together(frontend(waveform)), name=network.name),
        dataclasses.replace(config, description="; ".join([config.description, *words]).removeprefix("; ")),
        {ENTRY: json.dumps({"pooling": heads.pooling, "heads": told}, indent=1).encode()},
    )


def _dense(rows: Any, kernel: np.ndarray, bias: np.ndarray, name: str) -> Any:
    layer = keras.layers.Dense(kernel.shape[1], name=f"{HEAD}{name}")
    found = layer(rows)
    layer.set_weights([kernel, bias])
    return found
