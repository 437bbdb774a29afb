"""The filters for one node, written down plainly: the definition that columns must match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scheduler.model.constraints import Requirement, Taint, Term
from scheduler.model.filters import (
    cordon,
    declared_features,
    default_order,
    node_affinity,
    taints,
    tokens,
)
from scheduler.model.filters.default_order import Code, Member, Verdict
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What filters look at on one node, other nodes apart."""

    name: str
    cordoned: bool = False
    taints: tuple[Taint, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()
    features: tuple[str, ...] = ()
    allocatable: tuple[int, ...] = ()
    free: tuple[int, ...] = ()
    """Allocatable less what its pods take."""
    slots: int = 110
    """Pods that it takes besides those it has."""


def first_reason(shape: Shape, node: NodeFacts) -> str:
    """The text under which `node` is counted for `shape`; empty if it is eligible."""
    if node.cordoned and not taints.tolerated(cordon.CORDON_TAINT, shape.tolerations):
        return cordon.REASON
    for taint in node.taints:
        hard = taint.effect in ("NoSchedule", "NoExecute")
        if hard and not any(taints.matches(each, taint) for each in shape.tolerations):
            return taints.reason(taint)
    for key, value in shape.selector:
        if node.labels.get(key) != value:
            return node_affinity.selector_reason(key, value)
    if shape.affinity is not None and not any(term_admits(t, node) for t in shape.affinity):
        return node_affinity.AFFINITY_REASON
    for wanted in shape.tokens:
        if any(tokens.clash(wanted, held) for held in node.tokens):
            return tokens.token_reason(wanted)
    for feature in shape.features:
        if feature not in node.features:
            return declared_features.feature_reason(feature)
    return ""


def first_verdict(
    shape: Shape,
    node: NodeFacts,
    order: ResourceOrder,
    member: Member = default_order.ANYBODY,
    between: Callable[[], Verdict | None] = lambda: None,
) -> Verdict | None:
    """What kube-scheduler says of `node`: its first plugin that refuses, or None.

    between: what the rules between pods say, if they are asked. Volumes are left out.
    """
    refused = _refused_by_itself(shape, node, member)
    if refused is not None:
        return refused
    clashes = {
        wanted.partition(":")[0]
        for wanted in shape.tokens
        for held in node.tokens
        if tokens.clash(wanted, held)
    }
    if "port" in clashes:
        return default_order.PORTS
    lacking = _lacking(shape, node, order)
    if lacking is not None:
        return lacking
    if "disk" in clashes:
        return default_order.NO_DISK
    missing = not set(shape.features) <= set(node.features)
    return between() or (default_order.NO_FEATURE if missing else None)


def _refused_by_itself(shape: Shape, node: NodeFacts, member: Member) -> Verdict | None:
    """The plugins that look at nothing but what is written on the node."""
    pins = member.pins if member.pins is not None else pinned(shape.affinity)
    if pins is not None and node.name not in pins:
        return default_order.CUT_OFF
    if node.cordoned and not taints.tolerated(cordon.CORDON_TAINT, shape.tolerations):
        return default_order.UNSCHEDULABLE
    if member.node_name not in ("", node.name):
        return default_order.OTHER_NAME
    hard = [taint for taint in node.taints if taint.effect in ("NoSchedule", "NoExecute")]
    if not all(taints.tolerated(taint, shape.tolerations) for taint in hard):
        return default_order.TAINTED
    if any(node.labels.get(key) != value for key, value in shape.selector):
        return default_order.MISMATCH
    if shape.affinity is not None and not any(term_admits(t, node) for t in shape.affinity):
        return default_order.MISMATCH
    return None


def _lacking(shape: Shape, node: NodeFacts, order: ResourceOrder) -> Verdict | None:
    found = ["Too many pods"] if node.slots <= 0 else []
    code = Code.UNSCHEDULABLE
    each = zip(order.names, shape.requests, node.free, node.allocatable, strict=True)
    for name, asked, free, allocatable in each:
        if asked > 0 and asked > free:
            found.append(f"Insufficient {name}")
            if asked > allocatable:
                code = Code.UNRESOLVABLE
    return Verdict("NodeResourcesFit", code, tuple(found)) if found else None


def pinned(terms: tuple[Term, ...] | None) -> set[str] | None:
    """Nodes that required affinity names, if each of its terms names some; None = any."""
    if not terms:
        return None
    names: set[str] = set()
    for term in terms:
        lists = [f.values for f in term.fields if (f.key, f.operator) == ("metadata.name", "In")]
        if not lists:
            return None
        names |= {name for name in lists[0] if all(name in other for other in lists)}
    return names


def term_admits(term: Term, node: NodeFacts) -> bool:
    """One node selector term on one node."""
    if not term.expressions and not term.fields:
        return False
    if not all(node_affinity.parses(each) for each in term.expressions):
        return False
    if not all(node_affinity.field_parses(each) for each in term.fields):
        return False
    fields = {node_affinity.NAME_FIELD: node.name}
    return all(holds(each, node.labels.get(each.key)) for each in term.expressions) and all(
        holds(each, fields.get(each.key, "")) for each in term.fields
    )


def holds(requirement: Requirement, value: str | None) -> bool:
    """A requirement that parses, on one value; None = the node has no such label."""
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    bound = node_affinity.parse_int64(requirement.values[0])
    number = None if value is None else node_affinity.parse_int64(value)
    if bound is None or number is None:
        return False
    return number > bound if requirement.operator == "Gt" else number < bound
