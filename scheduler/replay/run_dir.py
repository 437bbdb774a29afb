"""A run directory: what `muster replay --out RUN` leaves, and how `muster compare` reads it.

    RUN/placements.csv   gang, rank, node, start_us, end_us         a row per placed member
        gangs.csv        a row per gang: what it asked for, when it ran, how far it spread
        series.csv       the cluster at 400 instants or fewer
        summary.json     the numbers (docs/report.md)
        report.html      the page

The directory appears whole or not at all (`trace_io.new_directory`), and the same run gives the
same bytes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from scheduler.errors import BadInputError
from scheduler.model.arrays import I64
from scheduler.model.names import plural
from scheduler.model.resources import INT64_MAX
from scheduler.replay.csv_columns import CsvFile, Integer, Text
from scheduler.replay.metrics import SCHEMA_VERSION, Analysis, Summary, analyse
from scheduler.replay.report import render_report
from scheduler.replay.result import CAUSES, RunResult, Status
from scheduler.replay.slowdown import SlowdownModel
from scheduler.replay.summary_file import SummaryFile
from scheduler.replay.trace_io import new_directory

PLACEMENTS = "placements.csv"
GANGS = "gangs.csv"
SERIES = "series.csv"
SUMMARY = "summary.json"
REPORT = "report.html"

SERIES_NEEDED = (
    "time_us",
    *("gpu_allocated_milli", "gpu_idle_milli", "gpu_stranded_milli", "waiting_gangs"),
)
"""Columns that a comparison draws."""

_CHUNK = 200_000
"""Members per write: a few tens of MB of text at a time, whatever the size of the run."""


def write_run(result: RunResult, out: Path, model: SlowdownModel | None = None) -> Summary:
    """Measure a run and write its whole directory; gives what `summary.json` holds.

    Raises UsageError if `out` exists and is not an empty directory, or cannot be written.
    """
    with new_directory(out) as scratch:
        analysis = analyse(result, model)
        write_placements(analysis, scratch / PLACEMENTS)
        write_gangs(analysis, scratch / GANGS)
        write_series(analysis, scratch / SERIES)
        write_json(analysis.summary, scratch / SUMMARY)
        (scratch / REPORT).write_text(render_report(analysis), encoding="utf-8")
    return analysis.summary


def write_json(value: Any, path: Path) -> None:
    """Write JSON in the order of the keys; NaN is a bug, not a value."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def summary_rows(summaries: Sequence[Summary]) -> list[dict[str, str | int | float | None]]:
    """The headline numbers of each run, for a table on the terminal."""
    rows = []
    for one in summaries:
        row: dict[str, str | int | float | None] = {
            "trace": one["trace"],
            "placement": str(one["options"].get("placement", "")),
            "order": f"{one['options'].get('order', '')} {one['options'].get('scan', '')}".strip(),
            "placed": one["counts"]["placed"],
            "completion s": one["jct_s"]["mean"],
            "wait s": one["wait_s"]["mean"],
            "wait p95 s": one["wait_s"]["p95"],
            "GPUs": one["gpu_allocation"]["mean"],
        }
        for level, numbers in one["locality"].items():
            row[f"in one {level}"] = numbers["single_share"]
            row[plural(level)] = numbers["mean_domains"]
            row[f"{plural(level)} ideal"] = numbers["mean_ideal"]
        rows.append(row)
    return rows


def _quoted(names: tuple[str, ...]) -> list[str]:
    """`names` as CSV fields: quoted where the csv module would."""
    special = frozenset(',"\r\n')
    return [
        '"' + name.replace('"', '""') + '"' if special.intersection(name) else name
        for name in names
    ]


def write_placements(analysis: Analysis, path: Path) -> None:
    """A row per placed member: gangs in trace order, members by rank."""
    result = analysis.result
    gangs, nodes = _quoted(result.trace.gangs.keys), _quoted(result.trace.nodes.names)
    offset = result.offset
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("gang,rank,node,start_us,end_us\n")
        first = 0
        while first < result.gangs:
            # At least one gang, however large: a gang is never cut.
            last = int(np.searchsorted(offset, offset[first] + _CHUNK, side="right")) - 1
            last = min(max(last, first + 1), result.gangs)
            file.writelines(_placement_rows(analysis, first, last, gangs, nodes))
            first = last


