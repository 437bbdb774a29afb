"""The plots of peers.py: locality by load, slots and waiting by gang size, and the front."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, ScalarFormatter

RULES: dict[str, tuple[str, str]] = {
    "muster (leaf)": ("muster", "leaf"),
    "muster (spine)": ("muster", "spine"),
    "kueue-tas": ("kueue-tas", "leaf"),
    "kai": ("kai", "leaf"),
    "kube-tas": ("kube-tas", "leaf"),
    "slurm-tree": ("slurm-tree", "leaf"),
    "first-fit": ("first-fit", "leaf"),
}
"""Rule -> (placement, pack)."""
INK = dict(
    zip(
        RULES,
        ("#0f172a", "#2563eb", "#d97706", "#15803d", "#9333ea", "#dc2626", "#94a3b8"),
        strict=True,
    )
)
OURS = "muster (leaf)"
SHORT = FuncFormatter(lambda value, _: f"{value:g}")

Table = dict[str, dict[str, list[float]]]
"""rule -> figure -> one number per seed."""
Found = list[tuple[str, float, Table]]
"""(cluster, load, table)."""
Points = tuple[Sequence[float], Sequence[float], Sequence[float]]
"""x, y and the error of y."""


def draw_all(found: Found, out: Path) -> None:
    """peers.svg, peers-locality.svg, peers-slots.svg and peers-waiting.svg, in `out`."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "peers", "font.size": 8})
    draw_front(found, out / "peers.svg")
    draw_locality(found, out / "peers-locality.svg")
    draw_slots(found, out / "peers-slots.svg")
    draw_waiting(found, out / "peers-waiting.svg")


def draw_locality(found: Found, path: Path) -> None:
    """Domains per gang above the ideal over load, a row per cluster, a panel per level."""
    panels: dict[tuple[str, str], dict[str, Points]] = {}
    clusters: dict[str, dict[float, Table]] = {}
    for cluster, load, table in found:
        clusters.setdefault(cluster, {})[load] = table
    for cluster, tables in clusters.items():
        first = next(iter(tables.values()))[OURS]
        for figure in [name for name in first if name.endswith("/ ideal")]:
            panels[cluster, figure] = {
                rule: _points(
                    list(tables),
                    [[100 * (v - 1) for v in tables[x][rule][figure]] for x in tables],
                )
                for rule in RULES
            }

    def dress(ax: Any, cluster: str, figure: str) -> None:
        """Percent above the ideal, by load."""
        what = _plain(figure).removesuffix(" / ideal")
        ax.set_title(f"{cluster}: {what} per gang", loc="left", fontsize=8)
        ax.set_xlabel("load")
        ax.set_ylabel("% above the ideal")
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(SHORT)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_xticks(list(clusters[cluster]))

    _save(_grid(panels, dress), path)


def draw_slots(found: Found, path: Path) -> None:
    """Slots left, as a share of what muster (leaf) leaves, by gang size, at each middle load."""
    panels: dict[tuple[str, str], dict[str, Points]] = {}
    for cluster, load, table in _middle(found):
        slots = [name for name in table[OURS] if name.startswith("slots")]
        for level in dict.fromkeys(name.split()[1] for name in slots if " cluster " not in name):
            mine = [name for name in slots if name.split()[1] == level]
            mine = [name for name in mine if statistics.fmean(table[OURS][name]) > 0]
            x = [float(name.split()[2]) for name in mine]
            panels[f"{cluster}, load {load:.2f}", level] = {
                rule: _points(x, [_ratios(table, rule, name) for name in mine]) for rule in RULES
            }

    def dress(ax: Any, cluster: str, level: str) -> None:
        """Above 1 is more than muster (leaf) leaves."""
        ax.set_title(f"{cluster}: gang slots in a {level}", loc="left", fontsize=8)
        ax.set_xlabel("nodes of the gang")
        ax.set_ylabel("of muster (leaf)")
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(SHORT)

    _save(_grid(panels, dress), path)


def draw_waiting(found: Found, path: Path) -> None:
    """Mean wait by members of the gang, a row per cluster, a panel per load."""
    panels: dict[tuple[str, str], dict[str, Points]] = {}
    for cluster, load, table in found:
        names = [name for name in table[OURS] if name.startswith("wait s ")]
        x = [float(name.split()[2].rstrip("+")) for name in names]
        panels[cluster, f"load {load:.2f}"] = {
            rule: _points(x, [[s / 60 for s in table[rule][name]] for name in names])
            for rule in RULES
        }

    def dress(ax: Any, cluster: str, load: str) -> None:
        """Minutes."""
        ax.set_title(f"{cluster}, {load}", loc="left", fontsize=8)
        ax.set_xlabel("members, from")
        ax.set_ylabel("mean wait, minutes")
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(SHORT)

    _save(_grid(panels, dress), path)


