"""A run's folder and its state in one safetensors file: weights, optimizer, step, what was logged, what it learns from.

The checkpoint is written whole or not at all, and last: what else the folder holds is as new or newer.
"""

import contextlib
import dataclasses
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy

from trill.errors import ModelError, TrillError
from trill.files import lock, write_atomically
from trill.training.recipes import TrainConfig

CHECKPOINT, LAST, BEST, LOG = "checkpoint.safetensors", "last.safetensors", "best.safetensors", "log.csv"
RECIPE = "recipe.toml"
HEADER_KEY = "trill_run"
GENTLER = "Lower learning_rate, set clip_norm, or train in float32, in another folder."


class DivergedError(TrillError, ArithmeticError):
    """A loss or a weight that is no number."""


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        step: steps done.
        rows: of the log, one a checkpoint.
        best: highest validation score so far, None without any.
        recipe: what is trained, TOML.
        sounds: fingerprints of what it is trained on.
    """

    step: int = 0
    rows: tuple[dict[str, float], ...] = ()
    best: float | None = None
    recipe: str = ""
    sounds: dict[str, str] = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def open_run(output: Path, config: TrainConfig, sounds: dict[str, str], *, lead: bool = True) -> Iterator[Progress]:
    """Lock a run's folder, made if missing, and tell how far the run in it is.

    Where the block is stopped, by Ctrl-C or a full disk or a loss that is no number, a note tells what is kept.

    Args:
        output: the folder.
        config: what is to be trained.
        sounds: fingerprints of what it is to be trained on.
        lead: whether this worker holds the folder and writes to it; of several, one does.

    Raises:
        BlockingIOError: if another process trains there.
        ModelError: if its checkpoint is damaged.
        OSError: if it cannot be a folder.
        ValueError: if its checkpoint is of another recipe or other sounds.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"a run is a folder, {output} cannot be one: {error.strerror}. Choose another.") from None
    with lock(output / ".lock") if lead else contextlib.nullcontext():
        for name in (CHECKPOINT, LAST, BEST, LOG, RECIPE) if lead else ():  # of a killed run, half written
            for left in output.glob(f".{Path(name).stem}.[0-9]*{Path(name).suffix}"):
                left.unlink()
        done = read(output / CHECKPOINT)
        _check_same(done, config, sounds, output)
        try:
            yield done
        except (DivergedError, KeyboardInterrupt, OSError) as error:
            kept = read(output / CHECKPOINT).step
            again = "" if isinstance(error, DivergedError) else " The same command goes on from there."
            if kept:
                error.add_note(f"{output} keeps the checkpoint of step {kept:,}.{again}")
            elif isinstance(error, KeyboardInterrupt):
                error.add_note(f"{output} has no checkpoint yet.")
            raise


def read(path: Path) -> Progress:
    """How far the run of a checkpoint is; not begun if there is none.

    Raises:
        ModelError: if the file is damaged.
    """
    if not path.exists():
        return Progress()
    with _opened(path) as file:
        return _progress(file, path)


def snapshot(learner: keras.Model, step: int) -> dict[str, np.ndarray]:
    """Weights and the optimizer's state, by name.

    Raises:
        DivergedError: if one is not finite.
    """
    tensors = {name: np.asarray(variable.numpy()) for name, variable in _variables(learner).items()}
    bad = [name for name, tensor in tensors.items() if tensor.dtype.kind == "f" and not np.isfinite(tensor).all()]
    if bad:
        raise DivergedError(f"weights must be finite, {len(bad)} are not after step {step:,}, as {bad[0]}. {GENTLER}")
    return tensors


def save(tensors: dict[str, np.ndarray], progress: Progress, path: Path) -> None:
    """Write a snapshot.

    Raises:
        OSError: if it cannot be written; the file that was there is kept.
    """
    header = {HEADER_KEY: json.dumps(dataclasses.asdict(progress))}
    with write_atomically(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(tensors, metadata=header))


def restore(learner: keras.Model, path: Path) -> Progress:
    """Set the state of a compiled model, whose optimizer is built, from a checkpoint, and tell how far it was.

    Raises:
        ModelError: if the file is damaged, or of another network or optimizer; nothing is changed then.
    """
    variables = _variables(learner)
    with _opened(path) as file:
        progress = _progress(file, path)
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 not iterable
        expected = {name: tuple(variable.shape) for name, variable in variables.items()}
        if differing := [name for name in expected | found if found.get(name) != expected.get(name)]:
            name = differing[0]
            raise ModelError(
                f"a checkpoint must be of this run's network, {path} is of another: {name} is "
                f"{found.get(name, 'missing')}, not {expected.get(name, 'there')}. Choose another output folder."
            )
        for name, variable in variables.items():
            variable.assign(file.get_tensor(name))
    return progress


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            yield file
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is no sound checkpoint: {error}. Remove it to begin anew: rm {path}") from error


def _progress(file: Any, path: Path) -> Progress:
    try:
        fields = json.loads(file.metadata()[HEADER_KEY])
        return Progress(**{**fields, "rows": tuple(fields["rows"])})
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is no checkpoint of a run: {error!r}. Choose another output folder.") from error


def _check_same(done: Progress, config: TrainConfig, sounds: dict[str, str], output: Path) -> None:
    """A run goes on as it began. What its checkpoint does not say is not checked."""
    way_out = "Choose another folder, or go on with the command that began it."
    if done.recipe:
        began, now = _flat(TrainConfig.from_toml(done.recipe, f"the recipe in {output / CHECKPOINT}")), _flat(config)
        for name in began | now:
            then, asked = began.get(name), now.get(name)
            if then != asked:
                raise ValueError(f"{output} holds a run with {name} = {then!r}, not {asked!r}. {way_out}")
    for kind in done.sounds and done.sounds | sounds:
        if done.sounds.get(kind) != sounds.get(kind):
            raise ValueError(
                f"{output} holds a run on other sound: the {kind} is another, or files were added, removed, moved or "
                f"changed. {way_out}"
            )


def _flat(config: TrainConfig) -> dict[str, Any]:
    """Settings by their dotted names, and the order of augmentations, which a dict's equality does not see."""

    def flat(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {name: value}
        inner = (flat(value[key], f"{name}.{key}" if name else key) for key in value)
        return {key: found for table in inner for key, found in table.items()}

    return {"augment": list(config.augment), **flat(tomllib.loads(config.to_toml()), "")}


def _variables(learner: keras.Model) -> dict[str, Any]:
    """Weights and the optimizer's state, by names that do not depend on what else was built in the process."""
    weights = {variable.path: variable for variable in learner.variables}
    if len(weights) < len(learner.variables):
        raise ValueError("layers of network and objective must have names of their own, two have the same.")
    # An optimizer numbers itself; its variables are in the order of the weights.
    state = {f"optimizer/{number:05d}": variable for number, variable in enumerate(learner.optimizer.variables)}
    return weights | state
