"""Fine-tuning for each speaker: one network for all, then each speaker alone at a tiny rate (Shor et al. 2020).

A folder with `global/`, a run of `trill.training.finetune`, and `speakers/NAME/`, a run each, of which the network
`last.safetensors` with its heads is kept.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trill import files
from trill.progress import progress
from trill.training import checkpoints, finetune
from trill.training.checkpoints import BEST, CHECKPOINT, LAST
from trill.training.finetuning import heads, outcome, splits
from trill.training.finetuning import material as reading
from trill.training.finetuning import settings as defaults
from trill.training.finetuning import student as students
from trill.training.finetuning.labelled import Head
from trill.training.finetuning.material import Material
from trill.training.finetuning.outcome import FROZEN, TUNED, Outcome
from trill.training.finetuning.settings import Settings
from trill.training.finetuning.student import Student
from trill.training.recipes import Optimizer, TrainConfig
from trill.training.runs import Report

GLOBAL, OWN = "global", "per speaker"
# The paper's 10,000 steps of 2e-8 move a weight as far, and take fifty times as long.
RATE, STEPS = 1e-6, 200
SAID = "predictions.json"


def per_speaker(
    manifest: str | os.PathLike[str],
    output: str | os.PathLike[str],
    labels: Sequence[str] = ("label",),
    *,
    model: str | os.PathLike[str] = "mobilenet",
    settings: Settings | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    rate: float = RATE,
    steps: int = STEPS,
    cache: str | os.PathLike[str] | None = None,
    report: Report | None = None,
    told: Callable[[Material], None] | None = None,
    quiet: bool = False,
) -> Outcome:
    """Fine-tune on all speakers' clips, then on each speaker's; the same call goes on with what was stopped.

    A tenth of each speaker's clips judges, a tenth chooses the global network. The frozen probe learns from the clips
    that the global network learns from.

    Args:
        manifest: as `finetune.finetune`, and so those that are not told of.
        output: the folder.
        labels: columns.
        model: what is trained.
        settings: how.
        seed: of the split and of batches.
        changes: to the global run's recipe.
        rate: Adam's for a speaker alone.
        steps: of a speaker alone, without choosing among them: a tenth of his clips is too few for that.
        cache: folder for decoded sound.
        report: told each line of the global run's log.
        told: told what is learnt from.
        quiet: no progress bars.

    Returns:
        Predictions "frozen", "global" and "per speaker" of test clips, and in the facts how many speakers are better,
        unchanged and worse.

    Raises:
        ValueError: as `finetune.finetune`; if speakers are unknown or are the label.
    """
    settings, output = settings or Settings(), Path(output)
    material, network, source = reading.read(
        manifest,
        labels,
        model,
        seed,
        by_clip=settings.by_clip,
        cache=cache,
        quiet=quiet,
        split=splits.within_speakers,
    )
    if told:
        told(material)
    config = defaults.recipe(material, source, settings, seed, changes or {})
    whole = finetune.learn(material, network, config, settings, output / "global", report=report, quiet=quiet)
    student = Student.of(material, network, config, settings, quiet=quiet)
    own: dict[str, np.ndarray] = {name: said.copy() for name, said in whole.predictions[TUNED].items()}
    speakers = material.labelled.speakers
    tested = np.unique(speakers[material.split.test])
    with progress(enumerate(tested), total=len(tested), unit="speakers", quiet=quiet) as bar:
        for number, speaker in bar:
            folder = output / "speakers" / f"{number:04d}-{re.sub(r'[^A-Za-z0-9]+', '-', speaker)[:40]}"
            rows = {part: _own(material, part, speaker) for part in ("train", "test")}
            small = _alone(config, len(rows["train"]), rate, steps)
            for name, said in alone(student, small, folder, output / "global" / BEST, rows).items():
                own[name][speakers[material.split.test] == speaker] = said
    result = finetune.judged(
        material,
        {FROZEN: whole.predictions[FROZEN], GLOBAL: whole.predictions[TUNED], OWN: own},
        {GLOBAL: FROZEN, OWN: GLOBAL},
        {**whole.facts, "speakers alone": {"learning rate": rate, "steps": steps}},
    )
    changed = {
        head.column: {f"{one} - {other}": counts(result, head, one, other) for one, other in PAIRS}
        for head in result.heads
    }
    result = dataclasses.replace(result, facts={**result.facts, "speakers changed": changed})
    outcome.write(result, output)
    return result


PAIRS = ((GLOBAL, FROZEN), (OWN, GLOBAL), (OWN, FROZEN))


def _own(material: Material, part: str, speaker: str) -> np.ndarray:
    rows: np.ndarray = getattr(material.split, part)
    return rows[material.labelled.speakers[rows] == speaker]


def _alone(config: TrainConfig, num_clips: int, rate: float, steps: int) -> TrainConfig:
    optimizer = Optimizer(learning_rate=rate)
    batch = min(config.batch_size, num_clips)
    return dataclasses.replace(config, optimizer=optimizer, steps=steps, checkpoint_every=steps, batch_size=batch)


def alone(
    student: Student, config: TrainConfig, folder: Path, begin: Path, rows: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Train on a speaker's clips from a global network on, and predict his test clips.

    Raises:
        ValueError: if the folder holds another run.
    """
    sounds = {**student.material.fingerprints, "global network": files.sha256(begin)}
    of_run = {"recipe": config.to_toml(), "sounds": sounds}
    with checkpoints.open_run(folder, config, sounds) as done:
        if (folder / SAID).exists():
            kept = json.loads((folder / SAID).read_text(encoding="utf-8"))
            if {name: kept.get(name) for name in of_run} != of_run:
                raise ValueError(f"{folder} holds another run. Choose another folder, or go on as it began.")
            return {
                head.name: np.array(kept["said"][head.name], np.float32 if head.numeric else np.int32)
                for head in student.heads.heads
            }
        student.restore(begin)
        students.fit(
            student, config, folder, done, chosen=rows["train"], validate=False, fingerprints=sounds, quiet=True
        )
        heads.save(student.heads, student.network, config.network, folder / LAST)
        said = student.predict(rows["test"])
        with files.write_atomically(folder / SAID) as temporary:
            content = {**of_run, "said": {name: column.tolist() for name, column in said.items()}}
            temporary.write_text(json.dumps(content), encoding="utf-8")
        (folder / CHECKPOINT).unlink()  # of many speakers, they would fill a disk
    return said


def counts(result: Outcome, head: Head, one: str, other: str) -> dict[str, int]:
    """How many speakers are better, unchanged and worse with one prediction than with another.

    By the share of a speaker's test clips that are right, or by the mean absolute error.
    """
    truth, speakers = result.truth[head.name], np.array(result.speakers)
    errors = {}
    for name in (one, other):
        said = result.predictions[name][head.name]
        errors[name] = abs(said - truth) if head.numeric else (said != truth).astype(float)
    known = ~np.isnan(truth) if head.numeric else truth >= 0
    change = np.array(
        [(errors[one] - errors[other])[known & (speakers == speaker)].sum() for speaker in np.unique(speakers[known])]
    )
    better, worse = int((change < 0).sum()), int((change > 0).sum())
    return {"better": better, "unchanged": len(change) - better - worse, "worse": worse}
