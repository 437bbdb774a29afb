"""Rows that pins of volumes admit, kept as long as no node's labels change."""

from __future__ import annotations

from scheduler.model.arrays import I32, frozen
from scheduler.model.snapshot import Snapshot
from scheduler.model.volumes.pins import Pin, rows_of
from scheduler.model.volumes.reach import Reach
from scheduler.state.freeze import FrozenColumns

KEPT = 4096
"""Pins whose rows are kept; beyond this they are worked out afresh."""


class PinRows:
    """Once per distinct pin: members of one gang whose volumes are in one zone share one."""

    __slots__ = ("_cursor", "_frozen", "_reach", "_rows", "_snapshot")

    def __init__(self, frozen_columns: FrozenColumns) -> None:
        self._frozen = frozen_columns
        self._cursor = -1
        self._rows: dict[Pin, I32] = {}
        self._snapshot: Snapshot
        self._reach: Reach

    def look_at(self, snapshot: Snapshot) -> None:
        """From now on rows are those of `snapshot`, the last one that was frozen."""
        self._snapshot = snapshot
        journal = self._frozen.journal
        news = journal.since(self._cursor)
        if news is None or bool(news.written.any()) or len(self._rows) > KEPT:
            self._rows = {}
            self._reach = Reach(snapshot)
        self._cursor = journal.end

    def rows(self, pin: Pin) -> I32:
        """int32, rising, read-only."""
        found = self._rows.get(pin)
        if found is None:
            found = self._rows[pin] = frozen(rows_of(pin, self._snapshot, self._reach))
        return found
