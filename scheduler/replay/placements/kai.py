"""KAI-Scheduler's topology plugin: the most packed domain first, the deepest level first.

Re-implemented from KAI-Scheduler's docs/topology, its design "topology-awareness" and the
comments of plugins/topology:

1. Count the pods that fit in each domain and sort the tree: children with fewest first, then
   name. 2. The domains that hold all pods are tried from the deepest level (the preferred one) up,
   within a level in the order of the sorted tree, so the fullest spine comes before its leaves
   are compared; the whole cluster comes last. 3. In the chosen set of nodes pods go one by one
   to the node of best score. A node's first score is floor((i + 1) / n * 10) for its leaf, the
   i-th of n in the sorted tree (the freest leaves score most, and a tenth of all leaves ties);
   then bin packing: the node with fewest free GPUs, then name.

A gang here prefers the lowest level. A single pod asks for no topology: bin packing alone.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import Room, SimpleRule, fill_below, under, usable


class Kai(SimpleRule):
    """First the domain with fewest places left that still holds the gang."""

    @property
    def name(self) -> str:
        """`kai`."""
        return "kai"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Steps 2 and 3."""
        t, rows = room.topology, usable(room)
        keys: list[I64 | I32] = [rows, room.free[rows]]
        top = CLUSTER
        if not gang.single and t.levels:
            sums = under(t, room.cap)
            top = _deepest(t, sums, n)
            keys.append(-_scores(t, sums)[rows])
        return fill_below(room, top, rows[np.lexsort(keys)], n)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The one that the deepest candidate lies in; among holding ones, the most packed."""
        deepest = _deepest(topology, held, gang.n, gang.required)
        above = int(topology.ancestor[gang.required, deepest])
        return above if above in holding else int(holding[np.argmin(held[holding])])


def _in_tree_order(topology: Topology, sums: I64, level: int) -> I32:
    """Domains of a level in the sorted tree: fullest ancestors first, then names."""
    domains = topology.by_level[level]
    keys: list[I64 | I32] = [topology.path_rank[domains]]
    at = domains
    # lexsort's last key decides first: own places, then the parent's, ... up to the cluster.
    while (at > CLUSTER).any():
        keys.append(np.where(at > CLUSTER, sums[at], 0))
        at = np.where(at > CLUSTER, topology.parent[at], CLUSTER).astype(np.int32)
    ordered: I32 = domains[np.lexsort(keys)]
    return ordered


def _deepest(topology: Topology, sums: I64, n: int, lowest: int = 0) -> int:
    """The first candidate of step 2, not above level `lowest` unless nothing holds n."""
    for level in range(len(topology.levels) - 1, max(lowest, 0) - 1, -1):
        domains = _in_tree_order(topology, sums, level)
        holding = domains[sums[domains] >= n]
        if holding.size:
            return int(holding[0])
    return CLUSTER


def _scores(topology: Topology, sums: I64) -> I64:
    """[N] the score of each node's leaf; 0 without one."""
    leaves = _in_tree_order(topology, sums, len(topology.levels) - 1)
    score: I64 = np.zeros(topology.domains, np.int64)
    score[leaves] = (np.arange(leaves.size) + 1) * 10 // max(leaves.size, 1)
    of_node: I64 = score[topology.node_parent]
    return of_node
