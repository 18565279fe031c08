"""Model files beside openSMILE and a YAMNet-shaped network: size, time and quality, as a table and a picture.

    python benchmarks/models.py recipes/weights/mobilenet-4.safetensors --quality quality.json -o models.png

Exports the network in every quantization that takes a waveform, measures each file (`trill-export bench`), and draws
milliseconds a second of sound against mean UAR, the area of a dot being the file's size. `quality.json` holds the mean
UAR by name: "float16", "int8", ..., "openSMILE ComParE" (`recipes/README.md` says how it is measured);
what it does not name is not drawn.
"""

import argparse
import itertools
import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from runtime import side_by_side, yamnet_shaped

import trill.audio
import trill.examples

SETS = {"openSMILE ComParE": "ComParE_2016", "openSMILE eGeMAPS": "eGeMAPSv02"}


def export_all(weights: Path, folder: Path) -> list[Path]:
    """The network in every quantization, and the YAMNet-shaped yardstick."""
    from export.quantization import QUANTIZATIONS
    from export.tflite import export_network
    from trill.networks import saving

    network, config = saving.load(weights)
    for name, mode in QUANTIZATIONS.items():
        if not mode.integer_io:
            export_network(network, config, folder / f"{name}.tflite", name)
    yamnet_shaped(folder / "YAMNet-shaped.tflite")
    return sorted(folder.glob("*.tflite"))


def measure_all(files: list[Path]) -> tuple[str, list[dict]]:
    import dataclasses

    from export.benchmark import measure, table

    rows = measure(files)
    return table(rows), [dataclasses.asdict(row) for row in rows]


def opensmile_times() -> dict[str, float]:
    """Milliseconds a second of sound, on the bundled clips, one thread."""
    try:
        import opensmile
    except ImportError:
        return {}
    clips = [trill.audio.read(trill.example(name)) for name in trill.examples.list_examples()]
    seconds = sum(map(len, clips)) / 16_000
    smiles = {
        name: opensmile.Smile(opensmile.FeatureSet[key], opensmile.FeatureLevel.Functionals, num_workers=1)
        for name, key in SETS.items()
    }
    runs = {
        name: lambda smile=smile: [smile.process_signal(c, 16_000) for c in clips] for name, smile in smiles.items()
    }
    return {name: 1000 * time / seconds for name, time in side_by_side(runs, rounds=3).items()}


def draw(points: list[tuple[str, float, float, float]], path: Path) -> None:
    """(name, milliseconds a second of sound, mean UAR, megabytes) as dots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    heights = itertools.cycle((20, -28, 36))  # of labels: neighbours must not meet
    for name, milliseconds, uar, megabytes in sorted(points, key=lambda point: point[1]):
        color = "#0b6e6e" if megabytes else "#b4532a"
        axes.scatter(milliseconds, uar, s=40 + 60 * megabytes, color=color, alpha=0.6)
        label = f"{name}, {megabytes:.1f} MB" if megabytes else name
        place = {"xytext": (0, next(heights)), "textcoords": "offset points", "ha": "center"}
        axes.annotate(label, (milliseconds, uar), **place)
    axes.set(xscale="log", xlabel="milliseconds a second of sound, one thread", ylabel="mean UAR, ten dev tasks")
    axes.margins(0.25)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--quality", type=Path, help="JSON: mean UAR by name")
    parser.add_argument("-o", "--output", type=Path, default=Path("models.png"))
    args = parser.parse_args()
    quality = json.loads(args.quality.read_text()) if args.quality else {}
    with tempfile.TemporaryDirectory() as folder:
        # TensorFlow in a process of its own: beside openSMILE it crashes.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            files = other.submit(export_all, args.weights, Path(folder)).result()
            table, rows = other.submit(measure_all, files).result()
        hops = {file.stem: trill.load(file).hop_seconds for file in files}
    print(table)
    smile = opensmile_times()
    for name, milliseconds in smile.items():
        print(f"{name}: {milliseconds:.2f} ms a second of sound")
    points = [(row["name"], row["ms"] / hops[row["name"]], row["megabytes"]) for row in rows]
    points += [(name, milliseconds, 0.0) for name, milliseconds in smile.items()]
    draw([(name, ms, quality[name], size) for name, ms, size in points if name in quality], args.output)


if __name__ == "__main__":
    main()
