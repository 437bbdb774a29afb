"""Members as columns: where each is, what it asks for, whose it is. No object per pod."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from scheduler.model.arrays import I8, I32
from scheduler.state.growth import grown

NO_GANG = -1
NO_RANK = -1
NO_SLOT = -1


class PodState(IntEnum):
    """States of a place in the table.

    FREE --assume--> ASSUMED --confirm--> BOUND
      ^                 |                    |
      +-----forget------+------remove--------+
    """

    FREE = 0
    ASSUMED = 1
    """A bind was decided, and is not seen on the watch yet."""
    BOUND = 2


BOUND = int(PodState.BOUND)
ASSUMED = int(PodState.ASSUMED)
"""The same numbers for what is done with every event: Python 3.11 takes 1 us to look up a member
of an enumeration."""


class PodTable:
    """Columns over slots; a slot is free or one pod's until it ends."""

    __slots__ = ("_free", "_free_count", "_top", "gang", "nid", "place", "rank", "shape", "state")

    def __init__(self) -> None:
        self.nid: I32 = np.zeros(0, np.int32)
        self.shape: I32 = np.zeros(0, np.int32)
        self.gang: I32 = np.zeros(0, np.int32)
        """Number of the gang, or -1."""
        self.rank: I32 = np.zeros(0, np.int32)
        self.state: I8 = np.zeros(0, np.int8)
        self.place: I32 = np.zeros(0, np.int32)
        """Index of the slot in its gang's list of slots."""
        self._free: I32 = np.zeros(0, np.int32)
        self._free_count = 0
        self._top = 0

    def __len__(self) -> int:
        return self._top - self._free_count

    @property
    def top(self) -> int:
        """One past the highest slot ever used."""
        return self._top

    def free_slots(self) -> I32:
        """Slots below `top` that are free, most recently freed last."""
        return self._free[: self._free_count]

    def take_slots(self, count: int) -> I32:
        """`count` slots, freed ones first; their columns are the caller's to fill."""
        again = min(count, self._free_count)
        self._free_count -= again
        slots = np.empty(count, np.int32)
        slots[:again] = self._free[self._free_count : self._free_count + again]
        fresh = count - again
        slots[again:] = np.arange(self._top, self._top + fresh, dtype=np.int32)
        self._top += fresh
        if self._top > len(self.nid):
            for column in ("nid", "shape", "gang", "rank", "state", "place"):
                setattr(self, column, grown(getattr(self, column), self._top))
        return slots

    def take_slot(self) -> int:
        """One slot; the same as `take_slots(1)` without the cost of arrays."""
        if self._free_count:
            self._free_count -= 1
            return int(self._free[self._free_count])
        if self._top == len(self.nid):
            return int(self.take_slots(1)[0])
        self._top += 1
        return self._top - 1

    def give_slots(self, slots: I32) -> None:
        """Frees `slots` (distinct, in use)."""
        self.state[slots] = PodState.FREE
        count = self._free_count + len(slots)
        self._free = grown(self._free, count)
        self._free[self._free_count : count] = slots
        self._free_count = count

    def in_use(self) -> I32:
        """Slots that hold a pod, rising."""
        return np.flatnonzero(self.state[: self._top] != PodState.FREE).astype(np.int32)
