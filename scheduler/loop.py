"""The loop of the live scheduler: one thread that owns the cache and everything around it.

    poll ----> watch bytes -> reflectors -> intake -> cache, roster
               answers of binds -> committer -> cache
      |
    settle --> gangs that changed are put together again
      |
    cycle ---> freeze, plan, assume, commit            (when somebody is worth trying),
               one profile after the other, each with the room that those before it left
      |
    pump ----> binder sends what its window allows; then the reporter, which may wait

Nothing in a turn blocks but `poll`, and that ends at the next time anybody is waiting for.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from scheduler import log
from scheduler.clock import Clock
from scheduler.engine import Cycle, Engine
from scheduler.kube.binder import Binder
from scheduler.kube.owner_reads import OwnerReads
from scheduler.kube.reporter import Reporter
from scheduler.kube.resources import Resource
from scheduler.kube.transport import Transport
from scheduler.kube.watcher import Watcher
from scheduler.model.plan import Verdict
from scheduler.state.cache import Cache
from scheduler.state.roster import Roster

_log = log.get(__name__)

LONGEST_POLL_US = 500_000
BETWEEN_CYCLES_US = 20_000
"""Least time between two cycles that only room which came free is the reason for."""
NAP_US = 1_500
"""While much is on its way, a turn gathers answers and events for so long: looking after each one
by itself costs more CPU than the work that it brings, and the API server wants that CPU."""
NAP_FROM = 8
"""Binds and writes in flight from which on it does."""
LAY_OUT_US = 2_000_000
"""Nodes that come and go while nobody waits are laid out at most so often."""
STOPPING_US = 10_000_000
"""How long binds under way may take to be settled when the process ends."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the loop turns; the composition root makes them."""

    clock: Clock
    transport: Transport
    watcher: Watcher
    cache: Cache
    roster: Roster
    owners: OwnerReads
    engine: Engine
    binder: Binder
    reporter: Reporter
    needed: Sequence[Resource]
    """Their first lists must be complete before anything is planned."""
    quiet_us: int
    """A cycle waits until no member of an incomplete gang has arrived for so long."""
    patience_us: int
    """But no longer than this."""
    settled: Callable[[], None] = lambda: None
    """What came in is in the roster; what is counted beside it (room for volumes) is brought up
    to date, so that room which came free is seen."""
    answer: Callable[[], None] = lambda: None
    """Answers what other threads have asked."""
    cycle_over: Callable[[Cycle, int], None] = lambda _cycle, _took: None
    """Told of every cycle and how long it took."""


