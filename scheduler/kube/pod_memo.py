"""What a pod asks for, worked out once per kind of pod instead of once per pod.

The fields that matter are encoded as one key; pods of one controller have the same, whatever
their names, nodes, volumes' names and claims are. Namespace and labels belong to it only where
the pod's own rules read them, the status only where it counts (a pod on a node, whose containers
may be resized). The result is that of `decode_pod` and `shape_in`, pod by pod. What rules of
others see of a pod (see audience.py) makes several kinds of one such reading: that is a second,
cheaper look-up. Labels that differ from member to member are left out of both.

Amounts are cut off at MOST, which no node reaches: it is as good a reason not to fit as any
larger number, and a thousand of them still add up within int64. A request that cannot be read
counts as MOST of every resource that it names: on a node, nobody else is placed beside it who
asks for one of these; while it waits, the pod is not placed and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from scheduler.model.audience import who_of
from scheduler.model.filters.node_affinity import NAME_FIELD
from scheduler.model.objects import (
    Affinity,
    Amounts,
    Metadata,
    NodeAffinity,
    PodObject,
    PodSpec,
    Resources,
    Volume,
)
from scheduler.model.pod_constraints import constraints, unsupported_rules
from scheduler.model.pod_requests import asked, counts, used
from scheduler.model.quantity import QuantityError
from scheduler.model.volumes.inline import plain
from scheduler.state.cache import Cache

MOST = 2**52
"""Largest amount that is counted: 4 PiB, or 4.5 million million CPUs."""
MOST_RESOURCES = 128
"""Kinds of resources that are counted; each costs three int64 columns over all nodes."""
KEPT = 8192
"""Kinds of pods that are remembered for sure; at most twice as many are."""
EPHEMERAL = "ephemeralVolumes"
UNREADABLE = "unreadable requests"


Needs = tuple[tuple[str, int], ...]
"""Resource -> amount, by name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of pods."""

    shape: int
    """Number of the kind in the cache."""
    pins: tuple[str, ...] | None
    unsupported: tuple[str, ...]
    """Rules that are not checked yet, sorted; UNREADABLE stands among them if `problem` is set."""
    problem: str
    """What could not be read, or empty."""
    serial: int = 0
    """The same for readings that differ in what others' rules see of the pods alone."""


_KindKey = tuple[int, bool, bool, str, tuple[tuple[str, str], ...]]
Key = TypeVar("Key")
Value = TypeVar("Value")


class _Recent(Generic[Key, Value]):
    """The last entries that somebody asked for: `kept` of them for sure, at most twice as many."""

    __slots__ = ("_kept", "_older", "_recent")

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._recent: dict[Key, Value] = {}
        self._older: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._older)

    def get(self, key: Key) -> Value | None:
        """What is known of `key`, or None."""
        found = self._recent.get(key)
        if found is None and self._older:
            found = self._older.pop(key, None)
            if found is not None:
                self.put(key, found)
        return found

    def values(self) -> Iterator[Value]:
        """All values."""
        yield from self._older.values()
        yield from self._recent.values()

    def put(self, key: Key, value: Value) -> Value:
        """From now on `value` is known of `key`; returns it."""
        if len(self._recent) >= self._kept:
            self._older, self._recent = self._recent, {}
        self._recent[key] = value
        return value


