"""The command line `noss`: judge representations by tasks, and print what came out."""

import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from trill.cli import Manual
from trill.version import __version__

if TYPE_CHECKING:
    from noss.results import Result

PROTOCOLS = ("noss", "referee")


@click.group(cls=Manual, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="noss")
def main() -> None:
    """The non-semantic speech benchmark: which embedding is better, and how sure is that?

    Shallow classifiers on frozen embeddings, speakers kept apart, everything chosen on a dev part, tested once.

    \b
    A folder of manifests:   noss run --suite packs/ -r mobilenet -r log-mel -o results/
    One manifest:            noss run --manifest mine.csv --label emotion -r mobilenet -o results/
    A corpus of the papers:  noss run --task crema_d --corpus CREMA-D/ -r mobilenet -o results/
    What came out:           noss table results/
    """  # noqa: D301


@main.command()
@click.option("-r", "--representation", "specs", multiple=True, required=True, help="As `noss representations` lists.")
@click.option("--suite", metavar="FOLDER", help="A folder of folders with manifest.csv and task.json.")
@click.option("--manifest", metavar="FILE.csv", help="Columns path, a label and, if known, a speaker.")
@click.option("--label", default="label", show_default=True, help="Column of --manifest that is predicted.")
@click.option("--group", default="speaker", show_default=True, help="Column of --manifest that is kept whole.")
@click.option("--task", "names", multiple=True, help="A task of the papers.")
@click.option("--corpus", metavar="FOLDER", help="The unpacked corpus of --task.")
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), default="noss", show_default=True, help="referee: five folds."
)
@click.option("-o", "--output", required=True, metavar="FOLDER", help="A JSON file a score, and the embeddings.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Splits judged at once.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars.")
def run(
    specs: tuple[str, ...],
    suite: str | None,
    manifest: str | None,
    label: str,
    group: str,
    names: tuple[str, ...],
    corpus: str | None,
    protocol: str,
    output: str,
    jobs: int,
    quiet: bool,
) -> None:
    """Judge representations by tasks. What is there already is not computed again."""
    from noss import config, tasks
    from noss.representations import load_representation
    from noss.run import Cell
    from noss.run import run as run_grid

    wanted = [(task, None) for task in (tasks.pack_tasks(suite).values() if suite else ())]
    wanted += [(tasks.manifest_task(manifest, label=label, group=group or None), None)] if manifest else []
    asked = [(tasks.TASKS[name], Path(corpus) if corpus else None) for name in map(_known, names)]
    if not (wanted or asked):
        raise ValueError("something must be asked: pass --suite, --manifest or --task.")

    def report(cell: Cell) -> None:
        click.echo(f"{_line(cell.result)}{'  (was there)' if cell.resumed else ''}")

    run_grid(
        [load_representation(spec) for spec in specs],
        [*wanted, *asked],
        Path(output),
        {"noss": config.NOSS, "referee": config.REFEREE}[protocol],
        jobs=jobs,
        report=report,
        quiet=quiet,
    )


@main.command()
@click.argument("folder")
def table(folder: str) -> None:
    """Print the scores in FOLDER: a row a representation, a column a task, their mean last."""
    from noss import results

    found = results.load_all(folder)
    if not found:
        raise ValueError(f"a folder of results must hold some, {folder} has none. noss run writes them.")
    by_protocol = defaultdict(list)
    for result in found:
        by_protocol[result.key.protocol].append(result)
    for protocol, some in by_protocol.items():
        scores = {(each.key.representation, each.key.task): each.evaluation.score for each in some}
        names = sorted({task for _, task in scores})
        click.echo(f"{protocol}\n{'':32s} " + " ".join(f"{name[:12]:>12s}" for name in names) + f" {'mean':>6s}")
        for representation in sorted({name for name, _ in scores}):
            row = [_number(scores.get((representation, name))) for name in names]
            shown = " ".join(f"{value:12.3f}" if math.isfinite(value) else f"{'':12s}" for value in row)
            click.echo(f"{representation[:32]:32s} {shown} {np.mean(row):6.3f}")


@main.command()
def representations() -> None:
    """List what can be judged."""
    from noss.representations import describe

    click.echo(describe())


def _known(name: str) -> str:
    from noss.tasks import TASKS

    if name not in TASKS:
        raise ValueError(f"a task must be one of {', '.join(sorted(TASKS))}, got {name!r}.")
    return name


def _number(score: float | None) -> float:
    return math.nan if score is None else score


def _line(result: "Result") -> str:
    from noss.evaluation import interval

    spread = interval(result.evaluation)
    return (
        f"{result.key.representation:32s} {result.key.task:20s} {result.evaluation.metric} "
        f"{_number(result.evaluation.score):.3f} [{spread.low:.3f}, {spread.high:.3f}]"
    )
