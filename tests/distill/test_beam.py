"""Targets through Apache Beam: the same bytes, only what is missing is heard. Needs the extra `beam`."""

import numpy as np
import pytest
from click.testing import CliRunner

import distill
from distill import beam, cli, writing
from distill.hearing import Recipe
from distill.targets import TargetsError
from distill.writing import write_targets
from tests.distill.made import Teacher, make_cache

pytestmark = pytest.mark.filterwarnings("ignore")
RECIPE = Recipe((1, 2), components=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("corpus"), 7)[1]


@pytest.fixture
def loads(monkeypatch):
    """Puts teachers in the place of those that are loaded by name; what was asked for."""
    monkeypatch.setattr(beam, "CLIPS_A_PART", 3)
    monkeypatch.setattr(writing, "SYNC_SECONDS", 0.0)
    beam._loaded.cache_clear()

    def loading(*teachers):
        teachers, asked = list(teachers), []
        monkeypatch.setattr(
            distill, "load_teacher", lambda name, layers=None: (asked.append((name, layers)), teachers.pop(0))[1]
        )
        return asked

    yield loading
    beam._loaded.cache_clear()


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_the_extra_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    make_cache(tmp_path, 2)
    call = ["targets", str(tmp_path / "sounds"), "-o", str(tmp_path / "t"), "--teacher", "fake"]
    result = CliRunner().invoke(cli.main, [*call, "--runner", "DirectRunner"])
    assert result.exit_code == 2
    assert "pip install 'trill-speech[beam]'" in result.stderr


@pytest.mark.parametrize("keep", ["both", "clips"])
def test_a_pipeline_writes_the_same_bytes(cache, loads, tmp_path, keep):
    pytest.importorskip("apache_beam")
    asked = loads(Teacher())
    recipe = Recipe((1, 2), components=3, keep=keep)
    write_targets(Teacher(), cache, tmp_path / "here", recipe, quiet=True)
    said = beam.said_on("DirectRunner", "fake", 2)
    write_targets(Teacher(), cache, tmp_path / "there", recipe, quiet=True, said=said)
    assert asked == [("fake", 2)]
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_what_was_heard_is_not_heard_again(cache, loads, tmp_path):
    """Begun here, gone on with there, where a worker fails, and ended there: the same bytes."""
    pytest.importorskip("apache_beam")
    write_targets(Teacher(), cache, tmp_path / "whole", RECIPE, quiet=True)

    def stop_after(clips):
        def before(heard, waveform):
            if heard > clips:
                raise OSError("no more")
            return waveform

        return Teacher(before=before)

    def go_on(teacher, **options):
        return write_targets(teacher, cache, tmp_path / "targets", RECIPE, threads=1, quiet=True, **options)

    with pytest.raises(OSError, match="no more"):
        go_on(stop_after(2 + 7 + 1))  # to look at it, to fit, and one clip
    loads(stop_after(2 + 4), again := Teacher())
    said = beam.said_on("DirectRunner --direct_num_workers=1", "fake", threads=1)
    with pytest.raises(TargetsError, match="no more"):
        go_on(Teacher(), said=said)
    assert len(list((tmp_path / "targets.partial/parts").glob("[!.]*"))) in (1, 2)
    kept = sum(3 if path.stem < "000000006" else 1 for path in (tmp_path / "targets.partial/parts").glob("[!.]*"))
    beam._loaded.cache_clear()
    go_on(Teacher(), said=said)
    assert again.heard == 2 + 7 - kept
    assert files(tmp_path / "targets") == files(tmp_path / "whole")


def test_a_pipeline_that_was_stopped_is_ended_here(cache, loads, tmp_path):
    pytest.importorskip("apache_beam")
    write_targets(Teacher(), cache, tmp_path / "whole", RECIPE, quiet=True)
    broken = Teacher(before=lambda heard, waveform: waveform * np.nan if heard > 6 else waveform)
    loads(broken)
    with pytest.raises(TargetsError, match=r"must give numbers, fake-teacher gives NaN or infinity for .+\.wav"):
        write_targets(
            Teacher(), cache, tmp_path / "targets", RECIPE, quiet=True, said=beam.said_on("DirectRunner", "fake")
        )
    write_targets(Teacher(), cache, tmp_path / "targets", RECIPE, quiet=True)
    assert files(tmp_path / "targets") == files(tmp_path / "whole")


def test_a_worker_with_another_teacher(cache, loads, tmp_path):
    pytest.importorskip("apache_beam")
    loads(Teacher(scale=2.0))
    with pytest.raises(TargetsError, match="workers must load the same teacher, fake is another there"):
        write_targets(
            Teacher(), cache, tmp_path / "targets", RECIPE, quiet=True, said=beam.said_on("DirectRunner", "fake")
        )


def test_a_part_that_is_not_whole(cache, loads, tmp_path):
    pytest.importorskip("apache_beam")
    with pytest.raises(OSError, match="no"):
        write_targets(Teacher(), cache, tmp_path / "targets", RECIPE, quiet=True, said=_refuse)
    parts = tmp_path / "targets.partial/parts"
    parts.mkdir()
    for first in (0, 3, 6):
        np.savez(parts / f"{first:09}.npz", **{"frames.npy": np.zeros((2, 3)), "clips.npy": np.zeros((3, 3))})
    with pytest.raises(TargetsError, match=r"must have the rows of its clips, .+ has not\. Remove it: rm "):
        write_targets(
            Teacher(), cache, tmp_path / "targets", RECIPE, quiet=True, said=beam.said_on("DirectRunner", "fake")
        )


def _refuse(listener, first, folder):
    raise OSError("no")


def test_by_the_command(loads, tmp_path, monkeypatch):
    pytest.importorskip("apache_beam")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    make_cache(tmp_path, 4)

    def targets(output, *words):
        call = ["targets", str(tmp_path / "sounds"), "-o", str(tmp_path / output), "--teacher", "fake", "-q"]
        return CliRunner().invoke(cli.main, [*call, "--layers", "1", *words])

    asked = loads(Teacher(), Teacher(), Teacher(), Teacher())
    assert targets("here").exit_code == 0
    assert targets("there", "--runner", "DirectRunner").exit_code == 0
    assert asked == [("fake", 1)] * 3
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert "Unexpected pipeline runner" in targets("none", "--runner", "NoRunner").stderr
