"""How a representation is judged by pairs of clips: does one person speak in both?"""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from noss.config import NOSS, ProtocolConfig, Setting
from noss.evaluation import Evaluation, Outcome, score, scores_of
from noss.features import Features, aggregate, normaliser
from noss.metrics import METRICS
from noss.protocol import check_embeddings, find_duplicates
from noss.selection import choose, none_if_nan
from noss.splits import Split, make_splits
from noss.tasks.task import CorpusError, Task, Trials, Utterance
from noss.verification import cosine, fit_plda, plda_scores
from trill.errors import optional

threadpoolctl = optional("threadpoolctl", "noss")

NUM_PAIRS = 10_000  # of each sort, drawn from dev to choose by
MAX_KEPT = 100_000  # pairs whose score is kept; of more, so many drawn at random


def evaluate_trials(
    task: Task,
    utterances: Sequence[Utterance],
    embeddings: Any,
    trials: Trials,
    config: ProtocolConfig = NOSS,
    *,
    contents: Sequence[str] | None = None,
    paper_selection: bool = False,
) -> Evaluation:
    """Judge a representation by a task of pairs.

    Aggregation, normalisation (none or L2) and scorer are chosen by pairs drawn from a dev part, whose speakers train
    lacks; then PLDA is fitted to train and dev. A task without clips to train on is scored by cosine with the first
    aggregation and normalisation of the config: there is nothing to choose by.

    Args:
        task: of verification.
        utterances: as `noss.protocol.evaluate`, like the rest.
        embeddings: likewise; pairs with a clip that failed are left out.
        trials: the pairs, from `noss.tasks.load_trials`.
        config: likewise.
        contents: likewise.
        paper_selection: likewise.

    Returns:
        An evaluation with one outcome. Of more than 100,000 pairs the scores of so many are kept, for intervals; the
        score is that of all.

    Raises:
        CorpusError: if no pair of each sort is left, or a speaker stands in two parts.
        ValueError: as `noss.protocol.evaluate`.
    """
    if task.kind != "verification":
        raise ValueError(f"evaluate_trials needs a task of pairs, got {task.kind}: there is noss.protocol.evaluate.")
    failed = check_embeddings(embeddings, utterances)
    data = _Data(
        {name: aggregate(embeddings, name) for name in config.aggregations if name != "mode"},
        np.array([utterance.speaker for utterance in utterances]),
        *_pairs(trials, failed),
        task.metric,
    )
    split = _split(data, utterances, config, failed)
    tried = _settings(config, bool(len(split.train)))
    with threadpoolctl.threadpool_limits(1):
        outcome, best, skipped = _outcome(data, split, tried, config, paper_selection)
    scores = scores_of("verification", data.same, [outcome], 0, True)
    kept = _kept(data.same, config.splits.seed)
    if len(kept) < len(data.same):
        skipped["pairs"] = f"{len(data.same) - len(kept)} of {len(data.same)} are scored, but not kept"
    price = (best[1] - float(outcome.score or 0)) * (1 if METRICS[task.metric].higher_is_better else -1)
    used = np.concatenate([split.train, split.dev, split.test])
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
        classes=(),
        names=tuple(utterance.name for utterance in utterances),
        speakers=tuple(data.speakers.tolist()),
        truth=data.same[kept].astype(np.int64),
        outcomes=(dataclasses.replace(outcome, items=np.arange(len(kept)), predicted=outcome.predicted[kept]),),
        pairs=data.pairs[kept],
        paper={"score": best[1], "price": price, "settings": [dataclasses.asdict(best[0])]}
        if paper_selection
        else None,
        failed={utterances[position].name: reason for position, reason in failed.items()},
        unused=len(utterances) - len(np.union1d(used, np.array(list(failed), np.int64))),
        skipped=skipped,
        duplicates=find_duplicates(contents, [split], utterances),
    )


@dataclass(frozen=True, eq=False)
class _Data:
    """Clips, and the pairs that are asked about."""

    features: dict[str, Features]
    speakers: np.ndarray
    pairs: np.ndarray  # (num_pairs, 2) positions of clips
    same: np.ndarray  # (num_pairs,) bool
    metric: str


def _pairs(trials: Trials, failed: dict[int, str]) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.stack([trials.enrol, trials.test], axis=1).astype(np.int64)
    there = ~np.isin(pairs, np.array(list(failed), np.int64)).any(axis=1)
    same = np.asarray(trials.same, bool)[there]
    if same.all() or not same.any():
        raise CorpusError(
            f"pairs must be of both sorts, {len(same)} of {len(pairs)} are left and of one. "
            f"{len(failed)} clips failed: {next(iter(failed.values()), '')}"
        )
    return pairs[there], same


