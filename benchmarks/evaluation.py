"""What judging costs: a finished suite asked again, a large grid's memory and time, extraction beside `trill embed`.

    python benchmarks/evaluation.py [--clips 5000] [--splits 1] [--jobs 1] [--json FILE]

The grid is that of the NOSS protocol (four aggregations, three normalisations, thirteen classifiers), on made-up
embeddings; beside it scikit-learn's defaults on the same split. Each part runs in a process of its own, whose peak
memory is read (Linux). Needs the extra `noss`.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile

Row = tuple[str, float, str]
SPEAKERS, CLASSES, LATENT = 60, 6, 200
DIM = 12_288  # of the layer that TRILL reports
RATE = 16_000


def finished(folder: Path) -> list[Row]:
    """The demo suite by the quick protocol, then the same command again."""
    command = [
        Path(sys.executable).with_name("noss"),
        "run",
        "--suite",
        "demo",
        "--protocol",
        "referee",
        "-q",
        "-o",
        folder,
    ]
    times = [seconds_of(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(4)]
    return [
        ("demo suite by the referee's protocol, seconds", times[0], ""),
        ("the same command again, seconds", min(times[1:]), "< 5"),
    ]


def extraction(folder: Path) -> list[Row]:
    """300 files of 10 s through both, in turn; what is timed ends with a table or an index on disk."""
    import trill
    from noss import embeddings
    from noss.tasks import Utterance
    from trill.batch import embed_files
    from trill.examples import list_examples
    from trill.manifests import Clip

    speech = np.concatenate([trill.audio.read(trill.example(name)) for name in list_examples()])
    paths = []
    for number in range(300):
        paths.append(folder / f"{number:03d}.wav")
        soundfile.write(paths[-1], np.resize(np.roll(speech, 997 * number), 10 * RATE), RATE)
    clips = [Clip(path.name, path) for path in paths]
    utterances = [Utterance(path, path.name, "", "") for path in paths]
    embedder = trill.load("mobilenet", threads=2)
    both: dict[str, Callable[[int], Any]] = {
        "trill": lambda turn: embed_files(clips, folder / f"{turn}.npz", embedder, quiet=True),
        "noss": lambda turn: embeddings.embed(embedder, utterances, folder / f"store{turn}", quiet=True),
    }
    times = [[seconds_of(lambda each=each, turn=turn: each(turn)) for each in both.values()] for turn in range(5)]
    through_trill, through_noss = np.median(times[1:], axis=0)
    return [
        ("300 files of 10 s by `trill embed`, seconds", through_trill, ""),
        ("extraction through noss / `trill embed`", through_noss / through_trill, "0.9 to 1.1"),
    ]


def made_up(num_clips: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings `(num_clips, DIM)` with something of the class, more of the speaker, and noise; labels, speakers."""
    rng = np.random.default_rng(0)
    speakers = np.arange(num_clips) % SPEAKERS
    codes = rng.integers(CLASSES, size=num_clips)
    latent = 0.5 * rng.normal(size=(CLASSES, LATENT))[codes] + rng.normal(size=(SPEAKERS, LATENT))[speakers]
    latent = (latent + rng.normal(size=latent.shape)) * np.exp(-np.arange(LATENT) / 60)
    rows = (latent.astype(np.float32) @ rng.normal(size=(LATENT, DIM)).astype(np.float32)) / 5
    for part in np.array_split(np.arange(num_clips), 10):
        rows[part] += rng.normal(size=(len(part), DIM)).astype(np.float32)
    return np.maximum(rows, 0), np.array([*"abcdef"])[codes], speakers.astype(str)


def grid(num_clips: int, num_splits: int, jobs: int) -> list[Row]:
    """The classifier grid of the protocol, from embeddings to the score."""
    from noss import protocol
    from noss.splits import SplitRule
    from noss.tasks import Corpus, Task, Utterance

    rows, labels, speakers = made_up(num_clips)
    task = Task("made_up", Corpus("made up", "", "", ""), "label", lambda folder: [], metric="uar")
    utterances = [
        Utterance(Path(f"{index}.wav"), f"{index}.wav", str(label), str(speaker))
        for index, (label, speaker) in enumerate(zip(labels, speakers, strict=True))
    ]
    embeddings = SimpleNamespace(rows=rows, starts=np.arange(len(rows) + 1), failed={})
    config = dataclasses.replace(protocol.NOSS, splits=SplitRule(num_splits=num_splits))
    before = peak()
    began, busy = time.perf_counter(), time.process_time()
    found = protocol.evaluate(task, utterances, embeddings, config, jobs=jobs, quiet=True)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    tried = len(config.settings("classification"))
    return [
        (f"{num_clips:,} clips x {DIM:,}, {tried} settings, {num_splits} split(s), seconds", seconds, ""),
        ("... of a processor", busy, ""),
        ("... peak megabytes of the process", peak(), "< 6000"),
        ("... of which the embeddings and the rest before", before, ""),
        (f"... unweighted average recall by {found.outcomes[0].setting}", float(found.score or np.nan), ""),
    ]


def plain(name: str, num_clips: int) -> list[Row]:
    """One classifier of scikit-learn as it comes, on standardised rows and the first split."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from noss.splits import SplitRule, make_splits

    rows, labels, speakers = made_up(num_clips)
    split = make_splits(labels, speakers, "speakers", SplitRule(num_splits=1))[0]
    learn = np.union1d(split.train, split.dev)
    models = {
        "LogisticRegression": LogisticRegression(),
        "LinearDiscriminantAnalysis": LinearDiscriminantAnalysis(),
        "RandomForestClassifier": RandomForestClassifier(random_state=0),
    }
    began, busy = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it does not converge in 100 iterations
        predicted = (
            make_pipeline(StandardScaler(), models[name]).fit(rows[learn], labels[learn]).predict(rows[split.test])
        )
    return [
        (f"scikit-learn's {name}, one setting, seconds", time.perf_counter() - began, ""),
        ("... of a processor", time.process_time() - busy, ""),
        ("... peak megabytes of the process", peak(), ""),
        ("... unweighted average recall", recall_score(labels[split.test], predicted, average="macro"), ""),
    ]


def seconds_of(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def peak() -> float:
    """Megabytes that this process has held at most (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def alone(function: Callable[..., list[Row]], *arguments: object) -> list[Row]:
    """In a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=5_000)
    parser.add_argument("--splits", type=int, default=1, help="of the grid; the protocol has five")
    parser.add_argument("--jobs", type=int, default=1, help="splits at once")
    parser.add_argument("--parts", default="finished,extraction,grid,plain")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    for library in ("OMP", "OPENBLAS"):  # for the processes to come: all sides compute on one core
        os.environ[f"{library}_NUM_THREADS"] = "1"
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = ("LogisticRegression", "LinearDiscriminantAnalysis", "RandomForestClassifier")
        calls: dict[str, list[tuple[Any, ...]]] = {
            "finished": [(finished, folder / "results")],
            "extraction": [(extraction, folder)],
            "grid": [(grid, args.clips, args.splits, args.jobs)],
            "plain": [(plain, each, args.clips) for each in names],
        }
        print("| measured | value | aim |\n|---|---:|---|")
        for part in args.parts.split(","):
            for function, *arguments in calls[part]:
                measured = alone(function, *arguments)
                for what, value, aim in measured:
                    found[what.replace("...", measured[0][0])] = value
                    print(f"| {what} | {value:.3g} | {aim} |", flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
