"""How many pods of each mark are on each node, and when that last changed."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32, frozen
from scheduler.model.pod_rules import MarkColumn
from scheduler.state.counts import CountTable


class MarkTable(CountTable):
    """mark -> pods per node id. Marks that nobody counts any more are forgotten."""

    __slots__ = ("_columns", "_read", "_stamps", "clock", "stirred")

    def __init__(self) -> None:
        super().__init__()
        self._columns: dict[str, MarkColumn] = {}
        self._stamps: dict[str, int] = {}
        self.clock = 0
        """Rises with every change of any mark."""
        self.stirred = 0
        """Rises with every change of a mark that was published last: that somebody reads."""
        self._read: frozenset[str] = frozenset()

    def add(self, name: str, nids: npt.NDArray[np.integer], sign: int) -> None:
        """One pod more (sign 1) or fewer (-1) on each of `nids`, repeats counted."""
        super().add(name, nids, sign)
        self.touch(name)

    def touch(self, mark: str) -> None:
        """The mark means something else now, or is counted since now."""
        self._columns.pop(mark, None)
        self.clock += 1
        self._stamps[mark] = self.clock
        self.stirred += mark in self._read

    def forget(self, name: str) -> None:
        """Nobody asks for the pods of `name` any more."""
        super().forget(name)
        self._columns.pop(name, None)
        self._stamps.pop(name, None)

    def changes(self, marks: Iterable[str]) -> int:
        """A number that rises whenever one of `marks` changes."""
        return sum(self._stamps.get(mark, 0) for mark in marks)

    def published(
        self, marks: Iterable[str], row_of_nid: I32, *, renumbered: bool
    ) -> dict[str, MarkColumn]:
        """Columns of `marks`, by mark; the same objects while nothing changes.

        row_of_nid int32: row of each node id, -1 for a node that does not exist. `renumbered`
        says that it differs from the last call's.
        """
        before = {} if renumbered else self._columns
        self._columns = {
            mark: before.get(mark) or self._column(mark, row_of_nid) for mark in sorted(set(marks))
        }
        self._read = frozenset(self._columns)
        return dict(self._columns)

    def _column(self, mark: str, row_of_nid: I32) -> MarkColumn:
        nids, counts = self.users(mark)
        rows = row_of_nid[nids]
        there = np.flatnonzero(rows >= 0)
        there = there[np.argsort(rows[there], kind="stable")]
        return MarkColumn(frozen(rows[there]), frozen(counts[there]))
