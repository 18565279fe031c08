"""Teachers by name: the rows of presets.toml."""

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distill.teachers.teacher import Teacher
from trill.errors import ModelError

PRESETS = Path(__file__).parents[1] / "presets.toml"


@dataclass(frozen=True)
class Preset:
    """A public model.

    Args:
        name: what `distill.load_teacher` takes.
        id: on the model hub, or its handle on TF Hub.
        family: `model_type` of its `config.json`, or "tfhub".
        width: values in a frame.
        licence: SPDX identifier of the weights' licence.
        source: the paper, and which training of it this is.
        layers: transformer blocks; None where layers go by names.
        revision: of the hub; None for the main branch.
        sample_rate: Hz.
        best: task -> layer that a probe found best, for English, Finnish and French.
        kept: layers that a selection for several tasks at once kept.
    """

    name: str
    id: str
    family: str
    width: int
    licence: str
    source: str
    layers: int | None = None
    revision: str | None = None
    sample_rate: int = 16_000
    best: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    kept: tuple[int, ...] = ()

    def check(self, teacher: Teacher, *, whole: bool) -> None:
        """Raise a `ModelError` if a loaded teacher is another model.

        Args:
            teacher: what was loaded under this name.
            whole: all of its layers.
        """
        expected = {"sample_rate": self.sample_rate, "width": self.width}
        if whole and self.layers is not None:
            expected["num_layers"] = self.layers
        found = {name: getattr(teacher, name) for name in expected}
        if found != expected:
            raise ModelError(
                f"{self.name} must have {_facts(expected)}, {teacher.name} has {_facts(found)}. "
                "It is another model: load it by its folder, without this name."
            )


@functools.cache
def presets() -> dict[str, Preset]:
    """Every row by name."""
    rows = tomllib.loads(PRESETS.read_text(encoding="utf-8"))
    return {
        name: Preset(
            name,
            **{
                **row,
                "best": {task: tuple(layers) for task, layers in row.get("best", {}).items()},
                "kept": tuple(row.get("kept", ())),
            },
        )
        for name, row in rows.items()
    }


def list_teachers() -> list[Preset]:
    """The teachers that go by a name.

    >>> [teacher.name for teacher in list_teachers() if teacher.family == "wavlm"]
    ['wavlm-base', 'wavlm-base-plus', 'wavlm-large']
    >>> presets()["wavlm-large"].best["emotion"]
    (4, 4, 4)
    """
    return list(presets().values())


def describe() -> str:
    """`list_teachers` as lines of text: name, layers x width, rate, licence, where it is, best layers in English."""
    rows = [("name", "layers", "Hz", "licence", "where", "best layers (English)"), *map(_cells, list_teachers())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(preset: Preset) -> tuple[str, ...]:
    size = f"{preset.layers} x {preset.width}" if preset.layers else str(preset.width)
    where = f"tfhub:{preset.id}" if preset.family == "tfhub" else preset.id
    best = ", ".join(f"{task} {layers[0]}" for task, layers in preset.best.items())
    return preset.name, size, str(preset.sample_rate), preset.licence, where, best


def _facts(facts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())
