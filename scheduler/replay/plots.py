"""Draws the figures of a report as SVG text; the only module that imports matplotlib.

Figure objects only, no pyplot: nothing is shared between two figures, and the same data gives
the same bytes (fixed salt for ids, no date, no creator).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
)

from scheduler.replay.theme import (
    GRID,
    HEAT_RGB,
    INK,
    MUTED,
    SURFACE,
    Bars,
    Dots,
    HeatPanel,
    Line,
    Numbers,
    bucket_name,
    colour,
    themed,
)

WIDE = 10.4
HALF = 5.0
"""Inches; the page shows them about 1.4 times as large, so 8.5 pt reads as 12 px."""

_DURATIONS = (
    (0, "0"),
    (1, "1 s"),
    (10, "10 s"),
    (60, "1 min"),
    (600, "10 min"),
    (3_600, "1 h"),
    (36_000, "10 h"),
    (86_400, "1 d"),
    (864_000, "10 d"),
    (8_640_000, "100 d"),
)

_STYLE: Any = {  # matplotlib's stubs list every key as a literal
    "svg.fonttype": "none",
    "svg.hashsalt": "muster",
    "svg.image_inline": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # shipped with matplotlib: the same layout everywhere
    "font.size": 8.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.solid_joinstyle": "round",
    "hatch.linewidth": 0.6,
}


def draw(name: str, title: str, width: float, height: float, paint: Any, **grid: Any) -> str:
    """An SVG element: `paint(axes)` draws on the axes of `Figure.subplots(**grid)`.

    name: fixed id of the picture and prefix of every id in it. title: read out by a screen
    reader. width, height: inches.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a matplotlibrc of this machine says
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0)
        FigureCanvasSVG(figure)
        paint(figure.subplots(**grid))
        out = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", metadata=nothing)
    return themed(out.getvalue(), name, title)


def _time_axis(ax: Axes, unit: str, lines: Sequence[Line]) -> None:
    ax.set_xlabel(f"{unit} since the first arrival")
    last = max((float(line.x[-1]) for line in lines if len(line.x)), default=1.0)
    ax.set_xlim(0, last)
    ax.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
    ax.grid(axis="x", visible=False)


def over_time(
    name: str, title: str, lines: Sequence[Line], unit: str, *, percent: bool, height: float = 2.3
) -> str:
    """Lines over time; a single one is filled down to zero. percent: y is a share, 0 to 1."""

    def paint(ax: Axes) -> None:
        for line in lines:
            ax.plot(line.x, line.y, color=line.colour, label=line.label, drawstyle="steps-mid")
        if len(lines) == 1:
            one = lines[0]
            ax.fill_between(one.x, one.y, step="mid", color=one.colour, alpha=0.16, linewidth=0)
        else:
            _legend_above(ax, len(lines))
        if percent:
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        top = max((float(line.y.max(initial=0)) for line in lines), default=0.0)
        full = percent and top > 0.4
        ax.set_ylim(0, 1.02 if full else max(top * 1.08, 0.002 if percent else 1))
        _time_axis(ax, unit, lines)

    return draw(name, title, WIDE, height, paint)


def stacked_over_time(
    name: str, title: str, lines: Sequence[Line], unit: str, *, height: float = 2.3
) -> str:
    """Areas on top of each other, in the order given."""

    def paint(ax: Axes) -> None:
        colours = [line.colour for line in lines]
        labels = [line.label for line in lines]
        ys = [line.y for line in lines]
        ax.stackplot(lines[0].x, *ys, colors=colours, labels=labels, alpha=0.85, linewidth=0)
        top = float(np.sum(ys, axis=0).max(initial=0))
        ax.set_ylim(0, max(top * 1.08, 1))
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        ax.set_ylabel("waiting gangs")
        _legend_above(ax, len(lines))
        _time_axis(ax, unit, lines)

    return draw(name, title, WIDE, height, paint)


