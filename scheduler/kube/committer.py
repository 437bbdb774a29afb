"""Decisions become batches of binds, and what became of a bind goes back to the cache.

The watch, not the answer of the server, confirms a member: a bind that was answered with 201 is
still assumed until the pod is seen on its node, so that its room is counted once and never twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scheduler import log
from scheduler.clock import Clock
from scheduler.engine import Decision
from scheduler.kube.batch import Batch, Outcome, Settled
from scheduler.kube.binder import Binder
from scheduler.model.arrays import I32
from scheduler.state.cache import Cache
from scheduler.state.pods import PodState
from scheduler.state.roster import Roster

_log = log.get(__name__)

SECOND_US = 1_000_000
FIRST_BACK_OFF_US = SECOND_US
LONGEST_BACK_OFF_US = 300 * SECOND_US
KEPT = 10_000
"""Gangs whose refusals are remembered for sure."""


class Committer:
    """engine.Committer over a Binder. Lives on the loop's thread."""

    def __init__(
        self, cache: Cache, roster: Roster, clock: Clock, heard: Callable[[Settled], None]
    ) -> None:
        """heard: told of every settled bind, after the cache was (metrics, events)."""
        self._cache = cache
        self._roster = roster
        self._clock = clock
        self._heard = heard
        self._binder: Binder | None = None
        self._refusals: dict[str, tuple[int, int]] = {}
        """Gang key -> (rounds of refused binds in a row, end of the back-off)."""

    def use(self, binder: Binder) -> None:
        """The binder, which wants `settled` when it is made."""
        self._binder = binder

    def commit(self, decision: Decision) -> None:
        """One gang's decision: its binds are handed to the binder, nothing is waited for."""
        if self._binder is None:
            raise AssertionError("a committer without a binder")
        key = decision.key
        called = self._roster.called(key)
        if called is None:
            raise AssertionError(f"gang {key} was planned and is not in the roster")
        members = self._roster.members(key, decision.ranks)
        names = decision.snapshot.names
        path = decision.snapshot.topology.path(decision.domain)
        self._cache.send(key)
        self._binder.submit(
            Batch(
                key=key,
                namespace=members.namespace,
                names=members.names,
                uids=members.uids,
                nodes=[names[row] for row in decision.rows.tolist()],
                ranks=decision.ranks,
                gang=called[0],
                domain="/".join(path),
                priority=called[1],
            )
        )

    def lost(self, key: str, ranks: I32) -> None:
        """Members that were assumed do not exist any more: their unsent binds are dropped."""
        if self._binder is not None:
            self._binder.drop(key, ranks)

    def settled(self, bind: Settled) -> None:
        """One bind is over."""
        now = self._clock.now_us()
        match bind.outcome:
            case Outcome.BOUND:
                self._refusals.pop(bind.key, None)
            case Outcome.GONE:
                # Its DELETED event may be on its way; the room is free from now on. One that the
                # watch has shown on a node (somebody else bound it) still runs there until then.
                if self._cache.live.slot(bind.uid) is None:
                    self._roster.drop_pod(bind.uid, now)
            case Outcome.REFUSED | Outcome.GATED:
                self._give_back(bind, now)
            case Outcome.ELSEWHERE:
                _log.warning("bound by another scheduler", gang=bind.key, rank=bind.rank,
                             node=bind.node, answer=bind.text)  # fmt: skip
            case Outcome.DROPPED:
                pass
        self._heard(bind)

    def _give_back(self, bind: Settled, now_us: int) -> None:
        """The server will not have it: the member waits again, after a back-off."""
        if self._roster.rank_uid(bind.key, bind.rank)[1] != bind.uid:
            return  # it is gone, and so is its assume; the rank may be another pod's by now
        until = self._backs_off_until(bind.key, now_us)
        _log.warning("bind refused", gang=bind.key, rank=bind.rank, outcome=bind.outcome,
                     answer=bind.text, again_in_s=(until - now_us) // SECOND_US)  # fmt: skip
        self._cache_forgets(bind, until)
        self._roster.touch(bind.key)

    def _backs_off_until(self, key: str, now_us: int) -> int:
        """Members that are refused together are one failure; the next one waits twice as long."""
        rounds, until = self._refusals.get(key, (0, 0))
        if now_us < until:
            return until
        until = now_us + min(FIRST_BACK_OFF_US << min(rounds, 20), LONGEST_BACK_OFF_US)
        if len(self._refusals) >= KEPT:  # gangs that ended meanwhile among them
            recent = now_us - LONGEST_BACK_OFF_US
            self._refusals = {k: v for k, v in self._refusals.items() if v[1] >= recent}
        self._refusals[key] = (rounds + 1, until)
        return until

    def _cache_forgets(self, bind: Settled, not_before_us: int) -> None:
        """Gives up the assume, unless the watch has told more of the member meanwhile."""
        book = self._cache.book
        record = book.find(bind.key)
        slot = None if record is None else record.slot_of_rank(book.pods, bind.rank)
        if slot is not None and book.pods.state[slot] == PodState.ASSUMED:
            ranks = np.array([bind.rank], np.int32)
            self._cache.forget(bind.key, ranks, requeue=True, not_before_us=not_before_us)
