"""Who exists and who forms a gang, event by event: the book between the watches and the cache.

    pods, controllers, PodGroups --put, drop--> Roster --settle--> cache.enqueue, replace, dequeue
                                                  |
                                                  +--at once--> cache.upsert_pod, remove_pod, forget

Pods of other schedulers only take room on their node. A pod of ours that names a controller of a
known kind or a PodGroup waits until that object is seen, so that no gang is ever mistaken for a
single pod; bound ones are counted on their node meanwhile and join their gang afterwards. Events
may come in any order; whatever it is, the cache is never asked for an illegal step, and what waits
there after `settle` depends on what exists, not on the order in which it was told. Every event
comes with its time, whether that matters to it or not.
"""

from __future__ import annotations

from scheduler.model.decode import Controller
from scheduler.model.gang_rules import (
    GROUP_KEY,
    LABEL_KEY,
    RANK_LABELS,
    belongs_to,
    rank_of,
    suffix_counts,
)
from scheduler.model.groups import GROUP_LABEL, Group
from scheduler.model.wishes import GANG_LABEL
from scheduler.state.gang_view import OwnerRef
from scheduler.state.members import BOUND, MEMBER, NONE, RUNNING, UNTOLD, terms_of
from scheduler.state.roster_book import LONGEST_OWNER_WAIT_US, OWNER_WAIT_US
from scheduler.state.roster_gang import Facts, RosterGang
from scheduler.state.roster_views import RosterViews
from scheduler.state.sighting import Sighting

_SHORT = 9
"""Numbers of so few digits are ranks without further looks."""


