"""A run from sound to trained network, whatever it learns: the same checks, cache, checkpoints and loop for each."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from trill import audio, manifests, probe
from trill.networks import saving
from trill.networks.frontend import FrontendConfig
from trill.training import augment, checkpoints, corpora, loop, scale
from trill.training.cache import Cache, open_cache
from trill.training.corpora import Corpus
from trill.training.effects import Augmentation
from trill.training.recipes import TrainConfig

Report = Callable[[dict[str, float]], None]
Prepare = Callable[[keras.Model], tuple[keras.layers.Layer, Callable[[Cache, Augmentation | None], loop.Batches]]]


def run(
    corpus: Corpus,
    output: str | os.PathLike[str],
    config: TrainConfig,
    prepare: Prepare,
    *,
    learnt_from: Mapping[str, str] | None = None,
    noise: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    validate: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    told: Callable[[Cache], None] | None = None,
    quiet: bool = False,
) -> checkpoints.Progress:
    """Train a network; the same call goes on with a run that was stopped.

    Args:
        corpus: the sound.
        output: the run's folder, made if missing; see `trill.training.loop` for what it holds.
        config: what is trained, and how.
        prepare: from the network to its objective, as `loop.Learner` takes it, and to what makes batches of the decoded
            corpus and the augmentation.
        learnt_from: fingerprints of what else it learns from, by kind.
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
    sounds = {"corpus": corpus.fingerprint, **(learnt_from or {})}
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
        network = saving.build(config.network)
        objective, make_batches = prepare(network)
        scale.synchronize_batch_norm(network)
        score = make_probe(validate, frontend) if validate else None
        clips = open_cache(corpus, cache, frontend.sample_rate, quiet=quiet)
        if told:
            told(clips)
        if not scale.is_chief():
            report, quiet = None, True
        batches, learner = make_batches(clips, change), loop.Learner(network, objective, config.shards)
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


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
