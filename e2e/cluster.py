"""One test's part of the cluster: a namespace, nodes that only its pods use, and waiting.

Nodes carry a label and a taint with the test's name, pods the matching selector and toleration, so
that tests do not meet, neither each other nor whatever else runs there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from e2e import objects
from e2e.api import Api, Object
from e2e.objects import Machine, Template
from e2e.processes import Process
from e2e.provider import Provider
from e2e.watch import Pod, Recorder

MUSTER = "muster"
"""How the scheduler names of pages begin."""
TEST_KEY = "e2e.muster.dev/test"
"""Label and taint of a test's nodes."""
PAGE = "500"
"""Objects deleted by one request."""
CLEANING_SECONDS = 300.0
SECONDS = 60.0
"""How long the waiters wait unless told otherwise."""


class Cluster:
    """What a story works with. `namespace` is its own; `recorder` sees pods and nodes change."""

    def __init__(self, provider: Provider, test: str, recorder: Recorder) -> None:
        self.provider = provider
        self.api: Api = provider.api
        self.recorder = recorder
        self.test = test
        self.namespace = f"e2e-{provider.session}-{test}"[:63].rstrip("-")
        self.scheduler_name = provider.scheduler_name
        self.schedulers = {self.scheduler_name}
        """Those of the test's Muster; more than one if its configuration has several profiles."""
        self.prefix = f"{provider.session}-{test}-" if provider.shared else ""
        self._hollow: list[Process] = []
        self._made: list[str] = []
        self._namespaces: list[str] = []
        self._nodes = 0

    # --- set-up and cleaning up ---

    def open(self) -> Cluster:
        """Creates the namespace; returns when pods can be created in it."""
        self._create_namespace(self.namespace, {})
        return self

    def add_namespace(self, name: str, labels: Mapping[str, str]) -> str:
        """One more namespace, deleted with the test; returns its name: the test's and `-NAME`."""
        full = f"{self.namespace}-{name}"
        self._create_namespace(full, labels)
        return full

    def _create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Returns when pods can be created in it."""
        metadata = {"name": name, "labels": {**labels, **self.provider.labels}}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        self.api.create("/api/v1/namespaces", body)
        self._namespaces.append(name)
        accounts = self.api.path_of("v1", "ServiceAccount", name)
        eventually("the default service account", lambda: bool(self.api.items(accounts)))

    def close(self) -> None:
        """Deletes what the test made: workloads, pods, nodes, cluster-scoped objects."""
        for kind in ("StatefulSet", "ReplicaSet", "Deployment"):
            self.api.delete(self.path("apps/v1", kind))
        self.api.delete(self.path("batch/v1", "Job"), propagationPolicy="Background")
        pods = [self.api.path_of("v1", "Pod", namespace) for namespace in self._namespaces]
        for path in pods:
            self._delete_all(path, gracePeriodSeconds="0")
        self.provider.processes.stop(self._hollow)
        for namespace in self._namespaces:
            self.api.delete(f"/api/v1/namespaces/{namespace}")

        def gone() -> bool:
            return not any(self.api.items(path, limit="1") for path in pods)

        eventually("the pods are gone", gone)
        self._delete_all("/api/v1/nodes", labelSelector=f"{TEST_KEY}={self.test}")
        for path in reversed(self._made):
            self.api.delete(path)

    def _delete_all(self, path: str, **query: str) -> None:
        """Deletes a collection, page by page: 5,000 at once take longer than a request may."""
        selector = {key: value for key, value in query.items() if key == "labelSelector"}

        def empty() -> bool:
            self.api.delete(path, None, limit=PAGE, **query)
            return not self.api.items(path, limit="1", **selector)

        eventually(f"{path} is empty", empty, CLEANING_SECONDS)

    # --- nodes ---

    def create_nodes(
        self, count: int, *, spines: int = 1, leaves: int = 1, machine: Machine | None = None
    ) -> list[str]:
        """Fake nodes in `spines` of `leaves` each; returns their names when they are schedulable.

        A later call goes on with the numbers of nodes, and begins with the first spine again.
        """
        bodies = objects.fabric(
            count,
            spines=spines,
            leaves=leaves,
            machine=machine,
            prefix=self.prefix,
            first=self._nodes,
        )
        return self.add_nodes(bodies)

    def add_nodes(self, bodies: Sequence[Object], *, wait: bool = True) -> list[str]:
        """Creates these nodes (of `objects.node`), as the test's own."""
        for body in bodies:
            body["metadata"]["labels"][TEST_KEY] = self.test
            body["spec"].setdefault("taints", []).append(objects.taint(TEST_KEY, self.test))
        names = self.provider.create_nodes(list(bodies))
        self._nodes += len(names)
        if wait:
            self.wait_nodes(names)
        return names

    def start_hollow_nodes(
        self, count: int, *, spines: int = 1, leaves: int = 1, machine: Machine | None = None
    ) -> list[str]:
        """Nodes with real kubelets over a fake runtime; returns names when they are schedulable."""
        machine = machine or Machine()
        prefix = f"{self.prefix}hollow-"
        names = []
        for body in objects.fabric(count, spines=spines, leaves=leaves, prefix=prefix):
            labels = {**body["metadata"]["labels"], TEST_KEY: self.test}
            name = body["metadata"]["name"]
            process = self.provider.start_hollow_node(name, machine, labels, {TEST_KEY: self.test})
            self._hollow.append(process)
            names.append(name)
        self.wait_nodes(names)
        return names

    def delete_nodes(self, names: Iterable[str]) -> None:
        """Deletes nodes of the test."""
        self.api.in_parallel(lambda name: self.api.delete(f"/api/v1/nodes/{name}"), names)

    # --- objects ---

    def path(self, api_version: str, kind: str) -> str:
        """Path of the kind's objects in the test's namespace (or of the cluster)."""
        return self.api.path_of(api_version, kind, self.namespace)

    def create(self, body: Object) -> Object:
        """Creates any object as it is; what has no namespace is deleted with the test."""
        version, kind = body["apiVersion"], body["kind"]
        path = self.path(version, kind)
        if not self.api.resource(version, kind)[1]:
            body["metadata"].setdefault("labels", {}).update(self.provider.labels)
            self._made.append(f"{path}/{body['metadata']['name']}")
        return self.api.create(path, body)

    def scheduler_like(self, name: str) -> str:
        """`muster` or `muster-MORE` of a page as the test's Muster answers to it."""
        found = self.scheduler_name + name.removeprefix(MUSTER)
        self.schedulers.add(found)
        return found

    def own(self, template: Template | None = None, scheduler: str | None = None) -> Template:
        """The template on the test's nodes, for Muster (or another scheduler)."""
        taints = [objects.taint(TEST_KEY, self.test)]
        return (template or Template()).with_spec(
            schedulerName=scheduler or self.scheduler_name,
            nodeSelector={TEST_KEY: self.test},
            tolerations=objects.tolerations(taints),
        )

    def statefulset(
        self,
        name: str,
        replicas: int,
        template: Template | None = None,
        *,
        ordered: bool = False,
        scheduler: str | None = None,
    ) -> Object:
        """Creates a StatefulSet on the test's nodes."""
        shared = self.own(template, scheduler)
        return self.create(objects.statefulset(name, replicas, shared, ordered=ordered))

    def job(self, name: str, count: int, template: Template | None = None, **more: Any) -> Object:
        """Creates an Indexed Job on the test's nodes."""
        return self.create(objects.job(name, count, self.own(template), **more))

    def create_pods(self, bodies: Iterable[Object]) -> list[Object]:
        """Creates pods (of `objects.pod` or `gang_pods`, built from `own(...)`), many at a time."""
        return self.api.create_all(self.path("v1", "Pod"), bodies)

    def scale(self, name: str, replicas: int) -> None:
        """Sets a StatefulSet's replicas."""
        path = f"{self.path('apps/v1', 'StatefulSet')}/{name}"
        self.api.patch(path, {"spec": {"replicas": replicas}})

    def delete(self, api_version: str, kind: str, name: str) -> None:
        """Deletes an object of the namespace, and in the background what it owns."""
        path = f"{self.path(api_version, kind)}/{name}"
        self.api.delete(path, propagationPolicy="Background")

    def events(self, name: str | None = None) -> list[Object]:
        """Events of the namespace (of the object of that name), oldest first."""
        found = self.api.items(self.path("events.k8s.io/v1", "Event"))
        found = [each for each in found if name in {None, each["regarding"].get("name")}]
        return sorted(found, key=lambda each: str(each["metadata"]["creationTimestamp"]))

    # --- what is there, and waiting for it ---

    def pods(self, app: str | None = None) -> list[Pod]:
        """The test's pods as the watch shows them, by name; `app` is the workload's name."""
        found = self.recorder.in_namespace(self.namespace)
        found = [pod for pod in found if app in {None, pod.metadata.labels.get("app")}]
        return sorted(found, key=lambda pod: pod.metadata.name)

    def pod(self, name: str) -> Pod:
        """One pod. Raises LookupError if it is not there."""
        for pod in self.recorder.in_namespace(self.namespace):
            if pod.metadata.name == name:
                return pod
        raise LookupError(f"no pod {self.namespace}/{name}")

    def wait_nodes(self, names: Collection[str], seconds: float = SECONDS) -> None:
        """Waits until these nodes are Ready and without the taint of new nodes."""
        wanted = set(names)

        def missing() -> str:
            nodes = self.recorder.nodes.values()
            ready = {node.metadata.name for node in nodes if node.schedulable}
            return _named("nodes are not schedulable", wanted - ready)

        self.recorder.wait_for(f"{len(wanted)} nodes", missing, seconds)

    def wait_pods(
        self,
        what: str,
        count: int,
        holds: Callable[[Pod], bool],
        *,
        app: str | None = None,
        seconds: float = SECONDS,
    ) -> list[Pod]:
        """Waits until exactly `count` pods (of `app`) exist and `holds` for all; returns them."""

        def missing() -> str:
            pods = self.pods(app)
            if len(pods) != count:
                return f"{len(pods)} pods of {count} exist"
            lacking = [pod for pod in pods if not holds(pod)]
            return _named(f"pods are not {what}", {_state(pod) for pod in lacking})

        self.recorder.wait_for(f"{count} pods {what}", missing, seconds)
        return self.pods(app)

    def wait_bound(
        self, count: int, *, app: str | None = None, seconds: float = SECONDS
    ) -> list[Pod]:
        """Waits until `count` pods have a node."""
        return self.wait_pods(
            "bound", count, lambda pod: bool(pod.spec.node_name), app=app, seconds=seconds
        )

    def wait_ready(
        self, count: int, *, app: str | None = None, seconds: float = SECONDS
    ) -> list[Pod]:
        """Waits until `count` pods are Ready."""
        return self.wait_pods("ready", count, lambda pod: pod.ready, app=app, seconds=seconds)

    def wait_reason(
        self, count: int, reason: str, *, app: str | None = None, seconds: float = SECONDS
    ) -> list[Pod]:
        """Waits until `count` pods say PodScheduled=False with that reason."""

        def holds(pod: Pod) -> bool:
            condition = pod.condition("PodScheduled")
            return condition is not None and (condition.status, condition.reason) == (
                "False",
                reason,
            )

        return self.wait_pods(reason, count, holds, app=app, seconds=seconds)

    def spines(self, pods: Iterable[Pod]) -> dict[str, int]:
        """spine -> how many of these pods are on it."""
        return self._domains(pods, objects.SPINE)

    def leaves(self, pods: Iterable[Pod]) -> dict[str, int]:
        """leaf -> how many of these pods are on it."""
        return self._domains(pods, objects.LEAF)

    def _domains(self, pods: Iterable[Pod], label: str) -> dict[str, int]:
        """Counts the pods by a label of their nodes."""
        with self.recorder.news:
            nodes = {node.metadata.name: node for node in self.recorder.nodes.values()}
        counts: dict[str, int] = {}
        for pod in pods:
            domain = nodes[pod.spec.node_name].metadata.labels.get(label, "")
            counts[domain] = counts.get(domain, 0) + 1
        return counts


def eventually(what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Polls until `holds`. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not after {seconds:.0f} s")
        time.sleep(0.05)


def _state(pod: Pod) -> str:
    """A pod in a few words, for the message of a waiter."""
    condition = pod.condition("PodScheduled")
    why = (
        f" {condition.reason}: {condition.message[:120]}" if condition and condition.reason else ""
    )
    reason = f"/{pod.status.reason}" if pod.status.reason else ""
    return f"{pod.metadata.name} ({pod.status.phase}{reason}{why})"


def _named(what: str, names: Collection[str]) -> str:
    """`3 WHAT: a, b, c`; "" without names."""
    if not names:
        return ""
    shown = sorted(names)[:5]
    more = ", ..." if len(names) > len(shown) else ""
    return f"{len(names)} {what}: {', '.join(shown)}{more}"
