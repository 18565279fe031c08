"""The command line as a user meets it: output, exit codes, and errors of one line."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

import trill
from tests.sounds import encode, noise
from trill import batch, cli

CLIPS = [str(trill.example(name)) for name in ("anna_calm", "ben_calm", "anna_excited")]


def trill_command(*arguments):
    """Run `trill ...` in this process."""
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="trill")


def assert_refused(result, *words):
    """Exit code 2, nothing on standard output, one line on standard error that holds the words."""
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("trill: ")
    for word in words:
        assert word in line


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The manual.


@pytest.mark.parametrize("arguments", [(), ("embed",), ("similar",), ("info",), ("demo",)])
def test_every_command_explains_itself(arguments):
    result = trill_command(*arguments, "--help")
    assert result.exit_code == 0
    assert result.stdout == trill_command(*arguments, "-h").stdout
    assert result.stdout.startswith("Usage: trill")
    assert "..." not in result.stdout.partition("Commands:")[2]  # no summary is cut short
    assert "\b" not in result.stdout


def test_the_manual_names_commands_examples_and_exit_codes():
    text = trill_command("--help").stdout
    for line in (
        "trill demo",
        "trill embed recordings/ -o embeddings.npz",
        "trill similar me.wav her.wav him.wav",
        "trill info mobilenet",
        "Exit code: 0 all done; 1 done, but some files failed and are listed; 2 nothing done; 130 stopped.",
        *("demo ", "embed ", "info ", "similar "),
    ):
        assert line in text


def test_version():
    assert trill_command("--version").stdout == f"trill, version {trill.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("embed",), ("embed", "a.wav"), ("similar", "a.wav"), ("sing",), ("demo", "--loud")]
)
def test_wrong_usage_points_to_the_manual(arguments):
    result = trill_command(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--help" in result.stderr
    assert "Error: " in result.stderr


# trill embed


def test_embed_says_what_it_wrote(here):
    result = trill_command("embed", *CLIPS, "-o", "out.npz")
    name = trill.load().name
    assert result.exit_code == 0
    assert result.stdout.startswith("3 files embedded in ")
    assert result.stdout.endswith(f" s: out.npz ({name})\n")
    with np.load("out.npz") as found:
        assert found["paths"].tolist() == CLIPS


def test_embed_windows(here):
    trill_command("embed", *CLIPS, "--windows", "--hop", "0.5", "-o", "out.csv")
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted((row["file"] for row in rows), key=CLIPS.index)
    first = [(float(row["start"]), float(row["end"])) for row in rows if row["file"] == CLIPS[0]]
    assert first[:2] == [(0, 0.975), (0.5, 1.475)]
    assert {row["model"] for row in rows} == {trill.load(hop_seconds=0.5).name}


def test_embed_passes_its_options_on(here):
    trill_command("embed", CLIPS[0], "--tap", "final", "--pooling", "max", "--hop", "0.3", "-o", "out.npz")
    with np.load("out.npz") as found:
        expected = trill.embed(CLIPS[0], tap="final", pooling="max", hop_seconds=0.3)
        np.testing.assert_array_equal(found["x"], [expected])


def test_workers_are_all_that_computes(here, monkeypatch):
    """Neither more files at once nor more windows."""
    asked = []
    monkeypatch.setattr(cli, "load", lambda *args, **options: asked.append(options["threads"]) or trill.load())
    monkeypatch.setattr(batch, "map_in_threads", lambda one, items, threads: asked.append(threads) or map(one, items))
    assert trill_command("embed", CLIPS[0], "--workers", "3", "-o", "out.npz").exit_code == 0
    assert asked == [3, 3]


def test_embed_takes_a_manifest(here):
    shutil.copytree(trill.examples.CLIPS, here / "data" / "clips")
    (here / "data" / "m.csv").write_text(
        "path,label\nclips/ben_calm.flac,1\nclips/missing.flac,2\nclips/anna_calm.flac,3\n"
    )
    result = trill_command("embed", "data/m.csv", "-o", "out.npz")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith("  failed: clips/missing.flac: a path must lead to a file")
    assert second == "1 file failed: see out.npz.errors.csv"
    with np.load("out.npz") as found:
        assert found["paths"].tolist() == ["clips/ben_calm.flac", "clips/anna_calm.flac"]


def test_embed_lists_ten_failures_and_counts_all(here):
    result = trill_command("embed", *CLIPS, *(f"{index}.wav" for index in range(12)), "-o", "out.npz")
    lines = result.stderr.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "12 files failed: see out.npz.errors.csv"


def test_embed_prints_json(here):
    result = trill_command("embed", *CLIPS, "missing.wav", "-o", "out.npz", "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert summary.pop("seconds") >= 0
    assert "No such file" in summary.pop("failed")["missing.wav"]
    assert summary == {"output": "out.npz", "model": trill.load().name, "embedded": 3, "resumed": 0}


def test_embed_says_when_nothing_was_embedded(here):
    result = trill_command("embed", "missing.wav", "-o", "out.npz")
    assert (result.exit_code, result.stdout) == (2, "")
    assert [file.name for file in here.iterdir()] == ["out.npz.errors.csv"]


def test_embed_replaces_only_when_told(here):
    (here / "out.npz").write_text("yesterday's")
    assert_refused(trill_command("embed", CLIPS[0], "-o", "out.npz"), "out.npz does", "pass --overwrite")
    assert (here / "out.npz").read_text() == "yesterday's"
    assert trill_command("embed", CLIPS[0], "-o", "out.npz", "--overwrite").exit_code == 0
    assert np.load("out.npz")["paths"].tolist() == CLIPS[:1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "out.txt"), ("ends in .npz, .csv, .parquet", "out.txt")),
        (("-o", "missing/out.npz"), ("folder must exist", "mkdir -p missing")),
        (("-o", "out.npz", "--model", "nothing"), ("model must be one of", "'nothing'")),
        (("-o", "out.npz", "--model", CLIPS[0]), ("is no model file",)),
        (("-o", "out.npz", "--tap", "nothing"), ("tap must be one of embedding",)),
        (("-o", "out.npz", "--hop", "0"), ("hop_seconds must be",)),
        (("-o", "out.npz", "--hop", "inf"), ("hop_seconds must be",)),
        (("-o", "out.npz", "--windows", "--pooling", "max"), ("--windows keeps every window", "Choose one")),
        (("missing.csv", "-o", "out.npz"), ("a manifest must be a CSV file", "missing.csv")),
    ],
)
def test_embed_refuses_in_one_line(here, arguments, words):
    assert_refused(trill_command("embed", CLIPS[0], *arguments), *words)
    assert list(here.iterdir()) == []


def test_a_full_disk_is_one_line_that_says_how_to_go_on(here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batch.tables, "write", full)
    result = trill_command("embed", *CLIPS, "-o", "out.npz")
    assert_refused(
        result, "No space left", "3 files are kept in .out.npz.partial: the same command goes on from there."
    )


def test_a_fault_of_ours_keeps_its_traceback(here, monkeypatch):
    monkeypatch.setattr(batch.windows, "pool", lambda *_: 1 / 0)
    assert isinstance(trill_command("embed", *CLIPS, "-o", "out.npz").exception, ZeroDivisionError)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(here):
    (here / "many").mkdir()
    sound = noise(40_000)
    for index in range(300):
        (here / "many" / f"{index}.wav").write_bytes(encode(sound[10 * index : 10 * index + 32_000]))
    main = "from trill.cli import main; main(prog_name='trill')"
    command = [sys.executable, "-c", main, "embed", "many", "--workers", "1", "-o", "out.npz"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal, deadline = here / ".out.npz.partial", time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 200_000):
        assert process.poll() is None, "it was done before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    line = stderr.splitlines()[-1]
    kept = int(line.removeprefix("trill: stopped. ").partition(" ")[0])
    assert line == f"trill: stopped. {kept} files are kept in .out.npz.partial: the same command goes on from there."
    assert "Traceback" not in stderr
    result = trill_command("embed", "many", "-o", "out.npz")
    assert result.stdout.startswith(f"{300 - kept} files embedded in ")
    assert f", {kept} taken over from before: out.npz" in result.stdout


# trill similar


def test_similar_orders_by_likeness():
    result = trill_command("similar", CLIPS[0], *CLIPS[1:], CLIPS[0])
    scores, names = zip(*(line.split() for line in result.stdout.splitlines()), strict=True)
    vectors = [trill.embed(clip).astype(float) for clip in CLIPS]
    cosines = {
        clip: v @ vectors[0] / np.linalg.norm(v) / np.linalg.norm(vectors[0])
        for clip, v in zip(CLIPS, vectors, strict=True)
    }
    assert list(names) == sorted(CLIPS, key=lambda clip: -cosines[clip])
    assert (names[0], scores[0]) == (CLIPS[0], "1.000")
    found = json.loads(trill_command("similar", CLIPS[0], *CLIPS, "--json").stdout)
    assert {row["file"]: pytest.approx(row["similarity"], abs=2e-6) for row in found} == cosines


def test_similar_refuses_in_one_line(here):
    assert_refused(trill_command("similar", CLIPS[0], "missing.wav"), "missing.wav", "No such file")
    (here / "text.wav").write_text("This is no sound.")
    assert_refused(trill_command("similar", "text.wav", CLIPS[0]), "text.wav", "ffmpeg")


# trill info


def test_info_shows_a_packaged_model_or_a_file():
    card = trill.load().card
    text = trill_command("info", "mobilenet").stdout
    for fact in (
        f"mobilenet, version {card.version}",
        "0.975 s of mono sound at 16000 Hz",
        "embedding (1152)",
        card.sha256,
    ):
        assert fact in text
    assert text == trill_command("info", trill.presets.locate("mobilenet")).stdout
    of_all = trill_command("info").stdout
    assert of_all.startswith(text)
    assert f"\nmodel    mobilenet, version {card.version}, called mobilenet-int8\n" in of_all


def test_info_prints_json():
    cards = json.loads(trill_command("info", "--json").stdout)
    assert trill.list_models() == ["mobilenet", "mobilenet-int8", "tiny", "tiny-float16"]
    assert [card["name"] for card in cards] == ["mobilenet", "mobilenet", "tiny", "tiny"]
    assert [card["quantization"] for card in cards] == ["float16", "int8", "int8", "float16"]
    card = cards[0]
    assert card["taps"]["embedding"] == [1152]
    assert card["sha256"] == trill.load().card.sha256


def test_info_refuses_in_one_line(here):
    assert_refused(trill_command("info", "nothing"), "'nothing'")
    (here / "cut.tflite").write_bytes((trill.presets.locate("mobilenet")).read_bytes()[:100_000])
    assert_refused(trill_command("info", "cut.tflite"), "cut.tflite", "cut short")


# trill demo


def test_demo_shows_a_table_and_writes_it(here):
    result = trill_command("demo", "-o", "a/b")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("8 clips -> embeddings of shape (8, 1152), in ")
    assert [line.split()[0] for line in lines[3:11]] == trill.examples.list_examples()
    assert all(line.split()[0] not in line.split()[1:] for line in lines[3:11])  # none is its own neighbour
    with np.load("a/b/embeddings.npz") as found:
        assert found["x"].shape == (8, 1152)
    assert trill_command("demo", "-o", "a/b").exit_code == 0
