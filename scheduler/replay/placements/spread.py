"""Spread: the opposite of locality, one node per leaf in turn."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import Room, SimpleRule, usable


class Spread(SimpleRule):
    """Round-robin over leaves, those with most free nodes first (order fixed at the start).

    A single pod takes the node with most free GPUs, ties to the leaf with most free nodes,
    then to the lowest-numbered node.
    """

    @property
    def name(self) -> str:
        """`spread`."""
        return "spread"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """One node of each leaf, then the next of each, and so on, in rounds."""
        del gang
        rows = usable(room)
        leaf_free = room.leaf_free()
        if n == 1:
            order = np.lexsort((rows, -leaf_free[room.leaf[rows]], -room.free[rows]))
            return rows[order[:1]]
        leaf = room.leaf[rows]
        # Turn of each node in its leaf: 0 for the first, 1 for the second, ...
        by_leaf = np.argsort(leaf, kind="stable")
        first = np.searchsorted(leaf[by_leaf], leaf[by_leaf], side="left")
        turn = np.empty(rows.size, np.int64)
        turn[by_leaf] = np.arange(rows.size) - first
        in_turn: I32 = rows[np.lexsort((room.topology.path_rank[leaf], -leaf_free[leaf], turn))]
        # Members that share a node come in later rounds over the same order.
        parts: list[I32] = []
        left, cap = n, room.cap.copy()
        while left > 0:
            part = in_turn[cap[in_turn] > 0][:left]
            cap[part] -= 1
            parts.append(part)
            left -= part.size
        return np.concatenate(parts)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The one with most room."""
        del topology, gang
        return int(holding[np.argmax(held[holding])])
