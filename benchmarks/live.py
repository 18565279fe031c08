"""What smoothing does to a live label: right more often, later, and calmer.

    python benchmarks/live.py ../shared/speech/train [--households 20] [--turn 3]

The folder holds a manifest.csv with columns path, speaker and duration. A household is three speakers, three clips
learnt of each; then they and a stranger take turns of other clips in random order, half a second of silence after
each. For each number of windows averaged and of times a new label must be said in a row: the share of readings right
during a turn, changes of label in a turn beyond the first, and the seconds until the right label is shown first, of
turns where it is. For a stranger "unknown" is right.
"""

import argparse
import csv
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np

import trill
from trill.live import HOP_SECONDS, Live, level
from trill.progress import progress
from trill.windows import frame

LEARNT, KNOWN, TURNS = 3, 3, 3
SHORTEST = 2.0  # seconds of a clip: a turn is no list of words
PAUSE = 0.5  # seconds
SETTINGS = tuple(itertools.product((1, 2, 3, 4, 6), (1, 2, 3)))


def clips_of(folder: Path, turn: int) -> list[list[Path]]:
    """Clips of each speaker with enough of them."""
    clips = defaultdict(list)
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["speaker"] and float(row["duration"]) >= SHORTEST:
                clips[row["speaker"]].append(folder / row["path"])
    return [paths for paths in clips.values() if len(paths) >= LEARNT + turn]


def windows_of(embedder: trill.Embedder, parts: list[tuple[str, np.ndarray]]) -> list[tuple[trill.Window, float]]:
    """Windows of the parts one after the other, with their levels: the same for every setting."""
    embedder = embedder.using(hop_seconds=HOP_SECONDS)
    quiet = np.zeros(int(PAUSE * embedder.sample_rate), np.float32)
    sound = np.concatenate([np.append(part, quiet) for _, part in parts])
    embeddings, spans = embedder.embed_timed(sound, embedder.sample_rate)
    frames = frame(sound, embedder.card.window_samples, embedder.hop_samples)
    found = (trill.Window(row, *span) for row, span in zip(embeddings, spans.tolist(), strict=True))
    return [(window, level(each)) for window, each in zip(found, frames, strict=True)]


def listen(
    head: trill.PersonalHead,
    heard: list[tuple[trill.Window, float]],
    parts: list[tuple[str, np.ndarray]],
    pooled: int,
    patience: int,
) -> list[tuple]:
    """Of each part its label, and the share of readings right, changes, seconds to the first right one."""
    rate = head.embedder.sample_rate
    live = Live(head, pooled=pooled, patience=patience)
    readings = [live._reading(window, decibels) for window, decibels in heard]
    found, begin = [], 0.0
    for label, part in parts:
        end = begin + len(part) / rate
        # Those whose newest half second lies in the part: the hop.
        inside = [
            each for each in readings if begin <= each.end - HOP_SECONDS and each.end <= end + 0.01 and each.label
        ]
        shown = [each.label for each in inside]
        right = [each.end - begin for each in inside if each.label == label]
        if shown:
            changes = sum(a != b for a, b in itertools.pairwise(shown))
            share = np.mean([each == label for each in shown])
            found.append((label, (share, changes, right[0] if right else np.nan)))
        begin = end + PAUSE
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--households", type=int, default=20)
    parser.add_argument("--turn", type=int, default=3, help="clips in a turn")
    args = parser.parse_args()
    speakers, embedder = clips_of(args.folder, args.turn), trill.load(threads=1)
    found = defaultdict(list)
    for seed in progress(range(args.households), unit="households"):
        random = np.random.default_rng(seed)
        home = [speakers[index] for index in random.permutation(len(speakers))[: KNOWN + 1]]
        home = [[paths[index] for index in random.permutation(len(paths))] for paths in home]
        head, parts = trill.PersonalHead(model=embedder), []
        for number, paths in enumerate(home):
            if number < KNOWN:
                head.add(f"speaker {number}", paths[:LEARNT])
            label = f"speaker {number}" if number < KNOWN else "unknown"
            spoken = [trill.audio.read(path) for path in paths[LEARNT:]]
            for _ in range(TURNS):
                chosen = random.permutation(len(spoken))[: args.turn]
                parts.append((label, np.concatenate([spoken[index] for index in chosen])))
        parts = [parts[index] for index in random.permutation(len(parts))]
        heard = windows_of(embedder, parts)
        for setting in SETTINGS:
            for label, row in listen(head, heard, parts, *setting):
                found[setting, label == "unknown"].append(row)
    print("averaged  in a row   known right  changes  after s   strangers right  changes")
    for pooled, patience in SETTINGS:
        known, strange = (np.array(found[(pooled, patience), stranger]) for stranger in (False, True))
        print(
            f"{pooled:8d}  {patience:8d}   {known[:, 0].mean():11.1%}  {known[:, 1].mean():7.2f}  "
            f"{np.nanmean(known[:, 2]):7.2f}   {strange[:, 0].mean():15.1%}  {strange[:, 1].mean():7.2f}"
        )


if __name__ == "__main__":
    main()
