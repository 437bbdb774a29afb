"""Who has taken what a node gives to one pod only: host ports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32, frozen
from scheduler.state.counts import CountTable


class TokenTable(CountTable):
    """token -> users per node id, and the rows where it is taken."""

    __slots__ = ("_rows", "_unpublished")

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, I32] = {}
        self._unpublished: set[str] = set()

    def add(self, name: str, nids: npt.NDArray[np.integer], sign: int) -> None:
        """One user more (sign 1) or fewer (-1) on each of `nids`, repeats counted."""
        super().add(name, nids, sign)
        self._unpublished.add(name)

    def rows(self, row_of_nid: I32, *, renumbered: bool) -> dict[str, I32]:
        """token -> rows where it is taken, rising; the same mapping while nothing changes.

        row_of_nid int32: row of each node id, -1 for a node that does not exist. `renumbered`
        says that it differs from the last call's.
        """
        changed = self._unpublished.union(self.names()) if renumbered else self._unpublished
        if not changed:
            return self._rows
        rows = dict(self._rows)
        for token in changed:
            taken = row_of_nid[self.users(token)[0]]
            taken = np.sort(taken[taken >= 0]).astype(np.int32, copy=False)
            rows.pop(token, None)
            if taken.size:
                rows[token] = frozen(taken)
        self._rows = {token: rows[token] for token in sorted(rows)}
        self._unpublished = set()
        return self._rows
