"""A grid of representations and tasks: what is missing is computed, one JSON file each."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from noss import embeddings, hashes, protocol, results, tasks
from noss.config import ProtocolConfig
from noss.representations.fingerprint import fingerprint
from noss.tasks.task import Task
from trill.representation import Representation


@dataclasses.dataclass(frozen=True)
class Cell:
    """One representation at one task, and whether its score was there before."""

    result: results.Result
    resumed: bool


def run(
    grid: Sequence[Representation],
    suite: Sequence[tuple[Task, Path | None]],
    output: Path,
    config: ProtocolConfig = protocol.NOSS,
    *,
    jobs: int = 1,
    threads: int = 2,
    report: Callable[[Cell], None] | None = None,
    quiet: bool = False,
) -> list[Cell]:
    """Judge every representation by every task; a killed run goes on where it was.

    Args:
        grid: representations, with names of their own.
        suite: tasks and the folders of their corpora; None where a task knows its own.
        output: results go there, embeddings into its folder `embeddings`.
        config: the protocol.
        jobs: splits judged at once.
        threads: sounds embedded at once.
        report: told each score.
        quiet: no progress bars.

    Raises:
        CorpusError: if a corpus is missing or not what its task says, before anything is computed.
        ValueError: if two representations have one name, a task is verification, or a representation breaks the
            contract; what was computed before is kept.
    """
    names = [representation.name for representation in grid]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"a name must mean one representation, got {', '.join(sorted(twice))} twice. Leave one out.")
    if pairs := [task.name for task, _ in suite if task.kind == "verification"]:
        raise ValueError(f"tasks of classes and numbers can be run, {', '.join(pairs)} asks for pairs.")
    loaded = [(task, tasks.load(task, folder)) for task, folder in suite]
    store = output / "embeddings"
    store.mkdir(parents=True, exist_ok=True)
    cells = []
    for representation in grid:
        known = fingerprint(representation)
        for task, utterances in loaded:
            hashed = hashes.hash_files([each.path for each in utterances], store / "hashes.sqlite", quiet=quiet)
            found = [hashed[each.path] for each in utterances]
            # A part of a file is another sound than the file.
            contents = [
                "" if isinstance(content, str) else f"{content.sha256} {each.start} {each.end}"
                for content, each in zip(found, utterances, strict=True)
            ]
            key = results.Key(
                representation.name, known, task.name, task.version, results.sounds_hash(contents), config.id
            )
            resumed = results.done(output, key)
            if not resumed:
                embedded = embeddings.embed(
                    representation, utterances, store, threads=threads, quiet=quiet, known=known
                )
                judged = protocol.evaluate(
                    task, utterances, embedded, config, contents=contents, jobs=jobs, quiet=quiet
                )
                results.save(output, key, judged, {"dim": embedded.rows.shape[1]})
            cells.append(Cell(results.load(output / key.file), resumed))
            if report:
                report(cells[-1])
    return cells
