"""AcmeTrace (Shanghai AI Laboratory, NSDI'24): trace_seren.csv and trace_kalos.csv, a row per job.

Run time is end_time - start_time: the `duration` of trace_kalos.csv counts from submission.
Only GPUs count: requests for CPU and memory are 0. Jobs of every final state are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scheduler.replay.hosts import GPUS, hosts
from scheduler.replay.importers.jobs import Jobs, split
from scheduler.replay.importers.rows import (
    CsvTable,
    MalformedError,
    RowSource,
    filled,
    moment,
    source,
    whole,
)
from scheduler.replay.trace import Trace

POOL = "acme"

_COLUMNS = ("job_id", "node_num", "gpu_num", "submit_time", "start_time", "end_time")


def import_acme(
    jobs: Path, nodes: int, gpus_per_node: int = GPUS, *, skip_bad: bool = False
) -> Trace:
    """The GPU jobs of `jobs` on `nodes` equal nodes; the earliest job comes at 0.

    Raises BadInputError for a malformed row, unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    kept = Jobs()

    def take(line: int, cells: Sequence[str]) -> str:
        return _take(kept, gpus_per_node, line, cells)

    rows.table(CsvTable(jobs), _COLUMNS, take)
    gangs, shape_rows = kept.columns(from_first=True)
    return Trace(
        name=jobs.stem,
        source=source("InternLM/AcmeTrace", jobs),
        licence="CC-BY-4.0",
        levels=(),
        nodes=hosts([f"node-{at}" for at in range(nodes)], [POOL] * nodes, gpus=gpus_per_node),
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )


def _take(kept: Jobs, gpus_per_node: int, line: int, cells: Sequence[str]) -> str:
    key, on_nodes, gpu_num, submit, start, end = cells
    gpus = whole("gpu_num", gpu_num, empty=0)
    wanted_nodes = whole("node_num", on_nodes, empty=0)
    submit_us = moment("submit_time", submit)
    if gpus == 0:
        return "no_gpu"
    if not start:
        return "never_ran"
    if not end:
        return "still_running"
    duration_us = moment("end_time", end) - moment("start_time", start)
    if duration_us < 0:
        what = f"end_time is {end}, before start_time"
        raise MalformedError("bad_time", what, "correct the times")
    if duration_us == 0:
        return "zero_duration"
    members = split(gpus, gpus_per_node, wanted_nodes)
    kept.add(line, filled("job_id", key), POOL, submit_us, duration_us, members)
    return ""
