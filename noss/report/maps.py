"""Which task is laid out, and what the page shows of it: marks, legend, and the sounds to be heard."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from noss.report import plots, svg
from noss.report.model import Section
from noss.report.projection import MAX_POINTS, Clip, Map, MapError, link
from noss.results import Result

MEBIBYTE = 2**20
FEW_CLASSES = range(3, 13)  # with so many a map shows most
NUM_MARKS = svg.NUM_COLOURS * len(svg.SHAPES)  # without a common divisor: none comes twice
STEPS = 6  # of a colour scale for numbers
# What browsers play; nothing else is put into a page.
SOUNDS = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg",
    ".oga": "audio/ogg", ".m4a": "audio/mp4",
}  # fmt: skip


def choose(section: Section, task: str, label: str) -> Result:
    """The result to lay out: of a task, or of that with the most clips among those of three to twelve classes.

    Raises:
        MapError: if the representation has no score at such a task.
    """
    of_it = {name: cell.result for (row, name), cell in section.cells.items() if row == label}
    if task:
        if task not in of_it:
            raise MapError(
                f"a map is of a task that {label} was judged by, got {task!r}. There are {', '.join(of_it)}."
            )
        return of_it[task]
    shown = [result for result in of_it.values() if result.evaluation.kind != "verification"] or [*of_it.values()]

    def worth(result: Result) -> tuple[bool, int, str]:
        evaluation = result.evaluation
        return len(evaluation.classes) in FEW_CLASSES, len(evaluation.names), evaluation.task

    return max(shown, key=worth)


def clips_folder(section: Section, result: Result, given: str | os.PathLike[str] | None) -> Path:
    """Where the clips of a result lie: as given, or as one of the same sounds says.

    Raises:
        MapError: if neither says, or there is no such folder.
    """
    told = [each.about.get("folder") for each in section.results if each.key.sounds == result.key.sounds]
    folder = given or next(filter(None, told), None)
    if not isinstance(folder, str | os.PathLike) or not Path(folder).is_dir():
        raise MapError(f"a map needs the clips of {result.key.task}, got the folder {folder}. Pass theirs: --sounds.")
    return Path(folder)


def view(laid: Map, who: str, page: Path, *, embed_megabytes: float = 0) -> dict[str, Any]:
    """What the page shows.

    Args:
        laid: out, by `noss.report.projection.project`.
        who: name of the representation.
        page: where it will be, for links to sounds are relative.
        embed_megabytes: of sound that go into the page, clip by clip in an order drawn once; the rest is linked.
    """
    evaluation = laid.result.evaluation
    positions = [clip.position for clip in laid.clips]
    groups, texts, marks, legend = _labels(laid, positions)
    speakers = [evaluation.speakers[each] for each in positions]
    names = [evaluation.names[each] for each in positions]
    titles = [f"{name}: {label}, {speaker}" for name, label, speaker in zip(names, texts, speakers, strict=True)]
    sounds, embedded = _sounds(laid.clips, page, embed_megabytes)
    data = [
        {"name": name, "label": label, "speaker": speaker, "group": group, "sound": sound}
        for name, label, speaker, group, sound in zip(names, texts, speakers, groups, sounds, strict=True)
    ]
    notes = [f"Neighbours are kept with a trustworthiness of {laid.trustworthy:.2f} (1: all)."]
    notes += [f"{MAX_POINTS} of the clips, drawn at random."] if laid.drawn else []
    notes += [f"{laid.missing} clips are not on it: no embedding, or the file is not at hand."] if laid.missing else []
    notes += [f"The sounds of {embedded} clips are in this page, the others are linked."] if embedded else []
    said = (
        f"Map of {len(data)} clips of {evaluation.task}. The table of scores says how well its classes are told apart."
    )
    return {
        "task": evaluation.task,
        "who": who,
        "note": " ".join(notes),
        "svg": plots.cloud(said, laid.places, marks, titles),
        "legend": legend,
        "data": _json(data),
    }


def _labels(laid: Map, positions: list[int]) -> tuple[list[str], list[str], list[Markup | None], list[tuple[Any, str]]]:
    """Of each clip its group in the legend, its label in words and its mark; and the legend."""
    evaluation = laid.result.evaluation
    if evaluation.kind == "regression":
        return _numbers(evaluation.truth[positions])
    if evaluation.kind == "verification":
        texts = [evaluation.speakers[each] for each in positions]
    else:
        texts = [evaluation.classes[evaluation.truth[each]] for each in positions]
    names, counts = np.unique(texts, return_counts=True)
    first = [str(names[at]) for at in np.argsort(-counts, kind="stable")[:NUM_MARKS]]
    number = {name: place for place, name in enumerate(sorted(first))}
    marks = [svg.mark(0, 0, number[text]) if text in number else None for text in texts]
    return texts, texts, marks, [(svg.key(place), name) for name, place in number.items()]


def _numbers(values: np.ndarray) -> tuple[list[str], list[str], list[Markup | None], list[tuple[Any, str]]]:
    """Steps of equally many clips, dark for low and bright for high."""
    edges = np.quantile(values, np.linspace(0, 1, STEPS + 1))
    steps = np.clip(np.searchsorted(edges[1:-1], values, side="right"), 0, STEPS - 1)
    names = [f"{edges[each]:.3g} to {edges[each + 1]:.3g}" for each in range(STEPS)]
    marks: list[Markup | None] = [svg.mark(0, 0, 0, class_=f"v{step}") for step in steps]
    legend = [(svg.key(0, f"v{step}"), name) for step, name in enumerate(names)]
    return [names[step] for step in steps], [f"{value:g}" for value in values], marks, legend


def _sounds(clips: tuple[Clip, ...], page: Path, megabytes: float) -> tuple[list[str], int]:
    """Where each sound is: in the page as far as there is room, else beside it; "" if it cannot be played."""
    room = megabytes * MEBIBYTE
    found = [link(clip.path, page) if clip.path.suffix.lower() in SOUNDS else "" for clip in clips]
    embedded = 0
    for index in np.random.default_rng(0).permutation(len(clips)) if room else ():
        path, kind = clips[index].path, SOUNDS.get(clips[index].path.suffix.lower())
        size = path.stat().st_size * 4 / 3 if kind else room  # as base 64 has it
        if kind and size <= room:
            room -= size
            embedded += 1
            found[index] = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    ends = ["" if clip.end is None else f",{clip.end:g}" for clip in clips]
    parts = [f"#t={clip.start:g}{end}" if clip.start or end else "" for clip, end in zip(clips, ends, strict=True)]
    return [sound and sound + part for sound, part in zip(found, parts, strict=True)], embedded


def _json(data: Any) -> Markup:
    """For a script element, which nothing in the data can close."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 no letter of markup is left
