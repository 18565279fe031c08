"""`trill-distill` as a user meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import distill
import trill
from distill import cli
from tests.distill.made import COLUMNS, WINDOW, Teacher, config, make_cache, map_known
from tests.test_imports import HEAVY, packages_of
from trill.networks import saving

SHARED = Path(__file__).parents[3] / "shared/teachers"


@pytest.fixture(autouse=True, scope="module")
def _map():
    with map_known():
        yield


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: sounds, a recipe, a teacher called `fake`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    make_cache(tmp_path, 10)
    (tmp_path / "recipe.toml").write_text(config(COLUMNS, WINDOW, steps=2).to_toml())
    loaded = []

    def load_teacher(name, num_layers=None):
        loaded.append((name, num_layers))
        return Teacher()

    monkeypatch.setattr(distill, "load_teacher", load_teacher)
    return loaded


def run(*words):
    return CliRunner().invoke(cli.main, [*map(str, words)], prog_name="trill-distill")


def told(*words):
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout.splitlines()


def refused(*words):
    result = run(*words)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("trill-distill: ")
    return line


TARGETS = ("targets", "sounds", "-o", "targets", "--teacher", "fake", "--layers", "1-2", "--components", "3")
TRAIN = ("train", "sounds", "-o", "run", "--targets", "targets", "--recipe", "recipe.toml")


def test_from_sound_to_a_student(here):
    first, second = told(*TARGETS)
    assert first.startswith("10 clips, ")
    assert second.startswith("fake-teacher: 3 values every 20 ms, ")
    assert second.endswith(" of the variance: targets")
    assert here == [("fake", 2)]
    lines = told(*TRAIN)
    assert [line.split(":")[0].split(",")[0] for line in lines] == ["10 clips", "step 2", "Trained for 2 steps"]
    assert "fake columns " in lines[1]
    assert told(*TRAIN)[-1] == "Trained for 2 steps: run/last.safetensors"
    head, _, row = told("report", "run", "sounds", "--teacher", "fake", "--layers", "1,2")
    assert head.startswith("student-0-")
    assert row.startswith("fake-teacher@layers 1,2 ")
    found = json.loads("\n".join(told("report", "run", "sounds", "--teacher", "fake@layer1", "--json")))
    assert found["likeness"][0]["teacher"] == "fake-teacher@layer1"


def test_from_sound_by_way_of_copies_to_a_student(here, tmp_path):
    varied = config(COLUMNS, steps=2, variants={"copies": 2, "speed": {"low": 0.8, "high": 1.25}})
    (tmp_path / "varied.toml").write_text(varied.to_toml())
    with_recipe = (*TARGETS[:3], "copies", *TARGETS[4:], "--recipe", "varied.toml")
    assert told(*with_recipe)[0].startswith("30 clips, ")
    train = ("train", "sounds", "-o", "run", "--targets", "copies", "--recipe")
    assert "targets must be of the sound that is trained on" in refused(*train, "recipe.toml")
    assert told(*train, "varied.toml")[0].startswith("30 clips, ")
    assert "copies holds other targets: corpus is" in refused(*with_recipe[:-2])


def test_a_sweep(here, tmp_path):
    told(*TARGETS)
    words = ["--recipe", "recipe.toml", "--teacher", "fake", "--layers", "1", "--widths", "0.5,1"]
    lines = told("sweep", "sounds", "--heldout", "sounds", "-o", "sweep", "--targets", "targets", *words)
    assert lines[-1] == "Drawn: sweep/sweep.png"
    assert saving.load("sweep/width-0.5/last.safetensors")[1].arguments == {"width": 0.5}
    assert set(json.loads((tmp_path / "sweep/sweep.json").read_text())) == {"0.5", "1"}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the teachers are not part of the repository")
def test_the_packaged_recipe_with_its_teachers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    sounds = Path(trill.example("anna_calm")).parent
    whisper = ("--teacher", SHARED / "whisper_tiny_en_encoder", "--layers", "1-3")
    told("targets", sounds, "-o", "targets", *whisper, "--components", 256)
    live = f"yamnet={SHARED / 'yamnet_float_layers1to11'}"
    told("train", sounds, "-o", "run", "--targets", "targets", "--live", live, "--noise", sounds, "--steps", 2)
    assert trill.load("run/last.safetensors").embed(sounds / "anna_calm.flac").shape == (2048,)


def test_teachers_are_listed():
    assert "whisper" in "\n".join(told("teachers"))


@pytest.mark.parametrize("command", ["targets", "train", "report", "sweep", "teachers"])
def test_the_manual(command):
    lines = told(command, "--help")
    assert "\b" not in "".join(lines)
    assert max(map(len, lines)) <= 100


def test_what_cannot_be_is_refused_in_one_line(here):
    assert "there is no" in refused("targets", "nothing", "-o", "t", "--teacher", "fake", "--layers", "1")
    assert "layers of fake-teacher are 0" in refused(
        "targets", "sounds", "-o", "t", "--teacher", "fake", "--layers", "9"
    )
    assert "Make a folder each" in refused(*TARGETS, "--teacher", "other")
    assert "targets are a folder with manifest.json" in refused(*TRAIN)
    told(*TARGETS)
    assert "targets holds other targets: layers is [1, 2], not [1]" in refused(
        *TARGETS[:5], "fake", "--layers", "1", "--components", "3"
    )
    assert "--live takes NAME=FOLDER, got 'yamnet'" in refused(*TRAIN, "--live", "yamnet")
    assert "must be the path of a model file" not in refused("report", "sounds", "sounds", "--teacher", "fake")
    assert "a recipe is one of" in refused(*TRAIN[:-1], "none")


def test_wrong_usage_points_to_the_manual(here):
    result = run(*TARGETS[:-3], "one", "--components", "3")
    assert result.exit_code == 2
    assert "'one' is no list of numbers such as 1,2,3" in result.stderr


def test_the_manual_needs_no_framework():
    assert packages_of("import distill, distill.cli, distill.writing").isdisjoint(HEAVY)
