"""The page of a comparison: tables of runs or of groups of seeds, and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup

from scheduler.replay import plots
from scheduler.replay.compare_measures import (
    Measure,
    differing_options,
    levels_of,
    mixed_workloads,
    starts_against,
)
from scheduler.replay.groups import Group, Stats, Verdict, baseline_of, spread_text, stats_of
from scheduler.replay.report import (
    CAUSE_COLOUR,
    CAUSE_TEXT,
    Section,
    environment,
    number,
    percent,
)
from scheduler.replay.result import CAUSES
from scheduler.replay.run_dir import RunFiles
from scheduler.replay.theme import Bars, Dots, Line, colour, time_unit

Cells: TypeAlias = list[tuple[str, list[str]]]
"""Per column: the value, and the small lines below it."""


def seeded(groups: Sequence[Group]) -> bool:
    """Whether some group has several seeds: then groups are compared, not runs."""
    return any(len(group.members) > 1 for group in groups)


def render_compare(
    runs: Sequence[RunFiles],
    labels: Sequence[str],
    measures: Sequence[Measure],
    groups: Sequence[Group],
) -> str:
    """The page as text."""
    differing = differing_options(runs)
    first = runs[0].summary
    many = seeded(groups)
    common = {key: value for key, value in first["options"].items() if key not in differing}
    traces = list(dict.fromkeys(run.summary["trace"] for run in runs))
    tables = _group_tables(runs, measures, groups) if many else [_run_table(runs, labels, measures)]
    drawn = [g for g in groups if g.trace == groups[0].trace] if many else []
    figures = [runs[g.members[0]] for g in drawn] or runs
    names = [g.name for g in drawn] or labels
    return (
        environment()
        .get_template("compare.html")
        .render(
            title=f"{len(runs)} runs of {', '.join(sorted(traces))}",
            notes=_notes(runs, groups, traces),
            common=common,
            tables=tables,
            sections=sections(figures, names),
            source=first["slowdown"]["source"],
        )
    )


def _notes(runs: Sequence[RunFiles], groups: Sequence[Group], traces: Sequence[str]) -> list[str]:
    counts = runs[0].summary["counts"]
    gangs, pods = number(counts["gangs"]), number(counts["pods"])
    notes = [f"{gangs} gangs, {pods} pods in the first run."]
    if not seeded(groups):
        notes[0] += " Differences are to the first run; one seed says nothing about noise."
        if warning := mixed_workloads(runs):
            notes.append(warning)
        return notes
    if len(traces) == 1 and (warning := mixed_workloads(runs)):
        notes.append(warning)
    several = len({group.trace for group in groups}) < len(groups)
    notes.append("Each column is the runs that differ by their seed only: the mean, and its range.")
    if several:
        notes.append(
            "Differences are to the first column of the same trace. They are better or worse if "
            "larger than t standard errors (Student, 95 %; the same seeds are paired), and "
            "within noise otherwise: one such comparison in twenty is wrong by chance."
        )
    if any(len(group.members) == 1 for group in groups):
        notes.append("A column of one seed says nothing about noise: no verdict is given.")
    if any(len(group.members) > 1 and not group.varies for group in groups):
        notes.append(
            "Where seeds change nothing (no ties by seed, no random rule, one trace), they say "
            "nothing about noise either."
        )
    drawn = f" of {groups[0].trace}" if len(traces) > 1 else ""
    notes.append(f"The figures show the lowest seed of each column{drawn}.")
    return notes


def _run_table(
    runs: Sequence[RunFiles], labels: Sequence[str], measures: Sequence[Measure]
) -> dict[str, Any]:
    return {
        "id": "numbers",
        "title": "Side by side",
        "labels": labels,
        "differing": differing_options(runs),
        "rows": [_cells(one) for one in measures],
        "starts": [starts_against(runs[0], run) for run in runs],
    }


def _group_tables(
    runs: Sequence[RunFiles], measures: Sequence[Measure], groups: Sequence[Group]
) -> list[dict[str, Any]]:
    """A table per trace."""
    traces = list(dict.fromkeys(group.trace for group in groups))
    tables = []
    for at, trace in enumerate(traces):
        mine = [g for g in range(len(groups)) if groups[g].trace == trace]
        options = differing_options([runs[groups[g].members[0]] for g in mine])
        differing: dict[str, list[Any]] = {k: v for k, v in options.items() if k != "seed"}
        differing["seeds"] = [len(groups[g].seeds) for g in mine]
        rows = []
        for one in measures:
            stats = stats_of(one.key, one.values, groups)
            rows.append((one.title, [_group_cell(one, stats, groups, g) for g in mine]))
        tables.append(
            {
                "id": "numbers" if not at else f"numbers-{at + 1}",
                "title": "Side by side" if len(traces) == 1 else f"Side by side: {trace}",
                "labels": [groups[g].name for g in mine],
                "differing": differing,
                "rows": rows,
                "starts": None,
            }
        )
    return tables


def _group_cell(
    one: Measure, stats: Sequence[Stats], groups: Sequence[Group], at: int
) -> tuple[str, list[str]]:
    here, base = stats[at], stats[baseline_of(groups, at)]
    lines = [text] if (text := spread_text(here, one.show)) else []
    if here is not base:
        pair = Measure(one.key, one.title, one.show, (base.mean, here.mean))
        text = _difference(pair, 1)
        judged = here.verdict not in {None, Verdict.SAME}
        lines.append(f"{text}: {here.verdict}" if judged else text)
    return one.show(here.mean), lines


def _cells(one: Measure) -> tuple[str, Cells]:
    """(title, (value, difference to the first) per run)."""
    lines: list[list[str]] = [[], *([_difference(one, at)] for at in range(1, len(one.values)))]
    return one.title, list(zip(map(one.show, one.values), lines, strict=True))


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
    levels = levels_of(runs)[-3:]
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
