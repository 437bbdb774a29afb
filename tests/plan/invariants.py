"""What holds for every plan, whatever was asked: checked from the plan's columns alone.

Plain loops over members, sharing no code with the planner. The filters' definition for one node
(`filters/reference.py`) is used as it stands; it has tests of its own.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from scheduler.model.filters.reference import NodeFacts, first_reason
from scheduler.model.filters.tokens import clash
from scheduler.model.names import natural_key
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW, Pending
from scheduler.model.plan import Cause, Plan, Verdict
from scheduler.model.policy import Order, Policy, Scan
from scheduler.model.reasons import sentence
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED, SETTLING, Snapshot
from scheduler.model.topology import CLUSTER


def check_plan(snapshot: Snapshot, pending: Pending, plan: Plan, policy: Policy) -> None:
    """Raises AssertionError with the gang or node for the first rule that `plan` breaks."""
    assert plan.generation == snapshot.generation
    assert sorted(plan.order.tolist()) == list(range(pending.gangs))
    _check_order(pending, plan, policy)
    _check_scan(pending, plan, policy)
    for g in range(pending.gangs):
        if plan.verdict[g] == Verdict.FITS:
            placed = _Placed(snapshot, pending, plan, g)
            placed.check_members()
            placed.check_domains()
            placed.check_nodes()
        else:
            _check_rejected(pending, plan, policy, g)
    _check_room(snapshot, pending, plan)
    _check_tokens(snapshot, pending, plan)
    assert plan.stats.gangs_placed == int(np.count_nonzero(plan.verdict == Verdict.FITS))
    assert plan.stats.members_placed == int(np.count_nonzero(plan.row != NO_ROW))


def _check_order(pending: Pending, plan: Plan, policy: Policy) -> None:
    """Repairs, then priority or run time, then age, then name, then key."""

    def key(g: int) -> tuple[Any, ...]:
        return (
            not pending.repair[g],
            -int(pending.priority[g]) if policy.order is Order.PRIORITY else 0,
            int(pending.expected_us[g]) if policy.order is Order.SJF else 0,
            int(pending.ready_us[g]),
            natural_key(pending.name[g]),
            pending.key[g],
        )

    keys = [key(g) for g in plan.order.tolist()]
    assert all(a < b for a, b in pairwise(keys)), keys


def _check_scan(pending: Pending, plan: Plan, policy: Policy) -> None:
    """Strict: behind a gang that was not placed, nobody of its pool is tried."""
    blocked: set[int] = set()
    for g in plan.order.tolist():
        pool = int(pending.pool[g])
        if pool in blocked:
            assert plan.verdict[g] == Verdict.NOT_TRIED, f"{pending.key[g]} passed a blocked head"
        if plan.verdict[g] != Verdict.FITS and policy.scan is Scan.STRICT:
            blocked.add(pool)


def _check_rejected(pending: Pending, plan: Plan, policy: Policy, g: int) -> None:
    """No rows, and the numbers of a rejection if the gang was tried."""
    key, first, last = pending.key[g], int(pending.offset[g]), int(pending.offset[g + 1])
    assert (plan.row[first:last] == NO_ROW).all(), f"{key} is half placed"
    assert plan.placed[g] == 0, key
    assert plan.domain[g] == NO_DOMAIN, key
    if plan.verdict[g] == Verdict.NOT_TRIED:
        assert plan.cause[g] == Cause.ORDER, key
        return
    rejection = plan.rejection[g]
    assert (rejection is None) == (not policy.explain), key
    if rejection is None:
        return
    assert plan.cause[g] in (Cause.CAPACITY, Cause.FRAGMENTATION, Cause.TOPOLOGY), key
    assert (rejection.wanted, rejection.minimum) == (last - first, pending.minimum[g]), key
    assert rejection.fit == plan.best_cap[g], key
    assert rejection.proved == (plan.verdict[g] == Verdict.DOES_NOT_FIT), key
    if rejection.proved and not _mixed(pending, g):
        assert rejection.fit < rejection.minimum, key
    assert f"{rejection.fit} of {last - first} fit" in sentence(rejection), key


def _mixed(pending: Pending, g: int) -> bool:
    first, last = int(pending.offset[g]), int(pending.offset[g + 1])
    alike = len(set(pending.shape[first:last].tolist())) == 1
    return not alike or bool((pending.pin[first:last] != NO_PIN).any())


class _Placed:
    """One gang of a plan that fits."""

    def __init__(self, snapshot: Snapshot, pending: Pending, plan: Plan, g: int) -> None:
        first, last = int(pending.offset[g]), int(pending.offset[g + 1])
        self.snapshot, self.pending, self.plan, self.g = snapshot, pending, plan, g
        self.key = pending.key[g]
        self.members = range(first, last)
        self.rows: list[int] = plan.row[first:last].tolist()
        self.held: list[int] = pending.held_row[first:last].tolist()
        self.shapes = [snapshot.shapes[s] for s in pending.shape[first:last].tolist()]
        self.used = [row for row in self.rows if row != NO_ROW]
        self.required = int(pending.required[g])
        # A home above the required level is none: no domain there holds the bound members.
        tree, home = snapshot.topology, int(pending.home[g])
        counts = self.required == NO_LEVEL or tree.ancestor[self.required, home] != NO_DOMAIN
        self.home = home if counts else NO_DOMAIN
        self.fresh = [
            i for i, (row, held) in enumerate(zip(self.rows, self.held, strict=True))
            if row not in (NO_ROW, held)
        ]  # fmt: skip
        """Members that took new room, as places in the gang."""

    def check_members(self) -> None:
        """At least the minimum: the lowest ranks, whole segments; held room is used."""
        g, placed = self.g, len(self.used)
        assert placed == self.plan.placed[g], self.key
        assert placed >= max(1, self.pending.minimum[g]), f"{self.key}: {placed} placed"
        assert self.plan.cause[g] == Cause.NONE, self.key
        searched = [
            row for row, held in zip(self.rows, self.held, strict=True)
            if held == NO_ROW or row != held
        ]  # fmt: skip
        first_without = searched.index(NO_ROW) if NO_ROW in searched else len(searched)
        assert set(searched[first_without:]) <= {NO_ROW}, f"{self.key}: not the lowest ranks"
        for i, (row, held) in enumerate(zip(self.rows, self.held, strict=True)):
            if held not in (NO_ROW, row):
                assert not self.takes_back(i, held), f"{self.key}: held {held} unused"
            if held != NO_ROW and row == held:
                assert self.takes_back(i, held), f"{self.key}: held {held} is bad"
        size = int(self.pending.segment_size[g])
        if size and placed < len(self.rows) and set(self.held) == {NO_ROW}:
            assert placed % size == 0, f"{self.key}: {placed} placed in segments of {size}"

    def takes_back(self, member: int, row: int) -> bool:
        """May a member return to its held room? By filters and pin, and if the node is not over."""
        shape, pin = self.shapes[member], int(self.pending.pin[self.members[member]])
        if pin != NO_PIN and row not in self.pending.pins[pin]:
            return False
        if self.required != NO_LEVEL:
            tree = self.snapshot.topology
            if tree.domain_of(row, self.required) != tree.domain_of(self.used[0], self.required):
                return False
        young = bool(self.snapshot.flags[row] & SETTLING) and not self.pending.single[self.g]
        if young or first_reason(without_tokens(shape), facts(self.snapshot, row)):
            return False
        free = self.snapshot.free
        over = any(amount and free[r, row] < 0 for r, amount in enumerate(shape.requests))
        return not over and bool(self.snapshot.slots[row] >= 0)

    def check_domains(self) -> None:
        """The required level's domain is one; segments share theirs; `domain` is the lowest."""
        tree, g = self.snapshot.topology, self.g
        if self.required != NO_LEVEL:
            at = {tree.domain_of(row, self.required) for row in self.used}
            assert len(at) == 1, f"{self.key}: {at} for one domain"
            assert NO_DOMAIN not in at, f"{self.key}: no label"
        paths = [self._path(row) for row in self.used]
        common = max((d for d in paths[0] if all(d in path for path in paths)), key=paths[0].index)
        assert self.plan.domain[g] == common, self.key
        size, level = int(self.pending.segment_size[g]), int(self.pending.segment_level[g])
        if not size or set(self.held) != {NO_ROW}:
            return
        for at_member in range(0, len(self.used), size):
            segment = self.used[at_member : at_member + size]
            domains = {tree.domain_of(row, level) for row in segment}
            assert len(domains) == 1, f"{self.key}: segment {at_member // size} in {domains}"
            assert NO_DOMAIN not in domains, self.key

    def _path(self, row: int) -> list[int]:
        """Domains from the cluster down to the node's own."""
        tree = self.snapshot.topology
        d = int(tree.node_parent[row])
        path = [d]
        while d != CLUSTER:
            d = int(tree.parent[d])
            path.append(d)
        return path[::-1]

    def check_nodes(self) -> None:
        """Filters, pins, home, claims and young nodes, for each member that takes new room."""
        snapshot, pending, g = self.snapshot, self.pending, self.g
        tree = snapshot.topology
        for i in self.fresh:
            row, name = self.rows[i], f"{self.key} on {snapshot.names[self.rows[i]]}"
            why = first_reason(self.shapes[i], facts(snapshot, row))
            assert not why, f"{name}: {why}"
            pin = int(pending.pin[self.members[i]])
            assert pin == NO_PIN or row in pending.pins[pin], f"{name}: not where it is pinned"
            assert pending.single[g] or not snapshot.flags[row] & SETTLING, f"{name}: too young"
            if self.required != NO_LEVEL and self.home != NO_DOMAIN:
                assert row in tree.rows(self.home), f"{name}: left its home"
            for c, owner in enumerate(snapshot.claims.owner):
                mine = owner == self.key or pending.priority[g] > snapshot.claims.priority[c]
                inside = row in tree.rows(int(snapshot.claims.domain[c]))
                assert mine or not inside, f"{name}: claimed by {owner}"


