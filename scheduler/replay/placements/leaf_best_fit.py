"""Best fit by leaf: the leaf with fewest free nodes that holds the gang."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import (
    Room,
    SimpleRule,
    fill_in_order,
    per_leaf,
    tightest,
    usable,
)


class LeafBestFit(SimpleRule):
    """Tightest leaf that holds the rest, else the freest leaf and again.

    A single pod takes the node with fewest free GPUs, ties to the leaf with fewest free nodes,
    then to the lowest-numbered node.
    """

    @property
    def name(self) -> str:
        """`leaf-best-fit`."""
        return "leaf-best-fit"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Leaf after leaf; inside a leaf, nodes in row order."""
        del gang
        rows = usable(room)
        leaf_free = room.leaf_free()
        if n == 1:
            order = np.lexsort((rows, leaf_free[room.leaf[rows]], room.free[rows]))
            return rows[order[:1]]
        held = per_leaf(room.topology, room.leaf, room.cap)
        rank = room.topology.path_rank
        left, parts = n, []
        open_leaves = [int(d) for d in np.flatnonzero(held)]
        while left > 0:
            fits = [d for d in open_leaves if held[d] >= left]
            if fits:
                leaf = min(fits, key=lambda d: (leaf_free[d], held[d], rank[d]))
            else:
                leaf = max(open_leaves, key=lambda d: (leaf_free[d], held[d], -rank[d]))
            here = rows[room.leaf[rows] == leaf]
            part = fill_in_order(room.cap, here, min(left, int(held[leaf])))
            parts.append(part)
            left -= part.size
            open_leaves.remove(leaf)
        return np.concatenate(parts)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The one with least room."""
        del topology, gang
        return tightest(held, holding)
