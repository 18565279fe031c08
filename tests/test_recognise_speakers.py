"""examples/recognise_speakers.py on the bundled voices: what it prints adds up, and a restart forgets nothing."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import trill
from trill import audio

EXAMPLE = Path(__file__).parents[1] / "examples/recognise_speakers.py"
SPEAKERS = ("anna", "ben", "chloe", "dieter")


def write_pack(folder, speakers=SPEAKERS):
    """Each bundled clip in three parts: six of each voice."""
    with open(folder / "manifest.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "speaker"])
        for speaker in speakers:
            for manner in ("calm", "excited"):
                sound = audio.read(trill.example(f"{speaker}_{manner}"))
                for number, part in enumerate(np.array_split(sound, 3)):
                    path = f"{speaker}-{manner}-{number}.wav"
                    soundfile.write(folder / path, part, 16_000)
                    table.writerow([path, speaker])


def run(*arguments):
    return subprocess.run([sys.executable, EXAMPLE, *arguments], capture_output=True, text=True, timeout=120)


def test_the_example_counts_what_it_shows(tmp_path):
    write_pack(tmp_path)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert re.findall(r"Enrolled (\w+): 3 clips", said) == ["anna", "ben", "chloe"]
    known, strange, gone = (part.splitlines() for part in said.split("?")[1:])
    right, asked = map(int, re.search(r"Recognised (\d+) of (\d+);", said).groups())
    assert (right, asked) == (sum(" is " in line for line in known), 9)
    away, times = map(int, re.search(r"away (\d+) of (\d+) times", said).groups())
    assert (away, times) == (sum(" is unknown " in line for line in strange), 6)
    assert "of 0 others" in said
    assert re.search(r"Forgot chloe: 3 clips", said)
    assert not any("is chloe" in line for line in gone)
    assert said.endswith("loaded by another process: 9 of 9 answers are the same.\n")


def test_other_speakers_can_be_named(tmp_path):
    write_pack(tmp_path)
    said = run(tmp_path, "dieter", "chloe", "ben", "anna").stdout
    assert re.findall(r"Enrolled (\w+)", said) == ["dieter", "chloe", "ben"]


def test_all_others_are_strangers(tmp_path):
    write_pack(tmp_path)
    with open(tmp_path / "manifest.csv", "a") as manifest:
        manifest.write("anna-calm-0.wav,eve\n")
    said = run(tmp_path).stdout
    assert re.search(r"of 1 others, a clip of each, 0 are turned away", said)  # it is Anna


@pytest.mark.parametrize("speakers", [SPEAKERS[:3], ()])
def test_it_says_whom_it_needs(tmp_path, speakers):
    write_pack(tmp_path, speakers)
    done = run(tmp_path)
    assert done.returncode == 1
    assert re.search(r"Three speakers and a stranger are needed, each with 4 clips: got [03]", done.stderr)