def _legend_above(ax: Axes, columns: int) -> None:
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=min(columns, 4),
        handlelength=1.2,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def _duration_axis(ax: Axes, top: float) -> None:
    """Zero, then logarithmic from a second up."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.4)
    ticks = [(at, text) for at, text in _DURATIONS if at <= max(top, 1) * 1.2]
    names = dict(ticks)
    ax.yaxis.set_major_locator(FixedLocator([at for at, _ in ticks]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: names.get(round(value), "")))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(-0.12, max(top * 1.6, 2))


def waits(
    name: str,
    title: str,
    runs: Sequence[tuple[str, list[dict[str, Any]]]],
    width: float = HALF,
) -> str:
    """Waits by gang size, runs side by side: bar p50 to p95, thin line to max, dot = mean."""
    buckets = sorted({(b["from"], b["to"]) for _, row in runs for b in row})

    def paint(ax: Axes) -> None:
        place = {bucket: at for at, bucket in enumerate(buckets)}
        step = 0.66 / len(runs)
        top = 0.0
        for at, (label, row) in enumerate(runs):
            x = np.array([place[b["from"], b["to"]] for b in row], float)
            x += (at - (len(runs) - 1) / 2) * step
            mean, p50, p95, most = (
                np.array([b[key] for b in row], float) for key in ("mean", "p50", "p95", "max")
            )
            hue, bar = colour(at), min(9.0, 26 * step)
            ax.vlines(x, p50, most, color=hue, linewidth=1, alpha=0.55)
            ax.vlines(x, p50, p95, color=hue, linewidth=bar, alpha=0.35)
            ax.plot(x, mean, "o", ms=5.5, color=hue, mec=SURFACE, mew=0.8, label=label)
            top = max(top, float(most.max(initial=0)))
        _duration_axis(ax, top)
        _bucket_axis(ax, buckets, width)
        if len(runs) > 1:
            _legend_above(ax, len(runs))

    return draw(name, title, width, 2.9, paint)


def _bucket_axis(ax: Axes, buckets: Sequence[tuple[int, int]], width: float = HALF) -> None:
    names = [bucket_name(*bucket) for bucket in buckets]
    small = sum(map(len, names)) > 8 * width  # more text than that runs together
    if small:
        names = [name.replace("\u2013", "\u2013\n") for name in names]
    ax.set_xticks(range(len(buckets)), names, fontsize=7 if small else 8)
    ax.set_xlim(-0.6, max(len(buckets) - 0.4, 0.6))
    ax.set_xlabel("members of the gang")
    ax.grid(axis="x", visible=False)
    ax.tick_params(axis="x", length=0)


def domains_by_size(
    name: str, title: str, panels: Sequence[tuple[str, list[tuple[tuple[int, int], Dots]]]]
) -> str:
    """Per level: mean domains of a gang (dot) above the ideal (dash), by gang size."""

    def paint(axes: Numbers) -> None:
        for at, (ax, (level, row)) in enumerate(zip(axes[0], panels, strict=True)):
            x = np.arange(len(row))
            used = np.array([dots.used for _, dots in row], float)
            ideal = np.array([dots.ideal for _, dots in row], float)
            ax.vlines(x, ideal, used, color=colour(at), linewidth=3, alpha=0.3)
            ax.plot(x, ideal, "_", ms=13, mew=2, color=INK, label="ideal")
            ax.plot(x, used, "o", ms=5, color=colour(at), mec=SURFACE, mew=0.8, label="used")
            ax.set_title(level, color=INK)
            ax.set_ylim(0, max(float(used.max(initial=1)) * 1.15, 1.3))
            ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
            _bucket_axis(ax, [bucket for bucket, _ in row])
            if at == 0:
                ax.set_ylabel("domains per gang, mean")
            ax.legend(loc="upper left", ncols=2, handlelength=1.2, borderaxespad=0.1)

    grid = {"nrows": 1, "ncols": len(panels), "squeeze": False}
    return draw(name, title, HALF if len(panels) == 1 else WIDE, 2.9, paint, **grid)


def slots(name: str, title: str, panels: Sequence[tuple[str, Sequence[Line]]]) -> str:
    """Gang slots by size in nodes, both logarithmic; a panel per title, a line per label."""

    def paint(axes: Numbers) -> None:
        sizes = np.unique(np.concatenate([line.x for _, lines in panels for line in lines]))
        for ax, (head, lines) in zip(axes[0], panels, strict=True):
            for line in lines:
                ax.plot(line.x, line.y, "-o", ms=4, color=line.colour, label=line.label)
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_locator(FixedLocator(sizes[:: 1 + len(sizes) // 9].tolist()))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_yscale("symlog", linthresh=1, linscale=0.7)
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.set_ylim(bottom=0)
            ax.set_xlabel("nodes per gang")
            ax.set_title(head, color=INK)
            ax.grid(axis="x", visible=False)
        axes[0][0].set_ylabel("gangs that could start, mean")
        axes[0][-1].legend(loc="upper right", handlelength=1.4)

    grid = {"nrows": 1, "ncols": len(panels), "squeeze": False, "sharey": True}
    return draw(name, title, HALF if len(panels) == 1 else WIDE, 2.9, paint, **grid)


def dot_rows(name: str, title: str, panels: Sequence[tuple[str, Sequence[Dots]]]) -> str:
    """Per level a row for each run: mean domains per gang (dot) and the ideal (dash)."""

    def paint(axes: Numbers) -> None:
        for ax, (level, row) in zip(axes[0], panels, strict=True):
            for at, dots in enumerate(row):
                ax.hlines(at, dots.ideal, dots.used, color=dots.colour, linewidth=3, alpha=0.3)
                ax.plot(dots.ideal, at, "|", ms=12, mew=2, color=INK)
                ax.plot(dots.used, at, "o", ms=6, color=dots.colour, mec=SURFACE, mew=0.8)
            _row_axis(ax, [dots.label for dots in row])
            ax.set_title(level, color=INK)
            most = max((dots.used for dots in row), default=1.0)
            ax.set_xlim(min(1.0, min((d.ideal for d in row), default=1.0)) * 0.95, most * 1.05)
            ax.set_xlabel("domains per gang, mean (the bar is the ideal)")

    rows = max(len(row) for _, row in panels)
    grid = {"nrows": 1, "ncols": len(panels), "squeeze": False, "sharey": True}
    width = HALF if len(panels) == 1 else WIDE
    return draw(name, title, width, 1.1 + 0.3 * rows, paint, **grid)


def _row_axis(ax: Axes, labels: Sequence[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)


def stacked_rows(
    name: str,
    title: str,
    rows: Sequence[Bars],
    parts: Sequence[tuple[str, str]],
    unit: str,
    *,
    legend: bool = True,
) -> str:
    """Stacked horizontal bars. parts: (label, colour) of the pieces."""

    def paint(ax: Axes) -> None:
        left = np.zeros(len(rows))
        for at, (label, hue) in enumerate(parts):
            width = np.array([row.parts[at] for row in rows], float)
            ax.barh(range(len(rows)), width, 0.62, left=left, color=hue, label=label, alpha=0.85)
            left += width
        _row_axis(ax, [row.label for row in rows])
        ax.set_xlim(0, max(float(left.max(initial=0)) * 1.02, 1e-9))
        ax.set_xlabel(unit)
        if legend:
            _legend_above(ax, len(parts))

    return draw(name, title, WIDE, (0.8 if legend else 0.55) + 0.3 * len(rows), paint)


def ranges(
    name: str,
    title: str,
    rows: Sequence[tuple[str, tuple[float, float, float]]],
    width: float = HALF,
) -> str:
    """A row per run or tier: a bar from low to high with a dot at mid; 1.0 is the left edge."""

    def paint(ax: Axes) -> None:
        for at, (_, (low, mid, high)) in enumerate(rows):
            hue = colour(at)
            ax.barh(at, high - low, 0.42, left=low, color=hue, alpha=0.3)
            ax.plot(mid, at, "o", ms=6, color=hue, mec=SURFACE, mew=0.8)
        _row_axis(ax, [label for label, _ in rows])
        ax.set_xlim(0.998, max(max(high for _, (_, _, high) in rows) + 0.01, 1.05))
        ax.axvline(1, color=MUTED, linewidth=0.8)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2f}\u00d7"))
        ax.set_xlabel("step time against one leaf, estimate")

    return draw(name, title, width, 1.0 + 0.34 * len(rows), paint)


def heat(name: str, title: str, panels: Sequence[HeatPanel], unit: str, span: float) -> str:
    """Domains over time, one panel per level, the same time axis below all."""
    heights = [max(0.5, min(5.0, 0.13 * panel.use.shape[1])) for panel in panels]

    def paint(axes: Numbers) -> None:
        for at, (row, panel) in enumerate(zip(axes, panels, strict=True)):
            ax = row[0]
            count = panel.use.shape[1]
            pixels = np.empty((count, panel.use.shape[0], 4), np.uint8)
            pixels[..., :3] = [round(255 * part) for part in HEAT_RGB]
            pixels[..., 3] = panel.use.T.astype(np.int64) * 255 // 1000
            box = (0, span, count - 0.5, -0.5)
            ax.imshow(pixels, aspect="auto", interpolation="none", extent=box)
            for cut in panel.cuts:
                ax.axhline(cut - 0.5, color=SURFACE, linewidth=0.8)
            ax.set_yticks([y for y, _ in panel.ticks], [text for _, text in panel.ticks])
            ax.tick_params(axis="y", length=0, labelsize=7.5)
            ax.grid(visible=False)
            ax.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 5, 10]))
            ax.set_title(panel.title, color=INK)
            if at == len(panels) - 1:
                ax.set_xlabel(f"{unit} since the first arrival")
            else:
                ax.tick_params(axis="x", labelbottom=False)

    grid = {"nrows": len(panels), "squeeze": False, "height_ratios": heights, "sharex": True}
    return draw(name, title, WIDE, sum(heights) + 0.45 * len(panels) + 0.4, paint, **grid)
