"""TRILL on a folder of anyone's sound: the paper's objective from corpus to trained network."""

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from trill import audio, manifests, probe
from trill.networks import saving
from trill.networks.frontend import FrontendConfig
from trill.training import augment, checkpoints, corpora, loop, scale
from trill.training.cache import Cache, open_cache
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
    output = Path(output)
    frontend = config.network.frontend
    corpus = corpora.open_corpus(os.fspath(source))
    sounds = {"corpus": corpus.fingerprint}
    if noise:
        if "noise" not in config.augment:
            raise ValueError(
                "noise is for recipes with the augmentation `noise`, this one has none. Leave --noise out."
            )
        sounds["noise"] = corpora.open_corpus(os.fspath(noise)).fingerprint
    with (
        scale.scope(),
        checkpoints.open_run(output, config, sounds, lead=scale.is_chief()) as done,
        _precision(config.precision),
    ):
        if done.step >= config.steps:
            return done
        # What costs little comes before the corpus is decoded, for it may be wrong.
        change = make_augmentation(config, noise)
        keras.utils.set_random_seed(config.seed)
        network, objective = saving.build(config.network), make_objective(config.objective)
        scale.synchronize_batch_norm(network)
        score = make_probe(validate, frontend) if validate else None
        clips = open_cache(corpus, cache, frontend.sample_rate, quiet=quiet)
        if told:
            told(clips)
        if not scale.is_chief():
            report, quiet = None, True
        batches = Pairs(
            clips, frontend.window_samples, config.batch_size, config.seed, config.max_separation_seconds, change
        )
        learner = loop.Learner(network, objective)
        return loop.fit(learner, batches, config, output, sounds=sounds, validate=score, report=report, quiet=quiet)


def make_augmentation(config: TrainConfig, noise: str | os.PathLike[str] | None) -> Augmentation | None:
    """That of a recipe, with the sounds of `noise` in memory; None where it has none."""
    rate = config.network.frontend.sample_rate
    sounds = read_all(noise, rate) if noise else []
    return augment.build(config.augment, sounds, rate) if config.augment else None


def read_all(source: str | os.PathLike[str], sample_rate: int) -> list[np.ndarray]:
    """The sounds of a folder or manifest, `(num_samples,)` float32 each, in memory."""
    return [audio.read(clip.path, target_rate=sample_rate) for clip in manifests.find_clips([source])]


def make_probe(source: str | os.PathLike[str], frontend: FrontendConfig) -> Callable[[keras.Model], float]:
    """A function that scores a network: unweighted average recall in [0, 1], from the tap `embedding`."""
    clips = probe.read_labels(source)
    waveforms = list(probe.read_clips(clips, frontend.sample_rate))

    def score(network: keras.Model) -> float:
        # Twice as fast as a call of the network, on TensorFlow and on JAX.
        embed = lambda windows: network.predict_on_batch(windows)["embedding"]  # noqa: E731
        # Windows side by side: overlap costs time and tells a probe little.
        window = frontend.window_samples
        return probe.recall(probe.embed_clips(embed, waveforms, window, window), clips.labels, clips.speakers)

    return score


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


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
