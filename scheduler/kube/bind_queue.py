"""The order in which gangs' binds are sent. Pure.

By priority, then in the order of submission. A gang that fits the free window is sent whole; one
that does not fit yet, but would fit the window, waits a moment for it and lets nobody past. Of the
gangs that are larger than the window only one is unfinished at any time, so that as few gangs as
possible are bound in part; the others wait aside and let smaller ones past.
"""

from __future__ import annotations

import heapq

from scheduler.kube.batch import Batch
from scheduler.kube.bind_request import BindRequests


class Sending:
    """A batch on its way: a cursor and a few counts, nothing per member."""

    __slots__ = ("_dropped", "_next", "_unwanted", "batch", "requests", "unsent", "unsettled")

    def __init__(self, batch: Batch, timeout_us: int) -> None:
        self.batch = batch
        self.requests = BindRequests(batch, timeout_us)
        self.unsent = self.unsettled = len(batch.names)
        self._next = 0
        self._dropped: set[int] = set()
        """Unsent indices that are passed over."""
        self._unwanted: set[int] | None = set()
        """Ranks, None = all."""

    @property
    def begun(self) -> bool:
        """Has a member been taken?"""
        return self._next > 0

    def take(self) -> int:
        """Index of the next member to be sent. Only if `unsent`."""
        while self._next in self._dropped:
            self._dropped.discard(self._next)
            self._next += 1
        self.unsent -= 1
        self._next += 1
        return self._next - 1

    def is_unwanted(self, index: int) -> bool:
        """Was this member dropped, before or after it was sent?"""
        return self._unwanted is None or int(self.batch.ranks[index]) in self._unwanted

    def drop(self, ranks: set[int] | None) -> list[int]:
        """Indices of unsent members of these ranks (None = all); they will not be taken."""
        if ranks is None or self._unwanted is None:
            self._unwanted = None
        else:
            self._unwanted |= ranks
        left = self.batch.ranks[self._next :].tolist()
        found = [
            index
            for index, rank in enumerate(left, self._next)
            if index not in self._dropped and (ranks is None or rank in ranks)
        ]
        self._dropped.update(found)
        self.unsent -= len(found)
        return found


class BindQueue:
    """Batches with unsent members."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Sending]] = []
        self._aside: list[tuple[int, int, Sending]] = []
        """Larger than the window while another such gang is unfinished."""
        self._large: Sending | None = None
        self._count = 0

    def add(self, sending: Sending) -> None:
        """Puts a batch behind those of the same priority."""
        self._count += 1
        heapq.heappush(self._heap, (-sending.batch.priority, self._count, sending))

    def next(self, room: int, window: int) -> Sending | None:
        """Whose members may be sent, as many as `room` > 0 takes; `window` >= `room`."""
        if self._large is not None and not self._large.unsettled:
            self._large = None
            for entry in self._aside:
                heapq.heappush(self._heap, entry)
            self._aside.clear()
        while self._heap:
            sending = self._heap[0][2]
            if not sending.unsent:
                heapq.heappop(self._heap)
            elif sending is self._large or sending.begun or sending.unsent <= room:
                return sending
            elif sending.unsent <= window:
                return None
            elif self._large is None:
                self._large = sending
                return sending
            else:
                self._aside.append(heapq.heappop(self._heap))
        return None
