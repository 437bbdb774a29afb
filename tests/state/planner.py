"""A planner small enough to be seen through: for tests of what stands around the planner.

Lowest ranks first, each on the first row that takes it, in the first permitted domain that takes
enough of them. For alike members without pins that is complete, so their rejections are proved.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.filters import Eligibility
from scheduler.model.names import natural_key
from scheduler.model.pending import Pending
from scheduler.model.plan import Plan, PlanStats, Verdict
from scheduler.model.snapshot import Snapshot
from scheduler.model.topology import CLUSTER


class _Scratch:
    """What is left while the cycle goes on."""

    def __init__(self, snap: Snapshot) -> None:
        self.snap = snap
        self.free = snap.free.T.tolist()
        self.slots = snap.slots.tolist()
        self.reason = [Eligibility(shape).evaluate(snap) for shape in snap.shapes]
        self.tokens: set[tuple[str, int]] = set()

    def takes(self, row: int, shape: int) -> bool:
        """Does the row take one member more?"""
        wanted = self.snap.shapes[shape]
        return (
            self.reason[shape][row] == 0
            and self.slots[row] >= 1
            and not any((token, row) in self.tokens for token in wanted.tokens)
            and all(q == 0 or f >= q for f, q in zip(self.free[row], wanted.requests, strict=True))
        )

    def put(self, row: int, shape: int, sign: int = 1) -> None:
        """Takes (sign 1) or gives back (-1) the room of one member."""
        wanted = self.snap.shapes[shape]
        self.free[row] = [
            f - sign * q for f, q in zip(self.free[row], wanted.requests, strict=True)
        ]
        self.slots[row] -= sign
        for token in wanted.tokens:
            (self.tokens.add if sign > 0 else self.tokens.discard)((token, row))


def first_fit(snap: Snapshot, pending: Pending) -> Plan:
    """A Plan of the waiting gangs, in the queue's order."""
    snap.check_fresh()
    scratch = _Scratch(snap)
    order = sorted(
        range(pending.gangs),
        key=lambda g: (
            1 - pending.repair[g], -pending.priority[g], pending.ready_us[g],
            natural_key(pending.name[g]), pending.key[g],
        ),
    )  # fmt: skip
    row = np.full(pending.members, -1, np.int32)
    verdict = np.zeros(pending.gangs, np.int8)
    placed = np.zeros(pending.gangs, np.int32)
    for g in order:
        found = _place(scratch, pending, g)
        alike = len(set(_slice(pending, g, pending.shape))) == 1
        verdict[g] = Verdict.DOES_NOT_FIT if alike else Verdict.NOT_FOUND
        if found:
            verdict[g], placed[g] = Verdict.FITS, len(found)
            first = int(pending.offset[g])
            row[first : first + len(found)] = found
    none = np.full(pending.gangs, -1, np.int32)
    return Plan(
        generation=snap.generation,
        order=np.array(order, np.int32),
        verdict=verdict,
        cause=np.zeros(pending.gangs, np.int8),
        placed=placed,
        domain=none,
        best_domain=none,
        best_cap=np.zeros(pending.gangs, np.int64),
        row=row,
        offset=pending.offset,
        rejection=(None,) * pending.gangs,
        stats=PlanStats(),
    )


def _slice(pending: Pending, g: int, column: np.ndarray) -> list[int]:
    return list(map(int, column[pending.offset[g] : pending.offset[g + 1]]))


def _place(scratch: _Scratch, pending: Pending, g: int) -> list[int]:
    tree, level = scratch.snap.topology, int(pending.required[g])
    permitted = [CLUSTER] if level < 0 else tree.by_level[level].tolist()
    if level >= 0 and pending.home[g] >= 0:
        permitted = [int(pending.home[g])]
    shapes, held = _slice(pending, g, pending.shape), _slice(pending, g, pending.held_row)
    for domain in permitted:
        rows = sorted(tree.rows(domain).tolist())
        found: list[int] = []
        for shape, mine in zip(shapes, held, strict=True):
            row = mine if mine in rows else next((r for r in rows if scratch.takes(r, shape)), -1)
            if row < 0:
                break
            found.append(row)
            if row != mine:
                scratch.put(row, shape)
        if len(found) >= pending.minimum[g]:
            return found
        for row, shape, mine in zip(found, shapes, held, strict=False):
            if row != mine:
                scratch.put(row, shape, -1)
    return []
