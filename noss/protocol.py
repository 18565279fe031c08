"""How a representation is judged: everything is chosen on the dev part, fitted again, and tested once.

For each split, every setting (aggregation over time, normalisation, classifier, strength) learns from train and is
scored on dev. The best one learns from train and dev together, for in use nobody would throw labels away, and is
scored on test. Of the test part nothing is seen before, but, where features are normalised by speaker, the sound of a
speaker whom training lacks. After Shor et al. 2020, arXiv:2002.12764, section 4, whose best score on test
`paper_selection` gives beside ours.
"""

import dataclasses
import json
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from noss.config import NOSS, REFEREE, ProtocolConfig, Setting
from noss.curves import outcomes_of_few
from noss.evaluation import Evaluation, Outcome, interval, scores_of
from noss.features import MAX_BYTES, aggregate
from noss.metrics import METRICS
from noss.selection import Data, outcomes_of
from noss.splits import Split, make_splits
from noss.tasks.task import CorpusError, Task, Utterance
from trill.errors import optional

exceptions = optional("sklearn.exceptions", "noss")
threadpoolctl = optional("threadpoolctl", "noss")

VARYING = 0.5  # of the training clips must be of speakers with several labels, or a speaker's mean is the label
SHOWN = 5  # names in a message

__all__ = ["NOSS", "REFEREE", "Evaluation", "Outcome", "ProtocolConfig", "Setting", "evaluate", "interval", "splits_of"]


def evaluate(
    task: Task,
    utterances: Sequence[Utterance],
    embeddings: Any,
    config: ProtocolConfig = NOSS,
    *,
    contents: Sequence[str] | None = None,
    paper_selection: bool = False,
    clips_a_class: int = 0,
    jobs: int = 1,
    quiet: bool = False,
) -> Evaluation:
    """Judge a representation by a task of classes or numbers. For verification: `noss.trials.evaluate_trials`.

    - A clip that failed or has no rows is left out of its part and counted. Parts are drawn before, so they are the
      same for all representations.
    - A class that a training part lacks is never predicted, one that a test part lacks does not count in its recall;
      both are listed in the outcome. A training part of one class predicts that class.
    - Normalising by speaker is not tried where most training clips are of speakers with a single label, such as their
      sex, or all are of one speaker: the result says so.
    - The same sound in two parts of a split gives a warning and is listed.
    - One speaker at a time, one setting is chosen for all speakers by their mean score on dev.

    Args:
        task: what is asked.
        utterances: from `noss.tasks.load`.
        embeddings: `noss.embeddings.Embeddings` of them, in this order.
        config: `NOSS`, `REFEREE`, or your own.
        contents: a hash of the sound of each utterance, to find duplicates; empty where there is none.
        paper_selection: test every setting too, and give the best score on test. It is too good by
            `Evaluation.paper["price"]`, and takes about twice the time.
        clips_a_class: learn from so many clips a class, drawn several times, by a config of one setting
            (`noss.curves.curve_config`); 0 for all clips.
        jobs: threads, over splits; each of them computes with one core.
        quiet: no progress bar.

    Raises:
        CorpusError: if the task cannot be split as it asks (`noss.splits.make_splits`), or a part has no clip left.
        ValueError: if embeddings do not fit the utterances or are not finite, `jobs` is not positive, the task is
            verification, or the config has nothing to try; with `clips_a_class`, if the config has several settings,
            the task is not of classes, or a class has fewer clips.
    """
    if jobs < 1 or task.kind == "verification":
        raise ValueError(
            f"evaluate needs jobs of 1 or more and a task of classes or numbers, got {jobs} and {task.kind}. "
            "For pairs there is noss.trials.evaluate_trials."
        )
    failed = check_embeddings(embeddings, utterances)
    labels = np.array([utterance.label for utterance in utterances])
    speakers = np.array([utterance.speaker for utterance in utterances])
    drawn = splits_of(task, utterances, config)
    splits, skipped = _without(failed, drawn, utterances)
    tried = _applicable(config.settings(task.kind), labels, speakers, splits, skipped)
    if clips_a_class and (len(tried) > 1 or task.kind != "classification" or paper_selection):
        raise ValueError(
            f"of a few clips a class nothing can be chosen, got {len(tried)} settings and a task of {task.kind}. "
            "Take noss.curves.curve_config, for tasks of classes."
        )
    duplicates = find_duplicates(contents, splits, utterances)
    classes: np.ndarray = np.empty(0, str)
    targets: np.ndarray = labels
    if task.kind == "classification":
        classes, targets = np.unique(labels, return_inverse=True)
    features = {name: aggregate(embeddings, name) for name in dict.fromkeys(each.aggregation for each in tried)}
    data = Data(features, targets, speakers, tuple(classes.tolist()), task.metric, config)
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)  # what does badly is not chosen
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # of a clip or two each
        best: list[Outcome] = []
        if clips_a_class:
            outcomes = outcomes_of_few(data, splits, tried[0], clips_a_class, jobs=jobs, quiet=quiet)
        else:
            outcomes, best = outcomes_of(data, splits, tried, jobs=jobs, on_test=paper_selection, quiet=quiet)
    scores = scores_of(task.kind, targets, outcomes, len(classes), config.pooled)
    on_test = scores_of(task.kind, targets, best, len(classes), config.pooled) if best else None
    return Evaluation(
        task=task.name,
        task_version=task.version,
        kind=task.kind,
        metric=task.metric,
        split=task.split,
        protocol=config.id,
        config=json.loads(json.dumps(dataclasses.asdict(config))),
        score=scores[task.metric],
        scores=scores,
        classes=data.classes,
        names=tuple(utterance.name for utterance in utterances),
        speakers=tuple(speakers.tolist()),
        truth=targets,
        outcomes=tuple(outcomes),
        paper=on_test and _paper(task.metric, scores, on_test, best),
        failed={utterances[position].name: reason for position, reason in failed.items()},
        unused=len(utterances) - len(np.unique(np.concatenate([part for split in drawn for part in _parts(split)]))),
        skipped=skipped,
        duplicates=duplicates,
    )


