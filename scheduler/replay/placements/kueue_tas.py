"""Kueue's Topology Aware Scheduling: best fit down the tree.

Re-implemented from Kueue's KEP-2724 and its page "Topology Aware Scheduling" (profile BestFit;
LeastFreeCapacity for pods that ask for no topology, the default since 0.15):

1. Count the pods that fit in each domain. 2. At the level asked for, sort the domains by pods
that fit, most first, then name. If one holds all pods, take the smallest that does. 3. If none
does and the level is only preferred, ask the level above. At the topmost one take the widest
first, and as the last one the smallest that holds the rest. 4. The domains below the chosen ones,
of all of them together, are sorted and taken in the same way, level by level down to nodes.

A gang here prefers the lowest level, so that Kueue looks as deep as it can. A single pod asks for
no topology: the node where fewest pods fit. Kueue leaves out nodes that lack a label; here they
are filled last, so that a workload for the whole cluster can run under every rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import (
    Room,
    SimpleRule,
    fill_in_order,
    tightest,
    under,
    usable,
)


class KueueTas(SimpleRule):
    """Smallest single domain that holds the gang; else widest first, the last one tightest."""

    @property
    def name(self) -> str:
        """`kueue-tas`."""
        return "kueue-tas"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Steps 2 to 4; nodes without all labels come last."""
        rows = usable(room)
        if gang.single or not room.topology.levels:
            return _nodes(room, rows, n, widest=not gang.single)
        t = room.topology
        labelled = t.ancestor[: len(t.levels), t.node_parent].min(axis=0) >= 0
        cap = np.where(labelled, room.cap, 0)
        held = min(n, int(cap.sum()))
        found = _down(t, cap, held)
        if held == n:
            return found
        return np.concatenate((found, fill_in_order(room.cap, rows[~labelled[rows]], n - held)))

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The smallest that holds the gang."""
        del topology, gang
        return tightest(held, holding)


def _down(topology: Topology, cap: I64, n: int) -> I32:
    """[n] rows, by the steps above, over nodes that have every label."""
    if n == 0:
        return np.empty(0, np.int32)
    sums = under(topology, cap)
    level, chosen = _start(topology, sums, n)
    for below in range(level + 1, len(topology.levels)):
        inside = topology.by_level[below]
        inside = inside[_below(topology, level, inside, chosen)]
        chosen, level = inside[_take(sums[inside], topology.path_rank[inside], n)[0]], below
    rows = np.flatnonzero((cap > 0) & np.isin(topology.node_parent, chosen))
    picked, counts = _take(cap[rows], topology.position[rows], n)
    out: I32 = np.repeat(rows[picked], counts).astype(np.int32)
    return out


def _below(topology: Topology, level: int, inside: I32, chosen: I32) -> npt.NDArray[np.bool_]:
    above = topology.ancestor[level, inside] if level >= 0 else np.zeros_like(inside)
    return np.isin(above, chosen)


def _start(topology: Topology, sums: I64, n: int) -> tuple[int, I32]:
    """(level, its domains): the lowest level with a domain for all n, else the topmost."""
    for level in range(len(topology.levels) - 1, -1, -1):
        domains = topology.by_level[level]
        if level == 0 or (sums[domains] >= n).any():
            return level, domains[_take(sums[domains], topology.path_rank[domains], n)[0]]
    raise AssertionError(CLUSTER)


def _take(held: I64, rank: I32, n: int) -> tuple[I64, I64]:
    """(which, members of each): widest first; whenever one holds the rest, the smallest such."""
    order = np.lexsort((rank, -held))
    before = np.concatenate(([0], np.cumsum(held[order])[:-1]))
    # The first in this order that holds what those before it leave: there best fit ends it.
    last = int(np.argmax(before + held[order] >= n))
    left = n - int(before[last])
    able = order[last:][held[order[last:]] >= left]
    end = able[np.lexsort((rank[able], held[able]))[0]]
    which = np.append(order[:last], end)
    return which, np.append(held[order[:last]], left)


def _nodes(room: Room, rows: I32, n: int, *, widest: bool) -> I32:
    """Nodes alone: BestFit, or LeastFreeCapacity for pods that ask for no topology."""
    cap = room.cap[rows]
    if widest:
        picked, counts = _take(cap, rows, n)
        out: I32 = np.repeat(rows[picked], counts).astype(np.int32)
        return out
    return fill_in_order(room.cap, rows[np.lexsort((rows, room.free[rows], cap))], n)
