"""What a pod's spec asks of other pods: spread constraints and required pod (anti-)affinity.

Marks name the pods that count (see audience.py). A term without namespaces and without a
namespaceSelector means its owner's namespace; a selector that is null selects nobody, an empty
one everybody. Two exceptions of PodTopologySpread: an empty selector counts nobody but the pod
itself, and matchLabelKeys are put beside the selector here (those of affinity were merged by
the API server). A list of terms of which one does not parse asks for nothing; `unreadable`
names it. Source: plugins/podtopologyspread/common.go, plugins/interpodaffinity,
framework/types.go, apimachinery LabelSelectorAsSelector (1.36).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from scheduler.model.audience import (
    MEMBER_LABELS,
    Audience,
    Carried,
    Scope,
    holds,
    keys_read,
    mark_of,
    matches,
    meaning_of,
    who_of,
)
from scheduler.model.constraints import Requirement
from scheduler.model.filters.node_affinity import is_label_key, is_label_value
from scheduler.model.objects import LabelSelector, PodAffinityTerm, PodSpec, SpreadConstraint
from scheduler.model.pod_rules import NO_RULES, Apart, Near, PodRules, Spread

DO_NOT_SCHEDULE = "DoNotSchedule"
MEMBER_RULES = "rules on labels of single members"
"""Unsupported: what the rule means would differ from one member to the next."""

Selector = tuple[Requirement, ...]
T = TypeVar("T", PodAffinityTerm, SpreadConstraint)


def near_terms(spec: PodSpec) -> Sequence[PodAffinityTerm]:
    """Required terms of podAffinity."""
    found = spec.affinity.pod_affinity if spec.affinity else None
    return (found.required_during_scheduling_ignored_during_execution or ()) if found else ()


def apart_terms(spec: PodSpec) -> Sequence[PodAffinityTerm]:
    """Required terms of podAntiAffinity."""
    found = spec.affinity.pod_anti_affinity if spec.affinity else None
    return (found.required_during_scheduling_ignored_during_execution or ()) if found else ()


def hard_spread(spec: PodSpec) -> Sequence[SpreadConstraint]:
    """Constraints with DoNotSchedule, as declared."""
    found = spec.topology_spread_constraints or ()
    return [each for each in found if each.when_unsatisfiable == DO_NOT_SCHEDULE]


def rules_of(spec: PodSpec, namespace: str, labels: Mapping[str, str]) -> PodRules:
    """What the pod itself asks; `repelled` and `leaves` are for whoever knows the others.

    `own` of affinity whose namespaceSelector asks for labels is that of a namespace without any.
    """
    near, apart, spread = near_terms(spec), apart_terms(spec), hard_spread(spec)
    if not (near or apart or spread):
        return NO_RULES
    return PodRules(
        spread=tuple(_spread(each, namespace, labels) for each in _readable(spread)),
        near=_near(_readable(near), namespace, labels),
        apart=tuple(sorted({_apart(term, namespace) for term in _readable(apart)})),
    )


def carried_by(rules: PodRules) -> tuple[Carried, ...]:
    """The terms that a pod with these rules carries, sorted by mark. Raises ValueError."""
    found = []
    for rule in rules.apart:
        meaning = meaning_of(rule.mark)
        if isinstance(meaning, Audience):
            found.append(Carried(rule.key, meaning.scopes[0]))
    return tuple(found)


def unreadable(spec: PodSpec) -> tuple[str, ...]:
    """Names of the rules that kube-scheduler could not parse either: such a pod waits."""
    parses = {
        "podAffinity": _all_parse(near_terms(spec)),
        "podAntiAffinity": _all_parse(apart_terms(spec)),
        "topologySpreadConstraints": _all_parse(hard_spread(spec)),
    }
    return tuple(f"unreadable {name}" for name, parse in parses.items() if not parse)


def reads_members(spec: PodSpec, rules: PodRules) -> bool:
    """Whether a rule depends on labels that differ between the members of one workload."""
    keys = {key for mark in rules.asks for key in keys_read(meaning_of(mark))}
    keys.update(key for each in hard_spread(spec) for key in each.match_label_keys or ())
    return not keys.isdisjoint(MEMBER_LABELS)


def _readable(terms: Sequence[T]) -> Sequence[T]:
    return terms if _all_parse(terms) else ()


def _all_parse(terms: Sequence[PodAffinityTerm] | Sequence[SpreadConstraint]) -> bool:
    return all(
        _parses(term.label_selector)
        and (not isinstance(term, PodAffinityTerm) or _parses(term.namespace_selector))
        for term in terms
    )


def _parses(selector: LabelSelector | None) -> bool:
    return all(_evaluable(each) for each in selector_of(selector) or ())


def _evaluable(requirement: Requirement) -> bool:
    """Gt and Lt, which node affinity knows, are no operators of a label selector."""
    if not is_label_key(requirement.key) or not all(map(is_label_value, requirement.values)):
        return False
    match requirement.operator:
        case "In" | "NotIn":
            return len(requirement.values) > 0
        case "Exists" | "DoesNotExist":
            return len(requirement.values) == 0
        case _:
            return False


def selector_of(selector: LabelSelector | None) -> Selector | None:
    """A label selector as requirements, sorted; () selects all, None nobody."""
    if selector is None:
        return None
    pairs = (selector.match_labels or {}).items()
    found = {Requirement(key, "In", (value,)) for key, value in pairs}
    found.update(
        Requirement(each.key, each.operator, tuple(sorted(set(each.values or ()))))
        for each in selector.match_expressions or ()
    )
    return tuple(sorted(found))


def _scope(term: PodAffinityTerm, namespace: str) -> Scope:
    spaces = set(term.namespaces or ())
    if not spaces and term.namespace_selector is None:
        spaces = {namespace}
    return Scope(
        selector_of(term.label_selector),
        tuple(sorted(spaces)),
        selector_of(term.namespace_selector),
    )


def _apart(term: PodAffinityTerm, namespace: str) -> Apart:
    return Apart(term.topology_key, mark_of(Audience((_scope(term, namespace),))))


def _near(
    terms: Sequence[PodAffinityTerm], namespace: str, labels: Mapping[str, str]
) -> Near | None:
    if not terms:
        return None
    audience = Audience(tuple(_scope(term, namespace) for term in terms))
    return Near(
        keys=tuple(term.topology_key for term in terms),
        mark=mark_of(Audience(tuple(sorted(set(audience.scopes), key=repr)))),  # None: no order
        own=_means(audience, namespace, labels),
    )


def _means(audience: Audience, namespace: str, labels: Mapping[str, str]) -> bool:
    return matches(audience, who_of(namespace, labels), {})


def _spread(each: SpreadConstraint, namespace: str, labels: Mapping[str, str]) -> Spread:
    selector = selector_of(each.label_selector)
    also = {
        Requirement(key, "In", (labels[key],))
        for key in each.match_label_keys or ()
        if key in labels
    }
    if also:
        selector = tuple(sorted({*(selector or ()), *also}))
    audience = Audience((Scope(selector, (namespace,)),), leaving=False)
    return Spread(
        key=each.topology_key,
        max_skew=each.max_skew,
        min_domains=1 if each.min_domains is None else each.min_domains,
        mark=mark_of(audience) if selector else "",
        own=selector is not None and holds(selector, labels),
        honor_affinity=each.node_affinity_policy != "Ignore",
        honor_taints=each.node_taints_policy == "Honor",
    )
