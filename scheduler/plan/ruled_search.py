"""Gangs under rules that no closed form covers: candidate domains in turn, member by member.

The same search as for mixed gangs: all members, else the longest prefix; the lowest level, the
tightest domains first; further domains before giving up. Leaving the rules out gives a bound
that proves most refusals; the others are proved by trying everything, as far as the budget goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from scheduler import kernel
from scheduler.kernel_search import Answer
from scheduler.model.arrays import I32, I64
from scheduler.model.filters.spread import Mask
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL
from scheduler.model.plan import Verdict
from scheduler.model.policy import Pack
from scheduler.model.topology import CLUSTER
from scheduler.plan.gang import MIXED, Gang, Outcome, rejected
from scheduler.plan.identical import domains_in_turn, permitted_domains, place_in_view
from scheduler.plan.ledger import Ledger
from scheduler.plan.mixed import place_mixed
from scheduler.plan.ruled import most_by_each_rule
from scheduler.plan.ruled_attempts import DEEPEST, FEW, Deep, Greedy, Placed
from scheduler.plan.ruled_problem import Asked, Table, Unit

VISIT_COST = 100
"""Node visits of the budget that one look at a node costs here, out of compiled code."""

CANDIDATES = 24
"""Domains tried at most on each level, and nodes."""

MOST_ROWS = 4096
"""Of a larger domain only so many nodes are looked at; then nothing is proved."""

TURNS = (0, 1, 2)
"""Orders of `Greedy`."""

LEAST_ROWS = 16
"""...but so many for each kind."""

SHORT = 500
"""Looks at nodes that one of them may cost depth first."""

SIZES = 24
"""Sizes of a partial gang that are tried at most."""


def place_one_by_one(
    ledger: Ledger, gang: Gang, members: I32, want: tuple[int, int], budget: int
) -> Outcome:
    """Places members of `gang` (by index, rising); want: (minimum, near) as in `place_mixed`.

    budget: node visits. The outcome's rows are by rank; some order exists in which each member
    is let in by the rules, given the earlier ones.
    """
    minimum, near = want
    free = _without_rules(ledger, gang, members, want, budget // 4)
    if free.verdict is Verdict.DOES_NOT_FIT:
        return replace(free, searched=True)
    bound = None if gang.shape == MIXED else most_by_each_rule(ledger, gang)
    if bound is not None:
        last = domains_in_turn(ledger.tree.topology, gang, near)[-1]
        permitted = permitted_domains(ledger, gang, last)
        best = int(permitted[np.argmax(bound[permitted])])
        if bound[best] < max(1, minimum):
            return replace(rejected(int(bound[best]), best), searched=True)
    outcome = _Hunt(ledger, gang, members, budget, bound).place(minimum, near)
    return replace(outcome, searched=True)


def _without_rules(
    ledger: Ledger, gang: Gang, members: I32, want: tuple[int, int], budget: int
) -> Outcome:
    """Where they would go if they let each other in everywhere."""
    minimum, near = want
    if gang.shape == MIXED:
        return place_mixed(ledger, gang, members, minimum, near, budget)
    asked = Asked(ledger, gang, members)
    sizes = (members.size, minimum, near)
    return place_in_view(ledger, asked.views[gang.shape], gang, sizes, Pack.LEAF)


class _Hunt:
    """One gang's search."""

    def __init__(
        self, ledger: Ledger, gang: Gang, members: I32, budget: int, bound: I64 | None
    ) -> None:
        """bound: int64[D], no domain holds more members; None = nothing is known."""
        self.ledger, self.gang = ledger, gang
        self.topology = ledger.tree.topology
        self.asked = Asked(ledger, gang, members)
        self.budget = budget // VISIT_COST
        self.bound = bound
        self.total = kernel.roll_up(ledger.tree, self.asked.some)
        self._spent = 0
        self.most = (0, NO_DOMAIN)
        """(members of the longest prefix placed in a permitted domain, that domain)."""
        self._refused: set[tuple[int, int]] = set()
        """(domain, members) of which it is proved that the one does not hold the others."""

    def place(self, minimum: int, near: int) -> Outcome:
        """All members in the nearest domain that holds them, else the longest prefix."""
        n, within = self.asked.n, NO_DOMAIN
        outcome: Outcome | None = None
        turns = domains_in_turn(self.topology, self.gang, near)
        for i, within in enumerate(turns):
            outcome = self._size(n, within, len(turns) - i + (minimum < n))
            if outcome is not None:
                break
        sizes = self._sizes(max(1, minimum))
        for i, m in enumerate(sizes if outcome is None else ()):
            outcome = self._size(m, within, len(sizes) - i)
            if outcome is not None:
                break
        self.ledger.stats.search_visits += self._spent * VISIT_COST
        self.ledger.stats.nodes_scanned += self._spent * VISIT_COST
        if outcome is not None:
            return outcome
        permitted = permitted_domains(self.ledger, self.gang, within)
        all_sizes = {n, *self._steps(max(1, minimum))}
        if self.gang.shape != MIXED and not self.asked.size:
            all_sizes = {max(1, minimum)}  # who leaves out the last one placed has one less
        proved = all((int(d), m) in self._refused for d in permitted for m in all_sizes)
        fit, best = self.most
        if best == NO_DOMAIN and permitted.size:
            best = int(permitted[0])
        fit = min(fit, max(0, minimum - 1))
        return rejected(fit, best, Verdict.DOES_NOT_FIT if proved else Verdict.NOT_FOUND)

    @property
    def _left(self) -> int:
        return max(0, self.budget - self._spent)

    def _steps(self, minimum: int) -> list[int]:
        """Sizes of a partial gang, the largest first: whole segments."""
        step = self.asked.size or 1
        return [m for m in range(0, self.asked.n, step) if m >= minimum][::-1]

    def _sizes(self, minimum: int) -> list[int]:
        """Those that are tried: all, or some spread over them."""
        steps = self._steps(minimum)
        if len(steps) <= SIZES:
            return steps
        return [steps[i * (len(steps) - 1) // (SIZES - 1)] for i in range(SIZES)]

    def _size(self, m: int, within: int, shares: int) -> Outcome | None:
        """The lowest m members inside `within`, for one of `shares` parts of what is left."""
        part = self._left // shares
        units = self.asked.units(m)
        load = np.bincount([u.kind for u in units], minlength=len(self.asked.kinds))
        allowed = permitted_domains(self.ledger, self.gang, within)
        inside = self._inside(allowed)
        greedy = part if m > DEEPEST else part // 2
        enough, levels = self._spent + greedy, len(self.topology.levels) + 2
        for i, level in enumerate(self._candidates(load, inside)):
            # What a level does not need is left for those above it.
            stop = self._spent + max(0, enough - self._spent) // (levels - i)
            for rows in level:
                found = self._greedy(rows, units, stop) or self._try_all(rows, units, stop)
                if found is not None:
                    return found
        stop = self._spent + part // 2
        permitted = allowed[np.argsort(self.total[allowed], kind="stable")]
        for i, d in enumerate(permitted[::-1].tolist()):
            share = (stop - self._spent) // (permitted.size - i)
            found = self._exhaust(int(d), units, self._spent + max(0, share))
            if found is not None:
                return found
        return None

    def _inside(self, allowed: I32) -> Mask:
        """[D] is the domain permitted, or inside a permitted one?"""
        t = self.topology
        inside: Mask = np.zeros(t.domains, bool)
        for d in allowed.tolist():
            inside |= (t.start >= t.start[d]) & (t.end <= t.end[d]) & (t.level >= t.level[d])
        return inside

    def _nodes(self, load: I64, inside: Mask) -> list[int]:
        """Single nodes that might hold all, the tightest first."""
        t = self.topology
        able: I64 = np.zeros(t.nodes, np.int64)
        for kind, members in zip(self.asked.kinds, load.tolist(), strict=True):
            able[kind.rows[kind.cap >= members] if members else t.order] += 1
        rows = np.flatnonzero(inside[t.node_parent] & (able == load.size))
        order = np.lexsort((t.position[rows], self.asked.some[rows]))
        found: list[int] = rows[order][:CANDIDATES].tolist()
        return found

    def _able(self, load: I64) -> Mask:
        """[D] might the domain hold all, each kind alone?"""
        t, known = self.topology, self.asked
        able: Mask = np.ones(t.domains, bool) if self.bound is None else self.bound >= load.sum()
        somewhere: I64 = np.zeros(t.domains, np.int64)
        pinned = 0
        for kind, members in zip(known.kinds, load.tolist(), strict=True):
            if not members:
                continue
            if not kind.pinned:
                able &= known.views[kind.shape].sums >= members
                continue
            above = t.ancestor[:-1, t.node_parent[kind.rows]]
            somewhere[np.unique(above[above >= 0])] += 1
            somewhere[CLUSTER] += kind.rows.size > 0
            pinned += 1
        able &= somewhere == pinned
        return able

    def _candidates(self, load: I64, inside: Mask) -> Iterator[Iterator[I32]]:
        """Rows of what might hold all: nodes, then the lowest level; the tightest of each first."""
        t = self.topology
        yield (np.array([row], np.int32) for row in self._nodes(load, inside))
        able = inside & self._able(load)
        for level in range(len(t.levels) - 1, -2, -1):
            domains = np.flatnonzero(able & (t.level == level))
            order = np.lexsort((t.path_rank[domains], self.total[domains]))
            yield (self._under(d)[0] for d in domains[order][:CANDIDATES].tolist())

    def _under(self, d: int) -> tuple[I32, bool]:
        """(rows under d that can take somebody, whether these are all).

        Of a large domain some for each kind, and of these some of each domain of the rules.
        """
        t, asked = self.topology, self.asked
        rows = t.rows(d)
        rows = rows[asked.some[rows] > 0]
        most = max(MOST_ROWS, 2 * asked.n)
        if rows.size <= most:
            return rows, True
        parts: list[I32] = []
        for kind in asked.kinds:
            low, high = np.searchsorted(kind.position, (t.start[d], t.end[d]))
            parts.append(
                _some_of_each(asked.codes(), kind.rows[low:high], most // len(asked.kinds))
            )
        return t.order[np.unique(t.position[np.concatenate(parts)])], False

    def _greedy(self, rows: I32, units: list[Unit], stop: int) -> Outcome | None:
        """Several orders on `rows`, then in one near domain after the other."""
        parts = [rows]
        near = self.asked.codes(near=True)
        if near and rows.size > 1:
            group = _joint(near, rows)
            parts += [rows[group == g] for g in np.unique(group)[:CANDIDATES].tolist()]
        for part in parts:
            if self._spent >= stop:
                return None
            table = Table(self.asked, part)
            turns: tuple[int, ...] = TURNS if len(units) <= FEW else (1, 0, 2)
            turns = turns if any(c.spread for c in table.checks) else (0,)
            for turn in turns:
                attempt = Greedy(table, table.visits + stop - self._spent, turn)
                done = attempt.run(units)
                if done:
                    self._spent += table.visits
                    return self._outcome(table, attempt.placed, len(units))
                self._note(attempt.placed, units, table)
                attempt.undo()
            self._spent += table.visits
        return None

    def _exhaust(self, d: int, units: list[Unit], stop: int) -> Outcome | None:
        """Everything there is in one permitted domain, until the budget says stop."""
        if (d, len(units)) in self._refused:
            return None
        rows, whole = self._under(d)
        if not whole or self._spent >= stop:
            return None
        answer, found = self._deep(rows, units, stop)
        if answer is Answer.NO:
            self._refused.add((d, len(units)))
        return found

    def _try_all(self, rows: I32, units: list[Unit], stop: int) -> Outcome | None:
        """A short search of a small domain, before a wider one is tried."""
        if rows.size > FEW or len(units) > FEW or self._spent >= stop:
            return None
        return self._deep(rows, units, min(stop, self._spent + SHORT))[1]

    def _deep(self, rows: I32, units: list[Unit], stop: int) -> tuple[Answer, Outcome | None]:
        table = Table(self.asked, rows)
        deep = Deep(table, units, table.visits + stop - self._spent)
        answer = deep.run()
        self._spent += table.visits
        if answer is not Answer.YES:
            return answer, None
        return answer, self._outcome(table, deep.placed, len(units))

    def _note(self, placed: Placed, units: list[Unit], table: Table) -> None:
        """Remembers how many of the lowest ranks an attempt could place."""
        there = Counter(unit for unit, _ in placed)
        prefix = 0
        for unit in units:
            if not there[unit]:
                break
            there[unit] -= 1
            prefix += 1
        if prefix > self.most[0]:
            self.most = (prefix, self._permitted_above(table.rows))

    def _permitted_above(self, rows: I32) -> int:
        common = self.topology.common_domain(rows)
        level = self.gang.required
        return int(self.topology.ancestor[level, common]) if level != NO_LEVEL else CLUSTER

    def _outcome(self, table: Table, placed: Placed, m: int) -> Outcome:
        """Ranks of a unit in tree order; of segments that are alike, too."""
        units = self.asked.units(m)
        at: dict[Unit, list[int]] = {}
        for unit, node in placed:
            at.setdefault(unit, []).append(table.position[node])
        place = _segments_in_order(units, at)
        for positions in at.values():
            positions.sort(reverse=True)
        rows = np.array([at[Unit(u.kind, place[u.segment])].pop() for u in units], np.int32)
        rows = self.topology.order[rows]
        return Outcome(Verdict.FITS, rows, self.topology.common_domain(rows), m, NO_DOMAIN)


def _segments_in_order(units: list[Unit], at: dict[Unit, list[int]]) -> dict[int, int]:
    """segment -> the one whose place it takes: lower segments of a type go further to the left."""
    kinds: dict[int, list[int]] = {}
    first: dict[int, int] = {}
    for unit in units:
        kinds.setdefault(unit.segment, []).append(unit.kind)
        first[unit.segment] = min(first.get(unit.segment, at[unit][0]), *at[unit])
    types: dict[tuple[int, ...], list[int]] = {}
    for segment, of in kinds.items():
        types.setdefault(tuple(sorted(of)), []).append(segment)
    place: dict[int, int] = {}
    for segments in types.values():
        place.update(zip(segments, sorted(segments, key=first.__getitem__), strict=True))
    return place


def _some_of_each(codes: list[I32], rows: I32, most: int) -> I32:
    """At most `most` of `rows` (and LEAST_ROWS at least): some of each combination of codes."""
    most = max(most, LEAST_ROWS)
    if rows.size <= most:
        return rows
    group = _joint(codes, rows)
    order = np.argsort(group, kind="stable")
    turn: I64 = np.empty(rows.size, np.int64)
    turn[order] = np.arange(rows.size) - np.searchsorted(group[order], group[order])
    return rows[np.argsort(turn, kind="stable")[:most]]


def _joint(codes: list[I32], rows: I32) -> I64:
    """One number per combination of codes at `rows`."""
    joint: I64 = np.zeros(rows.size, np.int64)
    for code in codes:
        joint = joint * (int(code.max(initial=-1)) + 2) + code[rows] + 1
        joint = np.unique(joint, return_inverse=True)[1]
    return joint
