"""The command `trill finetune`."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from trill.errors import optional


@click.command()
@click.argument("manifest", metavar="MANIFEST.csv|FOLDER")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="The run; the same command goes on with it.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    default=("label",),
    show_default=True,
    metavar="COLUMN[:KIND]",
    help="What to predict; several at once. Kinds: classification, regression, mae (numbers).",
)
@click.option("--model", default="mobilenet", show_default=True, help="Weights to begin with, a .safetensors.")
@click.option(
    "--pooling",
    type=click.Choice(["mean", "attention", "autopool"]),
    default="mean",
    show_default=True,
    help="How windows become a clip.",
)
@click.option(
    "--unfreeze",
    default="",
    metavar="N|BLOCKS|all",
    help="Blocks to train: a number from the top, or names.  [default: all from 2,000 clips on, else 3]",
)
@click.option("--learning-rate", type=float, help="Adam's.  [default: 1e-6; from 2,000 clips 1e-5, from 50,000 1e-4]")
@click.option("--layer-decay", type=float, help="A block's rate as a share of that of the block above.  [default: 1]")
@click.option("--head-rate", type=float, help="The heads' rate as a multiple of the topmost block's.  [default: 1]")
@click.option("--unbalanced", is_flag=True, help="Let each clip weigh the same, not each label.")
@click.option("--moving-statistics", is_flag=True, help="Batch normalisation goes by the batch while training.")
@click.option("--augment", multiple=True, metavar="NAME", help="As in recipes: gain, noise, mask_time, ...; in order.")
@click.option("--noise", metavar="FOLDER", help="Sounds to mix in, for --augment noise.")
@click.option("--windows", type=click.IntRange(1), help="Of a clip, that a step hears at most.  [default: 8]")
@click.option("--batch-size", type=click.IntRange(1), help="Clips.  [default: 256, or an eighth of those learnt from]")
@click.option("--steps", type=click.IntRange(1), help="At most.  [default: 40 times through the clips]")
@click.option("--patience", type=click.IntRange(1), help="Checkpoints without a better dev score.  [default: 8]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of split and batches.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Runs, each of the next seed.")
@click.option("--by-clip", is_flag=True, help="Speakers are unknown: each clip is of someone else.")
@click.option("--per-speaker", is_flag=True, help="Then fine-tune for each speaker alone.")
@click.option("--speaker-rate", type=float, default=1e-6, show_default=True, help="Adam's, for a speaker alone.")
@click.option("--speaker-steps", type=click.IntRange(1), default=200, show_default=True, help="For a speaker alone.")
@click.option("--cache", metavar="FOLDER", help="Where decoded sound is kept.  [default: ~/.cache/trill-speech]")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def finetune(manifest: str, output: str, **options: Any) -> None:
    """Fine-tune a network on labels; say whether it was worth it.

    The manifest has the columns `path`, `speaker` and the labels. Speakers are split: three fifths are learnt from, a
    fifth chooses, a fifth judges. Scores of a linear head on the frozen network and on the fine-tuned one stand side by
    side, with 95 % intervals from a bootstrap over the speakers of the last fifth.

    \b
    FOLDER/best.safetensors       the network with the best dev score
    FOLDER/best.heads.safetensors its heads, which `trill-export convert` puts into the file
    FOLDER/predictions.csv        what was said of each test clip
    FOLDER/result.json, log.csv   scores; loss and dev score at each checkpoint

    Stopped or killed, the same command goes on from the last checkpoint. Exit code 1: some files could not be read.

    \b
    trill finetune corpus/manifest.csv --label emotion -o run/
    trill finetune corpus/manifest.csv --label emotion --label age:regression -o both/
    trill finetune corpus/manifest.csv --label emotion --per-speaker -o people/
    trill-export convert run/best.safetensors -o mine.tflite
    """  # noqa: D301
    from trill.cli import FAILED_FILES

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    optional("keras", "train")
    optional("sklearn", "noss")
    from trill.training.finetuning import outcome

    options["settings"] = _settings(options)
    options["changes"] = {
        name: value for name in ("learning_rate", "steps", "batch_size") if (value := options.pop(name)) is not None
    } | ({"augment": {name: {} for name in options["augment"]}} if options["augment"] else {})
    del options["augment"]
    failed: dict[str, str] = {}
    results = [_run(manifest, folder, seed, failed, dict(options)) for folder, seed in _folders(Path(output), options)]
    result = outcome.joined(results)
    if len(results) > 1:
        outcome.write(result, Path(output))
    click.echo(outcome.describe(result))
    for column, pairs in result.facts.get("speakers changed", {}).items():
        for pair, counted in pairs.items():
            click.echo(f"{column}: speakers, {pair}: {', '.join(f'{n} {word}' for word, n in counted.items())}")
    if failed:
        sys.exit(FAILED_FILES)


def _settings(options: dict[str, Any]) -> Any:
    """Options that are fields of `Settings`, taken out."""
    from trill.training.finetuning.settings import Settings

    fields = {name: options.pop(name) for name in ("pooling", "unfreeze", "moving_statistics", "by_clip")}
    fields["balanced"] = not options.pop("unbalanced")
    for option, name in (
        ("windows", "max_windows"),
        ("patience", "patience"),
        ("layer_decay", "layer_decay"),
        ("head_rate", "head_rate"),
    ):
        value = options.pop(option)
        if value is not None:
            fields[name] = value
    return Settings(**fields)


def _folders(output: Path, options: dict[str, Any]) -> list[tuple[Path, int]]:
    seed, count = options.pop("seed"), options.pop("seeds")
    seeds = range(seed, seed + count)
    return [(output / f"seed-{number}" if count > 1 else output, number) for number in seeds]


def _run(manifest: str, folder: Path, seed: int, failed: dict[str, str], options: dict[str, Any]) -> Any:
    from trill.training import events
    from trill.training.finetune import finetune
    from trill.training.finetuning.per_speaker import per_speaker

    alone, rate, steps = (options.pop(name) for name in ("per_speaker", "speaker_rate", "speaker_steps"))
    board = events.writer(folder / "tensorboard")
    if alone:
        if options.pop("noise"):
            raise ValueError("--noise goes with no --per-speaker. Leave one of them out.")
        options |= {"rate": rate, "steps": steps}

    def told(material: Any) -> None:
        split = material.split
        parts = ", ".join(f"{len(getattr(split, part))} {part}" for part in ("train", "dev", "test"))
        click.echo(f"{len(material.labelled.names)} clips: {parts}")
        failed.update(material.failed)
        if material.failed:
            name, why = next(iter(material.failed.items()))
            click.echo(f"{len(material.failed)} could not be read and are left out, e.g. {name}: {why}", err=True)

    def report(row: dict[str, float]) -> None:
        board(row)
        click.echo(f"step {row['step']:,}: loss {row['loss']:.4f}, dev {row['validation']:.3f}")

    labels = options.pop("labels")
    return (per_speaker if alone else finetune)(
        manifest, folder, labels, seed=seed, report=report, told=told, **options
    )
