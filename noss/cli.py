"""The command line `noss`: judge representations by tasks, and print what came out."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from trill.cli import FAILED_FILES, Manual
from trill.version import __version__

if TYPE_CHECKING:
    from noss.results import Result
    from noss.run import Cell

PROTOCOLS = ("noss", "referee")
SIZES = "1,2,5,10"  # of a learning curve
MANY = 20_000  # pairs: their interval takes ten seconds and more
BROKEN = 1  # exit code of an audit


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
    As a page:               noss report results/ -o report/
    One against another:     noss compare results/ mobilenet log-mel
    Can it be believed?      noss audit mine.csv --label emotion
    """  # noqa: D301


@main.command()
@click.option("-r", "--representation", "specs", multiple=True, help="As `noss representations` lists.")
@click.option(
    "--suite", metavar="FOLDER|demo", help="A folder of folders with manifest.csv and task.json; or the demo."
)
@click.option("--manifest", metavar="FILE.csv", help="Columns path, a label and, if known, a speaker.")
@click.option("--label", default="label", show_default=True, help="Column of --manifest that is predicted.")
@click.option("--group", default="speaker", show_default=True, help="Column of --manifest that is kept whole.")
@click.option("--task", "names", multiple=True, help="A task of the papers.")
@click.option("--corpus", metavar="FOLDER|tfds:NAME@DIR", help="The unpacked corpus of --task.")
@click.option(
    "--protocol", type=click.Choice(PROTOCOLS), default="noss", show_default=True, help="referee: five folds."
)
@click.option("--paper-selection", is_flag=True, help="Show the best score on test, too, as the paper chose it.")
@click.option(
    "--learning-curve",
    "curve",
    is_flag=False,
    flag_value=SIZES,
    default="",
    metavar="[SIZES]",
    help=f"Scores from few clips a class, by default {SIZES}; a fixed classifier.",
)
@click.option("--leakage", is_flag=True, help="How well speaker, sex and age can be read.")
@click.option("--condition", "altered", multiple=True, metavar="NAME", help="Test on altered sound: telephone, ...")
@click.option("--noise", metavar="FOLDER", help="Folder or manifest of what --condition noise-10dB mixes in.")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="A JSON file a score, and the embeddings.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Computed at once, in processes.")
@click.option("--runner", default="", metavar='"NAME [OPTIONS]"', help="Of Apache Beam, e.g. DirectRunner.")
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
    paper_selection: bool,
    curve: str,
    leakage: bool,
    altered: tuple[str, ...],
    noise: str | None,
    output: str,
    jobs: int,
    runner: str,
    quiet: bool,
) -> None:
    """Judge representations by tasks. What is there already is not computed again.

    A representation that fails loses its own scores and no others: they are listed at the end, and the exit code is 1.
    """
    from noss import config, results, tasks
    from noss.cells import Asks
    from noss.conditions import conditions
    from noss.run import Cell
    from noss.run import run as run_grid

    wanted: list[tuple[tasks.Task, Path | None]] = []
    if suite == "demo":
        from noss import demo

        wanted += [(task, None) for task in demo.demo_tasks(Path(output) / "demo-suite", quiet=quiet).values()]
        specs = specs or tuple(demo.DEMO_REPRESENTATIONS)
    elif suite:
        wanted += [(task, None) for task in tasks.pack_tasks(suite).values()]
    wanted += [(tasks.manifest_task(manifest, label=label, group=group or None), None)] if manifest else []
    wanted += [(tasks.TASKS[name], Path(corpus) if corpus else None) for name in map(_known, names)]
    if not wanted:
        raise ValueError("something must be asked: pass --suite, --manifest or --task.")
    if not specs:
        raise ValueError("something must be judged: pass -r, e.g. -r mobilenet. `noss representations` lists all.")

    asks = Asks(paper_selection, _sizes(curve), leakage, conditions(altered, noise))

    def report(cell: Cell, result: results.Result | None) -> None:
        if result is not None:
            click.echo(_line(result, resumed=cell.resumed))

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _note(str(message))
        cells = run_grid(
            specs,
            wanted,
            Path(output),
            {"noss": config.NOSS, "referee": config.REFEREE}[protocol],
            asks=asks,
            jobs=jobs,
            runner=runner,
            report=report,
            note=_note,
            quiet=quiet,
        )
    _list_failed(cells)


