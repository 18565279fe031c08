"""`make models`: what it would run, what it asks for, and what a package is made of."""

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import trill
from scripts import package_model
from trill import files, presets

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Empty files where the real ones would be."""
    folder = tmp_path_factory.mktemp("shared")
    made_of = tomllib.loads((ROOT / "scripts/models.toml").read_text())
    for each in [*made_of["speech"]["train"], made_of["speech"]["noise"], "dev/task.json"]:
        (folder / "speech" / each).parent.mkdir(parents=True, exist_ok=True)
        (folder / "speech" / each).touch()
    for row in made_of["teachers"].values():
        (folder / "teachers" / row["folder"]).mkdir(parents=True)
    return folder


def make_models(shared, *more, code=0):
    command = [
        sys.executable,
        "scripts/make_models.py",
        "--speech",
        shared / "speech",
        "--teachers",
        shared / "teachers",
    ]
    done = subprocess.run([*map(str, command), *more], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def shown(shared, *more):
    return [shlex.split(line) for line in make_models(shared, *more, "--show").splitlines()]


def test_every_command_has_options_that_there_are(shared):
    from distill.cli import main as distill
    from export.cli import main as export
    from noss.cli import main as noss

    commands = shown(shared, "mobilenet", "tiny", "--seeds", "0,1")
    tools = {"trill-distill": distill, "trill-export": export, "noss": noss}
    asked = []
    for program, *rest in commands:
        name = Path(program).name
        if name in tools:
            command = tools[name].commands[rest[0]]
            command.make_context(rest[0], rest[1:])
            asked.append(f"{name} {rest[0]}")
        else:
            assert (ROOT / rest[0]).is_file()
            asked.append(rest[0])
    one = [
        "trill-distill targets", *["trill-distill train", "trill-distill prune", "trill-export convert"] * 2,
        *["noss run"] * 3,
        "scripts/package_model.py", "noss run",
        "scripts/fit_calibration.py", "benchmarks/quality_cost.py", "scripts/model_card.py",
    ]  # fmt: skip
    baselines = one.index("scripts/package_model.py") - 1  # of the second model they are there
    assert asked == [*one, *one[:baselines], *one[baselines + 1 :]]


def test_models_share_targets_where_they_hear_the_same(shared, tmp_path):
    def folder(recipe):
        [targets] = [command for command in shown(shared, recipe) if command[1] == "targets"]
        return targets[targets.index("-o") + 1]

    assert folder("mobilenet") == folder("tiny")
    text = (ROOT / "recipes/tiny.toml").read_text()
    (tmp_path / "other.toml").write_text(text.replace("copies = 7", "copies = 6"))
    assert folder(str(tmp_path / "other.toml")) != folder("tiny")
    (tmp_path / "clean.toml").write_text(text[: text.index("# Of whole clips")] + text[text.index("[optimizer]") :])
    clean = shown(shared, str(tmp_path / "clean.toml"))
    [targets] = [command for command in clean if command[1] == "targets"]
    assert "--recipe" not in targets


def test_a_check_trains_in_a_folder_of_its_own_and_packages_nothing(shared):
    commands = shown(shared, "mobilenet", "--steps", "1000")
    assert [command[1] for command in commands] == ["targets", "train"]
    output, steps = (commands[1][commands[1].index(option) + 1] for option in ("-o", "--steps"))
    assert output.endswith("-seed0-1000-steps")
    assert steps == "1000"


def test_what_is_missing_is_said_before_anything_starts(shared, tmp_path):
    shutil.copytree(shared, tmp_path / "shared")
    shutil.rmtree(tmp_path / "shared/teachers/whisper_tiny_en_encoder")
    (tmp_path / "shared/speech/noise/manifest.csv").unlink()
    said = make_models(tmp_path / "shared", "mobilenet", code=1)
    assert "whisper_tiny_en_encoder: https://huggingface.co/openai/whisper-tiny.en" in said
    assert "noise/manifest.csv: docs/models.md" in said
    assert "trill-distill" not in said
    assert "yamnet" not in said
    (tmp_path / "new.toml").write_text(
        (ROOT / "recipes/tiny.toml").read_text().replace('version = "3"', 'version = "9"')
    )
    assert "scripts/cards/tiny-9.toml: to be written" in make_models(shared, str(tmp_path / "new.toml"), code=1)
    assert shown(shared, str(tmp_path / "new.toml"), "--steps", "9")
    assert "got 'nothing'" in make_models(shared, "nothing", code=1)


def test_make_hands_its_variables_on():
    told = ("MODELS=tiny", "SEEDS=0,1", "STEPS=10", "SPEECH=/s", "TEACHERS=/t")
    done = subprocess.run(["make", "-n", "models", *told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "make_models.py tiny --speech /s --teachers /t --seeds 0,1 --steps 10" in done.stdout


# A package.


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "WEIGHTS", tmp_path)
    monkeypatch.setattr(presets, "PRESETS", tmp_path / "presets.toml")
    shutil.copyfile(ROOT / "trill/presets.toml", tmp_path / "presets.toml")
    (tmp_path / "kept").mkdir()
    return tmp_path


def test_a_package_is_named_by_what_the_weights_say(tiny, package, tmp_path, capsys):
    from trill.networks import saving
    from trill.networks.counting import multiply_adds

    shutil.copyfile(tiny.safetensors, tmp_path / "last.safetensors")
    before = tomllib.loads((package / "presets.toml").read_text())
    for name in ("tiny", "tiny-float16"):
        before.pop(name, None)
    for old in ("tiny-1.1.tflite", "tiny-1.1-float16.tflite", "tiny-small-1.tflite"):
        (package / old).touch()
    made = package_model.package(tmp_path / "last.safetensors", package / "kept")
    assert [file.name for file in made] == ["tiny-1.2.tflite", "tiny-1.2-float16.tflite"]
    assert [trill.load(file).card.quantization for file in made] == ["int8", "float16"]
    assert saving.load(package / "kept/tiny-1.2.safetensors")[1] == tiny.config
    rows = tomllib.loads((package / "presets.toml").read_text())
    for name, file in zip(("tiny", "tiny-float16"), made, strict=True):
        assert rows.pop(name) == {
            "file": file.name, "sha256": files.sha256(file), "card": "tiny-1.2.md",
            "multiply_adds": multiply_adds(tiny.network),
        }  # fmt: skip
    assert rows == before
    said = capsys.readouterr().out
    assert "tiny-1.1.tflite is no longer named" in said
    assert "tiny-1.1-float16.tflite is no longer named" in said
    assert "tiny-small" not in said
    assert "tiny-1.2" not in said

    package_model.package(package / "kept/tiny-1.2.safetensors", package / "kept")
    text = (package / "presets.toml").read_text()
    assert (text.count("[tiny]"), text.count("[tiny-float16]")) == (1, 1)


# The picture.


def quality_cost(*arguments, code=0):
    command = [sys.executable, "benchmarks/quality_cost.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def test_quality_against_cost_of_one_run(tmp_path):
    from tests.noss.clips import noss, write_clips

    asked = ("--manifest", write_clips(tmp_path / "corpus"), "--label", "loudness", "--protocol", "referee", "-q")
    noss("run", *asked, "-r", "log-mel", "-o", tmp_path / "out")
    quality_cost("measure", "-r", "log-mel", "-r", "mfcc", "-o", tmp_path / "cost.json")
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert [row["representation"] for row in cost["rows"]] == ["log-mel-1", "mfcc-1"]
    assert all(0 < row["least"] <= row["milliseconds"] <= row["most"] for row in cost["rows"])
    drawing = ("draw", tmp_path / "cost.json", "--results", tmp_path / "out", "-o", tmp_path / "out.png")
    assert "mfcc-1 lack some" in quality_cost(*drawing, code=1)
    assert not (tmp_path / "out.png").exists()
    noss("run", *asked, "-r", "mfcc", "-o", tmp_path / "out")
    quality_cost(*drawing)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert "cannot be measured" in quality_cost("measure", "-r", "nothing", "-o", tmp_path / "no.json", code=1)
