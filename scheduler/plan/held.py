"""The room of all holds by row and by owner, made once per cycle if anybody asks."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.snapshot import Snapshot


class HeldRoom:
    """What the holds of a snapshot keep. H holds, U rows that have some, R resources."""

    __slots__ = ("free", "of", "owners", "rows", "slots", "until_us")

    def __init__(self, snapshot: Snapshot) -> None:
        holds = snapshot.holds
        codes: dict[str, int] = {}
        self.of: I64 = np.array([codes.setdefault(o, len(codes)) for o in holds.owner], np.int64)
        """[H] index into owners."""
        self.owners = tuple(codes)
        self.until_us: I64 = np.zeros(len(codes), np.int64)
        """When the last hold of each owner ends."""
        np.maximum.at(self.until_us, self.of, holds.until_us)
        rows, at = np.unique(holds.row, return_inverse=True)
        self.rows: I32 = rows.astype(np.int32)
        self.free: I64 = np.zeros((len(snapshot.resources), rows.size), np.int64)
        """[R, U] resources that the holds on each row have taken."""
        self.slots: I64 = np.bincount(at, minlength=rows.size).astype(np.int64)
        if rows.size:
            requests = np.array([shape.requests for shape in snapshot.shapes], np.int64)
            for r in range(len(snapshot.resources)):
                np.add.at(self.free[r], at, requests[holds.shape, r])