def _note(text: str) -> None:
    click.echo(f"note: {text}", err=True)


def _list_failed(cells: "list[Cell]") -> None:
    failed = [cell for cell in cells if cell.error]
    if not failed:
        return
    click.echo(f"{len(failed)} of {len(cells)} scores are missing:", err=True)
    for cell in failed:
        asked = f"{cell.task}, {cell.setting}" if cell.setting else cell.task
        click.echo(f"  {cell.representation}, {asked}: {cell.error}", err=True)
    click.get_current_context().exit(FAILED_FILES)


@main.command()
@click.argument("folder")
@click.option(
    "--setting", default="", metavar="TEXT", help='Of the scores, e.g. "5 a class".  [default: the plain ones]'
)
@click.option("--conditions", "altered", is_flag=True, help="What altered sound costs: differences to clean, paired.")
@click.option("--intervals", is_flag=True, help="Add where other speakers would score.")
@click.option("--csv", "as_csv", is_flag=True, help="A line a score, for other programs.")
def table(folder: str, setting: str, altered: bool, intervals: bool, as_csv: bool) -> None:
    """Print the scores in FOLDER: a row a representation, a column a task, their mean last."""
    from noss import results
    from noss import table as made

    found = results.load_all(folder)
    if not found:
        raise ValueError(f"a folder of results must hold some, {folder} has none. noss run writes them.")
    if altered:
        from noss import robustness

        rows = robustness.losses(found)
        click.echo(robustness.as_csv(rows) if as_csv else robustness.as_text(rows, intervals=intervals), nl=not as_csv)
        return
    some = made.tables(found, setting)
    if as_csv:
        click.echo(made.as_csv(some, intervals=intervals), nl=False)
        return
    for each in some:
        click.echo(made.as_text(each, intervals=intervals, bold=lambda text: click.style(text, bold=True)))


@main.command()
@click.argument("manifest", required=False, metavar="[MANIFEST]")
@click.option("--label", default="label", show_default=True, help="Column of MANIFEST that is predicted.")
@click.option("--group", default="speaker", show_default=True, help='Column of the speakers; "" if nobody knows them.')
@click.option("--numbers", is_flag=True, help="Labels are numbers, not classes.")
@click.option("--task", "name", help="A task of the papers instead.")
@click.option("--corpus", metavar="FOLDER|tfds:NAME@DIR", help="The unpacked corpus of --task.")
@click.option("-r", "--representation", "spec", default="mobilenet", show_default=True, help="none: no Inflation.")
@click.option("--cache", metavar="FOLDER", help="Of measures and embeddings.  [default: ~/.cache/trill-speech/audit]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-o", "--output", metavar="FILE.md", help="Write Markdown, too.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars.")
def audit(
    manifest: str | None,
    label: str,
    group: str,
    numbers: bool,
    name: str | None,
    corpus: str | None,
    spec: str,
    cache: str | None,
    as_json: bool,
    output: str | None,
    quiet: bool,
) -> None:
    """Can a score on this corpus be believed? Exit code 1: something is broken.

    MANIFEST is a CSV file with the columns path, label and speaker, or a folder with manifest.csv and task.json.
    """
    from noss import audit as audits
    from noss.representations import load_representation
    from noss.tasks import TASKS
    from trill.files import write_atomically
    from trill.training.cache import default_folder

    if (manifest is None) == (name is None):
        raise ValueError("one corpus must be named: MANIFEST, or --task with --corpus.")
    kind: Literal["regression", "classification"] = "regression" if numbers else "classification"
    columns: tuple[str, str | None] = label, group or None
    task = TASKS[_known(name)] if name else audits.find_task(manifest or "", *columns, kind)
    found = audits.audit(
        task,
        corpus,
        None if spec == "none" else load_representation(spec),
        cache=cache or default_folder() / "audit",
        quiet=quiet,
    )
    if output:
        with write_atomically(output) as temporary:
            temporary.write_text(found.markdown(), encoding="utf-8")
    click.echo(found.json() if as_json else found.text())
    if found.verdict == "broken":
        click.get_current_context().exit(BROKEN)


