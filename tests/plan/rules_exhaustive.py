"""Where a gang may go under rules between pods, by trying every assignment in every order.

Feasible = an assignment and an order exist in which each member passes every filter given the
earlier ones. Shares no code with the planner: filters are asked through their plain twins, and
through `Opened`, which says the same for all nodes at once (tested against the twins).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from scheduler.model.filters import resources, slots
from scheduler.model.filters.reference import NodeFacts, first_reason
from scheduler.model.filters.rule_reference import (
    PlacedPod,
    affinity_code,
    counts_for,
    spread_code,
)
from scheduler.model.pod_rules import PodRules
from scheduler.model.shape import Shape
from scheduler.model.tokens import clash
from tests.plan.rule_cases import GPU_TAINT, Case, Node, Pod, marks_left, rules_of, shape_of

NODE = 2
"""The level of nodes, below spine (0) and leaf (1)."""

Placed = tuple[tuple[int, int], ...]
"""(kind, node) of each member that is placed, in any order or sorted."""


def facts_of(node: Node) -> NodeFacts:
    """What the static filters look at."""
    return NodeFacts(
        node.name,
        node.cordoned,
        (GPU_TAINT,) if node.tainted else (),
        node.labels,
        frozenset(node.taken),
    )


class Truth:
    """What enumeration says about a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        rules = rules_of(case)
        self.shapes: list[Shape] = list(map(shape_of, case.kinds, rules))
        self.facts = [facts_of(node) for node in case.nodes]
        at = {node.name: facts for node, facts in zip(case.nodes, self.facts, strict=True)}
        self.there = [PlacedPod(at[pod.node], _marks(pod)) for pod in case.pods]
        self.marks = [marks_left(kind.app, kind.apart) for kind in case.kinds]
        self.opened = [Opened(self, k) for k in range(len(case.kinds))]
        self._open: dict[tuple[Placed, int], tuple[int, ...]] = {}

    # --- filters -----------------------------------------------------------------------------

    def passes(self, placed: Sequence[tuple[int, int]], kind: int, node: int) -> bool:
        """Do all filters let one more member of `kind` on `node`? By the twins, one by one."""
        shape, case = self.shapes[kind], self.case
        here = [self.shapes[k] for k, i in placed if i == node]
        pods = [*self.there, *(PlacedPod(self.facts[i], self.marks[k]) for k, i in placed)]
        left = [
            free - sum(each.requests[r] for each in here)
            for r, free in enumerate(case.nodes[node].free)
        ]
        return (
            not first_reason(shape, self.facts[node])
            and not any(clash(t, u) for each in here for t in each.tokens for u in shape.tokens)
            and resources.fits(left, shape.requests)
            and slots.fits(case.nodes[node].slots - len(here))
            and not spread_code(shape, self.facts[node], self.facts, pods)
            and not affinity_code(shape, self.facts[node], pods)
        )

    def open(self, placed: Placed, kind: int) -> tuple[int, ...]:
        """Nodes that take one more member of `kind`; placed is sorted."""
        key = placed, kind
        if key not in self._open:
            self._open[key] = tuple(self.opened[kind].nodes(placed))
        return self._open[key]

    # --- search ------------------------------------------------------------------------------

    def permitted(self) -> list[frozenset[int]]:
        """Nodes of each domain that the whole gang may be in."""
        if self.case.required < 0:
            return [frozenset(range(len(self.case.nodes)))]
        found: dict[tuple[str | None, ...], set[int]] = {}
        for i, node in enumerate(self.case.nodes):
            path = domain_of(node, self.case.required)
            if path is not None:
                found.setdefault(path, set()).add(i)
        return [frozenset(found[path]) for path in sorted(found, key=str)]

    def holds(self, m: int) -> bool:
        """Can the first m members go somewhere, in some order?"""
        return any(self._place(m, nodes) for nodes in self.permitted())

    def sizes(self) -> list[int]:
        """Every number of members that may be placed: whole segments, or all."""
        n, step = len(self.case.member), self.case.size or 1
        return [m for m in range(1, n + 1) if (m == n or m % step == 0) and m >= self.case.minimum]

    def _place(self, m: int, nodes: frozenset[int]) -> bool:
        """Depth first over sets of members that are placed; a set is looked at once."""
        size = self.case.size or m
        wanted = Counter((self.case.member[j], j // size) for j in range(m))
        if not self._enough(Counter(self.case.member[:m]), nodes):
            return False
        seen: set[tuple[tuple[int, int, int], ...]] = set()

        def go(state: tuple[tuple[int, int, int], ...]) -> bool:
            if len(state) == m:
                return True
            if state in seen:
                return False
            seen.add(state)
            placed = tuple(sorted((k, i) for k, _, i in state))
            have = Counter((k, s) for k, s, _ in state)
            for (kind, segment), count in wanted.items():
                if have[kind, segment] == count:
                    continue
                for node in self.open(placed, kind):
                    inside = node in nodes and self._together(state, segment, node)
                    if inside and go(tuple(sorted((*state, (kind, segment, node))))):
                        return True
            return False

        return go(())

    def _enough(self, wanted: Counter[int], nodes: frozenset[int]) -> bool:
        """No rule makes room: what does not fit on nodes that are empty of members never does."""
        for kind, count in wanted.items():
            room = sum(self.opened[kind].most[i] for i in nodes)
            if room < count:
                return False
        return sum(max(0, self.case.nodes[i].slots) for i in nodes) >= wanted.total()

    def _together(self, state: Sequence[tuple[int, int, int]], segment: int, node: int) -> bool:
        """Is `node` in the domain of the segment, which any of its members has fixed?"""
        if not self.case.size:
            return True
        level = self.case.segment_level
        here = domain_of(self.case.nodes[node], level)
        if here is None:
            return False
        return all(
            domain_of(self.case.nodes[i], level) == here for _, s, i in state if s == segment
        )

    def lowest(self, m: int) -> int:
        """The lowest level at which a domain holds the first m members (see `level_of`)."""
        every = range(len(self.case.nodes))
        for level in (NODE, 1, 0):
            domains: dict[object, set[int]] = {}
            for i in every:
                domain = i if level == NODE else domain_of(self.case.nodes[i], level)
                if domain is not None:
                    domains.setdefault(domain, set()).add(i)
            parts = (p & nodes for p in self.permitted() for nodes in domains.values())
            if any(part and self._place(m, part) for part in parts):
                return level
        return -1

    def level_of(self, nodes: Sequence[int]) -> int:
        """Of the lowest domain above all nodes: NODE, 1 leaf, 0 spine, -1 the cluster."""
        if len(set(nodes)) == 1:
            return NODE
        for level in (1, 0):
            domains = {domain_of(self.case.nodes[i], level) for i in nodes}
            if len(domains) == 1 and None not in domains:
                return level
        return -1

    # --- a placement that the planner made ---------------------------------------------------

    def faults(self, nodes: Sequence[int | None]) -> list[str]:
        """What is wrong with member j on nodes[j], whatever the order, rules between pods aside.

        None: the member was not placed (beside others whose room was held).
        """
        case, found = self.case, []
        if not any({i for i in nodes if i is not None} <= each for each in self.permitted()):
            found.append("outside the permitted domains")
        for j in range(0, len(nodes), case.size or len(nodes)):
            if case.size:
                part = [i for i in nodes[j : j + case.size] if i is not None]
                where = {domain_of(case.nodes[i], case.segment_level) for i in part}
                if len(where) > 1 or None in where:
                    found.append(f"the segment at {j} is in {where}")
        return found

    def refused_at(self, nodes: Sequence[int | None], order: Sequence[int]) -> int | None:
        """The first member in `order` that a filter refuses, given the earlier ones; or None."""
        placed: list[tuple[int, int]] = []
        for j in order:
            kind, node = self.case.member[j], nodes[j]
            if node is None:
                continue
            if not self.passes(placed, kind, node):
                return j
            placed.append((kind, node))
        return None

    def valid_in_some_order(self, nodes: Sequence[int | None]) -> bool:
        """Is there an order in which no filter refuses a member?"""
        wanted = Counter(
            (kind, node)
            for kind, node in zip(self.case.member, nodes, strict=False)
            if node is not None
        )
        seen: set[tuple[tuple[int, int], ...]] = set()

        def go(placed: tuple[tuple[int, int], ...]) -> bool:
            if placed in seen or len(placed) == wanted.total():
                return placed not in seen
            seen.add(placed)
            return any(
                self.passes(placed, *each) and go(tuple(sorted((*placed, each))))
                for each in wanted - Counter(placed)
            )

        return go(())

    def holds_by_rank(self, m: int) -> bool:
        """Can the first m members go somewhere if they come in the order of their ranks?"""
        size = self.case.size or m
        tried: set[tuple[tuple[int, int, int], ...]] = set()

        def go(state: tuple[tuple[int, int, int], ...], nodes: frozenset[int]) -> bool:
            j = len(state)
            if j == m:
                return True
            if state in tried:
                return False
            tried.add(state)
            kind = self.case.member[j]
            placed = tuple(sorted((k, i) for k, _, i in state))
            return any(
                go(tuple(sorted((*state, (kind, j // size, node)))), nodes)
                for node in self.open(placed, kind)
                if node in nodes and self._together(state, j // size, node)
            )

        for nodes in self.permitted():
            tried.clear()
            if go((), nodes):
                return True
        return False


class Opened:
    """All nodes at once for one kind: the same as the twins, from counts."""

    def __init__(self, truth: Truth, kind: int) -> None:
        case, shape, facts = truth.case, truth.shapes[kind], truth.facts
        self.shape, self.shapes, self.nodes_of = shape, truth.shapes, case.nodes
        self.marks = truth.marks
        may = [not first_reason(shape, each) for each in facts]
        self.most = [self._alone(n) if ok else 0 for n, ok in zip(case.nodes, may, strict=True)]
        rules: PodRules = shape.rules
        row = {id(each): i for i, each in enumerate(facts)}
        there = [(row[id(pod.node)], pod.marks) for pod in truth.there]
        self.even = []
        for rule in rules.spread:
            value = [each.labels.get(rule.key) for each in facts]
            counted = [
                v if counts_for(shape, rule, each) else None
                for v, each in zip(value, facts, strict=True)
            ]
            self.even.append((rule, value, counted, _per_domain(rule.mark, counted, there)))
        near = rules.near
        self.near = [
            (value, _per_domain(near.mark, value, there))
            for key in (near.keys if near else ())
            for value in [[each.labels.get(key) for each in facts]]
            if near
        ]
        self.apart = [
            (each.mark, value, _per_domain(each.mark, value, there))
            for each in (*rules.apart, *rules.repelled)
            for value in [[f.labels.get(each.key) for f in facts]]
        ]

    def _alone(self, node: Node) -> int:
        """Members that an otherwise untouched node takes, rules between pods aside."""
        fits = [
            node.slots,
            *(f // q for f, q in zip(node.free, self.shape.requests, strict=True) if q),
        ]
        return max(0, min(fits + [1] * bool(self.shape.tokens)))

    def nodes(self, placed: Placed) -> Iterator[int]:
        """Nodes that take one more member beside those placed."""
        can = [i for i in range(len(self.most)) if self.has_room(i, placed)]
        for rule, value, counted, base in self.even:
            match = self._added(rule.mark, counted, base, placed)
            least = min(match.values()) if match and len(match) >= rule.min_domains else 0
            top = rule.max_skew + least - rule.own
            can = [i for i in can if value[i] is not None and match.get(value[i] or "", 0) <= top]
        if self.near and self.shape.rules.near is not None:
            near = self.shape.rules.near
            there = [self._added(near.mark, v, base, placed) for v, base in self.near]
            first = near.own and not any(any(match.values()) for match in there)
            for (value, _), match in zip(self.near, there, strict=True):
                can = [i for i in can if value[i] is not None and (first or match[value[i] or ""])]
        for mark, value, base in self.apart:
            match = self._added(mark, value, base, placed)
            can = [i for i in can if value[i] is None or not match[value[i] or ""]]
        yield from can

    def has_room(self, node: int, placed: Placed) -> bool:
        """Whether one more member fits on a node, rules between pods aside."""
        if not self.most[node]:
            return False
        here = [self.shapes[k] for k, i in placed if i == node]
        if not here:
            return True
        free = self.nodes_of[node].free
        for r, asked in enumerate(self.shape.requests):
            if asked and asked + sum(each.requests[r] for each in here) > free[r]:
                return False
        if len(here) >= self.nodes_of[node].slots:
            return False
        wanted = self.shape.tokens
        return not any(clash(t, u) for each in here for t in each.tokens for u in wanted)

    def _added(
        self, mark: str, value: Sequence[str | None], base: dict[str, int], placed: Placed
    ) -> dict[str, int]:
        match = base
        for kind, node in placed:
            where = value[node]
            if where is not None and mark in self.marks[kind]:
                if match is base:
                    match = dict(base)
                match[where] += 1
        return match


def _per_domain(
    mark: str, value: Sequence[str | None], there: Sequence[tuple[int, frozenset[str]]]
) -> dict[str, int]:
    """Pods of `mark` per domain, every domain that a node is in."""
    match = {each: 0 for each in value if each is not None}
    for node, marks in there:
        where = value[node]
        if where is not None and mark in marks:
            match[where] += 1
    return match


def _marks(pod: Pod) -> frozenset[str]:
    return marks_left(pod.app, pod.apart, leaving=pod.leaving)


def domain_of(node: Node, level: int) -> tuple[str | None, ...] | None:
    """The domain of `level` (0 spine, 1 leaf) that a node is in; None if it has no label there."""
    path = (node.spine, node.leaf)[: level + 1]
    return None if path[-1] is None else path
