"""How much a personal head knows after 1, 2, 5, 10, 20 clips a label: speakers, words, emotions.

    python benchmarks/few_shot.py ../shared/speech/dev -o OUT [--draws 40] [--model FILE --network FILE]

The folder holds packs (manifest.csv with path, label, speaker). Eight labels are drawn, and clips to learn from, the
smaller sets inside the larger; the score is unweighted average recall on clips that no size learns from, "unknown"
not being an answer. Words and emotions are learnt from other speakers than those of the test; "own" is learnt from the
speaker who is tested, for whom the network's top block is fine-tuned, too. Intervals are of the mean over draws: they
tell whether more draws would move a figure, not what another corpus would give.

OUT gets few-shot.json, few-shot.png, and the embeddings, which the next run takes over. The head on the device is that
of a file of `trill-export WEIGHTS --personal 16`, made unless given; WEIGHTS are the packaged model's, or --network.
Needs the extras `teachers` and `train` and, without --personal, `export`.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from few_shot_picture import draw_picture
from few_shot_tuning import Tuned

import trill
from trill.batch import embed_files
from trill.embedder import DEFAULT_MODEL
from trill.files import write_atomically
from trill.manifests import Clip
from trill.personal import linear
from trill.personal.background import Background, background_of
from trill.progress import progress
from trill.runtime import interpreter_class
from trill.training.finetuning.material import weights_of

SIZES = (1, 2, 5, 10, 20)  # clips a label
LABELS = 8
SEED = 0
RESAMPLES = 2000
SPLITS = 50  # of speakers in halves that are drawn, until all labels have clips enough
STEPS_A_CLASS = 25  # as docs/personalization-on-device.md tells a phone

Learner = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]  # of clips and codes to what decides
Part = tuple[list[np.ndarray], np.ndarray]  # of each label, clips to learn from, in order; clips of the test


@dataclass(frozen=True)
class Question:
    """What is learnt: `across` speakers, from `own` clips of who is tested, or the speakers themselves."""

    name: str
    pack: str
    split: str


QUESTIONS = (
    Question("speakers", "speaker_en_l2", "clips"),
    Question("words_ar", "keyword_ar", "across"),
    Question("words_en", "keyword_en", "across"),
    Question("emotions", "emotion_en", "across"),
    Question("emotions_pl", "emotion_pl", "across"),
    Question("words_ar_own", "keyword_ar", "own"),
    Question("emotions_own", "emotion_en", "own"),
    Question("emotions_pl_own", "emotion_pl", "own"),
)


@dataclass(frozen=True)
class Pack:
    paths: list[Path]
    x: np.ndarray  # (num_clips, dim)
    labels: np.ndarray
    speakers: np.ndarray


def read_pack(folder: Path, output: Path, embedder: trill.Embedder, quiet: bool) -> Pack:
    """A pack's embeddings: those in `output` if they are of this model, or new ones."""
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [folder / row["path"] for row in rows]
    path, x = output / f"{folder.name}.npz", None
    if path.exists():
        with np.load(path) as stored:
            if str(stored["model"]) == embedder.name and stored["paths"].tolist() == [row["path"] for row in rows]:
                x = stored["x"]
    if x is None:
        clips = [Clip(row["path"], file) for row, file in zip(rows, paths, strict=True)]
        summary = embed_files(clips, path, embedder, quiet=quiet)
        if summary.failed:
            raise ValueError(f"every clip must be readable, {summary.failed} are not. Repair {folder}.")
        with np.load(path) as stored:
            x = stored["x"]
    return Pack(paths, x, *(np.array([row[name] for row in rows]) for name in ("label", "speaker")))


