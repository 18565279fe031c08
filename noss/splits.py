"""Who trains, who chooses and who is tested: positions of clips, the same for every representation.

Speakers are kept whole wherever the task asks whether something holds for people never heard: between train and test,
and between train and the dev part that is cut from it.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from noss.tasks.task import SPLIT_NAMES, CorpusError
from noss.tasks.task import Split as Kind
from trill.errors import optional

model_selection = optional("sklearn.model_selection", "noss")

DRAWS = 50  # tries to find a part with every class and not had before
MIN_OF_CLASS = 3  # clips of a class, one speaker at a time: one to train on, one to choose by, one to test
SHOWN = 5  # names in a message

Cut = Literal["corpus", "speaker", "clip"]


@dataclass(frozen=True)
class SplitRule:
    """How parts are drawn where the corpus does not say.

    Args:
        folds: 0 for `num_splits` random splits; k for k folds, each tested once, stratified by label.
        num_splits: random splits.
        seed: of all draws.
        test_share: of the clips, in random splits.
        dev_share: of the clips that are left for training (with folds: of their speakers).

    Raises:
        ValueError: if a share is not in (0, 1) or a count out of range.
    """

    folds: int = 0
    num_splits: int = 5
    seed: int = 0
    test_share: float = 0.3
    dev_share: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.test_share < 1 and 0 < self.dev_share < 1):
            raise ValueError(
                f"test_share and dev_share must be in (0, 1), got {self.test_share} and {self.dev_share}. "
                "0.3 is the paper's test part."
            )
        if self.num_splits < 1 or self.folds < 0 or self.folds == 1 or self.seed < 0:
            raise ValueError(
                "a rule needs num_splits of 1 or more, folds of 0 or from 2 on, and a seed of 0 or more, "
                f"got {self.num_splits}, {self.folds} and {self.seed}."
            )


@dataclass(frozen=True, eq=False)
class Split:
    """Three parts that do not overlap: positions of clips, ascending.

    Args:
        name: its number, for one speaker at a time with the speaker.
        train: `(num_train,)` int64.
        dev: `(num_dev,)`, to choose a setting by.
        test: `(num_test,)`.
        group: splits of one group share the setting that is chosen; no clip of one is tested in another.
        speaker: if all is of one.
        dev_by: who cut dev from train: the corpus, or we by speaker or by clip.
    """

    name: str
    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    group: str
    speaker: str = ""
    dev_by: Cut = "speaker"


def make_splits(
    labels: ArrayLike,
    speakers: ArrayLike,
    kind: Kind,
    rule: SplitRule | None = None,
    *,
    parts: Sequence[str | None] = (),
    overlap: bool = False,
) -> list[Split]:
    """The splits of a task.

    - "speakers": random, each speaker whole. Speakers are taken in random order while that brings the test part nearer
      to its share, so one with more than twice the share of all clips is never tested. Draws with every class on both
      sides are preferred, and no test part is drawn twice: four speakers give at most four splits.
    - "clips": random by clip, stratified by label; the only clip of a class trains.
    - "canonical": as `parts` say. A missing dev part is cut from train.
    - "within speaker": each speaker alone, by clip, stratified by label. Classes of which a speaker has fewer than
      three clips are left out for this speaker, and speakers with fewer than two classes left.

    The dev part is cut from train like the test part from all: by speaker, but by clip where speakers are not kept
    apart, are what is asked for, or train has one alone.

    Args:
        labels: `(num_clips,)` classes or, in regression, floats, which are not stratified.
        speakers: `(num_clips,)` texts.
        kind: of split, as in `noss.tasks.Task`.
        rule: by default five random splits, 70/30.
        parts: for each clip "train", "dev" or "test", if canonical.
        overlap: whether a speaker may stand in two canonical parts.

    Raises:
        CorpusError: if there is one class, or one speaker where speakers are kept apart, or fewer than folds; a speaker
            stands in two canonical parts, or train or test is empty; no speaker has clips enough to stand alone.

    >>> split = make_splits(["a", "b"] * 10, [f"speaker {i // 4}" for i in range(20)], "speakers")[0]
    >>> len(split.train), len(split.dev), len(split.test)
    (12, 4, 4)
    """
    rule = rule or SplitRule()
    truth, voices = np.asarray(labels), np.asarray(speakers, str)
    if truth.shape != voices.shape or truth.ndim != 1 or not truth.size:
        raise ValueError(f"each clip needs a label and a speaker, got shapes {truth.shape} and {voices.shape}.")
    kinds, codes = np.unique(truth, return_inverse=True)
    if len(kinds) < 2:
        raise CorpusError(
            f"a task needs at least two labels, all {len(truth)} clips have {truth.tolist()[0]!r}. "
            "Nothing can be told apart."
        )
    if np.issubdtype(truth.dtype, np.floating):
        codes = np.zeros(len(truth), int)
    names, numbers = np.unique(voices, return_inverse=True)
    clips = Clips(codes, numbers, names, identified=bool((truth.astype(str) == voices).all()))
    if kind == "canonical":
        return [_canonical(clips, rule, parts, overlap)]
    if kind == "within speaker":
        return _within_speaker(clips, rule)
    whole = kind == "speakers"
    if whole and len(names) < max(2, rule.folds):
        raise CorpusError(
            f"speakers can be kept apart from {max(2, rule.folds)} on here, got {len(names)}. "
            "Add speakers, or split by clip and say so."
        )
    return (_folds if rule.folds else _random)(clips, rule, whole)


@dataclass(frozen=True, eq=False)
class Clips:
    """What is known about clips when they are split: numbers of their labels (0 for floats) and of their speakers."""

    labels: np.ndarray
    speakers: np.ndarray
    names: np.ndarray  # of the speakers
    identified: bool  # the speaker is the label


# The four kinds.


def _random(clips: Clips, rule: SplitRule, whole: bool) -> list[Split]:
    every = np.arange(len(clips.labels))
    found: list[Split] = []
    had: set[bytes] = set()
    for index in range(rule.num_splits):
        rng = np.random.default_rng([rule.seed, index])

        def draw(rng: np.random.Generator = rng) -> Draw | None:
            test = _cut(clips, every, rule.test_share, whole, rng)
            return None if test.tobytes() in had else (every[test], *_cut_dev(clips, every[~test], rule, whole, rng))

        drawn = _fullest(clips, draw)
        if drawn is None:  # there are no more test parts
            break
        test, train, dev, by = drawn
        had.add(np.isin(every, test).tobytes())
        found.append(Split(str(index), train, dev, test, str(index), dev_by=by))
    if not found:
        raise _too_few(every)
    return found


def _folds(clips: Clips, rule: SplitRule, whole: bool) -> list[Split]:
    """As `speech/score.py`: scikit-learn's splitters and their random states."""
    labels = clips.labels
    folds = (model_selection.StratifiedGroupKFold if whole else model_selection.StratifiedKFold)(
        rule.folds, shuffle=True, random_state=rule.seed
    )
    cut = (model_selection.GroupShuffleSplit if whole else model_selection.StratifiedShuffleSplit)(
        1, test_size=rule.dev_share, random_state=rule.seed
    )
    found = []
    try:
        for index, (rest, test) in enumerate(folds.split(labels, labels, clips.speakers if whole else None)):
            train, dev = next(cut.split(rest, labels[rest], clips.speakers[rest] if whole else None))
            found.append(
                Split(str(index), rest[train], rest[dev], test, str(index), "", "speaker" if whole else "clip")
            )
    except ValueError as error:
        raise CorpusError(
            f"{rule.folds} folds need as many clips of a class, and two of each left to train on, got: {error} "
            "Leave rare classes out, or use random splits."
        ) from error
    return found


