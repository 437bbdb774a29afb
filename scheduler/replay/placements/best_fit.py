"""Best fit by node: the node with least left over that still takes a member."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import Room, SimpleRule, fill_in_order, tightest, usable


class BestFit(SimpleRule):
    """Fewest free GPUs (else least free CPU) first, ties to the lowest-numbered node.

    The rule of the Helios simulators (SC'21), where a gang of whole nodes therefore takes the
    lowest-numbered free ones.
    """

    @property
    def name(self) -> str:
        """`best-fit`."""
        return "best-fit"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Nodes by free amount, then row."""
        del gang
        rows = usable(room)
        order = rows[np.argsort(room.free[rows], kind="stable")]
        return fill_in_order(room.cap, order, n)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The one with least room."""
        del topology, gang
        return tightest(held, holding)