class Loop:
    """Turns until it is stopped."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.synced = False
        """Whether the first lists are complete."""
        self.turned_us = 0
        """Monotonic time of the last turn."""
        self.cycles = 0
        self._stop = False
        self._laid_out_us = 0
        """When the columns of nodes were last laid out between cycles."""
        self._cycle_us = 0
        self._first_us: int | None = None
        """When the first of the arrivals that are being gathered came."""
        self._again_us: int | None = None
        """When those are tried whom the last cycle left out."""
        self._added = 0
        self._room = (0, 0, False)
        """What the last cycle saw of the queue and of free room."""
        self._newest = 0
        self._arrived_us = 0
        """When the last pod of ours appeared, and which that was."""

    def stop(self) -> None:
        """Lets `run` end after this turn. May be called from a signal handler or a thread."""
        self._stop = True
        self.parts.transport.wake()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called: nothing new is sent."""
        return self._stop

    def run(self) -> None:
        """Turns until `stop`; then waits for the binds that are under way."""
        # Lists are made of objects that hold no cycles; looking for some would double their cost.
        gc.disable()
        try:
            self.parts.watcher.start()
            while not self._stop:
                self.turn()
            self._settle_binds()
        finally:
            gc.enable()

    def turn(self) -> None:
        """One pass: what came in, what follows from it, what goes out."""
        parts = self.parts
        if parts.binder.in_flight + parts.reporter.in_flight >= NAP_FROM:
            parts.clock.sleep_us(NAP_US)
        parts.transport.poll(self._wait_us())
        self.turned_us = parts.clock.elapsed_us()
        parts.answer()
        now = parts.clock.now_us()
        parts.watcher.pump(now)
        if not self._ready():
            return
        for owner in parts.roster.overdue_owners(now):
            parts.owners.read(owner)
        parts.roster.settle(now)
        parts.settled()
        if self._due(now):
            self._cycles(now)
        elif not len(parts.cache.queue):
            self._lay_out(now)
        parts.binder.pump(now)
        parts.reporter.pump(now)

    def _ready(self) -> bool:
        if not self.synced and self.parts.watcher.synced(self.parts.needed):
            self.synced = True
            # What the lists made stays for good: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.enable()
            nodes = len(self.parts.cache.nodes)
            _log.info("in step with the API server", nodes=nodes, pods=len(self.parts.cache.live))
        return self.synced

    def _lay_out(self, now_us: int) -> None:
        """Columns and topology of new nodes, before somebody waits for them (1 s for 100,000)."""
        cache = self.parts.cache
        if cache.nodes.tree_stale and now_us - self._laid_out_us >= LAY_OUT_US:
            cache.freeze(now_us)
            self._laid_out_us = now_us

    # ---- when to plan

    def _due(self, now_us: int) -> bool:
        """Whether a cycle may find something to do, and nobody who is still arriving is near."""
        cache = self.parts.cache
        if not len(cache.queue):
            self._first_us = None
            return False
        if cache.queue.added != self._added:
            return not self._gathering(now_us)
        if self._again_us is not None and now_us >= self._again_us:
            return True
        if now_us - self._cycle_us >= BETWEEN_CYCLES_US and cache.room != self._room:
            return True
        times = (cache.queue.next_time_us(self._cycle_us), cache.next_settle_us)
        return any(time is not None and time <= now_us for time in times)

    def _gathering(self, now_us: int) -> bool:
        """Members of an incomplete gang arrive: it may come before those that are complete."""
        parts = self.parts
        if parts.roster.table.newest != self._newest:
            self._newest = parts.roster.table.newest
            self._arrived_us = now_us
        if self._first_us is None:
            self._first_us = now_us
        if not parts.roster.awaits_members or now_us - self._first_us >= parts.patience_us:
            return False
        return now_us - self._arrived_us < parts.quiet_us

    def _wait_us(self) -> int:
        """How long `poll` may wait for something to happen."""
        parts = self.parts
        now = parts.clock.now_us()
        times = [parts.watcher.next_time_us(now), parts.binder.next_time_us(now)]
        if self.synced:
            times += [parts.roster.next_time_us(now), parts.reporter.next_time_us(now)]
            times.append(self._next_cycle_us(now))
        known = [time for time in times if time is not None]
        return min(max(min(known, default=now + LONGEST_POLL_US) - now, 0), LONGEST_POLL_US)

    def _next_cycle_us(self, now_us: int) -> int | None:
        """When `_due` may say yes, if nothing happens before."""
        cache = self.parts.cache
        if not len(cache.queue):
            return None
        if cache.queue.added != self._added:  # until they are gathered, nothing else counts
            first, parts = self._first_us, self.parts
            if first is None:
                return now_us
            return min(self._arrived_us + parts.quiet_us, first + parts.patience_us)
        times = [self._again_us, cache.queue.next_time_us(self._cycle_us), cache.next_settle_us]
        if cache.room != self._room:
            times.append(self._cycle_us + BETWEEN_CYCLES_US)
        return min((time for time in times if time is not None), default=None)

    # ---- planning

    def _cycles(self, now_us: int) -> None:
        """A cycle for each profile that somebody waits for, in their order."""
        cache = self.parts.cache
        self._cycle_us = now_us
        self._first_us = None
        left_out = False
        # Marks as the first cycle sees them: whoever it places may let in who it rejected.
        stirred = cache.room[1]
        for profile in cache.queue.profiles():
            left_out |= self._left_out(self._cycle(profile))
        self._added = cache.queue.added
        self._room = (cache.room[0], stirred, False)
        self._again_us = now_us + BETWEEN_CYCLES_US if left_out else None

    def _cycle(self, profile: int) -> Cycle:
        parts = self.parts
        self.cycles += 1
        begun = parts.clock.elapsed_us()
        with structlog.contextvars.bound_contextvars(cycle=self.cycles):
            cycle = parts.engine.cycle(profile)
            took = parts.clock.elapsed_us() - begun
            stats = cycle.plan.stats
            if stats.gangs_placed:
                _log.info("planned", gangs=stats.gangs_placed, pods=stats.members_placed,
                          tried=stats.gangs_tried, took_ms=took / 1_000)  # fmt: skip
            parts.cycle_over(cycle, took)
        return cycle

    def _left_out(self, cycle: Cycle) -> bool:
        """Gangs beyond the budget, or members of placed ones whose turn comes after these."""
        verdict, queue = cycle.plan.verdict, self.parts.cache.queue
        if (verdict == Verdict.NOT_TRIED).any():
            return True
        placed = np.flatnonzero(verdict == Verdict.FITS).tolist()
        return any(cycle.pending.key[gang] in queue for gang in placed)

    # ---- the end

    def _settle_binds(self) -> None:
        """Binds that were sent get their answers, so that a successor finds no doubt."""
        parts = self.parts
        until = parts.clock.now_us() + STOPPING_US
        while parts.binder.in_flight and parts.clock.now_us() < until:
            parts.transport.poll(LONGEST_POLL_US)
            parts.answer()
            parts.binder.pump(parts.clock.now_us())
        if parts.binder.in_flight:
            _log.warning("ended with binds of unknown outcome", binds=parts.binder.in_flight)
