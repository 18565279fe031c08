"""`noss run` and `noss table`, as a user calls them, on sounds that a threshold tells apart."""

import csv
import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from noss.cli import main


@pytest.fixture
def manifest(tmp_path):
    """Loud and soft clips of ten speakers."""
    rng = np.random.default_rng(0)
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "loudness", "speaker"])
        for number in range(40):
            label = ("loud", "soft")[number % 2]
            sound = rng.normal(0, 0.2 if label == "loud" else 0.002, 8_000).clip(-1, 1)
            soundfile.write(tmp_path / f"{number}.wav", sound, 16_000)
            writer.writerow([f"{number}.wav", label, f"speaker {number // 4}"])
    return tmp_path / "mine.csv"


def noss(*arguments, code=0):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == code, done.output
    return done.output


def run(manifest, output, *arguments, code=0):
    always = ("--manifest", manifest, "--label", "loudness", "--protocol", "referee", "-o", output, "-q")
    return noss("run", "-r", "log-mel", *always, *arguments, code=code)


def test_a_run_scores_and_a_second_computes_nothing(manifest, tmp_path):
    printed = run(manifest, tmp_path / "results")
    assert "log-mel-1" in printed
    assert "uar 1.000 [1.000, 1.000]" in printed
    [result] = (tmp_path / "results").glob("*.json")
    before = result.stat().st_mtime_ns
    assert "(was there)" in run(manifest, tmp_path / "results")
    assert result.stat().st_mtime_ns == before
    assert json.loads(result.read_text())["result"]["key"]["protocol"].startswith("referee-")
    assert " 1.000" in noss("table", tmp_path / "results")


def test_changed_sound_is_judged_anew(manifest, tmp_path):
    run(manifest, tmp_path / "results")
    soundfile.write(tmp_path / "0.wav", np.zeros(8_000), 16_000)
    assert "(was there)" not in run(manifest, tmp_path / "results")
    assert len(list((tmp_path / "results").glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-r", "log-mel", "-o", "out"), "something must be asked"),
        (("-r", "log-mel", "--task", "nothing", "-o", "out"), "a task must be one of"),
        (("-r", "log-mel", "--task", "crema_d", "-o", "out"), "must be unpacked in a folder, got none"),
        (("-r", "log-mel", "--task", "cn_celeb", "--corpus", ".", "-o", "out"), "asks for pairs"),
    ],
)
def test_bad_calls_say_what_is_wanted(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in noss("run", *arguments, code=2)


def test_one_name_is_one_representation(manifest, tmp_path):
    assert "got log-mel-1 twice" in run(manifest, tmp_path / "results", "-r", "log-mel", code=2)


def test_an_empty_folder_has_no_table(tmp_path):
    assert "has none" in noss("table", tmp_path, code=2)
