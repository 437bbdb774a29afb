"""Kubernetes objects as Muster's values: the only place that knows where a field stands.

One malformed object never stops the others: `decode_item` and the functions here raise
ObjectError, whose text names the object and the field; callers record it and go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from scheduler.model.audience import Who, who_of
from scheduler.model.constraints import Taint, Term
from scheduler.model.objects import (
    KINDS,
    Base,
    ClaimObject,
    Head,
    JobObject,
    Metadata,
    NodeObject,
    ObjectList,
    PodObject,
    PodTemplate,
    ReplicaSetObject,
    StatefulSetObject,
    VolumeObject,
)
from scheduler.model.pod_constraints import constraints, terms_of, unsupported_rules
from scheduler.model.pod_requests import allocatable, asked, used
from scheduler.model.quantity import QuantityError
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
FINISHED = ("Succeeded", "Failed")
"""Phases of pods that take no room."""
DEFAULT_SCHEDULER = "default-scheduler"
"""Who schedules a pod that names nobody."""
MOST_MEMBERS = 10**6
"""Pods of one controller; more is a slip of the pen, and a column of them would fill memory."""
SELECTED_NODE = "volume.kubernetes.io/selected-node"
_BOUND = "pv.kubernetes.io/bind-completed"


class ObjectError(ValueError):
    """One object that cannot be read. `key` is `Kind namespace/name`, `what` says why not."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(key, what)
        self.key = key
        self.what = what

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object."""

    kind: str
    name: str
    uid: str
    api_version: str = ""
    """Empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node; amounts are in each resource's unit, `allocatable` follows no order yet."""

    name: str
    uid: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    allocatable: Mapping[str, int]
    slots: int
    """Allocatable pods."""
    created_us: int
    features: tuple[str, ...] = ()
    """Features that its kubelet declares, sorted."""

    def vector(self, order: ResourceOrder) -> tuple[int, ...]:
        """Allocatable in `order`; resources that it does not name are left out."""
        return tuple(self.allocatable.get(name, 0) for name in order.names)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of any scheduler, waiting or on a node."""

    namespace: str
    name: str
    uid: str
    owner: Owner | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node: str
    """Node it is bound to; empty while it waits."""
    scheduler: str
    finished: bool
    """Succeeded or Failed: it takes no room."""
    deleting: bool
    gates: tuple[str, ...]
    priority: int
    created_us: int
    request: Mapping[str, int]
    """What counts on a node: its spec while it waits, with a resize under way once it is bound."""
    shape: Shape
    """`shape.requests` is empty here: see `shape_in`."""
    pins: tuple[str, ...] | None
    """Node names it may use (how DaemonSets pin their pods); None = any."""
    claims: tuple[str, ...]
    """Names of the PersistentVolumeClaims it mounts."""
    unsupported: tuple[str, ...]
    """Rules of kube-scheduler that it asks for and Muster does not check, by name."""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def who(self) -> Who:
        """What other pods' rules see of it."""
        return who_of(self.namespace, self.labels, leaving=self.deleting)

    @property
    def member(self) -> bool:
        """Whether it counts as a member of its gang: not gated, terminating or finished."""
        return not (self.gates or self.deleting or self.finished)

    def shape_in(self, order: ResourceOrder) -> Shape:
        """Its shape with requests in `order`. Raises KeyError for a resource that is not there."""
        wanted = {name: amount for name, amount in self.request.items() if amount}
        return replace(self.shape, requests=order.vector(wanted))


