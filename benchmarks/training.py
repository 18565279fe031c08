"""What `trill train` adds to a bare training step: examples a second, start of a resumed run, memory over many steps.

    python benchmarks/training.py [--recipe mobilenet-triplet] [--steps 40] [--memory-steps 10000] [--json FILE]

Sound is made on the spot, a thousand clips of 1 to 10 s. Ratios are of one run; needs the extra `train`, on TensorFlow.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import soundfile
import tensorflow as tf

from trill.networks import saving
from trill.training import augment, corpora, loop
from trill.training.cache import open_cache
from trill.training.recipes import TrainConfig, load_recipe
from trill.training.sampling import Pairs
from trill.training.selfsupervised import make_objective

RATE = 16_000
CLIPS = 1_000
ROUNDS = 5


def make_corpus(folder: Path) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(CLIPS):
        sound = 0.1 * rng.standard_normal(int(rng.uniform(1, 10) * RATE))
        soundfile.write(folder / f"{number:04d}.wav", sound.clip(-1, 1), RATE)


def throughput(config: TrainConfig, folder: Path) -> list[tuple[str, float, str]]:
    """The loop and the bare step in turn, each for `config.steps` once compiled, `ROUNDS` times."""
    cache = open_cache(corpora.open_corpus(folder / "clips"), folder / "cache", quiet=True)
    rows = {name: row for name, row in config.augment.items() if name != "noise"}
    batches = Pairs(cache, config.network.frontend.window_samples, config.batch_size, 0, None, augment.build(rows))
    began = time.perf_counter()
    for step in range(20):
        batches(step)
    sampling = 20 * config.batch_size / (time.perf_counter() - began)
    keras.config.set_dtype_policy(config.precision)
    learner = loop.Learner(saving.build(config.network), make_objective(config.objective))
    fixed = tuple(map(tf.constant, batches(0)))

    @tf.function
    def bare(windows: tf.Tensor, clips: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = learner.compute_loss(y=clips, y_pred=learner(windows, training=True))
        variables = learner.trainable_variables
        learner.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    rates = {"loop": [], "bare": []}
    for number in range(ROUNDS + 1):  # the first to warm up
        output = folder / f"run{number}"
        output.mkdir()
        twice = dataclasses.replace(config, steps=2 * config.steps, checkpoint_every=config.steps)
        row = loop.fit(learner, batches, twice, output, quiet=True)  # the first half compiles
        began = time.perf_counter()
        for _ in range(config.steps):
            bare(*fixed)
        seconds = time.perf_counter() - began
        if number:
            rates["loop"].append(row.rows[-1]["examples_per_second"])
            rates["bare"].append(config.steps * config.batch_size / seconds)
    shares = np.array(rates["loop"]) / np.array(rates["bare"])
    return [
        ("bare step, windows a second", float(np.median(rates["bare"])), ""),
        ("`trill train`, windows a second", float(np.median(rates["loop"])), ""),
        ("... as a share of the bare step", float(np.median(shares)), "> 0.85"),
        ("sampling alone, one thread, windows a second", sampling, ""),
    ]


def resumed(folder: Path, recipe: str) -> list[tuple[str, float, str]]:
    """A run of 20 steps is killed at its first checkpoint; the same command is timed to its end."""
    command = [sys.executable, "-m", "trill", "train", folder / "clips", "-o", folder / "resumed", "--recipe", recipe]
    command += ["--steps", 20, "--checkpoint-every", 10, "--cache", folder / "cache", "-q"]
    first = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "resumed/checkpoint.safetensors").exists() and first.poll() is None:
        time.sleep(0.05)
    first.kill()
    first.wait()
    began = time.perf_counter()
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return [("resumed start, with ten steps, seconds", time.perf_counter() - began, "< 20")]


def memory(folder: Path, steps: int) -> list[tuple[str, float, str]]:
    """Resident megabytes after a tenth of `steps` and after all, of a network so small that the rest shows."""
    config = TrainConfig(
        network=saving.NetworkConfig("mobilenet", {"width": 0.05}),
        steps=steps,
        batch_size=4,
        checkpoint_every=max(1, steps // 10),
    )
    cache = open_cache(corpora.open_corpus(folder / "clips"), folder / "cache", quiet=True)
    keras.config.set_dtype_policy("float32")
    learner = loop.Learner(saving.build(config.network), make_objective(config.objective))
    batches = Pairs(cache, config.network.frontend.window_samples, config.batch_size)
    sizes: list[float] = []
    (folder / "memory").mkdir()
    loop.fit(learner, batches, config, folder / "memory", report=lambda row: sizes.append(resident()), quiet=True)
    return [
        (f"memory after {steps // 10:,} steps, MB", sizes[0], ""),
        (f"memory after {steps:,} steps, MB", sizes[-1], f"< {sizes[0] * 1.1:.0f}, flat"),
    ]


def resident() -> float:
    """Megabytes of this process (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mobilenet-triplet")
    parser.add_argument("--steps", type=int, default=40, help="of each measurement of speed")
    parser.add_argument("--memory-steps", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_corpus(folder / "clips")
        config = dataclasses.replace(load_recipe(args.recipe), steps=args.steps)
        rows = throughput(config, folder) + resumed(folder, args.recipe) + memory(folder, args.memory_steps)
    for what, value, bound in rows:
        print(f"{what:50s} {value:10.2f}  {bound}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({what: value for what, value, _ in rows}, indent=1))


if __name__ == "__main__":
    main()
