"""An API server that answers badly now and then, and a judge of where pods may be.

The judge asks `verdicts_of`, which random comparisons hold against kube-scheduler, about what the
API server holds at the moment.
"""

from __future__ import annotations

import json
from collections import deque
from random import Random
from typing import Any

from scheduler.clock import ManualClock
from scheduler.kube.resources import CSI_NODES, NAMESPACES, NODES, PODS, VOLUME_CLAIMS, VOLUMES
from scheduler.kube.transport import Done, Request, Response
from scheduler.verdicts import verdicts_of
from tests.live.cluster import Cluster, Nothing, Object

MOST_PRIORITY = 10**9
RULES = ("affinity", "topologySpreadConstraints")
REFUSED = Response(403, b'{"kind":"Status","message":"no"}')
LOST = Response(504)
_KIND = {
    NAMESPACES: "Namespace", VOLUME_CLAIMS: "PersistentVolumeClaim",
    VOLUMES: "PersistentVolume", CSI_NODES: "CSINode",
}  # fmt: skip


class World(Cluster):
    """A cluster that notes which binds are sent, and answers some of them badly."""

    def __init__(self, rng: Random) -> None:
        super().__init__(ManualClock(10_000_000))
        self.rng = rng
        self.trouble = 0.0
        self.sent: list[tuple[str, str]] = []
        """(key of the pod, node) of binds in this turn."""

    def send(self, request: Request, done: Done) -> Nothing:
        """See Transport."""
        parts = request.path.partition("?")[0].split("/")
        if parts[-1] != "binding":
            return super().send(request, done)
        node = json.loads(request.body)["target"]["name"]
        self.sent.append((f"{parts[4]}/{parts[6]}", node))
        draw = self.rng.random()
        self.does = draw >= self.trouble * 0.7
        bad = REFUSED if draw < self.trouble * 0.4 else LOST
        self.faults = lambda _: bad if draw < self.trouble else None
        try:
            return super().send(request, done)
        finally:
            self.faults, self.does = (lambda _: None), True

    def each(self, resource: Any) -> list[Object]:
        """Objects of a kind, by key."""
        found = self.objects[resource.plural]
        return [found[key] for key in sorted(found)]


def key_of(obj: Object) -> str:
    """namespace/name."""
    meta = obj["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


def node_of(pod: Object) -> str:
    """Where a pod is, or empty."""
    return str(pod["spec"].get("nodeName", ""))


def is_over(pod: Object) -> bool:
    """Whether it has ended."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def is_leaving(pod: Object) -> bool:
    """Whether it is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


class Judge:
    """Asks `muster verdicts` about pods of a World."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.last: deque[Object] = deque(maxlen=4)
        """The last answers."""

    def passing(self, pod: Object, placed: dict[str, str]) -> list[str]:
        """Nodes that take a pod while `placed` (key -> node) are where they are as well.

        Pods that another scheduler will place where it has nominated a node keep their room
        there and their own anti-affinity; the rules of the pod that asks do not see them.
        """
        pods, promised = [], []
        for each in self.world.each(PODS):
            node = placed.get(key_of(each), "")
            if key_of(each) == key_of(pod):
                continue
            if node:
                pods.append({**each, "spec": {**each["spec"], "nodeName": node}})
            elif each["spec"]["schedulerName"] == "other" and not is_leaving(each):
                promised.append({**each, "spec": {**each["spec"], "priority": MOST_PRIORITY}})
        spec = {k: v for k, v in pod["spec"].items() if k != "nodeName"}
        found = self._asked({**pod, "spec": spec}, pods)
        if promised:
            plain = {k: v for k, v in spec.items() if k not in RULES}
            also = self._asked({**pod, "spec": plain}, [*pods, *promised])
            found = [node for node in found if node in also]
        return found

    def _asked(self, pod: Object, pods: list[Object]) -> list[str]:
        nodes = self.world.each(NODES)
        objects = [
            {"kind": kind, **each}
            for resource, kind in _KIND.items()
            for each in self.world.each(resource)
        ]
        case = {"id": 1, "nodes": nodes, "pods": pods, "objects": objects, "pod": pod}
        found = verdicts_of(case)["verdicts"]
        self.last.append(found)
        names = [each["metadata"]["name"] for each in nodes]
        return [name for name in names if name not in found and "*" not in found]

    def there(self, without: set[str]) -> dict[str, str]:
        """Pods on nodes, by key."""
        return {
            key_of(pod): node_of(pod)
            for pod in self.world.each(PODS)
            if node_of(pod) and key_of(pod) not in without
        }

    def has_order(self, batch: list[tuple[str, str]], before: dict[str, str]) -> bool:
        """Whether some order of the batch lets each pod pass when its turn comes."""
        dead: set[frozenset[str]] = set()

        def go(left: dict[str, str], placed: dict[str, str]) -> bool:
            if not left:
                return True
            if frozenset(left) in dead:
                return False
            for key, node in left.items():
                pod = self.world.objects["pods"][key]
                if node in self.passing(pod, placed):
                    rest = {k: n for k, n in left.items() if k != key}
                    if go(rest, {**placed, key: node}):
                        return True
            dead.add(frozenset(left))
            return False

        return go(dict(batch), before)

    def room_for(
        self, pods: list[Object], placed: dict[str, str], barred: set[str], tries: list[int]
    ) -> dict[str, str] | None:
        """Nodes for all of `pods`, in some order, or None if there are none (or tries end)."""
        if not pods:
            return {}
        for pod in pods:
            if tries[0] <= 0:
                return None
            tries[0] -= 1
            rest = [each for each in pods if each is not pod]
            for node in self.passing(pod, placed):
                if node in barred:
                    continue
                found = self.room_for(rest, {**placed, key_of(pod): node}, barred, tries)
                if found is not None:
                    return {key_of(pod): node, **found}
        return None
