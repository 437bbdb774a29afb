"""Gangs whose members differ: the same domain search as for identical ones, by trial.

1. m = all members if a permitted domain holds them, else the longest prefix that one holds.
2. The lowest level at which a domain (or a node) inside a permitted one holds the m members.
3. The tightest of those: least cap(d), then its parent's, and so on; then the name path.
   cap(d) = sum over the gang's shapes of the members of that shape alone that fit under d.
4. Few children at each level on the way down; 5. ranks of a kind in tree order: mixed_share.py.

Sums rule most domains out (and prove it); the others are tried greedily, then depth first, on a
budget of node visits. A domain whose answer was not found is passed over; only if nothing was
found in the end and some answer is missing, the verdict is "not found".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.kernel_search import Answer, Gift
from scheduler.model.arrays import I32, I64
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL
from scheduler.model.plan import Verdict
from scheduler.model.policy import SEARCH_BUDGET, Pack
from scheduler.model.topology import CLUSTER
from scheduler.plan.gang import Gang, Outcome, rejected
from scheduler.plan.identical import domains_in_turn, topmost_in_turn
from scheduler.plan.ledger import Ledger
from scheduler.plan.mixed_problem import Problem, bounds_of_domains, build_problem
from scheduler.plan.mixed_search import Budget, Search
from scheduler.plan.mixed_segments import Parts, Segments
from scheduler.plan.mixed_share import Placed, Share, nodes_that_hold

Mask = npt.NDArray[np.bool_]


def place_mixed(
    ledger: Ledger,
    gang: Gang,
    members: I32,
    minimum: int,
    near: int = NO_DOMAIN,
    budget: int = SEARCH_BUDGET,
    pack: Pack = Pack.LEAF,
) -> Outcome:
    """Places the members of `gang` named by index, rising, at least `minimum` of the lowest.

    near: domain to try before the gang's home, or -1. budget: node visits (greedy orders and
    depth-first vectors; the sums are not counted). rows of the outcome: one per placed member,
    in the order of `members`. Takes nothing from the ledger.
    """
    if members.size == 0:
        return rejected(0, NO_DOMAIN)
    outcome = _MixedGang(ledger, gang, members, budget).place(minimum, near, pack)
    return replace(outcome, searched=True)


@dataclass(frozen=True, eq=False, slots=True)
class _Place:
    """Where m members go: what a step 2 candidate holds, and how."""

    domain: int
    node: int
    """Tree position of the one node that holds them all, or -1."""
    witness: Gift | Parts | None


class _MixedGang:
    """One search. Prefixes are counted in steps: members, or whole segments and the short one."""

    def __init__(self, ledger: Ledger, gang: Gang, members: I32, budget: int) -> None:
        self.ledger, self.gang = ledger, gang
        self.topology = ledger.tree.topology
        self.problem: Problem = build_problem(ledger, gang, members)
        self.budget = Budget(budget)
        self.search = Search(self.problem, self.budget)
        self.segments = Segments(self.problem, self.search) if gang.segment_size else None
        self.most = bounds_of_domains(ledger, self.problem)
        self.step = gang.segment_size or 1
        self.steps = -(-self.problem.n // self.step)
        self._answers: dict[tuple[int, int], tuple[Answer, Gift | Parts | None]] = {}

    def place(self, minimum: int, near: int, pack: Pack) -> Outcome:
        """Steps 1 to 5."""
        n = self.problem.n
        permitted: list[int] = []
        inside: Mask = np.zeros(self.topology.domains, bool)
        place, m, within = None, n, NO_DOMAIN
        for within in domains_in_turn(self.topology, self.gang, near):
            permitted, inside = self._permitted(within)
            place = self._lowest(n, permitted, inside)
            if place is not None:
                break
        least = max(1, -(-min(minimum, n) // self.step))
        best = permitted[0] if permitted else NO_DOMAIN
        if place is None:
            m, best = self._longest(permitted, serious=least < self.steps)
            if m >= least * self.step and m >= minimum:
                place = self._lowest(m, permitted, inside)
        if place is not None and place.node < 0 and pack is Pack.SPINE:
            place = self._spine_first(m, permitted, inside, within) or place
        proved = place is not None or self._proved(permitted, self._prefix(least))
        outcome = (
            rejected(m, best, Verdict.DOES_NOT_FIT if proved else Verdict.NOT_FOUND)
            if place is None
            else self._outcome(place, m)
        )
        self.ledger.stats.search_visits += self.budget.spent
        self.ledger.stats.nodes_scanned += self.budget.spent
        return outcome

    def _permitted(self, within: int) -> tuple[list[int], Mask]:
        """(permitted domains in path order, [D] is the domain one or inside one)."""
        t, required = self.topology, self.gang.required
        inside: Mask = np.ones(t.domains, bool)
        if within != NO_DOMAIN:
            inside &= (t.start >= t.start[within]) & (t.end <= t.end[within])
            inside &= t.path_rank >= t.path_rank[within]  # an only child is as wide as its parent
        if required != NO_LEVEL:
            inside &= t.ancestor[required] >= 0
        if within != NO_DOMAIN:
            domains = np.array([within])
        elif required != NO_LEVEL:
            domains = t.by_level[required]
        else:
            domains = np.array([CLUSTER])
        return domains[inside[domains]].tolist(), inside

    def _prefix(self, steps: int) -> int:
        """Members of the first `steps` segments (or members)."""
        return min(steps * self.step, self.problem.n)

    def _longest(self, permitted: list[int], *, serious: bool) -> tuple[int, int]:
        """Step 1 once the whole is known not to fit: (longest prefix that one holds, where).

        serious: the answer may be placed; else it only explains a rejection, and a quick lower
        bound will do.
        """
        t, tightness = self.topology, self.problem.tightness
        order = sorted(
            permitted,
            key=lambda d: (-int(self.most[d]), -int(tightness[d]), int(t.path_rank[d])),
        )
        best, where = 0, order[0] if order else NO_DOMAIN
        for d in order:
            high = min(int(self.most[d]) // self.step, self.steps - 1)
            if high <= best:
                continue
            asked = best + 1 if best else high
            low = best
            while low < high:
                if self._holds(d, self._prefix(asked), len(order) if serious else 0):
                    low = asked
                else:
                    high = asked - 1
                asked = (low + high + 1) // 2
            if low > best:
                best, where = low, d
        return self._prefix(best), where

    def _proved(self, permitted: list[int], m: int) -> bool:
        """Is it certain that no permitted domain holds m members?"""
        refused = {
            x for (x, asked), (answer, _) in self._answers.items()
            if asked <= m and answer is Answer.NO
        }  # fmt: skip
        for d in permitted:
            if d not in refused:
                self._holds(d, m, len(permitted))
                if self._answers.get((d, m), (Answer.NO, None))[0] is not Answer.NO:
                    return False
        return True

    def _lowest(self, m: int, permitted: list[int], inside: Mask) -> _Place | None:
        """Steps 2 and 3: the lowest, tightest domain inside a permitted one that holds m."""
        t, asked = self.topology, set(permitted)
        able = inside & (self.most >= m)
        if self.segments is not None:
            # Below the segment level only what is in a segment domain may be used.
            low = t.level >= self.gang.segment_level
            able &= ~low | (t.ancestor[self.gang.segment_level] >= 0)
        if not able.any():
            return None
        node = self._one_node(m, able & inside)
        if node is not None:
            return node
        for level in range(len(t.levels) - 1, -2, -1):
            domains = self._tightest_first(np.flatnonzero(able & (t.level == level)))
            for i, d in enumerate(domains):
                if self._holds(d, m, len(domains) - i, permitted=d in asked):
                    return _Place(d, -1, self._answers[d, m][1])
        return None

    def _spine_first(
        self, m: int, permitted: list[int], inside: Mask, within: int
    ) -> _Place | None:
        """Steps 2 and 3 in the tightest domain of the topmost level that is found to hold m."""
        t = self.topology
        for top in topmost_in_turn(t, self.problem.tightness, within):
            place = self._lowest(m, permitted, inside & (t.ancestor[0] == top))
            if place is not None:
                return place
        return None

    def _one_node(self, m: int, able: Mask) -> _Place | None:
        t, p = self.topology, self.problem
        parent = t.node_parent[t.order[p.useful]]
        fine = able[parent]
        if self.segments is not None:
            fine &= t.ancestor[self.gang.segment_level][parent] >= 0
        nodes = nodes_that_hold(p, p.useful[fine], p.load(m))
        if nodes.size == 0:
            return None
        parent = t.node_parent[t.order[nodes]]
        off = self._off(parent, node=True)
        chain = self._chain(parent)
        keys: list[npt.NDArray[Any]] = [nodes, *chain[::-1], p.node_tightness[nodes], off]
        first = int(np.lexsort(keys)[0])
        return _Place(int(parent[first]), int(nodes[first]), None)

    def _tightest_first(self, domains: npt.NDArray[np.int64]) -> list[int]:
        ranks = self.topology.path_rank[domains]
        off = self._off(domains, node=False)
        keys: list[npt.NDArray[Any]] = [ranks, *self._chain(domains)[::-1], off]
        order = np.lexsort(keys)
        return [int(d) for d in domains[order]]

    def _chain(self, domains: npt.NDArray[np.integer]) -> list[I64]:
        """cap(d) of each, of its parent, ...; -1 beyond the root."""
        chain: list[I64] = []
        at = domains
        while (at >= 0).any():
            chain.append(np.where(at >= 0, self.problem.tightness[at], -1))
            at = np.where(at >= 0, self.topology.parent[at], -1)
        return chain

    def _off(self, domains: npt.NDArray[np.integer], *, node: bool) -> Mask:
        """Is it under the preferred level without a domain there? Last choice, first of singles."""
        preferred = self.gang.preferred
        off: Mask = np.zeros(domains.shape[0], bool)
        if preferred != NO_LEVEL:
            off = self.topology.ancestor[preferred][domains] < 0
            if not node:
                off &= self.topology.level[domains] > preferred
        return np.not_equal(off, self.gang.single)

    def _holds(self, d: int, m: int, candidates: int, *, permitted: bool = True) -> bool:
        """Does domain d hold the first m members? 0 candidates: ask greedily only."""
        key = (d, m)
        known = self._answers.get(key)
        if known is None or (known[0] is Answer.UNKNOWN and candidates):
            deep = (
                self.budget.allowance(permitted=permitted, candidates=candidates)
                if candidates
                else 0
            )
            known = self._answers[key] = self._ask(d, m, deep)
        return known[0] is Answer.YES

    def _ask(self, d: int, m: int, deep: int) -> tuple[Answer, Gift | Parts | None]:
        t, level = self.topology, self.gang.segment_level
        if self.most[d] < m:
            return Answer.NO, None
        if self.segments is None or t.level[d] >= level:
            if self.segments is not None and t.ancestor[level, d] < 0:
                return Answer.NO, None
            return self.search.hold(self.problem.under(d), self.problem.load(m), deep)
        return self.segments.hold(d, self.segments.load(m), deep)

    def _outcome(self, place: _Place, m: int) -> Outcome:
        """Steps 4 and 5."""
        p = self.problem
        share = Share(p, self.search, self.segments)
        if place.node >= 0:
            gift, _ = self.search.greedy(np.array([place.node], np.int32), p.load(m))
            placed = [Placed(gift, None)]
        elif isinstance(place.witness, Gift):
            placed = [Placed(share.members([place.domain], p.load(m), place.witness), None)]
        else:
            assert self.segments is not None
            assert place.witness is not None
            placed = share.whole([place.domain], self.segments.load(m), place.witness)
        position = self._by_rank(placed, m)
        rows = self.topology.order[position]
        return Outcome(Verdict.FITS, rows, self.topology.common_domain(rows), m, place.domain)

    def _by_rank(self, placed: Sequence[Placed], m: int) -> I32:
        """[m] tree position of each member: ranks of a kind (and of a segment type) rise."""
        p = self.problem
        position = [np.repeat(p.position_of(x.gift), x.gift.count) for x in placed]
        kinds = [np.repeat(p.nodes.kind[x.gift.option], x.gift.count) for x in placed]
        # Segment domains in tree order; the members of a gang without segments are one group.
        order = sorted(range(len(placed)), key=lambda i: int(position[i].min()))
        group_of_member: I64 = np.zeros(m, np.int64)
        if self.segments is not None and placed[0].segments is not None:
            group = self._group_of_segment([placed[i] for i in order], m)
            group_of_member = np.repeat(group, self.step)[:m]
        flat = np.concatenate([position[i] for i in order])
        kind = np.concatenate([kinds[i] for i in order])
        group_of_place = np.repeat(np.arange(len(order)), [position[i].size for i in order])
        places = np.lexsort((flat, kind, group_of_place))
        members = np.lexsort((np.arange(m), p.kind[:m], group_of_member))
        rows: I32 = np.empty(m, np.int32)
        rows[members] = flat[places]
        return rows

    def _group_of_segment(self, placed: list[Placed], m: int) -> I64:
        """[segments] index into `placed`: lower segments of a type go to earlier domains."""
        assert self.segments is not None
        of = self.segments.of[: -(-m // self.step)]
        group = np.zeros(of.shape[0], np.int64)
        loads = np.array([x.segments for x in placed], np.int64)
        for t in range(loads.shape[1]):
            group[of == t] = np.repeat(np.arange(len(placed)), loads[:, t])
        return group
