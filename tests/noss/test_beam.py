"""The grid through Apache Beam: the same scores, only what is missing. Needs the extra `beam`."""

import pytest

from noss import results
from noss.config import REFEREE
from noss.run import run
from noss.tasks import manifest_task
from tests.noss.clips import FUNCTIONS, noss, write_clips

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_beam.py").write_text(FUNCTIONS)
    return write_clips(tmp_path / "corpus")


def test_without_the_extra_it_says_so(manifest, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    call = ("--manifest", manifest, "--label", "loudness", "--protocol", "referee", "-o", "out", "-q")
    assert "pip install 'trill-speech[beam]'" in noss("run", "-r", "log-mel", *call, "--runner", "DirectRunner", code=2)


def test_a_pipeline_gives_the_same_and_loses_only_what_is_bad(manifest, tmp_path):
    pytest.importorskip("apache_beam")
    call = ("--manifest", manifest, "--label", "loudness", "--protocol", "referee", "-o", tmp_path / "out", "-q")
    call = ("run", "-r", "log-mel", "-r", "mine_beam.py:nan", *call, "--runner", "DirectRunner")
    assert "1 of 2 scores are missing" in noss(*call, code=1)
    run(["log-mel"], [(manifest_task(manifest, label="loudness"), None)], tmp_path / "here", REFEREE, quiet=True)
    [one], [other] = (results.load_all(tmp_path / name) for name in ("out", "here"))
    assert one.key == other.key
    assert one.evaluation.scores == other.evaluation.scores
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == ["embeddings"]
    assert "(was there)" in noss(*call, code=1)


def test_a_runner_that_is_none(manifest, tmp_path):
    pytest.importorskip("apache_beam")
    call = ("--manifest", manifest, "--label", "loudness", "--protocol", "referee", "-o", tmp_path / "out", "-q")
    assert "Unexpected pipeline runner" in noss("run", "-r", "log-mel", *call, "--runner", "NoRunner", code=2)
