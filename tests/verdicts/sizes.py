"""Edges of NodePorts, NodeResourcesFit and of what nominated pods take."""

from __future__ import annotations

from tests.verdicts.world import Json, World, new_pod, settle_requests

GPU = "nvidia.com/gpu"
NAMES = (GPU, "example.com/foo", "hugepages-2Mi", "attachable-volumes-x", "storage.kubernetes.io/y")
IGNORED = ("requests.nvidia.com/gpu", "storage", "odd")
"""Names that kube-scheduler does not count; the API server keeps them in nodes only."""

CPU = ("0", "1", "500m", "99.5m", "100m", "1500m", "2", "0.1", "1e0", "2k", "1n", "2001u", "3.0001")
MEMORY = ("0", "1", "128Mi", "1Gi", "1.5Gi", "100M", "1e9", "0.5", "1k", "2Gi", "1500m", "1Ki")
DEVICES = ("0", "1", "2", "4", "8", "1k")
HUGE = ("1Ei", "4Ei", "7E", "9007199254740993")
"""At most one of these is asked for in a case: sums must stay in int64, beyond which
kube-scheduler's are undefined."""
HUGE_CPU = ("9000000000000000", "1P")
LARGEST = ("9223372036854775807", "9Ei", "9E")
"""What a node may have."""

ADDRESSES = ("", "0.0.0.0", "127.0.0.1", "10.0.0.1", "::", "::1")
PROTOCOLS = ("TCP", "TCP", "UDP", "SCTP")
PORTS = (80, 80, 8080, 9000)


def ports(world: World) -> None:
    """NodePorts: protocols, wildcards, sidecars, init containers, the host's network."""
    for pod in world.pods:
        if world.chance(0.6):
            _give_ports(world, pod)
    _give_ports(world, world.pod)


def _give_ports(world: World, pod: Json) -> None:
    spec = pod["spec"]
    if world.chance(0.3):
        init: Json = {"name": "init", "image": "i"}
        if world.chance(0.6):
            init["restartPolicy"] = "Always"
        init["ports"] = [_port(world)]
        spec.setdefault("initContainers", []).append(init)
    if world.chance(0.85):
        spec["containers"][0]["ports"] = [_port(world) for _ in range(world.one((1, 1, 2)))]
    if world.chance(0.1):
        more = {"name": "more", "image": "i", "ports": [_port(world)]}
        spec["containers"].append(more)
    if world.chance(0.12):
        spec["hostNetwork"] = True


def _port(world: World) -> Json:
    number = world.one(PORTS)
    port: Json = {"containerPort": number, "protocol": world.one(PROTOCOLS)}
    if world.chance(0.85):
        port["hostPort"] = number
    elif world.chance(0.3):
        port["hostPort"] = 0
    address = world.one(ADDRESSES)
    if address or world.chance(0.1):
        port["hostIP"] = address
    return port


def resources(world: World) -> None:
    """NodeResourcesFit: every kind of name and container, full and overcommitted nodes, resizes."""
    names = ["cpu", "memory", *world.some(("ephemeral-storage", *NAMES), 3)]
    for node in world.nodes:
        amounts = {name: node_amount(world, name) for name in names if world.chance(0.93)}
        if world.chance(0.97):
            amounts["pods"] = world.one(("110", "110", "110", "4", "2", "1", "0", "1k"))
        if world.chance(0.1):
            amounts[world.one(IGNORED)] = "1"
        node["status"] = {"allocatable": amounts, "capacity": dict(amounts)}
        if world.chance(0.02):
            node["status"] = {}
    for pod in world.pods:
        _fill(world, pod, names)
        if world.chance(0.35):
            _resize(world, pod, names)
    _fill(world, world.pod, names)
    if world.chance(0.1):  # of no effect on a pod that waits
        _resize(world, world.pod, names)


def node_amount(world: World, name: str) -> str:
    """What a node may have of `name`: about as much as a few pods ask for."""
    if name == "cpu":
        return world.one(("0", "1", "2", "2", "4", "4", "8", "1999m", "2000m", "3.5", "0.1", "1P"))
    if name in ("memory", "ephemeral-storage"):
        return world.one(("0", "1Gi", "2Gi", "4Gi", "4Gi", "8Gi", "1e9", "4096Mi", *HUGE, *LARGEST))
    if name == "hugepages-2Mi":
        return world.one(("0", "2Mi", "4Mi", "1Gi"))
    return world.one(("0", "1", "2", "4", "8", "8", "1k", "9Ei"))


