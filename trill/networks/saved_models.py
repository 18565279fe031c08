"""Models as Google and others published them: SavedModels, from TF Hub or a folder. Extra `teachers`.

A SavedModel is a program: TensorFlow runs what is in it. Load only what you trust. `tf.saved_model.load` reads it:
`hub.KerasLayer` is of Keras 2 and fails in a Keras 3 model.
"""

import dataclasses
import functools
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

from trill.errors import optional
from trill.files import sha256
from trill.networks.saved_model_families import ANY, FAMILIES, Family, Tap

CACHE = Path("~/.cache/trill-speech/hub").expanduser()


@dataclasses.dataclass(frozen=True, eq=False)
class SavedModel:
    """A loaded model of a family.

    Args:
        name: family and eight digits of `fingerprint`.
        fingerprint: SHA-256 over graph and weights.
        family: how it is called.
        taps: what `tap` takes.
        tap: name to a function from a `(num_samples,)` tensor to that layer.
        model: TensorFlow's, which finds its variables by weak references: it must live as long.
    """

    name: str
    fingerprint: str
    family: Family
    taps: tuple[str, ...]
    tap: Callable[[str], Callable[[Any], Any]]
    model: Any

    def rows(self, waveform: np.ndarray, tap: str) -> np.ndarray:
        """`(num_samples,)` at `SAMPLE_RATE` to `(num_windows, dim)`, one row where the model averages over time.

        Raises:
            ValueError: if there is no such tap, or the model has no such layer.
        """
        compute, family = self.tap(tap), self.family
        waveform = np.asarray(waveform, np.float32)
        length = family.max_samples or max(len(waveform), 1)
        pieces = [waveform[start : start + length] for start in range(0, max(len(waveform), 1), length)]
        if len(pieces) > 1 and len(pieces[-1]) < family.min_samples:
            pieces.pop()
        tensorflow = optional("tensorflow", "teachers")
        padded = [np.pad(piece, (0, max(0, family.min_samples - len(piece)))) for piece in pieces]
        return np.concatenate([_rows(np.asarray(compute(tensorflow.constant(piece)))) for piece in padded])


def _rows(output: np.ndarray) -> np.ndarray:
    return output.reshape(len(output) if output.ndim > 1 else 1, -1)


def load_saved_model(family: str = "", where: str = "") -> SavedModel:
    """Load a published model.

    Args:
        family: a row of `FAMILIES`, or `""` for whatever takes a waveform.
        where: a folder that holds `saved_model.pb`, or an `https://` handle, which is downloaded once; `""` for the
            family's own.

    Raises:
        ValueError: if there is no such folder, or the model takes no waveform.
        OSError: if it cannot be downloaded.
        MissingPackageError: if TensorFlow is not installed.
    """
    row = FAMILIES[family] if family else ANY
    tensorflow = optional("tensorflow", "teachers")
    folder = locate(where or row.handle)
    model = tensorflow.saved_model.load(os.fspath(folder))
    called = model if callable(model) else _only_signature(model, folder)
    function = tensorflow.function(lambda waveform: row.call(tensorflow, called, waveform))
    concrete = function.get_concrete_function(tensorflow.TensorSpec([None], tensorflow.float32))
    outputs = _by_key(tensorflow, concrete.structured_outputs)
    # Names keep no order in the file.
    taps = row.taps or {str(key): Tap((key,)) for key in sorted(outputs, key=lambda key: (key != "embedding", key))}

    @functools.cache
    def tap(name: str) -> Callable[[Any], Any]:
        if name not in taps:
            raise ValueError(f"{family or folder} has the taps {', '.join(taps)}, got {name!r}.")
        return _output(tensorflow, concrete, tuple(outputs), taps[name], f"{folder}@{name}")

    fingerprint = _hash(folder)
    return SavedModel(f"{family or 'savedmodel'}-{fingerprint[:8]}", fingerprint, row, tuple(taps), tap, model)


def split_tap(what: str, taps: tuple[str, ...], family: str) -> tuple[str, str]:
    """`WHERE@TAP` as both parts; without a tap the first of them.

    Raises:
        ValueError: if there is no such tap.
    """
    where, _, tap = (what, "", "") if Path(what).is_dir() else what.partition("@")
    tap = tap or taps[0]
    if tap not in taps:
        raise ValueError(f"{family} has the taps {', '.join(taps)}, got {tap!r}. Write {family}:FOLDER@TAP.")
    return where, tap


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


def _output(
    tensorflow: Any, concrete: Any, outputs: tuple[str | int, ...], tap: Tap, what: str
) -> Callable[[Any], Any]:
    """A function from a waveform to the tap: an output of the model, or a node of its graph."""
    wanted = [key for key in (*tap.output, *(f"output_{key}" for key in tap.output)) if key in outputs]
    if wanted:
        return lambda waveform: _by_key(tensorflow, concrete(waveform))[wanted[0]]
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
            f"a SavedModel is a folder with saved_model.pb, {folder} is none. Unpack the download, or pass a handle, "
            f"e.g. {FAMILIES['yamnet'].handle}."
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
    """Tells one training of a model from another."""
    files = [folder / "saved_model.pb", *sorted((folder / "variables").glob("variables.*"))]
    return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
