"""YAMNet, VGGish and TRILL as Google published them: SavedModels, from TF Hub or a folder. Extra `teachers`.

A SavedModel is a program: TensorFlow runs what is in it. Load only what you trust.
"""

import dataclasses
import hashlib
import importlib
import os
import re
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from noss.representations.functions import Function, to_numpy
from trill.errors import optional
from trill.files import sha256

SAMPLE_RATE = 16_000
CACHE = Path("~/.cache/trill-speech/hub").expanduser()
MIN_SAMPLES = 15_600  # one window of 96 frames: shorter sounds are padded with zeros to it


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
        taps: by the paper's names; the first is the default.
        call: the model and a `(num_samples,)` tensor to its outputs.
    """

    handle: str
    taps: dict[str, Tap]
    call: Callable[[Any, Any], Any]


FAMILIES = {
    # tensorflow/models, research/audioset/yamnet: export.py returns (predictions, embeddings, log-mel); yamnet.py calls
    # the stem layer1, so the paper's tenth convolution is the depthwise one of layer6, its seventh ends layer4.
    "yamnet": Family(
        "https://tfhub.dev/google/yamnet/1",
        {
            "top": Tap(("embeddings", 1)),
            "layer10": Tap(("layer10",), r"layer6/depthwise_conv/relu/Relu"),
            "layer7": Tap(("layer7",), r"layer4/pointwise_conv/relu/Relu"),
        },
        lambda model, waveform: model(waveform),
    ),
    # research/audioset/vggish: vggish_export_tfhub.py returns the embedding; vggish_slim.py names the layers.
    "vggish": Family(
        "https://tfhub.dev/google/vggish/1",
        {"top": Tap(("embedding", 0)), "fcn1": Tap(("fcn1",), r"vggish/fc1/fc1_1/Relu")},
        lambda model, waveform: model(waveform),
    ),
    "trill": Family(
        "https://tfhub.dev/google/nonsemantic-speech-benchmark/trill/3",
        {"top": Tap(("embedding",)), "layer19": Tap(("layer19",))},
        lambda model, waveform: model(samples=waveform, sample_rate=SAMPLE_RATE),
    ),
}


def load_saved_model(family: str, what: str) -> Function:
    """A published model at one of its layers.

    Args:
        family: a row of `FAMILIES`.
        what: `""` for the one on TF Hub at its top, `@TAP`, or `WHERE@TAP` with a folder that holds
            `saved_model.pb` or an `https://` handle, which is downloaded once.

    Raises:
        ValueError: if there is no such tap or folder, or the model has no such layer.
        OSError: if it cannot be downloaded.
        MissingPackageError: if TensorFlow is not installed.
    """
    row = FAMILIES[family]
    where, _, tap = (what, "", "") if Path(what).is_dir() else what.partition("@")
    tap = tap or next(iter(row.taps))
    if tap not in row.taps:
        raise ValueError(f"{family} has the taps {', '.join(row.taps)}, got {tap!r}. Write {family}:FOLDER@TAP.")
    tensorflow = optional("tensorflow", "teachers")
    folder = locate(where or row.handle)
    model = tensorflow.saved_model.load(os.fspath(folder))
    called = model if callable(model) else _only_signature(model, folder)
    compute = _output(tensorflow, lambda waveform: row.call(called, waveform), row.taps[tap], f"{folder}@{tap}")

    def windows(waveform: np.ndarray) -> np.ndarray:
        padded = np.pad(np.asarray(waveform, np.float32), (0, max(0, MIN_SAMPLES - len(waveform))))
        rows = to_numpy(compute(tensorflow.constant(padded)))
        return rows.reshape(len(rows), -1) if rows.ndim > 2 else rows

    return Function(f"{family}-{_hash(folder)}@{tap}", SAMPLE_RATE, windows)


def _only_signature(model: Any, folder: Path) -> Callable[..., Any]:
    """What a model without `__call__` computes."""
    signatures = [function for name, function in model.signatures.items() if not name.startswith("_")]
    if len(signatures) != 1:
        raise ValueError(
            f"a SavedModel must be callable or have one signature, {folder} has {len(signatures)}: "
            f"{', '.join(model.signatures) or 'none'}. Export it again with one."
        )
    found: Callable[..., Any] = signatures[0]
    return found


def _output(tensorflow: Any, call: Callable[[Any], Any], tap: Tap, what: str) -> Callable[[Any], Any]:
    """A function from a waveform to the tap: an output of the model, or a node of its graph."""
    function = tensorflow.function(call)
    concrete = function.get_concrete_function(tensorflow.TensorSpec([None], tensorflow.float32))
    outputs = _by_key(tensorflow, concrete.structured_outputs)
    wanted = [key for key in (*tap.output, *(f"output_{key}" for key in tap.output)) if key in outputs]
    if wanted:
        return lambda waveform: _by_key(tensorflow, function(waveform))[wanted[0]]
    # The graph as one, its variables constants: what lies inside the functions that it calls can be asked for.
    freeze = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    frozen = freeze.convert_variables_to_constants_v2(concrete)
    pattern = re.compile(rf"(^|/){tap.node}$")
    nodes = [node for node in frozen.graph.get_operations() if tap.node and pattern.search(node.name)]
    if len(nodes) != 1:
        raise ValueError(
            f"{what} must be an output of the SavedModel or a layer in its graph; it has the outputs "
            f"{', '.join(map(str, outputs))} and {len(nodes)} layers that end in {tap.node or 'anything known'}. "
            "Export it with that output."
        )
    pruned: Callable[[Any], Any] = frozen.prune(frozen.inputs[0], nodes[0].outputs[0])
    return pruned


def _by_key(tensorflow: Any, outputs: Any) -> dict[Any, Any]:
    """Outputs by name, or else by place."""
    return outputs if isinstance(outputs, dict) else dict(enumerate(tensorflow.nest.flatten(outputs)))


def locate(where: str) -> Path:
    """The folder of a SavedModel; one on TF Hub is downloaded into `~/.cache/trill-speech/hub`.

    Raises:
        ValueError: if it is no folder with `saved_model.pb`, or the download is none.
        OSError: if it cannot be downloaded.
    """
    folder = Path(where)
    if where.startswith("https://"):
        folder = CACHE / hashlib.sha256(where.encode()).hexdigest()[:16]
        if not folder.exists():
            _download(where, folder)
    if not (folder / "saved_model.pb").is_file():
        raise ValueError(
            f"a SavedModel is a folder with saved_model.pb, {folder} is none. Unpack the download, or pass its handle: "
            f"{' or '.join(row.handle for row in FAMILIES.values())}."
        )
    return folder


def _download(handle: str, folder: Path) -> None:
    """Unpack what a handle gives beside `folder`, then rename."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        try:
            # www.tensorflow.org/hub/model_formats: this query gives a .tar.gz
            with (
                urllib.request.urlopen(f"{handle}?tf-hub-format=compressed") as answer,  # noqa: S310 (it is https)
                tarfile.open(fileobj=answer, mode="r|gz") as archive,
            ):
                archive.extractall(Path(temporary) / "model", filter="data")
        except (OSError, tarfile.TarError) as error:
            raise OSError(
                f"{handle} must give a SavedModel as .tar.gz, got {type(error).__name__}: {error}. "
                "Download it by hand, unpack it and pass the folder."
            ) from error
        os.rename(Path(temporary) / "model", folder)


def _hash(folder: Path) -> str:
    """Eight digits that tell one training of a model from another."""
    files = [folder / "saved_model.pb", *sorted((folder / "variables").glob("variables.*"))]
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()[:8]
