"""Philly (Microsoft, ATC'19) as parsed for Pollux (OSDI'21), one pool per virtual cluster.

The job file is timestamp,duration,num_gpus,..,cluster: a row per job, without a name, so the
gang is called after its line. The file of virtual clusters is `vc,node num`, nodes of 8 GPUs.
Only GPUs count: requests for CPU and memory are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scheduler.errors import BadInputError
from scheduler.replay.hosts import GPUS, hosts
from scheduler.replay.importers.jobs import Jobs, split
from scheduler.replay.importers.rows import (
    CsvTable,
    MalformedError,
    RowSource,
    filled,
    moment,
    seconds,
    source,
    whole,
)
from scheduler.replay.trace import Trace

_JOBS = ("timestamp", "duration", "num_gpus", "cluster")
_NODES = ("vc", "node num")


def import_philly(jobs: Path, vc_nodes: Path, *, skip_bad: bool = False) -> Trace:
    """The jobs of `jobs` on the virtual clusters of `vc_nodes`; the earliest job comes at 0.

    Raises BadInputError for a malformed row, unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    nodes_of = _virtual_clusters(rows, vc_nodes)
    kept = Jobs("row")

    def take(line: int, cells: Sequence[str]) -> str:
        when, duration, num_gpus, pool = cells
        submit_us, duration_us = moment("timestamp", when), seconds("duration", duration)
        gpus = whole("num_gpus", num_gpus)
        if filled("cluster", pool) not in nodes_of:
            return "unknown_pool"
        if gpus == 0:
            return "no_gpu"
        if duration_us == 0:
            return "zero_duration"
        kept.add(line, f"line-{line}", pool, submit_us, duration_us, split(gpus, GPUS))
        return ""

    rows.table(CsvTable(jobs), _JOBS, take)
    gangs, shape_rows = kept.columns(from_first=True)
    names = [f"{pool}-{at}" for pool, count in nodes_of.items() for at in range(count)]
    pools = [pool for pool, count in nodes_of.items() for _ in range(count)]
    return Trace(
        name="philly",
        source=source("msr-fiddle/philly-traces, parsed for Pollux", jobs, vc_nodes),
        licence="CC-BY-4.0",
        levels=(),
        nodes=hosts(names, pools),
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )


def _virtual_clusters(rows: RowSource, path: Path) -> dict[str, int]:
    nodes_of: dict[str, int] = {}

    def take(_line: int, cells: Sequence[str]) -> str:
        pool, count = filled("vc", cells[0]), whole("node num", cells[1])
        if pool in nodes_of:
            what = f"vc {pool} has a row further up already"
            raise MalformedError("bad_duplicate", what, "remove one of the rows")
        nodes_of[pool] = count
        return ""

    table = CsvTable(path)
    rows.table(table, _NODES, take)
    if not any(nodes_of.values()):
        what = "has no virtual cluster with nodes"
        raise BadInputError(path, table.header_line, what, "give the whole file")
    return nodes_of
