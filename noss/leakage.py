"""What an embedding tells of a speaker beside what it is asked: who it is, of which sex, how old. Privacy, as tasks.

Each trait is a task of its own on the clips of a corpus, judged as any other and read beside its utility:

- speaker: which of the speakers of the corpus, for clips never heard (split by clip). Speakers with a single clip are
  left out. Speakers of a corpus often differ in microphone and room, too: that counts as theirs.
- sex and age: of speakers never heard. A class of fewer than five speakers is left out, for it would say who they are.
  Years become decades; an age in words ("child", "twenties") is taken as it is.

Recall by chance is one over the number of classes: leakages of corpora with other numbers of speakers do not compare.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from noss.config import ProtocolConfig
from noss.tasks.task import UNKNOWN_SPEAKER, Split, Task, Utterance

MIN_CLIPS = 2  # of a speaker who is to be recognised
MIN_SPEAKERS = 5  # of a sex or an age


@dataclasses.dataclass(frozen=True)
class Trait:
    """Something about who speaks.

    Args:
        name: of the trait.
        split: how train and test are told apart.
        value: what the corpus says of the speaker of an utterance; empty where it does not.
        counted: what a class needs several of: clips, or speakers.
        least: how many.
    """

    name: str
    split: Split
    value: Callable[[Utterance], str]
    counted: Callable[[Utterance], str]
    least: int


def decade(age: str) -> str:
    """The decade of an age in years; words stay.

    >>> decade("31"), decade("6.5"), decade("teens"), decade("")
    ('30s', '0s', 'teens', '')
    """
    try:
        years = float(age)
    except ValueError:
        return age
    return f"{int(years // 10) * 10}s" if 0 <= years < math.inf else ""


def known_speaker(utterance: Utterance) -> str:
    """The speaker, empty where nobody wrote down who it is."""
    return "" if utterance.speaker.startswith(UNKNOWN_SPEAKER) else utterance.speaker


def _said(name: str) -> Callable[[Utterance], str]:
    # Of who is not known nothing is asked: a speaker might stand on both sides.
    return lambda utterance: dict(utterance.traits).get(name, "") if known_speaker(utterance) else ""


TRAITS = (
    Trait("speaker", "clips", known_speaker, lambda utterance: utterance.name, MIN_CLIPS),
    Trait("sex", "speakers", _said("sex"), known_speaker, MIN_SPEAKERS),
    Trait("age", "speakers", lambda utterance: decade(_said("age")(utterance)), known_speaker, MIN_SPEAKERS),
)


def leak(trait: Trait, utterances: Sequence[Utterance]) -> tuple[list[int], list[Utterance]] | str:
    """The clips that say a trait, and what is asked of them; or why it cannot be asked.

    Args:
        trait: a row of `TRAITS`.
        utterances: of a task.

    Returns:
        Their positions, and they labelled with the trait; or a reason.
    """
    values = [trait.value(utterance) for utterance in utterances]
    counted: defaultdict[str, set[str]] = defaultdict(set)
    for value, utterance in zip(values, utterances, strict=True):
        counted[value].add(trait.counted(utterance))
    classes = {value for value, some in counted.items() if value and len(some) >= trait.least}
    if not any(values):
        return "the corpus does not say it"
    if len(classes) < 2:
        return f"it needs two classes of {trait.least} {'clips' if trait.name == 'speaker' else 'speakers'} or more"
    if (
        len({(utterance.label, value) for utterance, value in zip(utterances, values, strict=True) if value})
        == len({utterance.label for utterance in utterances})
        == len(set(values) - {""})
    ):
        return "it is what the task asks"
    clips = [position for position, value in enumerate(values) if value in classes]
    return clips, [dataclasses.replace(utterances[position], label=values[position], split=None) for position in clips]


def leakage_task(task: Task, trait: Trait) -> Task:
    """The task of reading a trait off the clips of another, whose name and version it keeps."""
    return dataclasses.replace(
        task,
        label=trait.name,
        kind="classification",
        metric="uar",
        split=trait.split,
        overlap="",
        read_trials=None,
        figures=(),
    )


def leakage_config(trait: Trait, config: ProtocolConfig) -> ProtocolConfig:
    """The protocol itself, but for speakers always random splits: folds would need as many clips of each."""
    if trait.split == "speakers" or not config.splits.folds:
        return config
    return dataclasses.replace(config, splits=dataclasses.replace(config.splits, folds=0), pooled=False)
