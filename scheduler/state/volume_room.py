"""Room for volumes of limited CSI drivers, as resources of nodes: `volumes of DRIVER`.

A node that limits a driver offers so many; every other node offers MOST. The planner counts them
like any resource, so that no gang, and no two gangs of one cycle, go over a limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I64
from scheduler.model.resources import VOLUME_ROOM
from scheduler.state.cache import Cache
from scheduler.state.growth import grown
from scheduler.state.volumes import VolumeBook

MOST = 2**40
"""Volumes that a node without a limit attaches: more than anybody asks for."""


@dataclass(slots=True)
class _Column:
    """What nodes are to offer of one resource."""

    amounts: I64
    """By node id; valid up to `filled`."""
    filled: int = 0


class VolumeRoom:
    """Keeps the cache's node columns in step with the book."""

    def __init__(self, cache: Cache, book: VolumeBook) -> None:
        self._cache = cache
        self._book = book
        self._limited: dict[str, dict[str, int]] = {}
        """Node -> resource -> amount, of nodes that limit a driver."""
        self._columns: dict[str, _Column] = {}

    def refresh(self) -> None:
        """Before every freeze(): writes what has changed, and what a node event has overwritten.

        Costs a comparison per node for each driver that a waiting pod has ever needed.
        """
        rooms = self._book.rooms()
        for node, room in rooms.items():
            if room:
                self._limited[node] = room
            else:
                self._limited.pop(node, None)
        nodes, order = self._cache.nodes, self._cache.shapes.resources
        top = len(nodes)
        for row, name in enumerate(order.names):
            if not name.startswith(VOLUME_ROOM):
                continue
            offered = nodes.allocatable[row, :top]
            wanted = self._wanted(name, rooms)
            changed = np.flatnonzero((offered != wanted) & nodes.exists[:top])
            if changed.size:
                nodes.allocatable[row, changed] = wanted[changed]
                nodes.dirty[changed] = nodes.gained[changed] = True

    def follow(self) -> None:
        """Between cycles: room that the book has seen come free is seen by the cache, too."""
        if self._book.moved:
            self.refresh()

    def _wanted(self, name: str, moved: Iterable[str]) -> I64:
        """int64 by node id; `moved`: nodes whose amounts may differ from the last call's."""
        nodes = self._cache.nodes
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = _Column(np.full(len(nodes), MOST, np.int64))
        top = len(nodes)
        column.amounts = grown(column.amounts, top, MOST)
        for node in (*moved, *nodes.names[column.filled : top]):
            nid = nodes.nid_of.get(node)
            if nid is not None:
                column.amounts[nid] = self._limited.get(node, {}).get(name, MOST)
        column.filled = top
        return column.amounts[:top]
