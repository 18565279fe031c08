"""Are the enrolled known, and strangers turned away? Draws of speakers from a labelled pack.

    python benchmarks/enrolment.py ../shared/speech/dev/speaker_en_l2 [--cohort ../shared/speech/train/manifest.csv]

The folder holds a manifest.csv with columns path and speaker. Heads: some speakers are enrolled, their other clips
asked, and those of a stranger; then one is forgotten and asked again. Intervals are of the mean over draws.
Verification: every other clip against every speaker, equal error rates; the cohort is a clip each of speakers of
another manifest.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

import trill
from trill import verification
from trill.embedder import DEFAULT_MODEL

LABELS = (2, 3, 8, 20)
CLIPS = (1, 3, 5)  # learnt of each
SEED = 0
UNKNOWN = "unknown"

Speakers = dict[str, np.ndarray]  # (num_clips, dim) each


def read(manifest: Path, embedder: trill.Embedder, most: int | None = None) -> Speakers:
    """Embeddings of each speaker's clips, or of the first `most`."""
    paths = defaultdict(list)
    with open(manifest, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["speaker"]:
                paths[row["speaker"]].append(manifest.parent / row["path"])
    return {speaker: embedder.embed_batch(some[:most]) for speaker, some in paths.items()}


def open_set(speakers: Speakers, labels: int, clips: int, draws: int, model: str) -> list[list[float]]:
    """A row a draw: shares of the known rightly named, of strangers and of the forgotten turned away."""
    random = np.random.default_rng(SEED)
    enough = [name for name, rows in speakers.items() if len(rows) > clips]
    rows = []
    for _ in range(draws):
        *known, stranger = random.choice(enough, labels + 1, replace=False).tolist()
        head = trill.PersonalHead(model=model)
        for name in known:
            head.add_embeddings(name, speakers[name][:clips])

        def named(name: str, as_label: str, first: int, head: trill.PersonalHead = head) -> float:
            return float(np.mean([head.predict_embedding(x).label == as_label for x in speakers[name][first:]]))

        right = float(np.mean([named(name, name, clips) for name in known]))
        away = named(stranger, UNKNOWN, 0)
        head.forget(known[-1])
        rows.append([right, away, named(known[-1], UNKNOWN, clips)])
    return rows


def equal_error_rate(speakers: Speakers, clips: int, embedder: trill.Embedder, cohort: np.ndarray | None) -> float:
    known = {name: rows[:clips] for name, rows in speakers.items() if len(rows) > clips}
    voices = verification.enrol(known, embedder, cohort=cohort)
    scores = np.concatenate([voices.scores(speakers[name][clips:]) for name in known])
    whose = np.repeat(np.arange(len(known)), [len(speakers[name]) - clips for name in known])
    return verification.eer((whose[:, None] == np.arange(len(known))).ravel(), scores.ravel())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--cohort", type=Path, help="manifest with column speaker, of others than the pack's")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args(arguments)
    embedder = trill.load(args.model)
    speakers = read(args.pack / "manifest.csv", embedder)
    print("| speakers | clips | known, rightly named | strangers, turned away | forgotten, turned away |")
    print("|--:|--:|--:|--:|--:|")
    for labels in LABELS:
        for clips in CLIPS:
            found = np.array(open_set(speakers, labels, clips, args.draws, args.model))
            mean, half = found.mean(axis=0), 1.96 * found.std(axis=0, ddof=1) / len(found) ** 0.5
            cells = [f"{100 * m:.1f} ± {100 * h:.1f} %" for m, h in zip(mean, half, strict=True)]
            print(f"| {labels} | {clips} | {' | '.join(cells)} |", flush=True)
    others = read(args.cohort, embedder, 1) if args.cohort else {}
    if both := speakers.keys() & others.keys():
        raise SystemExit(f"a cohort is of other speakers, {len(both)} are in the pack, too, as {min(both)}.")
    cohort = np.concatenate(list(others.values())) if others else None
    for clips in CLIPS:
        rates = {"no cohort": equal_error_rate(speakers, clips, embedder, None)}
        if cohort is not None:
            rates[f"cohort of {len(cohort)}"] = equal_error_rate(speakers, clips, embedder, cohort)
        print(
            f"equal error rate, {clips} clips:", ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in rates.items())
        )


if __name__ == "__main__":
    main()
