"""What a student is held to, inside the step: heads, losses, teachers that run along."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from distill.recipes import Plan, Term
from trill.training.triplet import TripletObjective

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class LiveTeacher:
    """A frozen network that runs in the step.

    Args:
        run: waveform `(batch, num_samples)` to map `(batch, time, frequency, channels)`. A function: the weights in it
            are not the objective's, so they are neither trained nor kept in checkpoints.
        shape: of the map, without the batch.
    """

    run: Callable[[Any], Any]
    shape: Shape


def cosine(prediction: Any, target: Any) -> Any:
    """Cosine of each row: `(..., dim)` twice to `(...)`."""
    return ops.sum(ops.normalize(prediction, axis=-1) * ops.normalize(target, axis=-1), axis=-1)


# (prediction, target), both (..., dim) -> a number
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mse": lambda prediction, target: ops.mean(ops.square(prediction - target)),
    "cosine": lambda prediction, target: 1.0 - ops.mean(cosine(prediction, target)),
    "l1+cosine": lambda prediction, target: (
        ops.mean(ops.abs(prediction - target)) - ops.mean(ops.log_sigmoid(cosine(prediction, target)))
    ),
}


class DistillationObjective(keras.layers.Layer):
    """A weighted sum of terms, each with a linear head of its own on a tap of the student.

    Args:
        plan: the terms.
        taps: shapes of the student's taps, without the batch.
        dims: values of what each term with targets, and each label that is a class, predicts, by name.
        live: teachers that run in the step, frozen, by the name in `Term.live`.

    Raises:
        ValueError: if the student has no such tap, or the tap no such shape.
    """

    def __init__(
        self,
        plan: Plan,
        taps: Mapping[str, Shape],
        dims: Mapping[str, int],
        live: Mapping[str, LiveTeacher] | None = None,
    ) -> None:
        super().__init__(dtype="float32", name="distillation")
        self.plan = plan
        self.figures = tuple(term.name for term in plan.terms)
        self.live = dict(live or {})
        for term in plan.terms:
            _check_tap(term, taps)
        self.columns = {term.name: taps[term.tap][0] for term in plan.teachers if term.match == "columns"}
        sizes = {term.name: _live_dim(term, self.live[term.live].shape, taps) for term in plan.teachers if term.live}
        self.heads = {
            name: keras.layers.Dense(dim, name=f"head_{name}", dtype="float32")
            for name, dim in {**dims, **sizes}.items()
        }
        self.triplet = TripletObjective(plan.triplet.margin) if plan.triplet else None

    def call(self, outputs: Any, targets: Any) -> dict[str, Any]:
        """The loss, and each term before it is weighed.

        Args:
            outputs: the student's taps.
            targets: by term; for live teachers the waveforms "clean" and "augmented"; for labels, -1 or NaN where
                there is none; for triplets "clips".
        """
        outputs = {name: ops.cast(tap, "float32") for name, tap in outputs.items()}
        maps = self._listen(targets)
        figures = {}
        for term in self.plan.teachers:
            target = self._of_live(term, maps[term.live, term.hears]) if term.live else targets[term.name]
            prediction = self.heads[term.name](_seen(term, outputs[term.tap]))
            figures[term.name] = LOSSES[term.loss](prediction, target)
        for label in self.plan.labels:
            score = self.heads[label.name](_flat(outputs[label.tap]))
            figures[label.name] = (_squared if label.numeric else _cross_entropy)(score, targets[label.name])
        if self.triplet is not None and self.plan.triplet is not None:
            embedding = {"embedding": _flat(outputs[self.plan.triplet.tap])}
            figures["triplet"] = self.triplet(embedding, targets["clips"])["loss"]
        loss = sum(term.weight * figures[term.name] for term in self.plan.terms)
        return {"loss": loss, **figures}

    def _listen(self, targets: Any) -> dict[tuple[str, str], Any]:
        """Standardised maps of the live teachers, each made once."""
        wanted = dict.fromkeys((term.live, term.hears) for term in self.plan.teachers if term.live)
        return {(name, hears): _standardised(self.live[name].run(targets[hears])) for name, hears in wanted}

    def _of_live(self, term: Term, found: Any) -> Any:
        if term.match == "places":
            return found
        rows = ops.reshape(found, (-1, found.shape[1], found.shape[2] * found.shape[3]))
        if term.match == "columns":
            return _to_columns(rows, self.columns[term.name])
        mean = ops.mean(rows, axis=1)
        return ops.concatenate([mean, ops.std(rows, axis=1)], axis=1) if term.statistics == "mean+std" else mean


def _standardised(found: Any) -> Any:
    """Each channel over the batch, as it is: one scale for all places keeps what is loud loud."""
    found = ops.stop_gradient(ops.cast(found, "float32"))
    mean, variance = ops.moments(found, axes=(0, 1, 2), keepdims=True)
    return (found - mean) * ops.rsqrt(variance + 1e-3)


def _seen(term: Term, tap: Any) -> Any:
    """A tap as its head takes it."""
    if term.match == "places":
        return tap
    return ops.reshape(tap, (-1, tap.shape[1], tap.shape[2] * tap.shape[3])) if term.match == "columns" else _flat(tap)


def _flat(tap: Any) -> Any:
    return ops.reshape(tap, (-1, math.prod(tap.shape[1:])))


def _to_columns(rows: Any, columns: int) -> Any:
    """`(batch, k * columns, dim)` to the mean of each k."""
    return ops.mean(ops.reshape(rows, (-1, columns, rows.shape[1] // columns, rows.shape[2])), axis=2)


def _cross_entropy(logits: Any, classes: Any) -> Any:
    known = ops.cast(classes >= 0, "float32")
    loss = keras.losses.sparse_categorical_crossentropy(ops.maximum(classes, 0), logits, from_logits=True)
    return ops.sum(loss * known) / ops.maximum(ops.sum(known), 1.0)


def _squared(prediction: Any, values: Any) -> Any:
    known = ops.logical_not(ops.isnan(values))
    error = ops.square(prediction[:, 0] - ops.where(known, values, 0.0)) * ops.cast(known, "float32")
    return ops.sum(error) / ops.maximum(ops.sum(ops.cast(known, "float32")), 1.0)


def _check_tap(term: Any, taps: Mapping[str, tuple[int, ...]]) -> None:
    if term.tap not in taps:
        raise ValueError(f"tap of {term.name} must be one of {', '.join(taps)}, got {term.tap!r}.")
    if isinstance(term, Term) and term.match in ("columns", "places") and len(taps[term.tap]) != 3:
        raise ValueError(
            f"{term.match} of {term.name} need a map (time, frequency, channels), {term.tap} is {taps[term.tap]}."
        )


def _live_dim(term: Term, shape: Shape, taps: Mapping[str, Shape]) -> int:
    """Values that the head of a live teacher predicts, once the shapes fit."""
    time, frequency, channels = shape
    if term.match == "places":
        if taps[term.tap][:2] != shape[:2]:
            raise ValueError(
                f"places need maps of one shape, {term.live} has {time} x {frequency}, {term.tap} is "
                f"{' x '.join(map(str, taps[term.tap]))}. Match columns, or take another tap."
            )
        return channels
    if term.match == "columns" and time % taps[term.tap][0]:
        raise ValueError(
            f"columns of {term.live}, {time}, must be a multiple of those of {term.tap}, {taps[term.tap][0]}. "
            "Match the window."
        )
    return frequency * channels * (2 if term.statistics == "mean+std" else 1)


def yamnet(folder: str) -> LiveTeacher:
    """YAMNet's layer 10, from weights in a folder."""
    from distill.teachers.yamnet import yamnet_layer10
    from trill.networks.frontend import FRONTENDS, log_mel

    network = yamnet_layer10(folder)
    return LiveTeacher(lambda waveform: network(log_mel(waveform, FRONTENDS["yamnet"])), (12, 8, 256))


# Teachers that are small enough to run in the step.
LIVE: dict[str, Callable[[str], LiveTeacher]] = {"yamnet": yamnet}
