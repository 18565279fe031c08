"""The demo's core on this computer's Java: JUnit, and the real model files against what Python makes of them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "android_demo"
CACHE = Path(os.environ.get("TRILL_ANDROID_CACHE", "~/.cache/trill-android")).expanduser()
PURPOSES = ("test", "host")  # of what hosttest/test.sh needs


def rows():
    """Purpose, coordinate and SHA-256 of everything that is downloaded."""
    lines = (DEMO / "dependencies.txt").read_text(encoding="utf-8").splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def missing():
    """Why the tests cannot run here without the network, or nothing."""
    programs = [program for program in ("java", "javac") if not shutil.which(program)]
    hashes = [hash_ for purpose, _, hash_ in rows() if purpose in PURPOSES]
    jars = [hash_ for hash_ in hashes if not any((CACHE / hash_).glob("*.jar"))]
    if programs:
        return f"needs {', '.join(programs)}"
    return f"needs what hosttest/test.sh downloads, not in {CACHE}: {', '.join(jars)}" if jars else ""


def test_every_download_has_its_hash():
    assert {purpose for purpose, _, _ in rows()} >= set(PURPOSES)
    for _, coordinate, hash_ in rows():
        assert re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+:\w+(:[\w-]+)?", coordinate)
        assert re.fullmatch(r"[0-9a-f]{64}", hash_)


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_core(tmp_path):
    """The vectors are written anew by the Python and the models of this checkout."""
    done = subprocess.run(
        ["bash", DEMO / "hosttest/test.sh"],
        env=os.environ | {"OUT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    print("\n".join(line for line in done.stdout.splitlines() if line.startswith("figure:")))  # noqa: T201
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {what: int(count) for count, what in re.findall(r"\[ *(\d+) tests (\w+) *\]", done.stdout)}
    assert counts["successful"] == counts["found"] > 100, counts
    assert done.stdout.count("figure:") >= 3  # the real models were there
