"""The one crossing to the compiled kernels: checks dtype, shape, contiguity and ranges.

Release kernels trust their arguments blindly, so nothing else imports the compiled modules.
What is checked once is wrapped: a `Tree` holds validated parent arrays, a `Request` a validated
vector, so that a call costs a few shape comparisons and no pass over the data. Twins of all
kernels stand in kernel_reference.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler import _capacity, _choose, _descend
from scheduler.model.arrays import I16, I32, I64
from scheduler.model.topology import CLUSTER, Topology

CAP_LIMIT = 1 << 40
"""A node counts for at most this many members, so that sums stay inside int64."""


class KernelArgumentError(ValueError):
    """An array that a kernel must not be called with: a bug in the caller."""


def check(name: str, array: npt.NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    """Raises KernelArgumentError unless `array` is C-contiguous of this dtype and shape."""
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise KernelArgumentError(
            f"{name}: {array.dtype}{list(array.shape)}"
            f"{'' if array.flags.c_contiguous else ' not contiguous'},"
            f" expected {np.dtype(dtype)}{list(shape)} contiguous"
        )


def check_range(name: str, array: npt.NDArray[Any], low: int, high: int) -> None:
    """Raises KernelArgumentError unless all of low <= array < high."""
    if low == 0 and array.dtype == np.int32:
        # One pass instead of two: a negative number is a huge one without its sign.
        if array.size and int(np.maximum.reduce(array.view(np.uint32))) >= high:
            raise KernelArgumentError(f"{name}: values outside {low} .. {high - 1}")
        return
    if array.size and (int(array.min()) < low or int(array.max()) >= high):
        raise KernelArgumentError(f"{name}: values outside {low} .. {high - 1}")


class Tree:
    """A topology whose arrays were checked once; what every kernel walks."""

    __slots__ = ("domains", "every_domain", "everywhere", "levels", "nodes", "topology")

    def __init__(self, topology: Topology) -> None:
        """Raises KernelArgumentError if the arrays are not a tree in breadth-first numbers."""
        t = topology
        d, n, levels = t.domains, t.nodes, len(t.levels)
        for name, array, dtype, shape in (
            ("level", t.level, np.int8, (d,)),
            ("parent", t.parent, np.int32, (d,)),
            ("first_child", t.first_child, np.int32, (d + 1,)),
            ("start", t.start, np.int32, (d,)),
            ("end", t.end, np.int32, (d,)),
            ("own_start", t.own_start, np.int32, (d,)),
            ("path_rank", t.path_rank, np.int32, (d,)),
            ("node_parent", t.node_parent, np.int32, (n,)),
            ("order", t.order, np.int32, (n,)),
            ("position", t.position, np.int32, (n,)),
            ("ancestor", t.ancestor, np.int32, (levels + 1, d)),
        ):
            check(name, array, dtype, shape)
        check_range("level", t.level, -1, levels)
        check_range("parent", t.parent, -1, d)
        if t.parent[0] != -1 or (t.parent[1:] >= np.arange(1, d)).any() or (t.parent[1:] < 0).any():
            raise KernelArgumentError("parent: not in breadth-first numbers")
        check_range("first_child", t.first_child, 1, d + 1)
        for name, array in (("start", t.start), ("end", t.end), ("own_start", t.own_start)):
            check_range(name, array, 0, n + 1)
        if (t.start > t.own_start).any() or (t.own_start > t.end).any():
            raise KernelArgumentError("start, own_start, end: not in order")
        check_range("node_parent", t.node_parent, 0, d)
        check_range("order", t.order, 0, n)
        check_range("position", t.position, 0, n)
        check_range("ancestor", t.ancestor, -1, d)
        self.topology = t
        self.domains = d
        self.nodes = n
        self.levels = levels
        self.every_domain: I32 = np.arange(d, dtype=np.int32)
        self.everywhere: I32 = self.every_domain[CLUSTER : CLUSTER + 1]


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """One member's request vector, checked, and whether a node holds at most one."""

    vector: I64
    exclusive: bool

    @classmethod
    def of(cls, amounts: Sequence[int], *, exclusive: bool = False) -> Request:
        """Raises KernelArgumentError on a negative amount, OverflowError beyond int64."""
        vector = np.array(amounts, dtype=np.int64)
        check_range("request", vector, 0, 2**63)
        vector.flags.writeable = False
        return cls(vector, exclusive)


