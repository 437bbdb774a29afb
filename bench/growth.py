"""How the planner's time grows with the cluster, from 1,000 to 100,000 nodes, and its plot."""

from __future__ import annotations

import ctypes
import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import scenario
from floor import Floor
from measure import take_turns
from planner import Pair, capacity_pair, many_gangs_pair, one_gang_pair

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
NODES_PER_GANG = 100

INK = {
    "one gang of a pod a node": "#c2410c",
    "gangs, one per 100 nodes": "#1d4ed8",
    "filter + capacity": "#15803d",
}


@dataclass(frozen=True, slots=True)
class Point:
    """Medians of one scenario on one cluster."""

    name: str
    nodes: int
    own_ms: float
    floor_ms: float


def measure_growth(library: ctypes.CDLL, runs: int) -> list[Point]:
    """Every scenario on every size."""
    points = []
    for nodes in SIZES:
        floor = Floor(library, scenario.snapshot(nodes))
        pairs: dict[str, Pair] = {
            "one gang of a pod a node": one_gang_pair(floor, nodes),
            "gangs, one per 100 nodes": many_gangs_pair(floor, nodes // NODES_PER_GANG),
            "filter + capacity": capacity_pair(floor),
        }
        for name, pair in pairs.items():
            theirs, own = take_turns((pair.floor, pair.own), runs)
            point = Point(name, nodes, statistics.median(own), statistics.median(theirs))
            points.append(point)
    return points


def write_growth(points: list[Point], out: Path) -> None:
    """growth.json, growth.png and growth.svg in `out`."""
    text = json.dumps([asdict(point) for point in points], indent=2)
    (out / "growth.json").write_text(text + "\n", encoding="utf-8")
    mpl.use("Agg")
    # Text stays text and ids stay the same, so that a new picture is a small difference.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 10})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
    for name, ink in INK.items():
        mine = [point for point in points if point.name == name]
        nodes = [point.nodes for point in mine]
        axes.loglog(nodes, [p.own_ms for p in mine], "o-", color=ink, ms=4, label=name)
        axes.loglog(nodes, [p.floor_ms for p in mine], ":", color=ink, lw=1.2)
    axes.plot([], [], ":", color="#555555", label="the same in plain C")
    axes.set_xlabel("nodes")
    axes.set_ylabel("milliseconds, one core")
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(color="#dddddd", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(out / "growth.png", dpi=150)
    figure.savefig(out / "growth.svg", metadata={"Date": None})
    plt.close(figure)
