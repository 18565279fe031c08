"""What can go wrong, drawn as a tree.

    TrillError
    ├── AudioError (ValueError)                 sound that cannot be read or is no sound
    │   └── AudioNotFoundError (FileNotFoundError)
    ├── ModelError (ValueError)                 a model file that cannot be trusted or is no embedder
    └── MissingPackageError (ImportError)       an optional package; the message holds the pip line

Arguments out of range raise a plain `ValueError`. Every message says the rule, the value received and the way out.
"""

import importlib
from types import ModuleType


class TrillError(Exception):
    """Base of every error that is ours."""


class AudioError(TrillError, ValueError):
    """Sound that cannot be read or is no sound."""


class AudioNotFoundError(AudioError, FileNotFoundError):
    """A path that leads nowhere."""

    __str__ = Exception.__str__  # OSError's would drop the message


class ModelError(TrillError, ValueError):
    """A model file that cannot be trusted or is no embedder."""


class MissingPackageError(TrillError, ImportError):
    """An optional package that is not installed."""


def optional(module: str, extra: str) -> ModuleType:
    """Import an optional package, or say which extra brings it.

    >>> optional("json", "noss").__name__
    'json'
    >>> optional("no_such_package", "noss")
    Traceback (most recent call last):
    ...
    trill.errors.MissingPackageError: no_such_package is needed and not installed. Install it: pip install 'trill-speech[noss]'
    """  # noqa: E501
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != package:
            raise
        raise MissingPackageError(
            f"{package} is needed and not installed. Install it: pip install 'trill-speech[{extra}]'"
        ) from error
