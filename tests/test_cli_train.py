"""`trill train` as a user meets it: what it says, what it refuses, and runs stopped, killed and gone on with."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

import trill
from tests.runs import SMALL, assert_same_run, changed, files_of, little_known, log, make_corpus
from trill import cli
from trill.networks.saving import NetworkConfig
from trill.training import checkpoints, selfsupervised
from trill.training.recipes import TrainConfig

MAIN = "from trill.cli import main; main(prog_name='trill')"
# One that a process of its own knows.
MOBILENET = changed(
    network=NetworkConfig(
        "mobilenet", {"width": 0.1, "batch_norm": True, "bottleneck": 8}, SMALL.network.frontend, "small"
    ),
    steps=7,
)


@pytest.fixture(autouse=True, scope="module")
def _little():
    with little_known():
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: six sounds, the recipe of a small network, and caches of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_corpus(tmp_path / "sounds")
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    (tmp_path / "mobilenet.toml").write_text(MOBILENET.to_toml())
    return tmp_path


def train(*arguments, source="sounds", output="run", recipe="small.toml"):
    """Run `trill train` in this process."""
    arguments = ["train", source, "-o", output, "--recipe", recipe, *map(str, arguments)]
    return CliRunner().invoke(cli.main, arguments, prog_name="trill")


def assert_refused(result, *words, code=2):
    """One line on standard error, which holds the words."""
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("trill: ")
    for word in words:
        assert word in line


# What is said.


def test_the_manual():
    result = CliRunner().invoke(cli.main, ["train", "--help"], prog_name="trill")
    assert result.exit_code == 0
    for words in ("trill train recordings/ -o run/ --steps 2000", "FOLDER/last.safetensors ", "  mobilenet-triplet]"):
        assert words in result.stdout
    assert "\b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    options = result.stdout.partition("Options:")[2]
    for field in ("steps", "batch-size", "seed", "checkpoint-every", "precision"):
        assert f"--{field} " in options
        assert field.replace("-", "_") in TrainConfig.__dataclass_fields__


def test_a_run_says_what_it_does_and_is_done_once(here):
    first = train()
    assert (first.exit_code, first.stderr) == (0, "")
    corpus, *rounds, last = first.stdout.splitlines()
    assert corpus.startswith("6 clips, ")
    assert [line.partition(", examples per second ")[0] for line in rounds] == [
        f"step {row['step']:.0f}: loss {row['loss']:.4f}, violating {row['violating']:.1%}" for row in log(here / "run")
    ]
    assert last == "Trained for 5 steps: run/last.safetensors"
    before = {path: path.stat().st_mtime_ns for path in (here / "run").rglob("*")}
    again = train()
    assert (again.exit_code, again.output) == (0, "Already trained for 5 steps: run/last.safetensors\n")
    assert {path: path.stat().st_mtime_ns for path in (here / "run").rglob("*")} == before


def test_options_change_the_recipe(here):
    options = {"steps": 2, "batch_size": 4, "seed": 3, "checkpoint_every": 1, "precision": "mixed_bfloat16"}
    result = train(*(word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)))
    assert result.exit_code == 0, result.output
    assert TrainConfig.from_toml((here / "run/recipe.toml").read_text()) == dataclasses.replace(SMALL, **options)


def test_tensorboard_reads_the_log(here):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train().exit_code == 0
    events = EventAccumulator(str(here / "run/tensorboard")).Reload()
    rows = log(here / "run")
    assert set(events.Tags()["scalars"]) == set(rows[0]) - {"step"}
    for name in ("loss", "violating"):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(row["step"], pytest.approx(row[name], rel=1e-6)) for row in rows]


def test_a_trained_network_embeds(here):
    (here / "mobilenet.toml").write_text(dataclasses.replace(MOBILENET, steps=1).to_toml())
    assert train(recipe="mobilenet.toml").exit_code == 0
    arguments = ["embed", "sounds", "--model", "run/last.safetensors", "-o", "x.npz"]
    assert CliRunner().invoke(cli.main, arguments).exit_code == 0
    with np.load("x.npz") as found:
        assert found["x"].shape == (6, 8)


# What is refused. The rest stands in tests/training.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"source": "nothing"}, ["a corpus is a folder of sound, a manifest", "/nothing."]),
        ({"source": "empty"}, ["a folder must hold sound files", "empty has none"]),
        ({"source": "one"}, ["Negatives come from other clips: pass a folder with more recordings."]),
        (
            {"recipe": "small"},
            ["a recipe is one of distill-", "mobilenet-triplet, resnetish-triplet, tiny, or the path", "got 'small'"],
        ),
        ({"recipe": "bad.toml"}, ["bad.toml knows the keys", "got 'step'"]),
        ({"output": "small.toml"}, ["a run is a folder, small.toml cannot be one: File exists."]),
        ({"--batch-size": 5}, ["batch_size must be even"]),
        ({"--batch-size": 64}, ["the corpus has 6. Pass --batch-size 12 or less, or more sound."]),
        ({"--seed": 2**32}, ["seed must be in [0, 2**32)"]),
        ({"--noise": "sounds"}, ["noise is for recipes with the augmentation `noise`", "Leave --noise out."]),
        ({"--validate": "sounds"}, ["a folder of labelled clips must hold a manifest.csv"]),
        ({"recipe": "noisy.toml"}, ["noise needs at least one sound", "--noise FOLDER"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(here, arguments, words):
    (here / "empty").mkdir()
    make_corpus(here / "one", 1)
    (here / "bad.toml").write_text("step = 3")
    (here / "noisy.toml").write_text(changed(augment={"noise": {}}).to_toml())
    options = [word for name, value in arguments.items() if name[0] == "-" for word in (name, value)]
    result = train(*options, **{name: value for name, value in arguments.items() if name[0] != "-"})
    assert_refused(result, *words)
    assert not (here / "run").exists() or files_of(here / "run") == [".lock"]


@pytest.mark.parametrize("option", ["--steps=0", "--batch-size=x", "--precision=float16", "--seed=-1", "--epochs=3"])
def test_wrong_usage_points_to_the_manual(here, option):
    result = train(option)
    assert result.exit_code == 2
    assert "--help" in result.stderr
    assert not (here / "run").exists()


def test_a_folder_with_another_run_is_refused(here):
    train("--steps", 2)
    assert_refused(train("--steps", 3), "run holds a run with steps = 2, not 3. Choose another folder, or go on")
    shutil.copy(here / "sounds/0.wav", here / "sounds/copy.wav")
    assert_refused(train("--steps", 2), "run holds a run on other sound: the corpus is another")


@pytest.mark.parametrize("damage", ["", "This is no checkpoint."])
def test_a_damaged_checkpoint_is_refused(here, damage):
    (here / "run").mkdir()
    (here / "run/checkpoint.safetensors").write_text(damage)
    assert_refused(train(), "is no sound checkpoint", "Remove it to begin anew: rm run/checkpoint.safetensors")


def test_a_damaged_copy_of_the_recipe_does_no_harm(here):
    """The checkpoint has its own."""
    train("--steps", 2)
    (here / "run/recipe.toml").write_text("damaged")
    assert train("--steps", 2).exit_code == 0
    assert_refused(train("--steps", 4), "steps = 2, not 4")


def test_a_second_run_beside_the_first_is_refused(here):
    with checkpoints.open_run(here / "run", SMALL, {}):
        assert_refused(train(), "run/.lock is held by another run. Wait for it, or choose another folder.")


def test_a_run_that_diverges_says_what_to_change(here, monkeypatch):
    class Broken(selfsupervised.TripletObjective):
        def call(self, outputs, clips):
            return {name: value * float("nan") for name, value in super().call(outputs, clips).items()}

    monkeypatch.setitem(selfsupervised.OBJECTIVES, "triplet", Broken)
    result = train()
    assert_refused(
        result,
        "the loss must be finite, got nan at step 1. Lower learning_rate, set clip_norm",
    )


# Stopped and killed, in processes of their own.


def start(*arguments, code=MAIN, **environment):
    command = [sys.executable, "-c", code, "train", "sounds", "--recipe", "mobilenet.toml", "-q", *map(str, arguments)]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process, code=0):
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == code, stderr
    return stdout, stderr


def test_ctrl_c_says_where_the_run_stands(here):
    process = start("-o", "run", "--steps", 100_000)
    deadline = time.monotonic() + 120
    while not (here / "run/checkpoint.safetensors").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = finish(process, 130)
    steps = checkpoints.read(here / "run/checkpoint.safetensors").step
    assert stderr.splitlines()[-1] == (
        f"trill: stopped. run keeps the checkpoint of step {steps:,}. The same command goes on from there."
    )
    assert "Traceback" not in stderr
    assert stdout.startswith("6 clips, ")
    assert not [name for name in files_of(here / "run") if name.startswith(".") and name != ".lock"]


KILL = """
import os, pathlib, signal
from trill.training import checkpoints, loop

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(path, data, write=pathlib.Path.write_bytes):
    write(path, data if not path.name.startswith(f".{name}.") else data[: len(data) // 2])
    path.name.startswith(f".{name}.") and killed()

def at(step, then=loop.Recorder.on_train_batch_end):
    loop.Recorder.on_train_batch_end = lambda self, *a, **k: killed() if self.step + 1 == step else then(self, *a, **k)

MOMENT
"""
MOMENTS = {
    "before the first checkpoint": "at(1)",
    "half of the network written": "name = 'last'; pathlib.Path.write_bytes = half",
    "half of the checkpoint written": "name = 'checkpoint'; pathlib.Path.write_bytes = half",
    "log written, checkpoint not": "checkpoints.save = killed",
    "checkpoint written, not reported": "save = checkpoints.save; checkpoints.save = lambda *a: (save(*a), killed())",
    "in the middle of a round": "at(4)",
    "before the last checkpoint, in a shorter round": "at(7)",
}


def killed_at(moment):
    return KILL.replace("MOMENT", MOMENTS[moment]) + MAIN


@pytest.mark.slow
def test_killed_whenever_it_ends_the_same(here):
    """One run is killed at each moment in turn; none counts on the one before having had time to tidy up."""
    processes = [start("-o", "whole")]
    for moment in MOMENTS:
        process = start("-o", "run", code=killed_at(moment))
        finish(process, -signal.SIGKILL)
        if moment.startswith("half"):
            assert [name for name in files_of(here / "run") if name.startswith(".") and name != ".lock"]
    stdout, _ = finish(start("-o", "run"))
    assert stdout.splitlines()[-1] == "Trained for 7 steps: run/last.safetensors"
    finish(processes[0])
    assert_same_run(here / "run", here / "whole")
    assert [name for name in files_of(here / "run") if name != "tensorboard"] == [
        *(".lock", "checkpoint.safetensors", "last.safetensors", "log.csv", "recipe.toml")
    ]


# Another backend.

ON_JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


@pytest.mark.slow
def test_jax_goes_on_where_tensorflow_stopped(here, monkeypatch):
    pytest.importorskip("jax")
    config = dataclasses.replace(MOBILENET, steps=6)
    (here / "mobilenet.toml").write_text(config.to_toml())
    make_labelled(here / "labelled")
    options = {"validate": "labelled", "cache": here / "cache/trill-speech", "quiet": True}

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        selfsupervised.train("sounds", "tensorflow", config, report=stop, **options)
    shutil.copytree("tensorflow", "jax")
    process = start("-o", "jax", "--validate", "labelled", **ON_JAX)
    selfsupervised.train("sounds", "tensorflow", config, **options)
    finish(process)
    here_rows, there_rows = log(here / "tensorflow"), log(here / "jax")
    assert [row["step"] for row in there_rows] == [2, 4, 6]
    for row, other in zip(here_rows, there_rows, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert 0 <= other["validation"] <= 1
    # Either backend opens what the other wrote.
    code = "import trill, json, sys; print(json.dumps(trill.embed('sounds/0.wav', model=sys.argv[1]).tolist()))"
    for run in ("tensorflow", "jax"):
        for name in ("last", "best"):
            path = f"{run}/{name}.safetensors"
            done = subprocess.run(
                [sys.executable, "-c", code, path],
                env={**os.environ, **ON_JAX},
                capture_output=True,
                text=True,
                check=True,
            )
            there = json.loads(done.stdout.splitlines()[-1])
            np.testing.assert_allclose(trill.embed("sounds/0.wav", model=path), there, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_jax_resumes_as_if_never_stopped(here):
    pytest.importorskip("jax")
    whole = start("-o", "whole", **ON_JAX)
    for moment in ("in the middle of a round", "half of the checkpoint written"):
        finish(start("-o", "run", code=killed_at(moment), **ON_JAX), -signal.SIGKILL)
    finish(start("-o", "run", **ON_JAX))
    finish(whole)
    assert_same_run(here / "run", here / "whole")


def make_labelled(folder):
    """Two labels, five sounds each."""
    for label in ("a", "b"):
        make_corpus(folder / label, 5)
