"""What a comparison puts side by side: measures, options that differ, starts gang by gang."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from scheduler.model.names import plural
from scheduler.replay.metrics import Summary
from scheduler.replay.report import duration, number, percent
from scheduler.replay.run_dir import RunFiles

Value: TypeAlias = float | int | None


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
    for level in levels_of(runs):
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


def levels_of(runs: Sequence[RunFiles]) -> list[str]:
    """Levels of any run, in the order of the first that has them."""
    return list(dict.fromkeys(level for run in runs for level in run.summary["locality"]))


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


def mixed_workloads(runs: Sequence[RunFiles]) -> str:
    """A sentence if the runs are not of the same gangs on the same nodes; else empty."""
    if len({run.summary["trace"] for run in runs}) > 1:
        return "The runs are of different workloads: their numbers are not of the same thing."
    pools = {str(run.summary["options"].get("pool") or "") for run in runs}
    if len(pools) > 1:
        named = ", ".join(pool or "all pools" for pool in sorted(pools))
        return f"The runs are of different pools of one trace ({named}): other gangs, other nodes."
    return ""


def differing_options(runs: Sequence[RunFiles]) -> dict[str, list[Any]]:
    """Options that are not the same in all runs, with the value of each ("" = not given)."""
    keys = sorted({key for run in runs for key in run.summary["options"]})
    values = {key: [run.summary["options"].get(key, "") for run in runs] for key in keys}
    return {key: row for key, row in values.items() if any(one != row[0] for one in row)}
