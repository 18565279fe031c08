"""Model files as teachers: our own `.tflite` and `.safetensors`, and anybody's `.tflite` that takes a waveform."""

import zipfile
from pathlib import Path

import numpy as np

import trill
from distill.teachers import tflite
from distill.teachers.clips import check_tap
from distill.teachers.windowed import Windowed
from trill import modelfile
from trill.embedder import Embedder
from trill.errors import ModelError


def load(model: str, tap: str | None = None) -> Windowed:
    """One of our models, or a model file, as a teacher.

    Args:
        model: a name of `trill.list_models()`; a `.safetensors` or `.tflite` of ours, or any `.tflite` that
            `distill.teachers.tflite` can call.
        tap: the default one; None for "embedding", or the first output.

    Raises:
        ModelError: if there is no such file, it is unsound or takes something else.
        ValueError: if there is no such tap.
    """
    path = Path(model)
    if model in trill.list_models():
        return of_embedder(trill.load(model), tap)
    if not path.is_file():
        raise ModelError(f"a model file must be there, {path} is none. Check the path and the current folder.")
    if path.suffix == ".tflite" and not _is_ours(path):
        return tflite.load(path, tap)
    if path.suffix == ".safetensors" and path.with_name("config.json").is_file():
        raise ModelError(f"a checkpoint of the model hub is a folder, {path} is a file of one. Pass {path.parent}.")
    return of_embedder(trill.load(path), tap)


def of_embedder(embedder: Embedder, tap: str | None = None) -> Windowed:
    """Any of our models as a teacher."""

    def compute(waveform: np.ndarray, tap: str) -> np.ndarray:
        return embedder.using(tap=tap).embed_windows(waveform)

    default, card = check_tap(tap, embedder.taps, embedder.tap), embedder.card
    return Windowed(
        card.identity,
        card.sample_rate,
        card.sha256,
        embedder.taps,
        default,
        compute,
        embedder.hop_samples,
    )


def _is_ours(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return modelfile.ENTRY in archive.namelist()
    except zipfile.BadZipFile:
        return True  # trill.load says what is wrong
