"""Can labels be guessed from what is no speech: names of files, durations, loudness, silence, the recording?"""

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from noss import metrics, statistics
from noss.audit import probes
from noss.audit.findings import Finding, Verdict
from noss.audit.people import is_identified
from noss.audit.probes import FOLDS, ROUNDS, Folds
from noss.audit.sounds import SCALARS, recordings
from noss.tasks.task import CorpusError, Task, Utterance
from trill.errors import optional

text = optional("sklearn.feature_extraction.text", "noss")

LEVEL = 0.01  # of one probe; of the five together 0.05
STRONG = 0.5  # of the way from chance to 1
MAX_CLIPS = 3_000  # that a probe looks at; of more, speakers are drawn
BOOTSTRAPS = 1_000

MEASURED = {
    "duration": ("seconds",),
    "loudness": ("rms_db", "peak_db", "active_db"),
    "silence": ("leading_seconds", "trailing_seconds", "silent_share"),
    "recording": ("offset", "bandwidth_hz", "noise_floor_db", "zero_share", "clipped_share"),
}
ADVICE = {
    "file names": "Information only: a model of sound hears no names. Keep them, and numbers in them, from any model.",
    "duration": "A network hears it: padding, pooling and the number of windows tell. Cut all clips to one length, and "
    "see whether the score stays.",
    "loudness": "A network can use it. Part of it may be meant (anger is loud), part may be a microphone's distance: "
    "normalise the gain, and see whether the score stays.",
    "silence": "A network can use it: pauses around and in speech tell who cut the clips, and how. Trim all alike, and "
    "see whether the score stays.",
    "recording": "A network can use it: offset, bandwidth, noise floor, digital silence, clipping or container differ "
    "by label, as where labels were recorded apart; bandwidth and noise floor follow the voice as well. Record and "
    "encode all alike.",
}


def check_leaks(
    task: Task, utterances: Sequence[Utterance], measures: np.ndarray, *, seed: int = 0, rounds: int = ROUNDS
) -> list[Finding]:
    """A finding for each kind of probe.

    Args:
        task: of classes or numbers.
        utterances: clips that can be decoded.
        measures: `(num_clips, dim)` by `noss.audit.sounds.Measures`.
        seed: of folds, permutations and intervals.
        rounds: permutations.
    """
    asked: dict[str, Callable[[Sequence[Utterance], np.ndarray], np.ndarray]] = {
        "file names": lambda clips, _: name_kernel(clips),
        **{check: lambda clips, rows, check=check: _measured(check, clips, rows) for check in MEASURED},  # type: ignore[misc]
    }
    chosen = _fewer(utterances, seed)
    clips, rows = [utterances[position] for position in chosen], measures[chosen]
    try:
        if task.kind == "verification":
            raise CorpusError("a task of pairs has no labels to guess.")
        folds = probes.make_folds(task, clips, seed)
    except CorpusError as error:
        return [Finding("Leaks", check, "skipped", str(error)) for check in asked]
    is_class = task.kind == "classification"
    labels = np.array([each.label for each in clips])
    codes = np.unique(labels, return_inverse=True)[1] if is_class else labels.astype(np.float64)
    # Where voices are what is asked for, or nobody knows them, a clip is the unit.
    speakers = np.array([str(i) if is_identified(task, clips) else each.speaker for i, each in enumerate(clips)])
    targets = probes.permuted(codes, speakers, rounds, seed)
    found = [
        _probe(check, kernel(clips, rows), targets, speakers, folds, is_class, seed) for check, kernel in asked.items()
    ]
    least = probes.least_p(targets)
    if least <= LEVEL:
        return found
    advice = f"Too few speakers to tell: labels can be dealt out so few ways that p is {least:.2g} or more."
    return [dataclasses.replace(each, verdict="skipped", advice=advice) for each in found]


def _fewer(utterances: Sequence[Utterance], seed: int) -> np.ndarray:
    """Positions of at most `MAX_CLIPS` clips: whole speakers as long as they fit, at random."""
    if len(utterances) <= MAX_CLIPS:
        return np.arange(len(utterances))
    _, codes, counts = np.unique([each.speaker for each in utterances], return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(counts))
    taken = order[np.cumsum(counts[order]) <= MAX_CLIPS]
    chosen = np.flatnonzero(np.isin(codes, taken))
    if len(taken) > FOLDS:
        return chosen
    return np.sort(np.random.default_rng(seed).permutation(len(utterances))[:MAX_CLIPS])


