"""Alibaba cluster-trace-v2026-spot-gpu (ASPLOS'26): jobs of workers on nodes of six GPU models.

node_info_df.csv names each node's GPU model, GPUs and vCPUs; job_info_df.csv gives a job's
workers, the request of each, and seconds from the first submission. No memory is published:
requests are 0. High-priority jobs have priority 1, spot jobs 0.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

from scheduler.errors import BadInputError
from scheduler.replay.hosts import MEMORY_BYTES, PODS
from scheduler.replay.importers.jobs import Jobs, Member
from scheduler.replay.importers.rows import (
    CsvTable,
    MalformedError,
    RowSource,
    decimal,
    filled,
    seconds,
    source,
    whole,
)
from scheduler.replay.trace import WHOLE_GPU, NodeColumns, Trace, column, sort_nodes

POOL = "spot"
LICENCE = "terms of alibaba/clusterdata: research and study"

_NODES = ("node_name", "gpu_model", "gpu_capacity_num", "cpu_num")
_JOBS = (
    *("job_name", "gpu_model", "cpu_request", "gpu_request", "worker_num"),
    *("submit_time", "duration", "job_type"),
)
_PRIORITY = {"HP": 1, "Spot": 0}
_MOST = 10**6


def import_spot(jobs: Path, nodes: Path, *, skip_bad: bool = False) -> Trace:
    """The GPU jobs of job_info_df.csv on the nodes of node_info_df.csv.

    Raises BadInputError for a malformed row, unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    cluster = _nodes(rows, nodes)
    models = frozenset(cluster.model)
    kept = Jobs("job_name")

    def take(line: int, cells: Sequence[str]) -> str:
        return _take(kept, models, line, cells)

    rows.table(CsvTable(jobs), _JOBS, take)
    gangs, shape_rows = kept.columns()
    return Trace(
        name="spot-gpu-v2026",
        source=source("alibaba/clusterdata cluster-trace-v2026-spot-gpu", jobs, nodes),
        licence=LICENCE,
        levels=(),
        nodes=cluster,
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )


def _nodes(rows: RowSource, path: Path) -> NodeColumns:
    seen: dict[str, int] = {}
    models: list[str] = []
    gpu, cpu_milli = array("q"), array("q")

    def take(line: int, cells: Sequence[str]) -> str:
        name, model = filled("node_name", cells[0]), filled("gpu_model", cells[1])
        gpus = whole("gpu_capacity_num", cells[2])
        cpus = decimal("cpu_num", cells[3], "vCPUs", _MOST)
        if name in seen:
            what = f"node_name {name} stands on line {seen[name]} already"
            raise MalformedError("bad_duplicate", what, "remove one of the rows, or rename it")
        seen[name] = line
        models.append(model)
        gpu.append(gpus)
        cpu_milli.append(int(cpus * 1000))
        return ""

    table = CsvTable(path)
    rows.table(table, _NODES, take)
    if not seen:
        raise BadInputError(path, table.header_line, "has no nodes", "give the whole file")
    count = len(seen)
    return sort_nodes(
        NodeColumns(
            names=tuple(seen),
            pool=(POOL,) * count,
            model=tuple(models),
            cpu_milli=column(cpu_milli),
            memory_bytes=column([MEMORY_BYTES] * count),
            gpu=column(gpu),
            pods=column([PODS] * count),
        )
    )


def _take(kept: Jobs, models: frozenset[str], line: int, cells: Sequence[str]) -> str:
    key, model, cpu, gpu, workers, submit, duration, kind = cells
    cpu_milli = int(decimal("cpu_request", cpu, "vCPUs of a worker", _MOST) * 1000)
    milli = int(decimal("gpu_request", gpu, "GPUs of a worker", _MOST) * WHOLE_GPU)
    count = whole("worker_num", workers)
    submit_us, duration_us = seconds("submit_time", submit), seconds("duration", duration)
    if kind not in _PRIORITY:
        do = f"write {' or '.join(_PRIORITY)}"
        raise MalformedError("bad_job_type", f"job_type is {kind!r}", do)
    if milli == 0:
        return "no_gpu"
    if count == 0:
        return "no_workers"
    if duration_us == 0:
        return "zero_duration"
    if model and model not in models:
        return "unknown_model"
    if milli > WHOLE_GPU and milli % WHOLE_GPU:
        return "uneven_gpus"
    gpus = max(milli // WHOLE_GPU, 1)
    member = Member(count, gpus, cpu_milli, min(milli, WHOLE_GPU), model=model)
    pool, priority = POOL, _PRIORITY[kind]
    kept.add(line, filled("job_name", key), pool, submit_us, duration_us, (member,), priority)
    return ""
