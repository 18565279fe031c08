"""Options that commands of `trill-distill` share, and what is made of their values."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from trill.errors import optional

CORPUS = "FOLDER|MANIFEST.csv..."
RECIPE = "distill-mobilenet"


class Numbers(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic from click 8.3 on
    """`1,2,3` or `0-2` of a type."""

    def __init__(self, kind: type) -> None:
        self.kind, self.name = kind, "a,b,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        if isinstance(value, tuple):
            return value
        try:
            found: list[Any] = []
            for part in value.split(","):
                low, dash, high = part.partition("-")
                found += range(int(low), int(high) + 1) if dash and self.kind is int else [self.kind(part)]
            return tuple(found)
        except ValueError:
            self.fail(f"{value!r} is no list of numbers such as 1,2,3", param, ctx)


def options(*added: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options at once, in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(added):
            command = option(command)
        return command

    return decorate


of_teacher = options(
    click.option("--teacher", "teachers", multiple=True, required=True, metavar="NAME", help="NAME or NAME@TAP."),
    click.option("--layers", type=Numbers(int), default=(), help="Hidden states of it, 0 before the first block."),
    click.option("--combine", type=click.Choice(["concat", "mean"]), default="concat", show_default=True),
)
of_machine = options(
    click.option("--cache", metavar="FOLDER", help="Where decoded sound is kept.  [default: ~/.cache/trill-speech]"),
    click.option("-q", "--quiet", is_flag=True, help="No progress bar."),
)
of_training = options(
    click.option("--targets", multiple=True, metavar="FOLDER", help="What `trill-distill targets` made; several."),
    click.option("--live", multiple=True, metavar="NAME=FOLDER", help="Weights of a teacher that runs in the step."),
    click.option("--recipe", default=RECIPE, show_default=True, help="A recipe's name, or a .toml file."),
    click.option("--noise", metavar="FOLDER", help="Sounds to mix in, for recipes with the augmentation `noise`."),
    click.option(
        "--validate", metavar="LABELLED", help="Clips to probe: a folder a label, or a manifest with `label`."
    ),
    click.option(
        "--steps", type=click.IntRange(1), help="Batches to train on.  [default, here and below: the recipe's]"
    ),
    click.option("--batch-size", type=click.IntRange(1), help="Windows in a batch."),
    click.option("--seed", type=click.IntRange(0), help="Of weights and batches."),
    click.option("--checkpoint-every", type=click.IntRange(1), metavar="STEPS", help="What a kill can cost."),
    click.option("--precision", type=click.Choice(["float32", "mixed_bfloat16", "mixed_float16"])),
)


# What is made of them.


def config_of(name: str, changes: dict[str, Any]) -> Any:
    """A recipe by its name or file, with those changes that are not None."""
    optional("keras", "train")
    from trill.training.recipes import load_recipe

    return dataclasses.replace(load_recipe(name), **{key: value for key, value in changes.items() if value is not None})


def trained(
    sources: tuple[str, ...],
    output: str | Path,
    config: Any,
    targets: tuple[str, ...],
    live: tuple[str, ...],
    noise: str | None,
    validate: str | None,
    cache: str | None,
    quiet: bool,
) -> Any:
    """Train a student, or go on with its run, and print what the log says."""
    from distill import students
    from trill.training import events

    board = events.writer(Path(output) / "tensorboard")

    def tell(row: dict[str, float]) -> None:
        board(row)
        hidden = ("step", "seconds", "examples_per_second")
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in row.items() if name not in hidden)
        click.echo(f"step {row['step']:,}: {shown}, {row['examples_per_second']:,.0f} windows a second")

    pairs = [text.partition("=") for text in live]
    if wrong := [text for text, pair in zip(live, pairs, strict=True) if not pair[2]]:
        raise ValueError(f"--live takes NAME=FOLDER, got {wrong[0]!r}.")
    return students.train(
        sources,
        output,
        config,
        targets,
        live={name: folder for name, _, folder in pairs},
        noise=noise,
        cache=cache,
        validate=validate,
        report=tell,
        told=lambda clips: click.echo(str(clips)),
        quiet=quiet,
    )


def judged(
    model: str | Path,
    sources: tuple[str, ...],
    teachers: tuple[str, ...],
    layers: tuple[int, ...],
    combine: str,
    labelled: tuple[str, ...],
    num_clips: int,
    cache: str | None,
    quiet: bool,
) -> Any:
    """How much of the teachers is in a model, on part of the sources."""
    optional("keras", "train")
    from distill import report as reporting
    from distill.hearing import Recipe
    from trill.training import corpora
    from trill.training.cache import open_cache

    corpus = corpora.join(sources)
    taps = [tap_of(name) for name in teachers]
    recipes = [Recipe(() if tap else layers, tap, combine, keep="frames") for tap in taps]
    loaded = [teacher_of(name, recipe.layers) for name, recipe in zip(teachers, recipes, strict=True)]
    clips = open_cache(corpus, cache, loaded[0].sample_rate, quiet=quiet)
    pairs = list(zip(loaded, recipes, strict=True))
    return reporting.report(model, clips, pairs, labelled=labelled, num_clips=num_clips, quiet=quiet)


def tap_of(teacher: str) -> str | None:
    """TAP of NAME@TAP."""
    from distill.teachers.loading import split_tap

    return split_tap(teacher)[1]


def said_by(runner: str, teacher: str, layers: tuple[int, ...], threads: int) -> Any:
    """What a teacher says, heard by a runner of Apache Beam."""
    from distill.beam import said_on

    return said_on(runner, teacher, _num_layers(layers), threads)


def _num_layers(layers: tuple[int, ...]) -> int | None:
    return max(layers) if layers else None


def teacher_of(teacher: str, layers: tuple[int, ...]) -> Any:
    """A teacher by its name, as far as the highest of the layers."""
    optional("keras", "teachers")
    import distill

    return distill.load_teacher(teacher, _num_layers(layers))
