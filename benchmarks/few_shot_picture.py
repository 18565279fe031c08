"""The picture of few_shot.py: a panel a question, a line a method, its name at its end.

    python benchmarks/few_shot_picture.py OUT/few-shot.json -o few-shot.png

Diamonds are learnt from the speaker who is tested.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from trill.files import write_atomically

PANELS = {
    "speakers": "Who speaks",
    "words_ar": "Words, Arabic",
    "words_en": "Words, English",
    "emotions": "Emotions, English",
    "emotions_pl": "Emotions, Polish",
}
# Method -> its name and colour; the choice between two others lies under them as a broad pale line.
METHODS = {
    "automatic": ("automatic", "#b9c2cc"),
    "centroid": ("nearest centroid", "#0072b2"),
    "logistic": ("logistic", "#c4520a"),
    "device": ("device, rate 1", "#a8478a"),
    "device_falling": ("device, falling rate", "#00825f"),
    "tuned": ("fine-tuned", "#1c2126"),
}
BROAD = {"linewidth": 9, "alpha": 0.7, "solid_capstyle": "round"}
INK, SOFT, LINE = "#1c2126", "#59636e", "#d5dbe1"


def draw_picture(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name in PANELS if name in results["questions"]]
    sizes = sorted({row["clips"] for each in results["questions"].values() for row in each["methods"]["centroid"]})
    figure, panels = pyplot.subplots(2, 3, figsize=(14, 7.4), sharex=True, sharey=True)
    for axes, name in zip(panels.flat, names, strict=False):
        found, own = results["questions"][name], results["questions"].get(f"{name}_own")
        draw_lines(axes, found["methods"])
        if own:
            draw_own(axes, own["methods"])
        axes.axhline(100 * found["chance"], color=SOFT, linewidth=0.8, linestyle=(0, (4, 4)))
        axes.text(sizes[0], 100 * found["chance"] - 1.5, "guessing", fontsize=9, color=SOFT, va="top")
        axes.set_title(PANELS[name], loc="left", fontsize=11, fontweight="bold", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
    panels[0, 0].set(xscale="log", ylim=(0, 101), xlim=(0.88 * sizes[0], 4 * sizes[-1]))
    panels[0, 0].set_xticks(sizes, map(str, sizes))
    panels[0, 0].minorticks_off()
    explain(panels[-1, -1])
    for axes in (*panels[-1, :-1], panels[0, -1]):  # the lowest of each column
        axes.set_xlabel("clips a label", fontsize=10)
        axes.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("unweighted average recall, %", fontsize=10)
    figure.tight_layout()
    with write_atomically(path) as temporary:
        figure.savefig(temporary, dpi=130)


def draw_lines(axes: Any, methods: dict[str, list[dict[str, Any]]]) -> None:
    """A line a method with the interval of each point, and its name at its end."""
    ends = {}
    for method in (name for name in METHODS if name in methods):
        rows, color = methods[method], METHODS[method][1]
        x, y = [row["clips"] for row in rows], [100 * row["mean"] for row in rows]
        axes.plot(x, y, color=color, **(BROAD if method == "automatic" else {"linewidth": 1.8}))
        if method != "automatic":
            reach = np.abs([[100 * row[end] - 100 * row["mean"] for row in rows] for end in ("low", "high")])
            axes.errorbar(x, y, reach, color=color, fmt="o", markersize=4, elinewidth=1)
        ends[method] = (x[-1], y[-1])
    for method, place in apart(ends).items():
        name, color = METHODS[method]
        x = 1.13 * ends[method][0]
        axes.text(x, place, name, color=SOFT if method == "automatic" else color, va="center", fontsize=9)


def draw_own(axes: Any, methods: dict[str, list[dict[str, Any]]]) -> None:
    """Diamonds, a thin line a method, for clips of the speaker who is tested."""
    for method, rows in methods.items():
        if method != "automatic":
            x, y = [row["clips"] for row in rows], [100 * row["mean"] for row in rows]
            color = METHODS[method][1]
            axes.plot(x, y, "D:", color=color, linewidth=1, markersize=6, markerfacecolor="white")


def explain(axes: Any) -> None:
    """The panel that is left over says what the marks are."""
    axes.axis("off")
    for mark, color, text in (
        ("o-", SOFT, "learnt from other speakers"),
        ("D:", SOFT, "learnt from the speaker who is tested"),
        ("D:", METHODS["tuned"][1], "likewise, and the network's top block fine-tuned"),
    ):
        axes.plot([], [], mark, color=color, markerfacecolor="white" if "D" in mark else color, label=text)
    axes.legend(loc="center", frameon=False, fontsize=9, labelcolor=INK)


def apart(ends: dict[str, tuple[float, float]], gap: float = 5.0, top: float = 98.0) -> dict[str, float]:
    """Heights of labels, in the order of their lines, `gap` apart at least and below `top`.

    >>> apart({"a": (1, 50.0), "b": (1, 51.0)}, gap=4)
    {'a': 48.5, 'b': 52.5}
    >>> apart({"a": (1, 97.0), "b": (1, 97.5)}, gap=4)
    {'a': 94.0, 'b': 98.0}
    """
    names = sorted(ends, key=lambda name: ends[name][1])
    # Isotonic regression of the heights less their gaps: neighbours in the wrong order are pooled.
    pools: list[list[float]] = []
    for rank, name in enumerate(names):
        pools.append([ends[name][1] - gap * rank])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    flat = np.concatenate([np.full(len(pool), np.mean(pool)) for pool in pools])
    below = np.minimum(flat + gap * np.arange(len(names)), top - gap * np.arange(len(names))[::-1])
    return {name: float(place) for name, place in zip(names, below, strict=True)}


if __name__ == "__main__":
    source, _, target = sys.argv[1:]
    draw_picture(json.loads(Path(source).read_text()), Path(target))
