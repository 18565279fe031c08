"""A file that learns on the phone: it embeds sound, and trains a softmax head on the embeddings.

docs/personalization-on-device.md is the contract of its signatures.
"""

import os
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from export.flatbuffer import joined, pack, unpack
from export.quantization import representative_windows
from export.tflite import Form, convert_network, write_verified
from trill.errors import ModelError
from trill.modelfile import ModelCard
from trill.networks.saving import NetworkConfig
from trill.runtime import interpreter_class


class Head(tf.Module):
    """A softmax classifier of length-normalised embeddings, trained by SGD with momentum.

    The gradient is written by hand, so that rows of weight 0 can pad a batch and classes that are not active stay
    as they are. Every method is one signature of the file.

    Args:
        num_classes: rows of the weights.
        dim: of an embedding.
    """

    def __init__(self, num_classes: int, dim: int) -> None:
        super().__init__()
        self.state = {
            "weights": tf.Variable(tf.zeros((num_classes, dim))),
            "bias": tf.Variable(tf.zeros(num_classes)),
            "weights_velocity": tf.Variable(tf.zeros((num_classes, dim))),
            "bias_velocity": tf.Variable(tf.zeros(num_classes)),
            "active": tf.Variable(tf.ones(num_classes)),
        }

    def infer(self, embedding: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self._scores(_normalised(embedding))
        return {"scores": scores, "probabilities": tf.nn.softmax(self._masked(scores)) * self.state["active"]}

    def train(
        self,
        embeddings: tf.Tensor,
        labels: tf.Tensor,
        sample_weights: tf.Tensor,
        learning_rate: tf.Tensor,
        momentum: tf.Tensor,
        weight_decay: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        state, active = self.state, self.state["active"].value()
        x = _normalised(embeddings)
        log_probabilities = tf.nn.log_softmax(self._masked(self._scores(x)))
        # A label outside the active classes makes its row padding.
        targets = tf.one_hot(labels, len(active)) * active
        row_weights = sample_weights * tf.reduce_sum(targets, axis=1)
        row_weights /= tf.maximum(tf.reduce_sum(row_weights), np.finfo(np.float32).tiny)
        loss = -tf.reduce_sum(row_weights * tf.reduce_sum(targets * log_probabilities, axis=1))

        errors = row_weights[:, None] * (tf.exp(log_probabilities) - targets)
        gradients = {
            "weights": tf.matmul(errors, x, transpose_a=True) + weight_decay * state["weights"],
            "bias": tf.reduce_sum(errors, axis=0),
        }
        for name, gradient in gradients.items():
            moves = active[:, None] if name == "weights" else active
            old = state[f"{name}_velocity"]
            velocity = moves * (momentum * old + gradient) + (1 - moves) * old
            state[f"{name}_velocity"].assign(velocity)
            state[name].assign_sub(learning_rate * moves * velocity)
        return {"loss": loss}

    def get_weights(self, unused: tf.Tensor) -> dict[str, tf.Tensor]:
        # An input that is not used, in case a runtime refuses signatures without.
        return {name: tf.identity(variable) for name, variable in self.state.items()}

    def set_weights(self, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        for name, variable in self.state.items():
            variable.assign(state[name])
        return {"num_active": tf.reduce_sum(state["active"])}

    def _scores(self, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, self.state["weights"], transpose_b=True) + self.state["bias"]

    def _masked(self, scores: tf.Tensor) -> tf.Tensor:
        return scores + 1e9 * (self.state["active"] - 1.0)


def _normalised(embeddings: tf.Tensor) -> tf.Tensor:
    """Rows of length 1: one learning rate then suits every model, and scores can be cosines."""
    squares = tf.reduce_sum(embeddings * embeddings, axis=1, keepdims=True)
    return embeddings * tf.math.rsqrt(tf.maximum(squares, np.finfo(np.float32).tiny))


def export_personal(
    network: keras.Model,
    config: NetworkConfig,
    path: str | os.PathLike[str],
    *,
    num_classes: int = 16,
    batch: int = 8,
    quantization: str = "float32",
    representative: str | os.PathLike[str] | None = None,
) -> ModelCard:
    """Convert a network with a head that can be trained, compare both with the file, and only then write it.

    Args:
        network: of `trill.networks.saving.build(config)`, with its weights.
        config: what it is.
        path: of the `.tflite` to write.
        num_classes: how many classes the head can tell apart at most.
        batch: embeddings in one step of training; smaller batches are padded with rows of weight 0.
        quantization: of the network, a row of `export.quantization.QUANTIZATIONS`; the head stays float32.
        representative: folder or manifest of sound for a calibrated quantization; None for bundled speech.

    Returns:
        The card as written; its only tap is the embedding.

    Raises:
        ModelError: if the file's embeddings or its training differ from the network's and the head's; nothing is
            written.
        ValueError: if another argument is out of range.
    """
    if num_classes < 2 or batch < 1:
        raise ValueError(f"a head needs two classes and a batch of one, got {num_classes} classes, a batch of {batch}.")
    form = Form(taps=["embedding"])
    frontend, windows = config.frontend, None
    if representative is not None:
        windows = representative_windows(representative, frontend.window_samples, frontend.sample_rate)
    embedder = unpack(convert_network(network, quantization, form=form, representative=windows))
    (signature,) = embedder.signatureDefs
    signature.signatureKey = b"embed"
    head = Head(num_classes, network.output["embedding"].shape[-1])
    flatbuffer = pack(joined(embedder, unpack(convert_head(head, batch))))
    verify_head(flatbuffer, head, batch)
    return write_verified(flatbuffer, network, config, form, path, quantization)


def convert_head(head: Head, batch: int) -> bytes:
    """A flatbuffer with the signatures `train`, `infer`, `get_weights`, `set_weights`."""
    dim = head.state["weights"].shape[1]
    inputs: dict[Callable[..., Any], dict[str, tuple[int, ...]]] = {
        head.infer: {"embedding": (1, dim)},
        head.train: {
            "embeddings": (batch, dim),
            "labels": (batch,),
            "sample_weights": (batch,),
            "learning_rate": (),
            "momentum": (),
            "weight_decay": (),
        },
        head.get_weights: {"unused": ()},
        head.set_weights: {name: variable.shape for name, variable in head.state.items()},
    }
    signatures = {
        function.__name__: tf.function(function).get_concrete_function(
            **{
                name: tf.TensorSpec(shape, tf.int32 if name == "labels" else tf.float32, name=name)
                for name, shape in shapes.items()
            }
        )
        for function, shapes in inputs.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        # Through a saved model: only it keeps the signatures' names.
        tf.saved_model.save(head, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.experimental_enable_resource_variables = True
        flatbuffer: bytes = converter.convert()
        return flatbuffer


def verify_head(flatbuffer: bytes, head: Head, batch: int, steps: int = 20, max_error: float = 1e-5) -> None:
    """Train the head in the file and `head` itself alike, and compare their losses and weights.

    Raises:
        ModelError: if a number differs by more than `max_error`.
    """
    num_classes, dim = head.state["weights"].shape
    generator = np.random.default_rng(0)
    interpreter = interpreter_class()(model_content=flatbuffer, num_threads=1)
    train, get_weights = map(interpreter.get_signature_runner, ("train", "get_weights"))
    for _ in range(steps):
        arguments = {
            "embeddings": generator.standard_normal((batch, dim), np.float32),
            "labels": generator.integers(num_classes, size=batch, dtype=np.int32),
            "sample_weights": generator.random(batch, np.float32),
            **{name: np.float32(x) for name, x in (("learning_rate", 1), ("momentum", 0.9), ("weight_decay", 0.01))},
        }
        expected = head.train(**{name: tf.constant(argument) for name, argument in arguments.items()})
        found = train(**arguments)
    expected, found = expected | head.state, found | get_weights(unused=np.float32(0))
    for name in expected:
        error = np.abs(found[name] - expected[name].numpy()).max()
        if not error <= max_error:
            raise ModelError(
                f"the file's head must learn as the head it was made from, to {max_error:g}, got {error:.2g} at {name} "
                f"after {steps} steps. An unsound conversion: try another version of TensorFlow."
            )
