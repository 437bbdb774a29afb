"""openb (cluster-trace-gpu-v2023, ATC'23): pods that share GPUs, on nodes of seven GPU models.

Reads sn,cpu_milli,memory_mib,gpu,model and name,cpu_milli,memory_mib,num_gpu,gpu_milli,
gpu_spec,..,creation_time,deletion_time,scheduled_time (seconds); some pod lists have no gpu_spec.
Every pod is a gang of one, whatever its phase: the published experiment draws from all of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scheduler.errors import BadInputError
from scheduler.replay.hosts import PODS
from scheduler.replay.importers.jobs import Jobs, Member
from scheduler.replay.importers.rows import (
    SECOND,
    CsvTable,
    MalformedError,
    RowSource,
    filled,
    source,
    whole,
)
from scheduler.replay.trace import WHOLE_GPU, NodeColumns, Trace, column, sort_nodes

POOL = "openb"
LICENCE = "Alibaba Cluster Trace Program: for research and study; see the data set's terms"

_MIB = 2**20
_MOST_CPU = 10**7
_MOST_MIB = 2**33
_MOST_GPUS = 64
_LATEST = 10**9 - 1

_NODES = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_PODS = (
    *("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"),
    *("creation_time", "deletion_time", "scheduled_time"),
)
_SPEC = "gpu_spec"


def import_openb(nodes: Path, pods: Path, *, skip_bad: bool = False) -> Trace:
    """The trace of a node list and a pod list.

    A pod runs from scheduled_time to deletion_time, from creation_time if it was never
    scheduled, to the latest time of the list if it was not deleted. Raises BadInputError for a
    malformed row, unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    cluster = _nodes(rows, nodes)
    table = CsvTable(pods)
    columns = (*_PODS, _SPEC) if table.has(_SPEC) else _PODS
    kept = _Pods()
    rows.table(table, columns, kept.take)
    gangs, shapes = kept.jobs.columns()
    lasted = [(end if end >= 0 else kept.latest) - start for start, end in kept.times]
    return Trace(
        name="openb",
        source=source("alibaba/clusterdata cluster-trace-gpu-v2023", nodes, pods),
        licence=LICENCE,
        levels=(),
        nodes=cluster,
        gangs=replace(gangs, duration_us=column(max(s, 0) * SECOND for s in lasted)),
        rows=replace(shapes, memory_bytes=column(kept.memory)),
        dropped_rows=dict(rows.dropped),
    )


def _nodes(rows: RowSource, path: Path) -> NodeColumns:
    line_of: dict[str, int] = {}
    models: list[str] = []
    cpu, memory, gpu = array("q"), array("q"), array("q")

    def take(line: int, cells: Sequence[str]) -> str:
        name = filled("sn", cells[0])
        cpu_milli = whole("cpu_milli", cells[1], _MOST_CPU)
        mib, gpus = whole("memory_mib", cells[2], _MOST_MIB), whole("gpu", cells[3], _MOST_GPUS)
        model = filled("model", cells[4]) if gpus else cells[4]
        if name in line_of:
            what = f"sn {name} stands on line {line_of[name]} already"
            raise MalformedError("bad_duplicate", what, "remove one of the rows, or rename it")
        line_of[name] = line
        models.append(model)
        for values, value in ((cpu, cpu_milli), (memory, mib * _MIB), (gpu, gpus)):
            values.append(value)
        return ""

    table = CsvTable(path)
    rows.table(table, _NODES, take)
    if not line_of:
        raise BadInputError(path, table.header_line, "has no nodes", "give the whole file")
    return sort_nodes(
        NodeColumns(
            names=tuple(line_of),
            pool=(POOL,) * len(line_of),
            model=tuple(models),
            cpu_milli=column(cpu),
            memory_bytes=column(memory),
            gpu=column(gpu),
            pods=column([PODS] * len(line_of)),
        )
    )


class _Pods:
    """The pods while they come in."""

    def __init__(self) -> None:
        self.jobs = Jobs("name")
        self.memory = array("q")
        self.times: list[tuple[int, int]] = []
        """(start, end) in seconds; end -1 = not deleted."""
        self.latest = 0

    def take(self, line: int, cells: Sequence[str]) -> str:
        """One row of the pod list; its last cell is gpu_spec, where the list has one."""
        name, cpu, mib, num_gpu, milli, created, deleted, scheduled = cells[: len(_PODS)]
        member = _member(cpu, num_gpu, milli, "".join(cells[len(_PODS) :]))
        memory = whole("memory_mib", mib, _MOST_MIB) * _MIB
        at = whole("creation_time", created, _LATEST)
        start = whole("scheduled_time", scheduled, _LATEST, empty=at)
        end = whole("deletion_time", deleted, _LATEST) if deleted else -1
        if 0 <= end < start:
            what = f"deletion_time is {end}, before the pod began at {start}"
            raise MalformedError("bad_time", what, "correct one of the times")
        self.jobs.add(line, filled("name", name), POOL, at * SECOND, 0, (member,))
        self.memory.append(memory)
        self.times.append((start, end))
        self.latest = max(self.latest, start, end)
        return ""


def _member(cpu: str, num_gpu: str, gpu_milli: str, spec: str) -> Member:
    gpus = whole("num_gpu", num_gpu, _MOST_GPUS)
    milli = whole("gpu_milli", gpu_milli, WHOLE_GPU)
    if (gpus > 0) != (milli > 0) or (gpus > 1 and milli < WHOLE_GPU):
        what = f"num_gpu is {gpus} but gpu_milli is {milli}"
        do = "gpu_milli is 1000 for whole GPUs, less for a share of one, 0 without a GPU"
        raise MalformedError("bad_gpu", what, do)
    if spec and not all(spec.split("|")):
        what = f"gpu_spec is {spec!r}"
        raise MalformedError("bad_gpu_spec", what, "join the names of models by |")
    return Member(1, gpus, whole("cpu_milli", cpu, _MOST_CPU), milli, shape="pod", model=spec)
