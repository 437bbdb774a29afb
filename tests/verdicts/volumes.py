"""Edges of the volume filters: claims and volumes in every state, limits, zones, inline disks."""

from __future__ import annotations

from tests.verdicts.storage import (
    add_classes,
    add_drivers,
    bind,
    claim,
    make_volume,
)
from tests.verdicts.world import (
    BETA_REGION,
    BETA_ZONE,
    REGION,
    ZONE,
    Json,
    World,
)

SIZES = ("1Gi", "2Gi", "10Gi", "500Mi")
CLASSES = (*8 * ("wait",), *4 * ("wait-none",), "now", "no-mode", "missing", "")


def restrictions(world: World) -> None:
    """VolumeRestrictions: inline disks of every kind, ReadWriteOncePod claims, missing claims."""
    for pod in world.each_pod():
        asks = pod is world.pod
        for _ in range(world.one((1, 2)) if asks else world.one((0, 1, 1, 2))):
            add_volume(pod, inline(world))
    if world.chance(0.5):
        _share_once(world)


def inline(world: World) -> Json:
    """A disk that the pod names itself."""
    kind = world.one(
        ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd", "emptyDir", "csi")
    )
    read_only: Json = {"readOnly": True} if world.chance(0.5) else {}
    if world.chance(0.1):
        read_only = {"readOnly": False}
    which = world.one(("1", "1", "2"))
    if kind == "gcePersistentDisk":
        return {kind: {"pdName": f"pd-{which}", **read_only}}
    if kind == "awsElasticBlockStore":
        return {kind: {"volumeID": f"vol-{which}", **read_only}}
    if kind == "iscsi":
        iscsi = {"targetPortal": "10.0.0.9:3260", "iqn": f"iqn.2026-01.x:{which}", "lun": 0}
        return {kind: {**iscsi, "iscsiInterface": "default", **read_only}}
    if kind == "rbd":
        rbd: Json = {"monitors": world.some(("m1", "m2", "m3")) or ["m1"], "image": f"i{which}"}
        rbd |= {"pool": world.one(("rbd", "rbd", "other")), "user": "admin"}
        return {kind: {**rbd, "keyring": "/etc/ceph/keyring", **read_only}}
    return {"csi": {"driver": "csi-a"}} if kind == "csi" else {"emptyDir": {}}


def add_volume(pod: Json, source: Json) -> str:
    """Give the pod one more volume; its name."""
    volumes = pod["spec"].setdefault("volumes", [])
    name = f"v{len(volumes)}"
    volumes.append({"name": name, **source})
    return name


def _share_once(world: World) -> None:
    """ReadWriteOncePod claims that others may use, here or in another namespace."""
    names = world.some(("once-0", "once-1")) or ["once-0"]
    for name in names:
        if world.chance(0.93):
            modes = ["ReadWriteOncePod"] if world.chance(0.75) else ["ReadWriteOnce"]
            found = claim(world, name, "", modes)
            bind(world, found, make_volume(world, f"pv-{name}", modes=modes))
        add_volume(world.pod, {"persistentVolumeClaim": {"claimName": name}})
    for pod in world.pods:
        if world.chance(0.3):
            add_volume(pod, {"persistentVolumeClaim": {"claimName": world.one(names)}})


def claims(world: World) -> None:
    """VolumeBinding: claims in every state, volumes that match or nearly do, topologies, room."""
    add_classes(world)
    if world.chance(0.6):
        add_drivers(world)
    for i in range(world.one((0, 1, 2, 3, 4))):
        volume = make_volume(world, f"pv-free-{i}", kind=world.one(CLASSES))
        _maybe_reserve(world, volume)
    for i in range(world.one((1, 1, 1, 2, 3))):
        _add_claim(world, f"claim-{i}")


def _add_claim(world: World, name: str) -> None:
    if world.chance(0.2):
        volume = add_volume(world.pod, {"ephemeral": {"volumeClaimTemplate": {"spec": {}}}})
        name = f"{world.pod['metadata']['name']}-{volume}"
        owner = world.pod["metadata"]
    else:
        add_volume(world.pod, {"persistentVolumeClaim": {"claimName": name}})
        owner = {}
    if world.chance(0.03):
        return
    found = claim(world, name, world.one(CLASSES))
    if owner and world.chance(0.95):
        found["metadata"]["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": owner["name"],
                "uid": owner["uid"] if world.chance(0.95) else "uid-other",
                "controller": world.chance(0.95),
                "blockOwnerDeletion": True,
            }
        ]
    if world.chance(0.45):
        bind(world, found, make_volume(world, f"pv-{name}", kind=_class_of(found)))
    _spoil(world, found)


def _class_of(found: Json) -> str:
    return str(found["spec"].get("storageClassName", ""))


