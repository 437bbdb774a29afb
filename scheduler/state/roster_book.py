"""What the roster keeps, and the single steps on the cache that its parts are made of.

A pod of ours is known to the cache in one of four ways, told from the columns and the cache itself:

    nothing      no node, and it waits in no entry, or with its gang's, or alone (entry of its UID)
    assumed      a bind was decided: of its gang, or of the pod alone
    plain        on its node, as a member of no gang: counted, no more (told = PLAIN)
    member       on its node, as a member of its gang (told = the gang's number)

Every step below leads from one of these to another, in an order that the cache allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.wishes import Level
from scheduler.state.cache import Cache
from scheduler.state.members import MEMBER, NONE, PLAIN, UNTOLD, MemberTable
from scheduler.state.pods import PodState
from scheduler.state.roll_call import WishBook
from scheduler.state.roster_gang import RosterGang, RosterGangs

_ASSUMED = int(PodState.ASSUMED)
OWNER_WAIT_US = 2_000_000
"""An owner that is named but not seen for so long is asked for."""
LONGEST_OWNER_WAIT_US = 60_000_000
"""And again after so long at most."""


def _nobody(_key: str, _ranks: I32) -> None:
    """Nobody wants to know of members that are gone."""


class RosterBook:
    """Columns, gangs and what has to be looked at by the next settle."""

    def __init__(
        self, cache: Cache, levels: tuple[Level, ...], *, gather_max_us: int,
        others: Sequence[tuple[Level, ...]] = (), schedulers: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """levels: root first, as annotations name them, of profile 0; others: of 1, 2, ..

        schedulers: names of the profiles, needed where there are several. gather_max_us: see
        `Roster`.
        """
        self.cache = cache
        self.gather_max_us = gather_max_us
        self.on_lost: Callable[[str, I32], None] = _nobody
        """Told (key, ranks) of members that were assumed and are gone: their room is free."""
        self.table = MemberTable()
        cache.kinds.keepers.append(self.table.kinds)
        self.gangs = RosterGangs()
        self.wishes = WishBook((levels, *others), schedulers)
        self._dirty: set[int] = set()
        """Numbers of gangs to be settled."""
        self._lone: dict[int, None] = {}
        """Slots of pods without gang to be settled, in the order of their events."""
        self._turning: set[int] = set()
        """Numbers of gangs that become single pods, or the reverse, once their binds ended."""
        self._gathering: dict[int, int] = {}
        """Number -> when a gang that has its minimum is complete."""
        self._short: set[int] = set()
        """Numbers of gangs that have members, but fewer than their minimum."""
        self._unseen: dict[int, tuple[int, int]] = {}
        """Number -> when an owner that waiting pods name is to be asked for, after which wait."""
        self._changed: set[str] = set()

    @property
    def awaits_members(self) -> bool:
        """Whether members of some gang are there, but not all that it wants."""
        return bool(self._gathering or self._short)

    # ---- marks

    def _mark(self, gang: RosterGang) -> None:
        gang.stale = True
        self._dirty.add(gang.number)
        self._changed.add(gang.key)

    def _mark_slot(self, slot: int) -> None:
        """The pod's gang, or the pod alone, is to be settled."""
        gang = self._gang(slot)
        if gang is not None:
            self._mark(gang)
        else:
            self._lone[slot] = None
            self._changed.add(self.table.uids[slot])

    # ---- questions

    def _owner(self, slot: int) -> RosterGang | None:
        """What the pod belongs to, whether it makes a gang or not."""
        number = int(self.table.gang[slot])
        return None if number == NONE else self.gangs[number]

    def _gang(self, slot: int) -> RosterGang | None:
        """The gang that the pod is of, None for a pod that is placed alone."""
        gang = self._owner(slot)
        return gang if gang is not None and gang.together else None

    def _key(self, slot: int) -> str:
        gang = self._gang(slot)
        return self.table.uids[slot] if gang is None else gang.key

    def _assumed(self, slot: int) -> bool:
        """Whether a bind of the pod is under way."""
        rank = int(self.table.rank[slot])
        if rank < 0 or self.table.told[slot] != UNTOLD:
            return False
        record = self.cache.book.find(self._key(slot))
        if record is None or not record.assumed:
            return False
        pods = self.cache.book.pods
        place = record.slot_of_rank(pods, rank)
        return place is not None and int(pods.state[place]) == _ASSUMED

    def _any_assumed(self, key: str) -> bool:
        record = self.cache.book.find(key)
        return record is not None and record.assumed > 0

    def _node_of(self, slot: int) -> str:
        """Node of a pod that the cache knows as bound."""
        place = self.cache.live.slot(self.table.uids[slot])
        if place is None:
            raise KeyError(self.table.uids[slot])
        return self.cache.nodes.names[int(self.cache.book.pods.nid[place])]

    # ---- steps

    def _tell_plain(self, slot: int, node: str) -> None:
        """On its node, of no gang."""
        table = self.table
        self.cache.upsert_pod(table.uids[slot], node, int(table.shape[slot]))
        table.told[slot] = PLAIN

    def _tell_member(self, slot: int, node: str, gang: RosterGang, rank: int) -> None:
        """On its node, a member of its gang."""
        table = self.table
        table.rank[slot] = rank
        self.cache.upsert_pod(table.uids[slot], node, int(table.shape[slot]), gang.key, rank)
        table.told[slot] = gang.number

    def _confirm(self, slot: int, node: str) -> None:
        """A pod whose bind was under way is seen on a node."""
        gang = self._gang(slot)
        if gang is not None:
            self._tell_member(slot, node, gang, int(self.table.rank[slot]))
            self._changed.add(gang.key)
            if not self._any_assumed(gang.key):
                self._mark(gang)
            return
        uid = self.table.uids[slot]
        self.cache.upsert_pod(uid, node, int(self.table.shape[slot]), uid, 0)
        self.cache.disband(uid)
        self.table.told[slot] = PLAIN
        self._changed.add(uid)

    def _give_up(self, slot: int) -> None:
        """A pod whose bind was under way is gone, or no member any more."""
        key = self._key(slot)
        ranks = self.table.rank[slot : slot + 1].copy()
        self.cache.forget(key, ranks, requeue=False)
        self.on_lost(key, ranks)
        self._end_lone(slot)

    def _end_lone(self, slot: int) -> None:
        """The cache forgets the pod as one that waits alone."""
        uid = self.table.uids[slot]
        if self._gang(slot) is None and uid in self.cache.book:
            self.cache.release(uid)

    def _unplace(self, slot: int) -> None:
        """The pod leaves its gang in the cache: no bind is under way."""
        if self.table.told[slot] >= 0:
            self._tell_plain(slot, self._node_of(slot))
        self._end_lone(slot)

    def _switch(self, slot: int, number: int) -> None:
        """The pod belongs to something else now; no bind of it is under way."""
        self._unplace(slot)
        self._mark_slot(slot)
        before = self._owner(slot)
        if before is not None:
            before.pods -= 1
            self._mark(before)
        self._join(slot, number)

    def _join(self, slot: int, number: int) -> None:
        """The pod belongs to what has this number, or to nothing."""
        table = self.table
        table.gang[slot] = number
        owner = None if number == NONE else self.gangs[number]
        if owner is not None:
            owner.pods += 1
        if owner is not None and owner.together:
            table.rank[slot] = NONE
            self._mark(owner)
        else:
            table.rank[slot] = 0
            self._lone[slot] = None
            self._changed.add(table.uids[slot])

    def _members(self, slots: I32) -> I32:
        """Those of `slots` that count as members."""
        members: I32 = slots[self.table.flags[slots] & MEMBER != 0]
        return members

    def _taken(self, key: str) -> I32:
        """Ranks of the gang that have a place."""
        record = self.cache.book.find(key)
        if record is None or not record.count:
            return np.empty(0, np.int32)
        return self.cache.book.pods.rank[record.slots]
