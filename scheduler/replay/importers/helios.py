"""Helios (SenseTime, SC'21): a job log per cluster, one pool and queue per virtual cluster.

Reads the canonical slice job_id,..,tenant,..,submit_time (us),num_chips,..,num_nodes,
duration_s. More than 8 GPUs = num_chips / 8 members of 8 GPUs, else one member. Only GPUs
count: requests for CPU and memory are 0. Jobs of every final status are kept.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from scheduler.errors import BadInputError
from scheduler.replay.csv_columns import Columns, CsvFile, Integer, Kind, Text
from scheduler.replay.hosts import GPUS, hosts
from scheduler.replay.trace import WHOLE_GPU, GangColumns, ShapeRows, Trace, column

_SECOND = 1_000_000
_LONGEST_US = 10**15

_POOLS_COMMENT = "per-VC pool sizes"
_POOL = re.compile(r"([^\s,=:]+)=([0-9]+)")

NO_GPU = "no_gpu"
ZERO_DURATION = "zero_duration"
UNKNOWN_POOL = "unknown_pool"
UNEVEN_GPUS = "uneven_gpus"
"""More than 8 GPUs that neither whole nodes nor equal parts on num_nodes make up."""

_KINDS: dict[str, Kind] = {
    "job_id": Text(filled=True, keys=True),
    "tenant": Text(filled=True),
    "submit_time": Integer(0, _LONGEST_US),
    "num_chips": Integer(0, 10**6, empty=0),
    "num_nodes": Integer(0, 10**6, empty=0),
    "duration_s": Text(filled=True),
}


def import_helios(jobs: Path, pools: Mapping[str, int] | None = None) -> Trace:
    """The trace of job log `jobs`; `pools` maps a tenant to its number of 8-GPU nodes.

    Without `pools` the sizes come from the log's `# per-VC pool sizes` line. Jobs of tenants
    without nodes, without GPUs, without run time, or with GPUs that cannot be spread evenly
    are dropped and counted. Raises BadInputError for a malformed row.
    """
    file = CsvFile(jobs)
    nodes_of = dict(pools) if pools else _published_pools(file)
    got = file.read(_KINDS)
    got.check_distinct("job_id")
    duration_us = [_microseconds(got, row, s) for row, s in enumerate(got.text["duration_s"])]
    kept, members, gpu, dropped = _members(got, nodes_of, duration_us)
    names = [f"{pool}-{at}" for pool, count in nodes_of.items() for at in range(count)]
    node_pools = [pool for pool, count in nodes_of.items() for _ in range(count)]
    gangs, rows = _columns(got, kept, members, gpu, duration_us)
    return Trace(
        name="helios",
        source=_source(file),
        licence=_comment(file, "license:") or "unknown: see the publisher of the job log",
        levels=(),
        nodes=hosts(names, node_pools),
        gangs=gangs,
        rows=rows,
        dropped_rows=dict(dropped),
    )


def _published_pools(file: CsvFile) -> dict[str, int]:
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


def _microseconds(got: Columns, row: int, text: str) -> int:
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal("NaN")
    if not seconds.is_finite() or not 0 <= seconds <= _LONGEST_US // _SECOND:
        got.fail(row, f"duration_s is {text!r}", "give seconds, 0 or more")
    return int((seconds * _SECOND).to_integral_value())


def _members(
    got: Columns, nodes_of: Mapping[str, int], duration_us: list[int]
) -> tuple[list[int], list[int], list[int], Counter[str]]:
    """Rows that are kept, with members and GPUs of each member; dropped rows by reason."""
    kept: list[int] = []
    members: list[int] = []
    gpus: list[int] = []
    dropped: Counter[str] = Counter()
    chips, nodes = got.numbers["num_chips"].tolist(), got.numbers["num_nodes"].tolist()
    for row, tenant in enumerate(got.text["tenant"]):
        count, gpu = _split(chips[row], nodes[row])
        if tenant not in nodes_of:
            dropped[UNKNOWN_POOL] += 1
        elif chips[row] == 0:
            dropped[NO_GPU] += 1
        elif duration_us[row] == 0:
            dropped[ZERO_DURATION] += 1
        elif count == 0:
            dropped[UNEVEN_GPUS] += 1
        else:
            kept.append(row)
            members.append(count)
            gpus.append(gpu)
    return kept, members, gpus, dropped


def _split(chips: int, nodes: int) -> tuple[int, int]:
    """(members, GPUs of each), or (0, 0) if the GPUs cannot be spread evenly."""
    if chips <= GPUS:
        return 1, chips
    if chips % GPUS == 0:
        return chips // GPUS, GPUS
    if nodes and chips % nodes == 0 and chips // nodes <= GPUS:
        return nodes, chips // nodes
    return 0, 0


def _columns(
    got: Columns, kept: list[int], members: list[int], gpu: list[int], duration_us: list[int]
) -> tuple[GangColumns, ShapeRows]:
    count = len(kept)
    zeros = column(np.zeros(count, np.int64))
    gangs = GangColumns(
        keys=tuple(got.text["job_id"][row] for row in kept),
        pool=tuple(got.text["tenant"][row] for row in kept),
        submit_us=column(got.numbers["submit_time"][np.array(kept, np.int64)]),
        duration_us=column(duration_us[row] for row in kept),
        priority=zeros,
        minimum=column(members),
        segment_size=zeros,
        required=("",) * count,
        preferred=("",) * count,
        offset=column(np.arange(count + 1)),
    )
    rows = ShapeRows(
        gang=column(np.arange(count)),
        shape=("worker",) * count,
        count=column(members),
        cpu_milli=zeros,
        memory_bytes=zeros,
        gpu=column(gpu),
        gpu_milli=column(np.full(count, WHOLE_GPU)),
        model=("",) * count,
    )
    return gangs, rows


def _comment(file: CsvFile, key: str) -> str:
    found = (text[len(key) :].strip() for text in file.comments if text.startswith(key))
    return next(found, "")


def _source(file: CsvFile) -> str:
    digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
    told = _comment(file, "source:") or "Helios job log"
    return f"{told}; {file.path.name} sha256 {digest}"
