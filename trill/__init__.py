"""Small, on-device, general-purpose embeddings of non-semantic speech.

>>> import trill
>>> trill.embed(trill.example("anna_calm")).shape
(1152,)
"""

import importlib
from typing import TYPE_CHECKING, Any

from trill.version import __version__

if TYPE_CHECKING:
    from trill.embedder import Embedder, Stream, Window, embed, load
    from trill.errors import AudioError, ModelError, TrillError
    from trill.examples import example
    from trill.personal import PersonalHead, Prediction
    from trill.presets import list_models

# Public name -> module; imported when first asked for, so that `import trill` takes a blink.
_PUBLIC = {
    "AudioError": "trill.errors",
    "Embedder": "trill.embedder",
    "ModelError": "trill.errors",
    "PersonalHead": "trill.personal",
    "Prediction": "trill.personal",
    "Stream": "trill.embedder",
    "TrillError": "trill.errors",
    "Window": "trill.embedder",
    "embed": "trill.embedder",
    "example": "trill.examples",
    "list_models": "trill.presets",
    "load": "trill.embedder",
}

__all__ = [
    "AudioError",
    "Embedder",
    "ModelError",
    "PersonalHead",
    "Prediction",
    "Stream",
    "TrillError",
    "Window",
    "__version__",
    "embed",
    "example",
    "list_models",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'trill' has no attribute {name!r}. It has: {', '.join(__all__)}.")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
