"""Slurm's topology/tree: the lowest switch that can hold the job, then its leaves by best fit.

Re-implemented from Slurm's Topology Guide ("identify the lowest level switch in the hierarchy
that can satisfy a job's request and then allocate resources on its underlying leaf switches using
a best-fit algorithm") and from how topology/tree compares leaves: by distance to those in use,
then whether the leaf, or the first switch above it that differs, holds the rest (fewest nodes
first), then by most room.

1. The lowest switch that holds the job; of several, the one with least room. 2. Below it, from
switch to switch: the child with least room that holds the rest, else the one with most, down to a
leaf. 3. The leaf's nodes in name order, each filled before the next. 4. The rest: the nearest
leaves first, by the same comparison. Node weights are equal. Nodes that hang on no leaf switch are
a leaf of their own that comes last. Single pods are jobs of one node.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import (
    Room,
    SimpleRule,
    fill_in_order,
    per_leaf,
    under,
    usable,
)


class SlurmTree(SimpleRule):
    """The lowest switch, then the nearest and best fitting leaves."""

    @property
    def name(self) -> str:
        """`slurm-tree`."""
        return "slurm-tree"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Leaf after leaf below the lowest switch."""
        del gang
        t = room.topology
        walk = _Walk(t, under(t, room.cap), per_leaf(t, room.leaf, room.cap))
        rows = usable(room)
        by_leaf = rows[np.argsort(room.leaf[rows], kind="stable")]
        leaf_of = room.leaf[by_leaf]
        at, left, parts = _lowest(t, walk.room, n, 0), n, []
        top = at
        while left > 0:
            leaf = walk.leaf_below(at, left)
            first, last = np.searchsorted(leaf_of, [leaf, leaf + 1])
            here: I32 = by_leaf[first:last]
            part = fill_in_order(room.cap, here, min(left, int(walk.own[leaf])))
            parts.append(part)
            left -= part.size
            walk.used(leaf)
            at = leaf
            while walk.room[at] == 0 and at != top:  # the nearest switch with something left
                at = int(t.parent[at])
        return np.concatenate(parts)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The one that the lowest switch lies in."""
        del holding
        lowest = _lowest(topology, held, gang.n, gang.required)
        return int(topology.ancestor[gang.required, lowest])


def _lowest(topology: Topology, room: I64, n: int, highest: int) -> int:
    """Step 1, among switches of level `highest` and below; the cluster if none holds n."""
    for level in range(len(topology.levels) - 1, highest - 1, -1):
        domains = topology.by_level[level]
        if highest > 0:
            domains = domains[topology.ancestor[highest, domains] >= 0]
        holding = domains[room[domains] >= n]
        if holding.size:
            return int(holding[np.lexsort((topology.path_rank[holding], room[holding]))[0]])
    return CLUSTER


class _Walk:
    """Room below each switch while leaves are used up."""

    def __init__(self, topology: Topology, room: I64, own: I64) -> None:
        self.topology, self.room, self.own = topology, room, own
        """int64[D]: members that still fit below each domain, and directly on its own nodes."""

    def leaf_below(self, at: int, left: int) -> int:
        """Step 2: the leaf below `at` where the rest begins."""
        t = self.topology
        while True:
            children = np.arange(t.first_child[at], t.first_child[at + 1])
            children = children[self.room[children] > 0]
            if not children.size:
                return at
            room, rank = self.room[children], t.path_rank[children]
            short = room < left
            # Those that hold the rest first, least room first; else the roomiest.
            at = int(children[np.lexsort((rank, np.where(short, -room, room), short))[0]])

    def used(self, leaf: int) -> None:
        """Takes the leaf out of the room of all switches above it."""
        gone, at = int(self.own[leaf]), leaf
        self.own[leaf] = 0
        while at >= 0:
            self.room[at] -= gone
            at = int(self.topology.parent[at])
