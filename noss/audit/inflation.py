"""What splitting by file would add to a score: the same representation, judged both ways, clip by clip."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from noss import differences, embeddings, protocol
from noss.audit.findings import Finding
from noss.audit.people import is_identified, is_known
from noss.config import REFEREE, ProtocolConfig
from noss.evaluation import Evaluation, units
from noss.tasks.task import CorpusError, Task, Utterance
from trill.representation import Representation

SECTION, CHECK = "Inflation", "by file"


def check_inflation(
    task: Task,
    utterances: Sequence[Utterance],
    representation: Representation | None,
    folder: Path,
    *,
    quiet: bool = False,
) -> Finding:
    """Judge a representation with speakers kept apart and with clips dealt out, by five folds of the same clips.

    Both predict every clip once, so the difference is paired: speakers are drawn once and score both.

    Args:
        task: of classes or numbers.
        utterances: clips with a file and a label.
        representation: or None, which skips this.
        folder: where embeddings are kept.
        quiet: no progress bars.
    """
    reason = _reason(task, utterances, representation)
    if reason or representation is None:
        return Finding(SECTION, CHECK, "skipped", reason)
    config = _config(utterances)
    try:
        embedded = embeddings.embed(representation, utterances, folder, quiet=quiet)
        apart, dealt = (
            protocol.evaluate(dataclasses.replace(task, split=split), utterances, embedded, config, quiet=quiet)
            for split in ("speakers", "clips")
        )
        comparison = _compare(apart, dealt)
    except (CorpusError, ValueError) as error:
        return Finding(SECTION, CHECK, "skipped", f"it cannot be measured: {error}")
    return _finding(task, representation.name, comparison, config.splits.folds)


def _reason(task: Task, utterances: Sequence[Utterance], representation: Representation | None) -> str:
    """Why this cannot be asked, or nothing."""
    if representation is None:
        return "no representation was given."
    if is_identified(task, utterances):
        return "labels are the speakers: they cannot be kept apart and asked for."
    unknown = sum(not is_known(each) for each in utterances)
    if unknown:
        return f"of {unknown} clips nobody knows the speaker."
    if len({each.speaker for each in utterances}) < 2:
        return "there is one speaker."
    if len({each.label for each in utterances}) < 2:
        return "there is one label."
    return ""


def _config(utterances: Sequence[Utterance]) -> ProtocolConfig:
    """The referee's, with as many folds as there are speakers if those are fewer than five."""
    folds = min(REFEREE.splits.folds, len({each.speaker for each in utterances}))
    return dataclasses.replace(REFEREE, splits=dataclasses.replace(REFEREE.splits, folds=folds))


def _compare(apart: Evaluation, dealt: Evaluation) -> differences.Comparison:
    first, second = _by_clip(dealt), _by_clip(apart)
    both = np.intersect1d(list(first), list(second))
    return differences.compare(
        apart.truth[both],
        np.array([first[clip] for clip in both]),
        np.array([second[clip] for clip in both]),
        units(apart)[both],
        apart.metric,
        names=("by file", "by speaker"),
        classes=range(len(apart.classes)) if apart.classes else None,
    )


def _by_clip(evaluation: Evaluation) -> dict[int, float]:
    items, predicted, _ = evaluation.tested()
    return dict(zip(items.tolist(), predicted.tolist(), strict=True))


def _finding(task: Task, name: str, found: differences.Comparison, folds: int) -> Finding:
    file, speaker, difference = found.score_a, found.score_b, found.difference
    values = {
        "representation": name,
        "metric": found.metric,
        "folds": folds,
        **{
            what: {"value": each.value, "low": each.low, "high": each.high}
            for what, each in (("file", file), ("speaker", speaker), ("difference", difference))
        },
        "vacuous": difference.vacuous,
    }
    said = (
        f"{name}: {found.metric} {file.value:.3f} [{file.low:.3f}, {file.high:.3f}] if split by file, "
        f"{speaker.value:.3f} [{speaker.low:.3f}, {speaker.high:.3f}] with speakers kept apart: "
        f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}] (95%, paired over "
        f"{difference.num_speakers} speakers{', nearly vacuous' if difference.vacuous else ''})."
    )
    better = -1 if found.metric == "mae" else 1
    inflated = (difference.low if better > 0 else -difference.high) > 0
    if not inflated:
        return Finding(SECTION, CHECK, "ok", said, "", values)
    if task.split == "clips":
        advice = "The task splits by file: its scores are too good by this much. Split by speaker."
        return Finding(SECTION, CHECK, "look" if difference.vacuous else "broken", said, advice, values)
    advice = "Scores by file are too good by this much: do not compare with them. The task keeps speakers apart."
    return Finding(SECTION, CHECK, "ok", said, advice, values)
