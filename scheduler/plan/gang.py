"""One waiting gang as the placements see it: a row of `Pending`, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.pending import NO_PIN, NO_ROW, Pending
from scheduler.model.plan import Verdict

MIXED = -1
"""`Gang.shape` of a gang whose members differ (in shape, or by a pin)."""


@dataclass(frozen=True, eq=False, slots=True)
class Gang:
    """Gang `index` of a Pending. Arrays are views of its members, lowest rank first."""

    index: int
    key: str
    n: int
    """Members that want a place now."""
    minimum: int
    shape: int
    """The one shape of all members that need a search, or MIXED."""
    shapes: I32
    """[n]"""
    has_held: bool
    """True if some member's room is held."""
    held_row: I32
    """[n] row where the member's room is held, or -1."""
    pin: I32
    """[n] index into pins, or -1."""
    pins: tuple[I32, ...]
    required: int
    preferred: int
    segment_size: int
    segment_level: int
    home: int
    single: bool
    priority: int

    @classmethod
    def of(cls, pending: Pending, index: int) -> Gang:
        """Row `index` of `pending`. For more than one, keep a `Gangs`."""
        return Gangs(pending)[index]


class Gangs:
    """All gangs of a Pending. What takes a pass over members is computed once for all of them."""

    def __init__(self, pending: Pending) -> None:
        first = pending.offset[:-1]
        shape, pin, held = pending.shape, pending.pin, pending.held_row
        self._pending = pending
        # Plain numbers: indexing a list is several times quicker than indexing a column.
        self._offset: list[int] = pending.offset.tolist()
        if not first.size:
            return
        alike = np.minimum.reduceat(shape, first) == np.maximum.reduceat(shape, first)
        alike &= np.maximum.reduceat(pin, first) == NO_PIN
        self._shape: list[int] = np.where(alike, shape[first], MIXED).tolist()
        self._has_held: list[bool] = (np.maximum.reduceat(held, first) != NO_ROW).tolist()
        self._columns: list[tuple[int, ...]] = list(
            zip(
                pending.minimum.tolist(), pending.required.tolist(), pending.preferred.tolist(),
                pending.segment_size.tolist(), pending.segment_level.tolist(),
                pending.home.tolist(), pending.single.tolist(), pending.priority.tolist(),
                strict=True,
            )
        )  # fmt: skip

    def __getitem__(self, index: int) -> Gang:
        """Gang `index` of the Pending."""
        p = self._pending
        first, last = self._offset[index], self._offset[index + 1]
        minimum, required, preferred, size, level, home, single, priority = self._columns[index]
        return Gang(
            index=index,
            key=p.key[index],
            n=last - first,
            minimum=minimum,
            shape=self._shape[index],
            shapes=p.shape[first:last],
            has_held=self._has_held[index],
            held_row=p.held_row[first:last],
            pin=p.pin[first:last],
            pins=p.pins,
            required=required,
            preferred=preferred,
            segment_size=size,
            segment_level=level if size else -1,
            home=home,
            single=bool(single),
            priority=priority,
        )


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What a placement found for one gang. Nothing has been taken from the ledger yet."""

    verdict: Verdict
    rows: I32
    """[placed] row of each member, by rank; the lowest ranks if fewer than n."""
    domain: int
    """Lowest common domain of rows, or -1."""
    fit: int
    """Members that the best permitted domain holds."""
    best_domain: int
    """That domain, or -1 if none is permitted."""
    searched: bool = False
    """True if it took the member-by-member search."""


NO_ROWS: I32 = np.empty(0, np.int32)


def rejected(fit: int, best_domain: int, verdict: Verdict = Verdict.DOES_NOT_FIT) -> Outcome:
    """The outcome of a gang that got no place."""
    return Outcome(verdict, NO_ROWS, -1, fit, best_domain)
