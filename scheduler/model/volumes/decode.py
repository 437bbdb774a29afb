"""The API's storage objects, and the volumes of a pod, as values. Raises ObjectError.

Source of the readings: component-helpers storage/volume and storage/ephemeral, and
csi-translation-lib (v0.36.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from scheduler.model.constraints import Requirement, Term
from scheduler.model.decode import ObjectError
from scheduler.model.filters.node_affinity import field_parses, parses
from scheduler.model.pod_constraints import terms_of
from scheduler.model.pod_objects import (
    Amount,
    Amounts,
    Base,
    LabelSelector,
    Metadata,
    PodObject,
)
from scheduler.model.pod_objects import Volume as VolumeOfPod
from scheduler.model.quantity import QuantityError, parse_nano, to_whole
from scheduler.model.volume_objects import (
    CSIDriverObject,
    CSINodeObject,
    CSIStorageCapacityObject,
    PersistentVolumeClaimObject,
    PersistentVolumeObject,
    PersistentVolumeSpec,
    StorageClassObject,
    VolumeAttachmentObject,
)
from scheduler.model.volumes import in_tree
from scheduler.model.volumes.in_tree import InTree
from scheduler.model.volumes.inline import disk_tokens, inline
from scheduler.model.volumes.values import (
    AVAILABLE,
    FILESYSTEM,
    LOST,
    Attachment,
    Claim,
    Driver,
    LabelRule,
    Mount,
    NodeDrivers,
    PodVolumes,
    Reference,
    Space,
    StorageClass,
    Stored,
    Via,
    Volume,
)

BOUND = "pv.kubernetes.io/bind-completed"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
MIGRATED = "storage.alpha.kubernetes.io/migrated-plugins"
_STORAGE = "storage"
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

T = TypeVar("T")


def stored(obj: Base) -> Stored:
    """One object of `VOLUME_KINDS` as a value. Raises ObjectError, TypeError for other kinds."""
    match obj:
        case PersistentVolumeClaimObject():
            return claim(obj)
        case PersistentVolumeObject():
            return volume(obj)
        case StorageClassObject():
            return storage_class(obj)
        case CSINodeObject():
            return node_drivers(obj)
        case CSIDriverObject():
            return Driver(_name("CSIDriver", obj.metadata), bool(obj.spec.storage_capacity))
        case CSIStorageCapacityObject():
            return space(obj)
        case VolumeAttachmentObject():
            spec, name = obj.spec, _name("VolumeAttachment", obj.metadata)
            return Attachment(
                name, spec.node_name, spec.attacher, spec.source.persistent_volume_name
            )
    raise TypeError(f"{type(obj).__name__} says nothing about volumes")


def _name(kind: str, meta: Metadata) -> str:
    if not meta.name:
        raise ObjectError(_key(kind, meta), "metadata.name is missing")
    return meta.name


def _key(kind: str, meta: Metadata) -> str:
    return f"{kind} {meta.namespace}/{meta.name}" if meta.namespace else f"{kind} {meta.name}"


def _controller(meta: Metadata) -> str | None:
    return next((ref.uid for ref in meta.owner_references or () if ref.controller), None)


def claim(found: PersistentVolumeClaimObject) -> Claim:
    """A PersistentVolumeClaim. Raises ObjectError."""
    meta, spec, kind = found.metadata, found.spec, "PersistentVolumeClaim"
    notes = meta.annotations or {}
    return Claim(
        namespace=meta.namespace,
        name=_name(kind, meta),
        uid=meta.uid,
        volume=spec.volume_name or "",
        bound=bool(spec.volume_name) and BOUND in notes,
        storage_class=notes.get(BETA_CLASS, spec.storage_class_name or ""),
        access_modes=tuple(spec.access_modes or ()),
        size=_amount(kind, meta, spec.resources.requests if spec.resources else None),
        mode=FILESYSTEM if spec.volume_mode is None else spec.volume_mode,
        attributes=spec.volume_attributes_class_name or "",
        selector=None if spec.selector is None else label_rule(spec.selector),
        lost=found.status.phase == LOST,
        deleting=meta.deletion_timestamp is not None,
        selected_node=notes.get(SELECTED_NODE),
        controller=_controller(meta),
    )


def _amount(kind: str, meta: Metadata, amounts: Amounts | None) -> int | None:
    if amounts is None or _STORAGE not in amounts:
        return None
    return _quantity(kind, meta, amounts[_STORAGE], _nano)


def _nano(text: str) -> int:
    nano = parse_nano(text)
    to_whole(nano)  # so that nobody who needs bytes later is refused
    return nano


def _quantity(kind: str, meta: Metadata, amount: Amount, read: Callable[[str], int]) -> int:
    try:
        return read(str(amount))
    except QuantityError as error:
        raise ObjectError(_key(kind, meta), str(error)) from error


def volume(found: PersistentVolumeObject) -> Volume:
    """A PersistentVolume. Raises ObjectError."""
    meta, spec, kind = found.metadata, found.spec, "PersistentVolume"
    notes, labels = meta.annotations or {}, meta.labels or {}
    required = spec.node_affinity.required if spec.node_affinity else None
    terms = None if required is None else terms_of(required)
    moved = _in_tree(spec, labels) if spec.csi is None else None
    after = None if moved is None else in_tree.translated_terms(moved.plugin, terms, labels)
    ref = spec.claim_ref
    return Volume(
        name=_name(kind, meta),
        labels=labels,
        reach=reach(terms),
        storage_class=notes.get(BETA_CLASS, spec.storage_class_name or ""),
        access_modes=tuple(spec.access_modes or ()),
        size=_amount(kind, meta, spec.capacity) or 0,
        mode=FILESYSTEM if spec.volume_mode is None else spec.volume_mode,
        attributes=spec.volume_attributes_class_name or "",
        claim=None if ref is None else Reference(ref.namespace, ref.name, ref.uid),
        available=found.status.phase == AVAILABLE,
        deleting=meta.deletion_timestamp is not None,
        csi=None if spec.csi is None else (spec.csi.driver, spec.csi.volume_handle),
        in_tree=moved,
        migrated_reach=reach(after),
    )


def _in_tree(spec: PersistentVolumeSpec, labels: Mapping[str, str]) -> InTree | None:
    if spec.aws_elastic_block_store is not None:
        return in_tree.ebs(spec.aws_elastic_block_store.volume_id)
    if spec.gce_persistent_disk is not None:
        return in_tree.gce_disk(spec.gce_persistent_disk.pd_name, labels)
    if spec.azure_disk is not None:
        return in_tree.azure_disk(spec.azure_disk.disk_uri, spec.azure_disk.kind)
    if spec.cinder is not None:
        return InTree(in_tree.CINDER, spec.cinder.volume_id)
    if spec.portworx_volume is not None:
        return InTree(in_tree.PORTWORX, spec.portworx_volume.volume_id)
    return None


def reach(terms: Sequence[Term] | None) -> tuple[Term, ...] | None:
    """Terms of a volume's node affinity, which Kubernetes matches against a node without a name.

    Fields are not looked at then, if they parse; a term of nothing else admits every node.
    """
    if terms is None:
        return None
    admitting = [term for term in terms if all(map(field_parses, term.fields))]
    if any(term.fields and not term.expressions for term in admitting):
        return None
    return tuple(Term(term.expressions) for term in admitting if term.expressions)


def storage_class(found: StorageClassObject) -> StorageClass:
    """A StorageClass. Raises ObjectError."""
    terms = tuple(
        Term(
            tuple(
                Requirement(each.key, "In", tuple(each.values or ()))
                for each in term.match_label_expressions or ()
            )
        )
        for term in found.allowed_topologies or ()
    )
    name = _name("StorageClass", found.metadata)
    return StorageClass(name, found.provisioner, found.volume_binding_mode, terms or None)


def node_drivers(found: CSINodeObject) -> NodeDrivers:
    """A CSINode. Raises ObjectError."""
    plugins = (found.metadata.annotations or {}).get(MIGRATED, "")
    limits = {
        driver.name: driver.allocatable.count
        for driver in found.spec.drivers or ()
        if driver.allocatable is not None and driver.allocatable.count is not None
    }
    migrated = frozenset(plugins.split(",")) if plugins else frozenset[str]()
    return NodeDrivers(_name("CSINode", found.metadata), limits, migrated)


def space(found: CSIStorageCapacityObject) -> Space:
    """A CSIStorageCapacity. Raises ObjectError."""
    meta, kind = found.metadata, "CSIStorageCapacity"
    key = f"{meta.namespace}/{_name(kind, meta)}"
    size = found.maximum_volume_size if found.maximum_volume_size is not None else found.capacity
    largest = None
    if size is not None:
        largest = _quantity(kind, meta, size, lambda text: to_whole(parse_nano(text)))
    nodes = None if found.node_topology is None else label_rule(found.node_topology)
    return Space(key, found.storage_class_name, largest, nodes)


def label_rule(selector: LabelSelector) -> LabelRule:
    """A label selector as requirements. What Kubernetes refuses to read has a `problem`."""
    pairs = [Requirement(k, "In", (v,)) for k, v in (selector.match_labels or {}).items()]
    listed = [
        Requirement(each.key, each.operator, tuple(each.values or ()))
        for each in selector.match_expressions or ()
    ]
    for each in (*pairs, *listed):
        if each.operator not in _OPERATORS:
            problem = f'"{each.operator}" is not a valid label selector operator'
            return LabelRule((), problem)
        if not parses(each):
            values = " ".join(each.values)
            return LabelRule((), f"{each.key} {each.operator} [{values}] cannot be read")
    return LabelRule((*pairs, *listed))


def pod_volumes(pod: PodObject) -> PodVolumes | None:
    """What filters look at among a pod's volumes; None if there is nothing. Raises ObjectError."""
    meta = pod.metadata
    mounts: list[Mount] = []
    disks: set[str] = set()
    for found in pod.spec.volumes or ():
        if found.persistent_volume_claim is not None:
            mounts.append(Mount(Via.CLAIM, found.name, found.persistent_volume_claim.claim_name))
        elif found.ephemeral is not None:
            mounts.append(Mount(Via.EPHEMERAL, found.name, f"{meta.name}-{found.name}"))
        else:
            moved = _checked(meta, found, inline)
            if moved is not None:
                mounts.append(Mount(Via.INLINE, found.name, in_tree=moved))
        disks |= _checked(meta, found, disk_tokens)
    if not mounts and not disks:
        return None
    return PodVolumes(meta.namespace, meta.name, meta.uid, tuple(mounts), tuple(sorted(disks)))


def _checked(meta: Metadata, found: VolumeOfPod, read: Callable[[VolumeOfPod], T]) -> T:
    try:
        return read(found)
    except msgspec.ValidationError as error:
        text = f"spec.volumes[{found.name}]: {error}"
        raise ObjectError(_key("Pod", meta), text) from error