@dataclass(frozen=True, slots=True)
class Controller:
    """A StatefulSet, Job or ReplicaSet: what makes gangs of its pods."""

    kind: str
    namespace: str
    name: str
    uid: str
    generation: int
    owner: Owner | None
    wanted: int
    """Pods that it keeps, or that its Job still needs at once."""
    first: int
    """Ordinal of its first pod (StatefulSet)."""
    ordered: bool
    """Shows later members only when earlier ones run (StatefulSet OrderedReady)."""
    indexed: bool
    """An Indexed Job with as many completions as pods at once."""
    annotations: Mapping[str, str]
    """Of its pod template."""
    labels: Mapping[str, str]
    template: Pod
    """A pod as the controller would create it, without name and UID."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim. `volume` is empty until it is bound."""

    key: str
    volume: str
    selected_node: str
    """Node that an unbound claim's volume is being made for, or empty."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A PersistentVolume: the nodes that can reach it (None = all)."""

    name: str
    affinity: tuple[Term, ...] | None


T = TypeVar("T")


def decode_list(data: bytes) -> list[msgspec.Raw]:
    """Items of a `kubectl get -o json` List. Raises msgspec.DecodeError if it is none."""
    found = msgspec.json.decode(data, type=ObjectList)
    if not found.kind.endswith("List"):
        raise msgspec.ValidationError(f"kind is {found.kind!r}, expected List")
    return found.items


def decode_item(raw: bytes | msgspec.Raw) -> tuple[str, Base | None]:
    """(kind, object) of one object; None for a kind that is not read. Raises ObjectError."""
    try:
        head = msgspec.json.decode(raw, type=Head)
    except msgspec.DecodeError as error:
        raise ObjectError("object", str(error)) from error
    cls = KINDS.get(head.kind)
    if cls is None:
        return head.kind, None
    try:
        return head.kind, msgspec.json.decode(raw, type=cls)
    except msgspec.DecodeError as error:
        raise ObjectError(_key(head.kind, head.metadata), str(error)) from error


def _key(kind: str, meta: Metadata) -> str:
    return f"{kind} {meta.namespace}/{meta.name}" if meta.namespace else f"{kind} {meta.name}"


def _checked(key: str, build: Callable[[], T]) -> T:
    try:
        return build()
    except QuantityError as error:
        raise ObjectError(key, str(error)) from error


def _named(kind: str, meta: Metadata) -> str:
    key = _key(kind, meta)
    if not meta.name:
        raise ObjectError(key, "metadata.name is missing")
    return key


def decode_node(node: NodeObject) -> Node:
    """A node. Raises ObjectError."""
    key = _named("Node", node.metadata)
    amounts, slots = _checked(key, lambda: allocatable(node.status.allocatable))
    return Node(
        name=node.metadata.name,
        uid=node.metadata.uid,
        labels=node.metadata.labels or {},
        taints=tuple(Taint(t.key, t.value or "", t.effect) for t in node.spec.taints or ()),
        unschedulable=bool(node.spec.unschedulable),
        allocatable=amounts,
        slots=slots,
        created_us=microseconds(node.metadata.creation_timestamp),
        features=tuple(sorted(set(node.status.declared_features or ()))),
    )


def decode_pod(pod: PodObject) -> Pod:
    """A pod of any scheduler. Raises ObjectError."""
    key = _named("Pod", pod.metadata)
    bound = bool(pod.spec.node_name)
    request = _checked(key, lambda: used(pod) if bound else asked(pod.spec))
    return _pod(pod, request, finished=pod.status.phase in FINISHED)


def _pod(pod: PodObject, request: Mapping[str, int], *, finished: bool) -> Pod:
    meta, spec = pod.metadata, pod.spec
    shape, pins = constraints(spec, meta.namespace, meta.labels or {})
    mounts = (v.persistent_volume_claim for v in spec.volumes or ())
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        owner=_owner(meta),
        labels=meta.labels or {},
        annotations=meta.annotations or {},
        node=spec.node_name or "",
        scheduler=spec.scheduler_name or DEFAULT_SCHEDULER,
        finished=finished,
        deleting=meta.deletion_timestamp is not None,
        gates=tuple(gate.name for gate in spec.scheduling_gates or ()),
        priority=spec.priority or 0,
        created_us=microseconds(meta.creation_timestamp),
        request=request,
        shape=shape,
        pins=pins,
        claims=tuple(mount.claim_name for mount in mounts if mount is not None),
        unsupported=unsupported_rules(spec, meta.namespace, meta.labels or {}),
    )


