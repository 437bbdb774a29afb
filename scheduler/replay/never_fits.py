"""Which gangs could never start, not even on the empty cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler import kernel
from scheduler.model.arrays import frozen
from scheduler.model.pending import NO_DOMAIN, NO_PIN, NO_ROW, Pending
from scheduler.model.plan import Verdict
from scheduler.model.policy import Policy
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from scheduler.replay.workload import Workload


def fits_empty(empty: Snapshot, tree: kernel.Tree, workload: Workload) -> npt.NDArray[np.bool_]:
    """bool[G]: False where Muster's placement proves that the empty cluster is too small.

    Gangs alike in shapes, minimum, level and segments are asked about once.
    """
    gangs = workload.trace.gangs
    known: dict[tuple[object, ...], bool] = {}
    fits = np.ones(len(gangs), np.bool_)
    for gang in range(len(gangs)):
        key = (
            workload.composition(gang), int(gangs.minimum[gang]),
            int(workload.required[gang]), int(gangs.segment_size[gang]),
        )  # fmt: skip
        if key not in known:
            pending = _alone(workload, gang)
            decided = plan(empty, pending, Policy(explain=False), 0, tree=tree)
            known[key] = decided.verdict[0] != Verdict.DOES_NOT_FIT
        fits[gang] = known[key]
    return fits


def _alone(workload: Workload, gang: int) -> Pending:
    """A queue of this one gang."""
    entry = workload.entry(gang, 0, sjf=False)

    def one(value: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
        return frozen(np.array([value], dtype))

    def each(value: int) -> npt.NDArray[np.int32]:
        return frozen(np.full(entry.count, value, np.int32))

    return Pending(
        key=(entry.key,),
        name=(entry.name,),
        offset=frozen(np.array([0, entry.count], np.int64)),
        minimum=one(entry.minimum, np.int32),
        required=one(entry.required, np.int8),
        preferred=one(entry.preferred, np.int8),
        segment_size=one(entry.segment_size, np.int32),
        segment_level=one(entry.segment_level, np.int8),
        home=one(NO_DOMAIN, np.int32),
        single=one(int(entry.single), np.uint8),
        repair=one(0, np.uint8),
        priority=one(entry.priority, np.int32),
        ready_us=one(0, np.int64),
        expected_us=one(0, np.int64),
        pool=one(entry.pool, np.int32),
        rank=frozen(entry.rank_column()),
        shape=frozen(entry.shape_column()),
        held_row=each(NO_ROW),
        pin=each(NO_PIN),
    )
