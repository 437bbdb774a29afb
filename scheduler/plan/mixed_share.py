"""Steps 4 and 5 for several kinds: few children at each level, ranks in tree order.

The children of all domains used at the level above stand in one row. The load goes to the child
that holds it all with least room; else the largest is filled and the rest goes on. Where filling
in that order leaves something over, the assignment that the search has found stands instead, so
what domains hold is never lost on the way down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

import numpy as np

from scheduler.kernel_search import NOTHING, Answer, Gift
from scheduler.model.arrays import I32, I64
from scheduler.plan.mixed_problem import Problem
from scheduler.plan.mixed_search import TABLE_LIMIT, Search
from scheduler.plan.mixed_segments import Parts, Segments

SHARE_VISITS = 2_000
"""Depth-first visits to learn whether one child holds the rest: going down must stay quick."""

W = TypeVar("W")


@dataclass(frozen=True, eq=False, slots=True)
class Piece(Generic[W]):
    """What one child gets, and an assignment that shows that it holds it."""

    child: int
    load: I64
    witness: W


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """Members in one segment domain (or anywhere, without segments)."""

    gift: Gift
    segments: I64 | None
    """[T] segments placed there, of each type."""


class Share:
    """Takes a load that a domain holds down to nodes."""

    def __init__(self, problem: Problem, search: Search, segments: Segments | None) -> None:
        """`segments` of a gang that has them."""
        self.problem, self.search, self.segments = problem, search, segments

    def members(self, domains: list[int], load: I64, witness: Gift) -> Gift:
        """What goes where of `load`, which `domains` hold together as `witness` shows.

        domains: of one level.
        """
        own: Gift | None = None
        pieces: list[Piece[Gift]] = []
        children = self._children(domains)
        if len(children) * load.size <= TABLE_LIMIT:
            pieces, rest = self._divide(
                children, load, self._kind_room(children),
                lambda d, x: self.search.hold(self.problem.under(d), x, SHARE_VISITS),
                lambda d, x: self.search.greedy(self.problem.under(d), x),
            )  # fmt: skip
            own = self._own_nodes(domains, rest)
        if own is None:
            pieces, own = self._split(domains, witness)
        below = [
            self.members([p.child for p in row], _sum([p.load for p in row]),
                         _joined([p.witness for p in row]))
            for row in self._rows(pieces)
        ]  # fmt: skip
        return _joined([*below, own])

    def whole(self, domains: list[int], load: I64, parts: Parts) -> list[Placed]:
        """The same for segments: one entry per segment domain used.

        domains: above the segment level.
        """
        segments, level = self.segments, self.problem.segment_level
        assert segments is not None
        children = self._children(domains)
        pieces, rest = self._divide(
            children, load, self._segment_room(children),
            lambda d, x: segments.hold(d, x, SHARE_VISITS),
            lambda d, x: segments.fill(segments.domains(d), x),
        )  # fmt: skip
        if rest.any():
            pieces = [
                Piece(child, _sum([v for _, v in inside]), inside)
                for child in children
                if (inside := [(x, v) for x, v in parts if self._below(x, child)])
            ]
        placed: list[Placed] = []
        for row in self._rows(pieces):
            if self.problem.tree.topology.level[row[0].child] == level:
                placed += [self.segment_domain(p.child, p.load) for p in row]
            else:
                witness = [part for p in row for part in p.witness]
                placed += self.whole([p.child for p in row], _sum([p.load for p in row]), witness)
        return placed

    def segment_domain(self, domain: int, load: I64) -> Placed:
        """Takes the segments that one domain of the segment level holds down to its nodes."""
        segments = self.segments
        assert segments is not None
        gift = segments.witness(domain, load)
        return Placed(self.members([domain], segments.members(load), gift), load)

    def _rows(self, pieces: list[Piece[W]]) -> list[list[Piece[W]]]:
        """The pieces of each level, whose children stand in one row next.

        What came last is least filled; ties go to the others, so it stands last.
        """
        level = self.problem.tree.topology.level
        keyed = [(int(level[p.child]), p is pieces[-1], p.child, p) for p in pieces]
        keyed.sort(key=lambda item: item[:3])
        return [[p for *_, p in row] for _, row in groupby(keyed, key=lambda item: item[0])]

    def _divide(
        self,
        children: list[int],
        load: I64,
        room: I64,
        hold: Callable[[int, I64], tuple[Answer, W]],
        fill: Callable[[int, I64], tuple[W, I64]],
    ) -> tuple[list[Piece[W]], I64]:
        """(what each child domain gets, what they leave over): labelled ones come first."""
        topology = self.problem.tree.topology
        at = {child: i for i, child in enumerate(children)}
        pieces: list[Piece[W]] = []
        rest = load
        for level in sorted({int(topology.level[c]) for c in children}):
            unused = [c for c in children if topology.level[c] == level]
            while unused and rest.any():
                there = room[[at[c] for c in unused]]
                piece = self._tightest(unused, there, rest, hold)
                if piece is not None:
                    return [*pieces, piece], np.zeros_like(rest)
                # The only child for some kind comes first, then the one that takes most.
                take = np.minimum(there, rest)
                only = ((take > 0) & ((take > 0).sum(axis=0) == 1)).any(axis=1)
                best = int(np.lexsort((np.arange(len(unused)), -take.sum(axis=1), ~only))[0])
                child = unused.pop(best)
                witness, left = fill(child, rest)
                if (left < rest).any():
                    pieces.append(Piece(child, rest - left, witness))
                rest = left
        return pieces, rest

    def _tightest(
        self,
        children: list[int],
        room: I64,
        load: I64,
        hold: Callable[[int, I64], tuple[Answer, W]],
    ) -> Piece[W] | None:
        """The child with least room that holds the load."""
        able = np.flatnonzero((room >= load).all(axis=1)).tolist()
        for i in sorted(able, key=lambda i: (int(self.problem.tightness[children[i]]), i)):
            answer, witness = hold(children[i], load)
            if answer is Answer.YES:
                return Piece(children[i], load, witness)
        return None

    def _own_nodes(self, domains: list[int], load: I64) -> Gift | None:
        """Few of the nodes directly below `domains`; None if first fit leaves something over."""
        if not load.any():
            return NOTHING
        p, topology = self.problem, self.problem.tree.topology
        positions: I32 = np.concatenate(
            [p.between(int(topology.own_start[d]), int(topology.end[d])) for d in domains]
        )
        if positions.size == 0:
            return None
        able = nodes_that_hold(p, positions, load)
        if able.size:
            return self.search.greedy(able[:1], load)[0]
        width = p.nodes.first[positions + 1] - p.nodes.first[positions]
        option = np.repeat(p.nodes.first[positions], width) + _steps(width)
        most = np.minimum(p.nodes.cap[option], load[p.nodes.kind[option]])
        largest = np.argsort(-np.add.reduceat(most, np.cumsum(width) - width), kind="stable")
        gift, left = self.search.greedy(positions[largest], load)
        if left.any():
            return None
        return self._last_tightened(gift, positions)

    def _last_tightened(self, gift: Gift, positions: I32) -> Gift:
        """Moves what is on the last node to the node with least room that holds it."""
        p = self.problem
        at = p.position_of(gift)
        last = at == at[-1]
        there = p.gift_load(Gift(gift.option[last], gift.count[last]))
        unused = np.setdiff1d(positions, at[~last]).astype(np.int32)
        best = nodes_that_hold(p, unused, there)[:1]
        moved = self.search.greedy(best, there)[0]
        return _joined([Gift(gift.option[~last], gift.count[~last]), moved])

    def _split(self, domains: list[int], witness: Gift) -> tuple[list[Piece[Gift]], Gift]:
        """The assignment found by the search, by child domain, and what is on own nodes."""
        topology = self.problem.tree.topology
        at = self.problem.position_of(witness)
        pieces = []
        own = np.ones(at.shape[0], bool)
        for child in self._children(domains):
            inside = (at >= topology.start[child]) & (at < topology.end[child])
            own &= ~inside
            if inside.any():
                part = Gift(witness.option[inside], witness.count[inside])
                pieces.append(Piece(child, self.problem.gift_load(part), part))
        return pieces, Gift(witness.option[own], witness.count[own])

    def _kind_room(self, children: list[int]) -> I64:
        """[children, K] members of each kind, alone, that each child takes."""
        p, topology = self.problem, self.problem.tree.topology
        room: I64 = np.zeros((len(children), p.nodes.kinds), np.int64)
        low = p.nodes.first[topology.start[children]]
        width = p.nodes.first[topology.end[children]] - low
        option = np.repeat(low, width) + _steps(width)
        child = np.repeat(np.arange(len(children)), width)
        kind = p.nodes.kind[option]
        np.add.at(room, (child, kind), np.minimum(p.nodes.cap[option], p.total[kind]))
        return room

    def _segment_room(self, children: list[int]) -> I64:
        """[children, T] segments of each type, alone, that each child takes."""
        segments = self.segments
        assert segments is not None
        types = range(len(segments.types))
        rows = [
            [sum(segments.alone(x, t) for x in segments.domains(child)) for t in types]
            for child in children
        ]
        return np.array(rows, np.int64).reshape(len(rows), len(types))

    def _children(self, domains: list[int]) -> list[int]:
        """Child domains of all of `domains`, in path order within each level."""
        first = self.problem.tree.topology.first_child
        return [c for d in domains for c in range(int(first[d]), int(first[d + 1]))]

    def _below(self, x: int, domain: int) -> bool:
        topology = self.problem.tree.topology
        return bool(
            topology.start[domain] <= topology.start[x] and topology.end[x] <= topology.end[domain]
        )


def nodes_that_hold(problem: Problem, positions: I32, load: I64) -> I32:
    """Of `positions` (useful, rising) the nodes that hold the whole load, tightest first."""
    nodes = problem.nodes
    if positions.size == 0:
        return positions
    kinds = np.flatnonzero(load)
    members = load[kinds].tolist()
    ok = np.ones(positions.shape[0], bool)
    for q in range(nodes.room.shape[1]):
        request = nodes.request[kinds, q].tolist()
        asked = sum(m * r for m, r in zip(members, request, strict=True))
        if asked > 0:
            ok &= nodes.room[positions, q] >= min(asked, 2**63 - 1)
            ok &= asked < 2**63
    able = positions[ok]
    if able.size == 0:
        return able
    width = nodes.first[able + 1] - nodes.first[able]
    option = np.repeat(nodes.first[able], width) + _steps(width)
    wanted = (load[nodes.kind[option]] > 0).astype(np.int64)
    starts = np.cumsum(width) - width
    able = able[np.add.reduceat(wanted, starts) == kinds.size]
    tightest = np.lexsort((able, problem.node_tightness[able]))
    best: I32 = able[tightest]
    return best


def _steps(width: I32) -> I64:
    """0 1 .. w - 1 for each width in turn."""
    return np.arange(int(width.sum())) - np.repeat(np.cumsum(width) - width, width)


def _sum(loads: list[I64]) -> I64:
    total: I64 = np.sum(loads, axis=0)
    return total


def _joined(gifts: list[Gift]) -> Gift:
    used = [g for g in gifts if g.option.size]
    if not used:
        return NOTHING
    return Gift(np.concatenate([g.option for g in used]), np.concatenate([g.count for g in used]))
