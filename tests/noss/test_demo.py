"""The demo suite: its clips, that they resume, and that a representation that knows more scores more."""

import csv
import hashlib
import json
from collections import Counter

import numpy as np
import pytest

from noss import config, demo
from noss.demo import clips
from noss.representations import load_representation
from noss.run import run
from noss.tasks import load
from trill import audio


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, demo.demo_tasks(folder, quiet=True)


def rows_of(folder, name):
    with next(folder.glob(f"synthetic-*/{name}/manifest.csv")).open() as file:
        return list(csv.DictReader(file))


def test_the_suite_is_what_it_says(made):
    folder, tasks = made
    assert set(tasks) == set(clips.CORPORA)
    total = 0
    for name, task in tasks.items():
        utterances = load(task)
        total += len(utterances)
        about = json.loads(next(folder.glob(f"synthetic-*/{name}/task.json")).read_text())
        assert about["synthetic"] is True
        assert about["licence"] == "Apache-2.0"
        assert task.corpus.title.startswith("SYNTHETIC")
        assert task.label.startswith("SYNTHETIC")
        assert {row["gender"] for row in rows_of(folder, name)} == {"female", "male"}
        for utterance in utterances[::29]:
            waveform = audio.read(utterance.path)
            assert 0.4 < len(waveform) / 16_000 < 3
            assert 0.003 < np.abs(waveform).max() <= 1
    assert total <= 600


def test_who_is_to_be_told_apart_from_the_speaker_is(made):
    """Each language has speakers of both genders; words and styles are said by everybody."""
    folder, _ = made
    of_language = {(row["label"], row["gender"]) for row in rows_of(folder, "demo_language")}
    assert len(of_language) == 6
    for name, classes in (("demo_command", clips.WORDS), ("demo_style", clips.STYLES)):
        pairs = [(row["speaker"], row["label"]) for row in rows_of(folder, name)]
        assert len(pairs) == len(set(pairs)) == clips.NUM_SPEAKERS * len(classes)


def test_words_come_in_pairs_of_the_same_syllables():
    counts = Counter(frozenset(syllables) for syllables in clips.WORDS.values())
    assert set(counts.values()) == {2}


def test_what_is_missing_is_made_again_and_the_rest_is_left(made):
    folder, _ = made
    files = sorted(folder.glob("synthetic-*/*/clips/*.wav"))
    before = {file: (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).digest()) for file in files}
    manifest = next(folder.glob("synthetic-*/demo_style/manifest.csv"))
    written = manifest.stat().st_mtime_ns
    lost = files[::100]
    for file in lost:
        file.unlink()
    demo.demo_tasks(folder, quiet=True)
    for file in files:
        assert hashlib.sha256(file.read_bytes()).digest() == before[file][1]
        assert (file.stat().st_mtime_ns == before[file][0]) == (file not in lost)
    assert manifest.stat().st_mtime_ns == written


def test_a_style_changes_what_it_names():
    voice = clips.people(1)[0].voice
    whispered, _ = clips.styled(voice, clips.STYLES["whispered"], 0.3)
    assert whispered.phonation == 0  # to any degree
    low, span = clips.styled(voice, clips.STYLES["low"], 1.0)
    assert (low.f0 < voice.f0, low.speed < voice.speed, span < 1) == (True, True, True)
    assert clips.styled(voice, clips.STYLES["neutral"], 1.0) == (voice, 1.0)


def test_representations_load_without_keras_and_one_of_them_knows_next_to_nothing(made, tmp_path):
    _, tasks = made
    names = [load_representation(spec).name for spec in demo.DEMO_REPRESENTATIONS]
    assert len(set(names)) == len(names) >= 5
    scores = {
        (cell.task, cell.representation.partition("-")[0]): json.loads((tmp_path / cell.key.file).read_text())[
            "result"
        ]["evaluation"]["score"]
        for cell in run(
            ["mobilenet", "noss.demo:loudness"],
            [(task, None) for task in tasks.values()],
            tmp_path,
            config.REFEREE,
            quiet=True,
        )
    }
    for task in tasks:
        better, worse = scores[task, "mobilenet"], scores[task, "noss.demo:loudness"]
        assert better < 0.99
        assert better > worse + 0.1
    assert scores["demo_speaker", "noss.demo:loudness"] < 0.25
