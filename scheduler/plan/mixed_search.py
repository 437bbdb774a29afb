"""Does a set of nodes hold so many members of each kind? Greedy orders, then depth first.

The answer NO is always a proof: bounds that every assignment keeps, or all assignments tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scheduler import kernel_search
from scheduler.kernel_search import NOTHING, Answer, Gift
from scheduler.model.arrays import I32, I64, U8
from scheduler.plan.mixed_problem import Problem

DEEP_PARTS = 8
"""One candidate's depth-first search may use this part of what is left for all of them."""

DEEP_LEAST = 4096
"""...but at least so many visits, if there are as many."""

TABLE_LIMIT = 1 << 22
"""Entries of the tables by which equal nodes and bounds over some nodes are found."""

SCOPE_VISITS = 10_000
"""What the tables of one question cost, in node visits."""

ALIKE_NODES = 1024
"""Of no more nodes than this it is remembered that they do not hold a load."""

BOUND_SETS = 8
BOUND_KINDS = 24
"""Bounds over sets of nodes are made for at most so many sets, and so many kinds."""


class Budget:
    """Node visits that one gang may cost: half for greedy orders, half for depth first.

    The first greedy order of a candidate is always tried, so that a used-up budget still goes
    on to further candidates. Of the depth-first half, half is kept for the permitted domains,
    whose answers decide the verdict.
    """

    def __init__(self, visits: int) -> None:
        """`visits` in all, >= 0."""
        self.greedy = visits - visits // 2
        self.deep = visits // 2
        self.kept = self.deep // 2
        self.spent = 0

    def allowance(self, *, permitted: bool, candidates: int) -> int:
        """Visits that one depth-first search may use, if so many candidates may come."""
        left = max(0, self.deep - (0 if permitted else self.kept))
        share = left // min(DEEP_PARTS, max(1, candidates))
        return min(left, max(share, DEEP_LEAST))

    def pay_scope(self) -> None:
        """Takes the tables of one question off the greedy half, then off the other."""
        self.pay(SCOPE_VISITS, deep=self.greedy <= 0)

    def pay(self, visits: int, *, deep: bool) -> None:
        """Takes visits off the budget."""
        self.spent += visits
        if deep:
            self.deep -= visits
        else:
            self.greedy -= visits


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """Nodes in the order of the depth-first search, equal ones side by side, and its bounds."""

    positions: I32
    same: U8
    weight: I64
    supply: I64


