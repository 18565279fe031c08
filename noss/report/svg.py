"""SVG in a few functions: elements, scales, axes, marks. Whatever is written into it is escaped.

Colours are classes that the page's style fills in, for light and for dark.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

NUM_COLOURS = 8
# Paths around 0, 0. Eight colours and seven shapes tell 56 apart: neither stands for something alone.
SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
    "M-3.6,-3.6h7.2v7.2h-7.2z",
    "M0,-4.8L4.6,3.4H-4.6z",
    "M0,-5L5,0L0,5L-5,0z",
    "M0,4.8L4.6,-3.4H-4.6z",
    "M-1.5,-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "M-4.2,-2.1L-2.1,-4.2L0,-2.1L2.1,-4.2L4.2,-2.1L2.1,0L4.2,2.1L2.1,4.2L0,2.1L-2.1,4.2L-4.2,2.1L-2.1,0z",
)


def tag(element: str, *content: Any, **attributes: Any) -> Markup:
    """An element; `_` in names of attributes stands for `-`, those that are None are left out.

    >>> tag("text", "a < b", x=1, text_anchor="end", class_=None)
    Markup('<text x="1" text-anchor="end">a &lt; b</text>')
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _number(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(element), written, Markup("").join(content))  # noqa: S704 ours


def picture(width: float, height: float, name: str, *content: Any, **attributes: Any) -> Markup:
    """A whole one, with a name for those who do not see it."""
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", tag("title", name), *content, viewBox=box, width=width, role="img", aria_label=name, **attributes)


def text(
    x: float, y: float, content: str, *, anchor: str | None = None, class_: str | None = None, **more: Any
) -> Markup:
    """A line of text; `anchor` "middle" or "end"."""
    return tag("text", content, x=x, y=y, text_anchor=anchor, class_=class_, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight one."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def mark(x: float, y: float, number: int, *content: Any, class_: str | None = None) -> Markup:
    """The shape of a number, in its colour or that of a class."""
    place = f"translate({_number(x)} {_number(y)})" if x or y else None
    colour = class_ or f"c{number % NUM_COLOURS}"
    return tag("path", *content, d=SHAPES[number % len(SHAPES)], transform=place, class_=f"{colour} mark")


def key(number: int, class_: str | None = None) -> Markup:
    """A mark alone, for a legend."""
    return tag("svg", mark(0, 0, number, class_=class_), viewBox="-6 -6 12 12", class_="key", aria_hidden="true")


def clipped(name: str, most: int) -> str:
    """A name that fits, shortened in its middle.

    >>> clipped("a-very-long-name", 9)
    'a-ve…name'
    """
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-((most - 1) // 2) :]}"


@dataclasses.dataclass(frozen=True)
class Scale:
    """From values to places.

    Args:
        low, high: values at the ends.
        start, stop: their places.
        log: whether equal ratios take equal places.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def at(self, value: float) -> float:
        """Place of a value; what lies outside stands at the end.

        >>> Scale(0, 10, 100, 200).at(5), Scale(1, 100, 0, 2, log=True).at(10)
        (150.0, 1.0)
        """
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values in the range.

        >>> Scale(0, 1, 0, 1).ticks(), Scale(0.002, 0.6, 0, 1, log=True).ticks()
        ([0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0], [0.01, 0.1])
        """
        if self.log:
            decades = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            steps = (1,) if len(decades) > 1 else (1, 2, 5)
            found = [s * 10.0**d for d in range(decades.start - 1, decades.stop + 1) for s in steps]
            found = [each for each in found if self.low <= each * (1 + 1e-9) and each <= self.high * (1 + 1e-9)]
            return found[:: max(1, math.ceil(len(found) / most))]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step *= next(each for each in (1, 2, 5, 10) if (self.high - self.low) / (each * step) <= most + 1e-9)
        return [step * n for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def padded(values: Iterable[float], *, log: bool = False) -> tuple[float, float]:
    """Ends of a scale that leave some room around values.

    >>> padded([1, 2]), padded([1.0, 100], log=True)
    ((0.92, 2.08), (0.5, 200))
    """
    found = [each for each in values if math.isfinite(each)]
    low, high = min(found), max(found)
    if log:
        return low / 2, high * 2
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1
    return low - room, high + room


def x_axis(scale: Scale, y: float, top: float, name: str = "", *, most: int = 5) -> Markup:
    """Grid lines from `y` up to `top`, ticks below."""
    places = [(scale.at(value), _tick(value)) for value in scale.ticks(most)]
    parts = [line(x, top, x, y, "grid") + text(x, y + 14, label, anchor="middle", class_="tick") for x, label in places]
    middle = (scale.start + scale.stop) / 2
    return Markup("").join([*parts, text(middle, y + 30, name, anchor="middle", class_="axis") if name else ""])


def y_axis(scale: Scale, x: float, right: float, name: str = "") -> Markup:
    """Grid lines from `x` to `right`, ticks on the left."""
    places = [(scale.at(value), _tick(value)) for value in scale.ticks()]
    parts = [
        line(x, y, right, y, "grid") + text(x - 6, y + 4, label, anchor="end", class_="tick") for y, label in places
    ]
    return Markup("").join([*parts, text(x - 30, scale.stop - 10, name, class_="axis") if name else ""])


def _tick(value: float) -> str:
    if value and (abs(value) >= 1e4 or abs(value) < 1e-3):
        digits, _, power = f"{value:.0e}".partition("e")
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"
    return f"{round(value, 9):g}".replace("-", "−")


def _number(value: Any) -> Any:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
