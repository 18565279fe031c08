"""Speed and memory of the runtime, as ratios in one run on one machine.

    python benchmarks/runtime.py [--model mobilenet] [--json FILE]

Needs the extras `train` and `export` (for the YAMNet-shaped yardstick); openSMILE is measured where the package
`opensmile` is installed (audEERING Research License: not for commercial use).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: the matrix product is measured on one core

import argparse
import functools
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

import trill
import trill.audio
import trill.examples
from trill.batch import Clip, embed_files

RATE = 16_000


def speech(seconds: float) -> np.ndarray:
    """The bundled clips, one after the other, over and over."""
    clips = np.concatenate([trill.audio.read(trill.example(name)) for name in trill.examples.list_examples()])
    return np.resize(clips, int(seconds * RATE))


def seconds_of(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def side_by_side(functions: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median seconds of each, measured in turn so that a busy moment hits all of them."""
    for function in functions.values():
        function()
    times = [[seconds_of(function) for function in functions.values()] for _ in range(rounds)]
    return dict(zip(functions, np.median(times, axis=0).tolist(), strict=True))


def fresh(snippet: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a snippet in a fresh process, interpreter start included."""
    began = time.perf_counter()
    report = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", f"{snippet}\n{report}"], check=True, capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stdout.split()[-1]) / 1024


def start(model: str) -> list[tuple[str, float, str]]:
    bare = min(fresh("pass")[0] for _ in range(5))
    imported = min(fresh("import trill")[0] for _ in range(5)) - bare
    first = min(fresh(f"import trill; trill.embed(trill.example('anna_calm'), model={model!r})")[0] for _ in range(5))
    return [
        ("`import trill`, seconds", imported, "< 0.3"),
        ("first embedding from process start, seconds", first, "< 1"),
    ]


def throughput(model: str) -> list[tuple[str, float, str]]:
    waveform = speech(30)
    one = trill.load(model, threads=1)
    size = 1024
    matrix = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    functions: dict[str, Callable[[], object]] = {
        "trill": lambda: one.embed(waveform, RATE),
        "matrix product": lambda: matrix @ matrix,
        "yamnet": functools.partial(yamnet_shaped().embed, waveform, RATE),
    }
    if importlib.util.find_spec("opensmile"):
        import opensmile

        smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals, num_workers=1)
        functions["openSMILE"] = lambda: smile.process_signal(waveform, RATE)
    times = side_by_side(functions, rounds=5)
    windows = len(one.window_times(len(waveform)))
    macs_per_second = windows * multiply_adds(one) / times["trill"]
    rows = [
        ("milliseconds a second of sound, one thread", 1000 * times["trill"] / 30, ""),
        ("YAMNet-shaped MobileNet at its hop / trill", times["yamnet"] / times["trill"], ">= 1"),
        ("share of this core's float32 matrix-product rate", macs_per_second / (size**3 / times["matrix product"]), ""),
    ]
    if "openSMILE" in times:
        rows.insert(1, ("openSMILE ComParE functionals / trill", times["openSMILE"] / times["trill"], ">= 15"))
    return rows


def multiply_adds(embedder: trill.Embedder) -> int:
    """Of the packaged shape; the front end is not counted."""
    from trill.networks.counting import multiply_adds as count
    from trill.networks.mobilenet import mobilenet

    return count(mobilenet())


@functools.cache
def yamnet_shaped() -> trill.Embedder:
    """MobileNetV1 whole (two more blocks of 1024 channels), random weights, hop 0.48 s, exported as ours are."""
    import keras

    from export.tflite import convert_network
    from trill import modelfile
    from trill.networks import blocks
    from trill.networks.frontend import FRONTENDS, LogMel
    from trill.networks.mobilenet import mobilenet

    config = FRONTENDS["yamnet"]
    waveform = keras.Input((config.window_samples,), name="waveform")
    x = mobilenet()(LogMel(config)(waveform))["final"]
    for index, stride in ((12, 2), (13, 1)):
        x = blocks.depthwise(x, 3, stride=stride, name=f"block{index}_depthwise")
        x = blocks.conv(x, 1024, 1, name=f"block{index}_pointwise")
    network = keras.Model(waveform, {"embedding": blocks.pool(x, "average")})
    card = modelfile.ModelCard(
        "yamnet-shaped", "0", RATE, config.window_samples, config.hop_samples, {"embedding": (1024,)}
    )
    path = Path(tempfile.mkdtemp()) / "yamnet-shaped.tflite"
    modelfile.write(path, convert_network(network), card)
    return trill.load(path, threads=1)


def cores(model: str) -> list[tuple[str, float, str]]:
    sounds = [speech(5)] * 60
    one, two = trill.load(model, threads=1), trill.load(model, threads=2)
    times = side_by_side({"one": lambda: one.embed_batch(sounds, RATE), "two": lambda: two.embed_batch(sounds, RATE)})
    return [("a batch, two threads over one", times["one"] / times["two"], ">= 1.6")]


def long_file(model: str, folder: Path) -> list[tuple[str, float, str]]:
    waveform = speech(600)
    for name, repeats in (("short", 1), ("long", 12)):
        with soundfile.SoundFile(folder / f"{name}.wav", "w", RATE, 1, "PCM_16") as file:
            for _ in range(repeats):
                file.write(waveform)
    embedder = trill.load(model)
    short = min(seconds_of(lambda: embedder.embed(folder / "short.wav")) for _ in range(3))
    long = min(seconds_of(lambda: embedder.embed(folder / "long.wav")) for _ in range(2))
    snippet = f"import trill; trill.embed({str(folder / 'long.wav')!r}, model={model!r})"
    return [
        ("two-hour file, seconds", long, ""),
        ("two hours / twelve times ten minutes", long / (12 * short), "0.9 to 1.1"),
        ("two-hour file, peak megabytes of the process", fresh(snippet)[1], "< 400"),
    ]


def many_clips(model: str, folder: Path) -> list[tuple[str, float, str]]:
    count = 5_000
    waveform = speech(count)
    soundfile.write(folder / "whole.wav", waveform, RATE, subtype="PCM_16")
    clips = []
    for index in range(count):
        path = folder / f"{index:05d}.wav"
        soundfile.write(path, waveform[index * RATE : (index + 1) * RATE], RATE, subtype="PCM_16")
        clips.append(Clip(path.name, path))
    embedder = trill.load(model)
    whole = min(seconds_of(lambda: embedder.embed(folder / "whole.wav", pooling=None)) for _ in range(2))
    many = min(seconds_of(lambda: embed_files(clips, folder / "out.npz", embedder, quiet=True)) for _ in range(2))
    return [("5,000 clips of 1 s / the same sound in one file", many / whole, "<= 1.3")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenet")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *start(args.model),
            *throughput(args.model),
            *cores(args.model),
            *long_file(args.model, Path(folder)),
            *many_clips(args.model, Path(folder)),
        ]
    print("| measured | value | aim |\n|---|---:|---|")
    for name, value, aim in rows:
        print(f"| {name} | {value:.3g} | {aim} |")
    if args.json:
        args.json.write_text(json.dumps({name: value for name, value, _ in rows}, indent=1))


if __name__ == "__main__":
    main()
