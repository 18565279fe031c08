"""`trill-export` as a user meets it: output, exit codes, errors of one line, and no file left behind."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import trill
from export import cli
from tests.sounds import tone
from trill import cli as trill_cli
from trill import files, modelfile
from trill.runtime import interpreter_class


def trill_export(*arguments):
    """Run `trill-export ...` in this process."""
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments], prog_name="trill-export")


def assert_refused(result, *words):
    """Exit code 2, nothing on standard output, one line on standard error that holds the words."""
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    for word in words:
        assert word in line


def test_one_command_from_weights_to_a_file(tiny, tmp_path):
    result = trill_export(tiny.safetensors, "-o", tmp_path / "model.tflite")
    assert result.exit_code == 0, result.output
    card = trill.load(tmp_path / "model.tflite").card
    first, *figures = result.stdout.splitlines()
    assert f"{card.identity}, float16, " in first
    assert len(figures) == 2 * len(card.taps)
    result = trill_export("verify", tmp_path / "model.tflite")
    assert result.exit_code == 0, result.output
    assert card.identity in result.stdout
    assert "embedding, speech" in result.stdout


def test_repeated_in_another_process_byte_for_byte(tiny, tmp_path, export):
    command = [sys.executable, "-m", "export.cli", tiny.safetensors, "-o", tmp_path / "model.tflite"]
    subprocess.run([*command, "--quantization", "int8"], check=True, capture_output=True)
    assert (tmp_path / "model.tflite").read_bytes() == export("int8")[0].read_bytes()


def test_options_reach_the_file(tiny, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(10), 16_000)
    result = trill_export(
        "convert", tiny.safetensors, "-o", tmp_path / "model.tflite", "--quantization", "int8", "--dynamic",
        "--taps", "final,embedding", "--without-frontend", "--representative", tmp_path, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    _, card = modelfile.read(tmp_path / "model.tflite")
    assert (card.quantization, card.input, card.dynamic) == ("int8", "log-mel", True)
    assert list(card.taps) == ["final", "embedding"]
    answer = json.loads(result.stdout)
    assert (answer["model"], answer["figures"]) == (card.identity, card.verification)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.safetensors", "-o", "model.tflite"], ["missing.safetensors is none"]),
        (["{weights}", "-o", "model.onnx"], ["must end in .tflite, got model.onnx"]),
        (["{weights}", "-o", "there.tflite"], ["there.tflite does", "--overwrite"]),
        (["{weights}", "-o", "folder.tflite", "--overwrite"], ["folder.tflite does"]),
        (["{weights}", "-o", "no/model.tflite"], ["folder must exist and be writable, no is not"]),
        (["{weights}", "-o", "model.tflite", "--taps", "last"], ["taps must be some of embedding, final", "got last"]),
        (["{weights}", "-o", "model.tflite", "--quantization", "int8-io"], ["without the front end"]),
        (
            ["{weights}", "-o", "model.tflite", "--quantization", "int8", "--representative", "."],
            ["must hold sound files"],
        ),
        (["{weights}", "-o", "model.tflite", "--probe", "labels.csv"], ["column `label`", "has path"]),
        (["there.tflite", "-o", "model.tflite"], ["there.tflite"]),
        (["verify", "missing.tflite"], ["missing.tflite is not there"]),
        (["verify", "there.tflite"], ["no model file of ours"]),
    ],
)
def test_what_is_refused_leaves_nothing(tiny, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.tflite").write_bytes(b"an older file")
    (tmp_path / "labels.csv").write_text("path\na.wav\n")
    (tmp_path / "folder.tflite").mkdir()
    before = sorted(tmp_path.iterdir())
    assert_refused(trill_export(*(str(word).format(weights=tiny.safetensors) for word in arguments)), *words)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.tflite").read_bytes() == b"an older file"


def test_trill_info_shows_it(tiny, tmp_path):
    result = trill_export(tiny.safetensors, "-o", tmp_path / "m.tflite", "--without-frontend", "--taps", "final")
    assert result.exit_code == 0, result.output
    shown = CliRunner().invoke(trill_cli.main, ["info", str(tmp_path / "m.tflite")]).stdout
    source = files.sha256(tiny.safetensors)
    for fact in ("log-mel of 0.975 s", "LiteRT, tf.lite, TFLite 2.16.1", source, "verified final, speech: error 0.0"):
        assert fact in shown


def test_overwrite(tiny, tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"an older file")
    result = trill_export(tiny.safetensors, "-o", tmp_path / "model.tflite", "--overwrite")
    assert result.exit_code == 0, result.output
    assert trill.load(tmp_path / "model.tflite")


def test_an_altered_file_fails_its_verdict(tiny, tmp_path):
    data = bytearray(tiny.tflite.read_bytes())
    data[50_000] ^= 1
    (tmp_path / "model.tflite").write_bytes(data)
    assert_refused(trill_export("verify", tmp_path / "model.tflite"), "was altered after it was written")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["convert", "--help"], ["verify", "--help"]])
def test_help(arguments):
    assert "Usage: trill-export" in trill_export(*arguments).output


def test_help_is_light():
    code = "import sys, export.cli; print({'keras', 'tensorflow', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"


def test_a_probe_stands_on_the_card(tiny, tmp_path):
    rows = ["path,label,speaker"]
    rng = np.random.default_rng(0)
    for index in range(20):
        soundfile.write(
            tmp_path / f"{index}.wav", tone(1, hertz=(300, 3000)[index % 2]) + 0.1 * rng.random(16_000), 16_000
        )
        rows.append(f"{index}.wav,{'ab'[index % 2]},{index // 2}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    result = trill_export(tiny.safetensors, "-o", tmp_path / "m.tflite", "--probe", tmp_path / "labels.csv", "--json")
    assert result.exit_code == 0, result.output
    probe = json.loads(result.stdout)["figures"]["probe"]
    assert probe["UAR of the network"] > 0.75, "low against high"
    assert probe["UAR of the file"] == pytest.approx(probe["UAR of the network"], abs=0.05)


def test_a_file_that_learns(tiny, tmp_path):
    path = tmp_path / "personal.tflite"
    done = trill_export(tiny.safetensors, "-o", path, "--personal", "4")
    assert done.exit_code == 0, done.stderr
    assert "train" in interpreter_class()(model_path=str(path)).get_signature_list()
    assert b"TFLITE_METADATA" in path.read_bytes()
    assert trill_export("verify", path).exit_code == 0
    refused = trill_export(tiny.safetensors, "-o", tmp_path / "other.tflite", "--personal", "4", "--dynamic")
    assert_refused(refused, "--personal", "goes with no other form")
