"""What a pod asks for, worked out once per kind of pod instead of once per pod.

The fields that matter are encoded as one key; pods of one controller have the same, whatever
their names, nodes, volumes' names and claims are. Namespace and labels belong to it only where a
rule against pods like itself reads them, the status only where it counts (a pod on a node, whose
containers may be resized). The result is that of `decode_pod` and `shape_in`, pod by pod.

Amounts are cut off at MOST, which no node reaches: it is as good a reason not to fit as any
larger number, and a thousand of them still add up within int64. A request that cannot be read
counts as MOST of every resource that it names: on a node, nobody else is placed beside it who
asks for one of these; while it waits, the pod is not placed and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from scheduler.model.filters.node_affinity import NAME_FIELD
from scheduler.model.objects import (
    Affinity,
    Amounts,
    NodeAffinity,
    PodObject,
    PodSpec,
    Resources,
    Volume,
)
from scheduler.model.pod_constraints import constraints, unsupported_rules
from scheduler.model.pod_requests import asked, counts, used
from scheduler.model.quantity import QuantityError
from scheduler.state.cache import Cache

MOST = 2**52
"""Largest amount that is counted: 4 PiB, or 4.5 million million CPUs."""
MOST_RESOURCES = 128
"""Kinds of resources that are counted; each costs three int64 columns over all nodes."""
KEPT = 8192
"""Kinds of pods that are remembered for sure; at most twice as many are."""
CLAIMS = "persistentVolumeClaims"
UNREADABLE = "unreadable requests"


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of pods."""

    shape: int
    """Shape number in the cache."""
    pins: tuple[str, ...] | None
    unsupported: tuple[str, ...]
    """Rules that are not checked yet, sorted; UNREADABLE stands among them if `problem` is set."""
    problem: str
    """What could not be read, or empty."""


