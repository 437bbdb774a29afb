"""Puts the members of one question on its nodes: greedily in several orders, or exhaustively.

A greedy attempt places what it can of each unit, and comes back to the others as long as that
has changed anything: pods may let each other in. Depth first tries every order that matters:
states that were left without success are known by what stands where, nodes alike not told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from scheduler.kernel_search import Answer
from scheduler.model.arrays import I64
from scheduler.plan.ruled_problem import Table, Unit

FEW = 32
"""Members that are placed one by one, each where it is best then."""

DEEPEST = 200
"""Members of which depth first is tried at most (it calls itself for each)."""

GROUPS_A_VISIT = 128
"""Groups of nodes that can be compared for the price of one look at a node."""

PLACED_A_VISIT = 4
"""Members on nodes that can be compared with earlier states for that price."""

Placed = list[tuple[Unit, int]]
"""(unit, node) of each member placed, in an order in which the rules let them in."""


class Greedy:
    """One attempt on a table; what it placed stays there until `undo`."""

    def __init__(self, table: Table, limit: int, turn: int) -> None:
        """turn: 0 fills nodes as they come; 1 the domains with fewest pods first; 2 the fullest.
        limit: of table.visits.
        """
        self.table, self.limit, self.turn = table, limit, turn
        self.placed: Placed = []
        self.many = False
        self._live: dict[tuple[int, int], _Groups] = {}
        """By kind and segment domain (-1 = anywhere)."""

    def run(self, units: list[Unit]) -> bool:
        """Places all of `units`; False if some are left over (or the limit was reached)."""
        left = Counter(units)
        self.many = len(units) > FEW
        parts: dict[int, list[Unit]] = {}
        for unit in left:
            parts.setdefault(unit.segment, []).append(unit)
        waiting = list(parts.values())
        while waiting:
            later = [part for part in waiting if not self._part(part, left)]
            if len(later) == len(waiting):
                return False
            waiting = later
        return True

    def undo(self, count: int = 0) -> None:
        """Takes back all but the first `count` members."""
        while len(self.placed) > count:
            unit, node = self.placed.pop()
            self.table.take_back(unit.kind, node)
            self._live.clear()

    def _part(self, part: list[Unit], left: Counter[Unit]) -> bool:
        """Places one segment in the first segment domain that takes it."""
        before = len(self.placed)
        for domain in self._domains(part):
            if self._fill(part, left, domain):
                return True
            if domain >= 0:  # without segments, what was placed says how many fit
                self.undo(before)
        return False

    def _domains(self, part: list[Unit]) -> list[int]:
        table = self.table
        if not table.segments:
            return [-1]
        return list(dict.fromkeys(table.segment[i] for i in table.may[part[0].kind]))

    def _fill(self, part: list[Unit], left: Counter[Unit], domain: int) -> bool:
        counts = [left[unit] for unit in part]
        moved = True
        while moved and any(counts):
            moved = False
            for i, unit in enumerate(part):
                while counts[i]:
                    placed = self._round(unit, domain, counts[i])
                    if not placed:
                        break
                    counts[i] -= placed
                    moved = True
        return not any(counts)

    def _round(self, unit: Unit, domain: int, most: int) -> int:
        """Goes once over the groups of nodes, in this attempt's order; returns members placed.

        A few members are placed one by one, and the order is asked for anew each time.
        """
        table, kind, placed = self.table, unit.kind, 0
        groups = self._live.get((kind, domain))
        if groups is None:
            groups = self._live[kind, domain] = _Groups(table, kind, domain)
        table.visits += len(groups.nodes) // GROUPS_A_VISIT
        for g in groups.in_turn(self.turn):
            while placed < most and groups.lets_in(g):
                node = self._first(kind, groups.nodes[g])
                if node is None:
                    break
                table.put(kind, node)
                self.placed.append((unit, node))
                placed += 1
                if not self.many:
                    return placed
                if self.turn == 1:
                    break  # the next one goes to the next group
            nodes = groups.nodes[g]
            groups.first[g] = nodes[0] if nodes else -1
        return placed

    def _first(self, kind: int, nodes: list[int]) -> int | None:
        """The first of `nodes` that takes one of `kind` now; those that never will are dropped."""
        table, i = self.table, 0
        while i < len(nodes) and table.visits <= self.limit:
            node = nodes[i]
            if not table.fits(kind, node) or table.parted(kind, node):
                nodes.pop(i)
            elif table.allows(kind, node):
                return node
            else:
                i += 1
        return None


class _Groups:
    """Nodes that one kind may use, by the domains of its spreads: these ask once a group."""

    __slots__ = ("_spread", "_value", "_values", "first", "nodes")

    def __init__(self, table: Table, kind: int, domain: int) -> None:
        """domain: a segment domain, or -1 = anywhere."""
        self._spread = table.checks[kind].spread
        found: dict[tuple[int, ...], list[int]] = {}
        for i in table.may[kind]:
            if domain < 0 or table.segment[i] == domain:
                found.setdefault(tuple(c.counter.value[i] for c in self._spread), []).append(i)
        self.nodes = list(found.values())
        self._values = list(found)
        self._value = np.array(list(found), np.int64).reshape(len(found), len(self._spread)).T
        """[spreads, groups]"""
        self.first: I64 = np.array([nodes[0] for nodes in self.nodes], np.int64)
        """[groups] first node that is left, or -1."""

    def lets_in(self, g: int) -> bool:
        """Do the spreads let one more into a group now?"""
        return all(
            check.counter.counts[value] <= check.top
            for check, value in zip(self._spread, self._values[g], strict=True)
        )

    def in_turn(self, turn: int) -> list[int]:
        """Groups that the spreads let in now, in the order of `Greedy`."""
        able = self.first >= 0
        pods: I64 = np.zeros(len(self.nodes), np.int64)
        for check, value in zip(self._spread, self._value, strict=True):
            here = np.array(check.counter.counts, np.int64)[value]
            able &= here <= check.top
            pods += here
        groups = np.flatnonzero(able)
        key = (self.first, pods, -pods)[turn][groups]
        ordered: list[int] = groups[np.argsort(key, kind="stable")].tolist()
        return ordered


class Deep:
    """All assignments and orders, depth first."""

    def __init__(self, table: Table, units: list[Unit], limit: int) -> None:
        """Nothing is placed yet. limit: of table.visits."""
        self.table, self.limit = table, limit
        self.left = Counter(units)
        self.units = sorted(self.left, key=lambda u: (u.segment, len(table.may[u.kind]), u.kind))
        self.alike = table.alike()
        self.placed: Placed = []
        self._here: list[list[Unit]] = [[] for _ in table.rows]
        self._at: dict[int, list[int]] = {}
        """Segment -> segment domain of each member placed."""
        self._dead: set[object] = set()
        self._fixed = table.any_order
        kinds: dict[int, list[tuple[int, int]]] = {}
        for unit in self.units:
            kinds.setdefault(unit.segment, []).append((unit.kind, self.left[unit]))
        self._type = {segment: tuple(of) for segment, of in kinds.items()}

    def run(self) -> Answer:
        """YES (then `placed` says how), NO (proved), or UNKNOWN: out of budget."""
        if self.left.total() > DEEPEST:
            return Answer.UNKNOWN
        return self._deeper()

    def _deeper(self) -> Answer:
        if not self.left.total():
            return Answer.YES
        self.table.visits += 1 + len(self.placed) // PLACED_A_VISIT
        known = self._state()
        if known in self._dead:
            return Answer.NO
        moves = self._moves()
        if moves is None:
            return Answer.UNKNOWN
        for unit, node in moves:
            self._put(unit, node)
            answer = self._deeper()
            if answer is not Answer.NO:
                return answer
            self._take_back(unit, node)
        self._dead.add(known)
        return Answer.NO

    def _state(self) -> object:
        """Equal for states from which the same can be reached."""
        if not self.table.segments:
            return frozenset(
                Counter(
                    (self.alike[i], tuple(sorted(u.kind for u in units)))
                    for i, units in enumerate(self._here) if units
                ).items()
            )  # fmt: skip
        parts: dict[int, Counter[tuple[int, int]]] = {segment: Counter() for segment in self._type}
        for unit, node in self.placed:
            parts[unit.segment][unit.kind, node] += 1
        return frozenset(
            Counter((self._type[s], frozenset(part.items())) for s, part in parts.items()).items()
        )

    def _moves(self) -> list[tuple[Unit, int]] | None:
        """What may be placed next, the emptiest domains first; None = out of budget."""
        table, moves = self.table, []
        begun: set[object] = set()
        for unit in self._turns():
            if not self._at.get(unit.segment) and table.segments:
                # Segments that are alike and empty are one.
                sign = (unit.kind, self._type[unit.segment])
                if sign in begun:
                    continue
                begun.add(sign)
            hope, seen = False, set[object]()
            for node in self._nodes(unit):
                if table.visits > self.limit:
                    return None
                if not table.fits(unit.kind, node) or table.parted(unit.kind, node):
                    continue
                hope = True
                here = (
                    self.alike[node],
                    tuple(sorted((u.kind, u.segment) for u in self._here[node])),
                )
                if here not in seen and table.allows(unit.kind, node):
                    seen.add(here)
                    moves.append((table.evenness(unit.kind, node), unit, node))
            if not hope:
                return []
        moves.sort(key=lambda move: move[0])
        return [(unit, node) for _, unit, node in moves]

    def _turns(self) -> Iterator[Unit]:
        for unit in self.units:
            if self.left[unit]:
                yield unit
                if self._fixed:
                    return

    def _nodes(self, unit: Unit) -> list[int]:
        at = self._at.get(unit.segment)
        nodes = self.table.may[unit.kind]
        if not self.table.segments or not at:
            return nodes
        return [i for i in nodes if self.table.segment[i] == at[-1]]

    def _put(self, unit: Unit, node: int) -> None:
        self.table.put(unit.kind, node)
        self.left[unit] -= 1
        self.placed.append((unit, node))
        self._here[node].append(unit)
        self._at.setdefault(unit.segment, []).append(self.table.segment[node])

    def _take_back(self, unit: Unit, node: int) -> None:
        self.table.take_back(unit.kind, node)
        self.left[unit] += 1
        self.placed.pop()
        self._here[node].remove(unit)
        self._at[unit.segment].pop()
