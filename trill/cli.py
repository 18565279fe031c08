"""The command line: `trill embed`, `trill similar`, `trill info`, `trill demo`."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from trill.embedder import DEFAULT_MODEL, Embedder, load
from trill.errors import TrillError
from trill.version import __version__

FAILED_FILES = 1  # exit code: the output is written, and some files are not in it
USAGE = 2  # exit code: nothing is written


class Manual(click.Group):
    """A group whose commands stop with one line, exit code 2, where a user's file or argument is at fault."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (TrillError, ValueError, OSError) as error:
            click.echo(f"trill: {error}", err=True)
            context.exit(USAGE)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--model`, `--tap` and `--hop`, passed on as one `embedder`."""

    def with_embedder(*args: Any, model: str, tap: str, hop: float | None, **options: Any) -> Any:
        return command(*args, embedder=load(model, tap=tap, hop_seconds=hop), **options)

    with_embedder.__name__, with_embedder.__doc__ = command.__name__, command.__doc__
    with_embedder.__dict__.update(command.__dict__)
    for option in (
        click.option("--hop", type=float, metavar="SECONDS", help="Time between two windows.  [default: the model's own]"),
        click.option("--tap", default="embedding", show_default=True, help="Output of the model; `trill info` lists them."),
        click.option(
            "--model", default=DEFAULT_MODEL, show_default=True, help="A packaged model, or the path of a model file."
        ),
    ):
        with_embedder = option(with_embedder)
    return with_embedder


@click.group(cls=Manual, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trill")
def main() -> None:
    """Small embeddings of speech: who speaks, in which language, in what mood, how.

    A sound file goes in, a vector comes out: near for sounds alike in voice and manner, far for others. Runs
    offline, on one core, in a few milliseconds a second of sound.

    \b
    Try it:                   trill demo
    Embed a folder:           trill embed recordings/ -o embeddings.npz
    Every second of a file:   trill embed talk.mp3 --windows -o talk.csv
    Which sounds are alike:   trill similar me.wav her.wav him.wav
    What a model is:          trill info mobilenet

    \b
    Sounds are wav, flac, mp3, ogg or opus at any rate; others: ffmpeg -i in.m4a out.wav
    Exit code: 0 all done; 1 done, but some files failed and are listed; 2 nothing done.
    """


@main.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILES|FOLDERS|MANIFEST.csv...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Ends in .npz, .csv or .parquet.")
@model_options
@click.option("--pooling", type=click.Choice(["mean", "max", "mean+std"]), default="mean", show_default=True)
@click.option("--windows", is_flag=True, help="A row a window (file, start, end) instead of a row a file.")
@click.option("--workers", type=click.IntRange(1), help="Files at once.  [default: the cores there are, at most 4]")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def embed(
    inputs: tuple[str, ...],
    output: str,
    embedder: Embedder,
    pooling: Any,
    windows: bool,
    workers: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Embed sound files into one table.

    Folders are searched for sound files. A manifest is a CSV file with a column `path`, relative to the manifest;
    paths appear in the output as they stand there. Rows keep the order of the inputs.

    \b
    .npz      arrays paths (n,), x (n, dim), with --windows start and end (n,) in seconds; model, pooling
    .csv      file, [start, end,] e0, e1, ..., model
    .parquet  file, [start, end,] embedding; the model in the schema's metadata

    A file that cannot be read is left out, counted in the summary and listed in OUTPUT.errors.csv. Stopped or
    killed, the same command goes on where it was.
    """
    from trill.batch import embed_files, find_clips

    if Path(output).exists() and not overwrite:
        raise ValueError(f"the output must not exist yet, {output} does. Choose another, or pass --overwrite.")
    began = time.monotonic()
    summary = embed_files(
        find_clips(inputs), output, embedder, pooling=None if windows else pooling, workers=workers, quiet=quiet
    )
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(summary), "seconds": round(seconds, 3)}))
    else:
        earlier = f", {summary.resumed} taken over from before" if summary.resumed else ""
        click.echo(f"{summary.embedded} files embedded in {seconds:.1f} s{earlier}: {output} ({summary.model})")
        for path, error in list(summary.failed.items())[:10]:
            click.echo(f"  failed: {path}: {error}", err=True)
        if summary.failed:
            click.echo(f"{len(summary.failed)} files failed, all listed in {output}.errors.csv", err=True)
    sys.exit(FAILED_FILES if summary.failed else 0)


@main.command()
@click.argument("sound", metavar="A")
@click.argument("others", nargs=-1, required=True, metavar="B...")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def similar(sound: str, others: tuple[str, ...], embedder: Embedder, as_json: bool) -> None:
    """Order sounds by their likeness to the sound A.

    Likeness is the cosine of two embeddings, at most 1. What counts as the same voice depends on the recordings:
    compare with pairs you know.
    """
    embeddings = embedder.embed_batch([sound, *others])
    scores = cosines(embeddings)[0, 1:]
    ranked = sorted(zip(others, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    if as_json:
        click.echo(json.dumps([{"file": name, "similarity": round(score, 6)} for name, score in ranked]))
    else:
        for name, score in ranked:
            click.echo(f"{score:7.3f}  {name}")


@main.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(model: str | None, as_json: bool) -> None:
    """What a model file says about itself; without MODEL, of every packaged model."""
    from trill.presets import list_models

    cards = [load(name).card for name in ([model] if model else list_models())]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(card) for card in cards], indent=1))
        return
    for card in cards:
        taps = ", ".join(f"{name} ({' x '.join(map(str, shape))})" for name, shape in card.taps.items())
        facts = {
            "model": f"{card.name}, version {card.version}",
            "what": card.description,
            "takes": f"{card.window_samples / card.sample_rate:.3f} s of mono sound at {card.sample_rate} Hz",
            "hop": f"{card.hop_samples / card.sample_rate:.3f} s by default",
            "taps": taps,
            "weights": card.quantization,
            "licence": card.licence,
            "sha256": card.sha256,
        }
        for name, value in facts.items():
            click.echo(f"{name:8s} {value}")


@main.command()
@click.option("-o", "--output", default="demo-output", show_default=True, metavar="FOLDER", help="Made if missing.")
def demo(output: str) -> None:
    """Embed the bundled example clips, show which are alike, and write embeddings.npz."""
    from trill.batch import Clip, embed_files
    from trill.examples import example, list_examples

    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    names = list_examples()
    began = time.monotonic()
    embedder = load()
    embeddings = np.stack([embedder.embed(example(name)) for name in names])
    seconds = time.monotonic() - began
    click.echo(f"{len(names)} clips -> embeddings of shape {embeddings.shape}, in {1000 * seconds:.0f} ms\n")
    scores = cosines(embeddings - embeddings.mean(axis=0))
    np.fill_diagonal(scores, -np.inf)
    click.echo(f"{'clip':16s}  {'nearest':16s}  {'second':16s}  cosine (mean removed)")
    for row, name in enumerate(names):
        first, second = np.argsort(-scores[row])[:2]
        click.echo(f"{name:16s}  {names[first]:16s}  {names[second]:16s}  {scores[row, first]:6.2f} {scores[row, second]:6.2f}")
    embed_files([Clip(name, example(name)) for name in names], folder / "embeddings.npz", embedder, quiet=True)
    click.echo(f"\nWritten: {folder / 'embeddings.npz'} (numpy.load: paths, x)")


def cosines(embeddings: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows: `(n, n)` in [-1, 1]."""
    rows = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    similarity: np.ndarray = rows @ rows.T
    return similarity
