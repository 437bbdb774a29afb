"""Pods that ask for devices: ResourceClaims, templates, and resources that a DeviceClass maps."""

from __future__ import annotations

from tests.verdicts.world import Json, World

DRIVER = "dra.example.com"
CLASS = "gpu.example.com"
MAPPED = "example.com/dra-gpu"


def devices(world: World) -> None:
    """DynamicResources: claims that are there, missing, allocated, leaving; mapped resources."""
    _device_class(world)
    for name in world.node_names():
        if world.chance(0.6):
            world.objects.append(_slice(world, name))
    if world.chance(0.25):
        _mapped_request(world)
        return
    references = [_reference(world, f"c{i}") for i in range(world.one((1, 1, 2)))]
    world.pod["spec"]["resourceClaims"] = references
    container = world.pod["spec"]["containers"][0]
    names = [{"name": each["name"]} for each in references]
    container.setdefault("resources", {})["claims"] = names


def _device_class(world: World) -> None:
    if world.chance(0.9):
        spec: Json = {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}
        if world.chance(0.5):
            spec["extendedResourceName"] = MAPPED
        world.objects.append(_object("DeviceClass", CLASS, spec))


def _object(kind: str, name: str, spec: Json, namespace: str = "") -> Json:
    metadata: Json = {"name": name, "uid": f"uid-{kind}-{name}"}
    if namespace:
        metadata["namespace"] = namespace
    version = "resource.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _slice(world: World, node: str) -> Json:
    return _object(
        "ResourceSlice",
        f"slice-{node}",
        {
            "driver": DRIVER,
            "nodeName": node,
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": f"gpu-{i}"} for i in range(world.one((1, 2)))],
        },
    )


def _reference(world: World, name: str) -> Json:
    if world.chance(0.25):  # from a template: status says which claim was made
        if world.chance(0.5):
            statuses = world.pod["status"].setdefault("resourceClaimStatuses", [])
            statuses.append({"name": name})
        return {"name": name, "resourceClaimTemplateName": "template"}
    if world.chance(0.8):
        _claim(world, f"claim-{name}")
    return {"name": name, "resourceClaimName": f"claim-{name}"}


def _claim(world: World, name: str) -> None:
    request = {"deviceClassName": CLASS, "allocationMode": "ExactCount", "count": 1}
    requests = [{"name": "r", "exactly": request}]
    claim = _object("ResourceClaim", name, {"devices": {"requests": requests}}, world.namespace())
    if world.chance(0.1):
        claim["metadata"]["deletionTimestamp"] = "2026-02-02T00:00:00Z"
    world.objects.append(claim)


def _mapped_request(world: World) -> None:
    name = MAPPED if world.chance(0.7) else f"deviceclass.resource.kubernetes.io/{CLASS}"
    amount = world.one(("0", "1", "2"))
    container = world.pod["spec"]["containers"][0]
    given = container.setdefault("resources", {})
    given.setdefault("requests", {})[name] = amount
    given["limits"] = {**given.get("limits", {}), name: amount}
    for node in world.nodes:
        if world.chance(0.4):
            node["status"].setdefault("allocatable", {})[name] = world.one(("0", "1", "4"))
