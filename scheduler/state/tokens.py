"""Who has taken what a node gives to one pod only: host ports, a gang's own anti-affinity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32, I64, frozen

_EMPTY: I64 = np.empty(0, np.int64)


class TokenTable:
    """token -> users per node id.

    Changes are noted as arrays and folded into sorted columns when somebody reads them, so that
    100,000 members of one gang cost one sort and no object each.
    """

    __slots__ = ("_changes", "_counts", "_nids", "_rows", "_unpublished")

    def __init__(self) -> None:
        self._nids: dict[str, I64] = {}
        self._counts: dict[str, I64] = {}
        self._changes: dict[str, list[tuple[npt.NDArray[np.integer], int]]] = {}
        self._rows: dict[str, I32] = {}
        self._unpublished: set[str] = set()

    def add(self, token: str, nids: npt.NDArray[np.integer], sign: int) -> None:
        """One user more (sign 1) or fewer (-1) on each of `nids`, repeats counted."""
        self._changes.setdefault(token, []).append((nids, sign))
        self._unpublished.add(token)

    def users(self, token: str) -> tuple[I64, I64]:
        """(node ids rising, users on each > 0) of one token."""
        self._fold(token)
        return self._nids.get(token, _EMPTY), self._counts.get(token, _EMPTY)

    def names(self) -> list[str]:
        """Tokens that somebody holds, sorted."""
        for token in list(self._changes):
            self._fold(token)
        return sorted(self._nids)

    def rows(self, row_of_nid: I32, *, renumbered: bool) -> dict[str, I32]:
        """token -> rows where it is taken, rising; the same mapping while nothing changes.

        row_of_nid int32: row of each node id, -1 for a node that does not exist. `renumbered`
        says that it differs from the last call's.
        """
        changed = self._unpublished.union(self._nids) if renumbered else self._unpublished
        if not changed:
            return self._rows
        rows = dict(self._rows)
        for token in changed:
            self._fold(token)
            taken = row_of_nid[self._nids.get(token, _EMPTY)]
            taken = np.sort(taken[taken >= 0]).astype(np.int32, copy=False)
            rows.pop(token, None)
            if taken.size:
                rows[token] = frozen(taken)
        self._rows = {token: rows[token] for token in sorted(rows)}
        self._unpublished = set()
        return self._rows

    def _fold(self, token: str) -> None:
        changes = self._changes.pop(token, None)
        if changes is None:
            return
        nids = [self._nids.pop(token, _EMPTY), *(n.astype(np.int64) for n, _ in changes)]
        signs = [self._counts.pop(token, _EMPTY)]
        signs += [np.full(len(n), sign, np.int64) for n, sign in changes]
        where, place = np.unique(np.concatenate(nids), return_inverse=True)
        counts = np.zeros(len(where), np.int64)
        np.add.at(counts, place, np.concatenate(signs))
        used = counts != 0
        if used.any():
            self._nids[token], self._counts[token] = where[used], counts[used]
