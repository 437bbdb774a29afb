"""Names -> how many users each has on which node: host ports taken, pods of a mark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I64

_EMPTY: I64 = np.empty(0, np.int64)
_FEW_CHANGES = 256
"""Changes that are noted for a name before they are folded in, or an eighth of its nodes."""


class CountTable:
    """name -> users per node id.

    Changes are noted as arrays and folded into sorted columns when somebody reads them, so that
    100,000 members of one gang cost one sort and no object each.
    """

    __slots__ = ("_changes", "_counts", "_nids")

    def __init__(self) -> None:
        self._nids: dict[str, I64] = {}
        self._counts: dict[str, I64] = {}
        self._changes: dict[str, list[tuple[npt.NDArray[np.integer], int]]] = {}

    def add(self, name: str, nids: npt.NDArray[np.integer], sign: int) -> None:
        """One user more (sign 1) or fewer (-1) on each of `nids`, repeats counted."""
        changes = self._changes.setdefault(name, [])
        changes.append((nids, sign))
        if len(changes) > max(_FEW_CHANGES, len(self._nids.get(name, _EMPTY)) // 8):
            self._fold(name)

    def users(self, name: str) -> tuple[I64, I64]:
        """(node ids rising, users on each > 0) of one name."""
        self._fold(name)
        return self._nids.get(name, _EMPTY), self._counts.get(name, _EMPTY)

    def names(self) -> list[str]:
        """Names that have users, sorted."""
        for name in list(self._changes):
            self._fold(name)
        return sorted(self._nids)

    def forget(self, name: str) -> None:
        """Nobody asks for the users of `name` any more."""
        self._changes.pop(name, None)
        self._nids.pop(name, None)
        self._counts.pop(name, None)

    def _fold(self, name: str) -> None:
        changes = self._changes.pop(name, None)
        if changes is None:
            return
        nids = [self._nids.pop(name, _EMPTY), *(n.astype(np.int64) for n, _ in changes)]
        signs = [self._counts.pop(name, _EMPTY)]
        signs += [np.full(len(n), sign, np.int64) for n, sign in changes]
        where, place = np.unique(np.concatenate(nids), return_inverse=True)
        counts = np.zeros(len(where), np.int64)
        np.add.at(counts, place, np.concatenate(signs))
        used = counts != 0
        if used.any():
            self._nids[name], self._counts[name] = where[used], counts[used]
