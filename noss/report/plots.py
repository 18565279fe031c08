"""The pictures of a report. Each has a name in words, and its numbers stand in a table or under the pointer too."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from noss.compare import short
from noss.report import svg
from noss.report.model import Column, Point
from noss.report.svg import Scale, clipped, line, mark, picture, tag, text

ROW = 21
SHOWN = 12  # classes whose cells hold numbers; points that are all named


@dataclasses.dataclass(frozen=True)
class Dot:
    """A value with its interval; `number` says which mark, `note` what the pointer tells more; `plus` shows signs."""

    name: str
    number: int
    value: float
    low: float | None = None
    high: float | None = None
    flag: str = ""
    note: str = ""
    plus: str = ""

    @property
    def shown(self) -> str:
        return short(self.value, self.plus)

    @property
    def title(self) -> str:
        there = self.low is not None and self.high is not None
        ends = f" [{short(self.low or 0, self.plus)}, {short(self.high or 0, self.plus)}]" if there else ""
        return f"{self.name}: {self.shown}{ends}{f' {self.note}' if self.note else ''}"


def domain(column: Column, dots: Iterable[Dot]) -> tuple[float, float]:
    """Ends of the axis of a metric: 0 to 1 for shares, so that no difference looks larger than it is."""
    metric = column.metric
    reach = [v for d in dots for v in (d.value, d.low, d.high) if v is not None and math.isfinite(v)]
    reach += [] if column.chance is None else [column.chance]
    if metric.kind == "classification":
        return 0.0, 1.0
    low, high = svg.padded([0, *reach])
    return (0.0 if min(reach) >= 0 else low), min(high, metric.high)


def dots(
    name: str, rows: Sequence[Dot], ends: tuple[float, float], *, guide: float | None = None, guide_name: str = ""
) -> Markup:
    """A row each: mark, interval, number; `guide` is a dashed line, what guessing scores."""
    width, left, right, top = 360, 136, 304, 18 if guide_name else 6
    bottom = top + ROW * len(rows)
    scale = Scale(*ends, left, right)
    parts = [svg.x_axis(scale, bottom, top, most=4)]
    if guide is not None:
        x = scale.at(guide)
        anchor = "start" if x < (left + right) / 2 else "end"
        parts += [line(x, top - 4, x, bottom, "guide"), text(x, top - 7, guide_name, anchor=anchor, class_="tick")]
    for place, dot in enumerate(rows):
        y = top + ROW * (place + 0.5)
        class_ = "best" if dot.flag == "★" else None
        parts.append(
            tag(
                "g",
                tag("title", dot.title),
                tag("rect", x=0, y=y - ROW / 2, width=width, height=ROW, class_="hit"),
                text(left - 8, y + 4, clipped(dot.name, 16), anchor="end", class_=class_),
                _whisker(scale, dot, y),
                mark(scale.at(dot.value), y, dot.number),
                text(right + 8, y + 4, f"{dot.shown} {dot.flag}", class_=class_),
            )
        )
    return picture(width, bottom + 20, f"{name}. {'; '.join(dot.title for dot in rows)}", *parts)


def _whisker(scale: Scale, dot: Dot, y: float) -> Markup:
    if dot.low is None or dot.high is None:
        return Markup("")
    return line(scale.at(dot.low), y, scale.at(dot.high), y, f"s{dot.number % svg.NUM_COLOURS} whisker")


def curves(name: str, series: Sequence[tuple[str, int, Sequence[Point]]], column: Column | None) -> Markup:
    """Scores by clips a class, on a log axis; bars from the lowest to the highest draw."""
    width, height, left, right, top, bottom = 360, 240, 40, 350, 14, 200
    sizes = sorted({point.size for *_, points in series for point in points})
    reach = [value for *_, points in series for point in points for value in (point.low, point.high)]
    chance = None if column is None else column.chance
    ends = svg.padded([*reach, *([] if chance is None else [chance])])
    shares = column is not None and column.metric.high == 1
    y = Scale(max(ends[0], 0 if shares else -math.inf), min(ends[1], 1 if shares else math.inf), bottom, top)
    x = Scale(sizes[0] / 1.3, sizes[-1] * 1.3, left, right, log=True)
    parts = [svg.y_axis(y, left, right)]
    parts += [text(x.at(size), bottom + 15, str(size), anchor="middle", class_="tick") for size in sizes]
    parts.append(text((left + right) / 2, bottom + 32, "labelled clips a class", anchor="middle", class_="axis"))
    if chance is not None:
        parts += [line(left, y.at(chance), right, y.at(chance), "guide")]
        parts += [text(right, y.at(chance) - 4, "guessing", anchor="end", class_="tick")]
    for place, (label, number, points) in enumerate(series):
        shift = 2.5 * (place - (len(series) - 1) / 2)  # bars beside each other
        at = [(x.at(each.size) + shift, y.at(each.score)) for each in points]
        colour = f"s{number % svg.NUM_COLOURS}"
        path = "M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in at)
        content = [tag("path", d=path, class_=f"{colour} trace")]
        for (a, b), point in zip(at, points, strict=True):
            told = f"{label}, {point.size} a class: {short(point.score)} ({short(point.low)} to {short(point.high)})"
            content.append(line(a, y.at(point.low), a, y.at(point.high), f"{colour} whisker thin"))
            content.append(mark(a, b, number, tag("title", told)))
        parts.append(tag("g", *content))
    said = "; ".join(
        f"{label}: " + ", ".join(f"{p.size}: {short(p.score)}" for p in points) for label, _, points in series
    )
    return picture(width, height, f"{name}. {said}", *parts)


def scatter(
    name: str,
    points: Sequence[tuple[float, Dot]],
    x_name: str,
    y_name: str,
    *,
    log: bool = False,
    guide: float | None = None,
    front: bool = False,
) -> Markup:
    """Values by what they cost; `front` joins those that nothing cheaper beats."""
    width, height, left, right, top, bottom = 480, 320, 48, 464, 30, 270
    whiskers = [v for _, d in points for v in (d.value, d.low, d.high) if v is not None and math.isfinite(v)]
    y = Scale(*svg.padded(whiskers), bottom, top)
    across = [cost for cost, _ in points] + ([] if guide is None else [guide])
    x = Scale(*svg.padded(across, log=log), left, right, log=log)
    parts = [svg.y_axis(y, left, right, y_name), svg.x_axis(x, bottom, top, x_name)]
    if guide is not None:
        at = x.at(guide)
        parts += [line(at, top, at, bottom, "guide"), text(at + 4, bottom - 5, "guessing", class_="tick")]
    best = undominated([(cost, dot.value) for cost, dot in points])
    if front and len(best) > 1:
        places = [(x.at(points[index][0]), y.at(points[index][1].value)) for index in best]
        steps = "".join(f"H{a:.1f}V{b:.1f}" for a, b in places[1:])
        parts.append(tag("path", d=f"M{places[0][0]:.1f},{places[0][1]:.1f}{steps}", class_="front"))
    for index, (cost, dot) in enumerate(points):
        a, b = x.at(cost), y.at(dot.value)
        content = [tag("title", f"{dot.title}; {x_name} {cost:.3g}")]
        if dot.low is not None and dot.high is not None:
            content.append(line(a, y.at(dot.low), a, y.at(dot.high), f"s{dot.number % svg.NUM_COLOURS} whisker"))
        content.append(mark(a, b, dot.number))
        if len(points) <= SHOWN or index in best:
            shift, anchor = (-8, "end") if a > (left + 2 * right) / 3 else (8, None)
            content.append(text(a + shift, b - 6, clipped(dot.name, 24), anchor=anchor))
        parts.append(tag("g", *content))
    said = "; ".join(f"{dot.title}; {x_name} {cost:.3g}" for cost, dot in points)
    return picture(width, height, f"{name}. {said}", *parts, class_="wide")


def undominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of those that nothing both as cheap and as good beats, the cheapest first.

    >>> undominated([(1, 0.5), (2, 0.4), (3, 0.9)])
    [0, 2]
    """
    best, found = -math.inf, []
    for index in sorted(range(len(points)), key=lambda each: (points[each][0], -points[each][1])):
        if points[index][1] > best:
            best = points[index][1]
            found.append(index)
    return found