def _spoil(world: World, found: Json) -> None:
    """Half-bound, lost, leaving, or pinned to a node by an earlier attempt."""
    annotations = found["metadata"].setdefault("annotations", {})
    if world.chance(0.04):
        annotations.pop("pv.kubernetes.io/bind-completed", None)
    if world.chance(0.03):
        found["status"] = {"phase": "Lost"}
    if world.chance(0.04):
        found["metadata"]["deletionTimestamp"] = "2026-02-02T00:00:00Z"
    if world.chance(0.12):
        node = world.one([*world.node_names(), "node-gone"])
        annotations["volume.kubernetes.io/selected-node"] = node
    if world.chance(0.05):
        key = "volume.beta.kubernetes.io/storage-class"
        annotations[key] = world.one(CLASSES)
    if world.chance(0.03):
        found["spec"]["volumeName"] = world.one(("pv-gone", "pv-free-0"))


def _maybe_reserve(world: World, volume: Json) -> None:
    """A free volume may be promised to a claim, by name, namespace and UID, right or wrong."""
    if world.chance(0.3):
        name = world.one(("claim-0", "claim-1", "stranger"))
        space = world.namespace() if world.chance(0.85) else "team-b"
        reference: Json = {"kind": "PersistentVolumeClaim", "name": name, "namespace": space}
        if world.chance(0.5):
            reference["uid"] = f"uid-{name}" if world.chance(0.7) else "uid-other"
        volume["spec"]["claimRef"] = reference
    if world.chance(0.15):
        volume["status"] = {"phase": world.one(("Bound", "Released", "Pending", "Failed"))}
    if world.chance(0.05):
        volume["metadata"]["deletionTimestamp"] = "2026-02-02T00:00:00Z"


def limits(world: World) -> None:
    """NodeVolumeLimits: CSI volumes of pods and attachments, shared ones, migrated disks."""
    add_classes(world)
    add_drivers(world, limited=True)
    volumes = [
        make_volume(world, f"pv-{i}", source=world.one(("csi", "csi", "csi", "ebs", "gce", "nfs")))
        for i in range(5)
    ]
    for i, volume in enumerate(volumes):
        if world.chance(0.95):
            bind(world, claim(world, f"claim-{i}", ""), volume)
    if world.chance(0.4):
        claim(world, "unbound", world.one(("wait", "wait", "now", "missing", "")))
    names = [*(f"claim-{i}" for i in range(5)), "unbound"]
    for pod in world.each_pod():
        if pod is not world.pod and world.chance(0.6):
            pod["metadata"]["namespace"] = world.namespace()
        count = world.one((1, 1, 2, 3)) if pod is world.pod else world.one((0, 1, 1, 2))
        for _ in range(count):
            add_volume(pod, {"persistentVolumeClaim": {"claimName": world.one(names)}})
        if world.chance(0.2):
            add_volume(pod, inline(world))
    for i in range(world.one((0, 0, 1, 2, 3))):
        _attach(world, i)


def _attach(world: World, i: int) -> None:
    source: Json = {"persistentVolumeName": world.one(("pv-0", "pv-1", "pv-2", "pv-gone"))}
    if world.chance(0.05):
        source = {"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"]}}
    spec = {
        "attacher": world.one(("csi-a", "csi-a", "csi-b", "ebs.csi.aws.com")),
        "nodeName": world.one([*world.node_names(), "node-gone"]),
        "source": source,
    }
    world.objects.append(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttachment",
            "metadata": {"name": f"attach-{i}", "uid": f"uid-attach-{i}"},
            "spec": spec,
            "status": {"attached": world.chance(0.8)},
        }
    )


def zones(world: World) -> None:
    """VolumeZone: old and new labels on both sides, several zones in one value, empty parts."""
    for node in world.nodes:
        labels = node["metadata"].setdefault("labels", {})
        if world.chance(0.3):
            labels[BETA_ZONE] = world.one(("a", "b", ""))
        if world.chance(0.25):
            labels[BETA_REGION] = world.one(("north", "south"))
        if world.chance(0.12):
            for key in (ZONE, REGION, BETA_ZONE, BETA_REGION):
                labels.pop(key, None)
    add_classes(world)
    for i in range(world.one((1, 1, 2, 3))):
        name = f"claim-{i}"
        volume = make_volume(world, f"pv-{i}", pinned=False)
        for key in world.some((ZONE, ZONE, REGION, BETA_ZONE, BETA_REGION), 2):
            values = ("a", "b", "a__b", "b__c", "a__", "__", "") if "zone" in key else (
                "north", "south", "north__south", "south__")  # fmt: skip
            volume["metadata"].setdefault("labels", {})[key] = world.one(values)
        found = claim(world, name, world.one(("", "wait", "now")))
        if world.chance(0.93):
            bind(world, found, volume)
        add_volume(world.pod, {"persistentVolumeClaim": {"claimName": name}})
