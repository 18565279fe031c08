"""Quality against time: mean UAR over dev tasks, and milliseconds a second of sound, as one picture.

    python benchmarks/quality_cost.py measure -r mobilenet -r opensmile:ComParE_2016 -o cost.json
    python benchmarks/quality_cost.py draw cost.json --results results/ -o docs/pictures/quality-cost.png

`measure` gives each representation a process of its own (openSMILE crashes beside TensorFlow) with one thread, and
embeds the bundled clips in turn, round by round, so that a busy moment hits all; processor time counts, and the median
of the rounds. Ratios of one run mean something, single times only on that machine. `draw` takes quality from results of
`noss run` by the same names; public models that are not run here are lines, with their source (PUBLISHED).
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trill import files, modelfile, presets

ROUNDS = 7
SECONDS = 20.0  # of sound in a round, about
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# Mean UAR at the same tasks by the same protocol, of models that are not run here: name -> score, source.
PUBLISHED = {
    "BYOL-A, 512 values": (0.710, "Niizumi et al. 2021, arXiv:2103.06695; weights for evaluation only"),
    "MobileNet on AudioSet, 0.32 s": (0.561, "a public detector of sounds, 512 values"),
}
NAMES = {  # in results -> in the picture; a name that begins so
    "opensmile-": "openSMILE {}",
    "scripts/baselines.py:yamnet_layer10": "YAMNet, layer 10",
    "scripts/baselines.py:whisper_blocks": "Whisper tiny.en, blocks 1–3",
    "random-mobilenet": "random network",
    "scripts/baselines.py:log_mel": "log-mel, mean + std",
    "scripts/baselines.py:mfcc": "MFCC, mean + std",
    "log-mel-1": "log-mel",
    "mfcc-1": "MFCC",
}
OURS, OTHERS = "#0b6e6e", "#8a5a2b"


# Time.


@dataclasses.dataclass(frozen=True)
class Worker:
    """A process that embeds the clips when asked, and says how long its processor was busy."""

    name: str
    ask: Callable[[], float]
    close: Callable[[], None]


def start(spec: str) -> Worker:
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(spec, there), daemon=True)
    process.start()
    there.close()

    def ask() -> float:
        here.send("once")
        return float(here.recv())

    def close() -> None:
        here.send("")
        process.join()

    try:
        return Worker(str(here.recv()), ask, close)
    except EOFError:
        raise SystemExit(f"{spec} cannot be measured: its process ended, see above.") from None


def work(spec: str, pipe: Any) -> None:
    name, embed = loaded(spec)
    clips = bundled()
    for clip in clips:
        embed(clip)
    pipe.send(name)
    while pipe.recv():
        began = time.process_time()
        for clip in clips:
            embed(clip)
        pipe.send(1000 * (time.process_time() - began) / (sum(map(len, clips)) / 16_000))


def loaded(spec: str) -> tuple[str, Callable[[np.ndarray], Any]]:
    """Name, and what is timed: openSMILE without the pipe that keeps it apart elsewhere."""
    from noss.representations import load_representation

    representation = load_representation(spec)
    if spec.startswith("opensmile:"):
        import opensmile

        which = opensmile.FeatureSet[representation.feature_set]
        smile = opensmile.Smile(which, opensmile.FeatureLevel.Functionals, num_workers=1)
        return representation.name, lambda clip: smile.process_signal(clip, 16_000)
    return representation.name, representation.embed_windows


def bundled() -> list[np.ndarray]:
    """The clips of the package, about `SECONDS` of them."""
    from trill import audio, examples

    clips, seconds = [], 0.0
    for name in examples.list_examples():
        if seconds < SECONDS:
            clips.append(audio.read(examples.example(name)))
            seconds += len(clips[-1]) / 16_000
    return clips


def machine() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def measure(specs: list[str], output: Path) -> None:
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"), TF_CPP_MIN_LOG_LEVEL="3")  # of the processes that are started
    workers = []
    for spec in dict.fromkeys(specs):
        workers.append(start(spec))
        print(workers[-1].name, flush=True)
    rounds = [[worker.ask() for worker in workers] for _ in range(ROUNDS)]
    rows = []
    for worker, times in zip(workers, zip(*rounds, strict=True), strict=True):
        worker.close()
        told = {"milliseconds": statistics.median(times), "least": min(times), "most": max(times)}
        rows.append({"representation": worker.name, **told})
        print(f"{worker.name}: {told['milliseconds']:.2f} ms a second of sound")
    with files.write_atomically(output) as temporary:
        temporary.write_text(json.dumps({"machine": machine(), "rounds": ROUNDS, "rows": rows}, indent=1) + "\n")


# Quality.


def quality(folder: Path) -> dict[str, float]:
    """Mean score by representation: of those with a score at every task."""
    from noss import results, table

    found = table.tables(results.load_all(folder))
    if len(found) != 1:
        raise SystemExit(f"{folder} must hold results of one protocol, got {', '.join(each.title for each in found)}.")
    means = dict(zip(found[0].representations, found[0].means(), strict=True))
    return {name: float(mean) for name, mean in means.items() if np.isfinite(mean)}


def shown(name: str) -> str:
    packaged = {f"{modelfile.read(presets.locate(each))[1].identity}:embedding": each for each in presets.list_models()}
    if name in packaged:
        return packaged[name]
    for begin, form in NAMES.items():
        if name.startswith(begin):
            return form.format(name.rpartition("-")[2])
    return name.removesuffix(":embedding").rpartition("-")[0] or name


def draw(cost: dict[str, Any], means: dict[str, float], output: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    times = {row["representation"]: row["milliseconds"] for row in cost["rows"]}
    lost = [name for name in times if name not in means]
    if lost:
        raise SystemExit(f"every measured representation needs a score at every task, {', '.join(lost)} lack some.")
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, (score, _) in PUBLISHED.items():
        axes.axhline(score, color="#999999", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(name, (0.01, score), xycoords=("axes fraction", "data"), xytext=(0, 3),
                      textcoords="offset points", fontsize=9, color="#666666")  # fmt: skip
    for name, x in times.items():
        mine = name.endswith(":embedding") and not name.startswith("random")
        color, y = (OURS if mine else OTHERS), means[name]
        axes.scatter(x, y, s=70 if mine else 40, color=color, zorder=3)
        # The lower of two neighbours has its label below; ours, which crowd, away from the other.
        higher = [np.log10(times[each] / x) for each in times if 0 < means[each] - y < 0.05]
        nearest = min(higher, key=abs, default=1.0)
        if abs(nearest) >= 0.5:
            place, align = (0, 8), "center"
        elif mine:
            place, align = ((-9, -4), "right") if nearest > 0 else ((9, -4), "left")
        else:
            place, align = (0, -17), "center"
        axes.annotate(f"{shown(name)}, {y:.3f}", (x, y), xytext=place, textcoords="offset points",
                      ha=align, color=color, weight="bold" if mine else "normal", zorder=2,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    axes.set(xscale="log", xlabel=f"milliseconds a second of sound, one thread ({cost['machine']})")
    axes.set_ylabel("mean UAR, ten dev tasks")
    axes.margins(0.2, 0.1)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with files.write_atomically(output) as temporary:
        figure.savefig(temporary, dpi=130, format=output.suffix[1:], metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    timing = commands.add_parser("measure", help="milliseconds of each, into a JSON file")
    timing.add_argument("-r", "--representation", dest="specs", action="append", required=True)
    timing.add_argument("-o", "--output", type=Path, required=True)
    drawing = commands.add_parser("draw", help="the picture")
    drawing.add_argument("cost", type=Path)
    drawing.add_argument("--results", type=Path, required=True)
    drawing.add_argument("-o", "--output", type=Path, default=Path("docs/pictures/quality-cost.png"))
    args = parser.parse_args()
    if args.command == "measure":
        measure(args.specs, args.output)
    else:
        draw(json.loads(args.cost.read_text(encoding="utf-8")), quality(args.results), args.output)


if __name__ == "__main__":
    main()
