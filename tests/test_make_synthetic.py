"""scripts/make_synthetic.py: a corpus that training takes, the same again by the same seed."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trill import audio

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="eSpeak NG is not installed")
def test_a_corpus_in_many_languages(tmp_path):
    heard = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        subprocess.run([sys.executable, ROOT / "scripts/make_synthetic.py", folder, "--clips", "30"], check=True)
        with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        heard.append([audio.read(folder / row["path"]).tobytes() for row in rows])
    assert len({row["language"] for row in rows}) == 30
    assert {row["source"] for row in rows} == {"espeak-ng"}
    assert all(4 * 8_000 < len(sound) <= 4 * 160_000 for sound in heard[0])
    assert len(set(heard[0])) == 30
    assert heard[0] == heard[1]
