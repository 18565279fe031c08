"""A function of the user's as a representation."""

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Function:
    """A function of one waveform as a representation.

    Args:
        name: unique and versioned, for results.
        sample_rate: Hz that the function wants.
        function: `(num_samples,)` float32 to `(dim,)`, one row a clip, or to `(num_windows, dim)`; arrays of NumPy or
            what `numpy.asarray` takes.
        threads: from how many threads it may be called at once.
    """

    name: str
    sample_rate: int
    function: Callable[[np.ndarray], Any]
    threads: int = 1

    def embed_windows(self, waveform: np.ndarray) -> np.ndarray:
        """`(num_samples,)` to `(num_windows, dim)`, as the function gave it; `noss.embeddings` checks it."""
        rows = to_numpy(self.function(waveform))
        return rows[None] if rows.ndim == 1 else rows


def from_callable(function: Callable[..., Any], name: str | None = None) -> Function:
    """A function that may have attributes `sample_rate` (16000), `name`, `version` and `threads` (1).

    Raises:
        ValueError: if `sample_rate` is no positive whole number.

    >>> def loudness(waveform):
    ...     return np.abs(waveform).mean(keepdims=True)
    >>> from_callable(loudness).embed_windows(np.ones(16_000)).tolist()
    [[1.0]]
    """
    kind = type(function)
    own = getattr(function, "__qualname__", kind.__qualname__)
    called = getattr(function, "name", None) or name or f"{getattr(function, '__module__', kind.__module__)}:{own}"
    version = getattr(function, "version", None)
    rate = getattr(function, "sample_rate", 16_000)
    check_rate(rate, called)
    return Function(
        f"{called}-{version}" if version else called, int(rate), function, int(getattr(function, "threads", 1))
    )


def check_rate(rate: Any, name: str) -> None:
    """Raise a `ValueError` if a representation's sample rate is no positive whole number."""
    try:
        whole = int(rate) == rate and rate > 0
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(f"sample_rate must be a positive whole number of Hz, {name} has {rate!r}. E.g. 16000.")


def import_module(name: str, what: str) -> ModuleType:
    """Import a module of the user's, also from the current folder.

    Args:
        name: dotted, or the path of a `.py` file.
        what: the specification that names it, for messages.

    Raises:
        ValueError: if there is none, or it cannot be imported.
    """
    path = Path(name)
    folder = os.fspath(path.parent.resolve()) if path.suffix == ".py" else os.getcwd()
    module = path.stem if path.suffix == ".py" else name
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ValueError(
            f"{what} names a Python module that must be importable, {name} gave {type(error).__name__}: {error}. "
            "Install it, or change into the folder it is in."
        ) from error
    finally:
        sys.path.remove(folder)


def attribute(module: ModuleType, name: str, what: str) -> Any:
    """A function or class of a module.

    Raises:
        ValueError: if it has none of that name; lists what it has.
    """
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        there = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{what} must name something in {module.__name__}, which has {', '.join(there) or 'nothing'}.")
    return found


def to_numpy(output: Any) -> np.ndarray:
    """An array of NumPy, torch or TensorFlow as NumPy's."""
    if hasattr(output, "detach"):
        output = output.detach().cpu()
    if hasattr(output, "numpy"):
        output = output.numpy()
    return np.asarray(output)


def like(waveforms: np.ndarray, model: Any) -> Any:
    """Waveforms as tensors of the framework that the model is of, on its device; no framework is imported for it."""
    torch, tensorflow = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch is not None and isinstance(model, torch.nn.Module):
        tensor = torch.from_numpy(waveforms)
        return next((tensor.to(parameter.device) for parameter in model.parameters()), tensor)
    if tensorflow is not None and isinstance(model, tensorflow.Module):
        return tensorflow.convert_to_tensor(waveforms)
    return waveforms
