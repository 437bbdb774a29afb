"""The crossing to the search kernels: part of kernel.py's contract, kept apart for its length.

`Nodes` holds what a search walks, checked once; every call then checks only what it adds. Twins
of the three functions stand in search_reference.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from scheduler import _search
from scheduler.kernel import KernelArgumentError, Tree, check, check_range
from scheduler.model.arrays import I32, I64, U8

CAP_LIMIT = 1 << 40
"""An option counts for at most this many members, so that sums over nodes stay inside int64."""

BOUND_LIMIT = 1 << 40
"""A node adds at most this much to a bound, for the same reason."""


class Answer(IntEnum):
    """What a search found out."""

    NO = 0
    """Proved: no assignment exists."""
    YES = 1
    UNKNOWN = 2
    """The budget was used up."""


class Nodes:
    """Nodes by tree position, their options, and the kinds of members: checked once.

    N nodes, O options, K kinds, Q columns of room. Options of a node are distinct kinds in
    rising order. A kind's request has at least one column above 0 (pod slots always is one).
    Holds scratch arrays: not to be shared between threads.
    """

    __slots__ = (
        "_count", "_have", "_option", "_rest", "cap", "first", "kind", "kinds", "nodes",
        "options", "request", "room", "turn",
    )  # fmt: skip

    def __init__(self, first: I32, kind: I32, cap: I64, room: I64, request: I64) -> None:
        """first int32[N + 1], kind int32[O], cap int64[O] >= 1, room int64[N, Q], request
        int64[K, Q] >= 0. Raises KernelArgumentError.
        """
        n, o, k = first.shape[0] - 1, kind.shape[0], request.shape[0]
        check("first", first, np.int32, (n + 1,))
        check("kind", kind, np.int32, (o,))
        check("cap", cap, np.int64, (o,))
        check("room", room, np.int64, (n, request.shape[1]))
        check("request", request, np.int64, request.shape)
        if n < 0 or first[0] != 0 or first[-1] != o or (np.diff(first) < 0).any():
            raise KernelArgumentError("first: not the offsets of all options")
        check_range("kind", kind, 0, k)
        check_range("cap", cap, 1, CAP_LIMIT + 1)
        check_range("request", request, 0, 2**63)
        if not request.any(axis=1).all():
            raise KernelArgumentError("request: a kind asks for nothing")
        rising = np.diff(kind) > 0
        border = first[1:-1]
        rising[border[(border > 0) & (border < o)] - 1] = True
        if not rising.all():
            raise KernelArgumentError("kind: options of a node are not in rising order")
        self.first, self.kind, self.cap = first, kind, cap
        self.room, self.request = room, request
        self.nodes, self.options, self.kinds = n, o, k
        self.turn: I32 = np.arange(o, dtype=np.int32)
        self._have: I64 = np.empty(k, np.int64)
        self._rest: I64 = np.empty(request.shape[1], np.int64)
        self._option: I32 = np.empty(o, np.int32)
        self._count: I64 = np.empty(o, np.int64)

    def check_load(self, load: I64) -> None:
        """Raises KernelArgumentError unless load is int64[K] of members >= 0."""
        check("load", load, np.int64, (self.kinds,))
        check_range("load", load, 0, 2**31)

    def check_turn(self, turn: I32) -> None:
        """Raises KernelArgumentError unless `turn` reorders each node's options among them."""
        check("turn", turn, np.int32, (self.options,))
        if not np.array_equal(np.sort(turn), self.turn):
            raise KernelArgumentError("turn: not a permutation of the options")
        node = np.repeat(np.arange(self.nodes), np.diff(self.first))
        if not np.array_equal(node[turn], node):
            raise KernelArgumentError("turn: an option of another node")


@dataclass(frozen=True, eq=False, slots=True)
class Gift:
    """Which options took how many members. Both arrays have one entry per option used."""

    option: I32
    count: I64


NOTHING = Gift(np.empty(0, np.int32), np.empty(0, np.int64))


@dataclass(frozen=True, eq=False, slots=True)
class Members:
    """The members by rank as bounds see them. n members, K kinds, G bounds.

    need: int64[G, n + 1], what the first m members ask of each bound; it never falls.
    who_start: int32[K + 1], who: int32[n], the members of each kind, rising.
    """

    need: I64
    who_start: I32
    who: I32

    @classmethod
    def of(cls, kind: I32, weight: I64) -> Members:
        """kind int32[n] of each member by rank, weight int64[K, G] >= 0 of each kind."""
        kinds, bounds = weight.shape
        check("kind", kind, np.int32, (kind.shape[0],))
        check_range("kind", kind, 0, kinds)
        _check_weight(weight, np.bincount(kind, minlength=kinds))
        need: I64 = np.zeros((bounds, kind.shape[0] + 1), np.int64)
        np.cumsum(weight[kind].T, axis=1, out=need[:, 1:])
        start: I32 = np.zeros(kinds + 1, np.int32)
        np.cumsum(np.bincount(kind, minlength=kinds), out=start[1:])
        return cls(need, start, np.argsort(kind, kind="stable").astype(np.int32))