@main.command()
@click.argument("folder")
@click.option("-o", "--output", required=True, metavar="REPORT", help="Gets index.html, report.md and scores.csv.")
@click.option("--map", "map_task", default="", metavar="TASK", help="What is laid out by UMAP; none for no map.")
@click.option("--of", default="", metavar="NAME", help="Whose map and confusions.  [default: the best's]")
@click.option("--sounds", metavar="FOLDER", help="The clips of the map, where the results do not say.")
@click.option("--embed-sound", "megabytes", type=click.FloatRange(0), default=0, metavar="MB", help="Of the map's.")
@click.option("--rounds", type=click.IntRange(100), default=10_000, show_default=True, help="Draws of speakers.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars.")
def report(
    folder: str, output: str, map_task: str, of: str, sounds: str | None, megabytes: float, rounds: int, quiet: bool
) -> None:
    """Make a page of the scores in FOLDER: tables, intervals, curves, confusions, a map to listen to."""
    from noss.report import write

    page = write(
        folder,
        output,
        map_task=map_task,
        of=of,
        sounds=sounds,
        embed_megabytes=megabytes,
        rounds=rounds,
        quiet=quiet,
        say=None if quiet else _note,
    )
    click.echo(page)


@main.command()
@click.argument("folder")
@click.argument("a")
@click.argument("b")
@click.option("--other", metavar="FOLDER", help="Of results, where B is.")
@click.option("--protocol", default="", metavar="ID", help="By which of several; a part of its id will do.")
@click.option("--condition", default="", metavar="NAME", help="Both on altered sound, e.g. noise-10dB.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def compare(folder: str, a: str, b: str, other: str | None, protocol: str, condition: str, as_json: bool) -> None:
    """Is representation A in FOLDER better than B? A part of a name will do."""
    import json

    from noss import results
    from noss.compare import compare as compare_results
    from noss.robustness import under

    found, others = (under(results.load_all(each), condition) if each else None for each in (folder, other))
    answer = compare_results(found or [], a, b, others=others, protocol=protocol)
    click.echo(json.dumps(answer.as_json(), indent=2, allow_nan=False) if as_json else answer)


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


def _sizes(text: str) -> tuple[int, ...]:
    """Clips a class: "1,2,5" to numbers, ascending."""
    try:
        found = sorted({int(size) for size in text.split(",")}) if text else []
    except ValueError:
        found = [0]
    if found and found[0] < 1:
        raise ValueError(
            f"sizes of a learning curve are numbers of clips a class from 1 on, e.g. {SIZES}, got {text!r}."
        )
    return tuple(found)


def _line(result: "Result", *, resumed: bool) -> str:
    from noss.table import spread_of

    key, found = result.key, result.evaluation
    text = f"{key.representation:32s} {key.task:20s} {key.setting + ' ' if key.setting else ''}{found.metric} "
    text += "undefined" if found.score is None else f"{found.score:.3f}"
    if resumed:
        text += "  (was there)"
    elif len(found.truth) > MANY and found.pairs is not None:
        text += "  (interval: noss table --intervals)"
    else:
        text += f" {spread_of(found)}"
    if found.paper and found.paper["score"] is not None:
        price = found.paper["price"]
        text += f"; best on test {found.paper['score']:.3f}*, the price {0.0 if price is None else price:+.3f}"
        text += " (* chosen on test: too good)"
    return text
