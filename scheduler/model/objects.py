"""The objects that Muster reads, as msgspec Structs of the fields it needs.

Field names are the API's; see `pod_objects` for what all have in common, and for pods.
"""

from __future__ import annotations

import msgspec

from scheduler.model.pod_objects import (
    Affinity,
    Amount,
    Amounts,
    Base,
    ClaimSource,
    Condition,
    Container,
    ContainerStatus,
    Head,
    LabelSelector,
    Metadata,
    NodeAffinity,
    NodeSelectorObject,
    NodeSelectorTerm,
    OwnerReference,
    PodAffinity,
    PodAffinityTerm,
    PodObject,
    PodSpec,
    PodStatus,
    PodTemplate,
    Port,
    PreferredTerm,
    Resources,
    RestartRule,
    SchedulingGate,
    SelectorRequirement,
    SpreadConstraint,
    Texts,
    TolerationObject,
    Volume,
)

__all__ = [
    "KINDS",
    "Affinity",
    "Amount",
    "Amounts",
    "Base",
    "ClaimObject",
    "ClaimSource",
    "ClaimSpec",
    "Condition",
    "Container",
    "ContainerStatus",
    "Head",
    "JobObject",
    "JobSpec",
    "JobStatus",
    "LabelSelector",
    "LeaderWorkerSetObject",
    "LeaderWorkerSetSpec",
    "Metadata",
    "NamespaceObject",
    "NodeAffinity",
    "NodeObject",
    "NodeSelectorObject",
    "NodeSelectorTerm",
    "NodeSpec",
    "NodeStatus",
    "ObjectList",
    "Ordinals",
    "OwnerReference",
    "PodAffinity",
    "PodAffinityTerm",
    "PodGroupObject",
    "PodGroupSpec",
    "PodGroupStatus",
    "PodObject",
    "PodSpec",
    "PodStatus",
    "PodTemplate",
    "Port",
    "PreferredTerm",
    "PriorityClassObject",
    "ReplicaSetObject",
    "ReplicaSetSpec",
    "Resources",
    "RestartRule",
    "SchedulingGate",
    "SelectorRequirement",
    "SpreadConstraint",
    "StatefulSetObject",
    "StatefulSetSpec",
    "TaintObject",
    "Texts",
    "TolerationObject",
    "Volume",
    "VolumeNodeAffinity",
    "VolumeObject",
    "VolumeSpec",
    "WorkerTemplate",
]


class TaintObject(Base):
    """node.spec.taints[]."""

    key: str
    effect: str
    value: str | None = None


class NodeSpec(Base):
    """node.spec."""

    unschedulable: bool | None = None
    taints: list[TaintObject] | None = None


class NodeStatus(Base):
    """node.status."""

    allocatable: Amounts | None = None
    declared_features: list[str] | None = None


class NodeObject(Base):
    """v1 Node."""

    metadata: Metadata
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class NamespaceObject(Base):
    """v1 Namespace; rules between pods read its labels."""

    metadata: Metadata


class Ordinals(Base):
    """statefulset.spec.ordinals."""

    start: int = 0


class StatefulSetSpec(Base):
    """statefulset.spec."""

    replicas: int | None = None
    pod_management_policy: str | None = None
    ordinals: Ordinals | None = None
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)


class StatefulSetObject(Base):
    """apps/v1 StatefulSet."""

    metadata: Metadata
    spec: StatefulSetSpec = msgspec.field(default_factory=StatefulSetSpec)


class ReplicaSetSpec(Base):
    """replicaset.spec."""

    replicas: int | None = None
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)


class ReplicaSetObject(Base):
    """apps/v1 ReplicaSet."""

    metadata: Metadata
    spec: ReplicaSetSpec = msgspec.field(default_factory=ReplicaSetSpec)


class JobSpec(Base):
    """job.spec."""

    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str | None = None
    suspend: bool | None = None
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)


class JobStatus(Base):
    """job.status."""

    succeeded: int | None = None
    completed_indexes: str | None = None


class JobObject(Base):
    """batch/v1 Job."""

    metadata: Metadata
    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)


class ClaimSpec(Base):
    """persistentvolumeclaim.spec."""

    volume_name: str | None = None


class ClaimObject(Base):
    """v1 PersistentVolumeClaim."""

    metadata: Metadata
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)


class VolumeNodeAffinity(Base):
    """persistentvolume.spec.nodeAffinity."""

    required: NodeSelectorObject | None = None


class VolumeSpec(Base):
    """persistentvolume.spec."""

    node_affinity: VolumeNodeAffinity | None = None


class VolumeObject(Base):
    """v1 PersistentVolume."""

    metadata: Metadata
    spec: VolumeSpec = msgspec.field(default_factory=VolumeSpec)


class PodGroupSpec(Base):
    """podgroup.spec of scheduling.x-k8s.io; minResources is ignored, pods say it themselves."""

    min_member: int | None = None
    schedule_timeout_seconds: int | None = None


class PodGroupStatus(Base):
    """podgroup.status of scheduling.x-k8s.io."""

    phase: str | None = None
    scheduled: int | None = None
    running: int | None = None


class PodGroupObject(Base):
    """scheduling.x-k8s.io/v1alpha1 PodGroup."""

    metadata: Metadata
    spec: PodGroupSpec = msgspec.field(default_factory=PodGroupSpec)
    status: PodGroupStatus = msgspec.field(default_factory=PodGroupStatus)


class WorkerTemplate(Base):
    """leaderworkerset.spec.leaderWorkerTemplate; without a leader's template all are workers."""

    size: int | None = None
    leader_template: PodTemplate | None = None
    worker_template: PodTemplate = msgspec.field(default_factory=PodTemplate)


class LeaderWorkerSetSpec(Base):
    """leaderworkerset.spec."""

    replicas: int | None = None
    startup_policy: str | None = None
    leader_worker_template: WorkerTemplate = msgspec.field(default_factory=WorkerTemplate)


class LeaderWorkerSetObject(Base):
    """leaderworkerset.x-k8s.io/v1 LeaderWorkerSet."""

    metadata: Metadata
    spec: LeaderWorkerSetSpec = msgspec.field(default_factory=LeaderWorkerSetSpec)


class PriorityClassObject(Base):
    """scheduling.k8s.io/v1 PriorityClass."""

    metadata: Metadata
    value: int = 0
    global_default: bool | None = None
    preemption_policy: str | None = None


KINDS: dict[str, type[Base]] = {
    "Node": NodeObject,
    "Pod": PodObject,
    "StatefulSet": StatefulSetObject,
    "ReplicaSet": ReplicaSetObject,
    "Job": JobObject,
    "PersistentVolumeClaim": ClaimObject,
    "PersistentVolume": VolumeObject,
    "Namespace": NamespaceObject,
}
"""Kinds that are decoded; objects of other kinds are skipped."""


class ObjectList(Base):
    """v1 List, as `kubectl get -o json` prints it; items stay raw until each is decoded."""

    kind: str
    items: list[msgspec.Raw]
