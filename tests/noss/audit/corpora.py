"""Corpora with one defect each, or none: noise in a voice's colours, written to disk, and their manifests."""

import csv
import dataclasses
import itertools

import numpy as np
import soundfile

RATE = 16_000


@dataclasses.dataclass
class Row:
    """A clip to be written; what a test changes is what is wrong."""

    path: str
    label: str
    speaker: str
    sound: np.ndarray
    split: str = ""
    options: dict = dataclasses.field(default_factory=dict)


def sound(rng, colour, seconds):
    """Noise with a spectrum and an envelope of its own, so that no two clips are alike."""
    frames = round(seconds * RATE) // 160
    spectrum = np.fft.rfft(rng.normal(size=(frames, 160)))
    bands = np.repeat(colour + 0.3 * rng.normal(size=9), 9)[: spectrum.shape[1]]
    x = np.fft.irfft(spectrum * 10 ** (bands / 2)).ravel()
    envelope = np.interp(np.arange(len(x)), np.linspace(0, len(x), 8), rng.uniform(0.3, 1, 8))
    return 0.5 * x * envelope / np.abs(x * envelope).max()


def clean(speakers=10, clips=6, labels="abc", seed=0, trait=False, seconds=(0.4, 0.7)):
    """Labels that nothing tells: loudness, length and pauses are drawn alike for all."""
    rng = np.random.default_rng(seed)
    rows = []
    for speaker in range(speakers):
        colour = 1.5 * rng.normal(size=9)
        said = rng.permutation([labels[number % len(labels)] for number in range(clips)])
        for clip in range(clips):
            x = rng.uniform(0.2, 0.9) * sound(rng, colour, rng.uniform(*seconds))
            quiet = [0.001 * rng.normal(size=round(rng.uniform(0.02, 0.2) * RATE)) for _ in range(2)]
            label = labels[speaker % len(labels)] if trait else str(said[clip])
            number = rng.integers(1_000_000)
            rows.append(Row(f"{number:06d}.wav", label, f"s{speaker}", np.r_[quiet[0], x, quiet[1]]))
    assert len({row.path for row in rows}) == len(rows)
    return rows


def in_parts(rows):
    """A canonical split: of ten speakers six train, two choose, two test."""
    names = sorted({row.speaker for row in rows})
    part = dict(zip(names, itertools.cycle(["train"] * 3 + ["dev", "test"]), strict=False))
    for row in rows:
        row.split = part[row.speaker]
    return rows


def write(folder, rows):
    """Files and manifest; returns the manifest's path."""
    folder.mkdir(exist_ok=True)
    with (folder / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "speaker", "split"])
        for row in rows:
            writer.writerow([row.path, row.label, row.speaker, row.split])
            target = folder / row.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if row.sound is not None:
                soundfile.write(target, row.sound, row.options.get("rate", RATE), subtype=row.options.get("subtype"))
    return folder / "mine.csv"