# What a probe sees, as a kernel with ones on its diagonal.


def _measured(check: str, clips: Sequence[Utterance], rows: np.ndarray) -> np.ndarray:
    columns = rows[:, [SCALARS.index(name) for name in MEASURED[check]]]
    if check == "recording":
        columns = np.column_stack([columns, recordings(clips, rows[:, SCALARS.index("seconds")])])
    return probes.rank_kernel(columns)


def name_kernel(utterances: Sequence[Utterance]) -> np.ndarray:
    """Cosines between the character n-grams, words and numbers of names, which the speaker's name is taken out of."""
    names = [anonymous(each) for each in utterances]
    count = text.CountVectorizer(analyzer=_pieces, binary=True)
    try:
        table = text.TfidfTransformer().fit_transform(count.fit_transform(names))
    except ValueError:  # nothing is left of any name
        return np.ones((len(names), len(names)))
    grams = np.asarray((table @ table.T).todense())
    np.fill_diagonal(grams, 1)
    numbers = [[float(each) for each in re.findall(r"\d+", name)] for name in names]
    width = min(8, max(map(len, numbers)))
    if not width:
        return grams
    columns = np.array([(row + [-1.0] * width)[:width] for row in numbers])
    return np.asarray((grams + probes.rank_kernel(columns)) / 2)


def anonymous(utterance: Utterance) -> str:
    """A name without its suffix and its speaker, lower case.

    >>> from pathlib import Path
    >>> anonymous(Utterance(Path("x"), "wav/Actor_03/03-01-Anna Smith.wav", "happy", "anna_smith"))
    'wav/actor_03/03-01-'
    """
    name = utterance.name.rsplit("#", 1)[0].rsplit(".", 1)[0].casefold()
    words = re.findall(r"[^\W_]+", utterance.speaker.casefold())
    return re.sub(r"[\W_]*".join(map(re.escape, words)), "", name) if words else name


def _pieces(name: str) -> list[str]:
    tokens = [token for token in re.split(r"[\W_]+|(?<=\d)(?=\D)|(?<=\D)(?=\d)", name) if token]
    marked = f"^{name}$"
    grams = [marked[start : start + size] for size in (2, 3, 4) for start in range(len(marked) - size + 1)]
    return [*grams, *(f"{place}:{token}" for place, token in enumerate(tokens))]


def _correlation(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(probes.scores_of(truth[None], predicted[None], False)[0])


CORRELATION = metrics.Metric("correlation", _correlation, "regression", low=-1, high=1)


def _probe(
    check: str,
    kernel: np.ndarray,
    targets: np.ndarray,
    speakers: np.ndarray,
    folds: Folds,
    is_class: bool,
    seed: int,
) -> Finding:
    codes = targets[0]
    found = probes.probe(kernel, targets, folds, is_class)
    name = "uar" if is_class else "correlation"
    chance = 1 / (codes.max() + 1) if is_class else 0.0
    values = {name: found.score, "chance": chance, "null": found.null, "p": found.p, "clips": len(codes)}
    try:
        interval = statistics.bootstrap(
            codes[folds.tested],
            found.predicted,
            speakers[folds.tested],
            "uar" if is_class else CORRELATION,
            classes=range(int(codes.max()) + 1) if is_class else None,
            rounds=BOOTSTRAPS,
            seed=seed,
        )
        values |= {"low": interval.low, "high": interval.high}
        spread = f"[{interval.low:.3f}, {interval.high:.3f}]" + (", nearly vacuous" if interval.vacuous else "")
    except ValueError:
        spread = "(no interval: one speaker)"
    said = (
        f"{name} {found.score:.3f} {spread}, chance {chance:.3f}, with labels permuted {found.null:.3f}, "
        f"p = {found.p:.3f}."
    )
    if found.p > LEVEL:
        return Finding("Leaks", check, "ok", said, "", values)
    strong = (found.score - chance) / (1 - chance) >= STRONG
    verdict: Verdict = "ok" if check == "file names" else "broken" if strong else "look"
    return Finding("Leaks", check, verdict, said, ADVICE[check], values)
