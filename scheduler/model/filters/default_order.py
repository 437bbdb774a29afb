"""kube-scheduler's Filter plugins in its default order, over columns, in its own words.

What production counts is Muster's (`Eligibility`, capacities); this says for each node which
plugin kube-scheduler would name first, with its code and all of that plugin's reasons, and puts
the counts into the sentence that its users know. The rules are those modules' own: nothing here
decides anything but order and text.

    PreEnqueue, PreFilter   refuse the pod as such        `refusal`
    PreFilter               leaves only nodes by name     the others: CUT_OFF
    Filter, node by node    first plugin that refuses     `verdicts`

Source: apis/config/v1/default_plugins.go, schedule_one.go, framework/types.go (FitError) and the
plugins (1.36).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I16, I32, I64
from scheduler.model.filters import pod_affinity, resources, slots, spread
from scheduler.model.filters.columns import ClusterColumns, Filter, NodeColumns, Reasons
from scheduler.model.filters.cordon import CordonFilter
from scheduler.model.filters.declared_features import FeatureFilter
from scheduler.model.filters.node_affinity import AffinityFilter, SelectorFilter, named_nodes
from scheduler.model.filters.node_name import elsewhere
from scheduler.model.filters.taints import TaintFilter
from scheduler.model.filters.tokens import TokenFilter
from scheduler.model.resources import VOLUME_ROOM
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.model.tokens import DISK, PORT
from scheduler.model.volumes.outcome import Code
from scheduler.model.volumes.verdicts import VolumeVerdicts

__all__ = [
    "ANYBODY",
    "CONFLICT",
    "CUT_OFF",
    "MISMATCH",
    "NOT_APART",
    "NOT_NEAR",
    "NO_ATTACHMENT",
    "NO_DISK",
    "NO_FEATURE",
    "NO_KEY",
    "OTHER_NAME",
    "PORTS",
    "REPELLED",
    "SKEW",
    "TAINTED",
    "UNSCHEDULABLE",
    "Code",
    "Counted",
    "Member",
    "Verdict",
    "Verdicts",
    "available_text",
    "counted_in",
    "gated",
    "refusal",
    "verdicts",
]

Mask = npt.NDArray[np.bool_]
Counted = Callable[[str], I64]
"""mark -> int64[N], pods of that mark on each row."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The refusal of one plugin, with all its reasons in the order in which it gives them."""

    plugin: str
    code: Code
    reasons: tuple[str, ...]


def _unresolvable(plugin: str, reason: str) -> Verdict:
    return Verdict(plugin, Code.UNRESOLVABLE, (reason,))


