"""`trill enroll`, `identify`, `forget` and listening, as a user meets them."""

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import trill
from tests.sounds import noise, tone
from trill import cli, cli_personal
from trill.live import Live, Reading
from trill.personal import Prediction

LINE = re.compile(r"([\d.]+)\t(\S+)\t([\d.]+)")


def trill_command(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="trill")


def assert_refused(result, *words):
    """Exit code 2, nothing on standard output, one line on standard error that holds the words."""
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("trill: ")
    for word in words:
        assert word in line


@pytest.fixture
def here(tmp_path, monkeypatch, tiny):
    """A current folder with sounds, whose embeddings cost little, and the model that embeds them."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny.tflite, "tiny.tflite")
    Path("tones").mkdir()
    for hertz in (300, 310, 320):
        soundfile.write(f"tones/{hertz}.wav", tone(1.2, hertz=hertz), 16_000)
    for seed in (1, 2):
        soundfile.write(f"noise{seed}.wav", noise(20_000, seed), 16_000)
    return tmp_path


def run(command, head, *arguments):
    """A command with the tiny model."""
    return trill_command(command, head, "--model", "tiny.tflite", *arguments)


@pytest.fixture
def head(here):
    """A head that knows tones and noise."""
    assert run("enroll", "head", "tone", "tones").exit_code == 0
    assert run("enroll", "head", "noise", "noise1.wav").exit_code == 0
    return "head"


def counts(head="head"):
    labels = list(trill.PersonalHead.load(head, "tiny.tflite").clips.values())
    return {label: labels.count(label) for label in labels}


# trill enroll


def test_enroll_makes_a_head_and_says_what_it_learnt(here):
    result = run("enroll", "head", "tone", "tones")
    assert (result.exit_code, result.stdout) == (0, "tone: 3 clips learnt, 3 in all\n")
    result = run("enroll", "head", "noise", "noise1.wav")
    assert (result.exit_code, result.stdout) == (0, "noise: 1 clip learnt, 1 in all\n")
    assert counts() == {"tone": 3, "noise": 1}


def test_enrolled_is_what_the_library_adds(head):
    by_hand = trill.PersonalHead(model="tiny.tflite")
    by_hand.add("tone", [f"tones/{hertz}.wav" for hertz in (300, 310, 320)])
    by_hand.add("noise", "noise1.wav")
    assert trill.PersonalHead.load(head, "tiny.tflite").clips == by_hand.clips


def test_a_clip_is_learnt_once(head):
    result = run("enroll", head, "tone", "tones", "noise2.wav")
    assert result.exit_code == 0
    assert result.stdout == "tone: 1 clip learnt, 4 in all\n1 clip of 1 labels learnt, 3 known before\n"
    assert counts() == {"tone": 4, "noise": 1}


def test_one_bad_file_costs_one_line(head):
    Path("text.wav").write_text("no sound")
    result = run("enroll", head, "noise", "missing.wav", "text.wav", "tones/300.wav", "noise2.wav")
    assert result.exit_code == 1
    assert result.stdout == "noise: 1 clip learnt, 2 in all\n"
    missing, text, other, count = result.stderr.splitlines()
    assert missing.startswith("  failed: missing.wav: a path must lead to a file")
    assert text.startswith("  failed: text.wav: 'text.wav' must be wav, flac")
    way_out = "it is known as tone. Take that back first: trill forget head tone"
    assert other == f"  failed: tones/300.wav: {way_out}"
    assert count == "3 files failed"
    assert counts() == {"tone": 3, "noise": 2}


def test_silence_is_no_example(head):
    soundfile.write("silence.wav", np.zeros(16_000), 16_000)
    result = run("enroll", head, "quiet", "silence.wav")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "silence.wav: a clip must hold sound" in result.stderr
    assert counts() == {"tone": 3, "noise": 1}


def test_nothing_but_failures_leaves_no_head(here):
    result = run("enroll", "head", "tone", *(f"{index}.wav" for index in range(12)))
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 11
    assert result.stderr.endswith("\n12 files failed\n")
    assert not Path("head").exists()


def test_a_manifest_holds_many_labels(here):
    rows = [("path", "label"), ("tones/300.wav", "tone"), ("noise1.wav", "noise"), ("nix.wav", "noise")]
    with open("clips.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    os.chdir("tones")  # paths are relative to the manifest
    result = trill_command("enroll", "../head", "--manifest", "../clips.csv", "--model", "../tiny.tflite", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert "No such file" in said.pop("failed")["nix.wav"]
    one_each = {"tone": 1, "noise": 1}
    assert said == {"head": "../head", "added": one_each, "known": 0, "clips": one_each}


def test_a_summary_has_ten_labels_at_most(here):
    for number in range(12):
        soundfile.write(f"{number}.wav", tone(1, hertz=200 + 40 * number), 16_000)
    Path("clips.csv").write_text("path,label\n" + "".join(f"{n}.wav,label {n}\n" for n in range(12)))
    result = run("enroll", "head", "--manifest", "clips.csv")
    assert len(result.stdout.splitlines()) == 11
    assert result.stdout.endswith("\n12 clips of 12 labels learnt, 0 known before\n")


def test_stopped_it_keeps_what_it_learnt(here, monkeypatch):
    def stopped(*arguments):
        yield from list(embedded(*arguments))[:2]
        raise KeyboardInterrupt

    embedded = cli_personal._embedded
    monkeypatch.setattr(cli_personal, "_embedded", stopped)
    result = run("enroll", "head", "tone", "tones")
    assert result.exit_code == 130
    assert result.stderr == "trill: stopped. The clips before it are kept: the same command goes on.\n"
    assert counts() == {"tone": 2}
    monkeypatch.undo()
    os.chdir(here)
    result = run("enroll", "head", "tone", "tones")
    assert result.stdout == "tone: 1 clip learnt, 3 in all\n1 clip of 1 labels learnt, 2 known before\n"


def test_two_at_once_lose_nothing(here, monkeypatch):
    """What another process has added meanwhile is kept: the head is read again when it is written."""
    embedded = cli_personal._embedded

    def meanwhile(*arguments):
        monkeypatch.setattr(cli_personal, "_embedded", embedded)
        assert run("enroll", "head", "noise", "noise1.wav").exit_code == 0
        return embedded(*arguments)

    monkeypatch.setattr(cli_personal, "_embedded", meanwhile)
    assert run("enroll", "head", "tone", "tones").exit_code == 0
    assert counts() == {"tone": 3, "noise": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("head",), ("a label and its sounds, or --manifest",)),
        (("head", "anna"), ("a label and its sounds, or --manifest",)),
        (("head", "anna", "noise1.wav", "--manifest", "clips.csv"), ("either of the two",)),
        (("anna", "noise1.wav", "noise2.wav"), ("a label comes before the sounds, got noise1.wav", "HEAD LABEL")),
        (("tones", "anna", "noise1.wav"), ("HEAD must be a head, or a folder that is new or empty, tones is none",)),
        (("noise2.wav", "anna", "noise1.wav"), ("noise2.wav is none",)),
        (("head", "unknown", "noise1.wav"), ('must not be "unknown"',)),
        (("head", "", "noise1.wav"), ("a text that is not empty",)),
    ],
)
def test_what_cannot_be_enrolled_is_refused(here, arguments, words):
    assert_refused(run("enroll", *arguments), *words)
    assert not Path("head").exists()


def test_a_head_of_another_model_is_refused(head):
    for command in (("enroll", head, "anna", "noise1.wav"), ("identify", head, "noise1.wav")):
        assert_refused(trill_command(*command, "--model", "mobilenet"), "head was made with tiny 1.2")


def test_the_packaged_model_is_the_default(here):
    clip = trill.example("anna_calm")
    assert trill_command("enroll", "household", "anna", clip).exit_code == 0
    result = trill_command("identify", "household", clip)
    assert result.exit_code == 0
    assert re.fullmatch(rf"anna     +[01]\.\d\d  {re.escape(str(clip))}\n", result.stdout)


# trill identify


def test_identify_says_label_score_and_file(head):
    result = run("identify", head, "tones", "noise2.wav")
    lines = [line.split() for line in result.stdout.splitlines()]
    known = trill.PersonalHead.load(head, "tiny.tflite")
    expected = []
    for path in (*(f"tones/{hertz}.wav" for hertz in (300, 310, 320)), "noise2.wav"):
        prediction = known.predict(path)
        expected.append([prediction.label, f"{prediction.score:.2f}", path])
    assert (result.exit_code, lines) == (0, expected)


def test_identify_shows_every_score(head):
    result = run("identify", head, "noise2.wav", "--scores")
    first, *rest = result.stdout.splitlines()
    assert first.endswith("  noise2.wav")
    scores = trill.PersonalHead.load(head, "tiny.tflite").predict("noise2.wav").scores
    assert rest == [f"    {score:.2f}  {label}" for label, score in scores.items()]


def test_identify_prints_json(head):
    result = run("identify", head, "noise2.wav", "missing.wav", "--json")
    assert result.exit_code == 1
    prediction = trill.PersonalHead.load(head, "tiny.tflite").predict("noise2.wav")
    (said,) = json.loads(result.stdout)
    assert said == {
        "file": "noise2.wav",
        "label": prediction.label,
        "score": pytest.approx(prediction.score, abs=1e-4),
        "scores": {label: pytest.approx(score, abs=1e-4) for label, score in prediction.scores.items()},
    }
    assert result.stderr.splitlines()[0].startswith("  failed: missing.wav: ")


def test_identify_without_a_readable_file(head):
    result = run("identify", head, "missing.wav")
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("one of the three",)),
        (("a.wav", "--live"), ("one of the three",)),
        (("--live", "--as-if-live", "a.wav"), ("one of the three",)),
        (("--live", "--fast"), ("--fast goes with --as-if-live",)),
        (("a.wav", "--fast"), ("--fast goes with --as-if-live",)),
        (("a.wav", "--patience", "2"), ("--patience goes with --live",)),
        (("--as-if-live", "missing.wav"), ("No such file",)),
    ],
)
def test_identify_takes_one_kind_of_sound(head, arguments, words):
    assert_refused(run("identify", head, *arguments), *words)


@pytest.mark.parametrize("command", [("identify", "nobody", "noise1.wav"), ("forget", "nobody", "anna")])
def test_a_head_must_be_there(here, command):
    assert_refused(trill_command(*command), "a head is a folder with head.json, nobody has none")
    assert not Path("nobody").exists()


# trill forget


def test_forget_takes_a_label_off_the_disk(head):
    result = run("forget", head, "tone")
    assert (result.exit_code, result.stdout) == (0, "tone: 3 clips forgotten, 1 label left\n")
    assert counts() == {"noise": 1}
    assert len(list(Path(head).glob("*.npz"))) == 1
    assert_refused(run("forget", head, "tone"), "no clip of 'tone' to forget")


def test_the_last_label_can_be_forgotten_and_another_learnt(head):
    for label in ("tone", "noise"):
        assert run("forget", head, label).exit_code == 0
    assert_refused(run("identify", head, "noise1.wav"), "a head without a clip cannot predict")
    assert run("enroll", head, "anna", "noise1.wav").exit_code == 0


# Listening.


def test_listening_prints_columns_where_nobody_looks(head):
    soundfile.write("long.wav", np.concatenate([tone(2), np.zeros(40_000)]), 16_000)
    result = run("identify", head, "--as-if-live", "long.wav", "--fast")
    rows = [LINE.fullmatch(line).groups() for line in result.stdout.splitlines()]
    assert [row[0] for row in rows[:3]] == ["0.97", "1.46", "1.94"]
    assert rows[0][1] in ("tone", "unknown")
    assert rows[-1][1:] == ("-", "0.00")


def test_listening_prints_an_object_a_line(head):
    soundfile.write("long.wav", np.concatenate([tone(2), np.zeros(40_000)]), 16_000)
    lines = run("identify", head, "--as-if-live", "long.wav", "--fast", "--json").stdout.splitlines()
    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert first["start"] == 0
    assert first["end"] == 0.975
    assert set(first["scores"]) == {"tone", "noise"}
    assert last["label"] is None
    assert last["scores"] == {}


def test_patience_is_handed_on(head, monkeypatch):
    asked = []
    monkeypatch.setattr("trill.live.Live", lambda *_, patience: asked.append(patience) or Live(*_))
    for arguments in ((), ("--patience", "3")):
        run("identify", head, "--as-if-live", "noise2.wav", "--fast", *arguments)
    assert asked == [1, 3]


def test_listening_shows_every_score(head):
    line = run("identify", head, "--as-if-live", "noise2.wav", "--fast", "--scores").stdout.splitlines()[0]
    assert re.fullmatch(r"0\.97\t\w+\t[\d.]+\t(tone|noise) [\d.]+\t(tone|noise) [\d.]+", line)


def test_without_a_microphone_it_says_so(head, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert_refused(run("identify", head, "--live"), "pip install 'trill-speech[microphone]'")


def test_with_a_microphone_it_listens_until_stopped(head, monkeypatch):
    class Microphone:
        rate = 16_000

        def chunks(self):
            yield from np.split(tone(2), 20)
            raise KeyboardInterrupt

    monkeypatch.setattr("trill.live.Microphone", Microphone)
    result = run("identify", head, "--live")
    assert result.exit_code == 130
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == "trill: stopped.\n"


def test_a_terminal_gets_bars(head):
    """Through a real pseudo-terminal, in a process of its own."""
    leader, follower = pty.openpty()
    soundfile.write("long.wav", np.concatenate([tone(1.2), np.zeros(40_000)]), 16_000)
    command = [Path(sys.executable).with_name("trill"), "identify", head, "--as-if-live", "long.wav", "--fast"]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [*command, "--model", "tiny.tflite"], stdout=follower, stderr=subprocess.PIPE, env=environment, timeout=60
    )
    os.close(follower)
    said = os.read(leader, 100_000).decode()
    os.close(leader)
    assert done.returncode == 0
    first, *_, last = said.splitlines()
    assert re.fullmatch(r"  0:00\.97  (tone|unknown)\s+█*░*  \d\.\d\d", first)
    assert len(re.search("[█░]+", first)[0]) == 20
    assert last.endswith("  -")


@pytest.mark.parametrize(("encoding", "bar"), [("utf-8", "█" * 5 + "░" * 15), ("ascii", "#" * 5 + "." * 15)])
def test_a_bar_is_as_long_as_the_score(monkeypatch, encoding, bar):
    class Terminal(io.StringIO):
        isatty = staticmethod(lambda: True)

    terminal = Terminal()
    monkeypatch.setattr(Terminal, "encoding", encoding, raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    heard = Prediction("an\x1b[2Jna", 0.25, {"an\x1b[2Jna": 0.25, "ben": 0.1})
    line = cli_personal._line(scores=True)(Reading(61, 62.5, heard.label, 0.25, heard))
    assert line == f"  1:02.50  an?[2Jna          {bar}  0.25  an?[2Jna 0.25  ben 0.10"
