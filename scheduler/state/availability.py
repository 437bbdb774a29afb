"""kube-scheduler's line about the nodes for gangs that wait, counted when somebody asks for it.

Nobody's cycle pays for it: it is told of nodes as they stand when it is asked for, which is what
keeps the gang out since it was rejected (it is tried again when that may have changed). Gangs
alike share a line; it is counted afresh once a second at most, and for a few shapes only, since
one takes milliseconds in a large cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.model.availability import available, main_shape
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.state.cache import Cache
from scheduler.state.entry import MIXED, Entry

SECOND_US = 1_000_000
FRESH_US = SECOND_US
"""How long the nodes are looked at as they stood, if no cycle has looked since."""
OLD_US = 60 * SECOND_US
"""A line older than this is not told any more."""
LINES = 20
"""Shapes that are counted per second; who asks for more gets older lines, or none."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    generation: int
    """Of the snapshot that it was counted on."""
    at_us: int


class Availability:
    """Lines by shape. One thread, between two cycles: like every freeze() it makes earlier

    snapshots stale.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._lines: dict[Shape, _Line] = {}
        self._snapshot: Snapshot | None = None
        self._frozen_us = 0
        self._since_us = 0
        self._counted = 0
        """Lines counted since then."""

    def of(self, key: str, now_us: int, *, must: bool = False) -> str:
        """The line for one more of the gang's members that wait, most of whom are alike.

        Empty if none is in the queue, or if too many lines were counted this second; `must`
        counts all the same.
        """
        entry = self._cache.queue.get(key)
        if entry is None:
            return ""
        if now_us >= self._since_us + FRESH_US:
            self._since_us, self._counted = now_us, 0
            self._forget(now_us)
        nodes = self._nodes(now_us)
        shape = self._shape(entry, nodes)
        if shape is None:  # it is in the queue since then
            nodes = self._freeze(now_us)
            shape = self._shape(entry, nodes)
        if shape is None:
            return ""
        line = self._lines.get(shape)
        if line is not None and line.generation == nodes.generation:
            return line.text
        if self._counted >= LINES and not must:
            return "" if line is None else line.text
        self._counted += 1
        text = available(shape, nodes)
        self._lines[shape] = _Line(text, nodes.generation, now_us)
        return text

    def _shape(self, entry: Entry, nodes: Snapshot) -> Shape | None:
        """The plan shape of most members, None if the snapshot does not know it."""
        kinds = self._cache.kinds
        column = entry.shape_column() if entry.uniform == MIXED else entry.shape_column()[:1]
        found, where = np.unique(column, return_inverse=True)
        plans = np.array([kinds.plan(kind) for kind in found.tolist()], np.int32)
        number = main_shape(plans[where])
        known = number < len(nodes.shapes) and all(m in nodes.marks for m in kinds.reads(number))
        return nodes.shapes[number] if known else None

    def _nodes(self, now_us: int) -> Snapshot:
        """The nodes as they stand, or stood at most FRESH_US ago."""
        nodes = self._snapshot
        if nodes is None or nodes.lease is None or now_us >= self._frozen_us + FRESH_US:
            return self._freeze(now_us)
        return nodes if nodes.lease.current == nodes.generation else self._freeze(now_us)

    def _freeze(self, now_us: int) -> Snapshot:
        self._frozen_us = now_us
        self._snapshot = self._cache.freeze(now_us, shapes=())
        return self._snapshot

    def _forget(self, now_us: int) -> None:
        old = [shape for shape, line in self._lines.items() if line.at_us + OLD_US < now_us]
        for shape in old:
            del self._lines[shape]
