"""Speed and memory of the runtime, as ratios in one run on one machine.

    python benchmarks/runtime.py [--model mobilenet] [--json FILE]

Needs the extras `train` and `export` (for the YAMNet-shaped yardstick); openSMILE is measured where the package
`opensmile` is installed (audEERING Research License: not for commercial use).
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: the matrix product is measured on one core

import argparse
import importlib.util
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

import trill
import trill.audio
import trill.examples
from trill.batch import embed_files
from trill.manifests import Clip

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
    """Seconds and peak megabytes of a snippet in a fresh process, interpreter start included (Linux)."""
    began = time.perf_counter()
    # getrusage would count the peak of this process, from which the fresh one is forked.
    report = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    done = subprocess.run([sys.executable, "-c", f"{snippet}\n{report}"], check=True, capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stdout.split()[-1]) / 1024


def start(model: str) -> list[tuple[str, float, str]]:
    timed = "import time; began = time.perf_counter(); import trill; print(time.perf_counter() - began)"
    imported = min(
        float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    )
    first = min(fresh(f"import trill; trill.embed(trill.example('anna_calm'), model={model!r})")[0] for _ in range(5))
    return [
        ("`import trill`, seconds", imported, "< 0.3"),
        ("first embedding from process start, seconds", first, "< 1"),
    ]


def throughput(model: str, folder: Path) -> list[tuple[str, float, str]]:
    # Four times over: what ran before has emptied the caches.
    clips = 4 * [trill.audio.read(trill.example(name)) for name in trill.examples.list_examples()]
    clip_seconds = sum(map(len, clips)) / RATE
    one = trill.load(model, threads=1)
    # Made in another process: TensorFlow and openSMILE in one crash.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        multiply_adds = other.submit(yamnet_shaped, folder / "yamnet.tflite").result()
    yardstick = trill.load(folder / "yamnet.tflite", threads=1)
    size = 1024
    matrix = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    functions: dict[str, Callable[[], object]] = {
        "trill": lambda: [one.embed(clip, RATE) for clip in clips],
        "matrix product": lambda: matrix @ matrix,
        "yamnet": lambda: [yardstick.embed(clip, RATE) for clip in clips],
    }
    if importlib.util.find_spec("opensmile"):
        import opensmile

        smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals, num_workers=1)
        functions["openSMILE"] = lambda: [smile.process_signal(clip, RATE) for clip in clips]
        functions["openSMILE, 30 s"] = lambda: smile.process_signal(speech(30), RATE)
        functions["trill, 30 s"] = lambda: one.embed(speech(30), RATE)
    times = side_by_side(functions, rounds=5)
    windows = sum(len(one.window_times(len(clip))) for clip in clips)
    macs_per_second = windows * multiply_adds / times["trill"]
    rows = [
        ("milliseconds a second of sound, one thread", 1000 * times["trill"] / clip_seconds, ""),
        ("YAMNet-shaped MobileNet at its hop / trill", times["yamnet"] / times["trill"], ">= 1"),
        ("share of this core's float32 matrix-product rate", macs_per_second / (size**3 / times["matrix product"]), ""),
    ]
    if "openSMILE" in times:
        long = times["openSMILE, 30 s"] / times["trill, 30 s"]
        rows.append(
            ("openSMILE ComParE functionals / trill, clips of 3 s", times["openSMILE"] / times["trill"], ">= 15")
        )
        rows.append(("openSMILE ComParE functionals / trill, one sound of 30 s", long, ">= 15"))
    return rows


def yamnet_shaped(path: Path) -> int:
    """Write MobileNetV1 whole (two more blocks of 1024 channels), random weights, hop 0.48 s, exported as ours are.

    Returns:
        The multiply-adds of ours for one window, without the front end.
    """
    import keras

    from export.tflite import convert_network
    from trill import modelfile
    from trill.networks import blocks
    from trill.networks.counting import multiply_adds
    from trill.networks.frontend import FRONTENDS, LogMel
    from trill.networks.mobilenet import mobilenet

    config = FRONTENDS["yamnet"]
    ours = mobilenet()
    x = ours.output["final"]
    for index, stride in ((12, 2), (13, 1)):
        x = blocks.depthwise(x, 3, stride=stride, name=f"block{index}_depthwise")
        x = blocks.conv(x, 1024, 1, name=f"block{index}_pointwise")
    encoder = keras.Model(ours.input, {"embedding": blocks.pool(x, "average")}, name="yamnet-shaped")
    waveform = keras.Input((config.window_samples,), name="waveform")
    network = keras.Model(waveform, encoder(LogMel(config, name="frontend")(waveform)))
    card = modelfile.ModelCard(
        "yamnet-shaped", "0", RATE, config.window_samples, config.hop_samples, {"embedding": (1024,)}
    )
    modelfile.write(path, convert_network(network), card)
    return multiply_adds(ours)


def cores(model: str) -> list[tuple[str, float, str]]:
    sounds = [speech(5)] * 60
    one, two = trill.load(model, threads=1), trill.load(model, threads=2)
    times = side_by_side({"one": lambda: one.embed_batch(sounds, RATE), "two": lambda: two.embed_batch(sounds, RATE)})
    return [("a batch, two threads over one", times["one"] / times["two"], ">= 1.6")]


def stream(model: str) -> list[tuple[str, float, str]]:
    embedder = trill.load(model, threads=1)
    chunks = speech(60).reshape(-1, RATE // 100)
    quiet, busy = [], []
    live = embedder.stream()
    for chunk in chunks:
        began = time.perf_counter()
        (busy if live.push(chunk) else quiet).append(time.perf_counter() - began)
    return [
        ("a chunk of 10 ms of a stream, milliseconds", 1000 * float(np.median(quiet)), ""),
        ("... that completes a window, milliseconds", 1000 * float(np.median(busy)), ""),
    ]


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
    sounds = list(waveform.reshape(count, RATE))
    embedder = trill.load(model, threads=1)
    times = side_by_side(
        {
            "whole": lambda: embedder.embed(folder / "whole.wav", pooling=None),
            "arrays": lambda: embedder.embed_batch(sounds, RATE),
            "files": lambda: embed_files(clips, folder / "out.npz", embedder, quiet=True),
        },
        rounds=3,
    )
    return [
        ("5,000 clips of 1 s / the same sound in one file", times["arrays"] / times["whole"], "<= 1.3"),
        ("5,000 files of 1 s into a table / the same sound in one file", times["files"] / times["whole"], ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobilenet")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *start(args.model),
            *throughput(args.model, Path(folder)),
            *cores(args.model),
            *stream(args.model),
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
