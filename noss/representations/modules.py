"""Models that were wrapped for another benchmark: HEAR, X-ARES and MAEB.

None of the benchmarks is imported, but MAEB's package where a model is asked of it by name: what a model must have is
all there is to these interfaces.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from noss.representations.functions import Function, attribute, check_rate, import_module, like, to_numpy
from trill.errors import MissingPackageError
from trill.representation import Representation

MAEB_RATE = 16_000  # a MAEB model is told the rate of each clip and resamples; one that says its own is given that


def from_hear(module: ModuleType, weights: str = "") -> Function:
    """A module of the HEAR 2021 interface: `load_model`, and `get_timestamp_embeddings` or `get_scene_embeddings`.

    Turian et al. 2022, arXiv:2203.03022. Windows are its timestamps; one row a clip if it has none.

    Raises:
        ValueError: if it lacks one of them.
    """
    functions = [getattr(module, f"get_{kind}_embeddings", None) for kind in ("timestamp", "scene")]
    embed = functions[0] or functions[1]
    if not callable(getattr(module, "load_model", None)) or embed is None:
        raise ValueError(
            "a HEAR module has load_model and get_timestamp_embeddings or get_scene_embeddings, "
            f"{module.__name__} lacks them. For a plain function: MODULE:FUNCTION."
        )
    model = module.load_model(weights) if weights else module.load_model()
    name = f"hear:{module.__name__}" + (f":{weights}" if weights else "") + _version(module)
    check_rate(getattr(model, "sample_rate", None), name)

    def windows(waveform: np.ndarray) -> np.ndarray:
        with _inference():
            output = embed(like(waveform[None], model), model)
        rows: np.ndarray = to_numpy(output[0])[0] if functions[0] else to_numpy(output)
        return rows

    return Function(name, int(model.sample_rate), windows)


def from_xares(encoder: Any, name: str = "") -> Function:
    """An encoder of X-ARES: `sampling_rate`, `output_dim`, and a call from `[B, T]` to `[B, T', D]`.

    github.com/jimbozhang/xares. A class is made an object without arguments.

    Raises:
        ValueError: if it lacks one of them.
    """
    if isinstance(encoder, type):
        encoder = encoder()
    name = name or f"xares:{type(encoder).__module__}:{type(encoder).__qualname__}"
    if not looks_like_xares(encoder):
        raise ValueError(f"an X-ARES encoder has sampling_rate and output_dim and can be called, {name} does not.")
    check_rate(encoder.sampling_rate, name)
    if callable(getattr(encoder, "eval", None)):
        encoder.eval()

    def windows(waveform: np.ndarray) -> np.ndarray:
        with _inference():
            rows: np.ndarray = to_numpy(encoder(like(waveform[None], encoder)))[0]
        if rows.ndim != 2 or rows.shape[1] != encoder.output_dim:
            raise ValueError(f"output must be [1, T, {encoder.output_dim}], as output_dim says, got {rows.shape[1:]}")
        return rows

    return Function(name, int(encoder.sampling_rate), windows)


def looks_like_xares(encoder: Any) -> bool:
    """Whether an object is an X-ARES encoder by what it has."""
    return callable(encoder) and hasattr(encoder, "sampling_rate") and hasattr(encoder, "output_dim")


def from_maeb(model: Any, name: str = "") -> Function:
    """An audio model of MTEB's audio benchmark: `encode(loader, task_metadata=, hf_split=, hf_subset=)`.

    `mteb.models.models_protocols.EncoderProtocol`; a batch is `{"audio": [{"array": ..., "sampling_rate": ...}]}`.
    One row a clip: models pool themselves, and some cut clips to 30 s.

    Raises:
        ValueError: if it has no `encode`.
    """
    name = name or f"maeb:{type(model).__module__}:{type(model).__qualname__}"
    if not callable(getattr(model, "encode", None)):
        raise ValueError(f"a MAEB model has encode, {name} has not.")
    rate = int(getattr(model, "sampling_rate", MAEB_RATE))
    task = SimpleNamespace(name="noss", type="AudioClassification")

    def windows(waveform: np.ndarray) -> np.ndarray:
        loader = _OneClip({"array": waveform, "sampling_rate": rate})
        with _inference():
            output = model.encode(loader, task_metadata=task, hf_split="test", hf_subset="default")
        return to_numpy(output).reshape(1, -1)

    return Function(name, rate, windows)


class _OneClip:
    """What a MAEB model sees of a torch `DataLoader`, for one clip."""

    batch_size = 1

    def __init__(self, clip: dict[str, Any]) -> None:
        self._batch = {"audio": [clip]}
        self.dataset = SimpleNamespace(features={"audio": None})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield self._batch

    def __len__(self) -> int:
        return 1


def _inference() -> Any:
    """No gradients, where torch is there to make some."""
    torch = sys.modules.get("torch")
    return torch.inference_mode() if torch is not None else contextlib.nullcontext()


def _version(module: ModuleType) -> str:
    version = getattr(module, "__version__", None)
    return f"-{version}" if version else ""


def load_hear(what: str) -> Function:
    """`MODULE` or `MODULE:WEIGHTS`."""
    module, _, weights = what.partition(":")
    return from_hear(import_module(module, f"hear:{what}"), weights)


def load_xares(what: str) -> Function:
    """`MODULE:CLASS`."""
    module, _, encoder = what.partition(":")
    return from_xares(attribute(import_module(module, f"xares:{what}"), encoder, f"xares:{what}"), f"xares:{what}")


def load_maeb(what: str) -> Function:
    """A name that `mteb.get_model` knows, or `MODULE:CLASS`."""
    module, colon, encoder = what.partition(":")
    if colon:
        found = attribute(import_module(module, f"maeb:{what}"), encoder, f"maeb:{what}")
        return from_maeb(found() if isinstance(found, type) else found, f"maeb:{what}")
    try:
        mteb = importlib.import_module("mteb")
    except ImportError as error:
        raise MissingPackageError("mteb is needed and not installed. Install it: pip install 'mteb[audio]'") from error
    model = mteb.get_model(what)
    revision = getattr(getattr(model, "mteb_model_meta", None), "revision", None)
    return from_maeb(model, f"maeb:{what}" + (f"-{revision}" if revision else ""))


def load_distill(what: str) -> Representation:
    """`TEACHER@TAP`: the benchmark knows `distill` by its name alone, as any module of the user's."""
    found: Representation = importlib.import_module("distill.teachers").representation(what)
    return found
