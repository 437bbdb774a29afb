"""A gang whose members' rules bite each other, small enough to be tried member by member.

Everything that a placement changes stands in plain lists: room per node, and pods per value of
each label that a rule reads. `put` and `take_back` change them for one member; `allows` asks the
rules for one more. What is refused for ever is not among the nodes a kind may use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.pending import NO_PIN
from scheduler.model.pod_rules import Apart, Spread
from scheduler.plan.gang import Gang
from scheduler.plan.ledger import Ledger, View
from scheduler.plan.marks import Tally
from scheduler.plan.mixed_problem import room_columns, views_of
from scheduler.plan.rule_ways import refusals

NEVER = 1 << 62
"""More pods than there are."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Members that nothing tells apart: of one kind, in one segment (0 if there are none)."""

    kind: int
    segment: int


@dataclass(eq=False, slots=True)
class Kind:
    """Members of one shape and pin."""

    shape: int
    pinned: bool
    rows: I32
    """Rows that take one and are not closed to it for ever, in tree order. Length R."""
    position: I32
    """[R] tree position of each, rising."""
    cap: I64
    """[R] members that each takes."""

    def among(self, position: I32) -> list[int]:
        """Which of `position`, rising, are its own (places in that list)."""
        small, large = position, self.position
        swap = large.size < small.size
        if swap:
            small, large = large, small
        at = np.searchsorted(large, small)
        same = np.flatnonzero(large[np.minimum(at, large.size - 1)] == small) if large.size else at
        found: list[int] = (at[same] if swap else same).tolist()
        return found


class Counter:
    """Pods of a mark per value of a label, as the search goes on: V values of the table's nodes."""

    __slots__ = ("_ask", "_low", "_lowest", "_outside", "bucket", "counts", "mark", "pods",
                 "unique", "value")  # fmt: skip

    def __init__(self, tally: Tally, rows: I32) -> None:
        code = tally.key.code[rows]
        local = np.unique(code[code >= 0])
        at = np.searchsorted(local, code)
        counting = tally.bucket[rows] < tally.key.values
        self.mark, self.unique = tally.mark, tally.key.unique
        self.value: list[int] = np.where(code >= 0, at, -1).tolist()
        """Per node: the value that is asked for it, or -1."""
        self.bucket: list[int] = np.where(counting, at, local.size).tolist()
        """Per node: the value under which a pod there counts, or V, which nobody asks."""
        self.counts: list[int] = [*tally.counts[local].tolist(), 0]
        """[V + 1]"""
        self.pods = int(tally.counts[:-1].sum())
        """Pods under any value."""
        rest = tally.counting.copy()
        rest[local] = False
        self._ask: list[int] = np.flatnonzero(tally.counting[local]).tolist()
        self._outside = int(tally.counts[:-1][rest].min(initial=NEVER))
        self._count()

    def _count(self) -> None:
        inside = [self.counts[v] for v in self._ask]
        self._lowest = min(inside, default=NEVER)
        self._low = inside.count(self._lowest)

    @property
    def lowest(self) -> int:
        """The fewest pods under any value that counts, those of other nodes too."""
        return min(self._lowest, self._outside)

    def add(self, node: int) -> None:
        """One pod more on a node."""
        v = self.bucket[node]
        self.counts[v] += 1
        if v < len(self.counts) - 1:
            self.pods += 1
            if self.counts[v] == self._lowest + 1:
                self._low -= 1
                if not self._low:
                    self._count()

    def remove(self, node: int) -> None:
        """One pod less."""
        v = self.bucket[node]
        self.counts[v] -= 1
        if v < len(self.counts) - 1:
            self.pods -= 1
            if self.counts[v] < self._lowest:
                self._lowest, self._low = self.counts[v], 1
            elif self.counts[v] == self._lowest:
                self._low += 1


