"""Truth columns by node id -> read-only columns by row, of which only dirty rows are touched.

node id    0    1    2    3   4        truth, NodeTable
           n10  n2   n1   -   n3       (id 3: pods were seen, the node was not)
row        3    1    0    -1  2        row_of_nid
published  n1   n2   n3   n10          nid_of_row = 2 1 4 0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64, U8, frozen
from scheduler.model.constraints import Taint
from scheduler.model.snapshot import LabelColumn, Lease
from scheduler.model.topology_build import build_topology
from scheduler.state.growth import grown, moved
from scheduler.state.journal import Journal
from scheduler.state.nodes import Level, NodeTable

NO_ROW = -1
JOURNAL_ROWS = 4
"""The journal forgets beyond this many times the number of rows."""


class FrozenColumns:
    """The buffer that all snapshots share, in row order, and what was last written to it.

    Rows are the same for all profiles; each has a tree of its own levels over them.
    rebuilds: how often rows were numbered anew. room: how often some row may have gained room.
    """

    def __init__(self, nodes: NodeTable, levels: Sequence[tuple[Level, ...]]) -> None:
        """levels: by profile, root first."""
        self._nodes = nodes
        self._levels = tuple(levels)
        self.lease = Lease()
        self.journal = Journal()
        self.rebuilds = 0
        self.room = 0
        self.names: tuple[str, ...] = ()
        self.nid_of_row: I32 = np.empty(0, np.int32)
        self.row_of_nid: I32 = np.empty(0, np.int32)
        self.trees: tuple[kernel.Tree, ...] = ()
        """By profile; empty before the first snapshot."""
        self.allocatable: I64
        self.free: I64
        self.slots: I64
        self.flags: U8
        self.taint_set: I32
        self.taint_sets: tuple[tuple[Taint, ...], ...] = ()
        self.feature_set: I32 = np.empty(0, np.int32)
        """Never written to: another column where one differs. Empty while no node declares any."""
        self.features: tuple[tuple[str, ...], ...] = ((),)
        self.labels: dict[str, LabelColumn] = {}
        self._codes: dict[str, I32] = {}

    def refresh(self, now_us: int) -> bool:
        """Brings the buffer up to date; True if rows were numbered anew.

        Earlier snapshots turn stale (StaleSnapshotError). now_us decides who is still settling.
        """
        nodes = self._nodes
        nodes.settle(now_us)
        self.lease.current += 1
        self.row_of_nid = grown(self.row_of_nid, len(nodes), NO_ROW)
        if nodes.tree_stale:
            self._rebuild(now_us)
            return True
        dirty = np.flatnonzero(nodes.dirty)
        if dirty.size:
            self._refresh_rows(dirty, now_us)
        return False

    def widen(self, rows: int, place: I64) -> None:
        """The process counts `rows` resources: row r is row place[r] now.

        The buffer is a new one, so that snapshots that are out keep showing what they showed.
        """
        if self.rebuilds:
            self.allocatable = moved(self.allocatable, place, rows)
            self.free = moved(self.free, place, rows)

    def row_of(self, name: str) -> int:
        """Row of a node in the last snapshot, or -1."""
        nid = self._nodes.nid_of.get(name)
        return NO_ROW if nid is None or nid >= len(self.row_of_nid) else int(self.row_of_nid[nid])

    def _refresh_rows(self, dirty: I64, now_us: int) -> None:
        nodes = self._nodes
        rows = self.row_of_nid[dirty]
        known = rows >= 0
        nids, rows = (dirty, rows) if known.all() else (dirty[known], rows[known])
        gained, written = nodes.gained[nids], nodes.written[nids]
        allocatable = nodes.allocatable[:, nids]
        self.allocatable[:, rows] = allocatable
        self.free[:, rows] = allocatable - nodes.used[:, nids]
        self.slots[rows] = nodes.slots_allocatable[nids] - nodes.pods_used[nids]
        if written.any():
            self._refresh_written(nids[written], rows[written], now_us)
        nodes.dirty[dirty] = nodes.gained[dirty] = nodes.written[dirty] = False
        self.journal.append(rows, gained, written, JOURNAL_ROWS * len(self.names) + 1)
        self.room += bool(gained.any())

    def _refresh_written(self, nids: I64, rows: I32, now_us: int) -> None:
        nodes = self._nodes
        self.flags[rows] = nodes.flags_at(nids, now_us)
        self.taint_set[rows] = nodes.taint_set[nids]
        self._publish_taints()
        self._publish_features()
        for key, table in nodes.labels.items():
            if key not in self._codes:
                self._codes[key] = table.code[self.nid_of_row]
            else:
                self._codes[key][rows] = table.code[nids]
        self._publish_labels()

    def _rebuild(self, now_us: int) -> None:
        """Nodes came or went, or a level's label changed: everything is laid out anew."""
        nodes = self._nodes
        nids = nodes.in_name_order()
        if not np.array_equal(nids, self.nid_of_row):
            self.nid_of_row = nids
            self.names = tuple(nodes.names[nid] for nid in nids.tolist())
            self.row_of_nid = np.full(len(nodes.exists), NO_ROW, np.int32)
            self.row_of_nid[nids] = np.arange(len(nids), dtype=np.int32)
        grown_for = {levels: self._tree(levels) for levels in dict.fromkeys(self._levels)}
        self.trees = tuple(grown_for[levels] for levels in self._levels)
        self.allocatable = np.ascontiguousarray(nodes.allocatable[:, nids])
        self.free = self.allocatable - nodes.used[:, nids]
        self.slots = nodes.slots_allocatable[nids] - nodes.pods_used[nids]
        self.flags = nodes.flags_at(nids, now_us)
        self.taint_set = nodes.taint_set[nids]
        self._codes = {key: table.code[nids] for key, table in nodes.labels.items()}
        self.labels = {}
        self._publish_taints()
        self._publish_features()
        self._publish_labels()
        for mask in (nodes.dirty, nodes.gained, nodes.written):
            mask[:] = False
        nodes.tree_stale = False
        self.journal.forget()
        self.rebuilds += 1
        self.room += 1

    def _tree(self, levels: tuple[Level, ...]) -> kernel.Tree:
        values = self._nodes.level_values(self.nid_of_row.tolist(), levels)
        return kernel.Tree(build_topology([level.name for level in levels], self.names, values))

    def _publish_taints(self) -> None:
        if len(self.taint_sets) != len(self._nodes.taint_sets):
            self.taint_sets = tuple(self._nodes.taint_sets)

    def _publish_features(self) -> None:
        nodes = self._nodes
        if len(nodes.feature_sets) == 1:
            return
        column = nodes.feature_set[self.nid_of_row]
        if not np.array_equal(column, self.feature_set):
            self.feature_set = frozen(column)
        if len(self.features) != len(nodes.feature_sets):
            self.features = tuple(nodes.feature_sets)

    def _publish_labels(self) -> None:
        """New label columns where a key is new or has new values; codes are shared buffers."""
        fresh: dict[str, LabelColumn] = {}
        for key, table in self._nodes.labels.items():
            column = self.labels.get(key)
            if column is None or len(column.values) != len(table.values):
                fresh[key] = LabelColumn(key, table.all_values(), frozen(self._codes[key]))
        if fresh:
            self.labels = {**self.labels, **fresh}
