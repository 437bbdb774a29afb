"""Room kept on a node for a member that does not exist at the moment.

A hold takes room like a pod: it is charged to its node until it is given to the member, ends or
is dropped. It leaves no marks: rules between pods count those that exist. Limits are counted in
members, per namespace and in total.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32, I64, frozen
from scheduler.model.snapshot import Holds
from scheduler.state.account import GIVE, TAKE, Account
from scheduler.state.kinds import Kinds

MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """How long and how much may be held."""

    term_us: int = 30 * MINUTE_US
    """How far one renewal carries."""
    longest_us: int = 240 * MINUTE_US
    """No hold lasts longer than this from its start, however often it is renewed."""
    recreate_us: int = 5 * MINUTE_US
    """For a lost member that its controller will make again."""
    per_namespace: int = 10_000
    """Members held at a time in one namespace."""
    total: int = 100_000
    """Members held at a time in all."""


@dataclass(slots=True)
class Hold:
    """Room of one member."""

    owner: str
    rank: int
    namespace: str
    nid: int
    shape: int
    """The member's kind."""
    since_us: int
    until_us: int


class HoldTable:
    """Holds by owner and rank, at most one for each."""

    def __init__(self, account: Account, kinds: Kinds, limits: HoldLimits) -> None:
        self.limits = limits
        self._account = account
        self._kinds = kinds
        self._holds: dict[str, dict[int, Hold]] = {}
        self._ends: list[tuple[int, str, int]] = []
        self._per_namespace: Counter[str] = Counter()
        self._published = Holds.none()
        self._changed = False

    def __len__(self) -> int:
        return self._per_namespace.total()

    def of(self, owner: str) -> dict[int, Hold]:
        """rank -> hold of one gang; not to be changed by the caller."""
        return self._holds.get(owner, {})

    def all(self) -> list[Hold]:
        """Every hold, by owner and rank."""
        return [h for o in sorted(self._holds) for _, h in sorted(self._holds[o].items())]

    def held_in(self, namespace: str) -> int:
        """Members held in one namespace."""
        return self._per_namespace[namespace]

    def keep(
        self, owner: str, namespace: str, nids: I32, shapes: I32, ranks: I32, now_us: int,
        term_us: int | None = None,
    ) -> int:  # fmt: skip
        """Holds members, lowest rank first, until a limit is reached; returns how many.

        A rank that is held already is moved to its new node. Ranks are distinct.
        """
        term = self.limits.term_us if term_us is None else term_us
        until = now_us + min(term, self.limits.longest_us)
        for rank in ranks.tolist():
            self.drop(owner, rank)
        room = min(
            self.limits.per_namespace - self._per_namespace[namespace],
            self.limits.total - len(self),
        )
        kept = np.argsort(ranks, kind="stable")[: max(room, 0)]
        if not kept.size:
            return 0
        self._kinds.plans(shapes[kept])
        mine = self._holds.setdefault(owner, {})
        for i in kept.tolist():
            rank = int(ranks[i])
            mine[rank] = Hold(owner, rank, namespace, int(nids[i]), int(shapes[i]), now_us, until)
            heapq.heappush(self._ends, (until, owner, rank))
        self._per_namespace[namespace] += kept.size
        self._account.charge(nids[kept], shapes[kept], TAKE, pods=False)
        self._changed = True
        return int(kept.size)

    def renew(self, owner: str, now_us: int) -> None:
        """A sign of life of the gang: its holds last a term from now, at most the longest."""
        for hold in self.of(owner).values():
            limit = hold.since_us + self.limits.longest_us
            until = min(now_us + self.limits.term_us, limit)
            if until > hold.until_us:
                hold.until_us = until
                heapq.heappush(self._ends, (until, owner, hold.rank))
                self._changed = True

    def drop(self, owner: str, rank: int) -> bool:
        """Gives one hold's room back; False if there is none."""
        ranks = self._holds.get(owner)
        hold = ranks.pop(rank, None) if ranks is not None else None
        if ranks is None or hold is None:
            return False
        if not ranks:
            del self._holds[owner]
        self._per_namespace[hold.namespace] -= 1
        if not self._per_namespace[hold.namespace]:
            del self._per_namespace[hold.namespace]
        self._account.charge_one(hold.nid, hold.shape, GIVE, pods=False)
        self._changed = True
        return True

    def drop_all(self, owner: str) -> None:
        """Gives back every hold of one gang."""
        for rank in list(self.of(owner)):
            self.drop(owner, rank)

    def expire(self, now_us: int) -> None:
        """Gives back the room of holds that end at or before `now_us`."""
        while self._ends and self._ends[0][0] <= now_us:
            _, owner, rank = heapq.heappop(self._ends)
            hold = self.of(owner).get(rank)
            if hold is not None and hold.until_us <= now_us:  # else renewed, or another's end
                self.drop(owner, rank)

    def renumber(self) -> None:
        """Kinds have other plan shapes now."""
        self._changed = True

    def published(self, row_of_nid: I32, *, renumbered: bool) -> Holds:
        """Holds on nodes that exist, in (row, owner, rank) order; same object while unchanged."""
        if self._changed or renumbered:
            self._published = self._columns(row_of_nid)
            self._changed = False
        return self._published

    def _columns(self, row_of_nid: I32) -> Holds:
        held = [h for h in self.all() if row_of_nid[h.nid] >= 0]
        if not held:
            return Holds.none()
        held.sort(key=lambda h: int(row_of_nid[h.nid]))

        def column(values: list[int]) -> I32:
            return frozen(np.array(values, np.int32))

        until: I64 = np.array([h.until_us for h in held], np.int64)
        return Holds(
            row=column([int(row_of_nid[h.nid]) for h in held]),
            shape=column([self._kinds.plan(h.shape) for h in held]),
            owner=tuple(h.owner for h in held),
            rank=column([h.rank for h in held]),
            until_us=frozen(until),
        )
