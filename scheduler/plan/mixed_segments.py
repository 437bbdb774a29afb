"""Segments of several kinds of members: which segment domains hold which segments.

Segments with the same members by kind are of one type; a load is a count per type. A domain of
the segment level holds a load if it holds its members; a domain above it, if the load can be
divided among the segment domains below it. Whole segments are numbered before the short one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scheduler.kernel_search import NOTHING, Answer, Gift
from scheduler.model.arrays import I32, I64
from scheduler.plan.mixed_problem import Problem
from scheduler.plan.mixed_search import Budget, Search

Parts = list[tuple[int, I64]]
"""(segment domain, int64[T] segments of each type that it gets)."""

EXHAUST_TYPES = 32
"""More types than this are not tried exhaustively."""


class Segments:
    """The segments of one problem, and where they fit."""

    def __init__(self, problem: Problem, search: Search) -> None:
        """problem.size > 0."""
        self.problem, self.search = problem, search
        count = -(-problem.n // problem.size)
        padded: I32 = np.full(count * problem.size, -1, np.int32)
        padded[: problem.n] = problem.kind
        rows = np.sort(padded.reshape(count, problem.size), axis=1)
        types, of = np.unique(rows, axis=0, return_inverse=True)
        order = np.lexsort((*types.T[::-1], types[:, 0] < 0))
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        self.types: I32 = types[order]
        """[T, size] kinds of a segment's members, rising; -1 where it is short."""
        self.of: I64 = place[of.reshape(-1)]
        """[segments] type of each, by rank."""
        self._answers: dict[tuple[int, bytes], tuple[Answer, Gift]] = {}
        self._room: dict[int, tuple[I64, I64]] = {}
        self._alone: dict[tuple[int, int], int] = {}
        self.unsure = 0
        """Questions whose answer was not found within the budget."""

    def load(self, members: int) -> I64:
        """[T] the segments of the lowest `members` ranks."""
        count = -(-members // self.problem.size)
        return np.bincount(self.of[:count], minlength=len(self.types)).astype(np.int64)

    def members(self, load: I64) -> I64:
        """[K] members of a load by kind."""
        kinds = np.repeat(self.types, load, axis=0).ravel()
        total = np.bincount(kinds[kinds >= 0], minlength=self.problem.nodes.kinds)
        return total.astype(np.int64)

    def domains(self, domain: int) -> list[int]:
        """Segment domains under `domain`, in path order."""
        topology, level = self.problem.tree.topology, self.problem.segment_level
        every = topology.by_level[level]
        under = (topology.start[every] >= topology.start[domain]) & (
            topology.end[every] <= topology.end[domain]
        )
        return [int(x) for x in every[under]]

    def alone(self, x: int, kind: int) -> int:
        """Segments of one type that segment domain x holds by themselves."""
        if (x, kind) not in self._alone:
            all_of_it = int(np.count_nonzero(self.of == kind))
            self._alone[x, kind] = self._most(x, self.load(0), kind, all_of_it, 0)
        return self._alone[x, kind]

    def hold(self, domain: int, load: I64, deep: int) -> tuple[Answer, Parts]:
        """Do the segment domains under `domain` hold `load`?"""
        xs = self.domains(domain)
        before = self.unsure
        room = {x: int(self.problem.tightness[x]) for x in xs}
        for order in (sorted(xs, key=lambda x: -room[x]), sorted(xs, key=lambda x: room[x])):
            parts, left = self.fill(order, load, deep // 8)
            if not left.any():
                return Answer.YES, parts
        if self.unsure == before and np.count_nonzero(load) == 1:
            return Answer.NO, []  # segments of one type: each domain had its most
        return self._exhaust(xs, load, deep)

    def fill(self, xs: list[int], load: I64, deep: int = 0) -> tuple[Parts, I64]:
        """Each segment domain in turn takes as many as it can, type by type."""
        left, parts = load.copy(), []
        for x in xs:
            took = np.zeros_like(left)
            for t in np.flatnonzero(left).tolist():
                took[t] = self._most(x, took, t, int(left[t]), deep)
            if took.any():
                parts.append((x, took))
                left -= took
            if not left.any():
                break
        return parts, left

    def _holds(self, x: int, load: I64, deep: int) -> bool:
        """Does segment domain x hold the load? Answers are kept."""
        key = (x, load.tobytes())
        answer, gift = self._answers.get(key, (Answer.UNKNOWN, NOTHING))
        if answer is Answer.UNKNOWN and (deep or key not in self._answers):
            positions = self.problem.under(x)
            answer, gift = self.search.hold(positions, self.members(load), deep)
            self._answers[key] = answer, gift
        self.unsure += answer is Answer.UNKNOWN
        return answer is Answer.YES

    def witness(self, x: int, load: I64) -> Gift:
        """How segment domain x holds a load that `hold` or `fill` has given it."""
        answer, gift = self._answers[x, load.tobytes()]
        assert answer is Answer.YES
        return gift

    def _most(self, x: int, base: I64, kind: int, limit: int, deep: int) -> int:
        """The most segments of a type that x holds beside `base`, at most `limit`."""
        one = np.zeros_like(base)
        one[kind] = 1
        low, high = 0, min(limit, self._at_most(x, base, one))
        asked = high  # the bound is often what fits
        while low < high:
            if self._holds(x, base + asked * one, deep):
                low = asked
            else:
                high = asked - 1
            asked = (low + high + 1) // 2
        return low

    def _at_most(self, x: int, base: I64, one: I64) -> int:
        """A bound on `_most` by sums."""
        p = self.problem
        if x not in self._room:
            at = p.under(x)
            have: I64 = np.zeros(p.nodes.kinds, np.int64)
            options = slice(p.nodes.first[p.tree.topology.start[x]],
                            p.nodes.first[p.tree.topology.end[x]])  # fmt: skip
            kind = p.nodes.kind[options]
            np.add.at(have, kind, np.minimum(p.nodes.cap[options], p.total[kind]))
            self._room[x] = have, p.supply[at].sum(axis=0)
        have, given = self._room[x]
        there, more = self.members(base), self.members(one)
        asked = more > 0
        bound = ((have - there)[asked] // more[asked]).min(initial=p.n)
        weight = more @ p.weight
        heavy = weight > 0
        by_sums = (given - there @ p.weight)[heavy] // weight[heavy]
        return max(0, int(min(bound, by_sums.min(initial=p.n))))

    def _exhaust(self, xs: list[int], load: I64, deep: int) -> tuple[Answer, Parts]:
        """Depth first over segment domains, as search_reference.Search goes over nodes."""
        if np.count_nonzero(load) > EXHAUST_TYPES:
            return Answer.UNKNOWN, []
        unsure, budget = self.unsure, self.search.budget
        ahead: I64 = np.zeros((len(xs) + 1, load.size), np.int64)
        for i in range(len(xs) - 1, -1, -1):
            ahead[i] = ahead[i + 1]
            for t in np.flatnonzero(load).tolist():
                ahead[i, t] += self._most(xs[i], np.zeros_like(load), t, int(load[t]), deep // 8)
        if (load > ahead[0]).any():
            return self._sure_no(unsure), []
        limit = budget.spent + deep
        chosen: list[I64] = []
        stack = [self._vectors(xs[0], load, ahead[1], deep // 8)]
        while stack:
            if budget.spent >= limit:
                return Answer.UNKNOWN, []
            vector = next(stack[-1], None)
            if vector is None:
                stack.pop()
                if chosen:
                    chosen.pop()
                continue
            chosen.append(vector)
            left = load - np.sum(chosen, axis=0)
            if not left.any():
                parts = [(x, v) for x, v in zip(xs, chosen, strict=False) if v.any()]
                return Answer.YES, parts
            i = len(chosen)
            stack.append(self._vectors(xs[i], left, ahead[i + 1], deep // 8))
        return self._sure_no(unsure), []

    def _sure_no(self, unsure: int) -> Answer:
        """NO, unless some answer on the way was not found."""
        return Answer.NO if self.unsure == unsure else Answer.UNKNOWN

    def _vectors(self, x: int, left: I64, ahead: I64, deep: int) -> Iterator[I64]:
        """Loads of x in falling order that leave no room for a segment still left."""
        types = np.flatnonzero(left).tolist()
        budget: Budget = self.search.budget

        def choose(j: int, chosen: I64) -> Iterator[I64]:
            budget.pay(1, deep=True)
            if j == len(types):
                if not any(
                    left[t] > chosen[t] and self._most(x, chosen, t, 1, deep) for t in types
                ):
                    yield chosen
                return
            t = types[j]
            high = self._most(x, chosen, t, int(left[t]), deep)
            low = max(0, int(left[t] - ahead[t]))
            last = j + 1 == len(types)
            for copies in range(high, max(low, high if last else 0) - 1, -1):
                more = chosen.copy()
                more[t] = copies
                if copies in (0, high) or self._holds(x, more, deep):
                    yield from choose(j + 1, more)

        yield from choose(0, np.zeros_like(left))
