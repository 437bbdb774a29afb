"""What must hold after every story, whatever it did: read from the watch history.

1. No pod is bound twice: once a pod (by UID) has a node, it keeps it.
2. No bind of ours puts a node over its allocatable: at the moment of the bind, what all pods on the
   node request fits, whoever bound them.
3. At the end no gang is partly bound without saying so: its unbound members carry PodScheduled
   False with a reason, or the gang is reported by a condition or an event.

The rules of Kubernetes are spelled out here once more on purpose: a check that borrowed Muster's
arithmetic would share its mistakes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from kubernetes.utils.quantity import parse_quantity

from e2e.watch import Change, Container, Node, Pod

Amounts = dict[str, Decimal]
"""resource -> amount in its base unit (CPUs, bytes, devices)."""

GANG_PLACED = "muster.dev/GangPlaced"
REPORTED = frozenset({"Unschedulable", "TopologyUnsatisfied", "WaitingForMembers", "GangDegraded",
                      "Unsupported"})  # fmt: skip
REPORTING_EVENTS = frozenset({"GangPending", "GangDegraded", "GangReleased"})
GANG_LABELS = ("muster.dev/gang", "scheduling.x-k8s.io/pod-group")
INDEX = "batch.kubernetes.io/job-completion-index"


def check(
    changes: Sequence[Change],
    schedulers: Collection[str],
    events: Iterable[Mapping[str, str]] = (),
) -> list[str]:
    """The violations, a sentence each, in the order in which they happened.

    `schedulers` are the names whose binds are ours; `events` are {reason, kind, name, namespace}
    of events about workloads.
    """
    ordered = sorted(changes, key=lambda change: change.version)
    return [
        *bound_twice(ordered),
        *overcommitted(ordered, schedulers),
        *partly_bound(ordered, schedulers, events),
    ]


def bound_twice(changes: Iterable[Change]) -> list[str]:
    """Pods whose node changed."""
    nodes: dict[str, str] = {}
    found = []
    for change in changes:
        if not isinstance(change.item, Pod):
            continue
        pod = change.item
        before = nodes.get(pod.metadata.uid)
        now = pod.spec.node_name
        if before and now != before:
            found.append(f"pod {name_of(pod)} was bound to {before} and then to {now or 'nothing'}")
        if now:
            nodes[pod.metadata.uid] = now
    return found


def overcommitted(changes: Iterable[Change], schedulers: Collection[str]) -> list[str]:
    """Binds of ours that a node had no room for when they happened."""
    nodes: dict[str, Node] = {}
    taken: dict[str, dict[str, Amounts]] = defaultdict(dict)
    """node -> uid of a bound pod -> its requests."""
    found = []
    for change in changes:
        if isinstance(change.item, Node):
            nodes[change.item.metadata.name] = change.item
            continue
        pod = change.item
        uid, name = pod.metadata.uid, pod.spec.node_name
        if change.type == "DELETED" or pod.finished:
            taken[name].pop(uid, None)
        elif name and uid not in taken[name]:
            taken[name][uid] = requests_of(pod)
            if pod.spec.scheduler_name in schedulers and change.type != "ADDED":
                over = _over(nodes.get(name), taken[name].values())
                found += [
                    f"the bind of {name_of(pod)} puts {name} over its {each}" for each in over
                ]
    return found


def _over(node: Node | None, pods: Iterable[Amounts]) -> list[str]:
    """`resource: wanted of allocatable` where the node is too small."""
    if node is None:
        return ["allocatable: there is no such node"]
    wanted: Amounts = defaultdict(Decimal)
    for amounts in pods:
        for resource, amount in amounts.items():
            wanted[resource] += amount
    offered = node.status.allocatable
    return [
        f"{resource}: {amount.normalize():f} of {offered.get(resource, '0')}"
        for resource, amount in sorted(wanted.items())
        if amount > quantity(offered.get(resource, "0"))
    ]


def partly_bound(
    changes: Iterable[Change],
    schedulers: Collection[str],
    events: Iterable[Mapping[str, str]] = (),
) -> list[str]:
    """Gangs that end with some members bound and others neither bound nor reported."""
    last: dict[str, Pod] = {}
    for change in changes:
        if isinstance(change.item, Pod):
            if change.type == "DELETED":
                last.pop(change.item.metadata.uid, None)
            else:
                last[change.item.metadata.uid] = change.item
    gangs: dict[tuple[str, ...], list[Pod]] = defaultdict(list)
    for pod in last.values():
        key = gang_of(pod)
        if key and pod.spec.scheduler_name in schedulers and _is_member(pod):
            gangs[key].append(pod)
    told = {
        (each["namespace"], each["kind"], each["name"])
        for each in events
        if each["reason"] in REPORTING_EVENTS
    }
    return [
        sentence
        for key, members in sorted(gangs.items())
        if key[:3] not in told and (sentence := _unreported(key, members))
    ]


def _unreported(key: tuple[str, ...], members: Sequence[Pod]) -> str:
    """The sentence about a gang that is partly bound in silence; "" if all is well."""
    unbound = [pod for pod in members if not pod.spec.node_name]
    if not unbound or len(unbound) == len(members):
        return ""
    for pod in members:
        condition = pod.condition(GANG_PLACED)
        if condition is not None and condition.status == "False":
            return ""
    silent = sorted(name_of(pod) for pod in unbound if not _says_why(pod))
    if not silent:
        return ""
    return (
        f"gang {'/'.join(key[:3])}: {len(members) - len(unbound)} of {len(members)} members are"
        f" bound and nothing is said about {', '.join(silent[:5])}"
        + (f" and {len(silent) - 5} more" if len(silent) > 5 else "")
    )


def _says_why(pod: Pod) -> bool:
    """The pod's condition names one of Muster's reasons."""
    condition = pod.condition("PodScheduled")
    return condition is not None and condition.status == "False" and condition.reason in REPORTED


def _is_member(pod: Pod) -> bool:
    """Gated, terminating and finished pods are not members."""
    gated = bool(pod.spec.scheduling_gates)
    return not (gated or pod.finished or pod.metadata.deletion_timestamp)


def gang_of(pod: Pod) -> tuple[str, ...]:
    """(namespace, kind, name, UID of the controller) of the pod's gang; () for a single pod."""
    meta = pod.metadata
    for label in GANG_LABELS:
        if label in meta.labels:
            return (meta.namespace, label, meta.labels[label], "")
    owner = next((each for each in meta.owner_references if each.controller), None)
    if owner is None:
        return ()
    indexed = owner.kind == "Job" and INDEX in meta.annotations
    if owner.kind == "StatefulSet" or indexed or "muster.dev/gang-workload" in meta.annotations:
        return (meta.namespace, owner.kind, owner.name, owner.uid)
    return ()


