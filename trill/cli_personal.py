"""The commands of a personal head: `trill enroll`, `trill identify`, `trill forget`."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from trill import files
from trill.audio import SOUND_SUFFIXES
from trill.embedder import DEFAULT_MODEL, Embedder
from trill.errors import AudioError

if TYPE_CHECKING:
    from trill.live import Reading
    from trill.manifests import Clip
    from trill.personal import PersonalHead, Prediction

FAILED_FILES, NOTHING_DONE = 1, 2  # exit codes, as everywhere in `trill`
LABEL_WIDTH, BAR_WIDTH = 16, 20
SILENT = "-"
MOST_SHOWN = 10  # lines of a summary
LOCK = ".lock"

model_option = click.option(
    "--model", metavar="NAME|FILE", help="What embeds.  [default: the head's model; of a new head, trill's own]"
)


@click.command()
@click.argument("head", metavar="HEAD")
@click.argument("label", required=False)
@click.argument("sounds", nargs=-1, metavar="SOUND...")
@click.option(
    "--manifest", metavar="FILE.csv", help="Clips of many labels: columns `path`, relative to it, and `label`."
)
@model_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def enroll(
    head: str,
    label: str | None,
    sounds: tuple[str, ...],
    manifest: str | None,
    model: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Teach HEAD a voice, a word or a mood by a few clips of it.

    HEAD is a folder, made if missing; it holds embeddings and labels, no sound. SOUNDs are files, or folders of them.
    A clip that is known already is not learnt twice. A file that cannot be read, or is known under another label, is
    left out and listed. Stopped, what was learnt is kept, and the same command goes on.

    \b
    trill enroll household anna anna1.wav anna2.wav
    trill enroll household ben recordings-of-ben/
    trill enroll household --manifest clips.csv
    """  # noqa: D301
    clips = _clips_to_enroll(label, sounds, manifest)
    embedder = _open(head, model).embedder
    failed: dict[str, str] = {}
    rows = []
    try:
        for row in _embedded(embedder, clips, failed, quiet):
            rows.append(row)  # noqa: PERF402 (what is there when it is stopped counts)
    except KeyboardInterrupt as stop:
        stop.add_note("The clips before it are kept: the same command goes on.")
        raise
    finally:
        before, after = _learn(head, model, rows, failed) if rows else ({}, {})
    added = {name: number - before.get(name, 0) for name, number in after.items() if number != before.get(name, 0)}
    new = sum(added.values())
    known = len(clips) - len(failed) - new
    if as_json:
        click.echo(json.dumps({"head": head, "added": added, "known": known, "clips": after, "failed": failed}))
    else:
        for name, number in sorted(added.items())[:MOST_SHOWN]:
            click.echo(f"{printable(name)}: {_clips(number)} learnt, {after[name]} in all")
        if len(added) > MOST_SHOWN or known:
            click.echo(f"{_clips(new)} of {len(added)} labels learnt, {known} known before")
        _complain(failed)
    sys.exit(NOTHING_DONE if len(failed) == len(clips) else FAILED_FILES if failed else 0)


