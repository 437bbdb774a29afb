"""Storage objects that filters read, as msgspec Structs of the fields they need.

Field names are the API's; see `pod_objects` for what all objects have in common.
"""

from __future__ import annotations

import msgspec

from scheduler.model.pod_objects import (
    Amount,
    Amounts,
    Base,
    LabelSelector,
    Metadata,
    NodeSelectorObject,
)


class ClaimResources(Base):
    """persistentvolumeclaim.spec.resources."""

    requests: Amounts | None = None


class PersistentVolumeClaimSpec(Base):
    """persistentvolumeclaim.spec."""

    volume_name: str | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    access_modes: list[str] | None = None
    selector: LabelSelector | None = None
    resources: ClaimResources | None = None


class PersistentVolumeClaimStatus(Base):
    """persistentvolumeclaim.status."""

    phase: str | None = None


class PersistentVolumeClaimObject(Base):
    """v1 PersistentVolumeClaim."""

    metadata: Metadata
    spec: PersistentVolumeClaimSpec = msgspec.field(default_factory=PersistentVolumeClaimSpec)
    status: PersistentVolumeClaimStatus = msgspec.field(default_factory=PersistentVolumeClaimStatus)


class ClaimReference(Base):
    """persistentvolume.spec.claimRef."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


class NodeAffinityOfVolume(Base):
    """persistentvolume.spec.nodeAffinity."""

    required: NodeSelectorObject | None = None


class CSISource(Base):
    """persistentvolume.spec.csi."""

    driver: str = ""
    volume_handle: str = ""


class EBSSource(Base):
    """awsElasticBlockStore of a volume or a pod."""

    volume_id: str = msgspec.field(default="", name="volumeID")
    read_only: bool | None = None


class GCEDiskSource(Base):
    """gcePersistentDisk of a volume or a pod."""

    pd_name: str = ""
    read_only: bool | None = None


class AzureDiskSource(Base):
    """azureDisk of a volume or a pod."""

    disk_uri: str = msgspec.field(default="", name="diskURI")
    kind: str | None = None


class CinderSource(Base):
    """cinder of a volume or a pod."""

    volume_id: str = msgspec.field(default="", name="volumeID")


class PortworxSource(Base):
    """portworxVolume of a volume or a pod."""

    volume_id: str = msgspec.field(default="", name="volumeID")


class ISCSISource(Base):
    """iscsi of a pod."""

    iqn: str = ""
    read_only: bool | None = None


class RBDSource(Base):
    """rbd of a pod."""

    monitors: list[str] | None = None
    pool: str | None = None
    image: str = ""
    read_only: bool | None = None


class PersistentVolumeSpec(Base):
    """persistentvolume.spec."""

    capacity: Amounts | None = None
    access_modes: list[str] | None = None
    claim_ref: ClaimReference | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_attributes_class_name: str | None = None
    node_affinity: NodeAffinityOfVolume | None = None
    csi: CSISource | None = None
    aws_elastic_block_store: EBSSource | None = None
    gce_persistent_disk: GCEDiskSource | None = None
    azure_disk: AzureDiskSource | None = None
    cinder: CinderSource | None = None
    portworx_volume: PortworxSource | None = None


class PersistentVolumeStatus(Base):
    """persistentvolume.status."""

    phase: str | None = None


class PersistentVolumeObject(Base):
    """v1 PersistentVolume."""

    metadata: Metadata
    spec: PersistentVolumeSpec = msgspec.field(default_factory=PersistentVolumeSpec)
    status: PersistentVolumeStatus = msgspec.field(default_factory=PersistentVolumeStatus)


class TopologyRequirement(Base):
    """storageclass.allowedTopologies[].matchLabelExpressions[]."""

    key: str = ""
    values: list[str] | None = None


class TopologyTerm(Base):
    """storageclass.allowedTopologies[]."""

    match_label_expressions: list[TopologyRequirement] | None = None


class StorageClassObject(Base):
    """storage.k8s.io/v1 StorageClass."""

    metadata: Metadata
    provisioner: str = ""
    volume_binding_mode: str | None = None
    allowed_topologies: list[TopologyTerm] | None = None


class NodeDriverAllocatable(Base):
    """csinode.spec.drivers[].allocatable."""

    count: int | None = None


class NodeDriver(Base):
    """csinode.spec.drivers[]."""

    name: str = ""
    allocatable: NodeDriverAllocatable | None = None


class CSINodeSpec(Base):
    """csinode.spec."""

    drivers: list[NodeDriver] | None = None


class CSINodeObject(Base):
    """storage.k8s.io/v1 CSINode; it is named like its node."""

    metadata: Metadata
    spec: CSINodeSpec = msgspec.field(default_factory=CSINodeSpec)


class CSIDriverSpec(Base):
    """csidriver.spec."""

    storage_capacity: bool | None = None


class CSIDriverObject(Base):
    """storage.k8s.io/v1 CSIDriver."""

    metadata: Metadata
    spec: CSIDriverSpec = msgspec.field(default_factory=CSIDriverSpec)


class CSIStorageCapacityObject(Base):
    """storage.k8s.io/v1 CSIStorageCapacity."""

    metadata: Metadata
    storage_class_name: str = ""
    node_topology: LabelSelector | None = None
    capacity: Amount | None = None
    maximum_volume_size: Amount | None = None


class AttachmentSource(Base):
    """volumeattachment.spec.source."""

    persistent_volume_name: str | None = None


class VolumeAttachmentSpec(Base):
    """volumeattachment.spec."""

    attacher: str = ""
    node_name: str = ""
    source: AttachmentSource = msgspec.field(default_factory=AttachmentSource)


class VolumeAttachmentObject(Base):
    """storage.k8s.io/v1 VolumeAttachment."""

    metadata: Metadata
    spec: VolumeAttachmentSpec = msgspec.field(default_factory=VolumeAttachmentSpec)


VOLUME_KINDS: dict[str, type[Base]] = {
    "PersistentVolumeClaim": PersistentVolumeClaimObject,
    "PersistentVolume": PersistentVolumeObject,
    "StorageClass": StorageClassObject,
    "CSINode": CSINodeObject,
    "CSIDriver": CSIDriverObject,
    "CSIStorageCapacity": CSIStorageCapacityObject,
    "VolumeAttachment": VolumeAttachmentObject,
}
"""Kinds that decide about volumes, by name."""
