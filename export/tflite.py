"""From a Keras network to one `.tflite` that needs built-in operators only."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import safetensors.numpy
import tensorflow as tf

from export import frontend as fast_frontend
from export import quantization as quantizations
from export import verification
from export.equalisation import equalise
from export.flatbuffer import operators, unpack
from export.metadata import with_metadata
from export.probe import change_of_recall
from export.quantization import QUANTIZATIONS, representative_windows
from trill import modelfile
from trill.errors import ModelError
from trill.modelfile import ModelCard
from trill.networks.blocks import HEAD
from trill.networks.frontend import FrontendConfig, LogMel
from trill.networks.keras_model import card_of
from trill.networks.saving import HEADER_KEY, NetworkConfig

__all__ = ["QUANTIZATIONS", "convert_network", "export_network"]

RUNS_IN_2_16 = "TFLite 2.16.1"  # the last classic Android AAR; tests/export/test_gate.py runs every mode in it


@dataclasses.dataclass(frozen=True)
class Form:
    """What a file takes and gives of its network.

    Args:
        taps: outputs to keep, None for all. What no other output needs is left out of the file.
        frontend: whether it takes a waveform, or log-mel.
        dynamic: whether it takes any number of samples from one window on (`(1, num_samples)` to a row a window, at the
            network's hop, none padded), or any number of log-mel windows (`(windows, frames, bands)`).
    """

    taps: Sequence[str] | None = None
    frontend: bool = True
    dynamic: bool = False


def convert_network(
    network: keras.Model,
    quantization: str = "float32",
    *,
    form: Form | None = None,
    representative: np.ndarray | None = None,
) -> bytes:
    """Convert a network of `trill.networks.saving`.

    Args:
        network: one input `(batch, window_samples)` to a dict of taps; its layers are front end and encoder.
        quantization: a row of `QUANTIZATIONS`.
        form: what the file takes and gives; by default one window, all taps.
        representative: `(num_windows, window_samples)` for a calibrated quantization; None for bundled speech.

    Returns:
        A flatbuffer with one signature: input `waveform` or `log_mel`, outputs named as the taps.

    Raises:
        ValueError: if `quantization` is no row, a tap is none, or the network is not on the TensorFlow backend.
        ModelError: if an operator has no built-in form.
    """
    form = form or Form()
    mode = quantizations.row(quantization)
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"export needs the TensorFlow backend, got {keras.backend.backend()}. "
            "Save the network, then load and export it with KERAS_BACKEND=tensorflow."
        )
    if mode.integer_io and form.frontend:
        raise ValueError(
            f"{quantization} stores its input in 8 bits, of which quiet speech would use one or two. "
            "Export without the front end, or as int8: its input and output are float32."
        )
    flatbuffer = _convert(network, form)
    if not mode.calibrated:
        return quantizations.quantize(flatbuffer, mode)
    config = _parts(network)[0].frontend
    if representative is None:
        representative = representative_windows(None, config.window_samples, config.sample_rate)
    if mode.wide:
        probes = verification.probes(config.window_samples, config.sample_rate)
        representative = np.concatenate([representative, list(probes.values())])
    name = "waveform" if form.frontend else "log_mel"
    inputs = [row[None] for row in inputs_of(network, form, representative)]
    return quantizations.quantize(equalise(flatbuffer, inputs), mode, ({name: row} for row in inputs))


def _convert(network: keras.Model, form: Form) -> bytes:
    function = _function(network, form).get_concrete_function()
    # The converter takes the weights of a module that holds plain variables; handed the Keras model itself it
    # writes an uninitialised file without a word.
    holder = tf.Module()
    holder.variables_of_network = [weight.value for weight in network.weights]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        flatbuffer: bytes = converter.convert()
    except Exception as error:  # the converter has a kind of its own, and passes on MLIR's
        raise ModelError(
            f"a network needs operators that TFLite has built in, got: {_reason(error)}. Replace that layer."
        ) from error
    if unsound := {*operators(unpack(flatbuffer))} & {"CUSTOM", "READ_VARIABLE", "VAR_HANDLE", "CALL_ONCE"}:
        raise ModelError(
            f"a model file holds constants and built-in operators, the converter wrote {', '.join(sorted(unsound))}. "
            "Are all weights among the network's?"
        )
    return flatbuffer


def _function(network: keras.Model, form: Form) -> Any:
    """What the file computes, as a `tf.function` of one input."""
    taps = form.taps or list(network.output)
    if unknown := set(taps) - set(network.output):
        raise ValueError(
            f"taps must be some of {', '.join(network.output)}, got {', '.join(sorted(unknown))}. None keeps all."
        )
    frontend, encoder = _parts(network)
    config: FrontendConfig = frontend.frontend

    def whole_clip(waveform: Any) -> Any:
        log_mel = frontend(waveform)[0]
        starts = tf.range(0, tf.shape(log_mel)[0] - config.window_frames + 1, config.hop_frames)
        frames = tf.gather(log_mel, starts[:, None] + tf.range(config.window_frames))
        return encoder(tf.ensure_shape(frames, (None, *encoder.input.shape[1:])), training=False)

    rows = None if form.dynamic else 1
    compute: Callable[[Any], Any]
    if not form.frontend:
        compute, shape, name = partial(encoder, training=False), (rows, *encoder.input.shape[1:]), "log_mel"
    elif form.dynamic:
        compute, shape, name = whole_clip, (1, None), "waveform"
    else:
        compute, shape, name = partial(embed_window, network), (1, config.window_samples), "waveform"

    def function(x: Any) -> dict[str, Any]:
        outputs = compute(x)
        return {tap: outputs[tap] for tap in taps}

    return tf.function(function, input_signature=[tf.TensorSpec(shape, tf.float32, name=name)])


def embed_window(network: keras.Model, waveform: Any) -> dict[str, Any]:
    """The network on `(1, window_samples)`, its front end in the form that phones compute fastest."""
    frontend, encoder = _parts(network)
    with tf.name_scope(frontend.name):  # by which quantization leaves it alone
        log_mel = fast_frontend.log_mel(waveform, frontend.frontend)
    outputs: dict[str, Any] = encoder(log_mel, training=False)
    return outputs


def _parts(network: keras.Model) -> tuple[LogMel, keras.Model]:
    """Front end and encoder."""
    return network.get_layer("frontend"), network.layers[-1]


def inputs_of(network: keras.Model, form: Form, windows: np.ndarray) -> np.ndarray:
    """What a file of this form takes for `(rows, window_samples)`: the same, or their log-mel."""
    if form.frontend:
        return windows
    return np.concatenate([keras.ops.convert_to_numpy(_parts(network)[0](row[None])) for row in windows])


def outputs_of(network: keras.Model, taps: Iterable[str], windows: np.ndarray) -> dict[str, np.ndarray]:
    """What the network makes of `(rows, window_samples)`: `(rows, dim)` by tap, one row at a time."""
    rows = [network(row[None], training=False) for row in windows]
    return {tap: np.concatenate([keras.ops.convert_to_numpy(row[tap]).reshape(1, -1) for row in rows]) for tap in taps}


def heads_reach(network: keras.Model, taps: Iterable[str], windows: np.ndarray) -> dict[str, np.ndarray]:
    """By tap that is a linear head, the longest output that embeddings of these windows' lengths could have: `(rows,)`.

    Scores near zero are small differences of large numbers. An error is as large as it is beside those.
    """
    layers = {layer.name: layer for layer in _parts(network)[1].layers}
    heads = {tap: layers[f"{HEAD}{tap}"].kernel for tap in taps if f"{HEAD}{tap}" in layers}
    if not heads:
        return {}
    lengths = np.linalg.norm(outputs_of(network, ["embedding"], windows)["embedding"], axis=1)
    return {tap: np.linalg.norm(kernel.numpy(), 2) * lengths for tap, kernel in heads.items()}


def _reason(error: Exception) -> str:
    """The line of MLIR's essay that names the operator."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("tf.")]
    return (named or lines or [type(error).__name__])[0][:200]


def export_network(
    network: keras.Model,
    config: NetworkConfig,
    path: str | os.PathLike[str],
    quantization: str = "float32",
    *,
    form: Form | None = None,
    representative: str | os.PathLike[str] | None = None,
    probe: str | os.PathLike[str] | None = None,
    attachments: Mapping[str, bytes] | None = None,
) -> ModelCard:
    """Convert, compare with the network, and only then write the model file.

    Args:
        network: of `trill.networks.saving.build(config)`, with its weights.
        config: what it is.
        path: of the `.tflite` to write.
        quantization: a row of `QUANTIZATIONS`.
        form: what the file takes and gives; by default one window, all taps.
        representative: folder or manifest of sound for a calibrated quantization; None for bundled speech.
        probe: manifest for `export.probe`, whose change of recall then stands on the card.
        attachments: other files that the model file carries, by name.

    Returns:
        The card as written, with quantization, figures and hash.

    Raises:
        ModelError: if the file's outputs differ from the network's, or the representative sound is too short or
            silent; nothing is written.
        ValueError: as `convert_network`.
    """
    form = form or Form()
    frontend = config.frontend
    windows = None
    if representative is not None:
        windows = representative_windows(representative, frontend.window_samples, frontend.sample_rate)
    flatbuffer = convert_network(network, quantization, form=form, representative=windows)
    return write_verified(flatbuffer, network, config, form, path, quantization, probe, attachments)


def write_verified(
    flatbuffer: bytes,
    network: keras.Model,
    config: NetworkConfig,
    form: Form,
    path: str | os.PathLike[str],
    quantization: str,
    probe: str | os.PathLike[str] | None = None,
    attachments: Mapping[str, bytes] | None = None,
) -> ModelCard:
    """Compare a flatbuffer with its network, then write it with metadata, figures and test vectors.

    Raises:
        ModelError: if its outputs differ from the network's; nothing is written.
    """
    card = card_of(network, config)
    card = dataclasses.replace(
        card,
        taps={tap: card.taps[tap] for tap in form.taps or card.taps},
        quantization=quantization,
        input="waveform" if form.frontend else "log-mel",
        dynamic=form.dynamic,
        source_sha256=weights_sha256(network, config),
        interpreters=(*verification.interpreters(), RUNS_IN_2_16),
    )
    flatbuffer = with_metadata(flatbuffer, card)
    sounds = verification.probes(card.window_samples, card.sample_rate)
    waveforms = np.stack(list(sounds.values()))
    inputs, expected = inputs_of(network, form, waveforms), outputs_of(network, card.taps, waveforms)
    reach = heads_reach(network, card.taps, waveforms)
    figures = verification.check(flatbuffer, sounds, inputs, expected, quantizations.row(quantization), reach)
    if probe:
        figures["probe"] = _probe(network, flatbuffer, card, form, probe)
    vectors = verification.pack_vectors(list(sounds), inputs, expected)
    return modelfile.write(
        path,
        flatbuffer,
        dataclasses.replace(card, verification=figures),
        {verification.VECTORS: vectors, **(attachments or {})},
    )


def _probe(
    network: keras.Model, flatbuffer: bytes, card: ModelCard, form: Form, manifest: str | os.PathLike[str]
) -> dict[str, float]:
    tap = next(iter(card.taps))
    make = next(iter(verification.interpreters().values()))

    def by_network(windows: np.ndarray) -> np.ndarray:
        return outputs_of(network, [tap], windows)[tap]

    def by_file(windows: np.ndarray) -> np.ndarray:
        return verification.run(flatbuffer, inputs_of(network, form, windows), make, [tap])[tap]

    before, after = change_of_recall(
        manifest, (by_network, by_file), card.window_samples, card.hop_samples, card.sample_rate
    )
    return {"UAR of the network": round(before, 4), "UAR of the file": round(after, 4)}


def weights_sha256(network: keras.Model, config: NetworkConfig) -> str:
    """The hash of the file that `trill.networks.saving.save` writes of a network."""
    tensors = {weight.path: weight.numpy() for weight in network.weights}
    return hashlib.sha256(safetensors.numpy.save(tensors, metadata={HEADER_KEY: config.to_json()})).hexdigest()
