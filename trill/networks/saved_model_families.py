"""How published SavedModels are called: a row each. `saved_models` loads them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

SAMPLE_RATE = 16_000  # of every row
HUB = "https://tfhub.dev/"
MIN_SAMPLES = 15_600  # one window of 96 frames


@dataclasses.dataclass(frozen=True)
class Tap:
    """A layer to embed with.

    Args:
        output: its key where the model returns outputs by name, its place where in order.
        node: where it is no output, a regular expression for the end of its operation's name in the graph.
    """

    output: tuple[str | int, ...] = ()
    node: str = ""


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that are called alike.

    Args:
        handle: on TF Hub.
        taps: by the paper's names; the first is the default. Empty: the model's outputs, by their names.
        call: TensorFlow, the model and a `(num_samples,)` tensor to its outputs.
        min_samples: shorter sounds are padded with zeros.
        max_samples: longer ones are cut into pieces, each seen alone.
        hop_samples: between the starts of two rows; None where it is unknown, or the model averages over time.
    """

    handle: str
    taps: dict[str, Tap]
    call: Callable[[Any, Any, Any], Any]
    min_samples: int = MIN_SAMPLES
    max_samples: int | None = None
    hop_samples: int | None = None


def _plain(tensorflow: Any, model: Any, waveform: Any) -> Any:
    return model(waveform)


def _batched(tensorflow: Any, model: Any, waveform: Any) -> Any:
    return tensorflow.nest.map_structure(_only_clip, model(waveform[None]))


def _rated(tensorflow: Any, model: Any, waveform: Any) -> Any:
    return model(samples=waveform, sample_rate=SAMPLE_RATE)


WAV2VEC2_SAMPLES = 246_000  # the length that it was exported for, 15.4 s


def _wav2vec2(tensorflow: Any, model: Any, waveform: Any, *, masked: bool = False) -> Any:
    """Zero mean and unit variance, zeros to the exported length, frames up to the sound's end.

    github.com/thevasudevgupta/gsoc-wav2vec2: processor.py (1e-5), export2hub.py (the length).
    """
    tf, length = tensorflow, tensorflow.shape(waveform)[0]
    mean, variance = tf.nn.moments(waveform, [0])
    centred = (waveform - mean) / tf.sqrt(variance + 1e-5)
    pad = [[0, WAV2VEC2_SAMPLES - length]]
    padded, mask = (
        tf.ensure_shape(tf.pad(x, pad), [WAV2VEC2_SAMPLES])[None] for x in (centred, tf.ones_like(waveform))
    )
    frames = 1 + (length - 400) // 320  # receptive field and hop of its seven convolutions
    return tf.nest.map_structure(lambda x: x[0, :frames], model((padded, mask)) if masked else model(padded))


def _masked_wav2vec2(tensorflow: Any, model: Any, waveform: Any) -> Any:
    return _wav2vec2(tensorflow, model, waveform, masked=True)


TOP = {"top": Tap(("embedding", 0))}
STATES = {"top": Tap(("output_0", 0))}
NOSS = f"{HUB}google/nonsemantic-speech-benchmark/"
WAV2VEC2 = functools.partial(Family, taps=STATES, min_samples=400, max_samples=WAV2VEC2_SAMPLES, hop_samples=320)

# Signatures, rates and names of outputs are those of the models' pages, github.com/tensorflow/tfhub.dev,
# assets/docs/{google,vasudevgupta7}/models. No row was run on the published weights here: tests make models of the
# same signatures.
FAMILIES = {
    # tensorflow/models, research/audioset/yamnet: export.py returns (predictions, embeddings, log-mel); yamnet.py calls
    # the stem layer1, so the paper's tenth convolution is the depthwise one of layer6, its seventh ends layer4.
    "yamnet": Family(
        f"{HUB}google/yamnet/1",
        {
            "top": Tap(("embeddings", 1)),
            "layer10": Tap(("layer10",), r"layer6/depthwise_conv/relu/Relu"),
            "layer7": Tap(("layer7",), r"layer4/pointwise_conv/relu/Relu"),
        },
        _plain,
        hop_samples=7_680,
    ),
    # research/audioset/vggish: vggish_export_tfhub.py returns the embedding; vggish_slim.py names the layers.
    "vggish": Family(
        f"{HUB}google/vggish/1",
        {**TOP, "fcn1": Tap(("fcn1",), r"vggish/fc1/fc1_1/Relu")},
        _plain,
        hop_samples=15_360,
    ),
    # Context windows step by 17 frames: 1 s gives one row, 2 s give seven.
    "trill": Family(
        f"{NOSS}trill/3", {"top": Tap(("embedding",)), "layer19": Tap(("layer19",))}, _rated, hop_samples=2_720
    ),
    "trill-distilled": Family(f"{NOSS}trill-distilled/3", {"top": Tap(("embedding",))}, _rated, hop_samples=2_720),
    # Takes (1, num_samples) and gives (num_windows, 2048).
    "frill": Family(f"{NOSS}frill/1", TOP, _batched),
    # Take (batch, num_samples) and give (batch, 1024): they average over time themselves.
    **{f"trillsson{size}": Family(f"{HUB}google/trillsson{size}/1", TOP, _batched) for size in range(1, 6)},
    # Take (batch, 246000), the large ones with a mask too, and give (batch, 768, width): the last layer. Their grouped
    # convolution, which the pages want compiled by XLA, runs on the processor as it is in TensorFlow 2.21.
    "wav2vec2-tf": WAV2VEC2(f"{HUB}vasudevgupta7/wav2vec2/1", call=_wav2vec2),
    "wav2vec2-robust-tf": WAV2VEC2(f"{HUB}vasudevgupta7/wav2vec2-robust/1", call=_masked_wav2vec2),
    "wav2vec2-xlsr-tf": WAV2VEC2(f"{HUB}vasudevgupta7/wav2vec2-xlsr-53/1", call=_masked_wav2vec2),
}


def _any_call(tensorflow: Any, model: Any, waveform: Any) -> Any:
    """Whatever takes a waveform at 16 kHz: with its rate or without, alone or as a batch of one.

    The order is that of google-research, non_semantic_speech_benchmark/data_prep/audio_to_embeddings_beam_utils.py: a
    model that takes a rate must be told it.
    """
    refusals = []
    for inputs in ((waveform, SAMPLE_RATE), (waveform,), (waveform[None], SAMPLE_RATE), (waveform[None],)):
        try:
            outputs = model(*inputs)
        except (TypeError, ValueError) as error:
            refusals.append(str(error).partition("\n")[0])
            continue
        return tensorflow.nest.map_structure(_only_clip, outputs) if inputs[0] is not waveform else outputs
    raise ValueError(
        "a SavedModel must take a float32 waveform, (num_samples,) or (1, num_samples), and maybe its sample rate; "
        f"it refused both: {refusals[1]} Export it again with such a signature."
    )


def _only_clip(output: Any) -> Any:
    """Frames of the one clip of a batch; a vector of it stays a row."""
    return output[0] if output.shape.rank == 3 and output.shape[0] in (None, 1) else output


ANY = Family("", {}, _any_call)
