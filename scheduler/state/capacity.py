"""Capacities of the shapes that wait, kept between cycles and brought up to date by dirty rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I16, I32, I64, frozen
from scheduler.model.filters import Eligibility
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Capacity, Snapshot
from scheduler.model.topology import CLUSTER
from scheduler.state.journal import Journal
from scheduler.state.shapes import ShapeRegistry

KEPT_SHAPES = 256
"""Capacities kept at most (about 1 MB each on 100,000 nodes), besides those asked for now."""


class KeptCapacity:
    """One shape's reasons, caps and sums, its cursor in the journal, and when room appeared.

    version: changes whenever cap or sums may have. gains: counts the times at which a row that
    holds a member may have gained room; what was rejected on `gains` is hopeless until it rises.
    """

    __slots__ = (
        "_best",
        "_best_version",
        "_by_level",
        "_eligibility",
        "_padded",
        "_reason",
        "_request",
        "_shape",
        "_sums",
        "cap",
        "cursor",
        "gains",
        "published",
        "used_at",
        "version",
    )

    def __init__(self, shape: Shape, snapshot: Snapshot, tree: kernel.Tree, cursor: int) -> None:
        self._shape = shape
        self._request = kernel.Request.of(shape.requests, exclusive=shape.exclusive)
        self._best: list[int] = []
        self._best_version = -1
        self.gains = 0
        self.version = 0
        self.used_at = 0
        self.recompute(snapshot, tree, cursor)

    def widen(self, shape: Shape) -> None:
        """The same shape as a vector of more resources; of the new ones it asks nothing."""
        self._shape = shape
        self._request = kernel.Request.of(shape.requests, exclusive=shape.exclusive)

    def recompute(self, snapshot: Snapshot, tree: kernel.Tree, cursor: int) -> None:
        """From scratch: every row is scanned."""
        self._eligibility = Eligibility(self._shape)
        self._reason: I16 = self._eligibility.evaluate(snapshot)
        self.cap: I64 = kernel.capacity(snapshot.free, snapshot.slots, self._reason, self._request)
        self._padded: I64 = np.append(kernel.roll_up(tree, self.cap), 0)
        self._sums: I64 = self._padded[:-1]
        self._by_level = _levels_in_a_row(tree)
        self.cursor = cursor
        self.gains += 1
        self.version += 1
        self._publish()

    def catch_up(self, snapshot: Snapshot, tree: kernel.Tree, journal: Journal) -> None:
        """Only rows that the journal names since the last time are scanned."""
        if self.cursor == journal.end:
            return
        news = journal.since(self.cursor)
        if news is None or len(news.rows) > tree.nodes:
            self.recompute(snapshot, tree, journal.end)
            return
        if not news.rows.size:
            self.cursor = journal.end
            return
        # A filter reads what is written on the node, except for tokens, which pods take.
        asked = news.rows if self._shape.tokens else news.rows[news.written]
        if asked.size:
            self._reason[asked] = self._eligibility.evaluate(snapshot, asked)
            if len(self._eligibility.reasons) != len(self.published.reasons):
                self._publish()
        kernel.refresh_rows(
            tree, news.rows, snapshot.free, snapshot.slots, self._reason, self._request,
            self.cap, self._sums,
        )  # fmt: skip
        self.cursor = journal.end
        self.version += 1
        if bool((self.cap[news.rows[news.gained]] > 0).any()):
            self.gains += 1

    def _publish(self) -> None:
        self.published = Capacity(
            tuple(self._eligibility.reasons),
            frozen(self._reason),
            frozen(self.cap),
            frozen(self._sums),
        )

    def best(self, level: int) -> int:
        """Most members that one domain of `level` (-1: the cluster) holds."""
        if self._best_version != self.version:
            domains, starts = self._by_level
            # One pass for all levels: [cluster, level 0, level 1, ...]
            self._best = np.maximum.reduceat(self._padded[domains], starts).tolist()
            self._best_version = self.version
        return self._best[level + 1]


def _levels_in_a_row(tree: kernel.Tree) -> tuple[I32, I64]:
    """(domains, starts): the cluster, then each level's domains; where each of these begins.

    A level without domains is stood in for by the place past the sums' end, which holds 0.
    """
    nobody = np.array([tree.domains], np.int32)
    parts = [np.array([CLUSTER], np.int32)]
    parts += [d if d.size else nobody for d in tree.topology.by_level]
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    return np.concatenate(parts), starts


class CapacityCache:
    """Kept capacities by shape number; the least recently used are dropped first."""

    def __init__(self, kept: int = KEPT_SHAPES) -> None:
        self._limit = kept
        self._kept: dict[int, KeptCapacity] = {}
        self._gains: dict[int, int] = {}
        self._clock = 0

    def __iter__(self) -> Iterator[int]:
        return iter(self._kept)

    def get(self, number: int) -> KeptCapacity | None:
        """What is kept of a shape, perhaps out of date, or None."""
        return self._kept.get(number)

    def widen(self, shapes: ShapeRegistry) -> None:
        """The process counts more resources; what is kept stays true."""
        for number, kept in self._kept.items():
            kept.widen(shapes[number])

    def forget(self, numbers: Iterable[int]) -> None:
        """These shape numbers mean nothing any more, or soon something else."""
        for number in numbers:
            self._kept.pop(number, None)
            self._gains.pop(number, None)

    def refresh(
        self, numbers: Iterable[int], snapshot: Snapshot, tree: kernel.Tree, journal: Journal
    ) -> dict[int, Capacity]:
        """Capacities of the shapes `numbers` on `snapshot`, brought up to date."""
        self._clock += 1
        out: dict[int, Capacity] = {}
        for number in numbers:
            kept = self._kept.get(number)
            if kept is None:
                kept = KeptCapacity(snapshot.shapes[number], snapshot, tree, journal.end)
                # Counts go on where they stopped: gangs remember them.
                kept.gains += self._gains.pop(number, 0)
                self._kept[number] = kept
            else:
                kept.catch_up(snapshot, tree, journal)
            kept.used_at = self._clock
            out[number] = kept.published
        if len(self._kept) > self._limit:
            self._drop_oldest()
        return out

    def _drop_oldest(self) -> None:
        idle = [(k.used_at, n) for n, k in self._kept.items() if k.used_at < self._clock]
        for _, number in sorted(idle)[: len(self._kept) - self._limit]:
            self._gains[number] = self._kept.pop(number).gains
