"""SWF, the Standard Workload Format of the Parallel Workloads Archive: a line per job.

Whitespace-separated fields; read are 1 job number, 2 submit time, 4 run time, 5 allocated and
8 requested processors, 11 status. -1 means missing, `;` begins a comment. A processor counts as
one device of its node, so that allocation and load are those of processors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from scheduler.replay.hosts import hosts
from scheduler.replay.importers.jobs import Jobs, split
from scheduler.replay.importers.rows import (
    MalformedError,
    Record,
    RowSource,
    decoded,
    filled,
    seconds,
    source,
    whole,
)
from scheduler.replay.trace import Trace

POOL = "swf"
LICENCE = "see the header of the log; logs of the Parallel Workloads Archive name their owners"

_FIELDS = 18
_MISSING = "-1"
_PARTIAL = frozenset("234")
"""Status of a part of a job that was swapped out; the whole job has a line of its own."""


def import_swf(jobs: Path, nodes: int, procs_per_node: int = 1, *, skip_bad: bool = False) -> Trace:
    """The jobs of log `jobs` on `nodes` equal nodes of `procs_per_node` processors.

    Raises BadInputError for a malformed line, unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    kept = Jobs("job number")

    def take(line: int, cells: Sequence[str]) -> str:
        return _take(kept, procs_per_node, line, cells)

    rows.each(jobs, _records(jobs), take)
    gangs, shape_rows = kept.columns()
    return Trace(
        name=jobs.stem,
        source=source("SWF log", jobs),
        licence=LICENCE,
        levels=(),
        nodes=hosts([f"node-{at}" for at in range(nodes)], [POOL] * nodes, gpus=procs_per_node),
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )


def _records(path: Path) -> Iterator[Record]:
    # Comments name people and places in whatever encoding the site used.
    for line, text in decoded(path, errors="replace"):
        if isinstance(text, MalformedError):
            yield line, text
            continue
        cells = text.split()
        if not cells or cells[0].startswith(";"):
            continue
        if len(cells) < _FIELDS:
            what = f"has {len(cells)} fields, the format has {_FIELDS}"
            yield line, MalformedError("bad_columns", what, "complete the line or remove it")
        else:
            yield line, cells


def _take(kept: Jobs, procs_per_node: int, line: int, cells: Sequence[str]) -> str:
    submit, run, processors = cells[1], cells[3], cells[7]
    if cells[10] in _PARTIAL:
        return "partial_execution"
    if processors in {_MISSING, "0"}:
        processors = cells[4]
    if processors in {_MISSING, "0"}:
        return "no_processors"
    if submit == _MISSING:
        return "no_submit_time"
    if run == _MISSING:
        return "no_run_time"
    submit_us, run_us = seconds("submit time", submit), seconds("run time", run)
    wanted = whole("processors", processors)
    if run_us == 0:
        return "zero_duration"
    key = filled("job number", cells[0])
    kept.add(line, key, POOL, submit_us, run_us, split(wanted, procs_per_node))
    return ""
