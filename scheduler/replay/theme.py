"""What figures are made of and how they take the colours of the page; draws nothing itself.

A figure is drawn in marker colours that no picture needs; `themed` replaces them by the CSS
variables of templates/style.css, so that one picture follows the page into the dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt

Numbers = npt.NDArray[Any]

INK: Final = "#010203"
MUTED: Final = "#020304"
GRID: Final = "#030405"
SURFACE: Final = "#040506"
SERIES: Final = ("#a10101", "#a20202", "#a30303", "#a40404", "#a50505", "#a60606", "#a70707")
"""Drawn for the CSS variables --c1 .. --c7: what tells runs, levels and causes apart."""

_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", SURFACE: "--surface"} | {
    colour: f"--c{at}" for at, colour in enumerate(SERIES, 1)
}

HEAT_RGB = (0.10, 0.44, 0.78)
"""Hue of the heat map: its opacity is the use, so that it works on light and on dark."""

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a plot over time, or over sizes."""

    label: str
    x: Numbers
    y: Numbers
    colour: str


@dataclass(frozen=True, eq=False)
class Bars:
    """One row of stacked horizontal bars."""

    label: str
    parts: Sequence[float]


@dataclass(frozen=True, slots=True)
class Dots:
    """A row or a column of a dot plot: what was used, against the ideal."""

    label: str
    used: float
    ideal: float
    colour: str = SERIES[0]


@dataclass(frozen=True, eq=False)
class HeatPanel:
    """Use of the domains of one level over time, in thousandths."""

    title: str
    use: Numbers
    """[K, D]"""
    ticks: Sequence[tuple[float, str]]
    """(row, name) to write beside the map."""
    cuts: Sequence[float]
    """Rows before which a line separates two parents."""


def colour(at: int) -> str:
    """Colour of the series number `at`; they come round again after seven."""
    return SERIES[at % len(SERIES)]


def themed(svg: str, name: str, title: str) -> str:
    """The SVG element with the page's colours and font, and ids that begin with `name`.

    svg: what matplotlib wrote. title: what a screen reader says.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))

    def ident(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', ident, svg)
    svg = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", svg)
    for marker, variable in _VARIABLES.items():
        svg = svg.replace(marker, f"var({variable})")
    svg = re.sub(r"(font: [^;\"']*?)'DejaVu Sans'[^;\"]*", r"\g<1>var(--font)", svg)
    view = re.search(r'viewBox="[^"]*"', svg)
    head = f'<svg id="{name}" {view[0] if view else ""} role="img" aria-label="{title}"'
    head += ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
    return re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1).rstrip()


def time_unit(seconds: float) -> tuple[int, str]:
    """Seconds of the unit in which a span of that length reads well, and its name."""
    return next((s, name) for s, name in _UNITS if seconds >= 3 * s or s == 1)


def bucket_name(low: int, high: int) -> str:
    """`1`, `2-3`, `4-7`, ..."""
    return str(low) if low == high else f"{low}\u2013{high}"
