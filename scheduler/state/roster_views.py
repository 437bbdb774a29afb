"""What the roster tells others: gangs as values, names and UIDs of members by rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.gang_rules import minimum_of
from scheduler.model.wishes import Wishes
from scheduler.state.gang_view import GangView, Members, OwnerRef
from scheduler.state.lifecycle import GangState
from scheduler.state.members import BOUND, MEMBER, NONE, RUNNING
from scheduler.state.roll_call import call_roll
from scheduler.state.roster_gang import Roll, RosterGang
from scheduler.state.roster_settle import RosterSettling

_WAITS = MEMBER | BOUND
_QUEUED = (GangState.PENDING, GangState.BACKING_OFF)


class RosterViews(RosterSettling):
    """Questions; none of them changes anything."""

    def view(self, key: str) -> GangView | None:
        """The gang with this key as it stands, or None."""
        gang = self.gangs.keyed(key)
        if gang is not None and gang.together:
            return self._gang_view(gang) if gang.pods else None
        slot = self.table.slot(key)
        return None if slot == NONE or self._gang(slot) is not None else self._lone_view(slot)

    def lone_since_us(self, key: str) -> int | None:
        """When a pod that is placed alone became a member; None for gangs, and who is gone."""
        slot = self.table.slot(key)
        if slot == NONE or self._gang(slot) is not None:
            return None
        return int(self.table.since_us[slot])

    def called(self, key: str) -> tuple[str, int] | None:
        """(NAMESPACE/KIND/NAME, priority) of what has this key; less work than its view."""
        slot = self.table.slot(key)
        if slot == NONE or self._gang(slot) is not None:
            view = self.view(key)
            return None if view is None else (view.name, view.priority)
        table = self.table
        return f"{table.spaces[slot]}/Pod/{table.names[slot]}", int(table.priority[slot])

    def at_rest(self, key: str) -> bool:
        """Is it a pod alone that has its node, and of which there is nothing to complain?"""
        slot = self.table.slot(key)
        if slot == NONE or not self.table.bound(slot) or self.table.terms[slot]:
            return False
        owner = self._owner(slot)
        return owner is None or (owner.seen and not owner.together)

    def keys(self) -> list[str]:
        """Keys of every gang, and of every pod that waits alone or is being bound."""
        table, top = self.table, self.table.top
        found = [gang.key for gang in self.gangs if gang.together and gang.pods]
        apart = [NONE, *(gang.number for gang in self.gangs if not gang.together)]
        alone = (table.flags[:top] & _WAITS == MEMBER) & np.isin(table.gang[:top], apart)
        return found + [table.uids[slot] for slot in np.flatnonzero(alone).tolist()]

    def counts(self) -> dict[str, int]:
        """How many of `keys` are in each state."""
        states = Counter(self._state(key) or GangState.WAITING for key in self.keys())
        return {state.value: count for state, count in states.items()}

    def views(self) -> Iterator[GangView]:
        """The gangs and pods of `keys`."""
        for key in self.keys():
            view = self.view(key)
            if view is not None:
                yield view

    def key_of(self, name: str) -> str | None:
        """Key of the gang called NAMESPACE/KIND/NAME; of a pod, that of its gang."""
        found = None
        for gang in self.gangs:
            if gang.name == name and gang.together and gang.pods:
                found = gang.key
                if gang.seen:  # one that is there before one of the same name that is gone
                    return found
        space, _, rest = name.partition("/")
        kind, _, pod = rest.partition("/")
        if found is None and kind == "Pod":
            for slot in self.table:
                if self.table.names[slot] == pod and self.table.spaces[slot] == space:
                    return self._key(slot)
        return found

    def changed(self) -> set[str]:
        """Keys of gangs whose view changed (or that are gone) since the last call."""
        found, self._changed = self._changed, set()
        return found

    # ---- members

    def members(self, key: str, ranks: I32) -> Members:
        """Names and UIDs of the members with these ranks, in their order; '' where there is none.

        Ranks are those of the last settle, as the engine's decisions name them.
        """
        slots = self._slots(key, ranks)
        table = self.table
        names, uids = table.names, table.uids
        listed = slots.tolist()
        gang = self.gangs.keyed(key)
        space = gang.namespace if gang is not None else ""
        if gang is None and listed and listed[0] >= 0:
            space = table.spaces[listed[0]]
        if slots.size and int(slots.min()) >= 0:
            return Members(space, [names[s] for s in listed], [uids[s] for s in listed])
        return Members(
            space,
            [names[s] if s >= 0 else "" for s in listed],
            [uids[s] if s >= 0 else "" for s in listed],
        )

    def rank_uid(self, key: str, rank: int) -> tuple[str, str]:
        """(name, UID) of one member, empty if there is none."""
        slot = int(self._slots(key, np.array([rank], np.int32))[0])
        return ("", "") if slot < 0 else (self.table.names[slot], self.table.uids[slot])

    def told(self, key: str, ranks: I32) -> Sequence[str]:
        """The reason that each member's condition PodScheduled=False gives, '' if there is none."""
        return [
            self.table.reasons[slot] if slot >= 0 else ""
            for slot in self._slots(key, ranks).tolist()
        ]

    def lowest(self, key: str) -> int:
        """Rank of the lowest live member, -1 if there is none."""
        slots, ranks = self._ranked(key)
        return int(ranks[0]) if slots.size else -1

    def waiting_ranks(self, key: str) -> I32:
        """Ranks, rising, of members without a node that are not being bound either."""
        slots, ranks = self._ranked(key)
        waits = self.table.flags[slots] & BOUND == 0
        record = self.cache.book.find(key)
        if record is not None and record.count:
            waits &= ~np.isin(ranks, self._taken(key))
        found: I32 = ranks[waits]
        return found

    def _slots(self, key: str, ranks: I32) -> I32:
        """[len(ranks)] slots, NONE where there is no such member (any more)."""
        slots, known = self._ranked(key)
        if not slots.size:
            return np.full(len(ranks), NONE, np.int32)
        at = np.minimum(np.searchsorted(known, ranks), len(known) - 1)
        return np.where(known[at] == ranks, slots[at], np.int32(NONE))

    def _ranked(self, key: str) -> tuple[I32, I32]:
        """(slots, ranks) of live members, lowest first, as they were last settled."""
        gang = self.gangs.keyed(key)
        if gang is not None and gang.together:
            roll = gang.roll
            if roll is None:
                roll = self._roll(gang)
                return (_NOBODY, _NOBODY) if roll is None else (roll.slots, roll.ranks)
            live = self.table.gang[roll.slots] == gang.number
            live &= self.table.flags[roll.slots] & MEMBER != 0
            live &= self.table.rank[roll.slots] == roll.ranks
            return (roll.slots, roll.ranks) if live.all() else (roll.slots[live], roll.ranks[live])
        slot = self.table.slot(key)
        if slot == NONE or self._gang(slot) is not None or not self.table.member(slot):
            return _NOBODY, _NOBODY
        return np.array([slot], np.int32), np.zeros(1, np.int32)

    # ---- views

    def _roll(self, gang: RosterGang) -> Roll | None:
        """The roll at this moment, None without members."""
        if not gang.stale and gang.roll is not None:
            return gang.roll
        members = self._members(self.table.of(gang.number))
        if not members.size:
            return None
        return call_roll(self.table, gang, members, self._taken(gang.key), self.wishes)

    def _state(self, key: str) -> GangState | None:
        """The cache's word; a gang that waits for members is not pending, whatever it was."""
        state = self.cache.state(key)
        if state in _QUEUED and key not in self.cache.queue:
            return GangState.WAITING
        return state

    def _gang_view(self, gang: RosterGang) -> GangView:
        table = self.table
        roll = self._roll(gang)
        slots = _NOBODY if roll is None else roll.slots
        flags = table.flags[slots]
        bound = int(np.count_nonzero(flags & BOUND))
        facts_wanted = gang.facts.wanted if gang.facts is not None else gang.least
        since = gang.complete_us
        if since is None:
            since = int(table.since_us[slots].min()) if slots.size else 0
        return GangView(
            key=gang.key,
            name=gang.name,
            namespace=gang.namespace,
            owner=self._ref(gang, slots),
            state=self._state(gang.key),
            wanted=facts_wanted if roll is None else roll.wanted,
            minimum=facts_wanted if roll is None else roll.minimum,
            waiting=len(slots) - bound,
            bound=bound,
            single=False,
            priority=0 if roll is None else roll.priority,
            wishes=Wishes() if roll is None else roll.wishes,
            unsupported=gang.rules if roll is None else roll.unsupported,
            problems=tuple(gang.gone_problem()) if roll is None else roll.problems,
            since_us=since,
            was_whole=gang.was_whole,
            running=int(np.count_nonzero(flags & RUNNING)),
            profile=0 if roll is None else roll.profile,
        )

    def _ref(self, gang: RosterGang, slots: I32) -> OwnerRef:
        """Whom events are about: its object if that is there, else its lowest member."""
        if slots.size and (gang.is_label or not gang.seen):
            return self._pod_ref(int(slots[0]))
        return gang.ref()

    def _pod_ref(self, slot: int) -> OwnerRef:
        table = self.table
        return OwnerRef("v1", "Pod", table.spaces[slot], table.names[slot], table.uids[slot])

    def _lone_view(self, slot: int) -> GangView:
        table = self.table
        owner, key = self._owner(slot), table.uids[slot]
        profile = int(table.profile[slot])
        wishes, ignored = self.wishes.read(table.all_terms[int(table.terms[slot])][0], profile)
        rules = sorted(table.all_rules[int(table.rules[slot])])
        bound = table.bound(slot)
        gone = owner.gone_problem() if owner is not None else []
        placed = GangState.PLACED if bound else None
        return GangView(
            key=key,
            name=f"{table.spaces[slot]}/Pod/{table.names[slot]}",
            namespace=table.spaces[slot],
            owner=self._pod_ref(slot),
            state=self._state(key) or placed,
            wanted=1,
            minimum=1,
            waiting=int(table.member(slot) and not bound),
            bound=int(bound),
            single=True,
            priority=int(table.priority[slot]),
            wishes=wishes,
            unsupported=(*(owner.rules if owner is not None else ()), *wishes.unmet, *rules),
            problems=(*gone, *minimum_of(wishes, 1)[1], *ignored),
            since_us=int(table.since_us[slot]),
            was_whole=bound,
            running=int(bool(table.flags[slot] & RUNNING)),
            profile=profile,
        )


_NOBODY: I32 = np.empty(0, np.int32)
