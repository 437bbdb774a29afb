"""First fit: nodes in name order, each filled before the next."""

from __future__ import annotations

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import Room, SimpleRule, fill_in_order, usable


class FirstFit(SimpleRule):
    """The lowest-numbered nodes that take a member."""

    @property
    def name(self) -> str:
        """`first-fit`."""
        return "first-fit"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Nodes in row order."""
        del gang
        return fill_in_order(room.cap, usable(room), n)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The first by name."""
        del topology, held, gang
        return int(holding[0])