def without_tokens(shape: Shape) -> Shape:
    """The shape as its own hold sees it: the tokens taken there are its own."""
    return Shape(shape.requests, shape.selector, shape.affinity, shape.tolerations)


def facts(snapshot: Snapshot, row: int) -> NodeFacts:
    """One node as the definition of the filters reads it."""
    labels = {
        key: column.values[column.code[row]]
        for key, column in snapshot.labels.items()
        if column.code[row] >= 0
    }
    return NodeFacts(
        name=snapshot.names[row],
        cordoned=bool(snapshot.flags[row] & CORDONED),
        taints=snapshot.taint_sets[snapshot.taint_set[row]],
        labels=labels,
        tokens=frozenset(t for t, rows in snapshot.tokens.items() if row in rows),
    )


def _check_room(snapshot: Snapshot, pending: Pending, plan: Plan) -> None:
    """No node gives more than is free, in any resource or in pod slots."""
    slots: Counter[int] = Counter()
    taken: Counter[tuple[int, int]] = Counter()
    for member, row in enumerate(plan.row.tolist()):
        if row in (NO_ROW, pending.held_row[member]):
            continue
        slots[row] += 1
        for r, amount in enumerate(snapshot.shapes[pending.shape[member]].requests):
            if amount:
                taken[r, row] += amount
    for row, members in slots.items():
        assert members <= snapshot.slots[row], f"{snapshot.names[row]}: {members} pods"
    for (r, row), amount in taken.items():
        what = snapshot.resources.names[r]
        assert amount <= snapshot.free[r, row], f"{snapshot.names[row]}: {amount} {what}"
        assert amount <= snapshot.allocatable[r, row], f"{snapshot.names[row]}: {amount} {what}"


def _check_tokens(snapshot: Snapshot, pending: Pending, plan: Plan) -> None:
    """What a node can give once is given once."""
    given: dict[int, list[str]] = {}
    for member, row in enumerate(plan.row.tolist()):
        if row == NO_ROW:
            continue
        here = given.setdefault(row, [])
        for token in snapshot.shapes[pending.shape[member]].tokens:
            twice = [other for other in here if clash(token, other)]
            assert not twice, f"{snapshot.names[row]}: {token} beside {twice}"
        here += snapshot.shapes[pending.shape[member]].tokens