def _placement_rows(
    analysis: Analysis, first: int, last: int, gangs: list[str], nodes: list[str]
) -> Iterator[str]:
    result = analysis.result
    offset = result.offset[first : last + 1]
    rows = result.row[offset[0] : offset[-1]].tolist()
    bounds = (offset - offset[0]).tolist()
    start, end = result.start_us[first:last].tolist(), result.end_us[first:last].tolist()
    for at in range(last - first):
        head, tail = gangs[first + at], f"{start[at]},{end[at]}\n"
        yield "".join(
            f"{head},{rank},{nodes[row]},{tail}"
            for rank, row in enumerate(rows[bounds[at] : bounds[at + 1]])
            if row >= 0
        )


def write_gangs(analysis: Analysis, path: Path) -> None:
    """A row per gang. LEVEL_domains and LEVEL_ideal are filled for gangs of 2 and more that ran."""
    result, gangs = analysis.result, analysis.result.trace.gangs
    names = [Status(code).name.lower() for code in range(len(Status))]
    header = ["gang", "pool", "members", "submit_us", "start_us", "end_us", "wait_us", "status"]
    wait = np.where(result.start_us >= 0, result.start_us - gangs.submit_us, -1)
    columns: list[list[Any]] = [
        list(gangs.keys),
        list(gangs.pool),
        result.members.tolist(),
        gangs.submit_us.tolist(),
        *(_blank(column) for column in (result.start_us, result.end_us, wait)),
        [names[code] for code in result.status.tolist()],
    ]
    if result.restarts is not None:
        header.append("restarts")
        columns.append(result.restarts.tolist())
    for one in analysis.locality:
        header += [f"{one.level}_domains", f"{one.level}_ideal"]
        for values in (one.used, one.ideal):
            full = np.full(result.gangs, -1, np.int64)
            full[one.gang] = values
            columns.append(_blank(full))
    _write_csv(path, header, columns)


def _blank(column: I64) -> list[Any]:
    """Numbers, and nothing where the column says -1."""
    return ["" if value < 0 else value for value in column.tolist()]


def write_series(analysis: Analysis, path: Path) -> None:
    """A row per sampled instant; GPUs in thousandths, slots by level and size in nodes."""
    line = analysis.timeline
    columns: dict[str, I64] = {
        "time_us": line.at_us,
        "gpu_allocated_milli": line.allocated,
        "gpu_idle_milli": line.idle,
        "gpu_stranded_milli": line.stranded,
        "free_nodes": line.free_nodes.astype(np.int64),
        "waiting_gangs": line.waiting_gangs.astype(np.int64),
        "waiting_members": line.waiting_members,
    }
    for at, cause in enumerate(CAUSES):
        columns[f"blocked_{cause}"] = line.blocked[:, at].astype(np.int64)
    for name, sizes in line.sizes.items():
        for at, size in enumerate(sizes):
            columns[f"slots_{name}_{size}"] = line.slots[name][:, at]
    _write_csv(path, list(columns), [column.tolist() for column in columns.values()])


def _write_csv(path: Path, header: list[str], columns: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))


@dataclass(frozen=True, eq=False)
class RunFiles:
    """What `compare` needs of a run directory."""

    name: str
    """Name of the directory, without the path to it."""
    summary: Summary
    series: dict[str, I64]
    """Columns of series.csv."""
    gangs: tuple[str, ...]
    """Gangs in the order of gangs.csv."""
    start_us: I64
    """[G] start of each gang, or -1."""


def read_run(path: Path) -> RunFiles:
    """Read a run directory. Raises BadInputError naming the file (and line) that is wrong."""
    summary = _read_summary(path / SUMMARY)
    series_file = CsvFile(path / SERIES)
    series = series_file.read(dict.fromkeys(series_file.columns, Integer(0, INT64_MAX)))
    series_file.require(SERIES_NEEDED)
    gangs = CsvFile(path / GANGS).read(
        {"gang": Text(filled=True), "start_us": Integer(0, INT64_MAX, empty=-1)}
    )
    return RunFiles(
        name=path.resolve().name,
        summary=summary,
        series=series.numbers,
        gangs=tuple(gangs.text["gang"]),
        start_us=gangs.numbers["start_us"],
    )


def _read_summary(path: Path) -> Summary:
    try:
        summary = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise BadInputError(path, None, what, "name a directory that replay wrote") from error
    except msgspec.DecodeError as error:
        raise BadInputError(path, None, f"is not JSON: {error}", "run the replay again") from error
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version != SCHEMA_VERSION:
        what = f"has schema_version {version}, this version reads {SCHEMA_VERSION}"
        raise BadInputError(path, None, what, "run the replay again")
    try:
        msgspec.convert(summary, SummaryFile)
    except msgspec.ValidationError as error:
        what = f"is not the summary of a run: {error}"
        raise BadInputError(path, None, what, "run the replay again") from error
    return dict(summary)
