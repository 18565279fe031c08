"""Any teacher by a short text."""

import dataclasses
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from distill.teachers.presets import Preset, presets
from distill.teachers.teacher import Layer, Teacher
from trill.errors import ModelError
from trill.presets import list_models

# Modules of this package with a table FAMILIES (`model_type` or `name` in config.json -> loader), and whether their
# taps are layers by number, of which the first few can be loaded alone.
MODULES = {"wav2vec2": True, "whisper": True, "yamnet": False, "soundstream": False, "crepe": False, "silero": False}
LAYER = re.compile(r"layer(\d+)")
TFHUB = "tfhub:"


@dataclasses.dataclass(frozen=True)
class Form:
    """A way to name a teacher.

    Args:
        text: how it is written.
        meaning: what it names.
        fits: whether a text, without its tap, is one.
        load: text, tap and number of layers to the teacher.
    """

    text: str
    meaning: str
    fits: Callable[[str], bool]
    load: Callable[[str, str | None, int | None], Teacher]


def load_teacher(name: str | os.PathLike[str], num_layers: int | None = None) -> Teacher:
    """Load a big model.

    Args:
        name: a row of `FORMS`, and maybe `@TAP` for the layer that `embed_windows` gives; of a transformer, no layer
            after it is loaded.
        num_layers: load and run only so many blocks of a transformer; None for all.

    Raises:
        ModelError: if there is no such model, or it is unsound or none that can be a teacher.
        ValueError: if it has no such tap, or fewer layers.
        OSError: if a SavedModel cannot be downloaded.
        MissingPackageError: if it needs a package that is not installed.
    """
    what, tap = split_tap(os.fspath(name))
    for form in FORMS:
        if form.fits(what):
            return form.load(what, tap, num_layers)
    raise ModelError(
        f"a teacher must be one of these, got {os.fspath(name)!r}:\n{forms()}\nNames: {', '.join(presets())}."
    )


def representation(what: str) -> Layer:
    """A teacher at one of its layers, as `noss run -r distill:NAME@TAP` takes it; raises as `load_teacher`."""
    return Layer(load_teacher(what), split_tap(what)[1])


def split_tap(what: str) -> tuple[str, str | None]:
    """`NAME@TAP` as both parts, unless it is a path as it stands.

    >>> split_tap("wavlm-large@layer7"), split_tap("yamnet")
    (('wavlm-large', 'layer7'), ('yamnet', None))
    """
    name, at, tap = what.rpartition("@")
    return (name, tap) if at and not Path(what).exists() else (what, None)


def forms() -> str:
    """All that `load_teacher` takes, a line each."""
    return "\n".join(f"  {form.text}  {form.meaning}" for form in FORMS)


def _preset(what: str, tap: str | None, num_layers: int | None) -> Teacher:
    name, _, where = what.partition(":")
    row = presets()[name]
    if row.family == "tfhub":
        teacher = _saved_model(where, tap, num_layers, family=name)
    else:
        teacher = _checkpoint(where or row.id, tap, num_layers, row=row, revision=None if where else row.revision)
    row.check(teacher, whole=tap is None and num_layers is None)
    return teacher


def _checkpoint(
    what: str, tap: str | None, num_layers: int | None, *, row: Preset | None = None, revision: str | None = None
) -> Teacher:
    hub = importlib.import_module("distill.teachers.hub")
    checkpoint = hub.open_checkpoint(what, revision)
    kinds = [checkpoint.config.get(key) for key in ("model_type", "name")]
    if row is not None and row.family not in kinds:
        raise ModelError(
            f"{row.name} must be of family {row.family}, {what} is of {kinds[0]!r}. Load it by its folder."
        )
    known = []
    for module, numbered in MODULES.items():
        families = importlib.import_module(f"distill.teachers.{module}").FAMILIES
        loader = next((families[kind] for kind in kinds if isinstance(kind, str) and kind in families), None)
        if loader is not None:
            layer = LAYER.fullmatch(tap) if tap and numbered else None
            return _at(loader(checkpoint, int(layer[1]) if layer and num_layers is None else num_layers), tap)
        known += families
    raise ModelError(
        f"model_type (or name) in {checkpoint.folder / 'config.json'} must be one of {', '.join(known)}, "
        f"got {next((kind for kind in kinds if kind is not None), None)!r}. Other models can write targets themselves: "
        "docs/targets-format.md."
    )


def _file(what: str, tap: str | None, num_layers: int | None) -> Teacher:
    files = importlib.import_module("distill.teachers.files")
    return _whole(files.load(what, tap), num_layers)


def _saved_model(what: str, tap: str | None, num_layers: int | None, *, family: str = "") -> Teacher:
    saved_models = importlib.import_module("distill.teachers.saved_models")
    return _whole(saved_models.load(what.removeprefix(TFHUB), tap, family), num_layers)


def _at(teacher: Teacher, tap: str | None) -> Teacher:
    """The teacher with this tap as its own choice."""
    if tap is None or (tap == teacher.taps[-1] and not hasattr(teacher, "default")):
        return teacher
    if tap in teacher.taps and hasattr(teacher, "default"):
        changed: Teacher = dataclasses.replace(cast(Any, teacher), default=tap)
        return changed
    raise ValueError(f"tap must be one of {', '.join(teacher.taps)} of {teacher.name}, got {tap!r}.")


def _whole(teacher: Teacher, num_layers: int | None) -> Teacher:
    if num_layers is not None:
        raise ValueError(
            f"num_layers is for transformers, {teacher.name} has the taps {', '.join(teacher.taps)}. Write NAME@TAP."
        )
    return teacher


FORMS = (
    Form(
        "NAME, NAME:FOLDER",
        "a row of distill.list_teachers(), from its hub or a folder",
        lambda what: what.partition(":")[0] in presets(),
        _preset,
    ),
    Form(
        f"{TFHUB}HANDLE, {TFHUB}FOLDER",
        "a SavedModel that takes a waveform at 16 kHz",
        lambda what: what.startswith(TFHUB),
        _saved_model,
    ),
    Form(
        "FOLDER",
        "with saved_model.pb: the same",
        lambda what: (Path(what) / "saved_model.pb").is_file(),
        _saved_model,
    ),
    Form("FOLDER", "with config.json and safetensors", lambda what: what != "" and Path(what).is_dir(), _checkpoint),
    Form(
        f"{', '.join(list_models())}, FILE.safetensors, FILE.tflite",
        "a model of ours, or any .tflite that takes a waveform at 16 kHz",
        lambda what: what in list_models() or what.endswith((".safetensors", ".tflite")),
        _file,
    ),
    Form(
        "OWNER/NAME", "of the model hub", lambda what: re.fullmatch(r"[\w.-]+/[\w.-]+", what) is not None, _checkpoint
    ),
)