class Search:
    """Asks whether nodes hold members of one problem, on one budget."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        """Shares the problem's scratch: one thread."""
        self.problem = problem
        self.budget = budget
        self._refused: set[bytes] = set()
        """Nodes (what they can take and give) with a load that they do not hold."""

    def hold(self, positions: I32, load: I64, deep: int) -> tuple[Answer, Gift]:
        """Do the nodes at `positions` hold `load`? At most `deep` vectors are tried in the end.

        positions: useful ones, rising. load: int64[K]. With nothing left of the greedy half
        and deep = 0, one greedy order is all that is tried. Nodes that are alike in all that
        counts are refused for the same reason, so that a fabric of equal leaves costs one proof.
        """
        known = self._alike(positions, load)
        if known in self._refused:
            self.budget.pay(positions.size, deep=False)
            return Answer.NO, NOTHING
        answer, gift = self._hold(positions, load, deep)
        if answer is Answer.NO and known:
            self._refused.add(known)
        return answer, gift

    def _alike(self, positions: I32, load: I64) -> bytes:
        """Equal for nodes and loads that get the same answer; empty if there are too many."""
        if not 0 < positions.size <= ALIKE_NODES:
            return b""
        nodes = self.problem.nodes
        width = nodes.first[positions + 1] - nodes.first[positions]
        option = np.repeat(nodes.first[positions + 1] - np.cumsum(width), width)
        option += np.arange(option.size, dtype=np.int32)
        columns = (load, width, nodes.kind[option], nodes.cap[option], nodes.room[positions])
        return b"".join(column.tobytes() for column in columns)

    def _hold(self, positions: I32, load: I64, deep: int) -> tuple[Answer, Gift]:
        nodes = self.problem.nodes
        scope: Scope | None = None
        for sequence, turn in self._orders(positions):
            if self.budget.greedy <= 0 and scope is not None:
                break
            gift, left, visited = kernel_search.fill(nodes, sequence, load, turn)
            self.budget.pay(visited, deep=False)
            if not left.any():
                return Answer.YES, gift
            if self.budget.greedy <= 0 and not deep:
                return Answer.UNKNOWN, NOTHING
            if scope is None:
                # What fails in the first order often cannot be done: cheaper to ask that now.
                scope = self._scope(positions, load)
                if scope is None or self._deep(scope, load, 0)[0] == Answer.NO:
                    return Answer.NO, NOTHING
        scope = scope or self._scope(positions, load)
        return (Answer.NO, NOTHING) if scope is None else self._deep(scope, load, deep)

    def greedy(self, positions: I32, load: I64) -> tuple[Gift, I64]:
        """(what goes where, members left) in the first order, whatever the budget."""
        gift, left, visited = kernel_search.fill(self.problem.nodes, positions, load)
        self.budget.pay(visited, deep=False)
        return gift, left

    def _deep(self, scope: Scope, load: I64, most: int) -> tuple[Answer, Gift]:
        answer, gift, visits = kernel_search.search(
            self.problem.nodes, scope.positions, scope.same, scope.weight, scope.supply, load, most
        )
        self.budget.pay(visits, deep=True)
        return answer, gift

    def _orders(self, positions: I32) -> Iterator[tuple[I32, I32 | None]]:
        """Orders of nodes, and of the options of each."""
        yield positions, None
        p = self.problem
        options = p.nodes.first[positions + 1] - p.nodes.first[positions]
        # Nodes that few kinds can use, and that hold few members, are used up first.
        tight = positions[np.lexsort((positions, p.fullness[positions], options))]
        yield tight, None
        yield positions, p.scarce_turn()
        yield tight, p.scarce_turn()
        yield tight[::-1].copy(), None

    def _scope(self, positions: I32, load: I64) -> Scope | None:
        """The nodes as the depth-first search wants them; None if they cannot hold the load."""
        self.budget.pay_scope()
        table = _Table.of(self.problem, positions, load)
        if table is None:
            weight, supply = self.problem.weight, self.problem.supply[positions]
            return Scope(positions, np.zeros(positions.shape[0], np.uint8), weight, supply)
        if table.crowded(load):
            return None
        order, same = table.sorted()
        weight, supply = table.bounds(load)
        return Scope(positions[order], same, weight, supply[order])


