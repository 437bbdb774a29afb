"""Runs side by side: figures, differences to the first run, plots on the same axes.

A difference is only that: nothing here says whether it is larger than what another seed or
another order of equals would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup

from scheduler.errors import UsageError
from scheduler.replay import plots
from scheduler.replay.metrics import SCHEMA_VERSION, Summary
from scheduler.replay.report import (
    CAUSE_COLOUR,
    CAUSE_TEXT,
    Section,
    duration,
    environment,
    number,
    percent,
    plural,
)
from scheduler.replay.result import CAUSES
from scheduler.replay.run_dir import REPORT, SUMMARY, RunFiles, read_run, write_json
from scheduler.replay.theme import Bars, Dots, Line, colour, time_unit
from scheduler.replay.trace_io import new_directory

Value: TypeAlias = float | int | None
Cell: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, eq=False, slots=True)
class Measure:
    """One row of the comparison: a number of every run."""

    key: str
    """Path in summary.json, dotted."""
    title: str
    show: Callable[[Any], str]
    values: tuple[Value, ...]
    """[runs]"""

    def difference(self, at: int) -> Value:
        """Value of run `at` less that of the first, or None where either is missing."""
        first, here = self.values[0], self.values[at]
        return None if first is None or here is None else round(here - first, 6)

    def ratio(self, at: int) -> float | None:
        """The same, relative to the first run."""
        difference = self.difference(at)
        return round(difference / self.values[0], 6) if difference and self.values[0] else None


def compare(paths: Sequence[Path], out: Path) -> list[dict[str, Cell]]:
    """Write the comparison of run directories to `out`; gives the table, a row per run.

    The first run is the baseline. Raises BadInputError for a directory that holds no run, and
    UsageError for fewer than two or an `out` that cannot be made.
    """
    if len(paths) < 2:
        raise UsageError("a comparison needs two runs", "name another run directory")
    runs = [read_run(path) for path in paths]
    labels = run_labels(runs)
    measures = measures_of(runs)
    with new_directory(out) as scratch:
        write_json(comparison(runs, labels, measures), scratch / SUMMARY)
        page = render_compare(runs, labels, measures)
        (scratch / REPORT).write_text(page, encoding="utf-8")
    return table_rows(runs, labels, measures)


def run_labels(runs: Sequence[RunFiles]) -> list[str]:
    """A name per run: the directory's, numbered where two are called alike."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: at + 1].count(name)})"
        for at, name in enumerate(names)
    ]


def _at(summary: Summary, key: str) -> Any:
    value: Any = summary
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def measures_of(runs: Sequence[RunFiles]) -> list[Measure]:
    """The rows of the comparison, most asked first."""
    wanted: list[tuple[str, str, Callable[[Any], str]]] = [
        ("counts.placed", "gangs placed", number),
        ("counts.never_fits", "gangs that never fit", number),
        ("jct_s.mean", "mean completion", duration),
        ("wait_s.mean", "mean wait", duration),
        ("wait_s.p95", "wait, 95th percentile", duration),
        ("wait_s.max", "longest wait", duration),
        ("wait_s.over_60s", "waits over a minute", number),
        ("makespan_s", "makespan", duration),
        ("gpu_allocation.mean", "GPUs allocated, mean", percent),
        ("fragmentation.amount", "GPUs stranded", percent),
    ]
    for level in _levels(runs):
        wanted += [
            (f"locality.{level}.single_share", f"in one {level}, of those that could", percent),
            (f"locality.{level}.mean_domains", f"{plural(level)} per gang", _three),
            (f"locality.{level}.cross_pair_share", f"member pairs across {plural(level)}", percent),
        ]
    wanted += [(f"slowdown.{key}", f"estimated slowdown, {key}", _three) for key in _SLOWDOWN]
    return [
        Measure(key, title, show, tuple(_at(run.summary, key) for run in runs))
        for key, title, show in wanted
    ]


_SLOWDOWN = ("low", "mid", "high")


def _three(value: float | None) -> str:
    return number(value, 3)


def _levels(runs: Sequence[RunFiles]) -> list[str]:
    """Levels of any run, in the order of the first that has them."""
    return list(dict.fromkeys(level for run in runs for level in run.summary["locality"]))


def comparison(
    runs: Sequence[RunFiles], labels: Sequence[str], measures: Sequence[Measure]
) -> dict[str, Any]:
    """What the comparison's `summary.json` holds."""
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": labels[0],
        "runs": [
            {"name": label, "trace": run.summary["trace"], "options": run.summary["options"]}
            for label, run in zip(labels, runs, strict=True)
        ],
        "measures": {
            one.key: {
                "values": list(one.values),
                "differences": [one.difference(at) for at in range(len(runs))],
            }
            for one in measures
        },
        "starts": [starts_against(runs[0], run) for run in runs],
    }