@dataclass(eq=False, slots=True)
class SpreadCheck:
    """One spread that members of the gang count for."""

    counter: Counter
    skew: int
    own: int
    fixed: bool
    """Measured by 0, whatever is there."""

    @property
    def top(self) -> int:
        """Domains with more pods than this take none."""
        return self.skew - self.own + (0 if self.fixed else self.counter.lowest)


@dataclass(eq=False, slots=True)
class RuleChecks:
    """What members of one shape ask of each other, and what they count for."""

    spread: list[SpreadCheck]
    near: list[Counter]
    own: bool
    apart: list[Counter]
    leaves: list[Counter]


class Table:
    """The nodes of one question, with what is on them and in their domains."""

    def __init__(self, asked: Asked, rows: I32) -> None:
        """rows: in tree order."""
        topology = asked.ledger.tree.topology
        self.rows = rows
        position = topology.position[rows]
        self.position: list[int] = position.tolist()
        self.room: list[list[int]] = asked.room[position].tolist()
        self.request = [asked.requests[kind.shape] for kind in asked.kinds]
        self.may = [kind.among(position) for kind in asked.kinds]
        self.segments = asked.size > 0
        self.segment: list[int] = [0] * rows.size
        if asked.size:
            self.segment = topology.domains_at(rows, asked.segment_level).tolist()
            self.may = [[i for i in nodes if self.segment[i] >= 0] for nodes in self.may]
        self._counters: dict[int, Counter] = {}
        checks = {s: self._compile(asked, s) for s in asked.views}
        for number, each in checks.items():
            leaves = asked.ledger.snapshot.shapes[number].rules.leaves
            each.leaves = [c for c in self._counters.values() if c.mark in leaves]
        self.checks = [checks[kind.shape] for kind in asked.kinds]
        self.visits = rows.size + len(asked.kinds)

    def _compile(self, asked: Asked, number: int) -> RuleChecks:
        shape, marks = asked.ledger.snapshot.shapes[number], asked.ledger.marks
        open_marks = asked.leaves
        checks = RuleChecks([], [], own=False, apart=[], leaves=[])
        for rule in shape.rules.spread:
            if rule.mark in open_marks:
                tally = marks.spread(shape, rule)
                fixed = np.count_nonzero(tally.counting) < max(1, rule.min_domains)
                check = SpreadCheck(self._counter(tally), rule.max_skew, int(rule.own), bool(fixed))
                checks.spread.append(check)
        near = shape.rules.near
        if near is not None and near.mark in open_marks:
            checks.near = [self._counter(marks.near(key, near.mark)) for key in near.keys]
            checks.own = near.own
        for each in refusals(shape):
            if each.mark in open_marks:
                checks.apart.append(self._counter(marks.near(each.key, each.mark)))
        return checks

    def _counter(self, tally: Tally) -> Counter:
        known = self._counters.get(id(tally))
        if known is None:
            known = self._counters[id(tally)] = Counter(tally, self.rows)
        return known

    def alike(self) -> list[int]:
        """Per node, equal for nodes that nothing tells apart; asked before anything is placed."""
        may = [set(nodes) for nodes in self.may]
        number: dict[tuple[object, ...], int] = {}
        found: list[int] = []
        for i, room in enumerate(self.room):
            labels = [
                # Of a label with a value of its own per node only the pods there matter.
                (c.counts[c.bucket[i]], c.bucket[i] == len(c.counts) - 1) if c.unique
                else (c.value[i], c.bucket[i])
                for c in self._counters.values()
            ]  # fmt: skip
            sign = (*room, *labels, self.segment[i], *(i in nodes for nodes in may))
            found.append(number.setdefault(sign, len(number)))
        return found

    def fits(self, kind: int, node: int) -> bool:
        """Is there room for one more of `kind`?"""
        self.visits += 1
        return all(r >= q for r, q in zip(self.room[node], self.request[kind], strict=True) if q)

    def allows(self, kind: int, node: int) -> bool:
        """Do the rules let one more of `kind` in now?"""
        checks = self.checks[kind]
        if checks.apart and self.parted(kind, node):
            return False
        for each in checks.spread:
            if each.counter.counts[each.counter.value[node]] > each.top:
                return False
        if checks.near and not all(c.counts[c.value[node]] for c in checks.near):
            return checks.own and not any(c.pods for c in checks.near)
        return True

    def parted(self, kind: int, node: int) -> bool:
        """Is a pod there that keeps `kind` away for good?"""
        for counter in self.checks[kind].apart:
            v = counter.value[node]
            if v >= 0 and counter.counts[v]:
                return True
        return False

    def put(self, kind: int, node: int) -> None:
        """Places one of `kind`."""
        room = self.room[node]
        for q, amount in enumerate(self.request[kind]):
            room[q] -= amount
        for counter in self.checks[kind].leaves:
            counter.add(node)

    def take_back(self, kind: int, node: int) -> None:
        """Undoes `put`."""
        room = self.room[node]
        for q, amount in enumerate(self.request[kind]):
            room[q] += amount
        for counter in self.checks[kind].leaves:
            counter.remove(node)

    def evenness(self, kind: int, node: int) -> int:
        """Pods that count for the spreads of `kind` in the domains of `node`."""
        return sum(
            each.counter.counts[each.counter.value[node]] for each in self.checks[kind].spread
        )

    @property
    def any_order(self) -> bool:
        """Can members be placed in any order, because nobody allows anybody anything?"""
        return not any(checks.spread or checks.near for checks in self.checks)


