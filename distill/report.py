"""How much of a teacher is in a student, and what the student costs.

The heads of training are not asked: on part of the clips a ridge regression learns to give the teacher's mean over a
window from the student's embedding of it, and is scored on clips that it did not see. So any model can be asked, ours
or another's, about any teacher.
"""

import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.hearing import Hearing, Recipe
from distill.teachers.teacher import Teacher
from trill import presets, probe
from trill.embedder import Embedder, load
from trill.errors import optional
from trill.progress import progress
from trill.training.cache import Cache
from trill.training.checkpoints import BEST, LAST

STRENGTHS = 10.0 ** np.arange(-2, 8)  # of the ridge, for each row it is fitted on, times 1e-3
PARTS = (0.6, 0.2, 0.2)  # of the clips: to fit, to choose the strength, to score
TIMED = 20  # windows


@dataclasses.dataclass(frozen=True)
class Likeness:
    """A student's window embeddings against a teacher's window means, on clips that nothing was fitted on.

    Args:
        teacher: its name, with layers or tap.
        r2: explained share of the variance of all standardised values of the teacher; 1 is all of it, 0 as good as the
            mean, below 0 worse.
        cosine: mean cosine of what is predicted and what the teacher says, both less the mean.
        cka: linear centred kernel alignment (Kornblith et al. 2019, arXiv:1905.00414, section 3), in [0, 1]; it needs
            no regression, and is too high where windows are not many more than dimensions.
        windows: that were scored.
    """

    teacher: str
    r2: float
    cosine: float
    cka: float
    windows: int


@dataclasses.dataclass(frozen=True)
class Recall:
    """A quick probe (`trill.probe`) of mean embeddings on labelled clips: unweighted average recall, in [0, 1].

    Args:
        task: its folder's or file's name.
        student: recall with the student.
        teachers: with each teacher.
    """

    task: str
    student: float
    teachers: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """What `report` measures.

    Args:
        model: its name, version and hash.
        dim: of the embedding.
        bytes: of the file.
        parameters: of the network; None where the file does not say.
        multiplies: multiply-adds a window, without the front end; None likewise.
        milliseconds: a window, median, one at a time, as the file is run here: Keras or TFLite.
        likeness: to each teacher.
        tasks: what a classifier reads from student and teachers.
    """

    model: str
    dim: int
    bytes: int
    parameters: int | None
    multiplies: int | None
    milliseconds: float
    likeness: tuple[Likeness, ...]
    tasks: tuple[Recall, ...] = ()

    def table(self) -> str:
        """As lines of text."""
        count = lambda value: "?" if value is None else f"{value / 1e6:.2f} M"  # noqa: E731
        head = (
            f"{self.model}: {self.dim} values, {self.bytes / 1e6:.2f} MB, {count(self.parameters)} parameters, "
            f"{count(self.multiplies)} multiply-adds and {self.milliseconds:.1f} ms a window"
        )
        wide = max([7, *(len(row.teacher) for row in self.likeness)])
        rows = [f"{'teacher':{wide}}      R2  cosine    CKA  windows"]
        rows += [
            f"{row.teacher:{wide}}  {row.r2:6.3f}   {row.cosine:5.3f}  {row.cka:5.3f}  {row.windows:7,}"
            for row in self.likeness
        ]
        return "\n".join([head, *rows, *self._recalls()])

    def _recalls(self) -> list[str]:
        if not self.tasks:
            return []
        names = ["student", *(row.teacher for row in self.likeness)]
        wide = max(len(task.task) for task in self.tasks)
        return [
            f"{'recall':{wide}}  {'  '.join(names)}",
            *(
                f"{task.task:{wide}}  "
                + "  ".join(
                    f"{value:{len(name)}.3f}" for name, value in zip(names, (task.student, *task.teachers), strict=True)
                )
                for task in self.tasks
            ),
        ]


