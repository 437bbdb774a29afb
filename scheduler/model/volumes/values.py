"""Claims, volumes, classes and drivers as filters look at them; what one pod mounts.

Sizes are exact nano units (see quantity.py), so that they compare as Kubernetes compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.model.constraints import Requirement, Term
from scheduler.model.volumes.in_tree import InTree

FILESYSTEM = "Filesystem"
"""volumeMode where none is written."""
WAIT = "WaitForFirstConsumer"
"""volumeBindingMode of claims that are bound only once their pod has a node."""
ONE_POD = "ReadWriteOncePod"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
AVAILABLE = "Available"
LOST = "Lost"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """A label selector: all of `requirements` hold; () selects everything."""

    requirements: tuple[Requirement, ...] = ()
    problem: str = ""
    """Why Kubernetes cannot evaluate it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim."""

    namespace: str
    name: str
    uid: str = ""
    volume: str = ""
    """spec.volumeName: the volume that it is bound to, or asks for."""
    bound: bool = False
    """The binding is complete: a volume name and the annotation that says so."""
    storage_class: str = ""
    access_modes: tuple[str, ...] = ()
    size: int | None = None
    """Storage asked for; None = nothing said."""
    mode: str = FILESYSTEM
    attributes: str = ""
    """VolumeAttributesClass."""
    selector: LabelRule | None = None
    lost: bool = False
    deleting: bool = False
    selected_node: str | None = None
    """Node that a volume is being made for (annotation); may be the empty text."""
    controller: str | None = None
    """UID of the owner that controls it."""

    @property
    def for_one_pod(self) -> bool:
        """ReadWriteOncePod is among its access modes."""
        return ONE_POD in self.access_modes


@dataclass(frozen=True, slots=True)
class Reference:
    """claimRef of a volume."""

    namespace: str
    name: str
    uid: str = ""

    def means(self, claim: Claim) -> bool:
        """Whether `claim` is the one; a reference without UID means any of that name."""
        same = (self.namespace, self.name) == (claim.namespace, claim.name)
        return same and self.uid in ("", claim.uid)


@dataclass(frozen=True, slots=True)
class Volume:
    """A PersistentVolume."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    reach: tuple[Term, ...] | None = None
    """Nodes that can use it, by their labels alone; None = all."""
    storage_class: str = ""
    access_modes: tuple[str, ...] = ()
    size: int = 0
    mode: str = FILESYSTEM
    attributes: str = ""
    claim: Reference | None = None
    available: bool = False
    deleting: bool = False
    csi: tuple[str, str] | None = None
    """(driver, volumeHandle) of a CSI volume."""
    in_tree: InTree | None = None
    migrated_reach: tuple[Term, ...] | None = None
    """`reach` on nodes where the in-tree plugin has been replaced by its CSI driver."""


@dataclass(frozen=True, slots=True)
class StorageClass:
    """A StorageClass."""

    name: str
    provisioner: str = ""
    binding: str | None = None
    """volumeBindingMode."""
    topologies: tuple[Term, ...] | None = None
    """allowedTopologies; None = all nodes."""


@dataclass(frozen=True, slots=True)
class NodeDrivers:
    """A CSINode."""

    node: str
    limits: Mapping[str, int] = field(default_factory=dict)
    """Volumes of each driver that may be attached; drivers without a limit are left out."""
    migrated: frozenset[str] = frozenset()
    """In-tree plugins whose volumes are handled by CSI there."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A CSIDriver."""

    name: str
    tracks_capacity: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """A CSIStorageCapacity: room for one new volume on the nodes that it selects."""

    key: str
    """namespace/name."""
    storage_class: str
    largest: int | None = None
    """Bytes of the largest volume; None = nothing fits."""
    nodes: LabelRule | None = None
    """None = no node."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A VolumeAttachment."""

    name: str
    node: str
    driver: str = ""
    volume: str | None = None
    """Name of the PersistentVolume."""


Stored = Claim | Volume | StorageClass | NodeDrivers | Driver | Space | Attachment
"""What the cluster knows of storage."""


class Via(StrEnum):
    """How a pod names what it mounts."""

    CLAIM = "persistentVolumeClaim"
    EPHEMERAL = "ephemeral"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Mount:
    """One volume of a pod, as far as filters look at it."""

    via: Via
    volume: str = ""
    """Name inside the pod."""
    claim: str = ""
    """Name of the claim; generic ephemeral volumes have one called `<pod>-<volume>`."""
    in_tree: InTree | None = None


@dataclass(frozen=True, slots=True)
class PodVolumes:
    """What one pod mounts, in its own order. Pods without such volumes have none of these."""

    namespace: str
    name: str
    uid: str
    mounts: tuple[Mount, ...] = ()
    disks: tuple[str, ...] = ()
    """Tokens of its inline disks, sorted (see scheduler/model/tokens.py)."""

    @property
    def claims(self) -> tuple[str, ...]:
        """Names of the claims that it names itself, without those of ephemeral volumes."""
        return tuple(m.claim for m in self.mounts if m.via is Via.CLAIM)

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"
