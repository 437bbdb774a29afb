# ruff: noqa: D102  (a rule is named after its event)
"""Random histories: after every event the cache agrees with itself and with the naive model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.model.policy import Policy, Scan
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.snapshot import Snapshot, StaleSnapshotError
from scheduler.state.cache import Cache
from scheduler.state.claims import Claim
from scheduler.state.entry import Entry
from scheduler.state.invariants import check_invariants
from scheduler.state.lifecycle import GangState, IllegalTransitionError
from scheduler.state.nodes import NodeSpec
from tests.state.naive import Member, NaiveCluster, NaiveHold, columns_of, decoded
from tests.state.planner import first_fit
from tests.state.strategies import (
    LEVELS,
    LIMITS,
    SETTLE_US,
    SHAPES,
    UIDS,
    entries,
    gangs,
    i32,
    names,
    node_specs,
    shapes,
    subsets,
)


class CacheMachine(RuleBasedStateMachine):
    """Events on the cache and on the naive model alike."""

    def __init__(self) -> None:
        super().__init__()
        resources = ResourceOrder(("cpu", "memory", GPU))
        self.cache = Cache(resources, LEVELS, settle_us=SETTLE_US, limits=LIMITS)
        self.naive = NaiveCluster(LEVELS, SETTLE_US, list(SHAPES))
        self.waiting: dict[str, set[int]] = {}
        self.now = 0
        self.snapshot: Snapshot | None = None
        for number, shape in enumerate(SHAPES):
            assert self.cache.shape(shape) == number

    @initialize(specs=st.lists(node_specs(), max_size=3))
    def start(self, specs: list[NodeSpec]) -> None:
        for name, leaf in (("n1", "l1"), ("n2", "l1"), ("m-2", "l2")):
            labels = {"net/spine": "s1", "net/leaf": leaf, "zone": "a"}
            self.upsert_node(NodeSpec(name, (1000, 30, 4), labels=labels))
        for spec in specs:
            self.upsert_node(spec)
        self.snap()

    # nodes

    @rule(spec=node_specs())
    def upsert_node(self, spec: NodeSpec) -> None:
        self.cache.upsert_node(spec)
        self.naive.nodes[spec.name] = spec

    @rule(name=names)
    def remove_node(self, name: str) -> None:
        assert self.cache.remove_node(name) == (self.naive.nodes.pop(name, None) is not None)

    # pods of others, and ours as the watch shows them

    @rule(uid=st.sampled_from(UIDS), node=names, number=shapes)
    def foreign_pod(self, uid: str, node: str, number: int) -> None:
        self.pod(uid, node, number, "", -1)

    @rule(uid=st.sampled_from(UIDS), node=names, gang=gangs, number=shapes, rank=st.integers(0, 5))
    def member_pod(self, uid: str, node: str, gang: str, number: int, rank: int) -> None:
        self.pod(uid, node, number, gang, rank)

    @precondition(lambda self: any(m.assumed for m in self.naive.members))
    @rule(data=st.data(), uid=st.sampled_from(UIDS))
    def watch_shows_assumed(self, data: st.DataObject, uid: str) -> None:
        member = data.draw(st.sampled_from([m for m in self.naive.members if m.assumed]))
        self.pod(uid, member.node, member.shape, member.gang, member.rank)

    def pod(self, uid: str, node: str, number: int, gang: str, rank: int) -> None:
        shape = SHAPES[number] if rank % 2 else number
        self.cache.upsert_pod(uid, node, shape, gang, rank)
        members = self.naive.members
        known = [m for m in members if m.uid == uid]
        want = Member(gang, rank, node, number, assumed=False, uid=uid)
        if known == [want]:
            return
        members[:] = [
            m
            for m in members
            if m.uid != uid and not (gang and m.assumed and (m.gang, m.rank) == (gang, rank))
        ]
        members.append(want)
        if gang:
            self.stop_waiting(gang, {rank})
            self.naive.holds.pop((gang, rank), None)

    @rule(uid=st.sampled_from(UIDS))
    def remove_pod(self, uid: str) -> None:
        left = [m for m in self.naive.members if m.uid != uid]
        assert self.cache.remove_pod(uid) == (len(left) < len(self.naive.members))
        self.naive.members = left

    # gangs

    @rule(entry=entries(), wait=st.sampled_from((0, 0, 7)))
    def enqueue(self, entry: Entry, wait: int) -> None:
        ranks = set(entry.rank_column().tolist())
        taken = {m.rank for m in self.naive.of(entry.key)}
        if entry.key in self.waiting or ranks & taken:
            self.refused(lambda: self.cache.enqueue(entry))
            return
        self.cache.enqueue(entry, not_before_us=self.now + wait if wait else 0)
        self.waiting[entry.key] = ranks

    def dequeue(self, key: str) -> None:
        if key not in self.waiting:
            self.refused(lambda: self.cache.dequeue(key))
            return
        entry = self.cache.dequeue(key)
        assert set(entry.rank_column().tolist()) == self.waiting.pop(key)

    def back_off(self, key: str) -> None:
        if key not in self.waiting:
            self.refused(lambda: self.cache.back_off(key, self.now + 5))
            return
        self.cache.back_off(key, self.now + 5)

    @rule(entry=entries(), drop=st.integers(0, 3))
    def arrival(self, entry: Entry, drop: int) -> None:
        self.enqueue(entry, 0)
        self.cycle(carried_out=True, strict=False, drop=drop)

    @rule(carried_out=st.booleans(), strict=st.booleans(), drop=st.integers(0, 3))
    def cycle(self, *, carried_out: bool, strict: bool, drop: int) -> None:
        """A whole cycle: freeze, pending, plan, assume (perhaps fewer members), note."""
        snap = self.snap()
        policy = Policy(scan=Scan.STRICT if strict else Scan.GREEDY)
        pending = self.cache.pending(self.now, snap, policy)
        for g, key in enumerate(pending.key):
            ranks = pending.rank[pending.offset[g] : pending.offset[g + 1]]
            assert set(ranks.tolist()) == self.waiting[key]
        plan = first_fit(snap, pending)
        for g in np.flatnonzero(plan.placed).tolist():
            if not carried_out:
                continue
            first, count = int(plan.offset[g]), max(int(plan.placed[g]) - drop, 1)
            members = slice(first, first + count)
            self.assume(
                pending.key[g], plan.row[members], pending.shape[members], pending.rank[members]
            )
        self.cache.note(pending, plan, self.now)
        if not carried_out:
            self.cache.retry_all()

    def assume(self, key: str, rows: Any, numbers: Any, ranks: Any) -> None:
        assert self.snapshot is not None
        self.cache.assume(key, rows, numbers, ranks)
        for row, number, rank in zip(rows, numbers, ranks, strict=True):
            node = self.snapshot.names[row]
            self.naive.members.append(Member(key, int(rank), node, int(number), assumed=True))
            self.naive.holds.pop((key, int(rank)), None)
        self.stop_waiting(key, set(ranks.tolist()))

    def stop_waiting(self, key: str, ranks: set[int]) -> None:
        if key in self.waiting:
            self.waiting[key] -= ranks
            if not self.waiting[key]:
                del self.waiting[key]

    def assume_what_does_not_wait(self, key: str, ranks: list[int]) -> None:
        if self.snapshot is None or not self.snapshot.names or not ranks:
            return
        if set(ranks) <= self.waiting.get(key, set()):
            return
        self.refused(lambda: self.cache.assume(key, i32([0] * len(ranks)), 0, i32(ranks)))

    def confirm(self, key: str, ranks: list[int] | None) -> None:
        chosen = self.assumed(key, ranks)
        if not chosen:
            self.refused(lambda: self.cache.confirm(key, None if ranks is None else i32(ranks)))
            return
        self.cache.confirm(key, None if ranks is None else i32(ranks))
        for member in chosen:
            member.assumed = False

    def forget(self, key: str, ranks: list[int] | None, *, requeue: bool) -> None:
        chosen = self.assumed(key, ranks)
        which = None if ranks is None else i32(ranks)
        if not chosen:
            self.refused(lambda: self.cache.forget(key, which))
            return
        self.cache.forget(key, which, requeue=requeue)
        self.naive.members = [m for m in self.naive.members if m not in chosen]
        if requeue:
            self.waiting.setdefault(key, set()).update(m.rank for m in chosen)

    @rule(op=st.integers(0, 6), key=gangs, ranks=subsets, every=st.booleans())
    def any_step(self, op: int, key: str, ranks: list[int], *, every: bool) -> None:
        """A step that may be legal or not."""
        some = None if every else ranks
        steps = (
            lambda: self.dequeue(key),
            lambda: self.back_off(key),
            lambda: self.assume_what_does_not_wait(key, ranks),
            lambda: self.confirm(key, some),
            lambda: self.forget(key, some, requeue=every),
            lambda: self.release(key, some),
            lambda: self.give_up_or_finish(key),
        )
        steps[op]()

    @precondition(lambda self: any(m.assumed for m in self.naive.members))
    @rule(data=st.data(), how=st.sampled_from(("confirm", "forget", "forget", "send")))
    def next_step(self, data: st.DataObject, how: str) -> None:
        """A step that is legal now: some assumed members of one gang, or all of them."""
        keys = sorted({m.gang for m in self.naive.members if m.assumed})
        key = data.draw(st.sampled_from(keys))
        ranks = [m.rank for m in self.naive.of(key) if m.assumed]
        some = data.draw(st.none() | st.lists(st.sampled_from(ranks), unique=True, min_size=1))
        if how == "confirm":
            self.confirm(key, some)
        elif how == "forget":
            self.forget(key, some, requeue=data.draw(st.booleans()))
        elif self.cache.state(key) in {GangState.PLANNED, GangState.BINDING}:
            self.cache.send(key)
        else:
            self.refused(lambda: self.cache.send(key))

    def assumed(self, key: str, ranks: list[int] | None) -> list[Member]:
        """Assumed members that a step names; none if it names one that is not assumed."""
        mine = [m for m in self.naive.of(key) if m.assumed]
        if ranks is None:
            return mine
        chosen = [m for m in mine if m.rank in ranks]
        return chosen if len(chosen) == len(ranks) else []

    def release(self, key: str, ranks: list[int] | None) -> None:
        mine = self.naive.of(key)
        chosen = mine if ranks is None else [m for m in mine if m.rank in ranks]
        which = None if ranks is None else i32(ranks)
        if self.cache.state(key) is None or {m.rank for m in chosen} != set(
            ranks if ranks is not None else [m.rank for m in mine]
        ):
            self.refused(lambda: self.cache.release(key, which))
            return
        self.cache.release(key, which)
        self.naive.members = [m for m in self.naive.members if m not in chosen]
        if len(chosen) == len(mine):
            self.waiting.pop(key, None)
            self.naive.holds = {k: h for k, h in self.naive.holds.items() if k[0] != key}
            self.naive.claims = {k: c for k, c in self.naive.claims.items() if k[0] != key}

    def give_up_or_finish(self, key: str) -> None:
        for give_up in (True, False):
            before = self.fingerprint()
            try:
                if give_up:
                    self.cache.give_up(key, self.now + 3)
                else:
                    self.cache.finish(key)
            except IllegalTransitionError:
                assert self.fingerprint() == before

    # holds and claims

    @rule(key=gangs, ranks=subsets, on=st.lists(names, min_size=6, max_size=6), number=shapes)
    def hold(self, key: str, ranks: list[int], on: list[str], number: int) -> None:
        space = "team" if key < "c" else "other"
        self.naive.expire_holds(self.now)
        self.cache.holds.expire(self.now)
        count = len(ranks)
        kept = self.cache.hold(key, space, on[:count], i32([number] * count), i32(ranks), self.now)
        holds = self.naive.holds
        for rank in ranks:
            holds.pop((key, rank), None)
        for rank, node in zip(ranks, on, strict=False):
            in_space = sum(h.namespace == space for h in holds.values())
            if in_space < LIMITS.per_namespace and len(holds) < LIMITS.total:
                until = self.now + LIMITS.term_us
                holds[key, rank] = NaiveHold(space, node, number, self.now, until)
                kept -= 1
        assert kept == 0

    @rule(key=gangs)
    def renew_holds(self, key: str) -> None:
        self.cache.renew_holds(key, self.now)
        for (owner, _), hold in self.naive.holds.items():
            if owner == key:
                until = min(self.now + LIMITS.term_us, hold.since_us + LIMITS.longest_us)
                hold.until_us = max(hold.until_us, until)

    @rule(key=gangs, rank=st.none() | st.integers(0, 5))
    def drop_hold(self, key: str, rank: int | None) -> None:
        self.cache.drop_hold(key, rank)
        for owner, held in list(self.naive.holds):
            if owner == key and rank in {None, held}:
                del self.naive.holds[owner, held]

    @rule(key=gangs, leaf=st.sampled_from((None, "l1", "l2")), for_us=st.integers(1, 20))
    def claim(self, key: str, leaf: str | None, for_us: int) -> None:
        path = ((0, "s1"),) if leaf is None else ((0, "s1"), (1, leaf))
        self.cache.claim(path, key, 0, self.now + for_us)
        self.naive.claims[key, path] = Claim(path, key, 0, self.now + for_us)

    @rule(key=gangs)
    def drop_claim(self, key: str) -> None:
        mine = [k for k in self.naive.claims if k[0] == key]
        assert self.cache.drop_claim(key) == bool(mine)
        for k in mine:
            del self.naive.claims[k]

    # the clock and the snapshot

    @rule(us=st.integers(1, 12))
    def time_passes(self, us: int) -> None:
        self.now += us

    @rule()
    def freeze(self) -> None:
        self.snap()

    def snap(self) -> Snapshot:
        """A snapshot shows what the naive model knows; the one before it is stale."""
        before = self.snapshot
        snap = self.snapshot = self.cache.freeze(self.now, range(len(SHAPES)))
        self.naive.expire(self.now)
        assert decoded(snap) == self.naive.view(self.now)
        assert not any(column.flags.writeable for column in columns_of(snap))
        if before is not None:
            with pytest.raises(StaleSnapshotError):
                before.check_fresh()
        check_invariants(self.cache, snap)
        return snap

    @invariant()
    def agrees(self) -> None:
        """After every event: the cache with itself, its members with the naive ones."""
        check_invariants(self.cache)
        pods = self.cache.book.pods
        have = sorted(
            (int(pods.rank[s]), self.cache.nodes.names[pods.nid[s]], int(pods.shape[s]),
             int(pods.state[s]))
            for s in pods.in_use()
        )  # fmt: skip
        want = sorted((m.rank, m.node, m.shape, 1 if m.assumed else 2) for m in self.naive.members)
        assert have == want
        waiting = {e.key: set(e.rank_column().tolist()) for e in self.cache.queue}
        assert waiting == self.waiting

    def refused(self, step: Any) -> None:
        """An illegal step raises and changes nothing."""
        before = self.fingerprint()
        with pytest.raises(IllegalTransitionError):
            step()
        assert self.fingerprint() == before

    def fingerprint(self) -> tuple[Any, ...]:
        book, queue = self.cache.book, self.cache.queue
        return (
            self.cache.nodes.used.tolist(),
            book.pods.state.tolist(),
            [(r.key, r.state, r.count, r.assumed) for r in book],
            [(e.key, e.count) for e in queue],
            queue.table.tolist(),
            len(self.cache.holds),
        )


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
