"""Windows of clips, with what teachers and labels say of them: a function of seed and step."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.recipes import Plan
from distill.targets import Targets, TargetsError
from distill.variants import is_copy
from trill.networks.frontend import FrontendConfig
from trill.training.cache import Cache
from trill.training.effects import Augmentation

SCALE_ROWS = 20_000  # that whitening looks at, evenly spread
TAIL_SECONDS = 0.5  # of silence after a clip, where no targets say how long it is


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Batches of windows, drawn with a chance in proportion to how much of them a clip has, copies beside originals.

    Args:
        cache: the clips.
        frontend: the student's.
        plan: what is compared.
        targets: by term.
        columns: of the student, by term that matches columns.
        labels: `(num_clips,)` each, by term.
        batch_size: windows.
        seed: another seed is another stream.
        augment: applied to what the student hears; None to leave it.
        groups: `(num_clips,)`, which of the groups that are balanced a clip is of; None where the plan balances none.

    Raises:
        TargetsError: if the frames of targets do not fit the window or each other.
    """

    cache: Cache
    frontend: FrontendConfig
    plan: Plan
    targets: Mapping[str, Targets]
    columns: Mapping[str, int]
    labels: Mapping[str, np.ndarray]
    batch_size: int
    seed: int = 0
    augment: Augmentation | None = None
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self._grid > self.frontend.window_samples:
            hops = {term: self.targets[term].manifest.hop_samples for term in self._framed}
            raise TargetsError(
                f"frames of all targets must begin together once a window ({self.frontend.window_samples} samples), "
                f"their hops are {hops}. Write targets with hops that divide each other, or match clips."
            )
        if self.plan.triplet and self.batch_size % 2:
            raise ValueError(f"triplets need an even batch_size, two windows a clip, got {self.batch_size}.")

    def __call__(self, step: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Windows `(batch_size, window_samples)` float32 as the student hears them, and targets by term."""
        rng = np.random.default_rng([self.seed, step])
        pair = 2 if self.plan.triplet else 1
        clips = np.repeat(np.searchsorted(self._chances, rng.random(self.batch_size // pair), side="right"), pair)
        starts = rng.integers(0, self._room[clips]) * self._grid
        length = self.frontend.window_samples
        clean = np.stack(
            [self.cache.window(c, s, length) for c, s in zip(clips.tolist(), starts.tolist(), strict=True)]
        )
        heard = np.stack([self.augment(window, rng) for window in clean]) if self.augment else clean
        targets: dict[str, Any] = {name: self._targets(name, clips, starts) for name in self.targets}
        targets |= {name: values[clips] for name, values in self.labels.items()}
        hears = {term.hears for term in self.plan.teachers if term.live}
        targets |= {name: sound for name, sound in (("clean", clean), ("augmented", heard)) if name in hears}
        return heard, targets | ({"clips": clips.astype(np.int32)} if self.plan.triplet else {})

    def _targets(self, name: str, clips: np.ndarray, starts: np.ndarray) -> np.ndarray:
        targets, term, scale = self.targets[name], self._terms[name], self._scales[name]
        if term.match == "clip":
            return np.stack([targets.clip(clip) for clip in clips]) * scale
        hop = targets.manifest.hop_samples
        count = -(-self._span // hop)
        frames = np.stack([targets.window(c, s // hop, count) for c, s in zip(clips, starts, strict=True)]) * scale
        if term.match == "columns":
            return np.matmul(overlap(self.columns[name], count, self._span / self.columns[name] / hop), frames)
        mean = frames.mean(axis=1)
        return np.concatenate([mean, frames.std(axis=1)], axis=1) if term.statistics == "mean+std" else mean

    @functools.cached_property
    def _terms(self) -> dict[str, Any]:
        return {term.name: term for term in self.plan.teachers}

    @functools.cached_property
    def _scales(self) -> dict[str, np.ndarray]:
        """What each value of targets is multiplied by."""
        return {name: whitening(targets, self._terms[name].whiten) for name, targets in self.targets.items()}

    @functools.cached_property
    def _framed(self) -> list[str]:
        return [name for name in self.targets if self._terms[name].match != "clip"]

    @functools.cached_property
    def _span(self) -> int:
        """Samples that the student's columns divide among them."""
        return self.frontend.window_frames * self.frontend.frame_step

    @functools.cached_property
    def _grid(self) -> int:
        """Samples between places where a window may begin: where a frame of every teacher does."""
        hops = [self.targets[name].manifest.hop_samples for name in self._framed]
        return math.lcm(*hops) if hops else self.frontend.frame_step

    @functools.cached_property
    def _room(self) -> np.ndarray:
        """Places in each clip where a window may begin: `(num_clips,)`, at least 1."""
        covered = [
            np.diff(self.targets[name].starts) * self.targets[name].manifest.hop_samples for name in self._framed
        ]
        ends = np.min(covered, axis=0) if covered else self.cache.lengths + TAIL_SECONDS * self.cache.sample_rate
        return np.maximum(0, (ends - self._span) // self._grid).astype(np.int64) + 1

    @functools.cached_property
    def _chances(self) -> np.ndarray:
        """Cumulated; the last is 1 whatever rounding says."""
        chances = self._room / self._room.sum()
        if self.plan.balance is not None and self.groups is not None:
            _, group = np.unique(self.groups, return_inverse=True)
            chances *= np.bincount(group, chances)[group] ** (self.plan.balance.power - 1)
            chances /= chances.sum()
        if self.plan.originals is not None:
            copies = np.array([is_copy(name) for name in self.cache.names])
            for some, share in ((copies, 1 - self.plan.originals), (~copies, self.plan.originals)):
                chances[some] *= share / chances[some].sum()
        summed: np.ndarray = np.cumsum(chances)
        summed[-1] = 1.0
        return summed


def whitening(targets: Targets, power: float) -> np.ndarray:
    """Standard deviations of the values to the power `-power`, scaled so that the variance of all together stays."""
    rows = targets.frames if targets.frames is not None else targets.clips
    assert rows is not None, "one of the two is there"  # noqa: S101
    if not power:
        return np.ones(targets.manifest.dim, np.float32)
    deviation = rows[:: -(-len(rows) // SCALE_ROWS)].astype(np.float32).std(axis=0)
    scale = np.maximum(deviation, 1e-3 * deviation.max()) ** -power
    return (scale * np.sqrt(np.square(deviation).sum() / np.square(deviation * scale).sum())).astype(np.float32)


@functools.cache
def overlap(columns: int, frames: int, frames_a_column: float) -> np.ndarray:
    """Weights that average frames over columns, by how much of each lies in it: `(columns, frames)` float32.

    >>> overlap(2, 3, 1.5).astype(float).round(2).tolist()
    [[0.67, 0.33, 0.0], [0.0, 0.33, 0.67]]
    """
    begin = np.arange(columns)[:, None] * frames_a_column
    first = np.arange(frames)
    shared = np.minimum(begin + frames_a_column, first + 1) - np.maximum(begin, first)
    return (np.maximum(0.0, shared) / frames_a_column).astype(np.float32)
