"""Claims, volumes, classes, drivers and capacities, for `volumes`."""

from __future__ import annotations

from tests.verdicts.world import EPOCH, HOSTNAME, RACK, ZONE, Json, World

DRIVERS = ("csi-a", "csi-b", "ebs.csi.aws.com", "pd.csi.storage.gke.io")
MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany")
SIZES = ("1Gi", "2Gi", "10Gi", "500Mi", "1024Mi", "1")


def _object(kind: str, name: str, version: str, **parts: object) -> Json:
    metadata: Json = {"name": name, "uid": f"uid-{name}", "creationTimestamp": EPOCH}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def claim(world: World, name: str, kind: str, modes: list[str] | None = None) -> Json:
    """A PersistentVolumeClaim of class `kind`, in the asking pod's namespace, not bound."""
    spec: Json = {
        "accessModes": modes or (world.some(MODES) if world.chance(0.3) else []) or [MODES[0]],
        "resources": {"requests": {"storage": world.one(SIZES)}},
        "volumeMode": "Filesystem" if world.chance(0.85) else "Block",
    }
    if kind or world.chance(0.5):
        spec["storageClassName"] = kind
    if world.chance(0.1):
        spec["selector"] = {"matchLabels": {"disk": world.one(("fast", "slow"))}}
    elif world.chance(0.05):
        operator = world.one(("Exists", "DoesNotExist", "NotIn"))
        expression: Json = {"key": "disk", "operator": operator}
        if operator == "NotIn":
            expression["values"] = ["slow"]
        spec["selector"] = {"matchExpressions": [expression]}
    if world.chance(0.06):
        spec["volumeAttributesClassName"] = world.one(("gold", "silver"))
    found = _object("PersistentVolumeClaim", name, "v1", spec=spec, status={"phase": "Pending"})
    found["metadata"]["namespace"] = world.namespace()
    world.objects.append(found)
    return found


def make_volume(
    world: World,
    name: str,
    *,
    kind: str = "",
    modes: list[str] | None = None,
    source: str = "",
    pinned: bool = True,
) -> Json:
    """A PersistentVolume, free; `pinned`: it may have a node affinity."""
    spec: Json = {
        "accessModes": modes or world.some(MODES) or [MODES[0]],
        "capacity": {"storage": world.one(SIZES)},
        "persistentVolumeReclaimPolicy": "Retain",
        "volumeMode": "Filesystem" if world.chance(0.85) else "Block",
        **_source(world, name, source or world.one(("csi", "csi", "local", "nfs"))),
    }
    if kind:
        spec["storageClassName"] = kind
    if world.chance(0.06):
        spec["volumeAttributesClassName"] = world.one(("gold", "silver"))
    if pinned and world.chance(0.5):
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": _places(world)}}
    found = _object("PersistentVolume", name, "v1", spec=spec, status={"phase": "Available"})
    if world.chance(0.3):
        found["metadata"]["labels"] = {"disk": world.one(("fast", "slow"))}
    if world.chance(0.98):
        world.objects.append(found)
    return found


def _source(world: World, name: str, kind: str) -> Json:
    if kind == "csi":
        handle = f"handle-{name}" if world.chance(0.9) else "handle-same"
        return {"csi": {"driver": world.one(("csi-a", "csi-a", "csi-b")), "volumeHandle": handle}}
    if kind == "ebs":
        volume = world.one(("vol-1", "vol-2", "aws://a/vol-1"))
        return {"awsElasticBlockStore": {"volumeID": volume}}
    if kind == "gce":
        return {"gcePersistentDisk": {"pdName": world.one(("pd-1", "pd-2"))}}
    if kind == "local":
        return {"local": {"path": "/disk"}}
    return {"nfs": {"server": "s", "path": "/"}}


