"""Rows in the order in which they were touched, in one array: what came since costs no copy."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32

FIRST = 1024


class Journal:
    """int32 rows that are only ever added to."""

    __slots__ = ("_rows", "end")

    def __init__(self) -> None:
        self._rows: I32 = np.empty(FIRST, np.int32)
        self.end = 0
        """How many there are; what a reader remembers."""

    def append(self, rows: I32) -> None:
        """Adds `rows` at the end."""
        end = self.end + rows.size
        if end > self._rows.size:
            # Twice the room each time; slices handed out before keep the old array.
            grown: I32 = np.empty(max(end, 2 * self._rows.size), np.int32)
            grown[: self.end] = self._rows[: self.end]
            self._rows = grown
        self._rows[self.end : end] = rows
        self.end = end

    def since(self, start: int) -> I32:
        """Rows from the `start`-th on; stays as it is when more are added."""
        return self._rows[start : self.end]