def _template(key: str, meta: Metadata, template: PodTemplate) -> Pod:
    given = template.metadata
    stand_in = Metadata(
        namespace=meta.namespace, labels=given.labels, annotations=given.annotations
    )
    request = _checked(key, lambda: asked(template.spec, template=True))
    return _pod(PodObject(metadata=stand_in, spec=template.spec), request, finished=False)


def decode_stateful_set(found: StatefulSetObject) -> Controller:
    """A StatefulSet. Raises ObjectError."""
    spec = found.spec
    return _controller(
        "StatefulSet",
        found.metadata,
        spec.template,
        wanted=1 if spec.replicas is None else spec.replicas,
        first=spec.ordinals.start if spec.ordinals else 0,
        ordered=spec.pod_management_policy != "Parallel",
    )


def decode_replica_set(found: ReplicaSetObject) -> Controller:
    """A ReplicaSet. Raises ObjectError."""
    replicas = found.spec.replicas
    wanted = 1 if replicas is None else replicas
    return _controller("ReplicaSet", found.metadata, found.spec.template, wanted=wanted)


def decode_job(found: JobObject) -> Controller:
    """A Job; its wanted pods are those that still have to run at once. Raises ObjectError."""
    spec = found.spec
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    # Without completions any one success ends the Job; it keeps `parallelism` pods until then.
    completions = parallelism if spec.completions is None else spec.completions
    left = max(0, completions - (found.status.succeeded or 0))
    alike = spec.completions is not None and completions == parallelism > 1
    return _controller(
        "Job",
        found.metadata,
        spec.template,
        wanted=0 if spec.suspend else min(parallelism, left),
        indexed=spec.completion_mode == "Indexed" and alike,
    )


def _controller(
    kind: str,
    meta: Metadata,
    template: PodTemplate,
    *,
    wanted: int,
    first: int = 0,
    ordered: bool = False,
    indexed: bool = False,
) -> Controller:
    key = _named(kind, meta)
    if not 0 <= wanted <= MOST_MEMBERS or not 0 <= first <= MOST_MEMBERS:
        text = f"wants {wanted} pods from ordinal {first}; Muster reads 0 to {MOST_MEMBERS}"
        raise ObjectError(key, text)
    return Controller(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        generation=meta.generation,
        owner=_owner(meta),
        wanted=wanted,
        first=first,
        ordered=ordered,
        indexed=indexed,
        annotations=template.metadata.annotations or {},
        labels=template.metadata.labels or {},
        template=_template(key, meta, template),
    )


def decode_claim(found: ClaimObject) -> Claim:
    """A PersistentVolumeClaim: bound only if the binding is complete. Raises ObjectError."""
    _named("PersistentVolumeClaim", found.metadata)
    notes = found.metadata.annotations or {}
    bound = bool(found.spec.volume_name) and _BOUND in notes
    return Claim(
        key=f"{found.metadata.namespace}/{found.metadata.name}",
        volume=(found.spec.volume_name or "") if bound else "",
        selected_node="" if bound else notes.get(SELECTED_NODE, ""),
    )


def decode_volume(found: VolumeObject) -> Disk:
    """A PersistentVolume. Raises ObjectError."""
    _named("PersistentVolume", found.metadata)
    affinity = found.spec.node_affinity
    required = affinity.required if affinity else None
    return Disk(found.metadata.name, None if required is None else terms_of(required))


def _owner(meta: Metadata) -> Owner | None:
    for ref in meta.owner_references or ():
        if ref.controller:
            return Owner(ref.kind, ref.name, ref.uid, ref.api_version)
    return None


def microseconds(moment: datetime | None) -> int:
    """Microseconds since the epoch, 0 for None; a time without a zone is UTC."""
    if moment is None:
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MICROSECOND
