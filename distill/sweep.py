"""One recipe at several widths: how much of the teacher each keeps, at what cost."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.report import Report
from trill.errors import optional
from trill.files import write_atomically
from trill.training.recipes import TrainConfig


def widths(config: TrainConfig, sizes: Sequence[float]) -> dict[float, TrainConfig]:
    """A recipe at other widths.

    Raises:
        ValueError: if its network has no width, or one is given twice.
    """
    if len(set(sizes)) < len(sizes) or not sizes:
        raise ValueError(f"a sweep needs widths, each once, got {list(sizes)}.")

    def at(width: float) -> TrainConfig:
        network = config.network
        arguments = {**network.arguments, "width": width}
        return dataclasses.replace(
            config, network=dataclasses.replace(network, arguments=arguments, name=f"{network.name}-{width:g}")
        )

    return {width: at(width) for width in sizes}


def sweep(
    configs: dict[float, TrainConfig],
    output: Path,
    train: Callable[[TrainConfig, Path], Any],
    judge: Callable[[Path], Report],
) -> dict[float, Report]:
    """Train and judge each width in a folder of its own; what is done already is kept, so the same call goes on.

    Args:
        configs: by width.
        output: holds `width-W/` for each, `sweep.json` and `sweep.png`.
        train: trains a recipe into a folder, or goes on with it.
        judge: a run's folder to its report.
    """
    reports = {}
    for width, config in configs.items():
        run = output / f"width-{width:g}"
        train(config, run)
        reports[width] = judge(run)
        rows = {f"{key:g}": dataclasses.asdict(found) for key, found in reports.items()}
        with write_atomically(output / "sweep.json") as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(reports, output / "sweep.png")
    return reports


def draw(reports: dict[float, Report], path: Path) -> None:
    """Explained variance of each teacher, and recall where tasks were probed, against multiply-adds; a point a width.

    Raises:
        MissingPackageError: if Matplotlib is not installed.
    """
    optional("matplotlib", "teachers")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = [report for _, report in sorted(reports.items())]
    likeness = {row.teacher: [each.likeness[at].r2 for each in found] for at, row in enumerate(found[0].likeness)}
    panels = {"R², windows of clips not fitted on": likeness}
    if found[0].tasks:
        recalls = [[(task.student, *task.teachers) for task in each.tasks] for each in found]
        student, *teachers = np.mean(recalls, axis=1).T
        ceilings = {row.teacher: line for row, line in zip(found[0].likeness, teachers, strict=True)}
        panels[f"mean recall of {len(found[0].tasks)} tasks"] = {"student": student} | ceilings
    figure = Figure(figsize=(6.4 * len(panels), 4.2), layout="constrained")
    cost = [(report.multiplies or 0) / 1e6 for report in found]
    for axes, (name, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for label, values in lines.items():
            axes.plot(cost, values, "o-" if lines is likeness or label == "student" else "--", label=label)
        tops = lines.get("student", np.max(list(lines.values()), axis=0))
        for width, report, millions, top in zip(sorted(reports), found, cost, tops, strict=True):
            note = f"{width:g}\n{(report.parameters or 0) / 1e6:.2f} M"
            axes.annotate(note, (millions, top), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        axes.set_xscale("log")
        axes.set_xticks(cost, [f"{value:.3g}" for value in cost])
        axes.minorticks_off()
        axes.margins(x=0.12, y=0.2)
        axes.set_xlabel("multiply-adds a window, millions; at each point: width, parameters")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right")
    with write_atomically(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