@click.command()
@click.argument("head", metavar="HEAD")
@click.argument("sounds", nargs=-1, metavar="SOUND...")
@click.option("--live", is_flag=True, help="Listen to the microphone until Ctrl-C.")
@click.option("--as-if-live", metavar="FILE", help="Listen to a file, at the pace of a microphone.")
@click.option("--fast", is_flag=True, help="With --as-if-live: as fast as it goes.")
@click.option(
    "--patience", type=click.IntRange(1), help="Listening: lines that a new label must wait for.  [default: 1]"
)
@click.option("--scores", is_flag=True, help="The score of every label, the best first.")
@model_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON; listening, an object a line.")
def identify(
    head: str,
    sounds: tuple[str, ...],
    live: bool,
    as_if_live: str | None,
    fast: bool,
    patience: int | None,
    scores: bool,
    model: str | None,
    as_json: bool,
) -> None:
    """Say which label of HEAD sounds have, or "unknown".

    A line a sound: label, score from 0 to 1, file. SOUNDs are files, folders or manifests.

    Listening, a line every half second: time, label, score; "-" is silence. A line speaks of the last 2.4 seconds.
    --patience 2 and more waits until so many lines in a row would show another label: calmer, but later. Where the
    output is no terminal, the columns are separated by tabs.

    \b
    trill identify household monday.wav tuesday.wav
    trill identify household --live
    trill identify household --as-if-live meeting.wav --fast --json
    """  # noqa: D301
    if bool(sounds) + live + (as_if_live is not None) != 1:
        raise ValueError("identify takes sounds, --live, or --as-if-live FILE: one of the three.")
    if fast and as_if_live is None:
        raise ValueError("--fast goes with --as-if-live FILE: a microphone has its own pace, files always go fast.")
    from trill.manifests import find_clips
    from trill.personal import PersonalHead

    if sounds and patience:
        raise ValueError("--patience goes with --live and --as-if-live: a file has one label.")
    known = PersonalHead.load(head, model)
    if not sounds:
        _listen(known, as_if_live, fast, patience or 1, _line_of_json if as_json else _line(scores))
        return
    failed: dict[str, str] = {}
    found = []
    clips = [(clip, "") for clip in find_clips(sounds)]
    width = min(LABEL_WIDTH, max(map(len, [*known.labels, "unknown"])))
    for clip, _, vector in _embedded(known.embedder, clips, failed, quiet=True):
        prediction = known.predict_embedding(vector)
        found.append({"file": clip.name, **_facts(prediction)})
        if not as_json:
            name = click.format_filename(clip.name)
            click.echo(f"{column(prediction.label, width)}  {prediction.score:.2f}  {name}")
            if scores:
                click.echo("".join(f"    {score:.2f}  {label}\n" for label, score in _ranked(prediction)), nl=False)
    if as_json:
        click.echo(json.dumps(found))
    _complain(failed)
    sys.exit(NOTHING_DONE if not found else FAILED_FILES if failed else 0)


@click.command()
@click.argument("head", metavar="HEAD")
@click.argument("label")
@model_option
def forget(head: str, label: str, model: str | None) -> None:
    """Take a label and all its clips out of HEAD, and off the disk."""
    from trill.personal import PersonalHead

    PersonalHead.load(head, model)
    with files.lock(Path(head) / LOCK, wait=True):
        known = PersonalHead.load(head, model)
        number = known.forget(label)
        known.save(head)
    click.echo(f"{printable(label)}: {_clips(number)} forgotten, {_count(len(known.labels), 'label')} left")


def _open(head: str, model: str | None) -> "PersonalHead":
    """The head that is there, or a new one."""
    from trill.personal import PersonalHead

    folder = Path(head)
    if (folder / "head.json").exists():
        return PersonalHead.load(folder, model)
    if folder.exists() and not (folder.is_dir() and all(file.name == LOCK for file in folder.iterdir())):
        raise ValueError(
            f"HEAD must be a head, or a folder that is new or empty, {head} is none. The order is HEAD LABEL SOUND..."
        )
    return PersonalHead(model=model or DEFAULT_MODEL)


def _learn(
    head: str, model: str | None, rows: "list[tuple[Clip, str, np.ndarray]]", failed: dict[str, str]
) -> tuple[Counter[str], Counter[str]]:
    """Add to the head as it is by now, and save it: clips a label before and after."""
    from trill.personal.labels import clip_id

    with files.lock(Path(head) / LOCK, wait=True):
        known = _open(head, model)
        before = Counter(known.clips.values())
        for clip, label, vector in rows:
            other = known.clips.get(clip_id(vector), label)
            try:
                known.add_embeddings(label, vector[None])
            except ValueError as error:
                way_out = f"it is known as {other}. Take that back first: trill forget {head} {other}"
                failed[clip.name] = str(error) if other == label else way_out
        after = Counter(known.clips.values())
        if after != before:
            known.save(head)
    return before, after


def _clips_to_enroll(label: str | None, sounds: tuple[str, ...], manifest: str | None) -> "list[tuple[Clip, str]]":
    """Each clip with its label."""
    from trill.manifests import Clip, find_clips, read_manifest
    from trill.personal.labels import checked_label

    if (label is not None and bool(sounds)) == (manifest is not None):
        raise ValueError("enroll takes a label and its sounds, or --manifest FILE.csv: either of the two.")
    if manifest is None:
        if Path(str(label)).suffix.lower() in SOUND_SUFFIXES:
            raise ValueError(f"a label comes before the sounds, got {label}. The order is HEAD LABEL SOUND...")
        label = checked_label(label)
        return [(clip, label) for clip in find_clips(sounds)]
    rows = read_manifest(Path(manifest), ("path", "label"))
    return [(Clip(row["path"], Path(manifest).parent / row["path"]), row["label"]) for row in rows]


