"""Every command and snippet in the documentation runs, in a folder that holds the files it names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import trill
from scripts.make_ssl_checkpoint import write_checkpoint
from tests.distill.test_loading import TINY

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What the pages' reader would have on disk.
FILES = {
    "clip.wav": "anna_calm",
    "me.wav": "anna_calm",
    "her.wav": "anna_excited",
    "him.wav": "ben_calm",
    "talk.mp3": "dieter_calm",
    "recordings/monday.flac": "ben_calm",
    "recordings/tuesday.ogg": "ben_excited",
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with the files, as the current one; the project's commands first on the path."""
    import soundfile

    for name, clip in FILES.items():
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        soundfile.write(target, *soundfile.read(trill.example(clip)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_hub_cache(tmp_path / "hub")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def make_hub_cache(folder):
    """What a download leaves behind: a checkpoint that the pages name, in its published form, but tiny."""
    model, revision = folder / "models--facebook--wav2vec2-base-960h", "0" * 40
    content = TINY | {"model_type": "wav2vec2", "num_hidden_layers": 8}
    write_checkpoint(model / "snapshots" / revision, content, prefix="wav2vec2.")
    (model / "refs").mkdir()
    (model / "refs/main").write_text(revision)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_snippets_run_in_order(page, desk):
    snippets = [body for language, body in BLOCK.findall(page.read_text()) if language == "python"]
    (desk / "page.py").write_text("\n".join(snippets))
    done = subprocess.run([sys.executable, "-W", "error", "page.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run(page, desk):
    lines = "".join(body for language, body in BLOCK.findall(page.read_text()) if language == "bash").splitlines()
    for line in filter(None, (line.split("  #")[0].strip() for line in lines)):
        done = run_command(line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def run_command(line):
    """Run a line; installing and make's targets, which the packaging test runs, are only looked up."""
    if line.startswith("make "):
        return subprocess.run(["make", "-n", "-C", ROOT, *line.split()[1:]], capture_output=True, text=True)
    if line.startswith("pip install "):
        names = {"trill-speech", "trill-speech[noss]", "trill-speech[train]", "trill-speech[train,export]", "pyarrow"}
        assert line.removeprefix("pip install ").strip("'") in names
        return subprocess.CompletedProcess(line, 0)
    assert shutil.which(line.split()[0]), f"{line}: no such command"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)


def test_a_broken_command_would_be_seen(desk):
    assert run_command("trill embed missing.wav -o x.npz").returncode == 2
    with pytest.raises(AssertionError, match="no such command"):
        run_command("trilll demo")


LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert missing == []