def requests_of(pod: Pod) -> Amounts:
    """What the pod takes of its node, by kube-scheduler's rules, and one pod slot.

    Containers and sidecars add up; each other init container needs its own and the sidecars before
    it; the larger of both counts; pod-level requests replace their sum; overhead comes on top.
    """
    total = _sum(pod.spec.containers)
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in pod.spec.init_containers:
        own = _amounts(container.resources.requests)
        if container.restart_policy == "Always":
            total, sidecars = _add(total, own), _add(sidecars, own)
            peak = _largest(peak, sidecars)
        else:
            peak = _largest(peak, _add(sidecars, own))
    whole = {**_largest(total, peak), **_amounts(pod.spec.resources.requests)}
    return {**_add(whole, _amounts(pod.spec.overhead)), "pods": Decimal(1)}


def _sum(containers: Iterable[Container]) -> Amounts:
    """Requests of containers that run side by side."""
    total: Amounts = {}
    for container in containers:
        total = _add(total, _amounts(container.resources.requests))
    return total


def _amounts(quantities: Mapping[str, str]) -> Amounts:
    """Quantities as numbers."""
    return {resource: quantity(text) for resource, text in quantities.items()}


def _add(left: Amounts, right: Amounts) -> Amounts:
    """Sum by resource."""
    return {key: left.get(key, Decimal(0)) + right.get(key, Decimal(0)) for key in left | right}


def _largest(left: Amounts, right: Amounts) -> Amounts:
    """Maximum by resource."""
    return {key: max(left.get(key, Decimal(0)), right.get(key, Decimal(0))) for key in left | right}


@lru_cache(maxsize=4096)
def quantity(text: str) -> Decimal:
    """A quantity in base units, exactly."""
    amount: Decimal = parse_quantity(text)  # type: ignore[no-untyped-call]
    return amount


def name_of(pod: Pod) -> str:
    """namespace/name."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"