class Asked:
    """One gang's members as kinds and segments, before a domain is chosen."""

    def __init__(self, ledger: Ledger, gang: Gang, members: I32) -> None:
        """members: index of each that wants a place, rising."""
        self.ledger, self.gang = ledger, gang
        self.n = int(members.size)
        self.size, self.segment_level = gang.segment_size, gang.segment_level
        shapes = sorted(set(gang.shapes[members].tolist()))
        self.views: dict[int, View] = views_of(ledger, gang, shapes)
        known = ledger.snapshot.shapes
        self.leaves = {mark for s in shapes for mark in known[s].rules.leaves}
        self.requests, self.room, _ = room_columns(ledger, shapes)
        self.kinds: list[Kind] = []
        self._known: dict[tuple[int, int], int] = {}
        self.kind = [self._number(int(gang.shapes[i]), int(gang.pin[i])) for i in members]
        """[n] kind of each member, by rank."""
        self.some: I64 = np.zeros(ledger.tree.nodes, np.int64)
        """[N] members that each row could take, each kind alone."""
        for kind in self.kinds:
            self.some[kind.rows] += kind.cap

    def _number(self, shape: int, pin: int) -> int:
        known = self._known.get((shape, pin))
        if known is None:
            known = self._known[shape, pin] = len(self.kinds)
            topology, cap = self.ledger.tree.topology, self.views[shape].cap
            rows = topology.order if pin == NO_PIN else self.gang.pins[pin]
            rows = rows[cap[rows] > 0]
            position = np.sort(topology.position[rows])
            rows = topology.order[position]
            self.kinds.append(Kind(shape, pin != NO_PIN, rows, position, cap[rows]))
        return known

    def codes(self, *, near: bool = False) -> list[I32]:
        """[N] values of each label (no node's own) that a rule about members reads.

        near: only of those of which members may have to share one, node's own ones too.
        """
        names: set[str] = set()
        for number in self.views:
            shape = self.ledger.snapshot.shapes[number]
            rules = shape.rules
            if rules.near is not None and rules.near.mark in self.leaves:
                names.update(rules.near.keys)
            if not near:
                others: tuple[Spread | Apart, ...] = (*rules.spread, *refusals(shape))
                names.update(rule.key for rule in others if rule.mark in self.leaves)
        keys = [self.ledger.marks.key(name) for name in sorted(names)]
        return [key.code for key in keys if near or not key.unique]

    def units(self, m: int) -> list[Unit]:
        """The unit of each of the lowest m members."""
        size = self.size or self.n
        return [Unit(kind, i // size) for i, kind in enumerate(self.kind[:m])]
