"""Runs side by side: figures, differences to the first run, plots on the same axes.

Runs that differ by their seed only are one group (`groups.py`): then the page shows means and
ranges of groups, and says of each difference whether it is beyond the noise of the seeds. Without
such runs a difference is only that: one seed says nothing about noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from scheduler.errors import UsageError
from scheduler.model.names import plural
from scheduler.replay.compare_measures import (
    Measure,
    differing_options,
    levels_of,
    measures_of,
    mixed_workloads,
    run_labels,
    starts_against,
)
from scheduler.replay.compare_page import render_compare, seeded
from scheduler.replay.groups import Group, baseline_of, group_runs, stats_of
from scheduler.replay.metrics import SCHEMA_VERSION
from scheduler.replay.run_dir import REPORT, SUMMARY, RunFiles, read_run, write_json
from scheduler.replay.trace_io import new_directory

Cell: TypeAlias = str | int | float | bool | None


def compare(
    paths: Sequence[Path], out: Path, on_warning: Callable[[str], None] | None = None
) -> list[dict[str, Cell]]:
    """Write the comparison of run directories to `out`; gives the table, a row per run or group.

    The first run is the baseline. on_warning: called with a sentence if the runs are not of the
    same workload. Raises BadInputError for a directory that holds no run, and
    UsageError for fewer than two or an `out` that cannot be made.
    """
    if len(paths) < 2:
        raise UsageError("a comparison needs two runs", "name another run directory")
    runs = [read_run(path) for path in paths]
    labels = run_labels(runs)
    measures, groups = measures_of(runs), group_runs(runs, labels)
    with new_directory(out) as scratch:
        write_json(comparison(runs, labels, measures, groups), scratch / SUMMARY)
        page = render_compare(runs, labels, measures, groups)
        (scratch / REPORT).write_text(page, encoding="utf-8")
    if on_warning is not None and (warning := mixed_workloads(runs)):
        on_warning(warning)
    if seeded(groups):
        return group_rows(runs, measures, groups)
    return table_rows(runs, labels, measures)


def comparison(
    runs: Sequence[RunFiles],
    labels: Sequence[str],
    measures: Sequence[Measure],
    groups: Sequence[Group],
) -> dict[str, Any]:
    """What the comparison's `summary.json` holds."""
    return {
        "schema_version": SCHEMA_VERSION,
        "baseline": labels[0],
        "runs": [
            {"name": label, "trace": run.summary["trace"], "options": run.summary["options"]}
            for label, run in zip(labels, runs, strict=True)
        ],
        "groups": [
            {
                "name": group.name,
                "trace": group.trace,
                "baseline": groups[baseline_of(groups, at)].name,
                "seeds": list(group.seeds),
                "runs": [labels[member] for member in group.members],
            }
            for at, group in enumerate(groups)
        ],
        "measures": {
            one.key: {
                "values": list(one.values),
                "differences": [one.difference(at) for at in range(len(runs))],
                "groups": [asdict(stats) for stats in stats_of(one.key, one.values, groups)],
            }
            for one in measures
        },
        "starts": [starts_against(runs[0], run) for run in runs],
    }


def table_rows(
    runs: Sequence[RunFiles], labels: Sequence[str], measures: Sequence[Measure]
) -> list[dict[str, Cell]]:
    """A row per run for the terminal: its options that differ, then the main numbers."""
    shown = _shown(runs)
    wait = next(one for one in measures if one.key == "wait_s.mean")
    found = []
    for at, label in enumerate(labels):
        row: dict[str, Cell] = {"run": label}
        row |= {key: str(values[at]) for key, values in differing_options(runs).items()}
        row |= {shown[one.key]: one.values[at] for one in measures if one.key in shown}
        row["wait +/-"] = _signed(wait.ratio(at)) if at else ""
        found.append(row)
    return found


def group_rows(
    runs: Sequence[RunFiles], measures: Sequence[Measure], groups: Sequence[Group]
) -> list[dict[str, Cell]]:
    """A row per group for the terminal: means, and the verdict on the mean wait."""
    shown = _shown(runs)
    stats = {one.key: stats_of(one.key, one.values, groups) for one in measures}
    found = []
    for at, group in enumerate(groups):
        row: dict[str, Cell] = {"group": group.name, "seeds": len(group.seeds)}
        row |= {shown[key]: values[at].mean for key, values in stats.items() if key in shown}
        wait, base = stats["wait_s.mean"][at], stats["wait_s.mean"][baseline_of(groups, at)]
        ratio = wait.difference / base.mean if wait.difference and base.mean else None
        row["wait +/-"] = f"{_signed(ratio)} {wait.verdict or ''}".strip()
        found.append(row)
    return found


def _shown(runs: Sequence[RunFiles]) -> dict[str, str]:
    """Key of a measure -> its column on the terminal."""
    shown = {
        "counts.placed": "placed",
        "jct_s.mean": "completion s",
        "wait_s.mean": "wait s",
        "wait_s.p95": "wait p95 s",
        "gpu_allocation.mean": "GPUs",
    }
    for level in levels_of(runs):
        shown[f"locality.{level}.single_share"] = f"in one {level}"
        shown[f"locality.{level}.mean_domains"] = plural(level)
    return shown


def _signed(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:+.1%}"
