"""What a model file says about itself, and whether it is still the file that was written.

A model file is a `.tflite` flatbuffer followed by a zip archive (how TFLite attaches files: interpreters ignore
what follows the flatbuffer, `unzip -l` shows it). The archive holds `trill.json`: the card, and the flatbuffer's
length and SHA-256; and whatever files belong to the model, such as test vectors.
"""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trill.errors import ModelError
from trill.files import write_atomically

ENTRY = "trill.json"
FORMAT = 1
MAX_ENTRY_BYTES = 1_000_000
MAX_FILE_BYTES = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """The facts about a model that its user's code depends on.

    Args:
        name: what it is called, e.g. "mobilenet".
        version: changes whenever the embeddings change.
        sample_rate: Hz of the waveform it takes.
        window_samples: samples in the one window it takes.
        hop_samples: default samples between the starts of two windows.
        taps: shape of each output for one window, e.g. `{"embedding": (1152,), "final": (6, 4, 384)}`.
        licence: SPDX identifier.
        quantization: how the weights are stored, e.g. "float16".
        description: one line.
        input: what it takes: "waveform", or "log-mel" where its user computes the front end.
        dynamic: whether it takes any number of samples, or of log-mel windows, and gives a row a window.
        source_sha256: of the Keras weights it was made from.
        interpreters: those that run it.
        verification: how far it is from its Keras network, e.g. `{"embedding, speech": {"error": 0.001}}`.
        sha256: of the flatbuffer or weights that compute it, set by the reader.
    """

    name: str
    version: str
    sample_rate: int
    window_samples: int
    hop_samples: int
    taps: dict[str, tuple[int, ...]]
    licence: str = "unknown"
    quantization: str = "float32"
    description: str = ""
    input: str = "waveform"
    dynamic: bool = False
    source_sha256: str = ""
    interpreters: tuple[str, ...] = ()
    verification: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    sha256: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            sound, rule = _RULES.get(field.type, _ANYTHING)
            if not sound(value):
                raise ModelError(f"{field.name} of a model must be {rule}, got {value!r}.")
        if not self.taps:
            raise ModelError("a model needs at least one tap, got none.")

    @property
    def identity(self) -> str:
        """Name, version and hash: what results are labelled with, e.g. `mobilenet-1.0-3f2a91c4`."""
        return f"{self.name}-{self.version}-{self.sha256[:8]}"


# What a field of each type must be.
_RULES: dict[Any, tuple[Callable[[Any], bool], str]] = {
    int: (lambda value: type(value) is int and value > 0, "a positive whole number"),
    str: (lambda value: isinstance(value, str), "text"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    tuple[str, ...]: (lambda value: all(isinstance(item, str) for item in value), "a list of texts"),
    dict[str, dict[str, float]]: (
        lambda value: all(isinstance(figure, float | int) for row in value.values() for figure in row.values()),
        "figures by name",
    ),
}
_ANYTHING = (lambda value: True, "")


def write(
    path: str | os.PathLike[str], flatbuffer: bytes, card: ModelCard, attachments: Mapping[str, bytes] | None = None
) -> ModelCard:
    """Write flatbuffer, card and attached files as one model file. Same input, same bytes.

    Args:
        path: of the file, replaced if it exists.
        flatbuffer: what interpreters run.
        card: what it is; the hash is taken here.
        attachments: other files of the archive by name, at most `MAX_ENTRY_BYTES` each.

    Returns:
        The card as written, with its hash.
    """
    card = dataclasses.replace(card, sha256=hashlib.sha256(flatbuffer).hexdigest())
    content = {"format": FORMAT, "flatbuffer_bytes": len(flatbuffer), "card": dataclasses.asdict(card)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in {ENTRY: json.dumps(content, indent=1).encode(), **(attachments or {})}.items():
            file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), data)
    with write_atomically(path) as temporary:
        temporary.write_bytes(flatbuffer + archive.getvalue())
    return card


def read(path: str | os.PathLike[str]) -> tuple[bytes, ModelCard]:
    """Read a model file and check that nothing in it has changed.

    Returns:
        The flatbuffer and the card.

    Raises:
        ModelError: if there is no such file, it is no model file of ours, or it was altered or cut short.
    """
    path = Path(path)
    if not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "not there"
        raise ModelError(f"a model is a .tflite file, and {path} is {found}. Check the path and the current folder.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ModelError(f"a model file holds at most {MAX_FILE_BYTES:,} bytes, {path} has {path.stat().st_size:,}.")
    data = path.read_bytes()
    try:
        content = json.loads(_entry(data, ENTRY))
        if content["format"] != FORMAT:
            raise ModelError(
                f"{path} has format {content['format']}, this version reads {FORMAT}. Update trill-speech."
            )
        length, fields = content["flatbuffer_bytes"], content["card"]
        taps = {name: tuple(shape) for name, shape in fields["taps"].items()}
        card = ModelCard(**{**fields, "taps": taps, "interpreters": tuple(fields.get("interpreters", ()))})
    except ModelError:
        raise
    except Exception as error:  # zipfile and json have a dozen kinds for damaged bytes
        raise ModelError(
            f"{path} is no model file of ours, or was cut short: it carries no readable {ENTRY} ({error}). "
            "Export one with trill-export, or copy the file again."
        ) from error
    flatbuffer = data[:length] if isinstance(length, int) and 0 < length < len(data) else b""
    if hashlib.sha256(flatbuffer).hexdigest() != card.sha256:
        raise ModelError(
            f"{path} was altered after it was written: its SHA-256 is not the {card.sha256[:12]}… that its card names. "
            "Copy or export the file again."
        )
    return flatbuffer, card


def read_attachment(path: str | os.PathLike[str], name: str) -> bytes:
    """Read a file that belongs to a model.

    Raises:
        ModelError: if the model file is unsound, or carries no such file.
    """
    read(path)
    try:
        return _entry(Path(path).read_bytes(), name)
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path} carries no readable {name} ({error}). Export it again with trill-export.") from error


def _entry(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo(name)
        if entry.file_size > MAX_ENTRY_BYTES:
            raise ModelError(f"{name} may hold {MAX_ENTRY_BYTES:,} bytes, its header claims {entry.file_size:,}.")
        return archive.read(entry)