def _canonical(clips: Clips, rule: SplitRule, parts: Sequence[str | None], overlap: bool) -> Split:
    found = np.array([str(part) for part in parts])
    unknown = sorted(set(found.tolist()) - set(SPLIT_NAMES))
    if len(found) != len(clips.labels) or unknown:
        raise CorpusError(
            f"a canonical split names each clip {', '.join(SPLIT_NAMES)}, got {len(found)} names for "
            f"{len(clips.labels)} clips{', with ' + ', '.join(unknown[:SHOWN]) if unknown else ''}. Correct the list."
        )
    train, dev, test = (np.flatnonzero(found == part) for part in SPLIT_NAMES)
    if not (len(train) and len(test)):
        raise CorpusError(
            f"a canonical split needs train and test, got {len(train)} and {len(test)} clips. "
            "Unpack all archives of the corpus."
        )
    if not (overlap or clips.identified):
        _check_apart(clips, found)
    if len(dev):
        return Split("0", train, dev, test, "0", dev_by="corpus")
    rng = np.random.default_rng([rule.seed, 0])
    drawn = _fullest(clips, lambda: (test, *_cut_dev(clips, train, rule, not clips.identified, rng)))
    if drawn is None:
        raise _too_few(train)
    _, train, dev, by = drawn
    return Split("0", train, dev, test, "0", dev_by=by)


