"""What must always be true of a Cache, recomputed naively from pods and holds.

For tests after every event, and for operators on demand: it walks everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I64
from scheduler.model.audience import mark_of
from scheduler.model.filters import Eligibility
from scheduler.model.pod_rules import Apart
from scheduler.model.pod_terms import carried_by
from scheduler.model.snapshot import Snapshot
from scheduler.state.cache import Cache
from scheduler.state.entry import MIXED
from scheduler.state.gangs import GangRecord
from scheduler.state.gates import Gate
from scheduler.state.lifecycle import GangState
from scheduler.state.nodes import Mask
from scheduler.state.pods import NO_GANG, PodState


class InvariantError(AssertionError):
    """The cache contradicts itself: a bug, never an input."""


def check_invariants(cache: Cache, snapshot: Snapshot | None = None) -> None:
    """Raises InvariantError with every contradiction found.

    snapshot: the last one, whose columns and kept capacities are checked as well.
    """
    found = [
        *_room(cache),
        *_pod_table(cache),
        *_gangs(cache),
        *_live(cache),
        *_queue(cache),
        *_rows(cache),
    ]
    if snapshot is not None:
        found += _capacities(cache, snapshot)
        found += _marks(cache, snapshot)
        found += _plan_shapes(cache, snapshot)
    if found:
        raise InvariantError("; ".join(found))


def _room(cache: Cache) -> Iterator[str]:
    """used, pods_used and tokens are what pods and holds add up to."""
    nodes, shapes, pods = cache.nodes, cache.shapes, cache.book.pods
    used = np.zeros_like(nodes.used)
    count = np.zeros_like(nodes.pods_used)
    tokens: dict[str, Counter[int]] = {}
    taken = [(int(pods.nid[slot]), int(pods.shape[slot])) for slot in pods.in_use()]
    taken += [(hold.nid, hold.shape) for hold in cache.holds.all()]
    for nid, number in taken:
        shape = shapes[number]
        used[:, nid] += np.array(shape.requests, np.int64)
        count[nid] += 1
        for token in shape.tokens:
            tokens.setdefault(token, Counter())[nid] += 1
    if not np.array_equal(used, nodes.used) or not np.array_equal(count, nodes.pods_used):
        yield "used is not the sum of pods and holds"
    kept = {t: cache.account.tokens.users(t) for t in cache.account.tokens.names()}
    if {t: dict(zip(n.tolist(), c.tolist(), strict=True)) for t, (n, c) in kept.items()} != tokens:
        yield "token users are not those of pods and holds"


def _pod_table(cache: Cache) -> Iterator[str]:
    """Every slot is free or somebody's."""
    pods = cache.book.pods
    free = pods.free_slots().tolist()
    if len(set(free)) != len(free) or any(slot >= pods.top for slot in free):
        yield "free list repeats a slot or goes beyond the table"
    if set(free) & set(pods.in_use().tolist()) or len(free) + len(pods.in_use()) != pods.top:
        yield "free list and pods in use do not make up the table"
    if len(pods) != len(pods.in_use()):
        yield "the pod table miscounts"


def _gangs(cache: Cache) -> Iterator[str]:
    """Records and pod table name each other."""
    pods, named = cache.book.pods, 0
    for record in cache.book:
        slots = record.slots
        named += len(slots)
        if cache.book.numbered(record.number) is not record:
            yield f"gang {record.key}: its number leads elsewhere"
        if (pods.gang[slots] != record.number).any():
            yield f"gang {record.key}: a slot is another's"
        if not np.array_equal(pods.place[slots], np.arange(len(slots))):
            yield f"gang {record.key}: places are wrong"
        if record.assumed != int(np.count_nonzero(pods.state[slots] == PodState.ASSUMED)):
            yield f"gang {record.key}: assumed members are miscounted"
        for rank, slot in (record.by_rank or {}).items():
            if slot not in slots or pods.rank[slot] != rank:
                yield f"gang {record.key}: the index of ranks is wrong"
        yield from _state(cache, record)
    used = pods.in_use()
    if int(np.count_nonzero(pods.gang[used] != NO_GANG)) != named:
        yield "a member belongs to a gang that does not have it"


def _state(cache: Cache, record: GangRecord) -> Iterator[str]:
    state, waits = record.state, record.key in cache.queue
    if record.assumed and state not in {GangState.PLANNED, GangState.BINDING, GangState.DEGRADED}:
        yield f"gang {record.key}: members assumed while {state}"
    if state in {GangState.PLANNED, GangState.BINDING} and not record.assumed:
        yield f"gang {record.key}: {state} without assumed members"
    if state in {GangState.PLACED, GangState.DEGRADED} and not record.count:
        yield f"gang {record.key}: {state} without members"
    if state is GangState.WAITING and (waits or record.count):
        yield f"gang {record.key}: waiting for members that it has"


def _live(cache: Cache) -> Iterator[str]:
    pods = cache.book.pods
    slots = [slot for _, slot in cache.live.items()]
    if len(set(slots)) != len(slots):
        yield "two UIDs name one slot"
    if any(pods.state[slot] != PodState.BOUND for slot in slots):
        yield "a UID names a slot that is not bound"


