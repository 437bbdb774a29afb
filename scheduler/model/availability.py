"""kube-scheduler's line about nodes, for gangs that were rejected.

`0/1000 nodes are available: 412 Insufficient nvidia.com/gpu, ...`: what each node answers to one
more member, in the words of kube-scheduler's own plugins (filters/default_order.py). A gang may be
rejected although some nodes would take a member: then the line says `3/1000 nodes are available to
a single member: ...`. Members that may only use some nodes (pins) are asked about as if they might
use any.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.filters import default_order
from scheduler.model.filters.default_order import Counted, available_text, counted_in
from scheduler.model.pending import NO_ROW, Pending
from scheduler.model.plan import Plan, Verdict
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot


def available(shape: Shape, nodes: Snapshot, counted: Counted | None = None) -> str:
    """The line for one more pod of `shape`. counted: pods of a mark per row, else `nodes`'."""
    refused = default_order.refusal(shape)
    if refused is not None:
        return available_text(len(nodes.names), refused)
    found = default_order.verdicts(shape, nodes, counted or counted_in(nodes))
    passing = int(np.count_nonzero(found.which == 0))
    return available_text(len(nodes.names), found.counts(), passing)


def main_shape(shapes: I32) -> int:
    """The shape number that most members have, the lowest of several. shapes: not empty."""
    numbers, members = np.unique(shapes, return_counts=True)
    return int(numbers[np.argmax(members)])


def lines_of(snapshot: Snapshot, pending: Pending, plan: Plan) -> list[str]:
    """[G] the line of each gang that was tried and rejected, as nodes stood then; else empty."""
    out = [""] * pending.gangs
    room = _Room(snapshot)
    known: dict[tuple[int, int], str] = {}
    for gang in plan.order.tolist():
        members = slice(int(pending.offset[gang]), int(pending.offset[gang + 1]))
        shapes, verdict = pending.shape[members], plan.verdict[gang]
        if verdict == Verdict.FITS:
            room.take(shapes, plan.row[members], pending.held_row[members])
        elif verdict != Verdict.NOT_TRIED:
            key = main_shape(shapes), room.gangs
            if key not in known:
                known[key] = room.line(key[0])
            out[gang] = known[key]
    return out


class _Room:
    """A snapshot's nodes while the gangs of a plan take their places."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._free = snapshot.free.copy()
        self._slots = snapshot.slots.copy()
        self._tokens = dict(snapshot.tokens)
        self._left: dict[str, I64] = {}
        """[N] pods of a mark that were placed."""
        self.gangs = 0
        """Gangs that have taken theirs."""

    def take(self, shapes: I32, rows: I32, held: I32) -> None:
        """Members of these shapes go to `rows`; who goes to the row held for him takes no more."""
        self.gangs += 1
        for number in np.unique(shapes[rows != NO_ROW]).tolist():
            mine = (rows != NO_ROW) & (shapes == number)
            shape, fresh = self._snapshot.shapes[number], rows[mine & (rows != held)]
            pods = np.bincount(fresh, minlength=len(self._slots))
            for r, amount in enumerate(shape.requests):
                if amount:
                    self._free[r] -= amount * pods
            self._slots -= pods
            for token in shape.tokens:
                taken = self._tokens.get(token, fresh)
                self._tokens[token] = np.union1d(taken, fresh).astype(np.int32)
            for mark in shape.rules.leaves:
                left = np.bincount(rows[mine], minlength=len(self._slots))
                self._left[mark] = self._left.get(mark, 0) + left

    def line(self, shape: int) -> str:
        """For one more pod of a shape, by its number."""
        nodes = replace(
            self._snapshot, free=self._free, slots=self._slots, tokens=self._tokens, lease=None
        )
        there = counted_in(nodes)
        return available(
            self._snapshot.shapes[shape], nodes,
            lambda mark: there(mark) + self._left.get(mark, 0),
        )  # fmt: skip
