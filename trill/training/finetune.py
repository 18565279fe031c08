"""Fine-tuning: an encoder and linear heads on a manifest, against the same heads on the encoder as it was.

The heads begin as the frozen probe that the result is held against, so that a step 0 is the frozen score. What is
frozen is computed once. Speakers of train, dev and test are others; dev stops and chooses, test is looked at once.

A run is a folder of `trill.training.loop`, with

    best.heads.safetensors   heads of best.safetensors, and so for last; `trill-export convert` finds them
    predictions.csv          what was said of each test clip
    result.json              scores, and what was done
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from trill.training import checkpoints, corpora
from trill.training.checkpoints import BEST
from trill.training.finetuning import material as reading
from trill.training.finetuning import outcome
from trill.training.finetuning import settings as defaults
from trill.training.finetuning.material import Material
from trill.training.finetuning.outcome import FROZEN, TUNED, Outcome
from trill.training.finetuning.settings import Settings
from trill.training.finetuning.student import Student, fit
from trill.training.recipes import TrainConfig
from trill.training.runs import Report, make_augmentation


def finetune(
    manifest: str | os.PathLike[str],
    output: str | os.PathLike[str],
    labels: Sequence[str] = ("label",),
    *,
    model: str | os.PathLike[str] = "mobilenet",
    settings: Settings | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    noise: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    told: Callable[[Material], None] | None = None,
    quiet: bool = False,
) -> Outcome:
    """Fine-tune, and judge on speakers that were never heard; the same call goes on with a run that was stopped.

    Args:
        manifest: CSV with `path`, `speaker` and the labels, or a folder with a `manifest.csv`.
        output: the run's folder, made if missing.
        labels: columns, each `COLUMN` or `COLUMN:KIND`, see `labelled.KINDS`.
        model: a network of `trill.networks.saving`; "mobilenet" for the packaged one's, in a checkout.
        settings: how.
        seed: of the split and of batches.
        changes: fields of `TrainConfig` (`steps`, `batch_size`, `augment`, `checkpoint_every`) and of its `Optimizer`
            (`learning_rate`, ...) that are not to go by the number of clips.
        noise: folder or manifest of sounds for the augmentation `noise`.
        cache: folder for decoded sound.
        report: told each line of the log.
        told: told what is learnt from, once it is decoded.
        quiet: no progress bars.

    Raises:
        ValueError: if the manifest does not suffice, see `labelled.read`; or the folder holds another run.
        ModelError: if the model is none that can be trained.
        DivergedError: if the loss is no longer finite.
    """
    settings = settings or Settings()
    material, network, source = reading.read(
        manifest, labels, model, seed, by_clip=settings.by_clip, cache=cache, quiet=quiet
    )
    if told:
        told(material)
    config = defaults.recipe(material, source, settings, seed, changes or {})
    return learn(material, network, config, settings, Path(output), noise=noise, report=report, quiet=quiet)


def learn(
    material: Material,
    network: keras.Model,
    config: TrainConfig,
    settings: Settings,
    output: Path,
    *,
    noise: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    quiet: bool = False,
) -> Outcome:
    """Train in a folder until dev has had enough, then predict test by the best and by the frozen probe."""
    if noise and "noise" not in config.augment:
        raise ValueError("--noise is for the augmentation `noise`. Pass --augment noise, or leave --noise out.")
    sounds = dict(material.fingerprints)
    if noise:
        sounds["noise"] = corpora.open_corpus(noise).fingerprint
    with checkpoints.open_run(output, config, sounds) as done:
        for left in output.glob(".*.heads.[0-9]*.safetensors"):  # of a killed run, half written
            left.unlink()
        if (output / outcome.RESULT).exists():
            return outcome.read(output)
        keras.utils.set_random_seed(config.seed)
        change = make_augmentation(config, noise)
        student = Student.of(material, network, config, settings, quiet=quiet)
        dev = student.fit_probe()
        before = student.predict(material.split.test)
        fit(student, config, output, done, fingerprints=sounds, augment=change, report=report, quiet=quiet)
        rows = checkpoints.read(output / checkpoints.CHECKPOINT).rows
        student.restore(output / BEST)
        after = student.predict(material.split.test)
        facts = _facts(material, config, rows, dev)
        result = judged(material, {FROZEN: before, TUNED: after}, {TUNED: FROZEN}, facts)
        outcome.write(result, output)
    return result


def judged(
    material: Material,
    predictions: Mapping[str, Mapping[str, np.ndarray]],
    against: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Outcome:
    """Predictions of the test clips, with what they are."""
    clips, test = material.labelled, material.split.test
    names, speakers = tuple(clips.names[row] for row in test), tuple(clips.groups[test].tolist())
    return Outcome(clips.heads, names, speakers, material.truth(test), predictions, against, facts)


def _facts(material: Material, config: TrainConfig, rows: Sequence[Mapping[str, float]], dev: float) -> dict[str, Any]:
    split, groups = material.split, material.labelled.groups
    best = max(rows, key=lambda row: row["validation"])  # the first of equals, as the loop keeps it
    return {
        "clips": {part: len(getattr(split, part)) for part in ("train", "dev", "test")},
        "speakers": {part: len(np.unique(groups[getattr(split, part)])) for part in ("train", "dev", "test")},
        "dev frozen": dev,
        "dev fine-tuned": best["validation"],
        "steps": rows[-1]["step"],
        "best step": best["step"],
        "seconds": rows[-1]["seconds"],
        "learning rate": config.optimizer.learning_rate,
        "unfrozen": config.objective["unfreeze"],
        "failed": material.failed,
    }
