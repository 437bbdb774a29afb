"""Lingjun (Alibaba, 2023): the Clos fabric of a GPU cluster, one row per host, and its jobs.

topo.csv is ip,DSW,PSW,ASW. Spine = PSW, leaf = ASW under its PSW: leaf names come again under
other spines. A level `core` (DSW) is added only where the file has more than one of them. The
jobs, with the hosts their workers ran on, are read by `lingjun_jobs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import BadInputError
from scheduler.model.names import natural_key
from scheduler.replay.hosts import GPUS, hosts
from scheduler.replay.importers.jobs import Jobs
from scheduler.replay.importers.lingjun_jobs import read_jobs
from scheduler.replay.importers.rows import CsvTable, MalformedError, RowSource, filled, source
from scheduler.replay.recorded import Recorded
from scheduler.replay.trace import NodeColumns, Trace

_FIELDS = ("ip", "DSW", "PSW", "ASW")

POOL = "lingjun"
SOURCE = "alibaba/alibaba-lingjun-dataset-2023"
LICENCE = "Apache-2.0"


def import_lingjun(topo: Path, gpus_per_node: int = GPUS, *, skip_bad: bool = False) -> Trace:
    """The hosts of `topo` with `gpus_per_node` GPUs each (the file gives none); no gangs.

    Raises BadInputError for a malformed row, an empty switch, or a host that comes twice,
    unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    fabric = _fabric(rows, topo)
    gangs, shape_rows = Jobs().columns()
    return Trace(
        name="lingjun-2023",
        source=source(SOURCE, topo),
        licence=LICENCE,
        levels=fabric.levels,
        nodes=fabric.nodes((), gpus_per_node),
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )


def import_lingjun_jobs(
    topo: Path, jobs: Path, workers: Path, gpus_per_node: int = GPUS, *, skip_bad: bool = False
) -> tuple[Trace, list[Recorded]]:
    """The fabric with its jobs as gangs, and where and when each member ran.

    Hosts that only worker.csv names are nodes without a switch. Raises BadInputError for a
    malformed row, unless `skip_bad`: then it is counted.
    """
    rows = RowSource(skip_bad=skip_bad)
    fabric = _fabric(rows, topo)
    kept, recorded = read_jobs(rows, jobs, workers, POOL)
    gangs, shape_rows = kept.columns()
    elsewhere = {one.node for one in recorded} - fabric.switches.keys()
    trace = Trace(
        name="lingjun-2023-jobs",
        source=source(SOURCE, topo, jobs, workers),
        licence=LICENCE,
        levels=fabric.levels,
        nodes=fabric.nodes(sorted(elsewhere, key=natural_key), gpus_per_node),
        gangs=gangs,
        rows=shape_rows,
        dropped_rows=dict(rows.dropped),
    )
    return trace, recorded


@dataclass(frozen=True, slots=True)
class _Fabric:
    levels: tuple[str, ...]
    switches: dict[str, tuple[str, ...]]
    """Host -> a switch per level, root first."""

    def nodes(self, without_switch: Sequence[str], gpus: int) -> NodeColumns:
        names = (*self.switches, *without_switch)
        none = ("",) * len(self.levels)
        labels = [self.switches.get(name, none) for name in names]
        return hosts(names, [POOL] * len(names), list(zip(*labels, strict=True)), gpus=gpus)


def _fabric(rows: RowSource, topo: Path) -> _Fabric:
    line_of: dict[str, int] = {}
    switches: dict[str, tuple[str, ...]] = {}

    def take(line: int, cells: Sequence[str]) -> str:
        host, *above = (filled(name, cell) for name, cell in zip(_FIELDS, cells, strict=True))
        if host in line_of:
            what = f"ip {host} stands on line {line_of[host]} already"
            raise MalformedError("bad_duplicate", what, "remove one of the rows, or rename it")
        line_of[host] = line
        switches[host] = tuple(above)
        return ""

    table = CsvTable(topo)
    rows.table(table, _FIELDS, take)
    if not switches:
        raise BadInputError(topo, table.header_line, "has no hosts", "give the whole topo.csv")
    if len({above[0] for above in switches.values()}) > 1:
        return _Fabric(("core", "spine", "leaf"), switches)
    return _Fabric(("spine", "leaf"), {host: above[1:] for host, above in switches.items()})