class Turn:
    """Another order of nodes than by name: who comes first where everything else is equal.

    order int32[N]: rows by domain as in the topology, own nodes of a domain in their turn.
    rank int32[N]: place of each row among all.
    """

    __slots__ = ("order", "rank")

    def __init__(self, tree: Tree, rank: I32) -> None:
        """`rank` is a permutation. Raises KernelArgumentError if it is none."""
        check("rank", rank, np.int32, (tree.nodes,))
        check_range("rank", rank, 0, max(tree.nodes, 1))
        if tree.nodes and int(np.bincount(rank, minlength=tree.nodes).max()) > 1:
            raise KernelArgumentError("rank: two rows in one place")
        self.rank = rank
        # Own nodes of a domain are side by side in the topology's order: only they change places.
        topology = tree.topology
        run = topology.node_parent[topology.order]
        begins = np.flatnonzero(np.diff(run, prepend=-1)).astype(np.int64)
        number = np.repeat(np.arange(begins.size), np.diff(np.append(begins, tree.nodes)))
        inside = np.lexsort((rank[topology.order], number))
        self.order: I32 = np.ascontiguousarray(topology.order[inside])


class Scratch:
    """Work arrays of one planner, sized for one tree. Not to be shared between threads."""

    __slots__ = ("heap", "share", "stack", "tree", "value")

    def __init__(self, tree: Tree) -> None:
        """Allocates about 20 bytes a node and 40 a domain."""
        # A row of step 4 may be all nodes, or all domains of a level.
        width = max(tree.domains, tree.nodes)
        self.tree = tree
        self.share: I64 = np.zeros((2, tree.domains), np.int64)
        self.value: I64 = np.empty((2, width), np.int64)
        self.heap: I32 = np.empty(width, np.int32)
        self.stack: I32 = np.empty((3, 2 * tree.domains + 2), np.int32)


def capacity(free: I64, slots: I64, reason: I16, request: Request) -> I64:
    """[N] members that fit on each node now; 0 where reason != 0.

    free int64[R, N], slots int64[N], reason int16[N].
    """
    n = slots.shape[0]
    check("free", free, np.int64, (request.vector.shape[0], n))
    check("slots", slots, np.int64, (n,))
    check("reason", reason, np.int16, (n,))
    out: I64 = np.empty(n, np.int64)
    _capacity.capacity(free, slots, reason, request.vector, request.exclusive, out)
    return out


def roll_up(tree: Tree, cap: I64) -> I64:
    """[D] sums of cap int64[N] under each domain."""
    check("cap", cap, np.int64, (tree.nodes,))
    out: I64 = np.empty(tree.domains, np.int64)
    _capacity.roll_up(tree.topology.parent, tree.topology.node_parent, cap, out)
    return out


def refresh_rows(
    tree: Tree, rows: I32, free: I64, slots: I64, reason: I16, request: Request, cap: I64, sums: I64
) -> None:
    """Brings cap int64[N] and sums int64[D] up to date in place for `rows` int32."""
    n = tree.nodes
    check("rows", rows, np.int32, (rows.shape[0],))
    check_range("rows", rows, 0, n)
    check("free", free, np.int64, (request.vector.shape[0], n))
    check("slots", slots, np.int64, (n,))
    check("reason", reason, np.int16, (n,))
    check("cap", cap, np.int64, (n,))
    check("sums", sums, np.int64, (tree.domains,))
    t = tree.topology
    _capacity.refresh_rows(
        t.parent, t.node_parent, rows, free, slots, reason, request.vector,
        request.exclusive, cap, sums,
    )  # fmt: skip


def take(rows: I32, request: Request, free: I64, slots: I64) -> I32:
    """Takes one member's room on each of `rows` in place; returns the rows touched (in runs)."""
    check("rows", rows, np.int32, (rows.shape[0],))
    check_range("rows", rows, 0, slots.shape[0])
    check("free", free, np.int64, (request.vector.shape[0], slots.shape[0]))
    check("slots", slots, np.int64, (slots.shape[0],))
    touched: I32 = np.empty(rows.shape[0], np.int32)
    runs = _capacity.take(rows, request.vector, free, slots, touched)
    return touched[:runs]


def segment_sums(tree: Tree, sums: I64, size: int, segment_level: int) -> I64:
    """[D] whole segments of `size` members under each domain at or above the level."""
    check("sums", sums, np.int64, (tree.domains,))
    if size <= 0 or not 0 <= segment_level < tree.levels:
        raise KernelArgumentError(f"segments of {size} at level {segment_level}")
    out: I64 = np.empty(tree.domains, np.int64)
    _capacity.segment_sums(
        tree.topology.parent, tree.topology.level, sums, size, segment_level, out
    )
    return out


