"""Cards of packaged models: every number is in the JSON beside it, and what was not measured is not said."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import trill
from tests.noss.clips import noss, write_clips
from trill import presets

ROOT = Path(__file__).parents[1]
CARDS = sorted((ROOT / "trill/weights").glob("*.json"))
NUMBER = re.compile(r"(?<![\w.])[+−-]?(?:\d[\d,]*\.?\d*|\.\d+)(?![\w])")
FACTS = """
description = "A window of speech becomes a vector."
front_end = "log-mel inside the file"
training = "9,000 steps."
conditions = ["telephone"]
limits = ["It is a test."]
teachers = [{ name = "Whisper tiny.en", licence = "MIT", source = "https://example.org" }]
[baselines]
log-mel = "log-mel"
[corpora]
town = "Voices of a town (CC BY)"
"""


def said_in(content):
    """Every way in which a card may write the numbers of its JSON."""
    if isinstance(content, dict):
        return set().union(*map(said_in, content.keys()), *map(said_in, content.values()))
    if isinstance(content, list):
        return set().union(*map(said_in, content))
    if isinstance(content, str):
        return {number.rstrip(".,") for number in NUMBER.findall(content)}
    shown = {f"{content:{form}}" for form in ("g", ",", ".2f", ".3f", "+.3f")} | {f"{100 * content:g}"}
    return shown | {re.sub(r"^([+-]?)0\.", r"\1.", each).replace("-", "−") for each in shown}


def render(content):
    code = "import json, sys, card_text; sys.stdout.write(card_text.render(json.load(sys.stdin)))"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, input=json.dumps(content), capture_output=True, text=True, cwd=ROOT / "scripts", check=True
    ).stdout


def check(path):
    content, text = json.loads(path.read_text()), path.with_suffix(".md").read_text()
    assert render(content) == text
    numbers = NUMBER.findall(text.replace("SHA-256", ""))
    unknown = {number.rstrip(".,") for number in numbers} - said_in(content)
    assert not unknown, f"{path.stem}: {unknown}"


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_numbers_of_a_packaged_models_card_are_measured(path):
    check(path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """What a card is made of: results of a small corpus, a time, a manifest."""
    folder = tmp_path_factory.mktemp("card")
    manifest = write_clips(folder / "corpus")
    asked = ("--manifest", manifest, "--label", "loudness", "--protocol", "referee", "-q")
    asked += ("-o", folder / "out", "--condition", "telephone")
    noss("run", *asked, "-r", "mobilenet", "-r", "log-mel", "--leakage")
    noss("run", *asked, "-r", "mobilenet-int8")
    with (folder / "trained.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "speaker", "language", "source", "licence", "duration"])
        rows.writerows([f"{n}.wav", f"voice {n % 3}" if n else "", "en", "town", "CC BY", 1800] for n in range(5))
    (folder / "facts.toml").write_text(FACTS)
    rows = [
        {"representation": trill.load(name).name, "milliseconds": milliseconds}
        for name, milliseconds in (("mobilenet", 1.234), ("mobilenet-int8", 0.567))
    ]
    (folder / "cost.json").write_text(json.dumps({"machine": "an abacus", "rows": rows}))
    return folder


def make(desk, output, *more, code=0, **instead):
    given = {"--results": desk / "out", "--benchmark": desk / "cost.json", "--facts": desk / "facts.toml",
             "--manifest": desk / "trained.csv", "--noise": desk / "trained.csv",
             "--recipe": ROOT / "recipes/mobilenet.toml",
             "--seed": f"7={presets.locate('mobilenet')}"} | instead  # fmt: skip
    options = [str(each) for pair in given.items() if pair[1] for each in pair]
    command = [sys.executable, "scripts/model_card.py", "mobilenet", *options, *map(str, more), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_card_of_what_was_measured(desk, tmp_path):
    make(desk, tmp_path / "card.md")
    check(tmp_path / "card.json")
    content = json.loads((tmp_path / "card.json").read_text())
    assert (content["parameters"], content["multiply_adds_window"]) == (926_688, 33_716_736)
    assert content["multiply_adds_second"] == round(33_716_736 / 0.96)
    assert content["data"]["hours"] == 2.5
    assert content["data"]["speakers"] == 3
    assert content["milliseconds"]["second"] == 1.234
    text = (tmp_path / "card.md").read_text()
    assert "1.23 ms a second" in text
    assert f"The mean by seed: seed 7 {content['mean']['score']:.3f}".replace("0.", ".") in text
    (sibling,) = content["siblings"]
    assert (sibling["name"], sibling["quantization"], sibling["milliseconds"]) == ("mobilenet-int8", "int8", 0.567)
    assert f"| `mobilenet-int8` | int8 | {sibling['megabytes']} | 0.57 | " in text
    assert "Voices of a town (CC BY) | CC BY | en | 150 | 5 | 3 |" in text
    (tmp_path / "card.md").write_text("")
    subprocess.run([sys.executable, "scripts/model_card.py", "--render", tmp_path / "card.json"], cwd=ROOT, check=True)
    assert (tmp_path / "card.md").read_text() == text
    content["mean"]["score"] += 0.01
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(AssertionError):
        check(tmp_path / "card.json")


def test_what_is_missing_is_said_and_no_card_written(desk, tmp_path):
    (tmp_path / "facts.toml").write_text(
        FACTS.replace('log-mel = "log-mel"', 'ComParE = "ComParE"').replace("town =", "city =")
    )
    shutil.copytree(desk / "out", tmp_path / "out", ignore=shutil.ignore_patterns("embeddings"))
    for file in (tmp_path / "out").glob("*.json"):
        if "leakage sex" in file.read_text() or "telephone" in file.read_text():
            file.unlink()
    (tmp_path / "cost.json").write_text('{"machine": "none", "rows": []}')
    (tmp_path / "other.safetensors").write_bytes(b"")
    said = make(
        desk, tmp_path / "card.md", "--weights", tmp_path / "no.safetensors", code=1,
        **{"--facts": tmp_path / "facts.toml", "--results": tmp_path / "out"},
        **{"--benchmark": tmp_path / "cost.json", "--noise": None},
    )  # fmt: skip
    for what in (
        "Keras weights", f"a time of {presets.locate('mobilenet').stem}", "a title of town", "--noise FILE",
        "scores of ComParE at all 1 tasks, 0 representations have them", "how well sex can be read: noss run --leakage",
        "scores under telephone: noss run --condition telephone",
    ):  # fmt: skip
        assert what in said
    assert not list(tmp_path.glob("card.*"))
