"""What a task is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from trill.errors import TrillError

Kind = Literal["classification", "regression", "verification"]
# canonical: as the corpus says; speakers: at random, each speaker whole; clips: at random, stratified by label;
# within speaker: one speaker at a time, at random.
Split = Literal["canonical", "speakers", "clips", "within speaker"]

SPLIT_NAMES = ("train", "dev", "test")
# Kind -> what may score it; names of noss.metrics.
METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "uar", "micro_f1"),
    "regression": ("mae", "ccc"),
    "verification": ("eer",),
}
UNKNOWN_SPEAKER = "?"


class CorpusError(TrillError, ValueError):
    """A corpus that is missing, incomplete or not what its task says."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One labelled stretch of sound.

    Args:
        path: the file.
        name: what results and caches call it: the path below the corpus folder with `/`, and `#start` for a part.
        label: the class; the speaker in verification; a finite number in regression.
        speaker: who speaks; "?" and the name, a person of their own, where the corpus does not say.
        split: "train", "dev" or "test" where the corpus says.
        start: seconds into the file.
        end: seconds into the file, None for its end.
        traits: what else the corpus says of who speaks: ("sex", "f"), ("age", "31").
    """

    path: Path
    name: str
    label: str | float
    speaker: str
    split: str | None = None
    start: float = 0.0
    end: float | None = None
    traits: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Trials:
    """Pairs of utterances to tell apart: does one person speak in both?

    Args:
        enrol: `(num_trials,)` int32, positions in the utterances of the task.
        test: `(num_trials,)` int32, likewise.
        same: `(num_trials,)` bool.
    """

    enrol: np.ndarray
    test: np.ndarray
    same: np.ndarray


@dataclass(frozen=True)
class Figure:
    """A published score, in the unit of the task's metric: a fraction for accuracy and the like, years for an age."""

    representation: str
    score: float
    source: str


@dataclass(frozen=True)
class Corpus:
    """Recordings and where to get them.

    Args:
        title: as its authors call it.
        source: the address that hands it out.
        licence: in short, with the terms of access.
        layout: what the folder must hold, a few lines; shown when it does not.
        tfds: name of the builder in TensorFlow Datasets, where there is one.
        synthetic: whether nobody spoke it.
    """

    title: str
    source: str
    licence: str
    layout: str
    tfds: str | None = None
    synthetic: bool = False


@dataclass(frozen=True)
class Task:
    """A question asked about the utterances of a corpus.

    Args:
        name: unique; lower-case letters, digits and `_`, for it names files; with `version` it keys results.
        corpus: the recordings.
        label: what is predicted, in words.
        read: folder -> utterances; decodes nothing. Call `noss.tasks.load`, which checks them.
        kind: what sort of answer.
        metric: a name in `noss.metrics` that fits the kind, see `METRICS`.
        split: how train and test are told apart.
        overlap: why a speaker may stand in two canonical splits; empty: none may.
        read_trials: folder, utterances -> trials, in verification.
        folder: where the clips are, if the task knows: a manifest does.
        figures: published scores.
        version: changes when the same folder gives other utterances or labels.

    Raises:
        ValueError: if the metric does not fit the kind, or the name cannot name a file.
    """

    name: str
    corpus: Corpus
    label: str
    read: Callable[[Path], list[Utterance]]
    kind: Kind = "classification"
    metric: str = "accuracy"
    split: Split = "speakers"
    overlap: str = ""
    read_trials: Callable[[Path, Sequence[Utterance]], Trials] | None = None
    folder: Path | None = None
    figures: tuple[Figure, ...] = ()
    version: str = "1"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", self.name):
            raise ValueError(f"a task's name is lower-case letters, digits and _, got {self.name!r}. E.g. my_corpus.")
        if self.metric not in METRICS.get(self.kind, ()):
            fitting = "; ".join(f"{kind}: {', '.join(metrics)}" for kind, metrics in METRICS.items())
            raise ValueError(f"a task needs a kind and a metric of it ({fitting}), got {self.kind} and {self.metric}.")
