"""The demo app: what its sources promise; then, slowly, the APK, twice, and Robolectric's tests with the real model.

`pytest tests/test_android_app.py -m slow -s` downloads 1 GB on the first run, and takes minutes.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "android_demo"
APP = DEMO / "app/src/main"
ANDROID = "{http://schemas.android.com/apk/res/android}"
TOOLS = ("javac", "aapt2", "aapt", "zipalign", "apksigner", "zip", "unzip", "curl")
missing = [tool for tool in TOOLS if not shutil.which(tool)]
needs_tools = pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}: see android_demo/build.sh")


def run(*command):
    """With this Python, so that the model and what it is compared with are of this checkout."""
    environment = os.environ | {
        "PYTHON": sys.executable,
        "TRILL_EXPORT": str(Path(sys.executable).with_name("trill-export")),
    }
    return subprocess.run(list(map(str, command)), cwd=DEMO, env=environment, capture_output=True, text=True)


def test_the_microphone_is_all_it_asks_for():
    manifest = ElementTree.parse(APP / "AndroidManifest.xml").getroot()  # noqa: S314 - ours
    assert [tag.get(f"{ANDROID}name") for tag in manifest.iter("uses-permission")] == [
        "android.permission.RECORD_AUDIO"
    ]
    assert manifest.find("application").get(f"{ANDROID}allowBackup") == "false"


def test_every_text_that_is_shown_can_be_translated():
    literal = [
        (path.name, value)
        for path in APP.glob("res/layout*/*.xml")
        for tag in ElementTree.parse(path).iter()  # noqa: S314 - ours
        for name in ("text", "hint", "contentDescription")
        if (value := tag.get(f"{ANDROID}{name}")) and not value.startswith("@")
    ]
    assert literal == []


def test_no_text_has_a_size_that_the_font_setting_does_not_change():
    sizes = [
        size for path in APP.glob("res/**/*.xml") for size in re.findall(r'textSize(?:">|=")([\w.]+)', path.read_text())
    ]
    assert len(sizes) > 5
    assert all(size.endswith("sp") for size in sizes)


def test_gradle_and_build_script_agree():
    script, gradle = (DEMO / "build.sh").read_text(), (DEMO / "app/build.gradle").read_text()
    for pattern_script, pattern_gradle in (
        (r"MIN_SDK=(\d+)", r"minSdk (\d+)"),
        (r"TARGET_SDK=(\d+)", r"targetSdk (\d+)"),
        (r'ABIS="(.*)"', r"abiFilters (.*)"),
    ):
        ((of_script,), (of_gradle,)) = re.findall(pattern_script, script), re.findall(pattern_gradle, gradle)
        assert of_script == re.sub("[',]", "", of_gradle)


@needs_tools
@pytest.mark.slow
def test_the_apk_is_built_twice_alike_and_sound():
    hashes = []
    for _ in range(2):
        done = run("./build.sh")
        assert done.returncode == 0, done.stdout + done.stderr
        hashes.append(hashlib.sha256((DEMO / "build/trill-demo.apk").read_bytes()).hexdigest())
    assert hashes[0] == hashes[1]
    done = run("./check.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    unsigned = run("./check.sh", "build/aligned.apk")
    assert unsigned.returncode == 1
    assert "is not signed soundly" in unsigned.stderr


@needs_tools
@pytest.mark.slow
def test_the_app_on_three_versions_of_android():
    if not (DEMO / "build/base.apk").exists():
        assert run("./build.sh").returncode == 0
    done = run("./test.sh")
    print("\n".join(line for line in done.stdout.splitlines() if "of the largest value" in line))  # noqa: T201
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