def _split(data: _Data, utterances: Sequence[Utterance], config: ProtocolConfig, failed: dict[int, str]) -> Split:
    """Train and dev, empty where the task has none or a single speaker to train on; test: what is paired."""
    paired = np.unique(data.pairs)
    parts = [utterance.split for utterance in utterances]
    test = sorted({*paired.tolist(), *(position for position, part in enumerate(parts) if part == "test")})
    for position in test:
        parts[position] = "test"
    clips = np.array([position for position, part in enumerate(parts) if part and position not in failed], np.int64)
    training = [position for position in clips.tolist() if parts[position] != "test"]
    nothing = np.empty(0, np.int64)
    if len(set(data.speakers[training].tolist())) < 4:  # two to learn from, two to choose by
        return Split("0", nothing, nothing, paired, "0", dev_by="corpus")
    # The label is the speaker, and yet they are kept apart: the labels are left out.
    numbers = np.arange(len(clips), dtype=np.float64)
    (drawn,) = make_splits(
        numbers, data.speakers[clips], "canonical", config.splits, parts=[parts[position] for position in clips]
    )
    return dataclasses.replace(drawn, train=clips[drawn.train], dev=clips[drawn.dev], test=paired)


def _settings(config: ProtocolConfig, training: bool) -> list[Setting]:
    found = [
        Setting(aggregation, normalisation, scorer, 0.0)
        for aggregation in config.aggregations
        for normalisation in config.normalisations
        for scorer in config.scorers
        if aggregation != "mode" and normalisation != "speaker" and (training or scorer == "cosine")
    ]
    if not found:
        raise ValueError(
            "pairs need an aggregation into one vector, a normalisation that does not know the speaker, and a scorer "
            f"(cosine where there is nothing to train on), got {config.aggregations}, {config.normalisations} and "
            f"{config.scorers}."
        )
    return found if training else found[:1]


def _outcome(
    data: _Data, split: Split, tried: list[Setting], config: ProtocolConfig, on_test: bool
) -> tuple[Outcome, tuple[Setting, float], dict[str, str]]:
    """As chosen on dev; the best on test and its score, if asked for; what could not be tried."""
    began = time.perf_counter()
    on_dev, skipped = np.full(len(tried), np.nan), {}
    if len(split.dev):
        pairs, same = _drawn(split.dev, data.speakers, config.splits.seed)
        for index, setting in enumerate(tried):
            try:
                on_dev[index] = score(data.metric, same, _scores(data, setting, split.train, pairs))
            except ValueError as error:  # no speaker with two clips, no length
                skipped[str(setting)] = str(error)
    else:
        skipped["plda"] = "nothing to train on, nothing to choose by"
    index = choose(on_dev[None], [split], data.metric)[0]
    chosen_at = time.perf_counter()
    learned = np.union1d(split.train, split.dev) if config.refit else split.train
    wanted = [number for number, each in enumerate(tried) if number == index or (on_test and str(each) not in skipped)]
    found = {number: _scores(data, tried[number], learned, data.pairs) for number in wanted}
    scores = {number: score(data.metric, data.same, said) for number, said in found.items()}
    sign = 1 if METRICS[data.metric].higher_is_better else -1
    best = max(scores, key=lambda number: sign * scores[number])
    outcome = Outcome(
        name=split.name,
        group=split.group,
        speaker="",
        setting=tried[index],
        dev_score=none_if_nan(on_dev[index]),
        score=scores[index],
        items=np.arange(len(data.pairs)),
        predicted=found[index],
        sizes={"train": len(split.train), "dev": len(split.dev), "test": len(split.test)},
        dev_by=split.dev_by,
        seconds={"choose": chosen_at - began, "test": (time.perf_counter() - chosen_at) / len(found)},
    )
    return outcome, (tried[best], scores[best]), skipped


def _scores(data: _Data, setting: Setting, training: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Of each pair: `(num_pairs,)`, higher for the same speaker."""
    features = data.features[setting.aggregation]
    clips, places = np.unique(pairs, return_inverse=True)
    apply = normaliser(setting.normalisation, features, data.speakers, training, clips).apply
    rows, places = apply(features.rows[clips], clips), places.reshape(pairs.shape)
    if setting.classifier == "cosine":
        return cosine(rows, places)
    return plda_scores(fit_plda(apply(features.rows[training], training), data.speakers[training]), rows, places)


def _drawn(clips: np.ndarray, speakers: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of clips to choose by, as many of one speaker as of two where there are."""
    rng = np.random.default_rng(seed)
    first, second = clips[rng.integers(len(clips), size=(2, 4 * NUM_PAIRS))]
    alike = speakers[first] == speakers[second]
    others = np.stack([first, second], axis=1)[~alike][:NUM_PAIRS]
    order = clips[np.argsort(speakers[clips], kind="stable")]
    names, begins, counts = np.unique(speakers[order], return_index=True, return_counts=True)
    weights = counts * (counts - 1)
    if not weights.any():
        raise CorpusError("clips to choose by must have a speaker with two, none has. Give a dev part that has.")
    who = rng.choice(len(names), size=NUM_PAIRS, p=weights / weights.sum())
    one = rng.integers(counts[who])
    other = (one + rng.integers(1, counts[who])) % counts[who]
    mine = np.stack([order[begins[who] + one], order[begins[who] + other]], axis=1)
    return np.concatenate([mine, others]), np.arange(len(mine) + len(others)) < len(mine)


def _kept(same: np.ndarray, seed: int) -> np.ndarray:
    """Positions of pairs to keep; of both sorts."""
    if len(same) <= MAX_KEPT:
        return np.arange(len(same))
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(np.flatnonzero(same == sort))[: MAX_KEPT // 2] for sort in (True, False)]
    return np.sort(np.concatenate(halves))
