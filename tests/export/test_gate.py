"""Every mode runs, and agrees, in the interpreter that the last classic Android AAR contains: TFLite 2.16.1.

    python3.11 -m venv gate
    gate/bin/pip install tensorflow-cpu==2.16.1 "numpy<2" soundfile soxr click tqdm
    PYTHONPATH=. gate/bin/python -m export.cli verify model.tflite

`TRILL_GATE=gate/bin/python pytest -m slow tests/export/test_gate.py` spares the installation.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from export.tflite import QUANTIZATIONS, RUNS_IN_2_16, Form, export_network
from trill.errors import ModelError
from trill.networks.saving import NetworkConfig, build

ROOT = Path(__file__).parents[2]
PACKAGES = ("tensorflow-cpu==2.16.1", "numpy<2", "soundfile", "soxr", "click", "tqdm")
NETWORKS = {
    "mobilenet": {"width": 0.25, "bottleneck": 32, "batch_norm": True},
    "mobilenet_v3": {"size": "tiny", "width": 2.0},
    "resnetish": {"width": 0.1, "normalize": True},
}
# Eight-bit activations turn a random MobileNetV3 by a fifth: its export is refused before there is a file to run.
REFUSED = {("mobilenet_v3", "int8"), ("mobilenet_v3", "int8-io")}
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.version_info >= (3, 13), reason="TensorFlow 2.16 has no wheel")]


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """The Python of an environment that has TensorFlow 2.16.1 and no LiteRT."""
    if ready := os.environ.get("TRILL_GATE"):
        return ready
    folder = tmp_path_factory.mktemp("gate")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin/pip", "install", "-q", "--only-binary", ":all:", *PACKAGES], check=True)
    return folder / "bin/python"


def verify(python, *paths):
    code = "import sys; from export.verification import verify_file, interpreters; print(*interpreters()); "
    code += "[verify_file(path) for path in sys.argv[1:]]"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([python, "-c", code, *paths], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_every_mode_runs_there(python, architecture, tmp_path):
    keras.utils.set_random_seed(0)
    config = NetworkConfig(architecture, NETWORKS[architecture], name="gate")
    network = build(config)
    paths = []
    for name, mode in QUANTIZATIONS.items():
        for dynamic in (False, True):
            form = Form(frontend=not mode.integer_io, dynamic=dynamic)
            if (architecture, name) in REFUSED:
                with pytest.raises(ModelError, match=r"must agree with its network to 0\.15"):
                    export_network(network, config, tmp_path / "refused.tflite", name, form=form)
                continue
            card = export_network(network, config, tmp_path / f"{name}-{dynamic}.tflite", name, form=form)
            assert RUNS_IN_2_16 in card.interpreters
            paths.append(tmp_path / f"{name}-{dynamic}.tflite")
    done = verify(python, *paths)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tf.lite\n", "and not the interpreter of this environment"


def test_what_does_not_run_there_would_be_seen(python, tiny, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tiny.tflite.read_bytes()[:1000])
    assert "ModelError" in verify(python, tmp_path / "model.tflite").stderr
