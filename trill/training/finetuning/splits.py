"""Which clips are learnt from, which choose, which judge."""

import dataclasses

import numpy as np

from trill.training.finetuning.labelled import Labelled

SHARES = np.array([0.6, 0.2, 0.2])
OWN_SHARES = (0.1, 0.1)  # dev and test of a speaker: Shor et al. 2020, 80/10/10
DRAWS = 100


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Indices of clips, each `(n,)` int64, sorted and without any in common."""

    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray


def by_speaker(clips: Labelled, seed: int) -> Split:
    """Three fifths, a fifth and a fifth of the speakers; none is in two parts.

    Of a hundred draws, each of which puts a speaker where his labels are scarcest, the one whose parts are most alike.

    Raises:
        ValueError: if no draw has every label in each part.
    """
    groups, group = np.unique(clips.groups, return_inverse=True)
    counts = _counts(clips, group, len(groups))
    rng = np.random.default_rng(seed)
    drawn = [_drawn(counts, rng) for _ in range(max(1, min(DRAWS, 20_000 // len(groups))))]
    part, cost = min(drawn, key=lambda draw: draw[1])
    if not np.isfinite(cost):
        raise ValueError(
            "train, dev and test must each hear every label, from speakers of their own, and no split of these "
            f"{len(groups)} speakers does. Add speakers of the rarest labels, or leave those empty."
        )
    return Split(*(np.flatnonzero(part[group] == number) for number in range(len(SHARES))))


def _counts(clips: Labelled, group: np.ndarray, num_groups: int) -> np.ndarray:
    """Clips of each group by label; of all heads, side by side; each label's sum is 1."""
    columns = []
    for head in clips.heads:
        kind = np.where(clips.known(head), 0, -1) if head.numeric else clips.values[head.name]
        columns += [np.bincount(group[kind == number], minlength=num_groups) for number in range(head.size)]
    counts = np.stack(columns, axis=1).astype(float)
    shares: np.ndarray = counts / counts.sum(axis=0)
    return shares


def _drawn(counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """The part of each group, and how far the parts are from their shares; infinite where one lacks a label."""
    rarity = np.where(counts > 0, (counts > 0).sum(axis=0), np.inf).min(axis=1)
    have = np.zeros((len(SHARES), counts.shape[1]))
    part = np.zeros(len(counts), np.int64)
    for group in np.lexsort((rng.random(len(counts)), rarity)):
        missing = SHARES[:, None] - have + (have == 0)  # one that lacks a label comes first
        part[group] = np.argmax(missing @ counts[group] + 1e-9 * rng.random(len(SHARES)))
        have[part[group]] += counts[group]
    return part, float(np.abs(have - SHARES[:, None]).sum()) if have.all() else np.inf


def within_speakers(clips: Labelled, seed: int) -> Split:
    """Of each speaker a tenth to choose by, a tenth to judge with, at least one clip each; the rest to learn from.

    All clips of a speaker who has fewer than three are learnt from.

    Raises:
        ValueError: if no speaker has three, or speakers are unknown or the label.
    """
    if clips.by_clip:
        raise ValueError("per speaker needs a column `speaker` that is not the label, got clips that are their own.")
    rng = np.random.default_rng(seed)
    parts: tuple[list[int], ...] = ([], [], [])
    for speaker in np.unique(clips.speakers):
        own = rng.permutation(np.flatnonzero(clips.speakers == speaker))
        dev, test = (max(1, round(share * len(own))) if len(own) >= 3 else 0 for share in OWN_SHARES)
        for part, rows in zip(parts, np.split(own, [len(own) - dev - test, len(own) - test]), strict=True):
            part.extend(rows.tolist())
    if not parts[2]:
        raise ValueError(
            "per speaker needs speakers with three clips or more, one each to learn from, to choose by and to judge "
            f"with, got {len(clips.names)} clips of {len(np.unique(clips.speakers))} speakers."
        )
    return Split(*(np.sort(np.array(part, np.int64)) for part in parts))