UNSCHEDULABLE = _unresolvable("NodeUnschedulable", "node(s) were unschedulable")
OTHER_NAME = _unresolvable("NodeName", "node(s) didn't match the requested node name")
TAINTED = _unresolvable("TaintToleration", "node(s) had untolerated taint(s)")
MISMATCH = _unresolvable("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
CONFLICT = _unresolvable("NodeAffinity", "pod affinity terms conflict")
CUT_OFF = _unresolvable("NodeAffinity", "node(s) didn't satisfy plugin(s) [NodeAffinity]")
"""kube-scheduler names no plugin beside this text, and the plugin within it."""
PORTS = Verdict(
    "NodePorts",
    Code.UNSCHEDULABLE,
    ("node(s) didn't have free ports for the requested pod ports",),
)
NO_DISK = Verdict("VolumeRestrictions", Code.UNSCHEDULABLE, ("node(s) had no available disk",))
NO_ATTACHMENT = Verdict(
    "NodeVolumeLimits", Code.UNSCHEDULABLE, ("node(s) exceed max volume count",)
)
NO_KEY = _unresolvable("PodTopologySpread", spread.MISSING_REASON)
SKEW = Verdict("PodTopologySpread", Code.UNSCHEDULABLE, (spread.SKEW_REASON,))
NOT_NEAR = _unresolvable("InterPodAffinity", pod_affinity.NEAR_REASON)
NOT_APART = Verdict("InterPodAffinity", Code.UNSCHEDULABLE, (pod_affinity.APART_REASON,))
REPELLED = Verdict("InterPodAffinity", Code.UNSCHEDULABLE, (pod_affinity.REPELLED_REASON,))
NO_FEATURE = _unresolvable("NodeDeclaredFeatures", "node(s) didn't match Pod's required features")


_BITS = 30
"""Lacks told apart at once: with the 31 bits of a row's number they fit into int64."""


def gated(gates: Sequence[str]) -> Verdict:
    """SchedulingGates: a pod with gates is not even queued."""
    return _unresolvable("SchedulingGates", f"waiting for scheduling gates: [{' '.join(gates)}]")


@dataclass(frozen=True, slots=True)
class Member:
    """What kube-scheduler's filters read of one pod beside its shape."""

    gates: tuple[str, ...] = ()
    pins: tuple[str, ...] | None = None
    """Names of all nodes that its required affinity admits, where the shape leaves them out."""
    node_name: str = ""
    volumes: VolumeVerdicts | None = None
    """What the volume plugins say of it; None if it has no volumes."""
    claims: Verdict | None = None
    """What is wrong with its ResourceClaims (DynamicResources), at PreFilter."""


ANYBODY = Member()


@dataclass(frozen=True, eq=False, slots=True)
class Verdicts:
    """One pod against all nodes.

    which: int32[N], 0 = the node passes, k = it is refused by given[k - 1].
    """

    which: I32
    given: tuple[Verdict, ...]

    def at(self, row: int) -> Verdict | None:
        """The refusal of one node, or None."""
        number = int(self.which[row])
        return self.given[number - 1] if number else None

    def counts(self) -> dict[str, int]:
        """Nodes per reason; a node with two reasons counts under both."""
        nodes = np.bincount(self.which, minlength=len(self.given) + 1).tolist()
        counts: dict[str, int] = {}
        for verdict, count in zip(self.given, nodes[1:], strict=True):
            for reason in verdict.reasons if count else ():
                counts[reason] = counts.get(reason, 0) + count
        return counts


def counted_in(nodes: Snapshot) -> Counted:
    """Pods of each mark per row, as a snapshot has them."""

    def counted(mark: str) -> I64:
        counts: I64 = np.zeros(len(nodes.names), np.int64)
        column = nodes.marks.get(mark)
        if column is not None:
            counts[column.rows] = column.counts
        return counts

    return counted


def refusal(shape: Shape, member: Member = ANYBODY) -> Verdict | None:
    """Why no node is looked at at all (PreEnqueue, then PreFilter), or None."""
    if member.gates:
        return gated(member.gates)
    if member.pins is None and shape.affinity and named_nodes(shape.affinity) == frozenset():
        return CONFLICT
    if member.volumes is not None and member.volumes.refused is not None:
        refused = member.volumes.refused
        return Verdict(refused.plugin, refused.code, (refused.reason,))
    return member.claims


def verdicts(
    shape: Shape, nodes: ClusterColumns, counted: Counted, member: Member = ANYBODY
) -> Verdicts:
    """What each node answers to one more pod of `shape`; a pod that `refusal` lets pass."""
    book = _Book(len(nodes.names))
    book.refuse(_cut_off(shape, member, nodes), CUT_OFF)
    book.refuse(_by(CordonFilter(), shape, nodes), UNSCHEDULABLE)
    book.refuse(elsewhere(member.node_name, nodes), OTHER_NAME)
    book.refuse(_by(TaintFilter(), shape, nodes), TAINTED)
    book.refuse(_by(SelectorFilter(), shape, nodes), MISMATCH)
    book.refuse(_by(AffinityFilter(), shape, nodes), MISMATCH)
    ports = tuple(token for token in shape.tokens if token.startswith(PORT))
    disks = tuple(token for token in shape.tokens if token.startswith(DISK))
    book.refuse(_taken(ports, shape, nodes), PORTS)
    requests, room = _told_apart(shape.requests, nodes)
    _fit(replace(shape, requests=requests), nodes, book)
    book.refuse(_taken(disks, shape, nodes), NO_DISK)
    book.refuse(_short(room, nodes), NO_ATTACHMENT)
    for each in member.volumes.verdicts if member.volumes is not None else ():
        outcomes = [o for o in each.outcomes if o is not None]
        book.number(each.codes, [Verdict(each.plugin, o.code, o.reasons) for o in outcomes])
    if shape.rules.spread:
        book.number(spread.codes(shape, nodes, counted), (NO_KEY, SKEW))
    if shape.rules.near or shape.rules.apart or shape.rules.repelled:
        codes = pod_affinity.codes(shape, nodes, counted)
        book.number(codes, (NOT_NEAR, NOT_APART, REPELLED))
    book.refuse(_by(FeatureFilter(), shape, nodes), NO_FEATURE)
    return Verdicts(book.which, tuple(book.given))


class _Book:
    """Who was refused, by the first that did."""

    def __init__(self, rows: int) -> None:
        self.which: I32 = np.zeros(rows, np.int32)
        self.given: list[Verdict] = []
        self._numbers: dict[Verdict, int] = {}

    def code(self, verdict: Verdict) -> int:
        """The number of `verdict`, given now if it is new."""
        number = self._numbers.setdefault(verdict, len(self.given) + 1)
        if number > len(self.given):
            self.given.append(verdict)
        return number

    def refuse(self, where: Mask | None, verdict: Verdict) -> None:
        """`verdict` on those of `where` whom nobody has refused yet."""
        if where is not None and where.any():
            self.which[where & (self.which == 0)] = self.code(verdict)

    def number(self, codes: I16, given: Sequence[Verdict]) -> None:
        """given[k - 1] where codes is k, on those whom nobody has refused yet."""
        for k in np.unique(codes[self.which == 0]).tolist():
            if k:
                self.refuse(codes == k, given[k - 1])


def _by(each: Filter, shape: Shape, nodes: NodeColumns) -> Mask | None:
    codes = each.verdict(shape, nodes, None, Reasons())
    return None if codes is None else codes != 0


def _taken(tokens: tuple[str, ...], shape: Shape, nodes: NodeColumns) -> Mask | None:
    """Where one of `tokens` of the shape is given away."""
    return _by(TokenFilter(), replace(shape, tokens=tokens), nodes) if tokens else None


def _cut_off(shape: Shape, member: Member, nodes: NodeColumns) -> Mask | None:
    named = member.pins if member.pins is not None else named_nodes(shape.affinity)
    if named is None:
        return None
    names = frozenset(named)
    return np.array([name not in names for name in nodes.names], np.bool_)


Requests = tuple[int, ...]


def _told_apart(requests: Requests, nodes: ClusterColumns) -> tuple[Requests, Requests]:
    """(requests of resources, room for volumes), each 0 where the other is."""
    ours = [name.startswith(VOLUME_ROOM) for name in nodes.resources.names]
    if not any(ours):
        return requests, ()
    each = list(zip(requests, ours, strict=True))
    return tuple(0 if own else n for n, own in each), tuple(n if own else 0 for n, own in each)


def _short(requests: Requests, nodes: ClusterColumns) -> Mask | None:
    """Where one of `requests` is more than is left."""
    short = [ask > nodes.free[r] for r, ask in enumerate(requests) if ask > 0]
    return np.logical_or.reduce(short) if short else None


def _fit(shape: Shape, nodes: ClusterColumns, book: _Book) -> None:
    """NodeResourcesFit: rows that lack the same things are answered once."""
    lacks: list[Mask] = [nodes.slots < 1]
    for r, ask in enumerate(shape.requests):
        if ask > 0:
            short = ask > nodes.free[r]
            lacks += [short, short & (ask > nodes.allocatable[r])]
    asked = np.flatnonzero((book.which == 0) & np.logical_or.reduce(lacks))
    if not asked.size:
        return
    kind: I64 = np.zeros(asked.size, np.int64)
    for i, lack in enumerate(lacks):
        if i % _BITS == _BITS - 1:  # numbered anew before the bits run out
            kind = np.unique(kind, return_inverse=True)[1]
        kind = 2 * kind + lack[asked]
    _, first, kind = np.unique(kind, return_index=True, return_inverse=True)
    numbers = [book.code(fit_verdict(shape, nodes, int(asked[i]))) for i in first.tolist()]
    book.which[asked] = np.array(numbers, np.int32)[kind]


def fit_verdict(shape: Shape, nodes: ClusterColumns, row: int) -> Verdict:
    """NodeResourcesFit on a row that it refuses."""
    free, has = nodes.free[:, row].tolist(), nodes.allocatable[:, row].tolist()
    found = [] if slots.fits(int(nodes.slots[row])) else [slots.REASON]
    found += resources.reasons(free, shape.requests, nodes.resources)
    hopeless = resources.hopeless(has, free, shape.requests)
    code = Code.UNRESOLVABLE if hopeless else Code.UNSCHEDULABLE
    return Verdict("NodeResourcesFit", code, tuple(found))


def available_text(nodes: int, refused: Mapping[str, int] | Verdict, passing: int = 0) -> str:
    """`0/N nodes are available: 412 Insufficient nvidia.com/gpu, ...` as kube-scheduler writes it.

    nodes: N, all nodes there are. refused: nodes per reason (`Verdicts.counts`), or what refused
    the pod as such. Parts are sorted as texts, so that `10 x` stands before `2 y`. passing: nodes
    that take one member of a gang that does not fit; kube-scheduler knows no such line.
    """
    if not nodes:
        return "no nodes available to schedule pods"
    if isinstance(refused, Verdict):
        parts = list(refused.reasons)
    else:
        parts = sorted(f"{count} {reason}" for reason, count in refused.items())
    said = f": {', '.join(parts)}." if parts else ("." if passing else ":")
    whom = " to a single member" if passing else ""
    return f"{passing}/{nodes} nodes are available{whom}{said}"
