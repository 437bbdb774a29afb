"""The page of one run: `report.html`, one file that opens offline.

Ids are fixed, so that a link to a figure stays good; there is no path, host or date in it, so
that the same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scheduler.model.names import plural
from scheduler.model.topology import Topology
from scheduler.replay import plots
from scheduler.replay.locality import Locality
from scheduler.replay.metrics import Analysis, Summary, mean_slots
from scheduler.replay.result import CAUSES
from scheduler.replay.theme import Bars, Dots, HeatPanel, Line, bucket_name, colour, time_unit
from scheduler.replay.timeline import CLUSTER_NAME

_TEMPLATES = Path(__file__).with_name("templates")

CAUSE_TEXT: Mapping[str, str] = {
    "order": "behind a blocked gang",
    "capacity": "too little free",
    "fragmentation": "free, but in pieces",
    "topology": "free, but not in one domain",
}
_CAUSE_SENTENCE: Mapping[str, str] = {
    "order": "behind a blocked gang, the price of a strict queue",
    "capacity": "with too little free in the whole cluster",
    "fragmentation": "with enough free in sum, but not on whole nodes",
    "topology": "with enough free nodes, but not in one domain",
}
# From the far end of the palette: the near end tells levels and runs apart.
CAUSE_COLOUR: Mapping[str, str] = {cause: colour(6 - at) for at, cause in enumerate(CAUSES)}

_HEAT_ROWS = 400
"""Most rows of pixels in a heat map; more domains than that are averaged in path order."""

_TICKS = 24
"""Most names beside a heat map."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline number. `note` says what it is measured against."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Section:
    """A figure with the sentence how to read it. `wide`: over the full width of the page."""

    id: str
    title: str
    text: str
    svg: Markup
    wide: bool = True


def percent(value: float | None) -> str:
    """A share as text; small ones keep two digits."""
    if value is None:
        return "\u2013"
    text = f"{value:.2%}" if 0 < value < 0.01 else f"{value:.1%}"
    return text.replace("%", "\u2009%")


