"""Write golden vectors of a model: inputs any language can make, and what they must embed to.

python scripts/make_golden.py trill/weights/mobilenet-3.tflite -o golden.json

docs/on-device.md says how a port uses them. Same model, same machine: same bytes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import trill
from trill import files, presets, windows

# What a port may differ by, in every value: interpreters add up in another order.
TOLERANCE = 1e-5
# Lengths around every rule of framing, as multiples of the window and the hop and samples more.
EDGES = ((0, 0, 1), (1, 0, -1), (1, 0, 0), (1, 0.5, -1), (1, 0.5, 0), (1, 1, -1), (1, 1, 0), (1, 7.5, -1), (1, 7.5, 0))


def noise(num_samples: int, seed: int = 1, divisor: int = 1) -> np.ndarray:
    """The upper 16 bits of x <- 1664525 x + 1013904223 mod 2**32, less 32768, over `divisor`, towards zero: int16."""
    samples, state = [], seed
    for _ in range(num_samples):
        state = (1664525 * state + 1013904223) % 2**32
        value = (state >> 16) - 32768
        samples.append(abs(value) // divisor * (1 if value >= 0 else -1))
    return np.array(samples, np.int16)


def square(num_samples: int, half_period: int, level: int) -> np.ndarray:
    """`level` for `half_period` samples, then `-level` for as many, and so on: int16."""
    return np.where(np.arange(num_samples) // half_period % 2, -level, level).astype(np.int16)


def speech(num_samples: int) -> np.ndarray:
    """The middle of a bundled clip: int16."""
    samples, _ = soundfile.read(trill.example("anna_excited"), dtype="int16")
    start = (len(samples) - num_samples) // 2
    return samples[start : start + num_samples]


def inputs(window: int) -> list[tuple[str, dict[str, Any], np.ndarray]]:
    """Name, how to make it, and int16 samples of every input."""
    formulas = [
        ("silence", {"kind": "square", "num_samples": window, "half_period": 1, "level": 0}),
        ("shorter than a window", {"kind": "noise", "num_samples": window // 3, "seed": 1, "divisor": 1}),
        ("padded tail", {"kind": "noise", "num_samples": 5 * window // 2, "seed": 2, "divisor": 8}),
        ("very quiet", {"kind": "noise", "num_samples": window, "seed": 3, "divisor": 4096}),
        ("full scale", {"kind": "square", "num_samples": window, "half_period": 40, "level": 32767}),
    ]
    makers = {"noise": noise, "square": square}
    made = [(name, how, makers[how["kind"]](**{k: v for k, v in how.items() if k != "kind"})) for name, how in formulas]
    samples = speech(3 * window // 2)
    return [*made, ("speech", {"kind": "int16", "samples": samples.tolist()}, samples)]


def golden(model: Path) -> dict[str, Any]:
    """Everything a port needs to check itself."""
    embedder = trill.load(model, threads=1)
    card = embedder.card
    window, hop = card.window_samples, embedder.hop_samples
    lengths = [int(windows_ * window + hops * hop) + more for windows_, hops, more in EDGES]
    cases = []
    for name, how, samples in inputs(window):
        rows = embedder.embed(samples, card.sample_rate, pooling=None)
        pooled = windows.pool(rows, "mean")
        cases.append(
            {
                "name": name,
                "waveform": how,
                "window_starts": starts(len(samples), window, hop),
                "window_norms": digits(np.linalg.norm(rows, axis=1)),
                "embedding": digits(pooled),
            }
        )
    return {
        "format": 1,
        "model": {"name": card.name, "version": card.version, "sha256": card.sha256},
        "sample_rate": card.sample_rate,
        "window_samples": window,
        "hop_samples": hop,
        "tap": embedder.tap,
        "pooling": "mean",
        "tolerance": TOLERANCE,
        "framing": [{"num_samples": n, "window_starts": starts(n, window, hop)} for n in lengths],
        "cases": cases,
    }


def starts(num_samples: int, window: int, hop: int) -> list[int]:
    return [hop * index for index in range(windows.num_windows(num_samples, window, hop))]


def digits(values: np.ndarray) -> list[float]:
    """Seven significant digits: what float32 holds."""
    return [float(f"{value:.7g}") for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=presets.locate("mobilenet"))
    parser.add_argument("-o", "--output", type=Path, default=Path("golden.json"))
    arguments = parser.parse_args()
    content = json.dumps(golden(arguments.model), separators=(",", ":"))
    with files.write_atomically(arguments.output) as temporary:
        temporary.write_text(content + "\n", encoding="utf-8")
    print(f"{arguments.output}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
