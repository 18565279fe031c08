"""What came of a fine-tuning: predictions of clips whose speakers it never heard, scores, and a plain verdict."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trill.files import write_atomically
from trill.training.finetuning.labelled import Head
from trill.training.finetuning.scores import METRICS, Score, compare

FROZEN, TUNED = "frozen", "fine-tuned"
RESULT, PREDICTIONS = "result.json", "predictions.csv"


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """Test clips and what was said of them.

    Args:
        heads: what was predicted.
        names: of the clips.
        speakers: of the clips.
        truth: by head `(num_clips,)`; -1 or NaN where it is not known.
        predictions: by name, such as "frozen", and by head `(num_clips,)`.
        against: by prediction the one that it is held against.
        facts: what was done, as JSON can hold it.
    """

    heads: tuple[Head, ...]
    names: tuple[str, ...]
    speakers: tuple[str, ...]
    truth: Mapping[str, np.ndarray]
    predictions: Mapping[str, Mapping[str, np.ndarray]]
    against: Mapping[str, str]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def scores(self) -> dict[str, dict[str, dict[str, Score]]]:
        """By head, metric and name: see `trill.training.finetuning.scores.compare`."""
        found = {}
        for head in self.heads:
            truth = self.truth[head.name]
            known = ~np.isnan(truth) if head.numeric else truth >= 0
            said = {name: by_head[head.name][known] for name, by_head in self.predictions.items()}
            found[head.name] = compare(head, truth[known], said, np.array(self.speakers)[known], self.against)
        return found


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Several of the same manifest, of other seeds, as one: a speaker's clips of all are drawn together."""
    if len(outcomes) == 1:
        return outcomes[0]
    first = outcomes[0]

    def together(columns: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(columns)

    return dataclasses.replace(
        first,
        names=tuple(name for one in outcomes for name in one.names),
        speakers=tuple(speaker for one in outcomes for speaker in one.speakers),
        truth={head.name: together([one.truth[head.name] for one in outcomes]) for head in first.heads},
        predictions={
            name: {head.name: together([one.predictions[name][head.name] for one in outcomes]) for head in first.heads}
            for name in first.predictions
        },
        facts={"runs": [dict(one.facts) for one in outcomes]},
    )


def write(outcome: Outcome, folder: Path) -> None:
    """Write `predictions.csv`, a row a test clip, and `result.json`, scores and all that `read` needs."""
    columns: dict[str, Sequence[Any]] = {"path": outcome.names, "speaker": outcome.speakers}
    for head in outcome.heads:
        columns[head.column] = _words(head, outcome.truth[head.name])
        for name, by_head in outcome.predictions.items():
            columns[f"{head.column} {name}"] = _words(head, by_head[head.name])
    with write_atomically(folder / PREDICTIONS) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    scores = {
        head: {metric: {name: _finite(score) for name, score in row.items()} for metric, row in rows.items()}
        for head, rows in outcome.scores().items()
    }
    content = {"scores": scores, **_listed(dataclasses.asdict(outcome))}
    with write_atomically(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read(folder: Path) -> Outcome:
    """What `write` wrote.

    Raises:
        ValueError: if it cannot be read.
    """
    path = folder / RESULT
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        del fields["scores"]
        heads = tuple(Head(**{**head, "labels": tuple(head["labels"])}) for head in fields["heads"])
        kinds = {head.name: np.float32 if head.numeric else np.int32 for head in heads}

        def arrays(by_head: Mapping[str, Any]) -> dict[str, np.ndarray]:
            return {name: np.array(column, kinds[name]) for name, column in by_head.items()}

        predictions = {name: arrays(by_head) for name, by_head in fields["predictions"].items()}
        texts = {name: tuple(fields[name]) for name in ("names", "speakers")}
        return Outcome(
            **{**fields, **texts, "heads": heads, "truth": arrays(fields["truth"]), "predictions": predictions}
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} holds no result that can be read: {error!r}. Remove it to judge again.") from error


def _finite(score: Score) -> list[float | None]:
    return [number if np.isfinite(number) else None for number in dataclasses.astuple(score)]


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value


def _words(head: Head, column: np.ndarray) -> list[Any]:
    if head.numeric:
        return [f"{number:.6g}" if np.isfinite(number) else "" for number in column]
    return [head.labels[number] if number >= 0 else "" for number in column]


def describe(outcome: Outcome) -> str:
    """Scores side by side with their intervals, and what they come to."""
    lines: list[str] = []
    for head in outcome.heads:
        for metric, row in outcome.scores()[head.name].items():
            lines.extend(f"{head.column:12s} {metric:9s} {name:24s} {_shown(score)}" for name, score in row.items())
        lines.append(verdict(outcome, head))
    return "\n".join(lines)


def verdict(outcome: Outcome, head: Head) -> str:
    """Whether it was worth it, by the first metric of the head.

    Each prediction that is held against another is better, worse, or not distinguishable from it.
    """
    metric = next(iter(METRICS[head.numeric]))
    row = outcome.scores()[head.name][metric]
    told = []
    for name, other in outcome.against.items():
        difference = row[f"{name} - {other}"]
        if difference.low > 0:
            told.append(f"{name} is better than {other}")
        elif difference.high < 0:
            told.append(f"{name} is worse than {other}: it did harm, keep {other}")
        else:
            told.append(f"{name} did not help: its {metric} cannot be told from that of {other}")
    return f"{head.column}: " + "; ".join(told) + "."


def _shown(score: Score) -> str:
    sure = f"[{score.low:.3f}, {score.high:.3f}]" if np.isfinite(score.low) else "(one speaker: no interval)"
    return f"{score.value:7.3f}  {sure}"
