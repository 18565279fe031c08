"""The report's figures against their definitions, and a sweep that draws."""

import json

import numpy as np
import pytest
import soundfile

from distill import report, sweep
from distill.hearing import Recipe
from distill.report import Likeness, Recall, Report
from tests.distill.made import COLUMNS, Teacher, config, make_cache, map_known
from trill.networks import saving


def test_cka_is_its_definition():
    """Kornblith et al. 2019, equations 1 to 3, with both kernel matrices written out."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)) + 5, rng.normal(size=(20, 4)) - 2
    centring = np.eye(20) - np.ones((20, 20)) / 20

    def hsic(one, other):
        return np.trace(one @ one.T @ centring @ other @ other.T @ centring) / 19**2

    assert report.linear_cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)), abs=1e-12)
    assert report.linear_cka(x, 3 * x + 1) == pytest.approx(1)


def test_what_can_be_learnt_is_told_from_what_cannot():
    rng = np.random.default_rng(0)
    x, owners = rng.normal(size=(3_000, 5)), np.arange(3_000) // 3
    half = np.column_stack([x @ rng.normal(size=(5, 2)), rng.normal(size=(3_000, 2))])
    found = report.compare("half", x, half * [1, 100, 1, 100] + 7, owners)
    assert found.r2 == pytest.approx(0.5, abs=0.03)
    assert found.windows == 600
    nothing = report.compare("none", x, rng.normal(size=(3_000, 4)), owners)
    assert abs(nothing.r2) < 0.02
    assert abs(nothing.cosine) < 0.1


def test_clips_are_kept_whole():
    """Windows of a clip that are alike are of no use where the clip is not in both parts."""
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(60), 20)
    x, y = rng.normal(size=(60, 50))[owners], rng.normal(size=(60, 3))[owners]
    assert report.compare("memory", x, y, owners).r2 < 0.05


def test_frames_under_a_window():
    frames = np.arange(10.0)[:, None]
    found = report._under(frames, np.array([[0, 960], [640, 1_600], [2_900, 3_900], [9_000, 9_900]]), 320)
    assert found[:, 0].tolist() == [1, 3, 9, 9]


@pytest.fixture
def run(tmp_path):
    with map_known():
        network = saving.build(config(COLUMNS).network)
        saving.save(network, config(COLUMNS).network, tmp_path / "last.safetensors")
        yield tmp_path


def test_a_run_is_reported(run):
    cache = make_cache(run, 12)[1]
    teachers = [(Teacher(), Recipe((1,))), (Teacher(), Recipe(tap="layer2"))]
    found = report.report(run, cache, teachers, quiet=True)
    network, _ = saving.load(run / "last.safetensors")
    assert found.parameters == network.count_params()
    assert found.multiplies == 9 * 4 * 4 * 16
    assert found.bytes == (run / "last.safetensors").stat().st_size
    assert found.milliseconds > 0
    assert [row.teacher for row in found.likeness] == ["fake-teacher@layers 1", "fake-teacher@layer2"]
    assert np.isfinite([(row.r2, row.cosine, row.cka) for row in found.likeness]).all()
    lines = found.table().splitlines()
    assert len(lines) == 4
    assert "64 values" in lines[0]


@pytest.fixture
def moods(tmp_path):
    """Loud and quiet noise of six speakers, in a manifest; and clips whose label nothing tells."""
    rng, lines, drawn = np.random.default_rng(0), ["path,label,speaker"], ["path,label,speaker"]
    for number in range(24):
        level = (0.05, 0.3)[number % 2]
        soundfile.write(tmp_path / f"{number}.wav", level * rng.standard_normal(4_000), 16_000)
        lines.append(f"{number}.wav,{('quiet', 'loud')[number % 2]},{number // 4}")
        drawn.append(f"{number}.wav,{'ab'[number % 4 // 2]},{number // 4}")
    (tmp_path / "moods.csv").write_text("\n".join(lines))
    (tmp_path / "drawn.csv").write_text("\n".join(drawn))
    return tmp_path


def test_tasks_are_probed_with_student_and_teachers(run, moods):
    cache = make_cache(run, 12)[1]
    labelled = [moods / "moods.csv", moods / "drawn.csv"]
    found = report.report(run, cache, [(Teacher(), Recipe((1,)))], labelled=labelled, quiet=True)
    known, drawn = found.tasks
    assert (known.task, known.teachers) == ("moods", (1.0,))
    assert known.student > 0.9
    assert max(drawn.student, *drawn.teachers) < 0.8
    assert found.table().splitlines()[-2].split() == ["moods", f"{known.student:.3f}", "1.000"]


def test_the_best_of_a_run_is_meant(run):
    assert report.find_model(run) == str(run / "last.safetensors")
    (run / "best.safetensors").write_bytes((run / "last.safetensors").read_bytes())
    assert report.find_model(run) == str(run / "best.safetensors")
    assert report.find_model("mobilenet") == "mobilenet"


def test_too_few_clips_and_another_rate(run):
    few = make_cache(run, 6)[1]
    with pytest.raises(ValueError, match="a report needs at least ten clips, got 6"):
        report.report(run, few, [(Teacher(), Recipe((1,)))], quiet=True)
    slow = make_cache(run / "slow", 12, sample_rate=8_000)[1]
    with pytest.raises(ValueError, match=r"all must hear the same rate, .+ hears 16000 Hz, not 8000"):
        report.report(run, slow, [(Teacher(), Recipe((1,)))], quiet=True)


def test_a_sweep_trains_each_width_and_draws(tmp_path):
    trained = {}

    def train(recipe, run):
        trained[run.name] = (recipe.network.arguments["width"], recipe.network.name)

    def judge(run):
        width = float(run.name.removeprefix("width-"))
        rows = tuple(Likeness(name, 0.5 + width / 4, 0.6, 0.7, 100) for name in ("one", "two"))
        tasks = (Recall("moods", width / 2, (0.7, 0.8)),)
        return Report(run.name, 8, 1_000, int(1e6 * width), int(1e7 * width), 1.0, rows, tasks)

    found = sweep.sweep(sweep.widths(config(COLUMNS), (0.5, 1.0)), tmp_path, train, judge)
    assert trained == {"width-0.5": (0.5, "student-0.5"), "width-1": (1.0, "student-1")}
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads((tmp_path / "sweep.json").read_text())
    assert rows["0.5"]["likeness"][0]["r2"] == found[0.5].likeness[0].r2
    assert rows["1"]["tasks"] == [{"task": "moods", "student": 0.5, "teachers": [0.7, 0.8]}]
    with pytest.raises(ValueError, match="a sweep needs widths, each once"):
        sweep.widths(config(COLUMNS), (1.0, 1.0))
