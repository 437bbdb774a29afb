"""When a waiting gang is worth trying: one number per class of gangs, compared in one pass.

A gang passes while `need <= best[its gate]`. A gate is one of

    CAPACITY (shape, level)  best = most members that one domain of the level holds now; need =
                             the gang's minimum. For alike members without segments, pins, homes
                             or holds this is exact before claims: less room, no place.
    GAINS (shape)            best = times at which a row that holds a member of the shape may have
                             gained room; need = that count at the rejection + 1. For alike
                             members in segments, or with pins or a home.
    ROOM                     the same over all rows, whatever the shape: for gangs of several
                             shapes, and with held rows.
    RULED (shape)            ROOM, and each change of a mark that the shape reads (of any mark, for
                             several shapes): one pod more may open an affinity or raise the
                             least of a spread, one fewer may end a repulsion.

A gang that was not tried yet needs nothing. A changed claim counts as a gain for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from scheduler.model.arrays import I64
from scheduler.model.pending import NO_LEVEL
from scheduler.state.capacity import KeptCapacity
from scheduler.state.entry import MIXED, Entry
from scheduler.state.growth import grown

NOTHING = np.iinfo(np.int64).min
"""The need of a gang that has not been rejected."""
OPEN = np.iinfo(np.int64).max
"""The best of a gate whose capacity nobody has computed: everybody passes."""


class GateKind(IntEnum):
    """What a gate counts."""

    CAPACITY = 0
    GAINS = 1
    ROOM = 2
    RULED = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """A class of gangs that share one number."""

    kind: GateKind
    shape: int = MIXED
    level: int = NO_LEVEL
    profile: int = 0
    """Whose tree a capacity is of; rows are everybody's, so other gates are shared."""

    @classmethod
    def of(cls, entry: Entry, plans: Sequence[int], *, held: bool, ruled: bool) -> Gate:
        """The gate of an entry whose members have these distinct plan shapes.

        held: rows are held for its gang. ruled: other pods decide where one of them may be.
        """
        shape = plans[0] if len(plans) == 1 else MIXED
        if ruled:
            return cls(GateKind.RULED, shape)
        if held or shape == MIXED:
            return cls(GateKind.ROOM)
        if entry.segment_size or entry.pins or entry.repair:
            return cls(GateKind.GAINS, shape, profile=entry.profile)
        return cls(GateKind.CAPACITY, shape, entry.required, entry.profile)


class GateTable:
    """Gates by number, with the entries that stand at each; gates nobody uses cost nothing."""

    __slots__ = ("_gates", "_live", "_numbers", "best", "kinds")

    def __init__(self) -> None:
        self.best: I64 = np.zeros(0, np.int64)
        self.kinds: I64 = np.zeros(0, np.int64)
        self._gates: list[Gate] = []
        self._numbers: dict[Gate, int] = {}
        self._live: dict[int, int] = {}

    def __getitem__(self, number: int) -> Gate:
        return self._gates[number]

    def join(self, gate: Gate) -> int:
        """One entry more; the gate's number."""
        number = self._numbers.setdefault(gate, len(self._gates))
        if number == len(self._gates):
            self._gates.append(gate)
            self.best = grown(self.best, number + 1)
            self.kinds = grown(self.kinds, number + 1)
            self.best[number], self.kinds[number] = OPEN, gate.kind
        self._live[number] = self._live.get(number, 0) + 1
        return number

    def leave(self, number: int) -> None:
        """One entry fewer."""
        left = self._live[number] - 1
        if left:
            self._live[number] = left
        else:
            del self._live[number]

    def refresh(
        self, kept: Mapping[int, KeptCapacity | None], room: int, epoch: int,
        changes: Callable[[int], int], profile: int = 0,
    ) -> None:  # fmt: skip
        """Brings `best` up to date for gates in use, as far as gangs of `profile` stand there.

        kept: capacities brought up to date for this cycle, by shape. room: count of gains of any
        row. epoch: count of what may let anybody in (claims, plans that were not carried out).
        changes: of a shape: what rises with every change of a mark that it reads.
        """
        best, gates = self.best, self._gates
        for number in self._live:
            gate = gates[number]
            if gate.kind is GateKind.ROOM:
                best[number] = room + epoch
                continue
            if gate.kind is GateKind.RULED:
                best[number] = room + epoch + changes(gate.shape)
                continue
            if gate.profile != profile:
                continue
            capacity = kept.get(gate.shape)
            if capacity is None:
                best[number] = OPEN
            elif gate.kind is GateKind.GAINS:
                best[number] = capacity.gains + epoch
            else:
                best[number] = capacity.best(gate.level)
