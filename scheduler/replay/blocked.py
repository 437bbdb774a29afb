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
        self._kind = kind
        self._eligible = eligible
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
