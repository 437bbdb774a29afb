"""Helios (SenseTime, SC'21): a job log per cluster, one pool and queue per virtual cluster.

Reads the canonical slice job_id,..,tenant,..,submit_time (us),num_chips,..,num_nodes,
duration_s. More than 8 GPUs = num_chips / 8 members of 8 GPUs, else one member. Only GPUs
count: requests for CPU and memory are 0. Jobs of every final status are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from scheduler.errors import BadInputError
from scheduler.replay.hosts import GPUS, hosts
from scheduler.replay.importers.jobs import Jobs, Member
from scheduler.replay.importers.rows import CsvTable, RowSource, filled, seconds, source, whole
from scheduler.replay.trace import Trace

_LONGEST_US = 10**15

_POOLS_COMMENT = "per-VC pool sizes"
_POOL = re.compile(r"([^\s,=:]+)=([0-9]+)")

NO_GPU = "no_gpu"
ZERO_DURATION = "zero_duration"
UNKNOWN_POOL = "unknown_pool"
UNEVEN_GPUS = "uneven_gpus"
"""More than 8 GPUs that neither whole nodes nor equal parts on num_nodes make up."""

_COLUMNS = ("job_id", "tenant", "submit_time", "num_chips", "num_nodes", "duration_s")


def import_helios(
    jobs: Path, pools: Mapping[str, int] | None = None, *, skip_bad: bool = False
) -> Trace:
    """The trace of job log `jobs`; `pools` maps a tenant to its number of 8-GPU nodes.

    Without `pools` the sizes come from the log's `# per-VC pool sizes` line. Jobs of tenants
    without nodes, without GPUs, without run time, or with GPUs that cannot be spread evenly
    are dropped and counted. Raises BadInputError for a malformed row, unless `skip_bad`: then
    it is counted.
    """
    file = CsvTable(jobs)
    nodes_of = dict(pools) if pools else _published_pools(file)
    rows = RowSource(skip_bad=skip_bad)
    kept = Jobs()

    def take(line: int, cells: Sequence[str]) -> str:
        return _take(kept, nodes_of, line, cells)

    rows.table(file, _COLUMNS, take)
    names = [f"{pool}-{at}" for pool, count in nodes_of.items() for at in range(count)]
    node_pools = [pool for pool, count in nodes_of.items() for _ in range(count)]
    gangs, shape_rows = kept.columns()
    return Trace(
        name="helios",
        source=source(_comment(file, "source:") or "Helios job log", jobs),
        licence=_comment(file, "license:") or "unknown: see the publisher of the job log",
        levels=(),
        nodes=hosts(names, node_pools),
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )


def _published_pools(file: CsvTable) -> dict[str, int]:
    for comment in file.comments:
        if comment.startswith(_POOLS_COMMENT):
            sizes = {name: int(count) for name, count in _POOL.findall(comment)}
            if sizes:
                return sizes
    raise BadInputError(
        file.path,
        None,
        f"has no `# {_POOLS_COMMENT}` line",
        "give the nodes of each virtual cluster with --pool NAME=NODES",
    )


def _take(kept: Jobs, nodes_of: Mapping[str, int], line: int, cells: Sequence[str]) -> str:
    key, tenant, submit, num_chips, num_nodes, duration = cells
    submit_us = whole("submit_time", submit, _LONGEST_US)
    chips = whole("num_chips", num_chips, empty=0)
    count, gpu = _split(chips, whole("num_nodes", num_nodes, empty=0))
    duration_us = seconds("duration_s", duration)
    kept.check_new(filled("job_id", key))
    if filled("tenant", tenant) not in nodes_of:
        return UNKNOWN_POOL
    if chips == 0:
        return NO_GPU
    if duration_us == 0:
        return ZERO_DURATION
    if count == 0:
        return UNEVEN_GPUS
    kept.add(line, key, tenant, submit_us, duration_us, (Member(count, gpu),))
    return ""


def _split(chips: int, nodes: int) -> tuple[int, int]:
    """(members, GPUs of each), or (0, 0) if the GPUs cannot be spread evenly."""
    if chips <= GPUS:
        return 1, chips
    if chips % GPUS == 0:
        return chips // GPUS, GPUS
    if nodes and chips % nodes == 0 and chips // nodes <= GPUS:
        return nodes, chips // nodes
    return 0, 0


def _comment(file: CsvTable, key: str) -> str:
    found = (text[len(key) :].strip() for text in file.comments if text.startswith(key))
    return next(found, "")
