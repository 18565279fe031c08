"""Sounds on disk that a threshold tells apart, and functions that judge them, well or badly."""

import csv

import numpy as np
import soundfile
from click.testing import CliRunner

from noss.cli import main

# What the command line can be given: MODULE:FUNCTION of a file. Test sounds of a fingerprint are 1, 2 or 8 s long.
FUNCTIONS = """
import os
import numpy as np

def real(x):
    return x.size not in (16_000, 32_000, 128_000)

def level(x):
    return np.array([np.log(np.abs(x).mean() + 1e-6), x.size / 16_000])

def broken(x):
    return np.array([np.nan, 0.0])

def nan(x):
    return np.array([np.nan if real(x) else 0.0, x.std()])

def grows(x):
    return np.ones(3 if real(x) and x.std() > 0.1 else 2) * x.std()

def scalar(x):
    return x.std() if real(x) else np.array([x.std()])

def crashes(x):
    if real(x):
        raise RuntimeError("no weights")
    return np.array([x.std()])

def dies(x):
    if real(x):
        os._exit(3)
    return np.array([x.std(), 1.0])

def stops(x):
    if real(x) and os.path.exists("stop"):
        raise KeyboardInterrupt
    return np.array([x.std(), 2.0])
"""


def write_clips(folder, speakers=10, clips=4, name="mine.csv"):
    """Loud and soft clips of some speakers, half of them women, some of them young."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "loudness", "speaker", "sex", "age"])
        for number in range(speakers * clips):
            label, who = ("loud", "soft")[number % 2], number // clips
            sound = rng.normal(0, 0.2 if label == "loud" else 0.002, 8_001)
            sound = sound[1:] if who % 2 else np.diff(sound)  # women are higher
            soundfile.write(folder / f"{number}.wav", sound.clip(-1, 1), 16_000)
            writer.writerow([f"{number}.wav", label, f"speaker {who}", "fm"[who % 2], (25, 31.5)[who // 5 % 2]])
    return folder / name


def noss(*arguments, code=0):
    """What the command prints, errors too."""
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == code, (done.output, done.exception)
    return done.output
