"""The command line: `trill embed`, `trill similar`, `trill info`, `trill train`, `trill demo`, and what it gathers."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from trill.cli_finetune import finetune
from trill.cli_personal import enroll, forget, identify
from trill.embedder import DEFAULT_MODEL, load
from trill.errors import TrillError, optional
from trill.version import __version__

DEFAULT_RECIPE = "mobilenet-triplet"
FAILED_FILES = 1  # exit code: the output is written, and some files are not in it
NOTHING_DONE = 2
STOPPED = 130  # as shells say Ctrl-C


class Manual(click.Group):
    """A group whose commands stop with a line, and no traceback, where a user's file or argument is at fault."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError:  # `trill info | head`; click ends quietly
            raise
        except (TrillError, ValueError, OSError) as error:
            click.echo(" ".join([f"{context.info_name}: {error}", *getattr(error, "__notes__", [])]), err=True)
            context.exit(NOTHING_DONE)
        except KeyboardInterrupt as stop:
            click.echo(" ".join([f"{context.info_name}: stopped.", *getattr(stop, "__notes__", [])]), err=True)
            context.exit(STOPPED)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--model`, `--tap` and `--hop`."""
    for option in (
        click.option("--hop", type=float, metavar="SECONDS", help="Time between windows.  [default: the model's own]"),
        click.option("--tap", default="embedding", show_default=True, help="Output of the model: see `trill info`."),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="A packaged model, or a model's path."),
    ):
        command = option(command)
    return command


@click.group(cls=Manual, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trill")
def main() -> None:
    """Small embeddings of speech: who speaks, which language, in what mood.

    A sound file goes in, a vector comes out: near for sounds alike in voice and manner, far for others. Runs
    offline, on one core, in a few milliseconds a second of sound.

    \b
    Try it:                   trill demo
    Embed a folder:           trill embed recordings/ -o embeddings.npz
    Every second of a file:   trill embed talk.mp3 --windows -o talk.csv
    Which sounds are alike:   trill similar me.wav her.wav him.wav
    What a model is:          trill info mobilenet
    Train your own:           trill train recordings/ -o run/
    Fine-tune on labels:      trill finetune corpus/manifest.csv --label emotion -o run/
    Teach it voices or words: trill enroll household anna anna1.wav anna2.wav
    Who is that:              trill identify household talk.mp3

    \b
    Sounds are wav, flac, mp3, ogg or opus at any rate; others: ffmpeg -i in.m4a out.wav
    Exit code: 0 all done; 1 done, but some files failed and are listed; 2 nothing done; 130 stopped.
    In Python: import trill; trill.embed("talk.mp3")
    """  # noqa: D301 (click's sign for lines to leave alone)


for command in (enroll, identify, forget, finetune):
    main.add_command(command)


@main.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILES|FOLDERS|MANIFEST.csv...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Ends in .npz, .csv or .parquet.")
@model_options
@click.option(
    "--pooling",
    type=click.Choice(["mean", "max", "mean+std"]),
    help="How a file's windows become its row.  [default: mean]",
)
@click.option("--windows", is_flag=True, help="A row a window (file, start, end) instead of a row a file.")
@click.option("--workers", type=click.IntRange(1), help="Files at once.  [default: the cores there are, at most 4]")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def embed(
    inputs: tuple[str, ...],
    output: str,
    model: str,
    tap: str,
    hop: float | None,
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

    \b
    trill embed recordings/ talk.mp3 -o voices.npz
    trill embed corpus/manifest.csv --windows --hop 0.25 -o windows.parquet
    """  # noqa: D301
    from trill.batch import check_output, embed_files
    from trill.manifests import find_clips

    if windows and pooling:
        raise ValueError(f"--windows keeps every window, --pooling {pooling} makes them one row. Choose one.")
    check_output(Path(output))
    if Path(output).exists() and not overwrite:
        raise ValueError(f"the output must not exist yet, {output} does. Choose another, or pass --overwrite.")
    clips = find_clips(inputs)
    embedder = load(model, tap=tap, hop_seconds=hop, threads=workers)
    began = time.monotonic()
    summary = embed_files(
        clips, output, embedder, pooling=None if windows else pooling or "mean", workers=workers, quiet=quiet
    )
    seconds = time.monotonic() - began
    written = summary.embedded + summary.resumed
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(summary), "seconds": round(seconds, 3)}))
    else:
        if written:
            earlier = f", {summary.resumed} taken over from before" if summary.resumed else ""
            click.echo(f"{files(summary.embedded)} embedded in {seconds:.1f} s{earlier}: {output} ({summary.model})")
        for path, error in list(summary.failed.items())[:10]:
            click.echo(f"  failed: {path}: {error}", err=True)
        if summary.failed:
            click.echo(f"{files(len(summary.failed))} failed: see {output}.errors.csv", err=True)
    sys.exit(NOTHING_DONE if not written else FAILED_FILES if summary.failed else 0)


@main.command()
@click.argument("sound", metavar="A")
@click.argument("others", nargs=-1, required=True, metavar="B...")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def similar(sound: str, others: tuple[str, ...], model: str, tap: str, hop: float | None, as_json: bool) -> None:
    """Order sounds by their likeness to the sound A.

    Likeness is the cosine of two embeddings, at most 1. What counts as the same voice depends on the recordings:
    compare with pairs you know.
    """
    embeddings = load(model, tap=tap, hop_seconds=hop).embed_batch([sound, *others])
    scores = cosines(embeddings)[0, 1:]
    ranked = sorted(zip(others, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    if as_json:
        click.echo(json.dumps([{"file": name, "similarity": round(score, 6)} for name, score in ranked]))
    else:
        for name, score in ranked:
            click.echo(f"{score:7.3f}  {click.format_filename(name)}")


@main.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(model: str | None, as_json: bool) -> None:
    """Show what a model is, takes and gives.

    MODEL is a packaged model or the path of a model file; without it, every packaged model is shown.
    """
    from trill import modelfile
    from trill.presets import list_models

    # Also of files that embed no waveform of one window, which `load` refuses.
    names = [model] if model else list_models()
    cards = [modelfile.read(name)[1] if name.endswith(".tflite") else load(name).card for name in names]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(card) for card in cards], indent=1))
        return
    for index, (name, card) in enumerate(zip(names, cards, strict=True)):
        if index:
            click.echo()
        called = "" if model or name == card.name else f", called {name}"
        taps = ", ".join(f"{tap} ({' x '.join(map(str, shape))})" for tap, shape in card.taps.items())
        facts = {
            "model": f"{card.name}, version {card.version}{called}",
            "what": card.description,
            "takes": ("log-mel of " if card.input == "log-mel" else "")
            + f"{card.window_samples / card.sample_rate:.3f} s of mono sound at {card.sample_rate} Hz"
            + (", or more" if card.dynamic else ""),
            "hop": f"{card.hop_samples / card.sample_rate:.3f} s by default",
            "taps": taps,
            "weights": card.quantization,
            "runs in": ", ".join(card.interpreters),
            "licence": card.licence,
            "source": card.source_sha256,
            "sha256": card.sha256,
        }
        for fact, value in facts.items():
            if value:
                click.echo(f"{fact:8s} {value}")
        for sounds, figures in card.verification.items():
            click.echo(f"verified {sounds}: " + ", ".join(f"{fact} {value:.3g}" for fact, value in figures.items()))


@main.command()
@click.option("-o", "--output", default="demo-output", show_default=True, metavar="FOLDER", help="Made if missing.")
def demo(output: str) -> None:
    """Embed the bundled example clips and show which are alike.

    Their embeddings are written to FOLDER/embeddings.npz.
    """
    from trill.batch import embed_files
    from trill.examples import example, list_examples
    from trill.manifests import Clip

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
        cosine = f"{scores[row, first]:6.2f} {scores[row, second]:6.2f}"
        click.echo(f"{name:16s}  {names[first]:16s}  {names[second]:16s}  {cosine}")
    embed_files([Clip(name, example(name)) for name in names], folder / "embeddings.npz", embedder, quiet=True)
    click.echo(f"\nWritten: {folder / 'embeddings.npz'} (numpy.load: paths, x)")


@main.command()
@click.argument("source", metavar="FOLDER|MANIFEST.csv|TFRECORDS|tfds:NAME")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The run; the same command goes on with it.")
@click.option("--recipe", default=DEFAULT_RECIPE, show_default=True, help="A recipe's name, or a .toml file.")
@click.option("--steps", type=click.IntRange(1), help="Batches to train on.  [default, here and below: the recipe's]")
@click.option("--batch-size", type=click.IntRange(1), help="Windows in a batch, two a clip.")
@click.option("--seed", type=click.IntRange(0), help="Of weights and batches.")
@click.option("--checkpoint-every", type=click.IntRange(1), metavar="STEPS", help="What a kill can cost.")
@click.option("--precision", type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"]), help="Of the network.")
@click.option("--noise", metavar="FOLDER", help="Sounds to mix in, for recipes with the augmentation `noise`.")
@click.option("--validate", metavar="LABELLED", help="Clips to probe: a folder a label, or a manifest with `label`.")
@click.option("--cache", metavar="FOLDER", help="Where decoded sound is kept.  [default: ~/.cache/trill-speech]")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def train(
    source: str,
    output: str,
    recipe: str,
    noise: str | None,
    validate: str | None,
    cache: str | None,
    quiet: bool,
    **changes: Any,
) -> None:
    """Train an encoder on unlabelled sound, with TRILL's triplet loss.

    Windows of one recording are to be near each other, those of other recordings far. A window is about a second; a
    recording that is shorter is followed by silence. The sound is decoded once, into a cache.

    \b
    FOLDER/last.safetensors   the network at the last checkpoint
    FOLDER/best.safetensors   the one with the best score, with --validate
    FOLDER/log.csv            loss and score at each checkpoint; tensorboard --logdir FOLDER

    Stopped or killed, the same command goes on from the last checkpoint, to the same weights.

    \b
    trill train recordings/ -o run/ --steps 2000
    trill embed others/ --model run/last.safetensors -o others.npz
    trill-export convert run/last.safetensors -o mine.tflite
    """  # noqa: D301
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    optional("keras", "train")
    from trill.training import events, recipes, selfsupervised

    config = recipes.load_recipe(recipe)
    config = dataclasses.replace(config, **{name: value for name, value in changes.items() if value is not None})
    board = events.writer(Path(output) / "tensorboard")
    trained = False

    def told(clips: object) -> None:
        nonlocal trained
        trained = True
        click.echo(str(clips))

    def report(row: dict[str, float]) -> None:
        board(row)
        figures = {"loss": ".4f", "violating": ".1%", "validation": ".3f", "examples_per_second": ",.0f"}
        shown = [f"{name.replace('_', ' ')} {row[name]:{form}}" for name, form in figures.items() if name in row]
        click.echo(f"step {row['step']:,}: {', '.join(shown)}")

    done = selfsupervised.train(
        source,
        output,
        config,
        noise=noise,
        validate=validate,
        cache=cache,
        report=report,
        told=told,
        quiet=quiet,
    )
    click.echo(
        f"{'Trained' if trained else 'Already trained'} for {done.step:,} steps: {Path(output) / 'last.safetensors'}"
    )


def files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def cosines(embeddings: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows: `(n, n)` in [-1, 1]."""
    rows = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    similarity: np.ndarray = rows @ rows.T
    return similarity