def splits_of(task: Task, utterances: Sequence[Utterance], config: ProtocolConfig) -> list[Split]:
    """The splits of a task, whatever the representation.

    Raises:
        CorpusError: if the task cannot be split as it asks (`noss.splits.make_splits`).
    """
    labels = np.array([utterance.label for utterance in utterances])
    speakers = np.array([utterance.speaker for utterance in utterances])
    parts = [utterance.split for utterance in utterances]
    return make_splits(labels, speakers, task.split, config.splits, parts=parts, overlap=bool(task.overlap))


def check_embeddings(embeddings: Any, utterances: Sequence[Utterance]) -> dict[int, str]:
    """Which utterances have no embedding, and why.

    Raises:
        ValueError: if shapes do not fit, all failed, or a number is not finite.
    """
    rows, starts = embeddings.rows, np.asarray(embeddings.starts)
    if rows.ndim != 2 or starts.shape != (len(utterances) + 1,) or (np.diff(starts) < 0).any():
        raise ValueError(
            "embeddings must have rows (total_windows, dim) and ascending starts (num_utterances + 1,), got shapes "
            f"{rows.shape} and {starts.shape} for {len(utterances)} utterances. Embed these utterances."
        )
    if starts[0] != 0 or starts[-1] != len(rows):
        raise ValueError(f"starts must go from 0 to the {len(rows)} rows, got {starts[0]} to {starts[-1]}.")
    empty = dict.fromkeys(np.flatnonzero(np.diff(starts) == 0).tolist(), "it has no windows")
    failed: dict[int, str] = dict(sorted({**empty, **embeddings.failed}.items()))
    if len(failed) == len(utterances):
        raise ValueError(f"embeddings must have rows, all {len(failed)} clips failed: {failed[0]}")
    step = max(1, MAX_BYTES // (4 * max(1, rows.shape[1])))
    finite = [np.isfinite(rows[start : start + step]).all(axis=1) for start in range(0, len(rows), step)]
    bad = np.unique(np.searchsorted(starts, np.flatnonzero(~np.concatenate(finite)), side="right") - 1)
    if len(bad):
        raise ValueError(
            f"embeddings must be finite, {len(bad)} of {len(utterances)} clips are not: "
            f"{', '.join(utterances[position].name for position in bad[:SHOWN])}. Their network may have diverged."
        )
    return failed


def find_duplicates(
    contents: Sequence[str] | None, splits: list[Split], utterances: Sequence[Utterance]
) -> tuple[str, ...]:
    """Clips with the same sound in two parts of a split, as "a.wav = b.wav = c.wav"; and a warning if there are any."""
    if contents is None:
        return ()
    if len(contents) != len(utterances):
        raise ValueError(f"contents must be a hash for each utterance, got {len(contents)} for {len(utterances)}.")
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for position, content in enumerate(contents):
        if content:
            alike[content].append(position)
    several = [positions for positions in alike.values() if len(positions) > 1]
    apart: dict[str, None] = {}
    for split in splits if several else []:
        part = np.full(len(utterances), -1)
        for number, clips in enumerate(_parts(split)):
            part[clips] = number
        for positions in several:
            if len(set(part[positions].tolist()) - {-1}) > 1:
                apart[" = ".join(utterances[position].name for position in positions)] = None
    if apart:
        shown = ", ".join(list(apart)[:SHOWN])
        warnings.warn(
            f"a sound should stand in one part, {len(apart)} stand in more: {shown}"
            f"{' and others' if len(apart) > SHOWN else ''}. Remove the copies: they are easy to recognise.",
            stacklevel=3,
        )
    return tuple(apart)


def _parts(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.dev, split.test


def _without(
    failed: dict[int, str], splits: list[Split], utterances: Sequence[Utterance]
) -> tuple[list[Split], dict[str, str]]:
    """Splits without the clips that failed, and which splits are lost by that: of one speaker some may be."""
    gone = np.array(list(failed), np.int64)
    kept, lost = [], {}
    for split in splits:
        train, dev, test = (np.setdiff1d(part, gone) for part in _parts(split))
        if len(train) and len(dev) and len(test):
            kept.append(dataclasses.replace(split, train=train, dev=dev, test=test))
            continue
        lost[f"split {split.name}"] = "a part has no clip left"
        if not split.speaker:
            raise CorpusError(
                f"each part needs clips, split {split.name} has {len(train)} to train on, {len(dev)} to choose by and "
                f"{len(test)} to test, for {len(failed)} of {len(utterances)} failed: {next(iter(failed.values()), '')}"
            )
    if not kept:
        raise CorpusError(f"each part needs clips, no split is left, for {len(failed)} of {len(utterances)} failed.")
    return kept, lost


def _applicable(
    settings: list[Setting], labels: np.ndarray, speakers: np.ndarray, splits: list[Split], skipped: dict[str, str]
) -> list[Setting]:
    """What makes sense to try; what does not is added to `skipped`. Looks at no label of a test part."""
    if any(each.normalisation == "speaker" for each in settings):
        if any(len(np.unique(speakers[np.union1d(split.train, split.dev)])) == 1 for split in splits):
            skipped["speaker"] = "one speaker: it is what standardising does"
        elif any(_varying(split, labels, speakers) < VARYING for split in splits):
            skipped["speaker"] = "most speakers have one label: subtracting their mean takes it away"
    found = [each for each in settings if each.normalisation not in skipped]
    if not found:
        reason = "; ".join(f"{what}: {why}" for what, why in skipped.items()) or "no classifier for this kind of task"
        raise ValueError(f"a config must have a setting to try, got none ({reason}). Add one, e.g. those of NOSS.")
    return found


def _varying(split: Split, labels: np.ndarray, speakers: np.ndarray) -> float:
    """Share of the training clips whose speaker has several labels there."""
    clips = np.union1d(split.train, split.dev)
    labels_of: defaultdict[str, set[Any]] = defaultdict(set)
    for speaker, label in zip(speakers[clips].tolist(), labels[clips].tolist(), strict=True):
        labels_of[speaker].add(label)
    return float(np.mean([len(labels_of[speaker]) > 1 for speaker in speakers[clips].tolist()]))


def _paper(
    metric: str, scores: dict[str, float | None], on_test: dict[str, float | None], best: list[Outcome]
) -> dict[str, Any]:
    ours, theirs = scores[metric], on_test[metric]
    sign = 1 if METRICS[metric].higher_is_better else -1
    price = None if ours is None or theirs is None else sign * (theirs - ours)
    return {"score": theirs, "price": price, "settings": [dataclasses.asdict(each.setting) for each in best]}