def starts_against(first: RunFiles, other: RunFiles) -> dict[str, int] | None:
    """Gangs that start earlier, later or at the same instant; None for another workload."""
    if first.gangs != other.gangs:
        return None
    both = (first.start_us >= 0) & (other.start_us >= 0)
    difference = (other.start_us - first.start_us)[both]
    return {
        "earlier": int(np.count_nonzero(difference < 0)),
        "same": int(np.count_nonzero(difference == 0)),
        "later": int(np.count_nonzero(difference > 0)),
    }


def table_rows(
    runs: Sequence[RunFiles], labels: Sequence[str], measures: Sequence[Measure]
) -> list[dict[str, Cell]]:
    """A row per run for the terminal: its options that differ, then the main numbers."""
    shown = {
        "counts.placed": "placed",
        "jct_s.mean": "completion s",
        "wait_s.mean": "wait s",
        "wait_s.p95": "wait p95 s",
        "gpu_allocation.mean": "GPUs",
    }
    for level in _levels(runs):
        shown[f"locality.{level}.single_share"] = f"in one {level}"
        shown[f"locality.{level}.mean_domains"] = plural(level)
    wait = next(one for one in measures if one.key == "wait_s.mean")
    found = []
    for at, label in enumerate(labels):
        row: dict[str, Cell] = {"run": label}
        row |= {key: str(values[at]) for key, values in differing_options(runs).items()}
        row |= {shown[one.key]: one.values[at] for one in measures if one.key in shown}
        row["wait +/-"] = _signed(wait.ratio(at)) if at else ""
        found.append(row)
    return found


def _signed(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:+.1%}"


def differing_options(runs: Sequence[RunFiles]) -> dict[str, list[Any]]:
    """Options that are not the same in all runs, with the value of each ("" = not given)."""
    keys = sorted({key for run in runs for key in run.summary["options"]})
    values = {key: [run.summary["options"].get(key, "") for run in runs] for key in keys}
    return {key: row for key, row in values.items() if any(one != row[0] for one in row)}


def render_compare(
    runs: Sequence[RunFiles], labels: Sequence[str], measures: Sequence[Measure]
) -> str:
    """The page as text."""
    differing = differing_options(runs)
    first = runs[0].summary
    common = {key: value for key, value in first["options"].items() if key not in differing}
    traces = sorted({run.summary["trace"] for run in runs})
    return (
        environment()
        .get_template("compare.html")
        .render(
            title=f"{len(runs)} runs of {', '.join(traces)}",
            traces=traces,
            counts=first["counts"],
            labels=labels,
            common=common,
            differing=differing,
            rows=[_cells(one) for one in measures],
            starts=[starts_against(runs[0], run) for run in runs],
            sections=sections(runs, labels),
            source=first["slowdown"]["source"],
        )
    )


def _cells(one: Measure) -> tuple[str, list[tuple[str, str]]]:
    """(title, (value, difference to the first) per run)."""
    differences = ["", *(_difference(one, at) for at in range(1, len(one.values)))]
    return one.title, list(zip(map(one.show, one.values), differences, strict=True))


def _difference(one: Measure, at: int) -> str:
    difference, ratio = one.difference(at), one.ratio(at)
    if difference is None:
        return "not comparable"
    size = one.show(abs(difference))
    if not difference or size == one.show(0.0):
        return "same"
    sign = "+" if difference > 0 else "\u2212"
    if one.show is percent:
        return f"{sign}{size.removesuffix('%').rstrip()} points"
    return f"{sign}{size}" + (f" ({sign}{percent(abs(ratio))})" if ratio else "")


_GPUS = ("gpu_allocated_milli", "gpu_idle_milli")


def sections(runs: Sequence[RunFiles], labels: Sequence[str]) -> list[Section]:
    """The figures, every run in its own colour."""
    text = "Share of all GPUs that belong to a running gang."
    lines = _lines(runs, labels, _GPUS[0], _GPUS)
    found = [_over_time("allocation", "Allocation over time", text, runs, lines, percent=True)]
    text = "Gangs in the queue at each moment."
    lines = _lines(runs, labels, "waiting_gangs")
    found.append(_over_time("queue", "Waiting gangs over time", text, runs, lines, percent=False))
    found += _by_size(runs, labels)
    found += _locality(runs, labels)
    text = "Share of all GPUs that are idle on a node that already holds a member."
    lines = _lines(runs, labels, "gpu_stranded_milli", _GPUS)
    title = "Fragmentation over time"
    found.append(_over_time("fragmentation", title, text, runs, lines, percent=True))
    return found + _blocked(runs, labels) + [_slowdown(runs, labels)]


def _unit(runs: Sequence[RunFiles]) -> tuple[int, str]:
    return time_unit(max(run.summary["makespan_s"] for run in runs))


