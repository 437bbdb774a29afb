"""The kinds of objects that are watched: where they are served, and how they are decoded."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from scheduler.model.objects import (
    Base,
    JobObject,
    LeaderWorkerSetObject,
    NamespaceObject,
    NodeObject,
    PodGroupObject,
    PodObject,
    PriorityClassObject,
    ReplicaSetObject,
    StatefulSetObject,
)
from scheduler.model.volume_objects import (
    CSIDriverObject,
    CSINodeObject,
    CSIStorageCapacityObject,
    PersistentVolumeClaimObject,
    PersistentVolumeObject,
    StorageClassObject,
    VolumeAttachmentObject,
)

_STORAGE = "storage.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object.

    group_version: `v1`, `apps/v1`. selector: a fieldSelector that the server applies, or empty.
    type: the struct that its objects are decoded into; it has a field `metadata`.
    optional: served only where its CustomResourceDefinition is installed.
    """

    kind: str
    plural: str
    group_version: str
    type: type[Base]
    selector: str = ""
    namespaced: bool = True
    optional: bool = False

    @property
    def group_path(self) -> str:
        """Where the server says what it serves of this group and version."""
        root = "/apis" if "/" in self.group_version else "/api"
        return f"{root}/{self.group_version}"

    @property
    def path(self) -> str:
        """Where all objects of all namespaces are listed and watched, without a query."""
        return f"{self.group_path}/{self.plural}"

    def object_path(self, namespace: str, name: str) -> str:
        """Where one object stands; `namespace` is ignored if the kind has none."""
        if not self.namespaced:
            return f"{self.path}/{quote(name, safe='')}"
        inside = f"namespaces/{quote(namespace, safe='')}"
        return f"{self.group_path}/{inside}/{self.plural}/{quote(name, safe='')}"


NODES = Resource("Node", "nodes", "v1", NodeObject, namespaced=False)
NAMESPACES = Resource("Namespace", "namespaces", "v1", NamespaceObject, namespaced=False)
PODS = Resource(
    "Pod", "pods", "v1", PodObject, selector="status.phase!=Succeeded,status.phase!=Failed"
)
STATEFUL_SETS = Resource("StatefulSet", "statefulsets", "apps/v1", StatefulSetObject)
REPLICA_SETS = Resource("ReplicaSet", "replicasets", "apps/v1", ReplicaSetObject)
JOBS = Resource("Job", "jobs", "batch/v1", JobObject)
PRIORITY_CLASSES = Resource(
    "PriorityClass",
    "priorityclasses",
    "scheduling.k8s.io/v1",
    PriorityClassObject,
    namespaced=False,
)
X_POD_GROUPS = Resource(
    "PodGroup", "podgroups", "scheduling.x-k8s.io/v1alpha1", PodGroupObject, optional=True
)
LEADER_WORKER_SETS = Resource(
    "LeaderWorkerSet",
    "leaderworkersets",
    "leaderworkerset.x-k8s.io/v1",
    LeaderWorkerSetObject,
    optional=True,
)

VOLUME_CLAIMS = Resource(
    "PersistentVolumeClaim", "persistentvolumeclaims", "v1", PersistentVolumeClaimObject
)
VOLUMES = Resource(
    "PersistentVolume", "persistentvolumes", "v1", PersistentVolumeObject, namespaced=False
)
STORAGE_CLASSES = Resource(
    "StorageClass", "storageclasses", _STORAGE, StorageClassObject, namespaced=False
)
CSI_NODES = Resource("CSINode", "csinodes", _STORAGE, CSINodeObject, namespaced=False)
CSI_DRIVERS = Resource("CSIDriver", "csidrivers", _STORAGE, CSIDriverObject, namespaced=False)
CSI_STORAGE_CAPACITIES = Resource(
    "CSIStorageCapacity", "csistoragecapacities", _STORAGE, CSIStorageCapacityObject
)
VOLUME_ATTACHMENTS = Resource(
    "VolumeAttachment", "volumeattachments", _STORAGE, VolumeAttachmentObject, namespaced=False
)

VOLUME_RESOURCES = (
    STORAGE_CLASSES, CSI_DRIVERS, CSI_NODES, VOLUMES, VOLUME_CLAIMS, VOLUME_ATTACHMENTS,
    CSI_STORAGE_CAPACITIES,
)  # fmt: skip
"""What decides about volumes."""

ALL = (
    NODES, NAMESPACES, PRIORITY_CLASSES, STATEFUL_SETS, JOBS, REPLICA_SETS, X_POD_GROUPS,
    LEADER_WORKER_SETS, *VOLUME_RESOURCES, PODS,
)  # fmt: skip
"""What the scheduler watches; owners and volumes before the pods that wait for
them."""