class Roster(RosterViews):
    """Gangs and their members. One thread uses it; it tells the cache what it must know.

    gather_max_us: a gang whose minimum is there, but not all that it wants, is complete when so
    much time has passed since its minimum came to be there. Ranks: see `ranks.number_members`.
    """

    # ---- pods

    def put_pod(self, pod: Sighting, now_us: int) -> None:
        """A pod of any scheduler appeared or changed."""
        table = self.table
        slot = table.slot(pod.uid)
        if not pod.ours or pod.finished:
            self._put_other(pod, slot, now_us)
            return
        belongs = belongs_to(pod)
        number = self._number(belongs, pod, now_us) if belongs else NONE
        flags = _flags(pod)
        new = slot == NONE
        if new:
            slot = table.take(pod)
            table.since_us[slot] = pod.created_us or now_us
            self._describe(slot, pod, belongs)
            table.flags[slot] = flags
            self._join(slot, number)
            if pod.node:
                self._seat(slot, pod.node)
        else:
            if table.reasons[slot] != pod.told:
                table.reasons[slot] = table.shared(pod.told)
            if not self._describe(slot, pod, belongs) and self._as_before(slot, number, flags):
                return
            if flags & MEMBER and not table.member(slot):
                table.since_us[slot] = now_us  # a gate was lifted: it is a member since now
            self._change(slot, pod, number, flags)
        if number != NONE and (pod.was_whole or (new and pod.ready and pod.node)):
            self.gangs[number].was_whole = True

    def drop_pod(self, uid: str, now_us: int) -> None:  # noqa: ARG002
        """A pod is gone, or has finished."""
        slot = self.table.slot(uid)
        if slot == NONE:
            self.cache.remove_pod(uid)
            return
        self._mark_slot(slot)
        if self._assumed(slot):
            self._give_up(slot)
        if self.table.told[slot] != UNTOLD:
            self.cache.remove_pod(uid)
        self._end_lone(slot)
        owner = self._owner(slot)
        if owner is not None:
            owner.pods -= 1
            self._mark(owner)
        self._lone.pop(slot, None)
        self.table.give(slot)

    def touch(self, key: str) -> None:
        """Something happened to the gang in the cache (a bind was refused): settle it again."""
        gang = self.gangs.keyed(key)
        slot = self.table.slot(key)
        if gang is not None:
            self._mark(gang)
        elif slot != NONE:
            self._mark_slot(slot)

    def _put_other(self, pod: Sighting, slot: int, now_us: int) -> None:
        """A pod that is not ours (any more): it takes room, or nothing."""
        if slot != NONE:
            self.drop_pod(pod.uid, now_us)
        leaving = pod.deleting and not pod.node  # nobody will bind it any more
        if pod.finished or leaving or not pod.seat:
            self.cache.remove_pod(pod.uid)
        else:
            self.cache.upsert_pod(pod.uid, pod.seat, pod.shape)

    def _number(self, belongs: str, pod: Sighting, now_us: int) -> int:
        """Number of what the pod belongs to, known or not."""
        gang = self.gangs.called(belongs)
        if gang is None:
            kind, name = "", ""
            if belongs.startswith(GROUP_KEY):
                kind, name = "PodGroup", pod.labels[GROUP_LABEL]
            elif belongs.startswith(LABEL_KEY):
                kind, name = "Gang", pod.labels[GANG_LABEL]
            elif pod.owner is not None:
                kind, name = pod.owner.kind, pod.owner.name
            gang = self.gangs.add(belongs, kind, self.table.shared(pod.namespace), name)
        if not (gang.seen or gang.absent or gang.later or pod.node):
            self._unseen.setdefault(gang.number, (now_us + OWNER_WAIT_US, OWNER_WAIT_US))
        return gang.number

    def _describe(self, slot: int, pod: Sighting, belongs: str) -> bool:
        """What the pod says of itself goes into the columns; True if something changed."""
        table = self.table
        stated = _stated(pod, belongs)
        terms = table.all_terms.number(terms_of(pod, belongs))
        rules = table.all_rules.number(pod.unsupported) if pod.unsupported else 0
        pins = None if pod.node else pod.pins
        same = (
            table.stated[slot] == stated
            and table.shape[slot] == pod.shape
            and table.priority[slot] == pod.priority
            and table.terms[slot] == terms
            and table.rules[slot] == rules
            and table.profile[slot] == pod.profile
            and (not table.pins or table.pins.get(slot) == pins)
        )
        if same and (pins is None or slot in table.pins):
            return False
        table.stated[slot], table.shape[slot] = stated, pod.shape
        table.priority[slot], table.terms[slot], table.rules[slot] = pod.priority, terms, rules
        table.profile[slot] = pod.profile
        if pins is None:
            table.pins.pop(slot, None)
        else:
            table.pins[slot] = pins
        return True

    def _as_before(self, slot: int, number: int, flags: int) -> bool:
        """Whether nothing but how far it runs has changed."""
        table = self.table
        before = int(table.flags[slot])
        if (before ^ flags) & ~RUNNING or table.gang[slot] != number or slot in table.moving:
            return False
        if before != flags:
            table.flags[slot] = flags
            self._changed.add(self._key(slot))
        return True

    def _change(self, slot: int, pod: Sighting, number: int, flags: int) -> None:
        """A pod appeared, or something about it changed."""
        table = self.table
        assumed = self._assumed(slot)
        member = flags & MEMBER != 0
        confirmed = assumed and pod.node != ""
        if confirmed:
            self._confirm(slot, pod.node)
        elif assumed and not member:
            self._give_up(slot)
        table.flags[slot] = flags
        table.moving.pop(slot, None)
        if number != table.gang[slot]:
            if assumed and member and not confirmed:
                table.moving[slot] = number
            else:
                self._switch(slot, number)
        elif confirmed and member:
            return
        self._mark_slot(slot)
        if not member and self._gang(slot) is not None and not pod.node:
            table.rank[slot] = NONE
        if pod.node:
            self._seat(slot, pod.node)
        elif table.told[slot] != UNTOLD:
            self.cache.remove_pod(pod.uid)  # no API server takes a node back; a restored one may
            table.told[slot] = UNTOLD

    def _seat(self, slot: int, node: str) -> None:
        """A bound pod counts on its node at once; of its gang, if that is beyond doubt already."""
        table = self.table
        gang = self._gang(slot)
        if gang is None or not table.member(slot):
            self._tell_plain(slot, node)
            if gang is not None:
                table.rank[slot] = NONE
            self._end_lone(slot)
            return
        number = int(table.told[slot])
        if number == gang.number:
            self._tell_member(slot, node, gang, int(table.rank[slot]))
            return
        rank = int(table.stated[slot])
        if gang.seen and gang.wants_together and rank >= 0 and self._nobody_has(gang, slot, rank):
            self._tell_member(slot, node, gang, rank)
        else:
            self._tell_plain(slot, node)

    def _nobody_has(self, gang: RosterGang, slot: int, rank: int) -> bool:
        if gang.roll is not None and gang.roll.slot_of(rank) not in {NONE, slot}:
            return False
        record = self.cache.book.find(gang.key)
        return record is None or record.slot_of_rank(self.cache.book.pods, rank) is None

    # ---- controllers and groups

    def put_controller(self, controller: Controller, now_us: int) -> None:  # noqa: ARG002
        """A controller of a known kind appeared or changed."""
        facts = Facts.of(controller)
        gang = self.gangs.called(controller.uid)
        if gang is None:
            space = self.table.shared(controller.namespace)
            gang = self.gangs.add(controller.uid, controller.kind, space, controller.name)
        elif gang.seen and gang.facts == facts:
            return
        gang.facts = facts
        self._seen(gang)

    def drop_controller(self, uid: str, now_us: int) -> None:  # noqa: ARG002
        """A controller is gone; pods that still name it wait, those on nodes stay its."""
        gang = self.gangs.called(uid)
        if gang is not None:
            self._unsee(gang)

    def put_group(self, group: Group, now_us: int) -> None:  # noqa: ARG002
        """A PodGroup appeared or changed. One of another UID is another gang."""
        belongs = f"{GROUP_KEY}{group.namespace}/{group.name}"
        before = self.gangs.called(belongs)
        gang = self.gangs.keyed(group.uid) or before
        if gang is None or gang.uid not in {"", group.uid}:
            space = self.table.shared(group.namespace)
            gang = self.gangs.add(belongs, "PodGroup", space, group.name)
        elif gang.seen and gang.least == group.min_member and gang is before:
            return
        if before is not None and before is not gang:
            self.gangs.recall(gang)
            self._unsee(before)
            self._move_all(before, gang)
        if gang.key != group.uid:
            self.gangs.rename(gang, group.uid)
        gang.least = group.min_member
        self._seen(gang)

    def drop_group(self, uid: str, now_us: int) -> None:  # noqa: ARG002
        """A PodGroup is gone."""
        gang = self.gangs.keyed(uid)
        if gang is not None and gang.is_group:
            self._unsee(gang)

    def _seen(self, gang: RosterGang) -> None:
        gang.seen, gang.absent = True, False
        self._unseen.pop(gang.number, None)
        self._mark(gang)

    def _unsee(self, gang: RosterGang) -> None:
        gang.seen, gang.absent = False, True
        self._mark(gang)

    def _move_all(self, before: RosterGang, after: RosterGang) -> None:
        for slot in self.table.of(before.number).tolist():
            if self._assumed(slot):
                self.table.moving[slot] = after.number
            else:
                self._switch(slot, after.number)
        moving = self.table.moving
        moving.update({slot: after.number for slot, to in moving.items() if to == before.number})

    # ---- time

    def next_time_us(self, now_us: int) -> int | None:  # noqa: ARG002
        """The next time at which a gang is complete or an owner overdue; None if there is none."""
        owners = [until for until, _ in self._unseen.values()]
        return min([*self._gathering.values(), *owners], default=None)

    def overdue_owners(self, now_us: int) -> list[OwnerRef]:
        """Objects that waiting pods name and nobody has shown for 2 s: to be read with a GET.

        Each comes again, after twice as long each time and at least once a minute, until it is
        put or `owner_absent` is told its `uid`: the answer may be late, or unreadable.
        """
        due = [number for number, (until, _) in self._unseen.items() if until <= now_us]
        for number in due:
            wait = min(2 * self._unseen[number][1], LONGEST_OWNER_WAIT_US)
            self._unseen[number] = (now_us + wait, wait)
        return [self.gangs[number].ref() for number in due]

    def owner_absent(self, uid: str, now_us: int) -> None:  # noqa: ARG002
        """There is no such object, or another one has its name: its pods wait, and that is said.

        uid: of the OwnerRef. Nothing happens if it was seen meanwhile.
        """
        gang = self.gangs.called(uid)
        if gang is not None and not gang.seen:
            gang.absent = True
            self._unseen.pop(gang.number, None)
            self._mark(gang)


def _flags(pod: Sighting) -> int:
    return (
        (0 if pod.gated or pod.deleting else MEMBER)
        | (BOUND if pod.node else 0)
        | (RUNNING if pod.running else 0)
    )


def _stated(pod: Sighting, belongs: str) -> int:
    """The rank that a pod says it has, -1 if it says none."""
    text = pod.labels.get(RANK_LABELS[0])
    if text and len(text) <= _SHORT and text.isascii() and text.isdigit():
        return int(text)
    rank = rank_of(pod, suffix=suffix_counts(belongs, pod.owner))
    return NONE if rank is None else rank
