"""Why gangs wait: how many stand behind a head, lack capacity, whole nodes, or a domain.

Judged after each cycle from what is free then. Waiting gangs are counted by class (shape,
minimum), so that a cycle costs the number of classes, not of gangs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.plan import Cause
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.replay.trace import Trace

CAUSES = 4
"""Columns of a count: order, capacity, fragmentation, topology."""

Wants = tuple[tuple[int, int], ...]
"""(shape number, members), ...: what a gang needs to start."""

RootCap = Callable[[int], int]
"""shape number -> members that fit on nodes of the whole cluster now."""


class FreeTotals:
    """Free amounts by kind of node, so that a shape's total is a sum over its kinds.

    Nodes are of one kind if the same shapes may use them; kinds follow from pools and models.
    """

    def __init__(
        self, shapes: Sequence[Shape], kind: I32, eligible: I64, snapshot: Snapshot
    ) -> None:
        """kind: int32[N] by row; eligible: int64[S, K] 1 where a shape may use a kind."""
        kinds = eligible.shape[1]
        self._kind = kind.copy()
        self._home = kind
        # One more kind, of nodes that are out: no shape may use it.
        out = np.zeros((len(eligible), 1), np.int64)
        self._eligible: I64 = np.concatenate((eligible, out), axis=1)
        kinds += 1
        self._request = np.array([shape.requests for shape in shapes], np.int64)
        self._free: I64 = np.zeros((kinds, len(snapshot.resources)), np.int64)
        self._slots: I64 = np.zeros(kinds, np.int64)
        for r in range(len(snapshot.resources)):
            np.add.at(self._free[:, r], kind, snapshot.free[r])
        np.add.at(self._slots, kind, snapshot.slots)

    def add(self, rows: I32, shape: int | I32, sign: int) -> None:
        """Members of `shape` came to (-1) or left (+1) `rows`."""
        kinds = self._kind[rows]
        if isinstance(shape, int):
            counts = np.bincount(kinds, minlength=len(self._slots)) * sign
            self._free += counts[:, None] * self._request[shape]
            self._slots += counts
            return
        np.add.at(self._free, kinds, self._request[shape] * sign)
        np.add.at(self._slots, kinds, sign)

    def move(self, row: int, free: I64, slots: int, *, out: bool) -> None:
        """Node `row`, with `free` amounts and slots at this moment, goes out or comes back."""
        here, there = int(self._kind[row]), len(self._slots) - 1 if out else int(self._home[row])
        self._free[here] -= free
        self._slots[here] -= slots
        self._free[there] += free
        self._slots[there] += slots
        self._kind[row] = there

    def most(self, shape: int) -> int:
        """Members that the free amounts of all eligible nodes, poured together, would hold."""
        request, may = self._request[shape], self._eligible[shape]
        asked = request > 0
        fits = (may @ self._free)[asked] // request[asked]
        return int(min(fits.min(initial=np.iinfo(np.int64).max), may @ self._slots))


class Blocked:
    """Waiting gangs by class and pool."""

    def __init__(self, totals: FreeTotals, strict: bool) -> None:
        self._totals = totals
        self._strict = strict
        self._counts: dict[tuple[Wants, int], int] = {}

    def arrived(self, wants: Wants, pool: int) -> None:
        """A gang waits that needs (shape, members), ... to start."""
        key = (wants, pool)
        self._counts[key] = self._counts.get(key, 0) + 1

    def left(self, wants: Wants, pool: int) -> None:
        """It waits no more."""
        key = (wants, pool)
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]

    def by_cause(self, root_cap: RootCap, heads: dict[int, Wants]) -> list[int]:
        """Waiting gangs by cause. heads: pool -> what its first gang needs (strict scans)."""
        counts = [0] * CAUSES
        room: dict[int, tuple[int, int]] = {}
        for (wants, pool), count in self._counts.items():
            if self._strict:
                head = heads[pool] == wants
                counts[Cause.ORDER - 1] += count - head
                judged = int(head)
            else:
                judged = count
            if judged:
                counts[self._cause(wants, root_cap, room) - 1] += judged
        return counts

    def _cause(
        self,
        wants: Wants,
        root_cap: RootCap,
        room: dict[int, tuple[int, int]],
    ) -> Cause:
        fragmented = False
        for shape, members in wants:
            if shape not in room:
                room[shape] = (root_cap(shape), self._totals.most(shape))
            on_nodes, poured = room[shape]
            if on_nodes >= members:
                continue
            if poured < members:
                return Cause.CAPACITY
            fragmented = True
        return Cause.FRAGMENTATION if fragmented else Cause.TOPOLOGY


def kinds_of(trace: Trace, trace_row: I32, shapes: int, of_row: I32) -> tuple[I64, I32]:
    """(int64[S, K] which shapes may use which kinds of node, int32[N] kind by row)."""
    nodes, gangs, rows = trace.nodes, trace.gangs, trace.rows
    many_pools, many_models = len(set(nodes.pool)) > 1, len(set(nodes.model)) > 1
    pairs = list(zip(nodes.pool, nodes.model, strict=True))
    number = {pair: k for k, pair in enumerate(sorted(set(pairs)))}
    kind = np.array([number[pairs[row]] for row in trace_row.tolist()], np.int32)
    eligible = np.zeros((shapes, len(number)), np.int64)
    seen: set[int] = set()
    for r, shape in enumerate(of_row.tolist()):
        if shape in seen:
            continue
        seen.add(shape)
        pool, models = gangs.pool[int(rows.gang[r])], rows.model[r].split("|")
        for (node_pool, model), k in number.items():
            right_pool = not many_pools or node_pool == pool
            right_model = not many_models or not rows.model[r] or model in models
            eligible[shape, k] = right_pool and right_model
    return eligible, kind
