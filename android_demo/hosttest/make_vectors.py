"""Write what the host tests compare with: two model files, sounds, and what Python makes of them.

python android_demo/hosttest/make_vectors.py PERSONAL.tflite FOLDER

PERSONAL.tflite is made by `trill-export --personal`; the other model is the packaged one.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import trill
from trill import files, presets
from trill.embedder import DEFAULT_MODEL

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import make_golden  # noqa: E402

CLIPS = [f"{name}_{mood}" for name in ("anna", "ben", "chloe", "dieter") for mood in ("calm", "excited")]
ACTIVE, STEPS = 3, 50
RATES = {"learning_rate": np.float32(1), "momentum": np.float32(0.9), "weight_decay": np.float32(1e-4)}


def lesson(step: int, count: int, dim: int) -> np.ndarray:
    """Embeddings that Java can make, too: `(count, dim)`."""
    return make_golden.noise(count * dim, seed=1000 + step).reshape(count, dim).astype(np.float32) / 32768


def training(model: Path) -> dict[str, Any]:
    """Losses of `STEPS` steps with 1 to B embeddings each, in turn, and what was learned."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    runners = {
        name: interpreter.get_signature_runner(name) for name in ("train", "infer", "get_weights", "set_weights")
    }
    state = runners["get_weights"](unused=np.float32(0))
    (classes, dim), (batch, _) = state["weights"].shape, runners["train"].get_input_details()["embeddings"]["shape"]
    state = {name: np.zeros_like(value) for name, value in state.items()}
    runners["set_weights"](**state | {"active": (np.arange(classes) < ACTIVE).astype(np.float32)})
    losses = []
    for step in range(STEPS):
        count = 1 + step % batch
        arguments = {
            "embeddings": np.zeros((batch, dim), np.float32),
            "labels": np.full(batch, -1, np.int32),
            "sample_weights": np.zeros(batch, np.float32),
        }
        arguments["embeddings"][:count] = lesson(step, count, dim)
        arguments["labels"][:count] = (step + np.arange(count)) % ACTIVE
        arguments["sample_weights"][:count] = 1
        losses.append(runners["train"](**arguments, **RATES)["loss"])
    learned = runners["get_weights"](unused=np.float32(0))
    probabilities = runners["infer"](embedding=lesson(999, 1, dim))["probabilities"][0]
    values = {
        "losses": losses,
        "weights": learned["weights"].ravel(),
        "bias": learned["bias"],
        "probabilities": probabilities,
    }
    return {"active": ACTIVE} | {name: make_golden.digits(value) for name, value in values.items()}


def write(path: Path, content: bytes) -> None:
    with files.write_atomically(path) as temporary:
        temporary.write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("personal", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "vectors.json").unlink(missing_ok=True)
    for name, model in {"packaged": presets.locate(DEFAULT_MODEL), "personal": arguments.personal}.items():
        shutil.copyfile(model, arguments.folder / f"{name}.tflite")
        write(arguments.folder / f"{name}.json", json.dumps(make_golden.golden(Path(model))).encode())
    for clip in CLIPS:
        samples, _ = soundfile.read(trill.example(clip), dtype="int16")
        write(arguments.folder / f"{clip}.pcm", samples.astype("<i2").tobytes())
    # Last: it says that all is there.
    write(arguments.folder / "vectors.json", json.dumps({"training": training(arguments.personal)}).encode())


if __name__ == "__main__":
    main()