def _queue(cache: Cache) -> Iterator[str]:
    """Dense rows, index, gates and sorted pools agree with the entries."""
    queue, table, plan_of = cache.queue, cache.queue.table, cache.shapes.plan_of
    shapes: dict[int, set[int]] = {}
    for index, entry in enumerate(queue):
        row = table[index]
        if queue.get(entry.key) is not entry:
            yield f"queue: the index misses {entry.key}"
        if entry.key not in cache.book:
            yield f"queue: {entry.key} has no record"
        plans = sorted({int(plan_of[kind]) for kind in entry.shape_numbers()})
        shape = plans[0] if len(plans) == 1 else MIXED
        values = (row["count"], row["minimum"], row["shape"], row["profile"])
        if values != (entry.count, entry.minimum, shape, entry.profile):
            yield f"queue: the row of {entry.key} is another's"
        held = bool(cache.holds.of(entry.key))
        # Where a hold has ended, the gang stays at the gate that opens most often.
        ruled = any(map(cache.kinds.ruled, plans))
        gates = {Gate.of(entry, plans, held=h, ruled=ruled) for h in (held, True)}
        if queue.gate(index) not in gates:
            yield f"queue: {entry.key} stands at the wrong gate"
        shapes.setdefault(entry.profile, set()).update(plans)
    if {profile: set(queue.shapes(profile)) for profile in queue.profiles()} != shapes:
        yield "queue: shapes are miscounted"
    yield from queue.check_pools()


def _rows(cache: Cache) -> Iterator[str]:
    """Rows and node ids are each other's inverse; clean rows show the truth."""
    nodes, columns = cache.nodes, cache.frozen
    if nodes.tree_stale:
        return
    nids = columns.nid_of_row
    if not np.array_equal(nids, nodes.in_name_order()):
        yield "rows are not the nodes in name order"
        return
    if not np.array_equal(columns.row_of_nid[nids], np.arange(len(nids))):
        yield "row_of_nid is not the inverse of nid_of_row"
    clean: Mask = ~nodes.dirty[nids]
    free = nodes.allocatable[:, nids] - nodes.used[:, nids]
    slots: I64 = nodes.slots_allocatable[nids] - nodes.pods_used[nids]
    if (free != columns.free)[:, clean].any() or (slots != columns.slots)[clean].any():
        yield "a clean row does not show what is free"


def _marks(cache: Cache, snapshot: Snapshot) -> Iterator[str]:
    """Published marks are those that who waits reads, and count the pods that they mean."""
    read = {m for shape in cache.queue.shapes() for m in cache.kinds.reads(shape)}
    if not read <= set(snapshot.marks):
        yield "a mark that somebody reads is not published"
    pods, row_of = cache.book.pods, cache.frozen.row_of_nid
    for mark, column in snapshot.marks.items():
        counts: Counter[int] = Counter()
        for slot in pods.in_use().tolist():
            row = int(row_of[pods.nid[slot]])
            if row >= 0 and cache.kinds.leaves_mark(int(pods.shape[slot]), mark):
                counts[row] += 1
        if dict(zip(column.rows.tolist(), column.counts.tolist(), strict=True)) != counts:
            yield f"mark {mark}: pods are miscounted"
        if (np.diff(column.rows) <= 0).any():
            yield f"mark {mark}: rows do not rise"


def _plan_shapes(cache: Cache, snapshot: Snapshot) -> Iterator[str]:
    """Plan shapes of who waits say what others make of their rules."""
    kinds, shapes, pods = cache.kinds, cache.shapes, cache.book.pods
    waiting = {kind for entry in cache.queue for kind in entry.shape_numbers()}
    around = waiting.union(pods.shape[pods.in_use()].tolist())
    terms = {term for kind in around for term in carried_by(shapes[kind].rules)}
    for kind in sorted(waiting):
        who, rules = shapes.who(kind), snapshot.shapes[int(shapes.plan_of[kind])].rules
        if who is None:
            continue
        wrong = {m for m in snapshot.marks if (m in rules.leaves) != kinds.leaves_mark(kind, m)}
        if wrong or not set(rules.leaves) >= {mark_of(t) for t in carried_by(shapes[kind].rules)}:
            yield f"kind {kind}: its plan shape leaves other marks"
        for term in terms:
            repelled = Apart(term.key, mark_of(term)) in rules.repelled
            if repelled != kinds.repels(term, kind):
                yield f"kind {kind}: its plan shape does not say who repels it"
        owned = [(each.mark, each.own) for each in rules.spread if each.mark]
        owned += [] if rules.near is None else [(rules.near.mark, rules.near.own)]
        if any(own != kinds.leaves_mark(kind, mark) for mark, own in owned):
            yield f"kind {kind}: its plan shape does not say whether it counts itself"


def _capacities(cache: Cache, snapshot: Snapshot) -> Iterator[str]:
    """Kept capacities equal those computed from scratch."""
    snapshot.check_fresh()
    (tree, *_) = [tree for tree in cache.frozen.trees if tree.topology is snapshot.topology]
    for number, kept in snapshot.capacities.items():
        shape = snapshot.shapes[number]
        eligibility = Eligibility(shape)
        reason = eligibility.evaluate(snapshot)
        request = kernel.Request.of(shape.requests, exclusive=shape.exclusive)
        cap = kernel.capacity(snapshot.free, snapshot.slots, reason, request)
        texts = [eligibility.reasons[code] for code in reason]
        if [kept.reasons[code] for code in kept.reason] != texts:
            yield f"capacity of shape {number}: reasons are out of date"
        if not np.array_equal(kept.cap, cap):
            yield f"capacity of shape {number}: caps are out of date"
        if not np.array_equal(kept.sums, kernel.roll_up(tree, cap)):
            yield f"capacity of shape {number}: sums are out of date"