def _lines(
    runs: Sequence[RunFiles], labels: Sequence[str], top: str, below: Sequence[str] = ()
) -> list[Line]:
    """A line per run of series column `top`, as a share of the sum of `below` if given."""
    unit_s, _ = _unit(runs)
    lines = []
    for at, (run, label) in enumerate(zip(runs, labels, strict=True)):
        time = run.series["time_us"]
        # Instants are the middles of equal slices: the first lies half a slice in.
        slice_us = run.summary["makespan_s"] * 1e6 / max(len(time), 1)
        since = time - (time[0] if len(time) else 0) + slice_us / 2
        y = run.series[top].astype(np.float64)
        if below:
            y /= np.maximum(sum(run.series[column] for column in below), 1)
        lines.append(Line(label, since / (1e6 * unit_s), y, colour(at)))
    return lines


def _over_time(
    name: str, title: str, text: str, runs: Sequence[RunFiles], lines: list[Line], *, percent: bool
) -> Section:
    svg = plots.over_time(f"fig-{name}", title, lines, _unit(runs)[1], percent=percent)
    return _section(name, title, text, svg)


def _section(name: str, title: str, text: str, svg: str, *, wide: bool = True) -> Section:
    return Section(name, title, text, Markup(svg), wide)  # noqa: S704 - drawn by plots.py


def _by_size(runs: Sequence[RunFiles], labels: Sequence[str]) -> list[Section]:
    rows = [(label, run.summary["wait_by_size"]) for run, label in zip(runs, labels, strict=True)]
    if not any(row for _, row in rows):
        return []
    svg = plots.waits("fig-waiting", "Waiting time by gang size", rows, width=plots.WIDE)
    text = (
        "The dot is the mean wait, the bar runs from the median to the 95th percentile, the thin "
        "line to the longest."
    )
    return [_section("waiting", "Waiting by gang size", text, svg)]


def _locality(runs: Sequence[RunFiles], labels: Sequence[str]) -> list[Section]:
    levels = _levels(runs)[-3:]
    found = []
    panels = []
    for level in levels:
        dots = []
        for at, (run, label) in enumerate(zip(runs, labels, strict=True)):
            one = run.summary["locality"].get(level)
            if one and one["mean_domains"] is not None:
                dots.append(Dots(label, one["mean_domains"], one["mean_ideal"], colour(at)))
        panels.append((level, dots))
    # Panels share their rows: a run without one of the levels would shift the others.
    if panels and all(len(dots) == len(runs) for _, dots in panels):
        svg = plots.dot_rows("fig-domains", "Domains per gang against the ideal", panels)
        text = (
            "Mean number of domains a gang was spread over (dot), from the fewest possible (bar)."
        )
        wide = len(panels) > 1
        found.append(
            _section("domains", "Domains per gang against the ideal", text, svg, wide=wide)
        )
    slot_panels = [(level, _slot_lines(runs, labels, level)) for level in levels or ["cluster"]]
    if all(lines for _, lines in slot_panels):
        svg = plots.slots("fig-slots", "Gang slots per level and size", slot_panels)
        text = "Gangs of so many whole nodes that could start at any moment inside one domain."
        wide = len(slot_panels) > 1
        found.append(_section("slots", "Gang slots per level and size", text, svg, wide=wide))
    return found


def _slot_lines(runs: Sequence[RunFiles], labels: Sequence[str], level: str) -> list[Line]:
    found = []
    for at, (run, label) in enumerate(zip(runs, labels, strict=True)):
        row = run.summary["slots"].get(level, {})
        if row:
            x, y = np.array([int(size) for size in row]), np.array(list(row.values()), float)
            found.append(Line(label, x, y, colour(at)))
    return found


def _blocked(runs: Sequence[RunFiles], labels: Sequence[str]) -> list[Section]:
    rows = [
        Bars(label, [run.summary["blocked_s"][cause] / 3600 for cause in CAUSES])
        for run, label in zip(runs, labels, strict=True)
    ]
    if not any(part for row in rows for part in row.parts):
        return []
    parts = [(CAUSE_TEXT[cause], CAUSE_COLOUR[cause]) for cause in CAUSES]
    svg = plots.stacked_rows("fig-blocked", "Blocked time by cause", rows, parts, "gang-hours")
    text = "Hours that gangs spent waiting, by what stood in their way at that moment."
    return [_section("blocked", "Blocked time by cause", text, svg)]


def _slowdown(runs: Sequence[RunFiles], labels: Sequence[str]) -> Section:
    rows = []
    for run, label in zip(runs, labels, strict=True):
        one = run.summary["slowdown"]
        rows.append((label, (one["low"], one["mid"], one["high"])))
    svg = plots.ranges("fig-slowdown", "Estimated slowdown as a range", rows, plots.WIDE)
    text = "What crossing the network may cost a training step: an estimate, not a measurement."
    return _section("slowdown", "Estimated slowdown", text, svg)
