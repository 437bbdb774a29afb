"""Everything that is to be written for users, in the order of its worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scheduler.kube.conditions import PlacedConditions, WaitingConditions
from scheduler.kube.events import Events
from scheduler.kube.group_status import GroupStatuses
from scheduler.kube.writes import Kind, Write, Writes

OWNERS_AT_ONCE = 2
"""Events about owners in flight while binds are on their way."""


class Desk:
    """The books, and who sends next."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.waiting = WaitingConditions()
        self.placed = PlacedConditions()
        self.groups = GroupStatuses()

    @property
    def calm(self) -> bool:
        """Nothing but events about pods waits."""
        books = (self.events, self.placed, self.groups, self.waiting)
        return all(book.quiet for book in books)

    def forget(self, key: str, now_us: int) -> None:
        """A gang is no more."""
        self.waiting.forget(key)
        self.placed.forget(key)
        self.groups.gone(key, now_us)

    def send(self, writes: Writes, now_us: int, *, idle: bool) -> None:
        """Sends what there is room for. Not idle: binds are on their way, only owners hear."""
        for write in self._turn(writes, now_us) if idle else self._owners(writes, now_us):
            writes.send(write)

    def _owners(self, writes: Writes, now_us: int) -> Iterator[Write]:
        while (
            writes.in_flight < OWNERS_AT_ONCE
            and writes.room(now_us)
            and writes.may(Kind.EVENTS, now_us)
        ):
            write = self.events.next(now_us)
            if write is None:
                return
            yield write

    def _turn(self, writes: Writes, now_us: int) -> Iterator[Write]:
        sources: tuple[tuple[Kind, Callable[[], Write | None]], ...] = (
            (Kind.EVENTS, lambda: self.events.next(now_us)),
            (Kind.CONDITIONS, lambda: self.placed.next(now_us)),
            (Kind.GROUPS, self.groups.next),
            (Kind.CONDITIONS, lambda: self.waiting.next(now_us)),
            (Kind.EVENTS, lambda: self.events.next_pod(now_us) if self.calm else None),
        )
        for kind, source in sources:
            while writes.room(now_us) and writes.may(kind, now_us):
                write = source()
                if write is None:
                    break
                yield write