class PodMemo:
    """Readings by what they depend on. New resource names widen the cache."""

    def __init__(self, cache: Cache, kept: int = KEPT) -> None:
        self._cache = cache
        self._kept = kept
        self._encode = msgspec.msgpack.Encoder().encode
        self._recent: dict[bytes, Reading] = {}
        self._older: dict[bytes, Reading] = {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def read(self, pod: PodObject) -> tuple[Reading, tuple[str, ...] | None]:
        """(what is known of pods like this one, names of the nodes it may use or None = any)."""
        affinity, pins = pod.spec.affinity, None
        if affinity is not None:
            affinity, pins = _without_own_node(affinity)
        key = self._key(pod, affinity)
        reading = self._recent.get(key)
        if reading is None:
            reading = self._older.pop(key, None) or self._understood(pod, affinity)
            if len(self._recent) >= self._kept:
                self._older, self._recent = self._recent, {}
            self._recent[key] = reading
        return reading, reading.pins if pins is None else pins

    def _key(self, pod: PodObject, affinity: Affinity | None) -> bytes:
        spec, who, seen = pod.spec, None, None
        if affinity is not None and affinity.pod_anti_affinity is not None:
            who = (pod.metadata.namespace, pod.metadata.labels)
        if spec.node_name:
            status = pod.status
            seen = (
                status.container_statuses,
                status.init_container_statuses,
                [c.reason for c in status.conditions or () if c.type == "PodResizePending"],
                None if spec.resources is None else (status.resources, status.allocated_resources),
            )
        return self._encode(
            (
                seen, who, affinity, spec.containers, spec.init_containers, spec.resources,
                spec.overhead, spec.node_selector, spec.tolerations,
                spec.topology_spread_constraints, spec.host_network, spec.host_users,
                not spec.resource_claims, _kinds_of_volumes(spec.volumes or ()),
            )
        )  # fmt: skip

    def _understood(self, pod: PodObject, affinity: Affinity | None) -> Reading:
        spec = msgspec.structs.replace(pod.spec, affinity=affinity)
        namespace, labels = pod.metadata.namespace, pod.metadata.labels or {}
        shape, pins = constraints(spec, namespace, labels)
        unsupported = set(unsupported_rules(spec, namespace, labels))
        if claims_of(spec):
            unsupported.add(CLAIMS)
        request, problem = _request(pod)
        for name in widen_within_limit(self._cache, request):
            del request[name]
            problem = problem or f"{name}: more than {MOST_RESOURCES} kinds of resources"
        if problem:
            unsupported.add(UNREADABLE)
        vector = self._cache.shapes.resources.vector(request)
        number = self._cache.shape(replace(shape, requests=vector))
        return Reading(number, pins, tuple(sorted(unsupported)), problem)


def widen_within_limit(cache: Cache, names: Iterable[str]) -> list[str]:
    """Counts resources called `names` from now on; returns those that are beyond the limit."""
    known = cache.shapes.resources.names
    new = sorted(set(names).difference(known))
    room = max(MOST_RESOURCES - len(known), 0)
    if new[:room]:
        cache.widen(new[:room])
    return new[room:]


def claims_of(spec: PodSpec) -> tuple[str, ...]:
    """Names of the PersistentVolumeClaims that a pod mounts."""
    mounts = (volume.persistent_volume_claim for volume in spec.volumes or ())
    return tuple(mount.claim_name for mount in mounts if mount is not None)


def _kinds_of_volumes(volumes: Sequence[Volume]) -> int:
    """Which of the kinds that matter are there, one bit each."""
    kinds = 0
    for v in volumes:
        if v.persistent_volume_claim is not None:
            kinds |= 1
        if v.ephemeral is not None:
            kinds |= 2
        if (
            v.gce_persistent_disk is not None
            or v.aws_elastic_block_store is not None
            or v.rbd is not None
            or v.iscsi is not None
        ):
            kinds |= 4
    return kinds


def _without_own_node(affinity: Affinity) -> tuple[Affinity | None, tuple[str, ...] | None]:
    """Takes out the one node name that a DaemonSet pins its pod to; (affinity, None) otherwise.

    Other pins stay in the key: `constraints` finds them, and such pods do not come by thousands.
    """
    node = affinity.node_affinity
    name = None if node is None else _only_node(node)
    if name is None:
        return affinity, None
    if affinity.pod_affinity is None and affinity.pod_anti_affinity is None:
        return None, (name,)
    return Affinity(None, affinity.pod_affinity, affinity.pod_anti_affinity), (name,)


def _only_node(node: NodeAffinity) -> str | None:
    required = node.required_during_scheduling_ignored_during_execution
    terms = required.node_selector_terms if required is not None else None
    if terms is None or len(terms) != 1 or terms[0].match_expressions:
        return None
    fields = terms[0].match_fields
    if fields is None or len(fields) != 1:
        return None
    field = fields[0]
    one = field.key == NAME_FIELD and field.operator == "In" and len(field.values or ()) == 1
    return field.values[0] if one and field.values else None


def _request(pod: PodObject) -> tuple[dict[str, int], str]:
    """(amounts that are not 0, what could not be read or empty)."""
    try:
        found = used(pod) if pod.spec.node_name else asked(pod.spec)
    except QuantityError as error:
        return dict.fromkeys(_named_resources(pod), MOST), str(error)
    return {name: min(amount, MOST) for name, amount in found.items() if amount}, ""


def _named_resources(pod: PodObject) -> set[str]:
    """Every resource that counts and that the pod names as requested or allocated."""
    spec, status = pod.spec, pod.status
    containers = [*(spec.containers or ()), *(spec.init_containers or ())]
    seen = [*(status.container_statuses or ()), *(status.init_container_statuses or ())]
    pairs: list[Resources | None] = [c.resources for c in containers]
    pairs += [spec.resources, status.resources, *(s.resources for s in seen)]
    amounts: list[Amounts | None] = [pair.requests for pair in pairs if pair is not None]
    amounts += [spec.overhead, status.allocated_resources, *(s.allocated_resources for s in seen)]
    return {name for each in amounts for name in each or () if counts(name)}
