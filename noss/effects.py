"""What a model adds to the scores, whatever the task."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from noss.statistics import check_level, finite
from trill.errors import optional

special = optional("scipy.special", "noss")


@dataclasses.dataclass(frozen=True)
class ModelEffect:
    """What a model adds to the score of a task, in the unit of the scores, with the interval of a t-distribution."""

    model: str
    effect: float
    standard_error: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ModelEffects:
    """A linear regression of scores on model and task.

    Attributes:
        effects: of each model, the best first.
        reference: the model they are relative to, or None for the mean of the models.
        r_squared: share of the variance of the scores that model and task explain.
        residual: standard deviation of what they leave.
        degrees: scores less coefficients.
        num_tasks, num_scores: that it rests on.
    """

    effects: tuple[ModelEffect, ...]
    reference: str | None
    r_squared: float
    residual: float
    degrees: int
    num_tasks: int
    num_scores: int

    def __str__(self) -> str:
        lines = (f"{e.effect:+8.3f} ± {e.standard_error:.3f}  {e.model}" for e in self.effects)
        return "\n".join([*lines, f"R² = {self.r_squared:.1%}, {self.num_scores} scores on {self.num_tasks} tasks"])


def model_effects(
    scores: ArrayLike,
    models: Sequence[str],
    tasks: Sequence[str],
    *,
    reference: str | None = None,
    level: float = 0.95,
) -> ModelEffects:
    """What each model adds, whatever the task: ordinary least squares of score on model and task.

    `score = task + effect of the model + residual` (Shor et al. 2020, arXiv:2002.12764, who find R² = 91 %). Tasks
    count equally, so do not mix metrics of other units; one residual variance is assumed for all.

    Args:
        scores: `(num_scores,)`.
        models: `(num_scores,)` names.
        tasks: `(num_scores,)` names. A missing cell is a missing row; several scores of a cell are several rows.
        reference: a model to be relative to; None for the mean of the models.
        level: of the intervals.

    Raises:
        ValueError: if a score is not finite; if some models share no task with the others, not even by way of
            third ones; if there are not more scores than coefficients, or all are equal.

    >>> rows = [("trill", "emotion", 68), ("trill", "language", 88), ("mfcc", "emotion", 53), ("mfcc", "language", 79)]
    >>> models, tasks, scores = zip(*rows)
    >>> print(model_effects(scores, models, tasks))
      +6.000 ± 1.500  trill
      -6.000 ± 1.500  mfcc
    R² = 98.7%, 4 scores on 2 tasks
    """
    check_level(level)
    y = finite("scores", scores)
    if not len(y) == len(models) == len(tasks):
        raise ValueError(
            f"each score needs a model and a task, got {len(y)}, {len(models)} and {len(tasks)}. Leave out empty cells."
        )
    names, model = np.unique(np.asarray(models), return_inverse=True)
    task_names, task = np.unique(np.asarray(tasks), return_inverse=True)
    if reference is not None and reference not in names:
        raise ValueError(f"reference must be one of the models, got {reference!r}. There are {', '.join(names)}.")
    _check_connected(names, model, task)
    num_coefficients = len(names) + len(task_names) - 1
    degrees = len(y) - num_coefficients
    if degrees < 1 or np.ptp(y) == 0:
        raise ValueError(
            f"effects need more scores than the {num_coefficients} coefficients of {len(names)} models and "
            f"{len(task_names)} tasks, and not all equal, got {len(y)} of {len(np.unique(y))} values. Add tasks."
        )
    design = np.column_stack([np.eye(len(names))[model], np.eye(len(task_names))[task][:, 1:]])
    inverse = np.linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ y
    squares = float(((y - design @ coefficients) ** 2).sum())
    others = np.full(len(names), 1 / len(names)) if reference is None else (names == reference).astype(float)
    contrasts = np.eye(len(names), num_coefficients)
    contrasts[:, : len(names)] -= others
    effects = contrasts @ coefficients
    errors = np.sqrt(np.einsum("ij,jk,ik->i", contrasts, inverse, contrasts).clip(0) * squares / degrees)
    reach = special.stdtrit(degrees, (1 + level) / 2) * errors
    order = np.argsort(-effects, kind="stable")
    return ModelEffects(
        tuple(
            ModelEffect(
                str(names[i]), *map(float, (effects[i], errors[i], effects[i] - reach[i], effects[i] + reach[i]))
            )
            for i in order
        ),
        reference,
        1 - squares / float(((y - y.mean()) ** 2).sum()),
        float(np.sqrt(squares / degrees)),
        degrees,
        len(task_names),
        len(y),
    )


def _check_connected(names: np.ndarray, model: np.ndarray, task: np.ndarray) -> None:
    """Two models can be compared if a chain of shared tasks leads from the one to the other."""
    reached = np.zeros(len(names), bool)
    reached[0] = True
    for _ in names:
        reached[model[np.isin(task, task[reached[model]])]] = True
    if not reached.all():
        raise ValueError(
            f"models must share tasks, {', '.join(names[reached])} share none with {', '.join(names[~reached])}. "
            "Score one of these on a task of the others."
        )
