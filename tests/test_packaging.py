"""The wheel and the sdist carry what they need and install into an empty environment, without TensorFlow."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from trill import presets

ROOT = Path(__file__).parents[1]
NEEDED = (
    *(f"trill/weights/{row[key]}" for row in presets.presets().values() for key in ("file", "card")),
    "trill/presets.toml",
    "trill/clips/anna_calm.flac",
    "trill/py.typed",
    "distill/presets.toml",
    "noss/report/page.html",
)
HEAVY = ("tensorflow", "keras", "jax", "torch", "scikit-learn", "pandas", "scipy")
MAX_REPOSITORY_BYTES = 50_000_000  # with the models of every version, four by now


def run(*command, cwd=None):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist, built from the tracked files alone."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", output, source)
    (wheel,), (sdist,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return wheel, sdist


def test_wheel_and_sdist_carry_the_weights(built):
    wheel, sdist = built
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert inside.issuperset(NEEDED)
    assert not any(name.startswith(("tests/", "benchmarks/", "recipes/")) for name in inside)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names.issuperset({*NEEDED, "LICENSE", "README.md", "pyproject.toml"})


def test_wheel_works_in_an_empty_environment(built, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "env")
    python, trill = tmp_path / "env/bin/python", tmp_path / "env/bin/trill"
    run(python, "-m", "pip", "install", "-q", "--constraint", ROOT / "constraints.txt", built[0])
    installed = run(python, "-m", "pip", "list", "--format=freeze").lower()
    assert not [name for name in HEAVY if f"{name}==" in installed or f"{name}-cpu==" in installed]
    shape = run(python, "-c", "import trill; print(trill.embed(trill.example('anna_calm')).shape)", cwd=tmp_path)
    assert shape == "(1152,)\n"
    assert "anna_calm" in run(trill, "demo", cwd=tmp_path)
    assert (tmp_path / "demo-output/embeddings.npz").exists()


def test_repository_stays_small():
    assert int(run("git", "rev-list", "--disk-usage", "--objects", "HEAD", cwd=ROOT)) < MAX_REPOSITORY_BYTES