def _amount(world: World, name: str) -> str:
    if not world.huge and world.chance(0.01):
        world.huge = True
        return world.one(HUGE_CPU if name == "cpu" else HUGE)
    if name == "cpu":
        return world.one(CPU)
    if name in ("memory", "ephemeral-storage"):
        return world.one(MEMORY)
    if name == "hugepages-2Mi":
        return world.one(("0", "2Mi", "4Mi", "2048Ki"))
    return world.one(DEVICES)


def _amounts(world: World, names: list[str], share: float) -> Json:
    return {name: _amount(world, name) for name in names if world.chance(share)}


def _container(world: World, name: str, names: list[str]) -> Json:
    found: Json = {"name": name, "image": "i"}
    given: Json = {}
    if world.chance(0.9):
        given["requests"] = _amounts(world, names, 0.45)
    if world.chance(0.15):
        given["limits"] = {**given.get("requests", {}), **_amounts(world, names, 0.2)}
    if given or world.chance(0.5):
        found["resources"] = given
    return found


def _fill(world: World, pod: Json, names: list[str]) -> None:
    spec = pod["spec"]
    spec["containers"] = [
        _container(world, f"main-{i}", names) for i in range(world.one((1, 1, 1, 2, 3)))
    ]
    if world.chance(0.35):
        spec["initContainers"] = [
            _container(world, f"init-{i}", names) for i in range(world.one((1, 2, 3)))
        ]
        for container in spec["initContainers"]:
            if world.chance(0.45):
                container["restartPolicy"] = "Always"
    if world.chance(0.15):
        spec["resources"] = {"requests": _pod_level(world, names)}
    if world.chance(0.15):
        spec["overhead"] = _amounts(world, names, 0.4)
    settle_requests(pod)


def _pod_level(world: World, names: list[str]) -> Json:
    level = [name for name in names if name in ("cpu", "memory", "hugepages-2Mi")]
    if world.chance(0.05):
        level.append("ephemeral-storage")  # refused when created, ignored if stored
    return _amounts(world, level, 0.7)


def _resize(world: World, pod: Json, names: list[str]) -> None:
    """What the kubelet reports while a pod's requests change in place."""
    spec, status = pod["spec"], pod["status"]
    status["containerStatuses"] = [
        _container_status(world, c["name"], names) for c in spec["containers"] if world.chance(0.8)
    ]
    if "initContainers" in spec:
        status["initContainerStatuses"] = [
            _container_status(world, c["name"], names) for c in spec["initContainers"]
        ]
    if world.chance(0.5):
        conditions = [
            {"type": "PodResizePending", "status": "True", "reason": reason}
            for reason in world.some(("Infeasible", "Deferred", ""))
        ]
        world.rng.shuffle(conditions)
        status["conditions"] = [{"type": "Ready", "status": "True"}, *conditions]
    if "resources" in spec or world.chance(0.05):
        if world.chance(0.8):
            status["resources"] = {"requests": _pod_level(world, names)}
        if world.chance(0.6):
            status["allocatedResources"] = _pod_level(world, names)


def _container_status(world: World, name: str, names: list[str]) -> Json:
    status: Json = {"name": name if world.chance(0.97) else "stranger", "ready": True}
    status |= {"restartCount": 0, "image": "i", "imageID": ""}
    if world.chance(0.8):
        status["resources"] = (
            {"requests": _amounts(world, names, 0.45)} if world.chance(0.9) else {}
        )
    if world.chance(0.6):
        status["allocatedResources"] = _amounts(world, names, 0.45)
    return status


def nominated(world: World) -> None:
    """Pods that a preemptor was promised room for: by priority, on nodes there and gone."""
    for i in range(world.one((1, 1, 2, 3))):
        pod = new_pod(world, f"promised-{i}", {"app": world.one(("web", "db"))})
        pod["spec"]["priority"] = world.one((0, 5, 5, 10))
        if world.chance(0.1):
            del pod["spec"]["priority"]
        if world.chance(0.15):
            pod["spec"]["schedulerName"] = world.one(("muster", "other"))
        pod["status"]["nominatedNodeName"] = world.one([*world.node_names(), "node-gone"])
        if world.chance(0.1):
            pod["metadata"]["deletionTimestamp"] = "2026-02-02T00:00:00Z"
        _claim_room(world, pod)
        world.pods.append(pod)
    world.pod["spec"]["priority"] = world.one((0, 5, 7, -3))
    if world.chance(0.15):
        world.pod["status"]["nominatedNodeName"] = world.one(world.node_names())
    _claim_room(world, world.pod)


def _claim_room(world: World, pod: Json) -> None:
    """A large request or a host port, so that the promise matters."""
    container = pod["spec"]["containers"][0]
    if world.chance(0.7):
        container["resources"] = {"requests": {"cpu": world.one(("9", "12", "16", "4"))}}
    if world.chance(0.4):
        container["ports"] = [_port(world)]
