"""Slow twins of ext/search.pyx: the readable definition of what its functions compute.

A kind is what members have in common (shape and pin); a node's options are the kinds that it
can take at least one of, with `cap` members of that kind alone. `room` and `request` hold a
column per resource asked for, one for pod slots and one per exclusive token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scheduler.kernel_search import Answer

Vector = Sequence[int]


@dataclass(frozen=True, slots=True)
class Node:
    """What one node can give: columns of room, and (kind, cap) of each option, kinds rising."""

    room: Vector
    options: Sequence[tuple[int, int]]


def fit(room: Vector, request: Vector) -> int:
    """Members that fit; a resource that is not asked for is not looked at."""
    return max(0, min(r // q for r, q in zip(room, request, strict=True) if q > 0))


def prefix_bound(
    nodes: Sequence[Node], supply: Sequence[Vector], kinds: Vector, weight: Sequence[Vector]
) -> int:
    """No prefix longer than this can fit on `nodes`; kinds[j] = kind of member j by rank."""
    for m in range(len(kinds), 0, -1):
        load = [kinds[:m].count(k) for k in range(len(weight))]
        if within_bounds(nodes, supply, load, weight):
            return m
    return 0


def within_bounds(
    nodes: Sequence[Node], supply: Sequence[Vector], load: Vector, weight: Sequence[Vector]
) -> bool:
    """Necessary: enough nodes' room for each kind alone, and for each bound over all kinds."""
    for k, members in enumerate(load):
        if members > sum(cap for node in nodes for kind, cap in node.options if kind == k):
            return False
    return all(
        sum(members * weight[k][g] for k, members in enumerate(load))
        <= sum(amounts[g] for amounts in supply)
        for g in range(len(weight[0]) if weight else 0)
    )


def fill(
    nodes: Sequence[Node], turns: Sequence[Sequence[int]], request: Sequence[Vector], load: Vector
) -> tuple[list[tuple[int, int, int]], list[int], int]:
    """First fit: ([(node, place of the option, members)], members left, nodes visited).

    turns[i]: places of node i's options in the order in which they are tried.
    """
    left, used, visited = list(load), [], 0
    for i, node in enumerate(nodes):
        if not any(left):
            break
        visited += 1
        rest = list(node.room)
        for place in turns[i]:
            kind = node.options[place][0]
            copies = min(left[kind], fit(rest, request[kind]))
            if copies:
                rest = minus(rest, copies, request[kind])
                left[kind] -= copies
                used.append((i, place, copies))
    return used, left, visited


def minus(room: Vector, copies: int, request: Vector) -> list[int]:
    """Room after `copies` members."""
    return [r - copies * q for r, q in zip(room, request, strict=True)]


class Search:
    """Depth first over nodes, each in turn given a vector of members by kind.

    Of all assignments only the one whose vectors come first in the order (most of the first
    kind, and so on, node by node) need be met. In that one a node is full: no member that a
    later node holds would fit (moving it would make a vector that comes earlier); and equal
    nodes side by side stand in falling order (swapping them would).
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        same: Sequence[bool],
        request: Sequence[Vector],
        weight: Sequence[Vector],
        supply: Sequence[Vector],
        budget: int,
    ) -> None:
        """same[i]: node i equals node i - 1 (options, and room as far as it matters)."""
        self.nodes, self.same, self.request = nodes, same, request
        self.weight, self.supply, self.budget = weight, supply, budget
        self.visits = 0
        self.given: list[tuple[int, ...]] = []

    def run(self, load: Vector) -> Answer:
        """Can all of `load` be placed? Afterwards `given` holds a vector per node reached."""
        if not within_bounds(self.nodes, self.supply, load, self.weight):
            return Answer.NO
        return self._deeper(list(load))

    def _deeper(self, left: list[int]) -> Answer:
        if not any(left):
            return Answer.YES
        i = len(self.given)
        for vector in self._vectors(i, left):
            if self.visits >= self.budget:
                return Answer.UNKNOWN
            self.visits += 1
            if vector is None:
                continue
            after, rest = list(left), list(self.nodes[i].room)
            for (kind, _), copies in zip(self.nodes[i].options, vector, strict=True):
                after[kind] -= copies
                rest = minus(rest, copies, self.request[kind])
            if not self._settled(i, after, rest):
                continue
            self.given.append(vector)
            answer = self._deeper(after)
            if answer != Answer.NO:
                return answer
            self.given.pop()
        return Answer.NO

    def _settled(self, i: int, left: list[int], rest: list[int]) -> bool:
        """Is node i full, and can the nodes ahead still hold the others?"""
        full = not any(
            left[kind] and fit(rest, self.request[kind]) for kind, _ in self.nodes[i].options
        )
        ahead = slice(i + 1, None)
        return full and within_bounds(self.nodes[ahead], self.supply[ahead], left, self.weight)

    def _vectors(self, i: int, left: list[int]) -> Iterator[tuple[int, ...] | None]:
        """Vectors of node i in falling order; None where the nodes ahead could not do the rest."""
        options = self.nodes[i].options
        ahead = {
            k: sum(cap for n in self.nodes[i + 1 :] for kind, cap in n.options if kind == k)
            for k, _ in options
        }
        before = self.given[i - 1] if self.same[i] else None

        def choose(chosen: tuple[int, ...], rest: list[int]) -> Iterator[tuple[int, ...] | None]:
            j = len(chosen)
            if j == len(options):
                yield chosen
                return
            kind = options[j][0]
            high = min(left[kind], fit(rest, self.request[kind]))
            if before is not None and chosen == before[:j]:
                high = min(high, before[j])
            low = max(0, left[kind] - ahead[kind])
            if high < low:
                yield None
                return
            # With less than its most of the last kind the node would not be full.
            for copies in range(high, high - 1 if j + 1 == len(options) else low - 1, -1):
                yield from choose((*chosen, copies), minus(rest, copies, self.request[kind]))

        yield from choose((), list(self.nodes[i].room))
