"""From a corpus and what teachers say of it to a small network: the loop of `trill train` with another objective."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from distill import labels
from distill.batches import Windows
from distill.objective import LIVE, DistillationObjective
from distill.recipes import Plan, Term, read_plan
from distill.targets import Targets, TargetsError, check_corpus, open_targets
from distill.variants import varied, with_copies
from trill import files
from trill.training import checkpoints, corpora, loop, runs
from trill.training.cache import Cache
from trill.training.effects import Augmentation
from trill.training.recipes import TrainConfig

WEIGHTS = "model.safetensors"


def train(
    sources: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    config: TrainConfig,
    targets: Sequence[str | os.PathLike[str]] = (),
    *,
    live: Mapping[str, str | os.PathLike[str]] | None = None,
    noise: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    validate: str | os.PathLike[str] | None = None,
    report: runs.Report | None = None,
    told: Callable[[Cache], None] | None = None,
    quiet: bool = False,
) -> checkpoints.Progress:
    """Train a student; the same call goes on with a run that was stopped. See `trill.training.runs.run`.

    Args:
        sources: what `corpora.join` takes: folders, manifests. Labels need manifests.
        output: the run's folder.
        config: what is trained, and how; its objective is of kind "distillation", see `distill.recipes`.
        targets: folders that `distill.writing` made of these sources, and of the recipe's variants of them.
        live: folders with the weights of teachers that run in the step, by their name in `objective.LIVE`.
        noise: as `trill.training.runs.run`, and so all that follow.
        cache: folder for decoded sound.
        validate: labelled clips for a quick probe.
        report: told each line of the log.
        told: told the corpus.
        quiet: no progress bars.

    Raises:
        TargetsError: if targets are damaged, or of another corpus, rate or teacher.
        ValueError: if the recipe cannot be, or `trill.training.runs.run` says so.
    """
    plan = read_plan(config.objective)
    opened = [open_targets(folder) for folder in targets]
    of_term = {term.name: find_targets(term, opened) for term in plan.teachers if term.targets}
    if unused := [found.manifest.teacher for found in opened if all(found is not used for used in of_term.values())]:
        raise TargetsError(f"each --targets must be used by the recipe, {', '.join(unused)} is not. Leave it out.")
    read = {label: labels.read_column(sources, label.column) for label in plan.labels}
    columns = {label: with_copies(column, plan.variants) for label, column in read.items()}
    groups = with_copies(labels.read_column(sources, plan.balance.column), plan.variants) if plan.balance else {}
    folders = _live_folders(plan, live or {})

    def prepare(network: keras.Model) -> tuple[keras.layers.Layer, Callable[..., loop.Batches]]:
        dims = {name: _dim(term, found) for name, (term, found) in _joined(plan, of_term).items()}
        dims |= {label.name: 1 if label.numeric else len(set(columns[label].values())) for label in plan.labels}
        taps = {name: tuple(tap.shape[1:]) for name, tap in network.output.items()}
        teachers = {name: LIVE[name](os.fspath(folder)) for name, folder in folders.items()}
        objective = DistillationObjective(plan, taps, dims, teachers)

        def batches(clips: Cache, change: Augmentation | None) -> Windows:
            for found in opened:
                check_corpus(found, clips)
            values = {label.name: _values(label, columns[label], clips) for label in plan.labels}
            return Windows(
                clips,
                config.network.frontend,
                plan,
                of_term,
                objective.columns,
                values,
                config.batch_size,
                config.seed,
                change,
                labels.classes(groups, clips)[0],
            )

        return objective, batches

    return runs.run(
        varied(corpora.join(sources), plan.variants),
        output,
        config,
        prepare,
        learnt_from=_fingerprints(opened, folders, columns, groups),
        noise=noise,
        cache=cache,
        validate=validate,
        report=report,
        told=told,
        quiet=quiet,
    )


def find_targets(term: Term, opened: Sequence[Targets]) -> Targets:
    """The targets that a term means.

    Raises:
        TargetsError: if none or several are of its teacher, or they do not keep what it compares.
    """
    found = [targets for targets in opened if targets.manifest.teacher.startswith(term.targets)]
    if len(found) != 1:
        given = ", ".join(targets.manifest.teacher for targets in opened) or "none"
        raise TargetsError(
            f"the recipe learns from {term.targets}, and one of --targets must be of it, got {given}. "
            "Make them: trill-distill targets."
        )
    [targets] = found
    kept = targets.clips if term.match == "clip" else targets.frames
    if kept is None:
        raise TargetsError(
            f"{term.name} needs {'clips' if term.match == 'clip' else 'frames'}, the targets of "
            f"{targets.manifest.teacher} keep none. Make them with --keep both."
        )
    return targets


def _joined(plan: Plan, of_term: Mapping[str, Targets]) -> dict[str, tuple[Term, Targets]]:
    return {term.name: (term, of_term[term.name]) for term in plan.teachers if term.targets}


def _dim(term: Term, targets: Targets) -> int:
    return targets.manifest.dim * (2 if term.statistics == "mean+std" else 1)


def _values(label: Any, column: dict[str, str], clips: Cache) -> np.ndarray:
    return labels.numbers(column, clips, label.column) if label.numeric else labels.classes(column, clips)[0]


def _live_folders(plan: Plan, given: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    wanted = dict.fromkeys(term.live for term in plan.teachers if term.live)
    if unknown := [name for name in wanted if name not in LIVE]:
        raise ValueError(f"a live teacher is one of {', '.join(LIVE)}, got {unknown[0]!r}.")
    if missing := [name for name in wanted if name not in given]:
        raise ValueError(f"the recipe learns from {missing[0]}, whose weights are missing: --live {missing[0]}=FOLDER.")
    if empty := [name for name in wanted if not (Path(given[name]) / WEIGHTS).is_file()]:
        raise ValueError(f"weights of {empty[0]} are a folder with {WEIGHTS}, {given[empty[0]]} has none.")
    if unused := [name for name in given if name not in wanted]:
        raise ValueError(f"the recipe does not learn from {unused[0]}. Leave --live {unused[0]} out.")
    return {name: Path(given[name]) for name in wanted}


def _fingerprints(
    opened: Sequence[Targets], folders: Mapping[str, Path], columns: Mapping[Any, Any], groups: Mapping[str, str]
) -> dict[str, str]:
    def digest(value: object) -> str:
        return hashlib.sha256(json.dumps(value, sort_keys=True, default=vars).encode()).hexdigest()

    found = {f"targets of {targets.manifest.teacher}": digest(targets.manifest) for targets in opened}
    found |= {f"teacher {name}": files.sha256(folder / WEIGHTS) for name, folder in folders.items()}
    found |= {f"label {label.column}": digest(values) for label, values in columns.items()}
    return found | ({"balance": digest(groups)} if groups else {})
