"""A gang of several kinds of members as arrays: who fits where, and what bounds a domain.

A kind is what members have in common: shape and pin. Kinds are numbered in the order in which
a node takes them: pinned ones first (fewest nodes first), then the largest request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from scheduler import kernel_search
from scheduler.kernel import Tree
from scheduler.kernel_search import BOUND_LIMIT, Gift, Members, Nodes
from scheduler.model.arrays import I32, I64
from scheduler.model.pending import NO_PIN
from scheduler.model.shape import Shape
from scheduler.model.tokens import DISK, clash, disk_rivals
from scheduler.plan.gang import Gang
from scheduler.plan.ledger import Ledger, View
from scheduler.plan.rule_ways import cliques, waived

READERS = 1 << 20
"""A node has at most so many pods that read one disk."""

Column = tuple[tuple[int, int], ...]
"""(shape, what a member of it takes) of something that a node has as much of as the largest."""

TIGHT_LIMIT = 1 << 62
"""Sums of capacities over shapes stop here."""


@dataclass(frozen=True, eq=False, slots=True)
class Problem:
    """N nodes by tree position, D domains, K kinds, n members; Q columns of room.

    The columns are the resources that some member asks for, then pod slots, then one per set
    of exclusive tokens, of which a node has one: so tokens need no rule of their own.
    """

    tree: Tree
    nodes: Nodes
    resources: int
    """How many of the Q columns are resources."""
    kind: I32
    """[n] kind of each member, by rank."""
    total: I64
    """[K] members of each kind."""
    weight: I64
    """[K, Q] what a member asks of each bound: its request in coarser units."""
    supply: I64
    """[N, Q] what a node can add to each bound, rounded up."""
    members: Members
    tightness: I64
    """[D] cap(d): each shape's capacity alone, summed over the gang's shapes (pins apart)."""
    node_tightness: I64
    """[N] the same for one node."""
    useful: I32
    """Positions of nodes that can take some member, rising."""
    fullness: I64
    """[N] members that a node could take, each kind alone."""
    size: int
    """Members per segment, or 0."""
    segment_level: int
    scarce: list[I32] = field(default_factory=list)
    """Filled when first asked for; see `scarce_turn`."""

    @property
    def n(self) -> int:
        """Members that want a place."""
        return int(self.kind.shape[0])

    def load(self, members: int) -> I64:
        """[K] the lowest `members` ranks by kind."""
        return np.bincount(self.kind[:members], minlength=self.nodes.kinds).astype(np.int64)

    def gift_load(self, gift: Gift) -> I64:
        """[K] members that a gift places."""
        load: I64 = np.zeros(self.nodes.kinds, np.int64)
        np.add.at(load, self.nodes.kind[gift.option], gift.count)
        return load

    def position_of(self, gift: Gift) -> I32:
        """Tree position of each entry of a gift."""
        at = np.searchsorted(self.nodes.first, gift.option, side="right") - 1
        return at.astype(np.int32)

    def under(self, domain: int) -> I32:
        """Useful positions under `domain`, in tree order."""
        topology = self.tree.topology
        return self.between(int(topology.start[domain]), int(topology.end[domain]))

    def between(self, start: int, end: int) -> I32:
        """Useful positions start .. end - 1."""
        low, high = np.searchsorted(self.useful, (start, end))
        return self.useful[low:high]

    def scarce_turn(self) -> I32:
        """[O] options of each node, the kind with least room for what it needs first."""
        if not self.scarce:
            nodes = self.nodes
            room: I64 = np.zeros(nodes.kinds, np.int64)
            np.add.at(room, nodes.kind, np.minimum(nodes.cap, self.total[nodes.kind]))
            order = np.argsort((room << 10) // np.maximum(self.total, 1), kind="stable")
            place: I32 = np.empty(nodes.kinds, np.int32)
            place[order] = np.arange(nodes.kinds, dtype=np.int32)
            position = np.repeat(np.arange(nodes.nodes), np.diff(nodes.first))
            turn = np.lexsort((place[nodes.kind], position)).astype(np.int32)
            nodes.check_turn(turn)
            self.scarce.append(turn)
        return self.scarce[0]


@dataclass(frozen=True, eq=False, slots=True)
class _Kind:
    shape: int
    position: I32
    """Tree positions that can take one, rising."""
    cap: I64
    pinned: bool


def build_problem(ledger: Ledger, gang: Gang, members: I32) -> Problem:
    """The members of `gang` named by index in `members`, on what is free in the ledger."""
    tree, topology = ledger.tree, ledger.tree.topology
    shapes = gang.shapes[members]
    views = views_of(ledger, gang, np.unique(shapes).tolist(), alone=members.size == 1)
    kinds, kind = _kinds(views, gang, members, topology.position)
    requests, room, resources = room_columns(ledger, list(views))
    order = _order(kinds, requests, room)
    place: I32 = np.empty(len(kinds), np.int32)
    place[order] = np.arange(len(kinds), dtype=np.int32)
    kinds, kind = [kinds[k] for k in order], place[kind]

    request = np.array([requests[k.shape] for k in kinds], np.int64)
    nodes = _nodes(kinds, request, room)
    total = np.bincount(kind, minlength=len(kinds)).astype(np.int64)
    weight, supply = _bounds(nodes, total)
    fullness = _per_node(nodes, np.minimum(nodes.cap, total[nodes.kind]))
    by_row = _saturated([view.cap for view in views.values()])
    return Problem(
        tree=tree,
        nodes=nodes,
        resources=resources,
        kind=kind,
        total=total,
        weight=weight,
        supply=supply,
        members=Members.of(kind, weight),
        tightness=_saturated([view.sums for view in views.values()]),
        node_tightness=by_row[topology.order],
        useful=np.flatnonzero(np.diff(nodes.first)).astype(np.int32),
        fullness=fullness,
        size=gang.segment_size,
        segment_level=gang.segment_level,
    )


def views_of(
    ledger: Ledger, gang: Gang, shapes: list[int], *, alone: bool = False
) -> dict[int, View]:
    """Capacities of each shape, as far as they are for ever: what members of the gang may come
    to allow each other is not refused. alone: one member, whom nothing of the gang helps.
    """
    known = {s: ledger.snapshot.shapes[s] for s in shapes}
    if alone or all(shape.rules.free for shape in known.values()):
        return {s: ledger.view(s, gang) for s in shapes}
    leaves = {mark for shape in known.values() for mark in shape.rules.leaves}
    return {s: ledger.view(s, gang, waived=waived(known[s], leaves)) for s in shapes}


def _kinds(
    views: dict[int, View], gang: Gang, members: I32, position: I32
) -> tuple[list[_Kind], I32]:
    """Kinds, and the kind of each member. Pins with equal rows are one pin."""
    code = gang.shapes[members].astype(np.int64) * (len(gang.pins) + 1) + gang.pin[members] + 1
    pairs, pair = np.unique(code, return_inverse=True)
    number: dict[tuple[int, bytes | None], int] = {}
    kinds: list[_Kind] = []
    of_pair: I32 = np.empty(pairs.shape[0], np.int32)
    for i, (shape, pin) in enumerate(zip(*np.divmod(pairs, len(gang.pins) + 1), strict=True)):
        pinned = int(pin) - 1 != NO_PIN
        rows = gang.pins[int(pin) - 1] if pinned else np.arange(position.shape[0])
        key = (int(shape), rows.tobytes() if pinned else None)
        if key not in number:
            number[key] = len(kinds)
            cap = views[int(shape)].cap[rows]
            at = np.flatnonzero(cap > 0)
            at = at[np.argsort(position[rows[at]], kind="stable")]
            kinds.append(_Kind(int(shape), position[rows[at]], cap[at], pinned))
        of_pair[i] = number[key]
    return kinds, of_pair[pair]


def room_columns(ledger: Ledger, shapes: list[int]) -> tuple[dict[int, list[int]], I64, int]:
    """(request of each shape, room [N, Q], resource columns) over the columns in use."""
    known = {s: ledger.snapshot.shapes[s] for s in shapes}
    used = [r for r in range(ledger.free.shape[0]) if any(known[s].requests[r] > 0 for s in shapes)]
    once = sorted({*_token_columns(known), *_one_of_each(ledger, known)})
    order = ledger.tree.topology.order
    room: I64 = np.ones((order.shape[0], len(used) + 1 + len(once)), np.int64)
    for column, r in enumerate(used):
        room[:, column] = ledger.free[r][order]
    room[:, len(used)] = ledger.slots[order]
    room[:, len(used) + 1 :] = [max(weight for _, weight in column) for column in once]
    requests = {
        s: [*(known[s].requests[r] for r in used), 1, *(dict(column).get(s, 0) for column in once)]
        for s in shapes
    }
    return requests, room, len(used)


def _token_columns(shapes: dict[int, Shape]) -> Iterator[Column]:
    """What tokens of these shapes a node gives away; shapes that carry the same share a column."""
    tokens = {token for shape in shapes.values() for token in shape.tokens}
    for token in tokens:
        if not token.startswith(DISK):
            yield tuple((s, 1) for s in shapes if _carries(shapes[s], token))
            continue
        # Many may read a disk, or one write to it: a writer takes as much as all readers could.
        rivals = disk_rivals(token)
        if token in rivals:
            users = [(s, _use(shape, token, rivals)) for s, shape in shapes.items()]
            yield tuple((s, weight) for s, weight in users if weight)


def _use(shape: Shape, token: str, rivals: tuple[str, ...]) -> int:
    """What a member takes of a disk that `token` means if it is written to."""
    return READERS if token in shape.tokens else int(any(r in shape.tokens for r in rivals))


def _one_of_each(ledger: Ledger, shapes: dict[int, Shape]) -> list[Column]:
    """Shapes that keep apart from each other on nodes. Whoever asks has seen to it that their
    rules say nothing else of each other (or lets more pass: `ruled_search.py`).
    """
    if all(shape.rules.free for shape in shapes.values()):
        return []
    return [tuple((s, 1) for s in clique) for clique in cliques(ledger.marks, shapes) or []]


def _carries(shape: Shape, token: str) -> bool:
    """Does a member of `shape` use up `token`? A host port on all addresses does so on each."""
    return any(own == token or (clash(own, token) and "@" not in own) for own in shape.tokens)


def _order(kinds: list[_Kind], requests: dict[int, list[int]], room: I64) -> list[int]:
    """Pinned kinds first, fewest nodes first; then the largest share of the cluster's room."""
    have = [max(1, _exact_sum(np.maximum(room[:, q], 0))) for q in range(room.shape[1])]
    share = {
        s: max((amount << 40) // total for amount, total in zip(request, have, strict=True))
        for s, request in requests.items()
    }

    def key(k: int) -> tuple[bool, int, int, int]:
        kind = kinds[k]
        nodes = kind.position.shape[0] if kind.pinned else 0
        return not kind.pinned, nodes, -share[kind.shape], k

    return sorted(range(len(kinds)), key=key)


def _nodes(kinds: list[_Kind], request: I64, room: I64) -> Nodes:
    position = np.concatenate([k.position for k in kinds])
    number = np.repeat(np.arange(len(kinds)), [k.position.shape[0] for k in kinds])
    cap = np.concatenate([k.cap for k in kinds])
    order = np.argsort(position, kind="stable")  # kinds are already rising
    first: I32 = np.zeros(room.shape[0] + 1, np.int32)
    np.cumsum(np.bincount(position, minlength=room.shape[0]), out=first[1:])
    return Nodes(first, number[order].astype(np.int32), cap[order], room, request)


def _bounds(nodes: Nodes, total: I64) -> tuple[I64, I64]:
    """(weight [K, Q], supply [N, Q]): sums that any assignment keeps, safe in int64.

    Where the members together ask for more than BOUND_LIMIT of a column, units are coarser by
    a power of two: weights rounded down and supplies up, so that the bound stays necessary.
    """
    weight, supply = np.empty_like(nodes.request), np.empty_like(nodes.room)
    most = np.minimum(nodes.cap, total[nodes.kind])
    for q in range(nodes.request.shape[1]):
        request = nodes.request[:, q]
        asked = sum(int(t) * r for t, r in zip(total.tolist(), request.tolist(), strict=True))
        shift = max(0, (asked + 1).bit_length() - BOUND_LIMIT.bit_length() + 1)
        enough = (asked >> shift) + 1
        weight[:, q] = request >> shift
        # cap x request is at most the node's room, so this product stays inside int64.
        usable = _per_node(nodes, np.minimum(_coarse(most * request[nodes.kind], shift), enough))
        room = _coarse(np.maximum(nodes.room[:, q], 0), shift)
        supply[:, q] = np.minimum(np.minimum(room, usable), enough)
    return weight, supply


def _coarse(amount: I64, shift: int) -> I64:
    """amount / 2**shift, rounded up (by one more at times, which no bound minds)."""
    return (amount >> shift) + 1 if shift else amount


def _per_node(nodes: Nodes, amount: I64) -> I64:
    """[N] sums of an amount per option."""
    sums: I64 = np.concatenate(([0], np.cumsum(amount)))
    return sums[nodes.first[1:]] - sums[nodes.first[:-1]]


def _exact_sum(column: I64) -> int:
    """The sum as a Python int, however large."""
    return (int((column >> 32).sum()) << 32) + int((column & 0xFFFFFFFF).sum())


def _saturated(columns: list[I64]) -> I64:
    """Sums of columns >= 0 that stop at TIGHT_LIMIT."""
    total: I64 = np.zeros_like(columns[0])
    for column in columns:
        total += np.minimum(column, TIGHT_LIMIT - total)
    return total


def bounds_of_domains(ledger: Ledger, problem: Problem) -> I64:
    """[D] a longer prefix of the members cannot fit under the domain."""
    most, visited = kernel_search.prefix_bounds(
        problem.tree, problem.nodes, problem.tree.every_domain, problem.supply, problem.members
    )
    ledger.stats.nodes_scanned += visited
    return most
