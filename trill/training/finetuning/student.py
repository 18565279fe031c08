"""A network with heads while it is fine-tuned: the probe it begins at, its predictions, the loop."""

import contextlib
import dataclasses
import gc
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from trill.networks import saving
from trill.training import checkpoints, loop
from trill.training.checkpoints import BEST, LAST
from trill.training.finetuning import frozen, heads, labelled, layers, scores, windowed
from trill.training.finetuning.labelled import Labelled
from trill.training.finetuning.learner import ClipLearner
from trill.training.finetuning.material import Material
from trill.training.finetuning.settings import Settings
from trill.training.recipes import TrainConfig
from trill.training.runs import Report


@dataclasses.dataclass(eq=False)
class Student:
    """A network with heads, and what its frozen part makes of the clips."""

    material: Material
    network: keras.Model
    parts: layers.Parts
    heads: heads.Heads
    settings: Settings
    stored: np.ndarray | None

    @classmethod
    def of(
        cls, material: Material, network: keras.Model, config: TrainConfig, settings: Settings, *, quiet: bool
    ) -> "Student":
        """With heads that say nothing yet."""
        parts = layers.divide(network, config.objective["unfreeze"])
        clips, train = material.labelled, material.split.train
        weights = {head.name: _weights(head, clips, train) for head in clips.heads if not head.numeric}
        dim = int(parts.upper.output.shape[-1])
        made = heads.Heads(clips.heads, dim, settings.pooling, weights if settings.balanced else {})
        return cls(material, network, parts, made, settings, windowed.features(material.clips, parts.lower, quiet))

    def fit_probe(self) -> float:
        """Fit the heads to the network as it is, and tell the mean of their scores on dev."""
        clips, split = self.material.labelled, self.material.split
        rows = {part: self.embed(getattr(split, part)) for part in ("train", "dev")}
        mean, scale = frozen.standardisation(rows["train"])
        linear, dev = [], []
        for head in clips.heads:
            known = {part: clips.known(head)[getattr(split, part)] for part in rows}
            fitted, best = frozen.fit(
                head,
                {part: (rows[part][known[part]] - mean) / scale for part in rows},
                {part: clips.values[head.name][getattr(split, part)][known[part]] for part in rows},
                balanced=self.settings.balanced,
            )
            linear.append(fitted)
            dev.append(best)
        self.heads.set_linear(mean, scale, linear)
        return float(np.mean(dev))

    def embed(self, rows: np.ndarray) -> np.ndarray:
        """Mean embeddings of clips: `(num_clips, dim)`."""
        found = windowed.embed(self.material.clips, self.parts.lower, self.parts.upper, self.stored, rows)
        return np.stack([windows.mean(axis=0) for windows in found])

    def predict(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """By head, what is said of clips: `(num_clips,)`."""
        found = windowed.embed(self.material.clips, self.parts.lower, self.parts.upper, self.stored, rows)
        longest = int(self.material.clips.counts[rows].max())
        scored: dict[str, list[np.ndarray]] = {head.name: [] for head in self.heads.heads}
        while some := list(itertools.islice(found, windowed.ROWS)):
            windows = np.zeros((len(some), longest, self.heads.dim), np.float32)
            for place, row in zip(windows, some, strict=True):
                place[: len(row)] = row
            mask = (np.arange(longest) < np.array([[len(row)] for row in some])).astype(np.float32)
            for name, values in self.heads.clip_scores(windows, mask).items():
                scored[name].append(keras.ops.convert_to_numpy(values))
        return {head.name: heads.decide(head, np.concatenate(scored[head.name])) for head in self.heads.heads}

    def score(self, rows: np.ndarray) -> float:
        """Mean over the heads of the score that chooses, of clips."""
        said, clips = self.predict(rows), self.material.labelled
        return float(
            np.mean(
                [
                    scores.score(head, clips.values[head.name][rows][known], said[head.name][known])
                    for head in self.heads.heads
                    if (known := clips.known(head)[rows]).any()
                ]
            )
        )

    def restore(self, path: Path) -> None:
        """Take the weights of a network and heads that were saved."""
        self.network.set_weights(saving.load(path)[0].get_weights())
        self.heads.set_weights(heads.load(path, self.heads.dim).get_weights())

    def targets(self) -> dict[str, np.ndarray]:
        """By head, what is learnt of every clip: classes or standardised numbers."""
        values = self.material.labelled.values
        return {
            head.name: (values[head.name] - np.float32(head.center)) / np.float32(head.spread)
            if head.numeric
            else values[head.name]
            for head in self.heads.heads
        }


def _weights(head: labelled.Head, clips: Labelled, train: np.ndarray) -> np.ndarray:
    """Each label's share of the loss is the same; their mean over the clips is 1."""
    column = clips.values[head.name][train]
    counts = np.bincount(column[column >= 0], minlength=head.size)
    weights: np.ndarray = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights


class EnoughError(Exception):
    """Dev has not become better for long enough."""


def fit(
    student: Student,
    config: TrainConfig,
    output: Path,
    done: checkpoints.Progress,
    *,
    fingerprints: Mapping[str, str],
    chosen: np.ndarray | None = None,
    augment: Any = None,
    report: Report | None = None,
    validate: bool = True,
    quiet: bool = False,
) -> None:
    """Run the loop on some clips, by default those of train, until its steps are done or dev has had enough."""
    material, settings = student.material, student.settings
    if validate and stopped(done.rows, settings.patience):
        return
    num_windows = min(settings.max_windows, int(material.clips.counts.max()))
    batches = windowed.ClipBatches(
        material.clips,
        student.stored,
        material.split.train if chosen is None else chosen,
        student.targets(),
        config.batch_size,
        num_windows,
        config.seed,
        augment,
    )
    learner = ClipLearner(
        student.network,
        student.parts,
        student.heads,
        waveforms=batches.gives_waveforms,
        moving_statistics=settings.moving_statistics,
        layer_decay=settings.layer_decay,
        head_rate=settings.head_rate,
    )
    best, rows = done.best, list(done.rows)

    def score(network: keras.Model) -> float:
        """Before the loop writes a network, its heads are beside it; killed in between, it does both again."""
        nonlocal best
        found = student.score(material.split.dev)
        heads.save(student.heads, network, config.network, output / LAST)
        if best is None or found > best:
            best = found
            heads.save(student.heads, network, config.network, output / BEST)
        return found

    def tell(row: dict[str, float]) -> None:
        rows.append(row)
        if report:
            report(row)
        if validate and stopped(rows, settings.patience):
            raise EnoughError

    with contextlib.suppress(EnoughError):
        loop.fit(
            learner,
            batches,
            config,
            output,
            sounds=dict(fingerprints),
            validate=score if validate else None,
            report=tell,
            quiet=quiet,
        )
    gc.collect()  # as the loop does where it ends otherwise


def stopped(rows: Sequence[Mapping[str, float]], patience: int) -> bool:
    """Whether the last `patience` checkpoints were no better than the best before them.

    >>> stopped([{"validation": 0.5}, {"validation": 0.6}, {"validation": 0.6}], patience=1)
    True
    """
    found = [row["validation"] for row in rows]
    return bool(found) and len(found) - 1 - int(np.argmax(found)) >= patience