def tight_nodes(
    tree: Tree, cap: I64, members: int, domains: I32, best: I32, turn: Turn | None = None
) -> int:
    """Per domain of `domains`, its tightest own node that holds `members`, into best int32[D].

    turn: who comes first among equals, None = by name. Returns rows compared.
    """
    check("cap", cap, np.int64, (tree.nodes,))
    check("domains", domains, np.int32, (domains.shape[0],))
    check_range("domains", domains, 0, tree.domains)
    check("best", best, np.int32, (tree.domains,))
    t = tree.topology
    order = t.order if turn is None else turn.order
    return _choose.tight_nodes(t.own_start, t.end, order, cap, members, domains, best)


def most(
    tree: Tree, permitted: I32, sums: I64, whole: I64, n: int, size: int, segment_level: int
) -> tuple[int, int]:
    """Step 1: (members, domain): the most of n members that one permitted domain holds."""
    _check_segments(tree, sums, whole, size, segment_level)
    check("permitted", permitted, np.int32, (permitted.shape[0],))
    check_range("permitted", permitted, 0, tree.domains)
    out: I64 = np.empty(2, np.int64)
    t = tree.topology
    _choose.most(
        t.level, t.start, t.end, t.ancestor, permitted, sums, whole, n, size,
        segment_level if size else -1, out,
    )  # fmt: skip
    return int(out[0]), int(out[1])


def choose(
    tree: Tree, cap: I64, sums: I64, whole: I64, tight: I32, m: int, size: int,
    segment_level: int, required: int, within: int, preferred: int, *, single: bool,
    turn: Turn | None = None,
) -> tuple[int, int]:  # fmt: skip
    """Steps 2 and 3: (domain, row) that holds m; row is -1 unless one node holds them all.

    `tight` int32[D] comes from tight_nodes for m, or is all -1 if no node holds m. (-1, -1) if
    nothing permitted holds m.
    """
    _check_segments(tree, sums, whole, size, segment_level)
    check("cap", cap, np.int64, (tree.nodes,))
    check("tight", tight, np.int32, (tree.domains,))
    for name, value, end in (
        ("required", required, tree.levels),
        ("within", within, tree.domains),
        ("preferred", preferred, tree.levels),
    ):
        if not -1 <= value < end:
            raise KernelArgumentError(f"{name}: {value} outside -1 .. {end - 1}")
    out: I64 = np.empty(2, np.int64)
    t = tree.topology
    position = t.position if turn is None else turn.rank
    _choose.choose(
        t.parent, t.level, t.start, t.end, t.path_rank, position, t.ancestor, cap, sums, whole,
        tight, m, size, segment_level if size else -1, required, within, preferred, single, out,
    )  # fmt: skip
    return int(out[0]), int(out[1])


def descend(
    tree: Tree, scratch: Scratch, cap: I64, sums: I64, whole: I64, domain: int, m: int,
    size: int, segment_level: int, turn: Turn | None = None,
) -> tuple[I32, int]:  # fmt: skip
    """Steps 4 and 5: (row of each of m members by rank, rows compared).

    The domain must hold m, as `choose` says it does.
    """
    _check_segments(tree, sums, whole, size, segment_level)
    check("cap", cap, np.int64, (tree.nodes,))
    if not CLUSTER <= domain < tree.domains or m < 0:
        raise KernelArgumentError(f"{m} members under domain {domain}")
    t = tree.topology
    if scratch.tree is not tree:
        raise KernelArgumentError("scratch: made for another tree")
    if size and t.level[domain] < segment_level:
        # A short segment that fits nowhere would be written past the ends of its arrays.
        only = tree.every_domain[domain : domain + 1]
        fine = most(tree, only, sums, whole, m, size, segment_level)[0] >= m
    else:
        fine = sums[domain] >= m
    if not fine:
        raise KernelArgumentError(f"domain {domain} does not hold {m} members")
    rows: I32 = np.empty(m, np.int32)
    visited = _descend.descend(
        t.parent, t.first_child, t.level, t.start, t.end, t.own_start, t.path_rank,
        t.order if turn is None else turn.order,
        cap, sums, whole, domain, size, segment_level if size else -1, tree.levels,
        scratch.share, scratch.value, scratch.heap, scratch.stack, rows,
    )  # fmt: skip
    return (rows if turn is None else _by_name(t, rows)), visited


def _by_name(topology: Topology, rows: I32) -> I32:
    """Neighbours under one domain in name order again: who was chosen does not change."""
    parent = topology.node_parent[rows]
    run = np.cumsum(np.diff(parent, prepend=parent[:1]) != 0)
    return np.ascontiguousarray(rows[np.lexsort((topology.position[rows], run))])


def _check_segments(tree: Tree, sums: I64, whole: I64, size: int, segment_level: int) -> None:
    check("sums", sums, np.int64, (tree.domains,))
    check("whole", whole, np.int64, (tree.domains,))
    if size < 0 or (size and not 0 <= segment_level < tree.levels):
        raise KernelArgumentError(f"segments of {size} at level {segment_level}")
