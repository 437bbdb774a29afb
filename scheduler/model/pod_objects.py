"""The fields of pods, and what every object has, as msgspec Structs.

Field names are the API's (camelCase in JSON); everything else in an object is skipped while
decoding. Optional fields accept null, which some clients write for "absent".
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import msgspec

Texts: TypeAlias = dict[str, str]
Amount: TypeAlias = str | int | float
"""A quantity: a string from the API server; manifests written by hand may hold numbers."""
Amounts: TypeAlias = dict[str, Amount]


class Base(msgspec.Struct, rename="camel", gc=False):
    """Common options: camelCase names; JSON holds no cycles, so the collector need not look."""


class OwnerReference(Base):
    """metadata.ownerReferences[]."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool | None = None


class Metadata(Base):
    """metadata."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: Texts | None = None
    annotations: Texts | None = None
    owner_references: list[OwnerReference] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Head(Base):
    """What every object has."""

    kind: str = ""
    metadata: Metadata = msgspec.field(default_factory=Metadata)


class SelectorRequirement(Base):
    """One expression of a label selector or a node selector term."""

    key: str
    operator: str
    values: list[str] | None = None


class LabelSelector(Base):
    """A metav1.LabelSelector: both parts are ANDed."""

    match_labels: Texts | None = None
    match_expressions: list[SelectorRequirement] | None = None


class NodeSelectorTerm(Base):
    """One term of required node affinity."""

    match_expressions: list[SelectorRequirement] | None = None
    match_fields: list[SelectorRequirement] | None = None


class NodeSelectorObject(Base):
    """requiredDuringSchedulingIgnoredDuringExecution of node affinity, or a volume's."""

    node_selector_terms: list[NodeSelectorTerm] | None = None


class PreferredTerm(Base):
    """preferredDuringSchedulingIgnoredDuringExecution[] of node affinity."""

    weight: int = 0
    preference: NodeSelectorTerm = msgspec.field(default_factory=NodeSelectorTerm)


class NodeAffinity(Base):
    """affinity.nodeAffinity."""

    required_during_scheduling_ignored_during_execution: NodeSelectorObject | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredTerm] | None = None


class PodAffinityTerm(Base):
    """One required term of pod (anti-)affinity."""

    topology_key: str = ""
    label_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    namespace_selector: LabelSelector | None = None


class PodAffinity(Base):
    """affinity.podAffinity and affinity.podAntiAffinity."""

    required_during_scheduling_ignored_during_execution: list[PodAffinityTerm] | None = None


class Affinity(Base):
    """spec.affinity."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class TolerationObject(Base):
    """spec.tolerations[]."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Port(Base):
    """containers[].ports[]."""

    host_port: int | None = None
    protocol: str | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")


class Resources(Base):
    """A requests/limits pair of a container or a pod."""

    requests: Amounts | None = None
    limits: Amounts | None = None


class RestartRule(Base):
    """containers[].restartPolicyRules[]."""

    action: str = ""


class Container(Base):
    """A main or init container."""

    name: str = ""
    resources: Resources | None = None
    ports: list[Port] | None = None
    restart_policy: str | None = None
    restart_policy_rules: list[RestartRule] | None = None


class ClaimSource(Base):
    """volumes[].persistentVolumeClaim."""

    claim_name: str = ""


class Volume(Base):
    """volumes[]; only the kinds that filters look at."""

    name: str = ""
    persistent_volume_claim: ClaimSource | None = None
    ephemeral: dict[str, object] | None = None
    gce_persistent_disk: dict[str, object] | None = None
    aws_elastic_block_store: dict[str, object] | None = None
    azure_disk: dict[str, object] | None = None
    cinder: dict[str, object] | None = None
    portworx_volume: dict[str, object] | None = None
    rbd: dict[str, object] | None = None
    iscsi: dict[str, object] | None = None


class SpreadConstraint(Base):
    """spec.topologySpreadConstraints[]."""

    max_skew: int = 0
    topology_key: str = ""
    when_unsatisfiable: str = ""
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    match_label_keys: list[str] | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None


class ResourceClaimReference(Base):
    """spec.resourceClaims[]: a claim by its name, or, without one, made from a template."""

    name: str = ""
    resource_claim_name: str | None = None


class SchedulingGate(Base):
    """spec.schedulingGates[]."""

    name: str = ""


class PodSpec(Base):
    """pod.spec, and the template of every controller."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    resources: Resources | None = None
    overhead: Amounts | None = None
    node_name: str | None = None
    node_selector: Texts | None = None
    affinity: Affinity | None = None
    tolerations: list[TolerationObject] | None = None
    scheduler_name: str | None = None
    scheduling_gates: list[SchedulingGate] | None = None
    topology_spread_constraints: list[SpreadConstraint] | None = None
    resource_claims: list[ResourceClaimReference] | None = None
    volumes: list[Volume] | None = None
    priority: int | None = None
    host_network: bool | None = None
    host_users: bool | None = None


class ContainerStatus(Base):
    """status.containerStatuses[] and status.initContainerStatuses[]."""

    name: str = ""
    resources: Resources | None = None
    allocated_resources: Amounts | None = None


class Condition(Base):
    """status.conditions[]."""

    type: str = ""
    status: str = ""
    reason: str | None = None


class ResourceClaimStatus(Base):
    """status.resourceClaimStatuses[]: which claim was made from a template; None = none needed."""

    name: str = ""
    resource_claim_name: str | None = None


class PodStatus(Base):
    """pod.status."""

    phase: str = ""
    nominated_node_name: str | None = None
    resource_claim_statuses: list[ResourceClaimStatus] | None = None
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    resources: Resources | None = None
    allocated_resources: Amounts | None = None


class PodObject(Base):
    """v1 Pod."""

    metadata: Metadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class PodTemplate(Base):
    """spec.template of a controller."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
