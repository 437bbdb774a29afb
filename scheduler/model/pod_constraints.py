"""What a pod's spec says about nodes: its shape without amounts, its pins, what is not checked.

Source of the rules: see the modules of `filters/`; InterPodAffinity 1.36 for the one rule
between pods that is a capacity of one, required anti-affinity to pods like itself on nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scheduler.model.constraints import Requirement, Term, Toleration
from scheduler.model.filters.node_affinity import NAME_FIELD
from scheduler.model.filters.tokens import apart_token, port_token
from scheduler.model.objects import (
    LabelSelector,
    NodeSelectorObject,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodSpec,
    SelectorRequirement,
)
from scheduler.model.shape import Shape

HOSTNAME = "kubernetes.io/hostname"


def constraints(
    spec: PodSpec, namespace: str, labels: Mapping[str, str]
) -> tuple[Shape, tuple[str, ...] | None]:
    """(shape without requests, node names it is pinned to or None)."""
    affinity, pins = _split_pins(_required_terms(spec))
    shape = Shape(
        requests=(),
        selector=tuple(sorted((spec.node_selector or {}).items())),
        affinity=affinity,
        tolerations=_tolerations(spec),
        tokens=tuple(sorted({*_ports(spec), *_apart(spec, namespace, labels)})),
    )
    return shape, pins


def _tolerations(spec: PodSpec) -> tuple[Toleration, ...]:
    found = {
        Toleration(t.key or "", t.operator or "Equal", t.value or "", t.effect or "")
        for t in spec.tolerations or ()
    }
    return tuple(sorted(found))


def _required_terms(spec: PodSpec) -> tuple[Term, ...] | None:
    node = spec.affinity.node_affinity if spec.affinity else None
    required = node.required_during_scheduling_ignored_during_execution if node else None
    return None if required is None else terms_of(required)


def terms_of(selector: NodeSelectorObject) -> tuple[Term, ...]:
    """A node selector's terms; order inside a term does not matter, so it is sorted."""
    return tuple(sorted({_term(term) for term in selector.node_selector_terms or ()}))


def _term(term: NodeSelectorTerm) -> Term:
    return Term(_requirements(term.match_expressions), _requirements(term.match_fields))


def _requirements(found: Sequence[SelectorRequirement] | None) -> tuple[Requirement, ...]:
    return tuple(sorted({_requirement(each) for each in found or ()}))


def _requirement(found: SelectorRequirement) -> Requirement:
    return Requirement(found.key, found.operator, tuple(sorted(found.values or ())))


def _split_pins(
    terms: tuple[Term, ...] | None,
) -> tuple[tuple[Term, ...] | None, tuple[str, ...] | None]:
    """Takes node names out of the affinity, so that pods which differ in them share a shape.

    Done only if every term names exactly one node and asks for the same labels; anything else
    stays in the affinity, where the filter reads it.
    """
    if not terms:
        return terms, None
    names: list[str] = []
    for term in terms:
        if len(term.fields) != 1 or term.expressions != terms[0].expressions:
            return terms, None
        field = term.fields[0]
        if field.key != NAME_FIELD or field.operator != "In" or len(field.values) != 1:
            return terms, None
        names.append(field.values[0])
    expressions = terms[0].expressions
    return ((Term(expressions),) if expressions else None), tuple(sorted(names))


def _ports(spec: PodSpec) -> Iterable[str]:
    sidecars = [c for c in spec.init_containers or () if c.restart_policy == "Always"]
    for container in [*(spec.containers or ()), *sidecars]:
        for port in container.ports or ():
            if port.host_port and port.host_port > 0:
                yield port_token(port.host_port, port.protocol or "", port.host_ip or "")


def _anti_affinity(spec: PodSpec) -> Sequence[PodAffinityTerm]:
    anti = spec.affinity.pod_anti_affinity if spec.affinity else None
    return (anti.required_during_scheduling_ignored_during_execution or ()) if anti else ()


def _apart(spec: PodSpec, namespace: str, labels: Mapping[str, str]) -> Iterable[str]:
    for term in _anti_affinity(spec):
        scope = _scope(term, namespace)
        if scope and term.topology_key == HOSTNAME and selects(term.label_selector, labels):
            yield apart_token(scope, selector_text(term.label_selector))


def _scope(term: PodAffinityTerm, namespace: str) -> str:
    """Namespace of the pods that the term means: the pod's own, `*` = all, empty = others."""
    if term.namespace_selector is not None:
        chosen = term.namespace_selector
        return "" if chosen.match_labels or chosen.match_expressions else "*"
    if not term.namespaces or term.namespaces == [namespace]:
        return namespace
    return ""


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects `labels`: null selects nothing, an empty one everything."""
    if selector is None:
        return False
    pairs = (selector.match_labels or {}).items()
    return all(labels.get(key) == value for key, value in pairs) and all(
        _holds(each, labels.get(each.key)) for each in selector.match_expressions or ()
    )


def _holds(requirement: SelectorRequirement, value: str | None) -> bool:
    match requirement.operator:
        case "In":
            return value in (requirement.values or ())
        case "NotIn":
            return value not in (requirement.values or ())
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def selector_text(selector: LabelSelector | None) -> str:
    """A selector as one line, the same for selectors that are written in another order."""
    if selector is None:
        return ""
    parts = [f"{key}={value}" for key, value in (selector.match_labels or {}).items()]
    parts += [
        f"{each.key} {each.operator} {'|'.join(sorted(each.values or ()))}".rstrip()
        for each in selector.match_expressions or ()
    ]
    return ",".join(sorted(parts))


def unsupported_rules(spec: PodSpec, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the rules that kube-scheduler would check for this pod and Muster does not."""
    affinity = spec.affinity
    required = affinity.pod_affinity if affinity else None
    covered = list(_apart(spec, namespace, labels))
    containers = [*(spec.containers or ()), *(spec.init_containers or ())]
    rules = [rule.action for c in containers for rule in c.restart_policy_rules or ()]
    spread = spec.topology_spread_constraints or ()
    volumes = spec.volumes or ()
    found = {
        "podAffinity": bool(
            required and required.required_during_scheduling_ignored_during_execution
        ),
        "podAntiAffinity": len(covered) < len(_anti_affinity(spec)),
        "topologySpreadConstraints": any(s.when_unsatisfiable == "DoNotSchedule" for s in spread),
        "resourceClaims": bool(spec.resource_claims),
        "ephemeralVolumes": any(v.ephemeral is not None for v in volumes),
        "inlineDisks": any(
            d is not None
            for v in volumes
            for d in (v.gce_persistent_disk, v.aws_elastic_block_store, v.rbd, v.iscsi)
        ),
        "declaredFeatures": "RestartAllContainers" in rules
        or (bool(spec.host_network) and spec.host_users is False),
    }
    return tuple(sorted(name for name, asked in found.items() if asked))
