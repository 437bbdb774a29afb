"""Gangs and pods: every step of their lives, on queue, pod table and holds at once.

A step first checks everything that may be wrong and then changes everything, so that an illegal
one (IllegalTransitionError) changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.audience import Who
from scheduler.model.policy import Order
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.account import Account
from scheduler.state.claims import ClaimBook
from scheduler.state.entry import Entry
from scheduler.state.freeze import FrozenColumns
from scheduler.state.gangs import GangBook, GangRecord
from scheduler.state.holds import HoldLimits, HoldTable
from scheduler.state.kinds import Kinds
from scheduler.state.lifecycle import (
    TRANSITIONS,
    GangState,
    IllegalTransitionError,
    Step,
    after,
)
from scheduler.state.live import LivePods
from scheduler.state.nodes import Level, NodeTable
from scheduler.state.pods import ASSUMED, NO_RANK, PodState
from scheduler.state.queue import Queue
from scheduler.state.shapes import ShapeRegistry

_NOT_ON_NODES = (GangState.WAITING, GangState.PENDING, GangState.BACKING_OFF)


class Workloads:
    """What runs, what is assumed, what waits and what is held. Base of the Cache."""

    def __init__(
        self,
        resources: ResourceOrder,
        levels: Sequence[Level] = (),
        *,
        order: Order = Order.PRIORITY,
        settle_us: int = 0,
        limits: HoldLimits | None = None,
        hidden: Collection[str] = frozenset(),
        others: Sequence[Sequence[Level]] = (),
    ) -> None:
        """`levels` root first, of profile 0, `others`: of 1, 2, ..; `settle_us`: see NodeTable;
        `hidden`: keys of labels in no Who: they differ between members of one workload.
        """
        self.levels = (tuple(levels), *map(tuple, others))
        self.shapes = ShapeRegistry(resources)
        labels = {level.label for profile in self.levels for level in profile}
        self.nodes = NodeTable(len(resources), labels, settle_us)
        self.account = Account(self.nodes, self.shapes)
        self.book = GangBook(self.account)
        self.live = LivePods(self.book, self.account)
        self.kinds = Kinds(self.account, self.book.pods, hidden)
        self.holds = HoldTable(self.account, self.kinds, limits or HoldLimits())
        self.claims = ClaimBook()
        self.queue = Queue(self.kinds, order)
        self.frozen = FrozenColumns(self.nodes, self.levels)

    def shape(self, shape: Shape, who: Who | None = None) -> int:
        """The number of a kind: pods of this shape that others' rules see as `who` (None = not).

        Raises ValueError on a vector of another length.
        """
        return self.kinds.number(shape, who)

    def state(self, key: str) -> GangState | None:
        """The state of a gang, or None if it is not known."""
        record = self.book.find(key)
        return None if record is None else record.state

    # ---- waiting

    def enqueue(self, entry: Entry, *, not_before_us: int = 0) -> None:
        """Members wait: a gang that became complete, or late members of a placed one.

        not_before_us: end of its back-off. Raises IllegalTransitionError if it waits already.
        """
        if entry.key in self.queue:
            raise IllegalTransitionError(f"gang {entry.key}: it waits already")
        record = self.book.ensure(entry.key)
        if self.book.taken_ranks(record, entry.rank_column()).any():
            raise IllegalTransitionError(f"gang {entry.key}: a member has a place already")
        if not record.count:
            record.origin = entry
        self.queue.add(entry, held=bool(self.holds.of(entry.key)), not_before_us=not_before_us)
        if record.state is GangState.WAITING:
            record.step(Step.COMPLETE)
        if record.state is GangState.BACKING_OFF and not not_before_us:
            record.step(Step.RETRY)
        elif record.state is GangState.PENDING and not_before_us:
            record.step(Step.BACK_OFF)

    def dequeue(self, key: str) -> Entry:
        """Members wait no more (gated, deleted). Raises IllegalTransitionError if none did."""
        entry = self.queue.remove(key)
        record = self.book.get(key)
        if not record.count:
            record.step(Step.INCOMPLETE)
        return entry

    def replace(self, entry: Entry) -> None:
        """Those of a gang who wait are others now, or ask for something else; a back-off stays.

        Raises IllegalTransitionError if none waits, or one of them has a place.
        """
        if entry.key not in self.queue:
            raise IllegalTransitionError(f"gang {entry.key}: it does not wait")
        record = self.book.get(entry.key)
        if self.book.taken_ranks(record, entry.rank_column()).any():
            raise IllegalTransitionError(f"gang {entry.key}: a member has a place already")
        if not record.count:
            record.origin = entry
        self.queue.replace(entry, held=bool(self.holds.of(entry.key)))

    def back_off(self, key: str, until_us: int) -> None:
        """A waiting gang is not tried before `until_us`."""
        self.queue.back_off(key, until_us)
        record = self.book.get(key)
        if record.state is GangState.PENDING:
            record.step(Step.BACK_OFF)

    # ---- on nodes

    def assume(self, key: str, rows: I32, kinds: I32 | int | None, ranks: I32) -> None:
        """A plan is taken as done: members wait no more and take their room. All or nothing.

        rows, ranks int32[m] (ranks rising), kinds int32[m], one number, or None: those with which
        they wait. Members of the entry that are left out go on waiting as late ones. A hold of
        one of these ranks ends.
        Raises IllegalTransitionError if the gang does not wait with these ranks, or one of them
        has a place; ValueError on rows that the last snapshot does not have.
        """
        entry = self.queue.get(key)
        if entry is None:
            raise IllegalTransitionError(f"gang {key}: it does not wait")
        record = self.book.get(key)
        waiting = entry.rank_column()
        chosen = None if np.array_equal(waiting, ranks) else np.isin(waiting, ranks)
        if chosen is not None and (not chosen.any() or np.count_nonzero(chosen) != len(ranks)):
            raise IllegalTransitionError(f"gang {key}: these members do not wait")
        if len(rows) != len(ranks) or rows.min() < 0 or rows.max() >= len(self.frozen.names):
            raise ValueError(f"gang {key}: {len(rows)} rows, not all of the last snapshot")
        if self.book.taken_ranks(record, ranks).any():
            raise IllegalTransitionError(f"gang {key}: a member has a place already")
        after(record.state, Step.PLAN, key)

        self.queue.remove(key)
        record.step(Step.PLAN)
        self._end_holds(key, ranks)
        late = None if chosen is None else entry.where(~chosen)
        if late is not None:
            self.queue.add(late, held=bool(self.holds.of(key)))
        record.entries.append(entry)
        nids = self.frozen.nid_of_row[rows]
        if kinds is None:
            column = entry.shape_column()
            column = column if chosen is None else column[chosen]
        else:
            column = np.full(len(rows), kinds, np.int32) if isinstance(kinds, int) else kinds
        self.book.add(record, nids, column, ranks, PodState.ASSUMED)

    def _end_holds(self, key: str, ranks: I32) -> None:
        held = self.holds.of(key)
        if held:
            for rank in ranks.tolist():
                self.holds.drop(key, rank)

    def send(self, key: str) -> None:
        """Binds of a planned gang are on their way."""
        self.book.get(key).step(Step.SEND)

    def confirm(self, key: str, ranks: I32 | None = None) -> None:
        """Assumed members (None: all) were seen on their nodes."""
        record = self.book.get(key)
        slots = self.book.assumed_slots(record, ranks)
        self.book.pods.state[slots] = PodState.BOUND
        record.assumed -= len(slots)
        self._confirmed(record)

    def _confirmed(self, record: GangRecord) -> None:
        """A bind that is seen was sent; the last one finishes the gang."""
        if record.state is GangState.PLANNED:
            record.step(Step.SEND)
        if not record.assumed:
            record.entries.clear()
            if record.state is GangState.BINDING:
                record.step(Step.FINISH)

    def forget(
        self, key: str, ranks: I32 | None = None, *, requeue: bool = True, not_before_us: int = 0
    ) -> None:
        """Assumed members (None: all) are given up: their room is free again.

        requeue: they wait again, the gang as it was if nothing of it is left on nodes.
        """
        record = self.book.get(key)
        slots = self.book.assumed_slots(record, ranks)
        given_up = self.book.pods.rank[slots]
        self.book.drop(record, slots)
        again = self._given_up(record, given_up)
        record.step(Step.LOSE if record.count else Step.FORGET)
        if requeue and again is not None:
            if key in self.queue:
                again = self.queue.remove(key).joined(again)
            if not record.count and record.origin is not None:
                again = again.like(record.origin)
            self.queue.add(again, held=bool(self.holds.of(key)), not_before_us=not_before_us)
            if record.state is GangState.PENDING and not_before_us:
                record.step(Step.BACK_OFF)
        elif not record.count:
            self._nothing_left(record)
            if key not in self.queue:
                record.step(Step.INCOMPLETE)

    def _given_up(self, record: GangRecord, ranks: I32) -> Entry | None:
        """Members that were given up, as an entry."""
        again: Entry | None = None
        for entry in reversed(record.entries):  # a rank may have waited twice: the last time counts
            mine = entry.where(np.isin(entry.rank_column(), ranks))
            if mine is not None:
                again = mine if again is None else again.joined(mine)
                ranks = ranks[~np.isin(ranks, mine.rank_column())]
        if not record.assumed:
            record.entries.clear()
        return again

    def release(self, key: str, ranks: I32 | None = None) -> None:
        """Members (None: all) end, bound or assumed. With the last one the gang is over:

        it waits no more, holds nothing and is forgotten. Raises IllegalTransitionError if the
        gang is not known or has no member with one of `ranks`.
        """
        record = self.book.get(key)
        slots = record.slots.copy()
        if ranks is not None:
            wanted = np.unique(ranks)
            slots = slots[np.isin(self.book.pods.rank[slots], wanted)]
            if len(np.unique(self.book.pods.rank[slots])) != len(wanted):
                raise IllegalTransitionError(f"gang {key}: no member with one of these ranks")
        if slots.size:
            self.live.unname(slots)
            self.book.drop(record, slots)
        if record.count:
            if not record.assumed:
                self._confirmed(record)
            return
        if key in self.queue:
            self.queue.remove(key)
        self.holds.drop_all(key)
        self.claims.drop(key)
        self.book.end(record)

    def disband(self, key: str) -> None:
        """Bound members stay on their nodes, as members of no gang; the gang is over.

        What becomes of a pod that was placed alone. Raises IllegalTransitionError if a member is
        assumed or waits.
        """
        record = self._settled(key)
        if key in self.queue:
            raise IllegalTransitionError(f"gang {key}: members wait")
        self.holds.drop_all(key)
        self.claims.drop(key)
        self.book.disband(record)

    def give_up(self, key: str, until_us: int) -> None:
        """A degraded gang backs off until `until_us`; its members end one by one afterwards."""
        self._settled(key).step(Step.RELEASE)
        if key in self.queue:
            self.queue.back_off(key, until_us)

    def finish(self, key: str) -> None:
        """No member is missing any more (late ones came, or fewer are wanted)."""
        self._settled(key).step(Step.FINISH)

    def _settled(self, key: str) -> GangRecord:
        """The record of a gang without assumed members, else IllegalTransitionError."""
        record = self.book.get(key)
        if record.assumed:
            raise IllegalTransitionError(f"gang {key}: {record.assumed} members are assumed")
        return record

    # ---- pods, one by one

    def upsert_pod(
        self, uid: str, node: str, shape: Shape | int, gang: str = "", rank: int = NO_RANK
    ) -> None:
        """A pod is bound to `node`, ours or another scheduler's; `gang` empty for no member.

        An assumed member that is seen where it was assumed is confirmed; seen elsewhere, the
        watch is believed.
        """
        nid = self.nodes.intern(node)
        number = shape if isinstance(shape, int) else self.shape(shape)
        record = self.book.ensure(gang) if gang else None
        slot = self.live.slot(uid)
        if slot is not None:
            if self.live.same(slot, nid, number, record, rank):
                return
            before = self.live.remove(slot)
            if before is not None and before is not record:
                self._lost(before)
        mine = record.slot_of_rank(self.book.pods, rank) if record is not None else None
        if record is None or mine is None or self.book.pods.state[mine] != ASSUMED:
            self.live.place(uid, nid, number, record, rank)
        elif self.live.same(mine, nid, number, record, rank):
            self.live.confirm(uid, mine, record)
        else:
            self.live.remove(mine)
            self.live.place(uid, nid, number, record, rank)
        if record is not None:
            self._seen(record, rank)

    def _seen(self, record: GangRecord, rank: int) -> None:
        """A member of the gang is bound, whoever bound it."""
        waiting = self.queue.get(record.key)
        if waiting is not None:
            others = waiting.rank_column() != rank
            if not others.all():
                self.queue.remove(record.key)
                left = waiting.where(others)
                if left is not None:
                    self.queue.add(left, held=bool(self.holds.of(record.key)))
        self.holds.drop(record.key, rank)
        if record.state in _NOT_ON_NODES:
            record.step(Step.ADOPT)
        else:
            self._confirmed(record)

    def remove_pod(self, uid: str) -> bool:
        """A pod is gone or has finished; False if the watch never showed it bound."""
        slot = self.live.slot(uid)
        if slot is None:
            return False
        record = self.live.remove(slot)
        if record is not None:
            self._lost(record)
        return True

    def pods_on(self, node: str) -> I32:
        """Slots of pods that count on a node, rising."""
        nid = self.nodes.nid_of.get(node)
        pods = self.book.pods
        used = pods.in_use()
        return used[:0] if nid is None else used[pods.nid[used] == nid]

    def _lost(self, record: GangRecord) -> None:
        """A member of the gang is gone; what the watch shows is never illegal."""
        if record.count:
            if (record.state, Step.LOSE) in TRANSITIONS:
                record.step(Step.LOSE)
            return
        self._nothing_left(record)
        if record.state is not GangState.BACKING_OFF:
            record.step(Step.INCOMPLETE)
            if record.key in self.queue:
                record.step(Step.COMPLETE)

    def _nothing_left(self, record: GangRecord) -> None:
        """Those who wait are no late members any more: there is nothing that they could join."""
        entry = self.queue.get(record.key)
        if entry is not None and record.origin is not None:
            held = bool(self.holds.of(record.key))
            self.queue.replace(entry.like(record.origin), held=held)

    # ---- holds

    def hold(
        self, key: str, namespace: str, nodes: Sequence[str], shapes: I32, ranks: I32,
        now_us: int, term_us: int | None = None,
    ) -> int:  # fmt: skip
        """Keeps room for members that do not exist now; returns how many the limits allow."""
        nids = np.array([self.nodes.intern(name) for name in nodes], np.int32)
        kept = self.holds.keep(key, namespace, nids, shapes, ranks, now_us, term_us)
        self.queue.regate(key, held=bool(self.holds.of(key)))
        return kept

    def renew_holds(self, key: str, now_us: int) -> None:
        """A sign of life of the gang carries its holds on."""
        self.holds.renew(key, now_us)

    def drop_hold(self, key: str, rank: int | None = None) -> None:
        """Gives back the room held for one member, or for all of a gang."""
        if rank is None:
            self.holds.drop_all(key)
        else:
            self.holds.drop(key, rank)
        self.queue.regate(key, held=bool(self.holds.of(key)))