def heatmap(name: str, counts: np.ndarray, classes: Sequence[str]) -> Markup:
    """A confusion matrix `(num_classes, num_classes)`, rows truth: shares of a row, counts under the pointer."""
    number = len(classes)
    cell = 30 if number <= SHOWN else 14
    left, top, under = 110, 8, 70
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [clipped(each, 15) for each in classes]
    parts = []
    for row in range(number):
        y = top + cell * row
        parts.append(text(left - 6, y + cell / 2 + 4, labels[row], anchor="end", class_=None if cell > 14 else "tick"))
        for column in range(number):
            x, share = left + cell * column, float(shares[row, column])
            told = f"{classes[row]} taken for {classes[column]}: {counts[row, column]:.0f} of {counts[row].sum():.0f}"
            box = tag(
                "rect", tag("title", told), x=x, y=y, width=cell - 1, height=cell - 1, class_="heat", fill_opacity=share
            )
            parts.append(box)
            if number <= SHOWN and share >= 0.005:
                class_ = "strong" if share > 0.55 else "weak"
                parts.append(text(x + cell / 2, y + cell / 2 + 4, f"{share:.0%}"[:-1], anchor="middle", class_=class_))
    bottom = top + cell * number
    for column, label in enumerate(labels):
        middle = left + cell * (column + 0.5) + 3
        turned = f"rotate(-50 {middle:.1f} {bottom + 12})"
        parts.append(
            text(middle, bottom + 12, label, anchor="end", class_=None if cell > 14 else "tick", transform=turned)
        )
    recalls = ", ".join(f"{label} {shares[i, i]:.0%}" for i, label in enumerate(classes))
    said = f"{name}: share of each class (row) that is taken for each (column). Right: {recalls}"
    width = left + cell * number + 20
    return picture(width, bottom + under, said, *parts, class_="matrix")


def cloud(name: str, places: np.ndarray, marks: Sequence[Markup | None], titles: Sequence[str]) -> Markup:
    """Points `(n, 2)`, each with what `svg.mark` makes at 0, 0, or a plain dot."""
    width, height, room = 720, 520, 14
    low, high = places.min(axis=0), places.max(axis=0)
    x = Scale(float(low[0]), float(high[0]) + 1e-9, room, width - room)
    y = Scale(float(low[1]), float(high[1]) + 1e-9, height - room, room)
    plain = tag("circle", r=3, class_="other")
    points = [
        tag(
            "g",
            tag("title", title),
            each or plain,
            transform=f"translate({x.at(float(a)):.1f} {y.at(float(b)):.1f})",
            data_point=index,
        )
        for index, ((a, b), each, title) in enumerate(zip(places, marks, titles, strict=True))
    ]
    return picture(width, height, name, *points, class_="cloud", tabindex="0")