def report(
    model: str | os.PathLike[str],
    cache: Cache,
    teachers: Sequence[tuple[Teacher, Recipe]],
    *,
    labelled: Sequence[str | os.PathLike[str]] = (),
    num_clips: int = 500,
    seed: int = 0,
    quiet: bool = False,
) -> Report:
    """Compare a student with teachers on clips, best such that it was not trained on.

    Args:
        model: a run's folder, a model file or a packaged model's name.
        cache: the clips, at the rate of model and teachers.
        teachers: and which layers or tap of them.
        labelled: tasks for a quick probe, each what `probe.read_labels` takes.
        num_clips: drawn of them at most.
        seed: of what is drawn.
        quiet: no progress bar.

    Raises:
        ValueError: if there are too few clips, or rates differ.
    """
    embedder = load(find_model(model))
    chosen = np.random.default_rng(seed).permutation(len(cache))[:num_clips]
    if len(chosen) < 10:
        raise ValueError(f"a report needs at least ten clips, got {len(chosen)}. Pass more sound.")
    hearings = [Hearing(teacher, recipe) for teacher, recipe in teachers]
    for name, rate in [(embedder.name, embedder.sample_rate), *((t.name, t.sample_rate) for t, _ in teachers)]:
        if rate != cache.sample_rate:
            raise ValueError(f"all must hear the same rate, {name} hears {rate} Hz, not {cache.sample_rate}.")
    embedded: list[np.ndarray] = []
    said: list[list[np.ndarray]] = [[] for _ in hearings]
    with progress(chosen.tolist(), total=len(chosen), unit="clips", quiet=quiet) as bar:
        for index in bar:
            clip = cache.window(index, 0, int(cache.lengths[index]))
            embedded.append(embedder.embed_windows(clip))
            times = embedder.window_times(len(clip)) * cache.sample_rate
            for rows, hear in zip(said, hearings, strict=True):
                rows.append(_under(hear(clip), times, hear.hop))
    owners = np.repeat(np.arange(len(chosen)), [len(rows) for rows in embedded])
    x = np.concatenate(embedded).astype(np.float64)
    likeness = [
        compare(title(teacher, recipe), x, np.concatenate(rows).astype(np.float64), owners)
        for (teacher, recipe), rows in zip(teachers, said, strict=True)
    ]
    tasks = tuple(_recall(source, embedder, hearings, quiet) for source in labelled)
    measured = cost(find_model(model), embedder)
    return Report(embedder.card.identity, x.shape[1], likeness=tuple(likeness), tasks=tasks, **measured)


def _recall(source: str | os.PathLike[str], embedder: Embedder, hearings: Sequence[Hearing], quiet: bool) -> Recall:
    clips = probe.read_labels(source)
    path = Path(source)
    embedders: list[Callable[[np.ndarray], np.ndarray]] = [embedder.embed_windows, *hearings]
    rows: list[list[np.ndarray]] = [[] for _ in embedders]
    with progress(
        probe.read_clips(clips, embedder.sample_rate), total=len(clips.paths), unit="clips", quiet=quiet
    ) as bar:
        for waveform in bar:
            for means, embed in zip(rows, embedders, strict=True):
                means.append(embed(waveform).mean(axis=0))
    student, *teachers = (probe.recall(np.stack(means), clips.labels, clips.speakers) for means in rows)
    return Recall(path.parent.name if path.stem == "manifest" else path.stem, student, tuple(teachers))


def find_model(run: str | os.PathLike[str]) -> str:
    """The network of a run's folder, the best where there was validation; anything else as it is."""
    folder = Path(run)
    found = [folder / name for name in (BEST, LAST) if (folder / name).is_file()]
    return str(found[0]) if found else os.fspath(run)


def title(teacher: Teacher, recipe: Recipe) -> str:
    """A teacher's name with its layers or tap."""
    layers = ",".join(map(str, recipe.layers))
    return f"{teacher.name}@{recipe.tap or (f'layers {layers}' if layers else 'default')}"