def draw(pack: Pack, split: str, random: np.random.Generator) -> Part:
    """Eight labels, or all there are, for each an order of clips to learn from, and clips to test.

    >>> labels = np.repeat([*"abcd"], 6)
    >>> learn, test = draw(Pack([], np.zeros((24, 1)), labels, labels), "clips", np.random.default_rng(0))
    >>> [len(clips) for clips in learn], len(test)
    ([4, 4, 4, 4], 8)
    """
    names = random.permutation(np.unique(pack.labels))
    speakers = random.permutation(np.unique(pack.speakers))
    heard = np.full(len(pack.labels), True)
    if split == "own":
        heard = pack.speakers == speakers[0]
        names = np.array([name for name in names if (pack.labels[heard] == name).sum() > 1])
    names = names[:LABELS]
    there = heard & np.isin(pack.labels, names)

    def enough(mask: np.ndarray) -> int:
        """Clips of the rarest label, as far as they are asked for."""
        return min(SIZES[-1], *((pack.labels[mask] == name).sum() for name in names))

    if split == "across":
        halves = [random.permutation(speakers)[: len(speakers) // 2] for _ in range(SPLITS)]
        learnt = max((np.isin(pack.speakers, half) for half in halves), key=lambda mask: enough(mask & there))
    else:
        learnt = first_of_each(pack.labels, there, random)
    order = random.permutation(len(pack.labels))
    order = order[(there & learnt)[order]]
    return [order[pack.labels[order] == name] for name in names], np.flatnonzero(there & ~learnt)


def first_of_each(labels: np.ndarray, there: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A random two thirds of each label's clips, as a mask."""
    chosen = np.zeros(len(labels), bool)
    for name in np.unique(labels[there]):
        clips = random.permutation(np.flatnonzero(there & (labels == name)))
        chosen[clips[: 2 * len(clips) // 3]] = True
    return chosen


def linear_learner(name: str, background: Background) -> Learner:
    """A method of personal heads by name, or their own choice."""

    def learn(x: np.ndarray, codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        head = linear.fit(x, [f"{code:03d}" for code in codes], background, None if name == "automatic" else name)
        return lambda test: head.scores(test).argmax(axis=1)

    return learn


def device_learner(file: Path, *, falling: bool) -> Learner:
    """The head in a file of `trill-export --personal`, trained from zero as a phone would.

    The learning rate stays, as docs/personalization-on-device.md has it, or falls to nothing in a straight line.
    """
    head = interpreter_class()(model_path=str(file), num_threads=1)
    train, infer, get, put = map(head.get_signature_runner, ("train", "infer", "get_weights", "set_weights"))
    zero = {name: np.zeros_like(value) for name, value in get(unused=np.float32(0)).items()}
    batch, _ = train.get_input_details()["embeddings"]["shape"]

    def learn(x: np.ndarray, codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        number = codes.max() + 1
        put(**zero | {"active": (np.arange(len(zero["active"])) < number).astype(np.float32)})
        random, order = np.random.default_rng(SEED), []
        steps = STEPS_A_CLASS * number
        for step in range(steps):
            order = order or list(random.permutation(len(x)))
            chosen, order = order[:batch], order[batch:]
            rest = (0, batch - len(chosen))
            train(
                embeddings=np.pad(x[chosen], (rest, (0, 0))),
                labels=np.pad(codes[chosen], rest).astype(np.int32),
                sample_weights=np.pad(np.ones(len(chosen), np.float32), rest),
                learning_rate=np.float32(1 - step / steps if falling else 1),
                momentum=np.float32(0.9),
                weight_decay=np.float32(1e-4),
            )
        return lambda test: np.array([infer(embedding=row[None])["probabilities"].argmax() for row in test])

    return learn


def of_rows(learner: Learner, x: np.ndarray) -> Learner:
    """A learner of embeddings as one of their numbers."""

    def learn(rows: np.ndarray, codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        decide = learner(x[rows], codes)
        return lambda test: decide(x[test])

    return learn


def recall(truth: np.ndarray, found: np.ndarray) -> float:
    """Unweighted average recall.

    >>> recall(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]))
    0.5
    """
    return float(np.mean([(found[truth == code] == code).mean() for code in np.unique(truth)]))


def measure(
    pack: Pack,
    question: Question,
    learners: dict[str, Learner],
    embed_one: Callable[[int], float],
    draws: int,
    quiet: bool,
) -> dict[str, list[dict[str, Any]]]:
    """For each method a row a size: mean score, its interval, the middle 80 % of draws, milliseconds to learn.

    Methods take clips by number. A clip is embedded in every draw, so that what else the machine does weighs on both
    times alike.
    """
    embedding = []
    scores: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with progress(range(draws), total=draws, unit=f"draws of {question.name}", quiet=quiet) as bar:
        for number in bar:
            embedding.append(embed_one(number))
            learn, test = draw(pack, question.split, np.random.default_rng([SEED, number]))
            codes = {pack.labels[clips[0]]: code for code, clips in enumerate(learn)}
            truth = np.array([codes[label] for label in pack.labels[test]])
            for size in (size for size in SIZES if size <= min(map(len, learn))):
                rows = np.concatenate([clips[:size] for clips in learn])
                for name, learner in learners.items():
                    began = time.perf_counter()
                    decide = learner(rows, np.repeat(np.arange(len(learn)), size))
                    seconds = time.perf_counter() - began
                    scores.setdefault((name, size), []).append((recall(truth, decide(test)), seconds))
    return {
        name: [
            summary(size, found, embedding)
            for (other, size), found in scores.items()
            if other == name and len(found) == draws
        ]
        for name in learners
    }


def summary(size: int, found: list[tuple[float, float]], embedding: list[float]) -> dict[str, Any]:
    scores, seconds = np.array(found).T
    means = np.random.default_rng(SEED).choice(scores, (RESAMPLES, len(scores))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    worst, best = np.quantile(scores, (0.1, 0.9))
    figures = {"mean": scores.mean(), "low": low, "high": high, "tenth": worst, "ninetieth": best}
    return {
        "clips": size,
        **{name: round(float(value), 4) for name, value in figures.items()},
        "milliseconds": round(1000 * float(np.median(seconds)), 3),
        "over_embedding_a_clip": round(float(np.median(seconds) / np.median(embedding)), 4),
    }


def embedding_timer(embedder: trill.Embedder, paths: list[Path]) -> Callable[[int], float]:
    """What times the embedding of one clip, by any number, so that it can be done beside the learning."""

    def seconds(number: int) -> float:
        began = time.perf_counter()
        embedder.embed(paths[number % len(paths)])
        return time.perf_counter() - began

    return seconds


def personal_file(weights: Path, output: Path) -> Path:
    """A network with a head that learns, exported once."""
    path = output / f"{weights.stem}-personal.tflite"
    if not path.exists():
        command = [Path(sys.executable).with_name("trill-export"), weights, "-o", path, "--personal", "16"]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("few-shot"))
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="what embeds")
    parser.add_argument("--network", type=Path, help="the .safetensors of what embeds")
    parser.add_argument("--personal", type=Path, help="a file of `trill-export --personal`, of the same network")
    parser.add_argument("-q", "--quiet", action="store_true")
    args = parser.parse_args(arguments)
    questions = [question for question in QUESTIONS if (args.packs / question.pack / "manifest.csv").exists()]
    if not questions:
        parser.error(f"{args.packs} must hold one of the packs {', '.join(sorted({q.pack for q in QUESTIONS}))}")
    args.output.mkdir(parents=True, exist_ok=True)
    embedder = trill.load(args.model, threads=1)
    background = background_of(embedder.card, embedder.embedding_dim)
    learners = {name: linear_learner(name, background) for name in ("centroid", "logistic", "automatic")}
    network = args.network or weights_of(args.model)
    file = args.personal or personal_file(network, args.output)
    learners |= {"device": device_learner(file, falling=False), "device_falling": device_learner(file, falling=True)}
    results: dict[str, Any] = {"model": embedder.name, "draws": args.draws, "labels": LABELS, "questions": {}}
    for question in questions:
        pack = read_pack(args.packs / question.pack, args.output, embedder, args.quiet)
        chance = 1 / min(LABELS, len(np.unique(pack.labels)))
        asked = {name: of_rows(learner, pack.x) for name, learner in learners.items()}
        if question.split == "own":
            asked["tuned"] = Tuned(network, pack.paths, pack.x, background)
        methods = measure(pack, question, asked, embedding_timer(embedder, pack.paths), args.draws, args.quiet)
        results["questions"][question.name] = {"pack": question.pack, "chance": chance, "methods": methods}
        for method, rows in methods.items():
            line = ", ".join(f"{row['clips']}: {row['mean']:.1%} ±{(row['high'] - row['low']) / 2:.1%}" for row in rows)
            print(f"{question.name:14s} {method:10s} {line}")
    with write_atomically(args.output / "few-shot.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1))
    draw_picture(results, args.output / "few-shot.png")


if __name__ == "__main__":
    main()
