"""Rows that freeze() brought up to date, for readers who catch up at their own pace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32
from scheduler.state.growth import grown
from scheduler.state.nodes import Mask


@dataclass(frozen=True, eq=False, slots=True)
class News:
    """Rows since a cursor, repeats possible.

    gained: room may have appeared. written: what filters read changed.
    """

    rows: I32
    gained: Mask
    written: Mask


class Journal:
    """An append-only list of rows, cut from the front when it is longer than it is worth."""

    __slots__ = ("_base", "_count", "_gained", "_rows", "_written")

    def __init__(self) -> None:
        self._rows: I32 = np.empty(0, np.int32)
        self._gained: Mask = np.empty(0, np.bool_)
        self._written: Mask = np.empty(0, np.bool_)
        self._base = 0
        self._count = 0

    @property
    def end(self) -> int:
        """The cursor of a reader who knows everything."""
        return self._base + self._count

    def append(self, rows: I32, gained: Mask, written: Mask, limit: int) -> None:
        """Adds rows. Beyond `limit` rows the past is forgotten: who is behind starts afresh."""
        if self._count + len(rows) > limit:
            self._base, self._count = self.end, 0
            if len(rows) > limit:
                self._base += len(rows)
                return
        first, self._count = self._count, self._count + len(rows)
        self._rows = grown(self._rows, self._count)
        self._gained = grown(self._gained, self._count, fill=False)
        self._written = grown(self._written, self._count, fill=False)
        self._rows[first : self._count] = rows
        self._gained[first : self._count] = gained
        self._written[first : self._count] = written

    def forget(self) -> None:
        """Rows were numbered anew: every reader starts afresh."""
        self._base, self._count = self.end + 1, 0

    def since(self, cursor: int) -> News | None:
        """What happened after `cursor`, or None if that is not known any more."""
        if cursor < self._base:
            return None
        part = slice(cursor - self._base, self._count)
        return News(self._rows[part], self._gained[part], self._written[part])