def _check_apart(clips: Clips, parts: np.ndarray) -> None:
    of_speaker: defaultdict[str, set[str]] = defaultdict(set)
    for speaker, part in zip(clips.names[clips.speakers].tolist(), parts.tolist(), strict=True):
        of_speaker[speaker].add(part)
    several = [f"{who} ({', '.join(sorted(where))})" for who, where in of_speaker.items() if len(where) > 1]
    if several:
        raise CorpusError(
            f"a speaker must stand in one part, {len(several)} stand in more: {', '.join(several[:SHOWN])}. "
            "Scores would measure who speaks: split by speaker."
        )


def _within_speaker(clips: Clips, rule: SplitRule) -> list[Split]:
    found = []
    order = np.argsort(clips.speakers, kind="stable")
    for number, mine in enumerate(np.split(order, np.cumsum(np.bincount(clips.speakers))[:-1])):
        mine = _askable(clips, mine)
        for index in range(rule.num_splits if len(mine) else 0):
            rng = np.random.default_rng([rule.seed, index, number])
            test = _cut(clips, mine, rule.test_share, False, rng)
            train, dev, by = _cut_dev(clips, mine[~test], rule, False, rng)
            speaker = str(clips.names[number])
            found.append(Split(f"{index}: {speaker}", train, dev, mine[test], str(index), speaker, by))
    if not found:
        raise CorpusError(
            f"one speaker at a time needs a speaker with two classes of {MIN_OF_CLASS} clips, none of the "
            f"{len(clips.names)} has them. Add clips, or split by speaker."
        )
    return sorted(found, key=lambda split: int(split.group))


def _askable(clips: Clips, mine: np.ndarray) -> np.ndarray:
    """Of the clips of one speaker those whose class can be in all three parts; none if that leaves one class."""
    _, codes, counts = np.unique(clips.labels[mine], return_inverse=True, return_counts=True)
    enough = counts >= MIN_OF_CLASS
    return mine[enough[codes]] if enough.sum() >= min(2, clips.labels.max() + 1) else mine[:0]


# Cutting a part.


def _too_few(clips: np.ndarray) -> CorpusError:
    return CorpusError(f"there must be clips to train on and others to choose by, {len(clips)} do not do. Add clips.")


Draw = tuple[np.ndarray, np.ndarray, np.ndarray, Cut]  # test, train, dev, by what dev was cut


def _fullest(clips: Clips, draw: Callable[[], Draw | None]) -> Draw | None:
    """The first draw with all classes in all parts, else the first of those that lack fewest; None if there is none."""
    best, most = None, -1
    for _ in range(DRAWS):
        drawn = draw()
        if drawn is None or not (len(drawn[1]) and len(drawn[2])):
            continue
        has = sum(len(np.unique(clips.labels[part])) for part in drawn[:3])
        if has > most:
            best, most = drawn, has
        if most == 3 * (clips.labels.max() + 1):
            break
    return best


def _cut_dev(
    clips: Clips, rest: np.ndarray, rule: SplitRule, whole: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, Cut]:
    whole = whole and len(np.unique(clips.speakers[rest])) > 1
    dev = _cut(clips, rest, rule.dev_share, whole, rng)
    return rest[~dev], rest[dev], "speaker" if whole else "clip"


def _cut(clips: Clips, among: np.ndarray, share: float, whole: bool, rng: np.random.Generator) -> np.ndarray:
    """A mask of `among`."""
    return (_by_speaker if whole else _by_clip)(clips, among, share, rng)


def _by_speaker(clips: Clips, among: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    _, codes, counts = np.unique(clips.speakers[among], return_inverse=True, return_counts=True)
    target, taken = share * len(among), 0
    chosen = np.zeros(len(counts), bool)
    for speaker in rng.permutation(len(counts)):
        if abs(taken + counts[speaker] - target) < abs(taken - target) and chosen.sum() < len(counts) - 1:
            chosen[speaker] = True
            taken += counts[speaker]
    if not chosen.any():  # all have more than twice the share
        chosen[counts.argmin()] = True
    return np.asarray(chosen[codes])


def _by_clip(clips: Clips, among: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Each class its share, on average over draws; from three clips on, one at least, and never all."""
    order = rng.permutation(len(among))
    order = order[np.argsort(clips.labels[among][order], kind="stable")]
    _, first, counts = np.unique(clips.labels[among][order], return_index=True, return_counts=True)
    wanted = np.floor(counts * share + rng.random(len(counts)))
    wanted = np.minimum(np.maximum(wanted, counts >= MIN_OF_CLASS), counts - 1)
    if not wanted.any() and len(among) > 1:  # of classes with a clip or two each
        wanted[counts.argmax()] = 1
    mask = np.zeros(len(among), bool)
    mask[order] = np.arange(len(among)) - np.repeat(first, counts) < np.repeat(wanted, counts)
    return mask
