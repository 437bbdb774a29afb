"""Lingjun (Alibaba, 2023): the Clos fabric of a GPU cluster, one row per host.

topo.csv is ip,DSW,PSW,ASW. Spine = PSW, leaf = ASW under its PSW: leaf names come again under
other spines. A level `core` (DSW) is added only where the file has more than one of them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from scheduler.replay.csv_columns import CsvFile, Text
from scheduler.replay.hosts import GPUS, hosts
from scheduler.replay.trace import GangColumns, ShapeRows, Trace, column

_FIELDS = ("ip", "DSW", "PSW", "ASW")

POOL = "lingjun"


def import_lingjun(topo: Path, gpus_per_node: int = GPUS) -> Trace:
    """The hosts of `topo` with `gpus_per_node` GPUs each (the file gives none); no gangs.

    Raises BadInputError for a malformed row, an empty switch, or a host that comes twice.
    """
    file = CsvFile(topo)
    got = file.read(dict.fromkeys(_FIELDS, Text(filled=True)))
    got.check_distinct("ip")
    if not got.rows:
        file.fail_header("has no hosts", "give the whole topo.csv")
    names = {"spine": got.text["PSW"], "leaf": got.text["ASW"]}
    if len(set(got.text["DSW"])) > 1:
        names = {"core": got.text["DSW"], **names}
    digest = hashlib.sha256(topo.read_bytes()).hexdigest()
    gangs, rows = _no_gangs()
    return Trace(
        name="lingjun-2023",
        source=f"alibaba/alibaba-lingjun-dataset-2023; {topo.name} sha256 {digest}",
        licence="Apache-2.0",
        levels=tuple(names),
        nodes=hosts(got.text["ip"], [POOL] * got.rows, list(names.values()), gpus=gpus_per_node),
        gangs=gangs,
        rows=rows,
    )


def _no_gangs() -> tuple[GangColumns, ShapeRows]:
    none = column(np.zeros(0, np.int64))
    gangs = GangColumns((), (), none, none, none, none, none, (), (), column(np.zeros(1, np.int64)))
    return gangs, ShapeRows(none, (), none, none, none, none, none, ())
