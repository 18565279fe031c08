"""What a model file says about itself, and whether it is still the file that was written.

A model file is a `.tflite` flatbuffer followed by a zip archive (how TFLite attaches files: interpreters ignore
what follows the flatbuffer, `unzip -l` shows it). The archive holds `trill.json`: the card, and the flatbuffer's
length and SHA-256.
"""

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from trill.errors import ModelError
from trill.files import write_atomically

ENTRY = "trill.json"
FORMAT = 1
MAX_CARD_BYTES = 1_000_000
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
        taps: shape of each output for one window, e.g. `{"embedding": (2048,), "final": (6, 4, 512)}`.
        licence: SPDX identifier.
        quantization: how the weights are stored, e.g. "float16".
        description: one line.
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
    sha256: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and not (type(value) is int and value > 0):
                raise ModelError(f"{field.name} of a model must be a positive whole number, got {value!r}.")
            if field.type is str and not isinstance(value, str):
                raise ModelError(f"{field.name} of a model must be text, got {value!r}.")
        if "embedding" not in self.taps:
            raise ModelError(f'a model needs a tap called "embedding", got {sorted(self.taps)}.')

    @property
    def identity(self) -> str:
        """Name, version and hash: what results are labelled with, e.g. `mobilenet-1.0-3f2a91c4`."""
        return f"{self.name}-{self.version}-{self.sha256[:8]}"


def write(path: str | os.PathLike[str], flatbuffer: bytes, card: ModelCard) -> ModelCard:
    """Write flatbuffer and card as one model file; the card's hash is taken here. Same input, same bytes."""
    card = dataclasses.replace(card, sha256=hashlib.sha256(flatbuffer).hexdigest())
    content = {"format": FORMAT, "flatbuffer_bytes": len(flatbuffer), "card": dataclasses.asdict(card)}
    entry = zipfile.ZipInfo(ENTRY, date_time=(1980, 1, 1, 0, 0, 0))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(entry, json.dumps(content, indent=1))
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
        content = _card_entry(data)
        if content["format"] != FORMAT:
            raise ModelError(
                f"{path} has format {content['format']}, this version reads {FORMAT}. Update trill-speech."
            )
        length, fields = content["flatbuffer_bytes"], content["card"]
        card = ModelCard(**{**fields, "taps": {name: tuple(shape) for name, shape in fields["taps"].items()}})
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


def _card_entry(data: bytes) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.getinfo(ENTRY)
        if entry.file_size > MAX_CARD_BYTES:
            raise ModelError(f"{ENTRY} may hold {MAX_CARD_BYTES:,} bytes, its header claims {entry.file_size:,}.")
        content: dict[str, Any] = json.loads(archive.read(entry))
        return content