def prefix_bounds(
    tree: Tree, nodes: Nodes, domains: I32, supply: I64, members: Members
) -> tuple[I64, int]:
    """([len(domains)] a prefix longer than this cannot fit there, nodes visited).

    supply int64[N, G], 0 <= supply <= BOUND_LIMIT.
    """
    check("domains", domains, np.int32, (domains.shape[0],))
    check_range("domains", domains, 0, tree.domains)
    check("supply", supply, np.int64, (nodes.nodes, members.need.shape[0]))
    check_range("supply", supply, 0, BOUND_LIMIT + 1)
    if nodes.nodes != tree.nodes or members.who_start.shape[0] != nodes.kinds + 1:
        raise KernelArgumentError("nodes and members are not those of the tree")
    most: I64 = np.empty(domains.shape[0], np.int64)
    visited = _search.prefix_bounds(
        domains, tree.topology.start, tree.topology.end, nodes.first, nodes.kind, nodes.cap,
        supply, members.need, members.who_start, members.who, nodes._have,  # noqa: SLF001
        np.empty(supply.shape[1], np.int64), most,
    )  # fmt: skip
    return most, visited


def fill(nodes: Nodes, positions: I32, load: I64, turn: I32 | None = None) -> tuple[Gift, I64, int]:
    """First fit of `load` over `positions` in turn: (what went where, members left, visited).

    turn: int32[O] that has passed nodes.check_turn: each node's options in the order tried.
    """
    check("positions", positions, np.int32, (positions.shape[0],))
    check_range("positions", positions, 0, nodes.nodes)
    nodes.check_load(load)
    left, out = load.copy(), np.empty(2, np.int64)
    option, count = nodes._option, nodes._count  # noqa: SLF001
    _search.fill(
        positions, nodes.first, nodes.turn if turn is None else turn, nodes.kind, nodes.room,
        nodes.request, left, nodes._rest, option, count, out,  # noqa: SLF001
    )  # fmt: skip
    used = int(out[0])
    return Gift(option[:used].copy(), count[:used].copy()), left, int(out[1])


def search(
    nodes: Nodes, positions: I32, same: U8, weight: I64, supply: I64, load: I64, budget: int
) -> tuple[Answer, Gift, int]:
    """Depth first: (answer, what went where if YES, vectors tried).

    positions: distinct. same uint8[len(positions)]: 1 where a node equals the one before it.
    weight int64[K, G] and supply int64[len(positions), G]: the bounds that cut the search off.
    """
    count, bounds = positions.shape[0], weight.shape[1]
    check("positions", positions, np.int32, (count,))
    check_range("positions", positions, 0, nodes.nodes)
    check("same", same, np.uint8, (count,))
    check("weight", weight, np.int64, (nodes.kinds, bounds))
    nodes.check_load(load)
    _check_weight(weight, load)
    check("supply", supply, np.int64, (count, bounds))
    check_range("supply", supply, 0, BOUND_LIMIT + 1)
    width = nodes.first[positions + 1] - nodes.first[positions]
    _check_same(nodes, positions, same, width)
    offset: I32 = np.zeros(count, np.int32)
    np.cumsum(width[:-1], out=offset[1:])
    give: I64 = np.zeros(int(width.sum()), np.int64)
    answer, visits = _search.search(
        positions, same, nodes.first, nodes.kind, nodes.cap, nodes.room, nodes.request, weight,
        supply, offset, budget, load.copy(), np.empty(nodes.kinds, np.int64),
        np.empty(bounds, np.int64), np.empty(bounds, np.int64), nodes._rest, give,  # noqa: SLF001
    )  # fmt: skip
    if answer != Answer.YES:
        return Answer(answer), NOTHING, visits
    option = np.repeat(nodes.first[positions] - offset, width) + np.arange(give.size)
    used = give > 0
    return Answer.YES, Gift(option[used].astype(np.int32), give[used]), visits


def _check_weight(weight: I64, load: I64) -> None:
    """What all members of a kind ask of a bound is limited, so that sums stay inside int64."""
    if (weight < 0).any() or (weight > BOUND_LIMIT // np.maximum(load, 1)[:, None]).any():
        raise KernelArgumentError(f"weight: a kind asks for more than {BOUND_LIMIT}")


def _check_same(nodes: Nodes, positions: I32, same: U8, width: I32) -> None:
    """Equal nodes have the same options; the first node has none before it."""
    twins = np.flatnonzero(same)
    if twins.size == 0:
        return
    if twins[0] == 0 or (width[twins] != width[twins - 1]).any():
        raise KernelArgumentError("same: a node whose neighbour has other options")
    here = np.repeat(nodes.first[positions[twins]], width[twins])
    there = np.repeat(nodes.first[positions[twins - 1]], width[twins])
    step = np.arange(here.size) - np.repeat(np.cumsum(width[twins]) - width[twins], width[twins])
    if (nodes.kind[here + step] != nodes.kind[there + step]).any():
        raise KernelArgumentError("same: a node whose neighbour has other options")
