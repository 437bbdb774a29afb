"""The static filters for one node, written down plainly: the definition that columns must match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.model.constraints import Requirement, Taint, Term
from scheduler.model.filters import cordon, node_affinity, taints, tokens
from scheduler.model.shape import Shape


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the static filters look at on one node."""

    name: str
    cordoned: bool = False
    taints: tuple[Taint, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    tokens: frozenset[str] = frozenset()


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
    return ""


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