def _embedded(
    embedder: Embedder, clips: "list[tuple[Clip, str]]", failed: dict[str, str], quiet: bool
) -> "Iterator[tuple[Clip, str, np.ndarray]]":
    """Each clip with its label and embedding, several at once; those that fail go to `failed`."""
    from trill.parallel import map_in_threads
    from trill.progress import progress

    def one(item: "tuple[Clip, str]") -> np.ndarray | str:
        try:
            return embedder.embed(item[0].path)
        except (AudioError, OSError, MemoryError) as error:
            return str(error) or type(error).__name__

    results = map_in_threads(one, clips, embedder.model.threads)
    with progress(results, total=len(clips), unit="files", quiet=quiet) as bar:
        for (clip, label), result in zip(clips, bar, strict=True):
            if isinstance(result, str):
                failed[clip.name] = result
            else:
                yield clip, label, result


def _listen(
    head: "PersonalHead", file: str | None, fast: bool, patience: int, show: "Callable[[Reading], str]"
) -> None:
    from trill import live

    if file is None:
        microphone = live.Microphone()
        rate, chunks = microphone.rate, microphone.chunks()
    else:
        rate, chunks = head.embedder.sample_rate, live.as_if_live(file, head.embedder.sample_rate, fast=fast)
    for reading in live.readings(live.Live(head, rate, patience=patience), chunks):
        click.echo(show(reading))


def _line_of_json(reading: "Reading") -> str:
    said = {"start": round(reading.start, 3), "end": round(reading.end, 3), "label": reading.label}
    scores = {} if reading.heard is None else reading.heard.scores
    return json.dumps({**said, "score": round(reading.score, 4), "scores": _rounded(scores)})


def _line(scores: bool) -> "Callable[[Reading], str]":
    """What shows a reading: for eyes on a terminal, for programs elsewhere."""
    pretty = sys.stdout.isatty()
    full, empty = ("█", "░") if "utf" in (sys.stdout.encoding or "").lower() else ("#", ".")

    def line(reading: "Reading") -> str:
        label = SILENT if reading.label is None else reading.label
        every = [f"{printable(name)} {score:.2f}" for name, score in _ranked(reading.heard)] if scores else []
        if not pretty:
            return "\t".join([f"{reading.end:.2f}", printable(label), f"{reading.score:.2f}", *every])
        when = f"{int(reading.end // 60):3d}:{reading.end % 60:05.2f}"
        if reading.label is None:
            return f"{when}  {label}"
        filled = round(BAR_WIDTH * min(1.0, max(0.0, reading.score)))
        bar = full * filled + empty * (BAR_WIDTH - filled)
        return "  ".join([when, column(label, LABEL_WIDTH), bar, f"{reading.score:.2f}", *every])

    return line


def column(label: str, width: int) -> str:
    """A label cut or padded to so many characters.

    >>> column("anna", 6), column("annabella", 6)
    ('anna  ', 'annab…')
    """
    text = printable(label)
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def printable(label: str) -> str:
    r"""A label without what would move a terminal's cursor.

    >>> printable("an\x1b[2Jna")
    'an?[2Jna'
    """
    return "".join(character if character.isprintable() else "?" for character in label)


def _ranked(prediction: "Prediction | None") -> list[tuple[str, float]]:
    return [] if prediction is None else sorted(prediction.scores.items(), key=lambda item: -item[1])


def _facts(prediction: "Prediction") -> dict[str, Any]:
    return {
        "label": prediction.label,
        "score": round(float(prediction.score), 4),
        "scores": _rounded(prediction.scores),
    }


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {label: round(float(score), 4) for label, score in scores.items()}


def _complain(failed: dict[str, str]) -> None:
    for path, error in list(failed.items())[:MOST_SHOWN]:
        click.echo(f"  failed: {path}: {error}", err=True)
    if failed:
        click.echo(f"{_count(len(failed), 'file')} failed", err=True)


def _clips(number: int) -> str:
    return _count(number, "clip")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
