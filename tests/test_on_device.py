"""Ports against golden vectors: the vectors against the definition, then C, then a browser against the vectors.

The examples of C and the web fetch their libraries from registries: `pytest tests/test_on_device.py -m slow -s`.
"""

import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

import trill
from trill import modelfile, presets

ROOT = Path(__file__).parents[1]
MODEL = presets.locate("mobilenet")
MAX_GOLDEN_BYTES = 300_000


def needs(*programs):
    return pytest.mark.skipif(not all(map(shutil.which, programs)), reason=f"needs {', '.join(programs)}")


def run(*command, cwd=None, timeout=300):
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=timeout)


def make_golden(path):
    done = run(sys.executable, ROOT / "scripts/make_golden.py", MODEL, "-o", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def golden_file(tmp_path_factory):
    return make_golden(tmp_path_factory.mktemp("golden") / "golden.json")


@pytest.fixture(scope="module")
def golden(golden_file):
    return json.loads(golden_file.read_text())


def samples_of(waveform):
    """What docs/on-device.md says of each kind, in whole numbers."""
    if waveform["kind"] == "int16":
        return waveform["samples"]
    if waveform["kind"] == "square":
        half, level = waveform["half_period"], waveform["level"]
        return [level if i // half % 2 == 0 else -level for i in range(waveform["num_samples"])]
    state, samples = waveform["seed"], []
    for _ in range(waveform["num_samples"]):
        state = (1664525 * state + 1013904223) % 4294967296
        samples.append(int((state // 65536 - 32768) / waveform["divisor"]))
    return samples


def starts_by_hand(num_samples, window, hop):
    """The rule in words: whole windows; then one more if it would see half a hop of sound that is new."""
    starts = [0]
    while starts[-1] + hop + window <= num_samples:
        starts.append(starts[-1] + hop)
    new = num_samples - (starts[-1] + window)
    return [*starts, starts[-1] + hop] if new >= hop / 2 else starts


def largest_difference(got, case):
    """Of a value, over the largest value: what `tolerance` bounds."""
    expected = np.array(case["embedding"])
    return np.abs(got - expected).max() / np.abs(expected).max()


def test_golden_vectors_are_the_definition(golden):
    from ai_edge_litert.interpreter import Interpreter

    flatbuffer, card = modelfile.read(MODEL)
    assert golden["model"] == {"name": card.name, "version": card.version, "sha256": card.sha256}
    window, hop = golden["window_samples"], golden["hop_samples"]
    for case in golden["framing"]:
        assert case["window_starts"] == starts_by_hand(case["num_samples"], window, hop)
    embed = Interpreter(model_content=flatbuffer, num_threads=1).get_signature_runner("serving_default")
    for case in golden["cases"]:
        samples = samples_of(case["waveform"])
        assert case["window_starts"] == starts_by_hand(len(samples), window, hop)
        rows = []
        for start in case["window_starts"]:
            cut = samples[start : start + window]
            padded = np.array([cut + [0] * (window - len(cut))], np.float32) / 32768
            rows.append(embed(waveform=padded)["embedding"][0].astype(np.float64))
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), case["window_norms"], rtol=1e-6)
        assert largest_difference(np.mean(rows, axis=0), case) < 1e-6


def test_golden_file_is_small_and_the_same_every_time(golden_file, tmp_path):
    assert golden_file.stat().st_size < MAX_GOLDEN_BYTES
    assert make_golden(tmp_path / "again.json").read_bytes() == golden_file.read_bytes()


def test_constants_lie_inside_the_flatbuffer():
    """Behind it, as quantizers write them, the TFLite C API and older interpreters do not find them."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(modelfile.read(MODEL)[0], 0)
    assert [index for index, buffer in enumerate(model.buffers) if buffer.offset or buffer.size] == []


@needs("cc")
def test_c_example_compiles_without_a_warning():
    done = run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", ROOT / "examples/c/embed.c")
    assert done.returncode == 0, done.stderr


JAVASCRIPT = """
import { readFileSync } from "node:fs";
import { cosine, meanPool, readModel, windowStarts } from "TRILL";
const { model, lengths, window, hop } = JSON.parse(readFileSync(0));
const bytes = new Uint8Array(readFileSync(model));
const refused = async (bytes) => readModel(bytes).then(() => "", (error) => error.message);
const altered = Uint8Array.from(bytes);
altered[1000] ^= 1;
console.log(JSON.stringify({
  starts: lengths.map((length) => windowStarts(length, window, hop)),
  pooled: [...meanPool([[1, 2], [3, 6]])],
  cosine: cosine([1, 1], [1, 0]),
  card: (await readModel(bytes)).card,
  refused: [await refused(altered), await refused(bytes.subarray(0, -1)), await refused(new Uint8Array(3))],
}));
"""


@needs("node")
def test_javascript_frames_pools_and_reads_the_card(golden):
    program = JAVASCRIPT.replace("TRILL", str(ROOT / "examples/web/trill.js"))
    lengths = [case["num_samples"] for case in golden["framing"]]
    given = {"model": str(MODEL), "lengths": lengths, "window": golden["window_samples"], "hop": golden["hop_samples"]}
    done = subprocess.run(
        ["node", "--input-type=module", "-e", program], input=json.dumps(given), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["starts"] == [case["window_starts"] for case in golden["framing"]]
    assert said["pooled"] == [2, 4]
    assert said["cosine"] == pytest.approx(0.5**0.5)
    assert said["card"]["sha256"] == golden["model"]["sha256"]
    assert "altered after it was written" in said["refused"][0]
    assert all("no model file of trill-speech, or was cut short" in message for message in said["refused"])


def commands(section):
    """The `sh` block of a section of examples/README.md: what is documented is what is tested."""
    text = (ROOT / "examples/README.md").read_text()
    return re.search(rf"^## {section}$.*?^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL).group(1)


@pytest.fixture
def checkout(tmp_path, golden_file):
    """A copy of the examples beside the model, and a clip in each folder: the repository stays clean."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("node_modules", "*.so"))
    (tmp_path / "trill/weights").mkdir(parents=True)
    shutil.copyfile(MODEL, tmp_path / "trill/weights" / MODEL.name)
    for folder in ("c", "web"):
        shutil.copyfile(golden_file, tmp_path / "examples" / folder / "golden.json")
        for name in ("anna_calm", "ben_calm"):
            samples, rate = soundfile.read(trill.example(name), dtype="int16")
            soundfile.write(tmp_path / "examples" / folder / f"{name}.wav", samples, rate)
    return tmp_path


@pytest.mark.slow
@needs("cc", "make", "mvn", "unzip")
def test_c_example_agrees(checkout, golden):
    folder = checkout / "examples/c"
    done = run("bash", "-ec", commands("C"), cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= len(golden["cases"][0]["embedding"])
    for case in golden["cases"]:
        soundfile.write(folder / "case.wav", np.array(samples_of(case["waveform"]), np.int16), golden["sample_rate"])
        done = run(folder / "embed", MODEL, folder / "case.wav")
        assert done.returncode == 0, done.stderr
        difference = largest_difference(np.array(done.stdout.split(), float), case)
        print(case["name"], difference, done.stderr.splitlines()[-1])  # noqa: T201
        assert difference <= golden["tolerance"], case["name"]


@pytest.mark.slow
@needs("cc", "make", "mvn", "unzip")
def test_c_example_says_what_it_takes(checkout):
    folder = checkout / "examples/c"
    assert run("make", cwd=folder).returncode == 0
    soundfile.write(folder / "stereo.wav", np.zeros((16_000, 2)), 16_000)
    soundfile.write(folder / "fast.wav", np.zeros(44_100), 44_100)
    soundfile.write(folder / "empty.wav", np.zeros(0), 16_000)
    for model, sound, message in (
        (MODEL, "stereo.wav", "must be 16 kHz, mono, 16 bit"),
        (MODEL, "fast.wav", "must be 16 kHz, mono, 16 bit"),
        (MODEL, "empty.wav", "holds no sound"),
        (MODEL, "golden.json", "is no WAV file"),
        (MODEL, "missing.wav", "cannot be opened"),
        ("golden.json", "anna_calm.wav", "is no model that this library can run"),
    ):
        done = run(folder / "embed", model, sound, cwd=folder)
        assert (done.returncode, done.stdout) == (1, ""), sound
        assert message in done.stderr


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.slow
@needs("node", "npm", "chromium")
def test_web_example_agrees(checkout, golden):
    folder = checkout / "examples/web"
    *install, serve = commands("Web").splitlines()
    assert serve.startswith("python3 -m http.server")  # here on a free port
    done = run("bash", "-ec", "\n".join(install), cwd=checkout)
    assert done.returncode == 0, done.stderr
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        sounds = [folder / "anna_calm.wav", folder / "ben_calm.wav"]
        done = run("node", "check.mjs", url, "golden.json", *sounds, cwd=folder)
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    decoded = found.pop("embedding")
    print(found)  # noqa: T201
    assert set(found["differences"]) == {case["name"] for case in golden["cases"]}
    assert found["failures"] == []
    # Browsers scale positive samples by 32767.
    np.testing.assert_allclose(decoded, trill.embed(sounds[0], model=MODEL), atol=1e-4)