def number(value: float | None, digits: int = 2) -> str:
    """A number with thousands set apart, or a dash."""
    if value is None:
        return "\u2013"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"
    return text.replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that matter: `45 s`, `3 h 51 min`, `12 d 4 h`."""
    if seconds is None:
        return "\u2013"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for big, name, small, rest in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= big:
            return f"{whole // big} {name} {whole % big // small} {rest}"
    return f"{whole} s"


@cache
def environment() -> Environment:
    """The templates, with every value escaped and every missing one an error."""
    env = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {"percent": percent, "number": number, "duration": duration, "plural": plural}
    env.globals["css"] = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))  # noqa: S704
    return env


def render_report(analysis: Analysis) -> str:
    """The page as text."""
    summary, trace = analysis.summary, analysis.result.trace
    page = environment().get_template("report.html")
    figures = sections(analysis)
    return page.render(
        title=f"{summary['trace']} \u00b7 {summary['options'].get('placement', 'replay')}",
        summary=summary,
        source=trace.source,
        licence=trace.licence,
        dropped=sorted(trace.dropped_rows.items()),
        nodes=len(trace.nodes),
        gpus=int(trace.nodes.gpu.sum()),
        levels=level_counts(analysis.result.topology),
        tiles=tiles(analysis),
        sections=figures,
        # The last card of half width has no neighbour when their number is odd.
        times_wide=sum(not figure.wide for figure in figures) % 2 == 0,
        tiers=analysis.slowdown.tiers,
    )


def level_counts(topology: Topology) -> list[tuple[str, int]]:
    """(level, domains) root first."""
    return [
        (name, len(domains))
        for name, domains in zip(topology.levels, topology.by_level, strict=True)
    ]


def tiles(analysis: Analysis) -> list[Tile]:
    """The headline numbers, most asked first."""
    s = analysis.summary
    counts, wait, jct, stranded = s["counts"], s["wait_s"], s["jct_s"], s["fragmentation"]
    placed = f"of {number(counts['gangs'])}; {number(counts['never_fits'])} never fit"
    return [
        Tile("GPUs allocated", percent(s["gpu_allocation"]["mean"]), "mean over the makespan"),
        Tile("Mean wait", duration(wait["mean"]), f"95th percentile {duration(wait['p95'])}"),
        Tile("Mean completion", duration(jct["mean"]), f"median {duration(jct['p50'])}"),
        Tile("Gangs placed", number(counts["placed"]), placed),
        *_locality_tiles(s),
        Tile(
            "GPUs stranded",
            percent(stranded["amount"]),
            f"{percent(stranded['ratio'])} of idle ones",
        ),
        _slowdown_tile(s),
    ]


def _locality_tiles(summary: Summary) -> list[Tile]:
    if not summary["locality"]:
        return []
    level, one = list(summary["locality"].items())[-1]
    able = f"of {number(one['single_able'])} that could be"
    ideal = f"ideal {number(one['mean_ideal'])}"
    return [
        Tile(f"In one {level}", percent(one["single_share"]), able),
        Tile(f"{plural(level)} per gang".capitalize(), number(one["mean_domains"]), ideal),
    ]


def _slowdown_tile(summary: Summary) -> Tile:
    slow = summary["slowdown"]
    span = f"{slow['low']:.3f} to {slow['high']:.3f}"
    return Tile("Estimated slowdown", f"{slow['mid']:.3f}\u00d7", span)


def sections(analysis: Analysis) -> list[Section]:
    """The figures in the order of the page."""
    line = analysis.timeline
    unit_s, unit = time_unit((line.finish_us - line.begin_us) / 1e6)
    hours = (line.at_us - line.begin_us) / (1e6 * unit_s)
    found = [_allocation(analysis, hours, unit)]
    if analysis.summary["wait_by_size"]:
        found.append(_waiting(analysis))
    if line.slots[CLUSTER_NAME].shape[1]:
        found.append(_slots(analysis))
    if analysis.locality and len(analysis.locality[0].gang):
        found.append(_domains(analysis))
    found.append(_fragmentation(analysis, hours, unit))
    if line.heat and len(line.at_us):
        span = (line.finish_us - line.begin_us) / (1e6 * unit_s)
        found.append(_heat(analysis, unit, span))
    found.extend(_blocked(analysis, hours, unit))
    found.append(_slowdown(analysis))
    return found


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - drawn by plots.py, which escapes what it writes


def _allocation(analysis: Analysis, hours: Any, unit: str) -> Section:
    line = analysis.timeline
    used = line.allocated / max(line.total, 1)
    numbers = analysis.summary["gpu_allocation"]
    svg = plots.over_time(
        "fig-allocation",
        "GPU allocation over time",
        [Line("allocated", hours, used, colour(0))],
        unit,
        percent=True,
    )
    text = (
        f"Share of all GPUs that belong to a running gang: {percent(numbers['mean'])} on average, "
        f"{percent(numbers['max'])} at the peak. It does not say how busy they are."
    )
    return Section("allocation", "Allocation over time", text, _svg(svg))


def _waiting(analysis: Analysis) -> Section:
    row = analysis.summary["wait_by_size"]
    svg = plots.waits("fig-waiting", "Waiting time by gang size", [("wait", row)])
    worst = max(row, key=lambda bucket: bucket["mean"])
    name = bucket_name(worst["from"], worst["to"])
    text = (
        "The dot is the mean wait, the bar runs from the median to the 95th percentile, the thin "
        "line to the longest. Longest on average: "
        f"gangs of {name} members, {duration(worst['mean'])}."
    )
    return Section("waiting", "Waiting by gang size", text, _svg(svg), wide=False)


def _slots(analysis: Analysis) -> Section:
    line = analysis.timeline
    lines = [
        Line(name, np.array(sizes), np.array(mean_slots(line, name)), colour(at))
        for at, (name, sizes) in enumerate(line.sizes.items())
    ]
    svg = plots.slots("fig-slots", "Gang slots per level and size", [("", lines)])
    text = (
        "How many gangs of so many whole nodes could start at any moment inside one domain, "
        "on average over time. The distance to the cluster's line is what the network's shape "
        "costs."
    )
    return Section("slots", "Gang slots per level and size", text, _svg(svg), wide=False)


def _domains(analysis: Analysis) -> Section:
    panels = [(one.level, domains_by_size(one)) for one in analysis.locality[-3:]]
    svg = plots.domains_by_size("fig-domains", "Domains per gang against the ideal", panels)
    last = analysis.locality[-1].level
    numbers = analysis.summary["locality"][last]
    text = (
        "The dot is the mean number of domains a gang of that size was spread over, the dash the "
        "fewest an empty cluster would need. Over all: "
        f"{number(numbers['mean_domains'], 3)} {plural(last)} per gang, "
        f"ideal {number(numbers['mean_ideal'], 3)}."
    )
    return Section(
        "domains", "Domains per gang against the ideal", text, _svg(svg), wide=len(panels) > 1
    )


def domains_by_size(one: Locality) -> list[tuple[tuple[int, int], Dots]]:
    """Mean domains used and ideal by number of members, in powers of two."""
    power = np.frexp(one.members.astype(np.float64))[1] - 1
    found = []
    for at in np.unique(power).tolist():
        here = power == at
        used, ideal = float(one.used[here].mean()), float(one.ideal[here].mean())
        found.append(((2**at, 2 ** (at + 1) - 1), Dots(one.level, used, ideal)))
    return found


def _fragmentation(analysis: Analysis, hours: Any, unit: str) -> Section:
    line = analysis.timeline
    stranded = Line("stranded", hours, line.stranded / max(line.total, 1), colour(3))
    svg = plots.over_time(
        "fig-fragmentation", "Fragmentation over time", [stranded], unit, percent=True, height=1.8
    )
    numbers = analysis.summary["fragmentation"]
    text = (
        "Share of all GPUs that are stranded: idle on a node that already holds a member, so that "
        f"no gang of whole nodes can use them. On average {percent(numbers['amount'])} of all, "
        f"{percent(numbers['ratio'])} of the idle ones. Mind the scale."
    )
    return Section("fragmentation", "Fragmentation over time", text, _svg(svg))


def _heat(analysis: Analysis, unit: str, span: float) -> Section:
    topology, use = analysis.result.topology, analysis.timeline.heat
    # The topmost and the lowest level: what lies between them looks like one of the two.
    shown = sorted({0, len(topology.levels) - 1})
    panels = [_heat_panel(topology, level, use[level]) for level in shown]
    svg = plots.heat("fig-heat", "Use of spines and leaves over time", panels, unit, span)
    text = (
        "One row per domain, neighbours in the network side by side; the deeper the colour, the "
        "more of its GPUs are in use. A good placement leaves rows either full or empty."
    )
    title = " and ".join(plural(topology.levels[level]) for level in shown)
    return Section("heat", f"{title} over time".capitalize(), text, _svg(svg))


def _heat_panel(topology: Topology, level: int, use: Any) -> HeatPanel:
    domains, name = topology.by_level[level], topology.levels[level]
    parent = topology.parent[domains] if level else domains
    edges = np.flatnonzero(np.diff(parent)) + 1
    cuts = edges if level and len(edges) < len(domains) // 2 else edges[:0]
    if level:  # names of the parents, in the middle of their rows
        first = np.concatenate(([0], edges))
        last = np.concatenate((edges, [len(domains)]))
        ticks = [
            ((a + b - 1) / 2, topology.names[topology.parent[domains[a]]] or "cluster")
            for a, b in zip(first.tolist(), last.tolist(), strict=True)
        ]
    else:
        ticks = [(float(at), topology.names[d]) for at, d in enumerate(domains.tolist())]
    ticks = ticks[:: 1 + (len(ticks) - 1) // _TICKS]
    fold = -(-len(domains) // _HEAT_ROWS)
    if fold > 1:
        starts = np.arange(0, len(domains), fold)
        lengths = np.diff(np.append(starts, len(domains)))
        use = np.add.reduceat(use.astype(np.int64), starts, axis=1) // lengths
    scaled = [(at / fold, text) for at, text in ticks]
    title = f"{len(domains)} {plural(name) if len(domains) > 1 else name}" + (
        f", {fold} a row" if fold > 1 else ""
    )
    return HeatPanel(title, use, scaled, [cut / fold for cut in cuts.tolist()])


def _blocked(analysis: Analysis, hours: Any, unit: str) -> list[Section]:
    blocked = analysis.summary["blocked_s"]
    total = sum(blocked.values())
    if not total:
        return []
    lines = [
        Line(CAUSE_TEXT[cause], hours, analysis.timeline.blocked[:, at], CAUSE_COLOUR[cause])
        for at, cause in enumerate(CAUSES)
    ]
    over = plots.stacked_over_time("fig-blocked", "Waiting gangs by cause over time", lines, unit)
    parts = [(CAUSE_TEXT[cause], CAUSE_COLOUR[cause]) for cause in CAUSES]
    bars = [Bars("all gangs", [blocked[cause] / 3600 for cause in CAUSES])]
    rows = plots.stacked_rows(
        "fig-blocked-total", "Blocked time by cause", bars, parts, "gang-hours", legend=False
    )
    most = max(blocked, key=lambda cause: blocked[cause])
    text = (
        "Gangs that wait, by what stood in their way at that moment; the bar adds them up. Most of "
        f"the {number(total / 3600, 1)} gang-hours were spent {_CAUSE_SENTENCE[most]}."
    )
    return [Section("blocked", "Blocked time by cause", text, _svg(over + "\n" + rows))]


def _slowdown(analysis: Analysis) -> Section:
    slow = analysis.slowdown
    rows = [(name, span) for name, _, span in slow.tiers]
    rows.append(("this run", (slow.low, slow.mid, slow.high)))
    svg = plots.ranges("fig-slowdown", "Estimated slowdown as a range", rows)
    text = (
        "What crossing the network may cost a training step; the run is the mean of its "
        f"multi-member gangs, weighted by GPU time. Source: {slow.source}. "
        "It changes no time in this report."
    )
    return Section("slowdown", "Estimated slowdown", text, _svg(svg), wide=False)
