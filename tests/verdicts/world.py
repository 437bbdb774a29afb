"""A small cluster in the making: nodes, pods, other objects and the pod that asks.

Everything is drawn from one seeded random.Random, so that the same seed gives the same bytes.
Objects are what the API server stores: defaulted and admitted, as dicts in the API's names. Names
and values come from small alphabets, so that the rules of one object meet the others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Json = dict[str, Any]
T = TypeVar("T")

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
BETA_ZONE = "failure-domain.beta.kubernetes.io/zone"
BETA_REGION = "failure-domain.beta.kubernetes.io/region"
RACK = "example.com/rack"
NUMBER = "example.com/number"
TIER = "tier"

NODE_KEYS = (HOSTNAME, ZONE, REGION, RACK, NUMBER, TIER)
ZONES = ("a", "b", "c")
NAMESPACES = ("default", "team-a", "team-b")
APPS = ("web", "db", "")
EPOCH = "2026-01-01T00:00:00Z"
LATER = "2026-02-02T00:00:00Z"

PLENTY = {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "100Gi", "pods": "110"}


@dataclass(slots=True)
class World:
    """One case while it grows."""

    rng: random.Random
    nodes: list[Json] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)
    objects: list[Json] = field(default_factory=list)
    pod: Json = field(default_factory=dict)
    huge: bool = False
    """A huge amount was given to a pod; two of them could overflow an int64 sum."""

    def chance(self, share: float) -> bool:
        """True in `share` of the draws."""
        return self.rng.random() < share

    def one(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self.rng.randrange(len(values))]

    def some(self, values: Sequence[T], most: int | None = None) -> list[T]:
        """None to `most` (default: all) of `values`, in their order, no value twice."""
        count = self.rng.randint(0, min(len(values), len(values) if most is None else most))
        chosen = sorted(self.rng.sample(range(len(values)), count))
        return [values[i] for i in chosen]

    def each_pod(self) -> list[Json]:
        """All pods, the one that asks last."""
        return [*self.pods, self.pod]

    def bound(self) -> list[Json]:
        """Pods that are bound, also to nodes that do not exist."""
        return [pod for pod in self.pods if "nodeName" in pod["spec"]]

    def node_names(self) -> list[str]:
        """Names of all nodes."""
        return [node["metadata"]["name"] for node in self.nodes]

    def namespace(self) -> str:
        """The namespace of the pod that asks."""
        return str(self.pod["metadata"]["namespace"])


def new_world(rng: random.Random) -> World:
    """Nodes with room and labels, pods without demands: every filter passes."""
    world = World(rng)
    count = rng.choice((1, 2, 2, 3, 3, 4, 5, 6, 8))
    world.nodes = [_node(world, f"node-{i}") for i in range(count)]
    world.pods = [bound_pod(world, f"old-{i}") for i in range(rng.choice((0, 1, 2, 3, 4, 6, 12)))]
    world.pod = new_pod(world, "asks", _app(world))
    world.objects = [_namespace(world, name) for name in NAMESPACES if world.chance(0.95)]
    return world


def _node(world: World, name: str) -> Json:
    labels: Json = {}
    if world.chance(0.95):
        labels[HOSTNAME] = name
    if world.chance(0.92):
        labels[ZONE] = world.one(ZONES)
        if world.chance(0.7):
            labels[REGION] = "north"
    if world.chance(0.85):
        labels[RACK] = world.one(("r1", "r2", "r3"))
    metadata: Json = {"name": name, "uid": f"uid-{name}", "labels": labels}
    metadata["creationTimestamp"] = EPOCH
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": {},
        "status": {"allocatable": dict(PLENTY), "capacity": dict(PLENTY)},
    }


def _app(world: World) -> Json:
    labels: Json = {}
    if world.chance(0.85):
        labels["app"] = world.one(APPS)
    if world.chance(0.4):
        labels["stage"] = world.one(("x", "y"))
    return labels


def new_pod(world: World, name: str, labels: Json) -> Json:
    """A pending pod with one container that asks for little."""
    metadata: Json = {
        "name": name,
        "namespace": world.one(NAMESPACES) if world.chance(0.35) else "default",
        "uid": f"uid-{name}",
        "creationTimestamp": EPOCH,
    }
    if labels or world.chance(0.5):
        metadata["labels"] = labels
    requests = {"cpu": "100m", "memory": "128Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "containers": [{"name": "main", "image": "i", "resources": {"requests": requests}}],
            "schedulerName": "default-scheduler",
            "priority": 0,
        },
        "status": {"phase": "Pending"},
    }


def bound_pod(world: World, name: str) -> Json:
    """A pod of any scheduler on some node; few are finished, leaving, or on unknown nodes."""
    pod = new_pod(world, name, _app(world))
    pod["spec"]["nodeName"] = world.one(world.node_names())
    pod["spec"]["schedulerName"] = world.one(("default-scheduler", "muster", "other"))
    pod["status"] = {"phase": "Running"}
    if world.chance(0.06):
        pod["status"] = {"phase": world.one(("Succeeded", "Failed"))}
    elif world.chance(0.12):
        pod["metadata"]["deletionTimestamp"] = LATER
        pod["metadata"]["deletionGracePeriodSeconds"] = 30
    elif world.chance(0.04):
        pod["spec"]["nodeName"] = "node-gone"
    elif world.chance(0.06):
        del pod["spec"]["nodeName"]
        pod["status"] = {"phase": "Pending"}
    return pod


def _namespace(world: World, name: str) -> Json:
    labels: Json = {"kubernetes.io/metadata.name": name} if world.chance(0.95) else {}
    if world.chance(0.6):
        labels["team"] = world.one(("red", "blue", ""))
    metadata: Json = {"name": name, "uid": f"uid-{name}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def selector(world: World) -> Json | None:
    """A label selector over pods' labels: nil, empty, or with every operator."""
    if world.chance(0.04):
        return None
    if world.chance(0.06):
        return {}
    found: Json = {}
    if world.chance(0.6):
        key = world.one(("app", "app", "stage"))
        found["matchLabels"] = {key: world.one(APPS if key == "app" else ("x", "y"))}
    if not found or world.chance(0.35):
        count = 2 if world.chance(0.25) else 1
        found["matchExpressions"] = [label_expression(world) for _ in range(count)]
    return found


def label_expression(world: World) -> Json:
    """One expression of a label selector over pods' labels."""
    key = world.one(("app", "app", "stage", "absent"))
    operator = world.one(("In", "In", "NotIn", "Exists", "DoesNotExist"))
    expression: Json = {"key": key, "operator": operator}
    if operator in ("In", "NotIn"):
        values = APPS if key == "app" else ("x", "y", "")
        expression["values"] = world.some(values, 2) or [values[0]]
    return expression


def containers(pod: Json) -> list[Json]:
    """Init containers, then main ones."""
    spec = pod["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]


def settle_requests(pod: Json) -> None:
    """Copy limits to missing requests, as the API server does while it stores a pod."""
    for container in containers(pod):
        resources = container.get("resources", {})
        for name, amount in resources.get("limits", {}).items():
            resources.setdefault("requests", {}).setdefault(name, amount)


def settle_ports(pod: Json) -> None:
    """On the host's network every port is a host port, as the API server writes down."""
    if pod["spec"].get("hostNetwork"):
        for container in containers(pod):
            for port in container.get("ports", ()):
                port["hostPort"] = port["containerPort"]
