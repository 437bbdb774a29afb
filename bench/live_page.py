"""The rows of live.json as tables, goals beside them, and the plot. Pure but for `draw`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

Document = dict[str, Any]
Table = list[dict[str, str | int | float | bool | None]]

CEILING_SHARE = 0.85
SINGLES_TIMES = 3.0
GANG_TIMES = 40.0
CPU_GOAL_S, CPU_STRETCH_S = 0.6, 0.3
CEILING = "ceiling"
FIGURE = "![binds a second, start to last bind, CPU](images/bench-live.svg)"
INK = {CEILING: "#9ca3af", "muster": "#1d4ed8", "kube-scheduler": "#c2410c"}


def tables(rows: Sequence[Document]) -> Iterator[tuple[str, Table]]:
    """(title, table): what was measured, then the goals."""
    yield "what was measured (medians)", [_line(row) for row in rows]
    goals = list(_goals(rows))
    if goals:
        yield "goals", goals


def _line(row: Document) -> dict[str, str | int | float | bool | None]:
    cpu = row["cpu_s_per_1000"]
    return {
        "scenario": row["scenario"],
        "contender": row["contender"],
        "binds/s": round(row["per_s"]),
        "first bind s": row["first_s"],
        "last bind s": row["last_s"],
        "quiet s": row["quiet_s"],
        "CPU s/1000": cpu["scheduler"],
        "API server": cpu["kube-apiserver"],
        "etcd": cpu["etcd"],
        "peak MiB": round(row["peak_mib"]) or None,
    }


def markdown(rows: Sequence[Document], cpus: int, model: str) -> str:
    """Both tables for docs/benchmarks.md."""
    least = min(len(row["runs"]) for row in rows)
    runs = f"medians of {least} runs" if least > 1 else "one run"
    parts = [FIGURE, f"On {cpus} virtual cores ({model}), {runs}. Memory is in MiB."]
    for _title, table in tables(rows):
        lines = [_cells(table[0]), _cells(dict.fromkeys(table[0], "---"), keys=False)]
        lines += [_cells(row, keys=False) for row in table]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cells(row: dict[str, str | int | float | bool | None], *, keys: bool = True) -> str:
    return f"| {' | '.join(map(_text, row if keys else row.values()))} |"


def _text(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:,.4g}"


def ceiling(rows: Sequence[Document]) -> Document | None:
    """The generator's better row, if it was measured."""
    raw = [row for row in rows if row["scenario"] == "binds"]
    return max(raw, key=lambda row: float(row["per_s"]), default=None)


def _goals(rows: Sequence[Document]) -> Iterator[dict[str, str | int | float | bool | None]]:
    found = {(row["scenario"], row["contender"]): row for row in rows}
    best = ceiling(rows)
    for scenario in ("single pods", "one gang"):
        mine, theirs = (found.get((scenario, name)) for name in ("muster", "kube-scheduler"))
        if mine is None:
            continue
        if best is not None:
            share = mine["per_s"] / best["per_s"]
            yield _goal(f"{scenario}: share of the ceiling", share, CEILING_SHARE)
        if theirs is not None and scenario == "single pods":
            times = mine["per_s"] / theirs["per_s"]
            yield _goal(f"{scenario}: binds/s, times kube-scheduler", times, SINGLES_TIMES)
        elif theirs is not None:
            times = theirs["last_s"] / mine["last_s"]
            yield _goal(f"{scenario}: start to last bind, times sooner", times, GANG_TIMES)
        cpu = mine["cpu_s_per_1000"]["scheduler"]
        yield {
            **_goal(f"{scenario}: Muster's CPU s per 1,000 pods", cpu, CPU_GOAL_S),
            "goal": f"<= {CPU_GOAL_S} ({CPU_STRETCH_S})",
            "met": cpu <= CPU_GOAL_S,
        }


def _goal(name: str, value: float, least: float) -> dict[str, str | int | float | bool | None]:
    met = value >= least
    return {"goal of": name, "value": round(value, 2), "goal": f">= {least:g}", "met": met}


def draw(rows: Sequence[Document], folder: Path) -> Path:
    """bench-live.svg: binds a second, start to last bind, CPU; an axis each."""
    mpl.use("Agg")
    # Text stays text and ids stay the same, so that a new picture is a small difference.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "live", "font.size": 10})
    from matplotlib import pyplot as plt

    panels = (
        ("binds a second,\nfirst to last", "per_s", False),
        ("seconds from start\nto last bind", "last_s", True),
        ("scheduler's CPU seconds\nper 1,000 pods", "cpu", True),
    )
    figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained", sharey=True)
    shown = _bars(rows)
    for axis, (title, name, logarithmic) in zip(axes, panels, strict=True):
        values = [_value(row, name) for _label, row, _ink in shown]
        bars = axis.barh(range(len(shown)), values, color=[ink for _, _, ink in shown], height=0.7)
        axis.bar_label(bars, [f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
                              for value in values], padding=3)  # fmt: skip
        if logarithmic:
            axis.set_xscale("log")
        axis.set_title(title, fontsize=10)
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    axes[0].set_yticks(range(len(shown)), [label for label, _, _ in shown], fontsize=9)
    axes[0].invert_yaxis()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench-live.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def _bars(rows: Sequence[Document]) -> list[tuple[str, Document, str]]:
    """(label, row, colour), the ceiling first."""
    best = ceiling(rows)
    shown = [] if best is None else [("the same binds,\nno scheduler", best, INK[CEILING])]
    for row in rows:
        if row["scenario"] != "binds":
            label = f"{row['scenario']}\n{row['contender']}"
            shown.append((label, row, INK[row["contender"]]))
    return shown


def _value(row: Document, name: str) -> float:
    return float(row["cpu_s_per_1000"]["scheduler"] if name == "cpu" else row[name])