def _places(world: World) -> list[Json]:
    """Terms of a volume's node affinity; they cannot name fields."""
    terms = []
    for _ in range(world.one((1, 1, 2))):
        key, values = world.one(
            ((ZONE, ("a", "b", "c")), (HOSTNAME, tuple(world.node_names())), (RACK, ("r1", "r2")))
        )
        operator = world.one(("In", "In", "In", "NotIn", "Exists", "DoesNotExist"))
        expression: Json = {"key": key, "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = world.some(values, 3) or [values[0]]
        terms.append({"matchExpressions": [expression]} if world.chance(0.96) else {})
    return terms


def bind(world: World, found: Json, volume: Json) -> None:
    """Bind a claim to a volume, both ways, as the controller leaves them."""
    metadata = found["metadata"]
    found["spec"]["volumeName"] = volume["metadata"]["name"]
    found["status"] = {"phase": "Bound"}
    metadata.setdefault("annotations", {})["pv.kubernetes.io/bind-completed"] = "yes"
    volume["spec"]["claimRef"] = {
        "kind": "PersistentVolumeClaim",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }
    volume["status"] = {"phase": "Bound"}


def add_classes(world: World) -> None:
    """StorageClasses: `missing` is never there, `no-mode` says nothing of binding."""
    modes = {"wait": "WaitForFirstConsumer", "wait-none": "WaitForFirstConsumer"}
    modes |= {"now": "Immediate", "no-mode": ""}
    for name, mode in modes.items():
        if name == "no-mode" and world.chance(0.7):
            continue  # the API server fills it in; only a stored relic lacks it
        provisioner = "csi-a" if world.chance(0.7) else "kubernetes.io/aws-ebs"
        if name == "wait-none":
            provisioner = world.one(("kubernetes.io/no-provisioner", ""))
        found = _object("StorageClass", name, "storage.k8s.io/v1", provisioner=provisioner)
        if mode:
            found["volumeBindingMode"] = mode
        if world.chance(0.3):
            found["allowedTopologies"] = _topologies(world)
        world.objects.append(found)


def _topologies(world: World) -> list[Json]:
    terms = []
    for _ in range(world.one((0, 1, 1, 2))):
        key, values = world.one(((ZONE, ("a", "b", "c")), (RACK, ("r1", "r2"))))
        expression = {"key": key, "values": world.some(values, 2) or [values[0]]}
        terms.append({"matchLabelExpressions": [expression]} if world.chance(0.93) else {})
    return terms


def add_drivers(world: World, *, limited: bool = False) -> None:
    """CSIDrivers, CSINodes with or without limits, and capacities in several places."""
    for name in DRIVERS[:2]:
        if world.chance(0.7):
            spec: Json = {"attachRequired": True}
            if world.chance(0.8):
                spec["storageCapacity"] = world.chance(0.75)
            world.objects.append(_object("CSIDriver", name, "storage.k8s.io/v1", spec=spec))
    for node in world.node_names():
        if world.chance(0.9):
            world.objects.append(_csi_node(world, node, limited=limited))
    for i in range(world.one((0, 1, 2, 3, 4))):
        world.objects.append(_capacity(world, i))


def _csi_node(world: World, node: str, *, limited: bool) -> Json:
    drivers = []
    for name in world.some(DRIVERS) if not limited else [d for d in DRIVERS if world.chance(0.85)]:
        driver: Json = {"name": name, "nodeID": node}
        if world.chance(0.85 if limited else 0.3):
            count = world.one((0, 1, 1, 2, 2, 3, 5))
            driver["allocatable"] = {"count": count} if world.chance(0.95) else {}
        drivers.append(driver)
    found = _object("CSINode", node, "storage.k8s.io/v1", spec={"drivers": drivers})
    if world.chance(0.2):
        plugins = "kubernetes.io/aws-ebs,kubernetes.io/gce-pd"
        found["metadata"]["annotations"] = {"storage.alpha.kubernetes.io/migrated-plugins": plugins}
    return found


def _capacity(world: World, i: int) -> Json:
    found = _object("CSIStorageCapacity", f"capacity-{i}", "storage.k8s.io/v1")
    found["metadata"]["namespace"] = world.one(("kube-system", "default"))
    found["storageClassName"] = world.one(("wait", "wait", "now"))
    if world.chance(0.92):
        found["capacity"] = world.one(SIZES)
    if world.chance(0.3):
        found["maximumVolumeSize"] = world.one(SIZES)
    if world.chance(0.9):
        place: Json = {}
        if world.chance(0.8):
            place = {"matchLabels": {ZONE: world.one(("a", "b", "c"))}}
        if world.chance(0.15):
            expression = {"key": RACK, "operator": world.one(("Exists", "DoesNotExist"))}
            place["matchExpressions"] = [expression]
        found["nodeTopology"] = place
    return found
