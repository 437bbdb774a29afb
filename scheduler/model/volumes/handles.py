"""What a pod attaches to its node: CSI volumes by driver and handle.

Source: filterAttachableVolumes and getCSIDriverInfo of plugins/nodevolumelimits/csi.go (1.36).
All of it is said of a node with a CSINode: without one there is no limit to count against.
"""

from __future__ import annotations

from scheduler.model.volumes.in_tree import CSI_NAMES, UNCOUNTED
from scheduler.model.volumes.prefilter import not_owner
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import Claim, Mount, PodVolumes, Via

NOT_YET = "\0"
"""Before the handle of a volume that does not exist yet: no real handle begins so."""


class NotCountableError(ValueError):
    """A pod whose volumes kube-scheduler cannot count; the text is kube-scheduler's."""


def unique_name(driver: str, handle: str) -> str:
    """One volume, as a node counts it."""
    return f"{driver}/{handle}"


def attaches(pod: PodVolumes, storage: Storage) -> dict[str, str]:
    """Unique name -> driver of what `pod` attaches. Raises NotCountableError.

    Claims that do not exist are left out: PreFilter has refused a waiting pod that names one.
    """
    found: dict[str, str] = {}
    for mount in pod.mounts:
        pair = _inline(mount) if mount.via is Via.INLINE else _claimed(pod, mount, storage)
        if pair is not None:
            found[unique_name(*pair)] = pair[0]
    return found


def _inline(mount: Mount) -> tuple[str, str] | None:
    moved = mount.in_tree
    if moved is None:
        return None
    if moved.problem:
        text = f"converting volume({mount.volume}) from inline to csi: {moved.problem}"
        raise NotCountableError(text)
    return moved.driver, moved.handle


def _claimed(pod: PodVolumes, mount: Mount, storage: Storage) -> tuple[str, str] | None:
    if not mount.claim:
        raise NotCountableError("PersistentVolumeClaim had no name")
    claim = storage.claims.get((pod.namespace, mount.claim))
    if claim is None:
        return None
    if mount.via is Via.EPHEMERAL and claim.controller != pod.uid:
        raise NotCountableError(not_owner(pod, claim))
    driver, handle = driver_and_handle(claim, storage)
    return (driver, handle) if driver and handle else None


def driver_and_handle(claim: Claim, storage: Storage) -> tuple[str, str]:
    """CSI driver and handle of a claim's volume; either is empty if it is not counted."""
    volume = storage.volumes.get(claim.volume) if claim.volume else None
    if volume is None:
        return _to_be_made(claim, storage)
    if volume.csi is not None:
        return volume.csi
    if volume.in_tree is not None and not volume.in_tree.problem:
        return volume.in_tree.driver, volume.in_tree.handle
    return "", ""


def _to_be_made(claim: Claim, storage: Storage) -> tuple[str, str]:
    """A claim without a volume counts as one of its own with its class's provisioner."""
    known = storage.classes.get(claim.storage_class) if claim.storage_class else None
    if known is None or known.provisioner in UNCOUNTED:
        return "", ""
    driver = CSI_NAMES.get(known.provisioner, known.provisioner)
    return driver, f"{NOT_YET}{claim.namespace}/{claim.name}"


def attached_by_controller(node: str, storage: Storage) -> dict[str, str]:
    """Unique name -> driver of the VolumeAttachments to `node` that name a CSI volume."""
    found: dict[str, str] = {}
    for each in storage.attached_to(node):
        volume = storage.volumes.get(each.volume) if each.volume is not None else None
        if each.driver and volume is not None and volume.csi is not None:
            found[unique_name(each.driver, volume.csi[1])] = each.driver
    return found