class PodMemo:
    """Readings by what they depend on. New resource names widen the cache."""

    def __init__(self, cache: Cache, kept: int = KEPT, *, most: int = MOST) -> None:
        """most: what amounts are cut off at; INT64_MAX = sums wrap as kube-scheduler's do."""
        self._cache = cache
        self._most = most
        self._hidden = cache.kinds.hidden
        self._encode = msgspec.msgpack.Encoder().encode
        self._readings: _Recent[bytes, Reading] = _Recent(kept)
        self._kinds: _Recent[_KindKey, Reading] = _Recent(kept)
        self._understood_so_far = 0
        cache.kinds.keepers.append(self._numbers)

    def __len__(self) -> int:
        return len(self._readings)

    def read(
        self, pod: PodObject, needs: Needs = (), *, promised: bool = False
    ) -> tuple[Reading, tuple[str, ...] | None]:
        """(what is known of pods like this one, names of the nodes it may use or None = any).

        needs: resource -> amount that it takes beside its requests (room for its volumes).
        promised: see Who.
        """
        affinity, pins = pod.spec.affinity, None
        if affinity is not None:
            affinity, pins = _without_own_node(affinity)
            if pod.spec.topology_spread_constraints:  # these ask which nodes it may use
                affinity, pins = pod.spec.affinity, None
        labels = pod.metadata.labels or {}
        if not self._hidden.isdisjoint(labels):
            labels = {key: value for key, value in labels.items() if key not in self._hidden}
        key = self._key(pod, affinity, labels, needs)
        reading = self._readings.get(key)
        if reading is None:
            reading = self._readings.put(key, self._understood(pod, affinity, labels, needs))
        reading = self._of_kind(reading, pod.metadata, labels, promised=promised)
        return reading, reading.pins if pins is None else pins

    def _numbers(self) -> list[int]:
        """Kinds that are remembered."""
        readings = (*self._readings.values(), *self._kinds.values())
        return [reading.shape for reading in readings]

    def _of_kind(
        self, reading: Reading, meta: Metadata, labels: dict[str, str], *, promised: bool
    ) -> Reading:
        """What is known of a pod of one kind: `reading` with the number of that kind."""
        leaving = meta.deletion_timestamp is not None
        key = (reading.serial, leaving, promised, meta.namespace, tuple(labels.items()))
        found = self._kinds.get(key)
        if found is None:
            shapes = self._cache.shapes
            who = who_of(meta.namespace, labels, leaving=leaving, promised=promised)
            number = self._cache.shape(shapes[reading.shape], who)
            found = self._kinds.put(key, replace(reading, shape=number))
        return found

    def _key(
        self, pod: PodObject, affinity: Affinity | None, labels: dict[str, str], needs: Needs
    ) -> bytes:
        spec, who, seen = pod.spec, None, None
        if spec.topology_spread_constraints or (
            affinity is not None
            and (affinity.pod_anti_affinity is not None or affinity.pod_affinity is not None)
        ):
            who = (pod.metadata.namespace, labels)
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
                not spec.resource_claims, needs, _disks(spec.volumes or ()),
            )
        )  # fmt: skip

    def _understood(
        self, pod: PodObject, affinity: Affinity | None, labels: dict[str, str], needs: Needs
    ) -> Reading:
        spec, namespace = (
            msgspec.structs.replace(pod.spec, affinity=affinity),
            pod.metadata.namespace,
        )
        shape, pins = constraints(spec, namespace, labels)
        # What claims mean is read pod by pod (see volume_intake.py).
        unsupported = set(unsupported_rules(spec, namespace, labels)) - {EPHEMERAL}
        request, problem = _request(pod, self._most)
        request |= dict(needs)
        for name in widen_within_limit(self._cache, request):
            del request[name]
            problem = problem or f"{name}: more than {MOST_RESOURCES} kinds of resources"
        if problem:
            unsupported.add(UNREADABLE)
        vector = self._cache.shapes.resources.vector(request)
        number = self._cache.kinds.number(replace(shape, requests=vector), passing=True)
        self._understood_so_far += 1
        serial = self._understood_so_far
        return Reading(number, pins, tuple(sorted(unsupported)), problem, serial)


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


def _disks(volumes: Sequence[Volume]) -> Sequence[object] | None:
    """What inline disks the pod names itself: they stand in its shape, as tokens."""
    if plain(volumes):
        return None
    return [
        (v.gce_persistent_disk, v.aws_elastic_block_store, v.rbd, v.iscsi)
        for v in volumes
        if not plain((v,))
    ]


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


def _request(pod: PodObject, most: int) -> tuple[dict[str, int], str]:
    """(amounts that are not 0, what could not be read or empty)."""
    try:
        found = used(pod) if pod.spec.node_name else asked(pod.spec)
    except QuantityError as error:
        return dict.fromkeys(_named_resources(pod), most), str(error)
    return {name: min(amount, most) for name, amount in found.items() if amount}, ""


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
