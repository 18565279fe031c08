"""What a protocol tries and how it chooses, as data; its hash is part of every score."""

import dataclasses
import functools
import hashlib
import itertools
import json
from dataclasses import dataclass

from noss.classifiers import CLASSIFIERS
from noss.features import AGGREGATIONS, NORMALISATIONS
from noss.splits import SplitRule

VERSION = 1  # of what is computed; raise it when the same config gives other scores
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
PENALTIES = (10.0, 1.0, 0.1, 0.01)
DEFAULT_RULE = SplitRule()


@dataclass(frozen=True, order=True)
class Setting:
    """One of the things that are tried; names of the tables in `noss.features` and `noss.classifiers`."""

    aggregation: str
    normalisation: str
    classifier: str
    strength: float

    def __str__(self) -> str:
        return f"{self.aggregation}, {self.normalisation}, {self.classifier} {self.strength:g}"


@dataclass(frozen=True)
class ProtocolConfig:
    """What is tried and how it is chosen. Two scores compare if they have one `id`.

    Args:
        name: as the id begins.
        splits: how parts are drawn.
        aggregations: over time; names in `noss.features.AGGREGATIONS`.
        normalisations: names in `noss.features.NORMALISATIONS`.
        classifiers: names in `noss.classifiers.CLASSIFIERS`, each with its strengths. Of settings equally good on dev
            the first is taken: aggregations vary slowest, strengths fastest.
        scorers: of pairs, in verification: "cosine", "plda".
        refit: whether what was chosen learns from train and dev, or from train alone.
        pooled: whether the score is that of the predictions of all splits together (folds), or the mean over splits.
        voting_rows: windows to learn from where predictions vote, about: each clip gives equally many, at least one.

    Raises:
        ValueError: if a name is unknown, a table is empty, or `voting_rows` is not positive.
    """

    name: str = "noss"
    splits: SplitRule = DEFAULT_RULE
    aggregations: tuple[str, ...] = ("mean", "max", "mode", "mean+std")
    normalisations: tuple[str, ...] = ("none", "l2", "speaker")
    classifiers: tuple[tuple[str, tuple[float, ...]], ...] = (
        ("logistic", STRENGTHS),
        ("balanced_logistic", STRENGTHS),
        ("lda", (0.9, 0.5, 0.2, 0.05)),
        ("forest", (1,)),
        ("ridge", PENALTIES),
    )
    scorers: tuple[str, ...] = ("cosine", "plda")
    refit: bool = True
    pooled: bool = False
    voting_rows: int = 5000

    def __post_init__(self) -> None:
        named = tuple(name for name, strengths in self.classifiers if strengths)
        for what, given, known in (
            ("aggregations", self.aggregations, AGGREGATIONS),
            ("normalisations", self.normalisations, NORMALISATIONS),
            ("classifiers", named, CLASSIFIERS),
            ("scorers", self.scorers, ("cosine", "plda")),
        ):
            if not given or not set(given) <= set(known):
                raise ValueError(f"{what} must be of {', '.join(known)}, got {', '.join(given) or 'none'}.")
        if self.voting_rows < 1:
            raise ValueError(f"voting_rows must be positive, got {self.voting_rows}. The default is 5000.")

    @functools.cached_property
    def id(self) -> str:
        """Name, version and a hash of all of it.

        >>> ProtocolConfig().id == ProtocolConfig("noss").id != ProtocolConfig(refit=False).id
        True
        """
        text = json.dumps([VERSION, dataclasses.asdict(self)], sort_keys=True)
        return f"{self.name}-{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def settings(self, kind: str) -> list[Setting]:
        """What is tried in a task of this kind, in order. Numbers cannot vote."""
        wanted = [(name, strength) for name, strengths in self.classifiers for strength in strengths]
        return [
            Setting(aggregation, normalisation, name, float(strength))
            for aggregation, normalisation, (name, strength) in itertools.product(
                self.aggregations, self.normalisations, wanted
            )
            if CLASSIFIERS[name].kind == kind and not (kind == "regression" and aggregation == "mode")
        ]


NOSS = ProtocolConfig()
# The referee of speech/score.py: five folds, one linear classifier, pooled predictions.
REFEREE = ProtocolConfig(
    "referee",
    splits=SplitRule(folds=5, dev_share=0.25),
    aggregations=("mean",),
    normalisations=("none",),
    classifiers=(("balanced_logistic", STRENGTHS), ("ridge", PENALTIES)),
    scorers=("cosine",),
    pooled=True,
)
