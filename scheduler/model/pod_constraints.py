"""What a pod's spec says about nodes: its shape without amounts, its pins, what is not checked.

Source of the rules: see the modules of `filters/`; what it asks of other pods: pod_terms.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from scheduler.model.constraints import Requirement, Term, Toleration
from scheduler.model.filters.node_affinity import NAME_FIELD
from scheduler.model.filters.tokens import port_token
from scheduler.model.objects import (
    NodeSelectorObject,
    NodeSelectorTerm,
    PodSpec,
    SelectorRequirement,
)
from scheduler.model.pod_terms import (
    MEMBER_RULES,
    reads_members,
    rules_of,
    unreadable,
)
from scheduler.model.shape import Shape
from scheduler.model.volumes.inline import readable_tokens

HOSTNAME = "kubernetes.io/hostname"
RESTART_ALL = "RestartAllContainersOnContainerExits"
USER_NAMESPACES = "UserNamespacesHostNetworkSupport"


def constraints(
    spec: PodSpec, namespace: str, labels: Mapping[str, str]
) -> tuple[Shape, tuple[str, ...] | None]:
    """(shape without requests, node names it is pinned to or None)."""
    required = _required_terms(spec)
    affinity, pins = _split_pins(required)
    rules = rules_of(spec, namespace, labels)
    if rules.spread:  # which nodes count for it depends on all of the affinity
        affinity = required
    shape = Shape(
        requests=(),
        selector=tuple(sorted((spec.node_selector or {}).items())),
        affinity=affinity,
        tolerations=_tolerations(spec),
        tokens=tuple(sorted({*_ports(spec), *readable_tokens(spec.volumes or ())[0]})),
        features=_features(spec),
        preferred=_preferred(spec),
        rules=rules,
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


def _preferred(spec: PodSpec) -> tuple[tuple[int, Term], ...]:
    node = spec.affinity.node_affinity if spec.affinity else None
    found = node.preferred_during_scheduling_ignored_during_execution if node else None
    terms = ((each.weight, _term(each.preference)) for each in found or ())
    return tuple(sorted((weight, term) for weight, term in terms if weight and term != Term()))


def _features(spec: PodSpec) -> tuple[str, ...]:
    """Declared features that the node must have: the two that scheduling ever asks for."""
    containers = [*(spec.containers or ()), *(spec.init_containers or ())]
    restart = any(
        rule.action == "RestartAllContainers"
        for container in containers
        for rule in container.restart_policy_rules or ()
    )
    apart = bool(spec.host_network) and spec.host_users is False
    return (*((RESTART_ALL,) if restart else ()), *((USER_NAMESPACES,) if apart else ()))


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


def unsupported_rules(spec: PodSpec, namespace: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the rules that kube-scheduler would check for this pod and Muster does not."""
    volumes = spec.volumes or ()
    found = {
        MEMBER_RULES: reads_members(spec, rules_of(spec, namespace, labels)),
        "resourceClaims": bool(spec.resource_claims),
        "ephemeralVolumes": any(v.ephemeral is not None for v in volumes),
        "unreadable inline disks": not readable_tokens(volumes)[1],
    }
    names = (name for name, is_asked in found.items() if is_asked)
    return tuple(sorted({*names, *unreadable(spec)}))
