"""TRILL on a folder of anyone's sound: the paper's objective from corpus to trained network."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import keras

from trill.training import checkpoints, corpora, runs
from trill.training.cache import Cache
from trill.training.effects import Augmentation
from trill.training.recipes import TrainConfig
from trill.training.sampling import Pairs
from trill.training.triplet import TripletObjective

OBJECTIVES: dict[str, Callable[..., keras.layers.Layer]] = {"triplet": TripletObjective}


def train(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    config: TrainConfig,
    *,
    noise: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    validate: str | os.PathLike[str] | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
    told: Callable[[Cache], None] | None = None,
    quiet: bool = False,
) -> checkpoints.Progress:
    """Train a network on unlabelled sound; the same call goes on with a run that was stopped.

    The same seed, sound, versions and machine give the same weights, stopped or not. Several devices and workers share
    the batch, see `scale.scope`.

    Args:
        source: what `corpora.open_corpus` takes: a folder, a manifest, TFRecords, `tfds:NAME`.
        output: the run's folder, made if missing; see `trill.training.loop` for what it holds.
        config: what is trained, and how.
        noise: folder or manifest of sounds for the augmentation `noise`.
        cache: folder for decoded sound; `cache.default_folder()` if None.
        validate: labelled clips for a quick probe at every checkpoint, what `probe.read_labels` takes.
        report: told each line of the log.
        told: told the corpus, once it is decoded.
        quiet: no progress bars.

    Raises:
        ValueError: if the run's folder holds a run of another configuration or corpus, or the corpus does not fit this
            configuration.
        BlockingIOError: if another process trains there.
        DivergedError: if the loss or a weight is no longer finite.
    """
    frontend = config.network.frontend

    def pairs(clips: Cache, change: Augmentation | None) -> Pairs:
        return Pairs(
            clips, frontend.window_samples, config.batch_size, config.seed, config.max_separation_seconds, change
        )

    return runs.run(
        corpora.open_corpus(os.fspath(source)),
        output,
        config,
        lambda network: (make_objective(config.objective), pairs),
        noise=noise,
        cache=cache,
        validate=validate,
        report=report,
        told=told,
        quiet=quiet,
    )


def make_objective(fields: dict[str, Any]) -> keras.layers.Layer:
    """The row `kind` of `OBJECTIVES`, with its arguments.

    Raises:
        ValueError: if there is no such row, or it takes no such arguments.
    """
    arguments = dict(fields)
    kind = arguments.pop("kind", None)
    if kind not in list(OBJECTIVES):
        raise ValueError(f"[objective] needs a kind, one of {', '.join(OBJECTIVES)}, got {kind!r}.")
    accepted = inspect.signature(OBJECTIVES[kind]).parameters
    if unknown := arguments.keys() - accepted.keys():
        raise ValueError(f"the objective {kind} takes {', '.join(accepted)}, got {', '.join(sorted(unknown))}.")
    try:
        return OBJECTIVES[kind](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the objective {kind} cannot be, with {arguments}: {error}") from error
