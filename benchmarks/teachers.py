"""Time and memory of SSL teachers of the published sizes, with random weights.

    python benchmarks/teachers.py [--family wavlm] [--seconds 10] [--rounds 5] [--json FILE]

Each row is a fresh process; times are of Keras' default backend with the threads it takes. A checkpoint of each size is
written to a temporary folder first (1.7 GB in all).
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = Path(__file__).parents[1] / "scripts/make_ssl_checkpoint.py"
ROWS = (("base", 12), ("large", 24), ("large", 17))


def measure(folder: str, num_layers: int, seconds: float, rounds: int) -> dict[str, Any]:
    """In this process: seconds to open, load and run, and how much memory it took over the framework's own."""
    import keras

    from distill.teachers import hub, wav2vec2

    keras.ops.convert_to_numpy(keras.ops.matmul(np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)))
    framework = peak()
    began = time.perf_counter()
    teacher = wav2vec2.load(hub.open_checkpoint(folder), num_layers)
    loaded = time.perf_counter() - began
    clip = 0.1 * np.random.default_rng(0).standard_normal((1, int(seconds * teacher.sample_rate)), np.float32)
    times = []
    for _ in range(rounds + 1):  # the first compiles
        began = time.perf_counter()
        teacher.hidden_states(clip)
        times.append(time.perf_counter() - began)
    size = (Path(folder) / hub.WEIGHTS).stat().st_size
    return {
        "backend": keras.backend.backend(),
        "load_seconds": loaded,
        "seconds_per_second": float(np.median(times[1:])) / seconds,
        "best_seconds_per_second": min(times[1:]) / seconds,
        "memory_bytes": peak() - framework,
        "memory_by_file": (peak() - framework) / size,
    }


def peak() -> int:
    """The process's largest memory so far, in bytes; Linux counts it in KiB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--family", default="wavlm")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("FOLDER", "NUM_LAYERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        folder, num_layers = arguments.measure
        print(json.dumps(measure(folder, int(num_layers), arguments.seconds, arguments.rounds)))
        return
    found = {}
    print("| model | blocks | load | computing a second of sound: median, best | memory | as a share of the file |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for size, num_layers in ROWS:
            checkpoint = Path(folder, size)
            if not checkpoint.exists():
                command = [sys.executable, SCRIPT, checkpoint, "--size", size, "--family", arguments.family]
                subprocess.run(command, check=True, capture_output=True)
            command = [sys.executable, __file__, "--measure", checkpoint, str(num_layers)]
            command += ["--seconds", str(arguments.seconds), "--rounds", str(arguments.rounds)]
            row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            found[f"{arguments.family}-{size}-{num_layers}"] = row
            print(
                f"| {arguments.family} {size} | {num_layers} | {row['load_seconds']:.1f} s "
                f"| {row['seconds_per_second']:.3f}, {row['best_seconds_per_second']:.3f} s "
                f"| {row['memory_bytes'] / 1e9:.2f} GB | {row['memory_by_file']:.2f} |"
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
