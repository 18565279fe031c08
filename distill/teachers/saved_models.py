"""SavedModels as teachers: rows of `trill.networks.saved_model_families.FAMILIES`, or any that takes a waveform."""

import re
from pathlib import Path

from distill.teachers.clips import check_tap
from distill.teachers.windowed import Windowed
from trill.networks.saved_model_families import FAMILIES, HUB, SAMPLE_RATE
from trill.networks.saved_models import load_saved_model

HANDLE = re.compile(r"\w[\w.-]*(/[\w.-]+)*/\d+")  # OWNER/.../VERSION


def load(where: str, tap: str | None = None, family: str = "") -> Windowed:
    """A SavedModel as a teacher.

    Args:
        where: a folder that holds `saved_model.pb`; a handle of TF Hub, with or without `https://tfhub.dev/`, which
            is downloaded once; `""` for the family's own.
        tap: the default one; None for the family's.
        family: how it is called; `""` to find it by the handle, or else to call it as it lets itself be called.

    Raises:
        ValueError: if there is no such model or tap.
        OSError: if it cannot be downloaded.

    """
    if HANDLE.fullmatch(where) and not Path(where).exists():
        where = HUB + where
    family = family or {row.handle: name for name, row in FAMILIES.items()}.get(where, "")
    model = load_saved_model(family, where)
    default = check_tap(tap, model.taps, model.taps[0])
    model.tap(default)  # says now that there is no such layer
    return Windowed(
        model.name, SAMPLE_RATE, model.fingerprint, model.taps, default, model.rows, model.family.hop_samples
    )
