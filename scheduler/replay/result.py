"""What a replay leaves behind: the contract between the simulator and everything that reads it.

    gangs (trace order)   g0         g1    g2          member ranks of g1: row[offset[1]:offset[2]]
    offset                0          3     4      6
    row                   5  6  7    2     -1 -1       -1 = that rank was never placed
    start_us / end_us     10 / 90    20/35 -1 / -1

    cycles                t0     t1        t2          what held from time_us[t] to time_us[t + 1]
    waiting_gangs         2      1         1

Columns only: a run of 1,000,000 members is one array of rows, not an object per member.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I8, I32, I64
from scheduler.model.topology import Topology
from scheduler.replay.trace import Trace

OptionValue: TypeAlias = str | int | float | bool

CAUSES = ("order", "capacity", "fragmentation", "topology")
"""Names of the columns of `RunResult.blocked`: `model.plan.Cause` without NONE, in its order."""


class Status(IntEnum):
    """What became of a gang by the end of the run."""

    PLACED = 0
    """It ran: at least its minimum of members has a row, a start and an end."""
    NEVER_FITS = 1
    """Refused at arrival: too big for the empty pool."""
    UNPLACED = 2
    """Still waiting when the run ended, or given its one attempt and dropped."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """One run over G gangs, M members, N nodes and T cycles. Raises ValueError if it disagrees.

    Times are microseconds on the trace's clock.
    """

    trace: Trace
    topology: Topology
    """The tree of the run (after `--levels`), over the rows of `trace.nodes`."""
    options: Mapping[str, OptionValue]
    """Order, scan, placement, tie-break, seed, levels, pool, ..., as printed in the report."""
    start_us: I64
    """[G] instant at which the gang began, or -1."""
    end_us: I64
    """[G] instant at which it ended, or -1."""
    status: I8
    """[G] a Status."""
    offset: I64
    """[G + 1] members of gang g, by rank, are row[offset[g]:offset[g + 1]]."""
    row: I32
    """[M] row of the node of each member, or -1."""
    time_us: I64
    """[T] instants of the cycles, never falling; of several at one instant the last counts."""
    waiting_gangs: I32
    """[T] gangs that wait after the cycle."""
    waiting_members: I64
    """[T] their members."""
    blocked: I32
    """[T, 4] waiting gangs by cause, columns as CAUSES; valid until the next cycle."""
    restarts: I32 | None = None
    """[G] how often each gang lost a node and began again (start, end and rows are those of the
    last time); None where nothing could fail."""

    def __post_init__(self) -> None:
        gangs, members, cycles = len(self.start_us), len(self.row), len(self.time_us)
        shapes: dict[str, tuple[npt.NDArray[Any], tuple[int, ...]]] = {
            "end_us": (self.end_us, (gangs,)),
            "status": (self.status, (gangs,)),
            "offset": (self.offset, (gangs + 1,)),
            "waiting_gangs": (self.waiting_gangs, (cycles,)),
            "waiting_members": (self.waiting_members, (cycles,)),
            "blocked": (self.blocked, (cycles, len(CAUSES))),
        }
        if self.restarts is not None:
            shapes["restarts"] = (self.restarts, (gangs,))
        for name, (column, shape) in shapes.items():
            if column.shape != shape:
                raise ValueError(f"{name} has shape {column.shape}, not {shape}")
        if self.offset[0] != 0 or self.offset[-1] != members or (np.diff(self.offset) < 0).any():
            raise ValueError(f"offset does not divide {members} members")
        if members and not -1 <= int(self.row.min()) <= int(self.row.max()) < self.topology.nodes:
            raise ValueError(f"row names a node outside 0..{self.topology.nodes - 1}")
        if (np.diff(self.time_us) < 0).any():
            raise ValueError("time_us goes back")
        placed = self.status == Status.PLACED
        if ((self.start_us >= 0) != placed).any() or (self.end_us < self.start_us).any():
            raise ValueError("a placed gang needs start <= end, any other none (-1)")

    @property
    def gangs(self) -> int:
        """G."""
        return len(self.start_us)

    @property
    def members(self) -> I64:
        """[G] members each gang wanted."""
        return np.diff(self.offset)

    @property
    def placed(self) -> I64:
        """Numbers of the gangs that ran, in trace order."""
        return np.flatnonzero(self.status == Status.PLACED)
