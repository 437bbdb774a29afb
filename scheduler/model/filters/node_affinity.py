"""NodeAffinity: `nodeSelector` and required node affinity.

Source: plugins/nodeaffinity, component-helpers nodeaffinity.go and apimachinery
labels/selector.go (1.36). A term that does not parse never matches, the other terms still
may; an empty term, or no term at all, matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I16, I32
from scheduler.model.constraints import Requirement, Term
from scheduler.model.filters.columns import NodeColumns, Reasons, row_count
from scheduler.model.resources import INT64_MAX
from scheduler.model.shape import Shape

NAME_FIELD = "metadata.name"
AFFINITY_REASON = "node affinity"

Mask = npt.NDArray[np.bool_]

_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_LONGEST_PREFIX = 253
_LONGEST_NUMBER = 64
"""No label value is longer. Leading zeros are allowed; Python would take minutes over a number of
a million digits."""


def selector_reason(key: str, value: str) -> str:
    """How a node without this label is counted."""
    return f"node selector {key}={value}"


def parse_int64(text: str) -> int | None:
    """A decimal int64 as Go reads it (no underscores, no spaces), or None."""
    if len(text) > _LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else None


def is_label_value(text: str) -> bool:
    """Whether `text` may be the value of a label."""
    return _VALUE.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether `text` may be the key of a label: `name` or `dns.prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > _LONGEST_PREFIX or _PREFIX.fullmatch(prefix) is None):
        return False
    return bool(name) and is_label_value(name)


def parses(requirement: Requirement) -> bool:
    """Whether Kubernetes can evaluate this label requirement at all."""
    values = requirement.values
    if not is_label_key(requirement.key) or not all(map(is_label_value, values)):
        return False
    match requirement.operator:
        case "In" | "NotIn":
            return len(values) > 0
        case "Exists" | "DoesNotExist":
            return len(values) == 0
        case "Gt" | "Lt":
            return len(values) == 1 and parse_int64(values[0]) is not None
        case _:
            return False


def field_parses(requirement: Requirement) -> bool:
    """The same for `matchFields`: In or NotIn with exactly one value."""
    return requirement.operator in ("In", "NotIn") and len(requirement.values) == 1


def named_nodes(terms: Sequence[Term] | None) -> frozenset[str] | None:
    """Names of the nodes that required affinity leaves over by name alone; None = no bound.

    They are a bound only if every term names nodes with `metadata.name In`. Empty: the names of
    each term contradict one another (plugins/nodeaffinity, PreFilter). Other requirements are
    not looked at.
    """
    found: frozenset[str] = frozenset()
    for term in terms or ():
        listed = [
            frozenset(each.values)
            for each in term.fields
            if each.key == NAME_FIELD and each.operator == "In"
        ]
        if not listed:
            return None
        found |= frozenset.intersection(*listed)
    return found if terms else None


def _table(requirement: Requirement, values: Sequence[str]) -> Mask:
    """bool[V + 1]: does each value satisfy the requirement; last (code -1) = no such label."""
    operator = requirement.operator
    if operator in ("Gt", "Lt"):
        holds = _compare(operator, requirement.values[0])
        return np.array([*map(holds, values), False], np.bool_)
    positive = operator in ("In", "Exists")
    table: Mask = np.full(len(values) + 1, operator not in ("In", "DoesNotExist"), np.bool_)
    table[-1] = not positive
    for value in requirement.values:
        if value in values:
            table[values.index(value)] = positive
    return table


def _compare(operator: str, bound: str) -> Callable[[str], bool]:
    limit = parse_int64(bound)

    def holds(value: str) -> bool:
        number = parse_int64(value)
        if number is None or limit is None:
            return False
        return number > limit if operator == "Gt" else number < limit

    return holds


def _label_mask(requirement: Requirement, nodes: NodeColumns, rows: I32 | None) -> Mask:
    column = nodes.labels.get(requirement.key)
    if column is None:
        absent = requirement.operator in ("NotIn", "DoesNotExist")
        return np.full(row_count(nodes, rows), absent, np.bool_)
    code = column.code if rows is None else column.code[rows]
    return _table(requirement, column.values)[code]


def _field_mask(requirement: Requirement, nodes: NodeColumns, rows: I32 | None) -> Mask:
    # Any other field is unknown to Kubernetes and reads as the empty string.
    positive = requirement.operator == "In"
    value = requirement.values[0]
    if requirement.key != NAME_FIELD:
        return np.full(row_count(nodes, rows), (value == "") is positive, np.bool_)
    mask: Mask = np.full(len(nodes.names), not positive, np.bool_)
    if value in nodes.names:
        mask[nodes.names.index(value)] = positive
    return mask if rows is None else mask[rows]


def _term_mask(term: Term, nodes: NodeColumns, rows: I32 | None) -> Mask | None:
    """Rows that one term admits; None if it can match nothing."""
    if not term.expressions and not term.fields:
        return None
    if not all(map(parses, term.expressions)) or not all(map(field_parses, term.fields)):
        return None
    mask: Mask = np.ones(row_count(nodes, rows), np.bool_)
    for requirement in term.expressions:
        mask &= _label_mask(requirement, nodes, rows)
    for requirement in term.fields:
        mask &= _field_mask(requirement, nodes, rows)
    return mask


def affinity_mask(terms: Sequence[Term], nodes: NodeColumns, rows: I32 | None = None) -> Mask:
    """bool per asked row: whether any of `terms` admits the node (also for volumes' affinity)."""
    admitted: Mask = np.zeros(row_count(nodes, rows), np.bool_)
    for term in terms:
        mask = _term_mask(term, nodes, rows)
        if mask is not None:
            admitted |= mask
    return admitted


class SelectorFilter:
    """`nodeSelector`: every pair must stand on the node as it is; the first that does not counts.

    Values are compared as they are: a pair that could not be a label matches no node.
    """

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        codes: I16 | None = None
        for key, value in shape.selector:
            refused = ~_label_mask(Requirement(key, "In", (value,)), nodes, rows)
            if not refused.any():
                continue
            if codes is None:
                codes = np.zeros(len(refused), np.int16)
            codes[refused & (codes == 0)] = reasons.code(selector_reason(key, value))
        return codes


class AffinityFilter:
    """Required node affinity: at least one term must admit the node."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        if shape.affinity is None:
            return None
        admitted = affinity_mask(shape.affinity, nodes, rows)
        if admitted.all():
            return None
        codes: I16 = np.where(admitted, 0, reasons.code(AFFINITY_REASON)).astype(np.int16)
        return codes
