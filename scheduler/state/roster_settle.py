"""Settling: gangs that changed are called again, and what waits in the cache is made to agree.

    members in columns --call_roll--> Roll --> the entry that should wait --differs?--> enqueue,
                                                                         replace, dequeue
Nothing is remembered of what the cache was asked before: it is compared with what it has, so that
whatever the engine, the binder or a hold did in between, the outcome is the same.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32
from scheduler.state.entry import Entry
from scheduler.state.lifecycle import GangState
from scheduler.state.members import BOUND, MEMBER, NONE, PLAIN, UNTOLD
from scheduler.state.roll_call import amiss, call_roll, ghosts, least_wanted
from scheduler.state.roster_book import RosterBook
from scheduler.state.roster_entry import gang_entry, lone_entry, same_entry
from scheduler.state.roster_gang import Roll, RosterGang


class RosterSettling(RosterBook):
    """Brings the cache's queue up to date."""

    def settle(self, now_us: int) -> None:
        """Calls gangs that changed again; cheap if nothing did.

        Nothing else lets a pod wait in the cache, or stops it; bound pods are counted at once.
        """
        if self._gathering:
            due = [number for number, until in self._gathering.items() if until <= now_us]
            self._dirty.update(due)
        if self.table.moving:
            self._end_moves()
        if self._turning:
            self._dirty |= self._turning
        if self._dirty:
            self._settle_gangs(now_us)
        if self._lone:
            lone, self._lone = self._lone, {}
            for slot in lone:
                self._settle_lone(slot)

    def _settle_gangs(self, now_us: int) -> None:
        numbers = sorted(self._dirty)
        self._dirty = set()
        slots = self.table.grouped(numbers)
        for number in numbers:
            self._settle_gang(self.gangs[number], slots[number], now_us)
        awaited = set(self.table.moving.values())
        for number in numbers:
            gang = self.gangs[number]
            if not gang.pods and (gang.is_label or not gang.seen) and number not in awaited:
                self._end(gang)

    def _end(self, gang: RosterGang) -> None:
        if gang.key in self.cache.book and self.gangs.keyed(gang.key) is gang:
            self.cache.release(gang.key)
        self._gathering.pop(gang.number, None)
        self._unseen.pop(gang.number, None)
        self._short.discard(gang.number)
        self._turning.discard(gang.number)
        self._dirty.discard(gang.number)
        self.gangs.end(gang)

    # ---- pods that belong to something else by now

    def _end_moves(self) -> None:
        """Pods whose bind ended in the meantime join what they belong to."""
        for slot, number in list(self.table.moving.items()):
            if not self._assumed(slot):
                del self.table.moving[slot]
                if number != self.table.gang[slot]:
                    self._switch(slot, number)

    def _turn(self, gang: RosterGang, slots: I32) -> None:
        """Its pods become single ones, or the reverse; waits until no bind is under way."""
        if gang.together:
            busy = self._any_assumed(gang.key)
        else:
            busy = any(self._assumed(slot) for slot in slots.tolist())
        if busy:
            self._turning.add(gang.number)
            if gang.together:
                self._let_wait(gang.key, None)
            else:
                self._lone.update(dict.fromkeys(slots.tolist()))
            return
        self._turning.discard(gang.number)
        for slot in slots.tolist():
            self._unplace(slot)
        if gang.together and gang.key in self.cache.book:
            self.cache.release(gang.key)
        gang.together = gang.wants_together
        gang.roll = None
        self.table.rank[slots] = NONE if gang.together else 0
        self._changed.add(gang.key)
        if not gang.together:
            self._lone.update(dict.fromkeys(slots.tolist()))

    # ---- a gang

    def _settle_gang(self, gang: RosterGang, slots: I32, now_us: int) -> None:
        self._short.discard(gang.number)
        self._gathering.pop(gang.number, None)  # `_complete` says it anew, where it still holds
        if gang.together is not gang.wants_together:
            self._turn(gang, slots)
            if gang.together is not gang.wants_together:
                return
        if not gang.together:
            self._lone.update(dict.fromkeys(slots.tolist()))
            return
        if not gang.seen:
            self._let_wait(gang.key, None)
            return
        members = self._members(slots)
        if amiss(self.table, members):
            for slot in ghosts(self.table, members):
                self._lay(slot)
            members = self._members(slots)
        record = self.cache.book.find(gang.key)
        begun = record is not None and record.count > 0
        few = len(members) < least_wanted(gang, self.wishes)
        adopted = bool((self.table.flags[members] & BOUND).any())
        if not len(members) or (few and not begun and not adopted):
            self._incomplete(gang)
            self.table.rank[members] = NONE
            if len(members):
                self._short.add(gang.number)
            return
        roll = call_roll(self.table, gang, members, self._taken(gang.key), self.wishes)
        self.table.rank[roll.slots] = roll.ranks
        self._adopt(gang, roll)
        gang.roll, gang.stale = roll, False
        self._let_wait(gang.key, self._entry(gang, roll, now_us))
        self._end_repair(gang, roll)

    def _incomplete(self, gang: RosterGang) -> None:
        """Nothing of it is on nodes, and there are too few members to decide anything."""
        gang.roll, gang.stale = None, True
        gang.complete_us = gang.enough_us = None
        self._let_wait(gang.key, None)
        if gang.facts is not None and not gang.facts.wanted and gang.key in self.cache.book:
            self.cache.release(gang.key)

    def _lay(self, slot: int) -> None:
        """Another pod has the name by now: this one is gone, though nobody has said so yet."""
        if self._assumed(slot):
            self._give_up(slot)
        self._unplace(slot)
        self.table.flags[slot] &= np.uint8(~MEMBER & 0xFF)
        self.table.rank[slot] = NONE

    def _adopt(self, gang: RosterGang, roll: Roll) -> None:
        """Bound members that the cache counts as nobody's become the gang's."""
        table = self.table
        bound = table.flags[roll.slots] & BOUND != 0
        new = bound & (table.told[roll.slots] != gang.number)
        for at in np.flatnonzero(new).tolist():
            slot = int(roll.slots[at])
            self._tell_member(slot, self._node_of(slot), gang, int(roll.ranks[at]))
        if new.any():
            roll.placed[new] = True

    def _entry(self, gang: RosterGang, roll: Roll, now_us: int) -> Entry | None:
        """Who should wait, and as what: the gang, late members of it, or nobody."""
        late = bool(roll.placed.any())
        complete = late or self._complete(gang, roll, now_us)
        if late:
            gang.enough_us = None
        if not complete:
            gang.complete_us = None
            self._short.add(gang.number)
            return None
        if gang.complete_us is None:
            gang.complete_us = roll.since_us
        if roll.unsupported or bool(roll.placed.all()):
            return None
        return gang_entry(self.table, gang, roll, late=late)

    def _complete(self, gang: RosterGang, roll: Roll, now_us: int) -> bool:
        """All are there; or the minimum has been there for as long as more are waited for.

        `gather.max` bounds how long a gang that could start is kept waiting for the rest, so it
        counts from the moment at which the minimum is there, whoever comes or goes afterwards.
        """
        there = len(roll.slots)
        if there >= roll.minimum and there < roll.wanted:
            if gang.enough_us is None:
                gang.enough_us = now_us
            until = gang.enough_us + self.gather_max_us
            if now_us < until:
                self._gathering[gang.number] = until
                return False
            return True
        gang.enough_us = None
        return there >= roll.wanted

    def _end_repair(self, gang: RosterGang, roll: Roll) -> None:
        """Nobody is missing any more: late ones came, or fewer are wanted."""
        told = self.table.told[roll.slots]
        whole = len(roll.slots) >= roll.wanted and bool((told == gang.number).all())
        if whole:
            gang.was_whole = True
            if self.cache.state(gang.key) is GangState.DEGRADED:
                self.cache.finish(gang.key)

    # ---- a pod alone

    def _settle_lone(self, slot: int) -> None:
        table = self.table
        uid = table.uids[slot]
        if not uid or self._gang(slot) is not None or self._assumed(slot):
            return
        if table.bound(slot):
            if table.told[slot] not in {UNTOLD, PLAIN}:
                self._tell_plain(slot, self._node_of(slot))
            self._end_lone(slot)
            return
        owner = self._owner(slot)
        alone = owner is None or (owner.seen and not owner.wants_together and not owner.rules)
        entry = None
        if alone and table.member(slot) and not table.rules[slot]:
            entry = lone_entry(table, slot, self.wishes)
        self._let_wait(uid, entry)
        if entry is None:
            self._end_lone(slot)

    # ---- the queue

    def _let_wait(self, key: str, entry: Entry | None) -> None:
        """`entry` waits in the cache, or nobody of the gang."""
        waits = self.cache.queue.get(key)
        if entry is None:
            if waits is not None:
                self.cache.dequeue(key)
        elif waits is None:
            self.cache.enqueue(entry)
        elif not same_entry(entry, waits):
            self.cache.replace(entry)