@dataclass(frozen=True, eq=False, slots=True)
class _Table:
    """Options of some nodes side by side: n nodes, W options of the widest, Q columns."""

    problem: Problem
    positions: I32
    kind: I64
    """[n, W] kind of each option, or K where a node has fewer."""
    most: I64
    """[n, W] members that the option can take of the load, alone."""
    usable: I64
    """[n, Q] room as far as the load can use it: equal here and in kind = equal nodes."""

    @classmethod
    def of(cls, problem: Problem, positions: I32, load: I64) -> _Table | None:
        """None if the table would be too large."""
        nodes = problem.nodes
        start = nodes.first[positions].astype(np.int64)
        width = nodes.first[positions + 1] - start
        widest = int(width.max(initial=0))
        if positions.shape[0] * max(widest, nodes.room.shape[1]) > TABLE_LIMIT:
            return None
        exists = np.arange(widest) < width[:, None]
        option = np.where(exists, start[:, None] + np.arange(widest), 0)
        kind = np.where(exists, nodes.kind[option], nodes.kinds) if widest else option
        most = np.where(exists, np.minimum(nodes.cap[option], load[nodes.kind[option]]), 0)
        room = np.maximum(nodes.room[positions], 0)
        usable = np.zeros_like(room)
        for w in range(widest):
            # At most the room, because cap is counted in it.
            asked = most[:, w, None] * nodes.request[nodes.kind[option[:, w]]]
            usable += np.minimum(asked, room - usable)
        return cls(problem, positions, kind.astype(np.int64), most, usable)

    def sorted(self) -> tuple[I64, U8]:
        """(order of the nodes, 1 where one equals the one before it): tight nodes first."""
        options = (self.kind < self.problem.nodes.kinds).sum(axis=1)
        keys = np.column_stack((options, self.most.sum(axis=1), self.kind, self.usable))
        order = np.lexsort((self.positions, *keys.T[::-1]))
        same: U8 = np.zeros(order.shape[0], np.uint8)
        ranked = keys[order]
        same[1:] = (ranked[1:] == ranked[:-1]).all(axis=1)
        return order, same

    def crowded(self, load: I64) -> bool:
        """Is there a node too small for the kinds that can go nowhere else?"""
        kinds = self.problem.nodes.kinds
        places = np.bincount(self.kind.ravel(), minlength=kinds + 1)[:kinds]
        only = np.append((places == 1) & (load > 0), False)[self.kind]
        for i in np.flatnonzero(only.sum(axis=1) > 1).tolist():
            here = self.kind[i][only[i]]
            room = self.problem.nodes.room[self.positions[i]].tolist()
            for q, amount in enumerate(room):
                request = self.problem.nodes.request[here, q].tolist()
                asked = sum(m * r for m, r in zip(load[here].tolist(), request, strict=True))
                if asked > max(0, amount):
                    return True
        return False

    def bounds(self, load: I64) -> tuple[I64, I64]:
        """(weight [K, G], supply [n, G]): the problem's, by size of request, by set of nodes."""
        p = self.problem
        weights, supplies = [p.weight], [p.supply[self.positions]]
        kinds = np.flatnonzero(load)
        if kinds.size <= BOUND_KINDS:
            has: I64 = np.zeros((self.positions.shape[0], p.nodes.kinds + 1), bool)
            np.put_along_axis(has, self.kind, values=True, axis=1)
            self._by_size(load, kinds, has, weights, supplies)
            self._by_set(kinds, has, weights, supplies)
        return np.hstack(weights), np.ascontiguousarray(np.hstack(supplies))

    def _by_size(
        self, load: I64, kinds: I64, has: I64, weights: list[I64], supplies: list[I64]
    ) -> None:
        """Of members that ask for v or more of a resource, a node holds at most room // v."""
        p = self.problem
        enough = int(load.sum())
        for q in range(p.resources):
            request = p.nodes.request[:, q]
            if np.count_nonzero(request[kinds]) < 2:
                continue
            room = np.maximum(p.nodes.room[self.positions, q], 0)
            for v in np.unique(request[kinds][request[kinds] > 0])[-BOUND_SETS:].tolist():
                counts = (request >= v) & (load > 0)
                some = has[:, :-1][:, counts].any(axis=1)
                weights.append(counts[:, None].astype(np.int64))
                supplies.append((np.minimum(room // v, enough) * some)[:, None])

    def _by_set(self, kinds: I64, has: I64, weights: list[I64], supplies: list[I64]) -> None:
        """Kinds that can only go to nodes of one set have no more than that set has."""
        p = self.problem
        of_kind = has[:, kinds].T
        sets = np.unique(of_kind, axis=0)
        sets = sets[np.argsort(sets.sum(axis=1), kind="stable")]
        for nodes in sets[~sets.all(axis=1)][:BOUND_SETS]:
            inside = kinds[~(of_kind & ~nodes).any(axis=1)]
            if inside.size < 2:
                continue
            member: I64 = np.zeros((p.nodes.kinds, 1), np.int64)
            member[inside] = 1
            weights.append(p.weight * member)
            supplies.append(p.supply[self.positions] * nodes[:, None])
