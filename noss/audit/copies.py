"""The same sound twice: as the same file, or decoded to the same waveform up to gain, silence around it and codec.

Two clips are identical if their files are, or if their waveforms, decoded to 16 kHz mono, correlate with 0.9 or more at
the best shift, in either polarity. Candidates are those whose prints (`noss.audit.sounds`) are near and whose sound is
equally long to 0.2 s; each candidate is decoded and compared, so that a print alone convicts nobody.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from noss.audit.findings import SHOWN, Finding, counted, some
from noss.audit.people import is_known
from noss.audit.sounds import SCALARS
from noss.tasks.task import Task, Utterance
from trill import audio
from trill.errors import AudioError, optional
from trill.progress import progress

fft = optional("scipy.fft", "noss")
csgraph = optional("scipy.sparse.csgraph", "noss")
sparse = optional("scipy.sparse", "noss")

# Correlation. Of 2575 clips of six corpora no two takes reached 0.77, of one word by one speaker included.
SAME = 0.9
NEAR_DB = 5.0  # root mean square difference of prints
NEAR_SECONDS = 0.2
NEIGHBOURS = 5  # compared with each clip, the nearest first
BLOCK = 2**22  # numbers of a block of distances

# What is wrong with a set of copies -> in words, and what it means.
WRONGS = {
    "on both sides": ("in two parts", "What is tested may have been learned: remove all but one."),
    "two labels": ("with two labels", "One label is wrong, or raters disagree: no classifier can be right on both."),
    "two speakers": (
        "with two speakers",
        "One name is wrong, or a person has two: then voices stand on both sides, whatever the split.",
    ),
}


def find_copies(
    utterances: Sequence[Utterance], measures: np.ndarray, contents: Sequence[str], *, quiet: bool = False
) -> list[list[int]]:
    """Sets of identical clips.

    Args:
        utterances: clips that can be decoded.
        measures: `(num_clips, dim)` by `noss.audit.sounds.Measures`.
        contents: of each clip a hash of its file and part.
        quiet: no progress bar.

    Returns:
        Positions, ascending, of two or more clips each.
    """
    of_content: defaultdict[str, list[int]] = defaultdict(list)
    for position, content in enumerate(contents):
        of_content[content].append(position)
    pairs = [(group[0], other) for group in of_content.values() for other in group[1:]]
    first = np.array([group[0] for group in of_content.values()])
    candidates = [(int(first[i]), int(first[j])) for i, j in near(measures[first])]
    with progress(candidates, total=len(candidates), unit="pairs compared", quiet=quiet) as bar:
        for i, j in bar:
            try:
                if correlation(_sound(utterances[i]), _sound(utterances[j])) >= SAME:
                    pairs.append((i, j))
            except (AudioError, OSError):
                continue  # it changed since it was measured
    rows, columns = np.array(pairs, np.intp).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), (len(utterances),) * 2)
    _, names = csgraph.connected_components(graph, directed=False)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for position, name in enumerate(names.tolist()):
        groups[name].append(position)
    return [group for group in groups.values() if len(group) > 1]


def near(measures: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs whose prints and lengths are near: of each clip with at most five others."""
    prints = measures[:, len(SCALARS) :].astype(np.float64)
    seconds = measures[:, SCALARS.index("print_seconds")]
    squares = (prints**2).sum(axis=1)
    step = max(1, BLOCK // max(1, len(prints)))
    had: set[tuple[int, int]] = set()
    for start in range(0, len(prints), step):
        block = slice(start, start + step)
        distances = squares[block, None] + squares - 2 * prints[block] @ prints.T
        close = distances <= NEAR_DB**2 * prints.shape[1]
        close &= np.abs(seconds[block, None] - seconds) <= NEAR_SECONDS
        close &= seconds > 0  # all silence is alike
        for row in np.flatnonzero(close.sum(axis=1) > 1):
            others = np.flatnonzero(close[row])
            others = others[others != start + row]
            for other in others[np.argsort(distances[row, others], kind="stable")][:NEIGHBOURS].tolist():
                pair = (min(start + int(row), other), max(start + int(row), other))
                if pair not in had:
                    had.add(pair)
                    yield pair


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The largest absolute correlation of two waveforms over all shifts; 0 with silence.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=1000)
    >>> round(correlation(x, -0.1 * np.r_[np.zeros(70), x]), 6), correlation(x, rng.normal(size=1000)) < 0.2
    (1.0, True)
    """
    energy = float(np.sqrt((a**2).sum() * (b**2).sum()))
    if not energy:
        return 0.0
    size = fft.next_fast_len(len(a) + len(b), real=True)
    product = fft.irfft(fft.rfft(a, size) * np.conj(fft.rfft(b, size)), size)
    return float(np.abs(product).max() / energy)


def _sound(utterance: Utterance) -> np.ndarray:
    """A clip at 16 kHz, around its mean."""
    x = audio.read(utterance.path).astype(np.float64)
    x = x[round(utterance.start * 16_000) : None if utterance.end is None else round(utterance.end * 16_000)]
    return np.asarray(x - x.mean())


def check_copies(
    task: Task, utterances: Sequence[Utterance], groups: Sequence[Sequence[int]], contents: Sequence[str]
) -> list[Finding]:
    """What copies do: stand on both sides, under two labels, under two speakers."""
    names = [" = ".join(utterances[position].name for position in group[:SHOWN]) for group in groups]
    same_file = sum(len({contents[position] for position in group}) == 1 for group in groups)
    clips = sum(map(len, groups))
    said = f"{counted(len(groups), 'set')}, {clips} of {len(utterances)} clips; same file: {same_file}. {some(names)}."
    findings = [
        Finding(
            "Copies",
            "identical sound",
            "look" if groups else "ok",
            said if groups else f"none among {len(utterances)} clips.",
            "Keep one of each: copies count twice, and by clip they would stand on both sides." if groups else "",
            {"sets": names, "clips": clips, "same_file": same_file},
        )
    ]
    if not groups:
        return findings
    apart = [len({_side(task, utterances[each]) for each in group}) > 1 for group in groups]
    labels = [len({utterances[each].label for each in group}) > 1 for group in groups]
    people = [len({utterances[each].speaker for each in group if is_known(utterances[each])}) > 1 for group in groups]
    for (check, (what, advice)), wrong in zip(WRONGS.items(), (apart, labels, people), strict=True):
        found = [name for name, is_wrong in zip(names, wrong, strict=True) if is_wrong]
        if found:
            said = f"{counted(len(found), 'set')} {what}: {some(found)}."
            findings.append(Finding("Copies", check, "broken", said, advice, {"sets": found}))
        else:
            findings.append(Finding("Copies", check, "ok", f"no set {what}."))
    return findings


def _side(task: Task, utterance: Utterance) -> str:
    """What stands on one side of the split that the task asks for."""
    if task.split == "canonical":
        return str(utterance.split)
    return utterance.speaker if task.split == "speakers" else utterance.name