def draw_front(found: Found, path: Path) -> None:
    """Lowest-level locality against gang slots left, a panel per cluster and load."""
    clusters = list(dict.fromkeys(cluster for cluster, _, _ in found))
    loads = sorted({load for _, load, _ in found})
    figure = Figure(figsize=(3.4 * len(loads), 2.6 * len(clusters)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(len(clusters), len(loads), squeeze=False)
    for cluster, load, table in found:
        ax = axes[clusters.index(cluster)][loads.index(load)]
        x, y = front_axes(table)
        for rule, figures in table.items():
            ax.errorbar(
                statistics.fmean(figures[x]), statistics.fmean(figures[y]),
                xerr=_error(figures[x]), yerr=_error(figures[y]),
                fmt="s" if rule.startswith("muster") else "o", color=INK[rule], label=rule,
                markersize=4, elinewidth=0.7,
            )  # fmt: skip
        ax.set_title(f"{cluster}, load {load:.2f}", loc="left", fontsize=8)
        ax.set_xlabel(_plain(x))
        ax.set_ylabel(y)
        if x.startswith("leaf"):
            ax.set_xscale("log")
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.xaxis.set_major_formatter(ScalarFormatter())
            ax.xaxis.set_minor_locator(NullLocator())
    _legend(figure, axes[0][0])
    _save(figure, path)


def front_axes(table: Table) -> tuple[str, str]:
    """(domains per gang at the lowest level, slots of the largest gang of the topmost level)."""
    names = list(table[OURS])
    lowest = [name for name in names if name.endswith("/ ideal")][-1]
    slots = [name for name in names if name.startswith("slots")]
    levels = list(dict.fromkeys(name.split()[1] for name in slots))
    top = next((level for level in levels if level != "cluster"), levels[0])
    return lowest, [name for name in slots if name.split()[1] == top][-1]


def _grid(
    panels: dict[tuple[str, str], dict[str, Points]], dress: Callable[[Any, str, str], None]
) -> Figure:
    """A row per first key, a panel per second one; a line per rule."""
    rows: dict[str, list[str]] = {}
    for row, column in panels:
        rows.setdefault(row, []).append(column)
    width = max(map(len, rows.values()))
    figure = Figure(figsize=(3.4 * width, 2.4 * len(rows)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(len(rows), width, squeeze=False)
    for at, (row, columns) in enumerate(rows.items()):
        for ax in axes[at][len(columns) :]:
            ax.set_axis_off()
        for ax, column in zip(axes[at], columns, strict=False):
            for rule, (x, y, error) in panels[row, column].items():
                ax.errorbar(
                    x, y, yerr=error, color=INK[rule], label=rule, linewidth=1,
                    linestyle="-" if rule.startswith("muster") else "--", elinewidth=0.7,
                    marker="s" if rule.startswith("muster") else "o", markersize=3,
                )  # fmt: skip
            dress(ax, row, column)
    _legend(figure, axes[0][0])
    return figure


def _points(x: Sequence[float], values: Sequence[list[float]]) -> Points:
    """Means and standard errors."""
    errors = [_error(v) / len(v) ** 0.5 for v in values]
    return x, [statistics.fmean(v) for v in values], errors


def _ratios(table: Table, rule: str, name: str) -> list[float]:
    """Seed by seed: what `rule` leaves more than muster (leaf), of the mean of that, plus 1."""
    ours = table[OURS][name]
    mean = statistics.fmean(ours)
    return [1 + (their - own) / mean for their, own in zip(table[rule][name], ours, strict=True)]


def _middle(found: Found) -> Found:
    """The middle load of each cluster."""
    loads: dict[str, list[float]] = {}
    for cluster, load, _ in found:
        loads.setdefault(cluster, []).append(load)
    return [x for x in found if x[1] == sorted(loads[x[0]])[len(loads[x[0]]) // 2]]


def _plain(name: str) -> str:
    return name.replace("leafs", "leaves")


def _error(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _legend(figure: Figure, ax: Any) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})
