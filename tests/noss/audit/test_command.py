"""`noss audit`, as a user calls it."""

import json

import pytest
from click.testing import CliRunner

from noss.cli import main
from tests.noss.audit.corpora import clean, in_parts, write


def noss(*arguments, code=0):
    done = CliRunner().invoke(main, list(map(str, ("audit", *arguments))))
    assert done.exit_code == code, done.output
    return done.stdout if code < 2 else done.output


def test_a_second_audit_decodes_nothing(tmp_path):
    manifest = write(tmp_path / "corpus", clean())
    call = (manifest, "-r", "log-mel", "--cache", tmp_path / "cache", "-q")
    printed = noss(*call, "-o", tmp_path / "audit.md")
    assert "log-mel-1: uar" in printed
    assert (tmp_path / "audit.md").read_text().startswith("# Audit of mine\n")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.journal")}
    assert len(before) == 2
    again = json.loads(noss(*call, "--json"))
    assert again["verdict"] == "ok"
    assert again["findings"][-1]["said"] in " ".join(printed.split())
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.journal")}


def test_what_is_broken_is_the_exit_code(tmp_path):
    rows = in_parts(clean())
    rows[0].split = "test"
    manifest = write(tmp_path / "corpus", rows)
    assert "broken: list/as noss run reads it, speakers/on both sides" in noss(
        manifest, "-r", "none", "--cache", tmp_path / "cache", "-q", code=1
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "one corpus must be named"),
        (("a.csv", "--task", "crema_d"), "one corpus must be named"),
        (("a.csv",), "a.csv"),
        (("--task", "nothing"), "a task must be one of"),
        (("--task", "crema_d"), "must be unpacked in a folder, got none"),
        ((".",), "a pack is a folder with manifest.csv"),
    ],
)
def test_bad_calls_say_what_is_wanted(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert said in noss(*arguments, "-r", "none", code=2)
