"""Whatever turns sound into numbers, by a short text: `load_representation("mfcc")`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import trill
from noss.representations import modules
from noss.representations.functions import attribute, check_rate, from_callable, import_module
from noss.representations.saved_models import load_saved_model
from noss.representations.smile import FEATURE_SETS, Smile
from noss.representations.spectral import CONFIGURATIONS, GRID
from noss.representations.untrained import load_untrained
from trill.networks.saved_model_families import FAMILIES
from trill.presets import list_models
from trill.representation import Representation

__all__ = ["GRID", "describe", "load_representation"]

# Prefix -> what follows the colon, and how it is loaded.
PREFIXES: dict[str, tuple[str, Callable[[str], Representation]]] = {
    "random": ("ARCHITECTURE, or ARCHITECTURE#SEED@TAP: a network with random weights", load_untrained),
    "opensmile": (f"{' or '.join(FEATURE_SETS)}: functionals, for research only", Smile),
    **{
        family: (f"FOLDER@TAP or https://HANDLE@TAP: {', '.join(row.taps)}", partial(load_saved_model, family))
        for family, row in FAMILIES.items()
    },
    "hear": ("MODULE or MODULE:WEIGHTS, of the HEAR 2021 interface", modules.load_hear),
    "xares": ("MODULE:CLASS, an encoder of X-ARES", modules.load_xares),
    "maeb": ("NAME of a model in mteb, or MODULE:CLASS", modules.load_maeb),
    "distill": ("TEACHER@TAP: a name of distill.list_teachers(), a checkpoint, ...", modules.load_distill),
}
MODEL_SUFFIXES = (".tflite", ".safetensors")


def load_representation(spec: str | Representation | Callable[..., Any]) -> Representation:
    """A representation by a short text, or an object as one.

    Args:
        spec: a text as `describe` lists them; or a `Representation`, which is returned as it is; an encoder of X-ARES;
            a module of HEAR; or any function of a `(num_samples,)` float32 waveform that returns a vector or
            `(num_windows, dim)`, with an attribute `sample_rate` if that is not 16 kHz.

    Returns:
        What `noss.embeddings.embed` takes. Its name is unique and versioned where the model's version is known; it
        stands in results and keys nothing.

    Raises:
        ValueError: if there is no such representation; the message lists what there is.
        MissingPackageError: if it needs a package that is not installed.

    >>> load_representation("log-mel").name
    'log-mel-1'
    >>> load_representation("mobilenet@final").embedding_dim
    9216
    """
    if not isinstance(spec, str):
        return _from_object(spec)
    if spec in CONFIGURATIONS:
        return CONFIGURATIONS[spec]
    if spec.partition(":")[0] not in PREFIXES and (model := _model(spec)) is not None:
        return model
    prefix, colon, what = spec.replace("@", ":@", 1).partition(":") if _is_bare(spec) else spec.partition(":")
    if prefix in PREFIXES:
        if prefix not in FAMILIES and not what:
            raise ValueError(f"{prefix}: must be followed by {PREFIXES[prefix][0]}, got nothing.")
        return PREFIXES[prefix][1](what)
    if colon and what and "/" not in what:
        return _from_object(attribute(import_module(prefix, spec), what, spec), spec)
    raise ValueError(f"a representation must be one of these, got {spec!r}:\n{describe()}")


def describe() -> str:
    """All that `load_representation` takes, a line each."""
    rows = {
        f"{', '.join(list_models())}, FILE.tflite, FILE.safetensors": "our models; with @TAP for another layer",
        ", ".join(CONFIGURATIONS): "spectra, a window a frame",
        **{f"{prefix}:": what for prefix, (what, _) in PREFIXES.items()},
        "MODULE:FUNCTION": "any Python function of a waveform; FILE.py:FUNCTION too",
    }
    return "\n".join(f"  {spec}  {what}" for spec, what in rows.items())


def _is_bare(spec: str) -> bool:
    """`yamnet` and `yamnet@layer10`: the one on TF Hub."""
    return spec.partition("@")[0] in FAMILIES


def _model(spec: str) -> Representation | None:
    """One of our models, if the text names one: a preset or a file, and maybe a tap."""
    name, at, tap = spec, "", ""
    if not Path(spec).is_file():
        name, at, tap = spec.rpartition("@") if "@" in spec else (spec, "", "")
    if name in list_models() or name.endswith(MODEL_SUFFIXES):
        return trill.load(name, tap=tap if at else "embedding")
    return None


def _from_object(thing: Any, name: str | None = None) -> Representation:
    if isinstance(thing, Representation) and not isinstance(thing, type):
        check_rate(thing.sample_rate, thing.name)
        return thing
    if isinstance(thing, ModuleType):
        return modules.from_hear(thing)
    if modules.looks_like_xares(thing):
        return modules.from_xares(thing, name or "")
    if isinstance(thing, type):
        return _from_object(thing(), name)
    if callable(thing):
        return from_callable(thing, name)
    raise ValueError(
        "a representation must be a text, an object with name, sample_rate and embed_windows, or a function, "
        f"got {type(thing).__name__}. Texts:\n{describe()}"
    )
