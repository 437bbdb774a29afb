"""What the simple rules share: eligible nodes of one shape, and shapes one after the other.

The rules place members of one shape at a time and know nothing of segments, pins or homes;
a required level confines them to one domain, which each rule chooses in its own spirit. A rule
here places the whole gang or nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.pending import NO_LEVEL
from scheduler.model.plan import Verdict
from scheduler.model.resources import CPU, GPU
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan.gang import Gang, Outcome, rejected
from scheduler.plan.ledger import Ledger


@dataclass(frozen=True, eq=False, slots=True)
class Room:
    """Nodes as one shape of one gang sees them. Arrays are in row order."""

    topology: Topology
    cap: I64
    """[N] members that fit; 0 where the gang may not go."""
    free: I64
    """[N] free amount of the shape's main resource (GPUs, else milli-CPU)."""
    size: I64
    """[N] allocatable amount of the same resource."""
    member: int
    """What one member takes of it."""
    whole: I64
    """[N] 1 where the node may be used and none of its main resource is taken."""
    leaf: I32
    """[N] deepest domain of each node."""

    def leaf_free(self) -> I64:
        """[D] wholly free nodes directly under each domain."""
        return per_leaf(self.topology, self.leaf, self.whole)


class SimpleRule(ABC):
    """A rule that orders nodes and fills them."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name on the command line and in reports."""

    @abstractmethod
    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """[n] rows for n members; room.cap sums to at least n."""

    @abstractmethod
    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """Which of `holding` (domains of the required level that hold the gang, in path order).

        held: int64[D] members that fit under each domain.
        """

    def place(self, ledger: Ledger, gang: Gang) -> Outcome:
        """All members, or the numbers of a rejection."""
        top = CLUSTER
        if gang.required != NO_LEVEL:
            view = ledger.view(int(gang.shapes[0]), gang)
            permitted = ledger.tree.topology.by_level[gang.required]
            holding = permitted[view.sums[permitted] >= gang.n]
            if not holding.size:
                best = permitted[np.argmax(view.sums[permitted])] if permitted.size else -1
                return rejected(int(view.sums[best]) if best >= 0 else 0, int(best))
            top = self.confine(ledger.tree.topology, view.sums, holding, gang)
        rows: I32 = np.empty(gang.n, np.int32)
        free, slots = ledger.free, ledger.slots
        shapes = np.unique(gang.shapes).tolist()
        for shape in shapes:
            mine = gang.shapes == shape
            n = int(np.count_nonzero(mine))
            room, fit = _room(ledger, gang, shape, top, (free, slots))
            if fit < n:
                return rejected(fit, top)
            rows[mine] = self.fill(room, n, gang)
            if shape != shapes[-1]:
                free, slots = free.copy(), slots.copy()
                request = kernel.Request.of(ledger.snapshot.shapes[shape].requests)
                kernel.take(np.ascontiguousarray(rows[mine]), request, free, slots)
        return Outcome(Verdict.FITS, rows, ledger.tree.topology.common_domain(rows), gang.n, top)


def _room(
    ledger: Ledger, gang: Gang, shape: int, top: int, left: tuple[I64, I64]
) -> tuple[Room, int]:
    view = ledger.view(shape, gang)
    topology = ledger.tree.topology
    cap = view.cap
    if left[0] is not ledger.free:
        cap = kernel.capacity(left[0], left[1], view.reason, view.request)
    if top != CLUSTER:
        under = np.zeros(topology.nodes, np.int64)
        under[topology.rows(top)] = 1
        cap = cap * under
    ledger.stats.nodes_scanned += topology.nodes
    names = ledger.snapshot.resources.names
    main = names.index(GPU) if GPU in names and view.request.vector[names.index(GPU)] else None
    column = main if main is not None else names.index(CPU)
    member = int(view.request.vector[column])
    free = left[0][column]
    size = ledger.snapshot.allocatable[column]
    untouched = (free == size) & (view.reason == 0)
    whole = untouched.astype(np.int64)
    room = Room(topology, cap, free, size, member, whole, topology.node_parent)
    return room, int(cap.sum())


def under(topology: Topology, amount: I64) -> I64:
    """[D] sums of `amount` over all nodes under each domain."""
    upto = np.concatenate(([0], np.cumsum(amount[topology.order])))
    sums: I64 = upto[topology.end] - upto[topology.start]
    return sums


def per_leaf(topology: Topology, leaf: I32, amount: I64) -> I64:
    """[D] sums of `amount` over nodes directly under each domain."""
    sums: I64 = np.zeros(topology.domains, np.int64)
    np.add.at(sums, leaf, amount)
    return sums


def fill_in_order(cap: I64, order: I32, n: int) -> I32:
    """[n] rows: nodes of `order` filled one after the other."""
    counts = cap[order]
    rows: I32 = np.repeat(order, np.minimum(counts, n))[:n].astype(np.int32)
    return rows


def usable(room: Room) -> I32:
    """Rows where at least one member fits, in row order."""
    rows: I32 = np.flatnonzero(room.cap > 0).astype(np.int32)
    return rows


def fill_below(room: Room, top: int, order: I32, n: int) -> I32:
    """[n] rows: nodes of `order` that lie under domain `top`, filled one after the other."""
    t = room.topology
    place = t.position[order]
    inside = (place >= t.start[top]) & (place < t.end[top])
    return fill_in_order(room.cap, order[inside], n)


def tightest(held: I64, holding: I32) -> int:
    """The domain with least room, first by path."""
    return int(holding[np.argmin(held[holding])])