def _under(frames: np.ndarray, times: np.ndarray, hop: int) -> np.ndarray:
    """Mean of the frames under each window: `(num_windows, width)`."""
    begins = np.minimum(times[:, 0] // hop, len(frames) - 1).astype(int)
    ends = np.maximum(begins + 1, np.ceil(times[:, 1] / hop).astype(int))
    return np.stack([frames[begin:end].mean(axis=0) for begin, end in zip(begins, ends, strict=True)])


def compare(name: str, x: np.ndarray, y: np.ndarray, owners: np.ndarray, seed: int = 0) -> Likeness:
    """Likeness of two embeddings of the same windows.

    Args:
        name: of the second.
        x: `(num_windows, dim)` float64, the student's.
        y: `(num_windows, width)` float64, the teacher's.
        owners: `(num_windows,)`: the clip of each, which is kept whole.
        seed: of the parts.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(400, 8))
    >>> found = compare("rotated", x, x @ np.linalg.qr(rng.normal(size=(8, 8)))[0], np.arange(400) // 4)
    >>> round(found.r2, 2), round(found.cosine, 2), round(found.cka, 1)
    (1.0, 1.0, 1.0)
    """
    clips = np.random.default_rng(seed).permutation(np.unique(owners))
    first, second = (math.ceil(len(clips) * share) for share in (PARTS[0], PARTS[0] + PARTS[1]))
    fit, choose, test = (np.isin(owners, part) for part in np.split(clips, [first, second]))
    x, y = _standardised(x, fit), _standardised(y, fit)
    left, values, right = np.linalg.svd(x[fit], full_matrices=False)
    projected = left.T @ y[fit]

    def predicted(rows: np.ndarray, strength: float) -> np.ndarray:
        shrunk = (values / (values**2 + 1e-3 * strength * len(left)))[:, None]
        result: np.ndarray = rows @ (right.T @ (shrunk * projected))
        return result

    best = max(STRENGTHS, key=lambda strength: _r2(predicted(x[choose], strength), y[choose]))
    guess = predicted(x[test], best)
    lengths = np.linalg.norm(guess, axis=1) * np.linalg.norm(y[test], axis=1)
    cosine = float(((guess * y[test]).sum(axis=1) / np.maximum(lengths, 1e-12)).mean())
    return Likeness(name, _r2(guess, y[test]), cosine, linear_cka(x[test], y[test]), int(test.sum()))


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear centred kernel alignment of `(n, dim)` and `(n, width)`, in [0, 1]."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    # Of rows by rows: a map of YAMNet has 24,576 values, and values by values would be 5 GB.
    one, other = x @ x.T, y @ y.T
    return float((one * other).sum() / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-12))


def _standardised(rows: np.ndarray, fit: np.ndarray) -> np.ndarray:
    scale = rows[fit].std(axis=0)
    return (rows - rows[fit].mean(axis=0)) / np.where(scale > 1e-12, scale, 1.0)


def _r2(predicted: np.ndarray, rows: np.ndarray) -> float:
    return 1.0 - float(np.square(rows - predicted).sum() / max(np.square(rows - rows.mean(axis=0)).sum(), 1e-12))


def cost(path: str, embedder: Embedder) -> Mapping[str, Any]:
    """Size and time of a model; what is only known of a Keras network is None for others."""
    windows = np.zeros((1, embedder.card.window_samples), np.float32)
    embedder.model.run(windows, embedder.tap)
    seconds = []
    for _ in range(TIMED):
        began = time.perf_counter()
        embedder.model.run(windows, embedder.tap)
        seconds.append(time.perf_counter() - began)
    found: dict[str, Any] = {"parameters": None, "multiplies": None, "milliseconds": 1e3 * float(np.median(seconds))}
    network = getattr(embedder.model, "network", None)
    if network is not None:
        optional("keras", "train")
        from trill.networks.counting import multiply_adds

        found |= {"parameters": network.count_params(), "multiplies": multiply_adds(network)}
    file = Path(path) if Path(path).is_file() else presets.locate(path)
    return found | {"bytes": file.stat().st_size}
