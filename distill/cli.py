"""The command line `trill-distill`: what big models say of a corpus, and small ones that learn it."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import click

from distill.options import (
    CORPUS,
    Numbers,
    config_of,
    judged,
    of_machine,
    of_teacher,
    of_training,
    said_by,
    tap_of,
    teacher_of,
    trained,
)
from trill.cli import Manual
from trill.errors import optional
from trill.version import __version__


@click.group(cls=Manual, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="trill-distill")
def main() -> None:
    """Teach a small network what big ones hear.

    A teacher listens to a corpus once, and what it says is kept on disk; a student learns it from there.

    \b
    Which teachers:   trill-distill teachers
    Let one listen:   trill-distill targets recordings/ -o targets/ --teacher NAME --layers 1,2,3
    Train a student:  trill-distill train recordings/ -o run/ --targets targets/ --recipe RECIPE
    How like it is:   trill-distill report run/ others/ --teacher NAME --layers 1,2,3
    At which size:    trill-distill sweep recordings/ --heldout others/ -o sweep/ --widths 0.25,0.5,1 ...
    Dependable only:  trill-distill prune run/last.safetensors recordings/ -o pruned.safetensors --keep 1152

    \b
    Exit code: 0 done; 2 nothing done; 130 stopped.
    Stopped or killed, the same command goes on where it was.
    """  # noqa: D301 (click's sign for lines to leave alone)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@main.command()
def teachers() -> None:
    """List the teachers that go by a name. Others: a folder with a checkpoint, a model file, a hub id."""
    import distill

    click.echo(distill.describe())


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar=CORPUS)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The targets; the same command goes on.")
@of_teacher
@click.option("--components", type=click.IntRange(1), help="Principal components to keep.  [default: all values]")
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True)
@click.option("--keep", type=click.Choice(["both", "frames", "clips"]), default="both", show_default=True)
@click.option("--tail", type=float, default=0.5, show_default=True, help="Seconds of silence after each clip.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Clips at once.")
@click.option("--recipe", help="The student's: altered copies of clips that it asks for are heard as well.")
@click.option("--runner", default="", metavar='"NAME [OPTIONS]"', help="Of Apache Beam, e.g. DirectRunner.")
@of_machine
def targets(
    sources: tuple[str, ...],
    output: str,
    teachers: tuple[str, ...],
    layers: tuple[int, ...],
    combine: str,
    components: int | None,
    dtype: str,
    keep: str,
    tail: float,
    threads: int,
    recipe: str | None,
    runner: str,
    cache: str | None,
    quiet: bool,
) -> None:
    """Let a teacher listen to a corpus, and keep what it says.

    Values are standardised; with --components, rotated to the directions in which they vary most. The form on disk is
    plain NumPy, docs/targets-format.md: what cannot be run here can write it elsewhere.

    \b
    trill-distill targets speech/ -o targets/ --teacher NAME --layers 1,2,3 --components 256
    trill-distill targets speech/ -o targets/ --teacher NAME --recipe mobilenet
    """  # noqa: D301
    from trill.training import corpora
    from trill.training.cache import open_cache

    if len(teachers) > 1:
        raise ValueError(f"targets are of one teacher, got {', '.join(teachers)}. Make a folder each.")
    corpus = corpora.join(sources)
    from distill.hearing import Recipe
    from distill.writing import write_targets

    if recipe:
        from distill.recipes import read_plan
        from distill.variants import varied

        corpus = varied(corpus, read_plan(config_of(recipe, {}).objective).variants)
    said = said_by(runner, teachers[0], layers, threads) if runner else None
    kept = Recipe(layers, tap_of(teachers[0]), combine, components, dtype, keep, tail)
    teacher = teacher_of(teachers[0], layers)
    clips = open_cache(corpus, cache, teacher.sample_rate, quiet=quiet)
    click.echo(str(clips))
    made = write_targets(teacher, clips, output, kept, threads=threads, quiet=quiet, said=said)
    share = f", {made.explained:.1%} of the variance" if made.explained is not None else ""
    seconds = made.hop_samples / made.sample_rate
    click.echo(f"{made.teacher}: {made.dim} values every {1e3 * seconds:g} ms{share}: {output}")


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar=CORPUS)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The run; the same command goes on with it.")
@of_training
@of_machine
def train(
    sources: tuple[str, ...],
    output: str,
    targets: tuple[str, ...],
    live: tuple[str, ...],
    recipe: str,
    noise: str | None,
    validate: str | None,
    cache: str | None,
    quiet: bool,
    **changes: Any,
) -> None:
    """Train a student on what teachers say of a corpus.

    The corpus is the one that the targets were made of, its sources in the same order, altered as the recipe says. Who
    teaches what is the recipe's: docs/distillation.md.

    \b
    FOLDER/last.safetensors   the network at the last checkpoint, without the heads of training
    FOLDER/best.safetensors   the one with the best score, with --validate
    FOLDER/log.csv            loss and score at each checkpoint; tensorboard --logdir FOLDER

    \b
    trill-distill train speech/ -o run/ --targets targets/ --recipe mine.toml
    trill embed others/ --model run/last.safetensors -o others.npz
    trill-export convert run/last.safetensors -o mine.tflite
    """  # noqa: D301
    config = config_of(recipe, changes)
    done = trained(sources, output, config, targets, live, noise, validate, cache, quiet)
    click.echo(f"Trained for {done.step:,} steps: {Path(output) / 'last.safetensors'}")


@main.command()
@click.argument("model", metavar="RUN|MODEL")
@click.argument("sources", nargs=-1, required=True, metavar=CORPUS)
@of_teacher
@click.option(
    "--labelled", multiple=True, metavar="FOLDER|MANIFEST.csv", help="Tasks to probe all with, as --validate."
)
@click.option("--clips", type=click.IntRange(10), default=500, show_default=True, help="Drawn of the corpus at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@of_machine
def report(
    model: str,
    sources: tuple[str, ...],
    teachers: tuple[str, ...],
    layers: tuple[int, ...],
    combine: str,
    labelled: tuple[str, ...],
    clips: int,
    as_json: bool,
    cache: str | None,
    quiet: bool,
) -> None:
    """Say how much of teachers is in a model, and what the model costs.

    On part of the clips a ridge regression learns to give a teacher's mean over a window from the model's embedding of
    it; the figures are from other clips. Pass sound that the model was not trained on. --layers are of each teacher
    without @TAP.
    """
    found = judged(model, sources, teachers, layers, combine, labelled, clips, cache, quiet)
    click.echo(json.dumps(dataclasses.asdict(found), indent=1) if as_json else found.table())


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar=CORPUS)
@click.option("--heldout", multiple=True, required=True, metavar=CORPUS, help="Sound to report on; several.")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Runs, sweep.json and sweep.png.")
@click.option("--widths", type=Numbers(float), default=(0.25, 0.5, 1.0), show_default=True)
@of_teacher
@of_training
@click.option(
    "--labelled", multiple=True, metavar="FOLDER|MANIFEST.csv", help="Tasks to probe all with, as --validate."
)
@click.option("--clips", type=click.IntRange(10), default=500, show_default=True, help="Of --heldout at most.")
@of_machine
def sweep(
    sources: tuple[str, ...],
    heldout: tuple[str, ...],
    output: str,
    widths: tuple[float, ...],
    teachers: tuple[str, ...],
    layers: tuple[int, ...],
    combine: str,
    targets: tuple[str, ...],
    live: tuple[str, ...],
    recipe: str,
    noise: str | None,
    validate: str | None,
    labelled: tuple[str, ...],
    clips: int,
    cache: str | None,
    quiet: bool,
    **changes: Any,
) -> None:
    """Train a recipe at several widths, report each on sound held out, and draw quality against cost."""
    from distill import sweep as sweeping

    optional("matplotlib", "teachers")
    configs = sweeping.widths(config_of(recipe, changes), widths)
    found = sweeping.sweep(
        configs,
        Path(output),
        lambda config, run: trained(sources, run, config, targets, live, noise, validate, cache, quiet),
        lambda run: judged(run, heldout, teachers, layers, combine, labelled, clips, cache, quiet),
    )
    for width, row in found.items():
        click.echo(f"width {width:g}: {row.table()}")
    click.echo(f"Drawn: {Path(output) / 'sweep.png'}")


@main.command()
@click.argument("network", metavar="NETWORK.safetensors")
@click.argument("sources", nargs=-1, required=True, metavar=CORPUS)
@click.option("-o", "--output", required=True, metavar="FILE.safetensors")
@click.option("--keep", type=click.IntRange(1), required=True, help="Values of the embedding.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def prune(network: str, sources: tuple[str, ...], output: str, keep: int, quiet: bool) -> None:
    """Keep those values of the embedding that vary in every corpus.

    The others are as good as silent in one of them. A classifier that standardises its features blows such values up,
    and on sound unlike its own they drown the rest. A corpus is what a manifest's column `source` calls so, otherwise
    a folder.

    \b
    trill-distill prune run/last.safetensors speech/manifest.csv others/ -o pruned.safetensors --keep 1152
    """  # noqa: D301
    optional("keras", "train")
    import trill
    from distill import pruning
    from trill.networks import saving

    if Path(output).suffix != ".safetensors":
        raise ValueError(f"a network is written to a .safetensors file, got {output}.")
    model, config = saving.load(network)
    rows, unread = pruning.embeddings_of(trill.load(network), pruning.corpora_of(sources), quiet)
    varies = pruning.variation(rows)
    kept = pruning.dependable(varies, keep)
    saving.save(*pruning.prune(model, config, kept), output)
    skipped = f"; {unread} clips could not be read" if unread else ""
    click.echo(
        f"{keep} of {len(varies)} values, which in each of {len(rows)} corpora vary at least {varies[kept].min():.2f} "
        f"times as much as the median one{skipped}: {output}"
    )
