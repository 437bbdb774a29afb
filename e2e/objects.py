"""Kubernetes objects as tests want them: plain JSON, the fewest fields that matter.

Names, labels and shapes are given; where a pod may run and who schedules it is the cluster's
business (`e2e.cluster.Cluster` adds it).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from e2e.api import Object

SPINE = "network.muster.dev/spine"
LEAF = "network.muster.dev/leaf"
GPU = "nvidia.com/gpu"
FAKE_NODE = {"kwok.x-k8s.io/node": "fake"}
"""The annotation by which kwok knows its nodes."""
PLATFORM = {
    f"{group}kubernetes.io/{key}": value
    for key, value in (("os", "linux"), ("arch", "amd64"))
    for group in ("", "beta.")
}
"""As on every node; the node life cycle controller would add what is missing, a write a node."""
COMPLETE = "e2e.muster.dev/complete"
"""A running pod on a fake node succeeds once this annotation is `true`."""
IMAGE = "registry.invalid/nothing:1"
"""Never pulled: fake nodes and hollow kubelets have no container runtime."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a node offers."""

    cpu: str = "32"
    memory: str = "256Gi"
    gpus: int = 8
    pods: int = 110

    def resources(self) -> dict[str, str]:
        """As a node's allocatable; a machine without GPUs does not name them."""
        offered = {"cpu": self.cpu, "memory": self.memory, "pods": str(self.pods)}
        if self.gpus:
            offered[GPU] = str(self.gpus)
        return offered


@dataclass(frozen=True, slots=True)
class Template:
    """What the pods of a workload have in common; `spec` and the maps are merged in last."""

    gpus: int = 8
    cpu: str = "1"
    memory: str = "1Gi"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)

    def with_labels(self, **labels: str) -> Template:
        """The same with more labels."""
        return replace(self, labels={**self.labels, **labels})

    def with_spec(self, **fields: Any) -> Template:
        """The same with other fields of the pod's spec (tolerations are added to)."""
        tolerations = [*self.spec.get("tolerations", ()), *fields.get("tolerations", ())]
        selector = {**self.spec.get("nodeSelector", {}), **fields.get("nodeSelector", {})}
        merged = {**self.spec, **fields}
        if tolerations:
            merged["tolerations"] = tolerations
        if selector:
            merged["nodeSelector"] = selector
        return replace(self, spec=merged)

    def render(self, **more: Any) -> Object:
        """`metadata` and `spec` of a pod or of a pod template."""
        requests = {"cpu": self.cpu, "memory": self.memory}
        if self.gpus:
            requests[GPU] = str(self.gpus)
        limits = {GPU: requests[GPU]} if self.gpus else {}
        container = {
            "name": "main",
            "image": IMAGE,
            "resources": {"requests": requests, "limits": limits},
        }
        return {
            "metadata": {"labels": dict(self.labels), "annotations": dict(self.annotations)},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [container],
                **self.spec,
                **more,
            },
        }


def node(name: str, labels: Mapping[str, str], machine: Machine | None = None) -> Object:
    """A node whose pods kwok plays.

    It is born Ready: waiting for kwok to say so costs four more writes a node.
    """
    offered = (machine or Machine()).resources()
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    labels = {"kubernetes.io/hostname": name, **PLATFORM, **labels}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": dict(FAKE_NODE)},
        "spec": {},
        "status": {"allocatable": offered, "capacity": offered, "conditions": [ready]},
    }


def fabric(
    count: int,
    *,
    spines: int,
    leaves: int,
    machine: Machine | None = None,
    prefix: str = "",
    first: int = 0,
) -> list[Object]:
    """`count` nodes, spread in runs over `spines` and each spine over `leaves` of its own.

    Names are `<prefix>node-00000`..., `<prefix>spine-1`..., `<prefix>spine-1-leaf-1`...; node
    numbers start at `first`.
    """
    made = []
    for index in range(count):
        at = index * spines // count
        start, end = -(-at * count // spines), -(-(at + 1) * count // spines)
        spine = f"{prefix}spine-{at + 1}"
        leaf = f"{spine}-leaf-{(index - start) * leaves // (end - start) + 1}"
        name = f"{prefix}node-{first + index:05}"
        made.append(node(name, {SPINE: spine, LEAF: leaf}, machine))
    return made


def statefulset(
    name: str, replicas: int, template: Template | None = None, *, ordered: bool = False
) -> Object:
    """A StatefulSet; all pods at once unless `ordered`."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "OrderedReady" if ordered else "Parallel",
            "selector": {"matchLabels": labels},
            "template": (template or Template()).with_labels(**labels).render(),
        },
    }


def job(
    name: str, count: int, template: Template | None = None, *, completions: int | None = None
) -> Object:
    """An Indexed Job with `count` pods at a time, of `completions` (default: as many)."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "completionMode": "Indexed",
            "parallelism": count,
            "completions": count if completions is None else completions,
            "template": (template or Template())
            .with_labels(app=name)
            .render(restartPolicy="Never"),
        },
    }


def pod(name: str, template: Template | None = None) -> Object:
    """A pod without a controller."""
    body = (template or Template()).render()
    body["metadata"]["name"] = name
    return {"apiVersion": "v1", "kind": "Pod", **body}


def gang_pods(
    gang: str, count: int, template: Template | None = None, *, size: int | None = None
) -> list[Object]:
    """Pods `<gang>-0`... that are a gang by label, which says that it has `size` (default all)."""
    labels = {
        "app": gang,
        "muster.dev/gang": gang,
        "muster.dev/gang-size": str(count if size is None else size),
    }
    shared = (template or Template()).with_labels(**labels)
    return [pod(f"{gang}-{rank}", shared) for rank in range(count)]


def taint(key: str, value: str, effect: str = "NoSchedule") -> Object:
    """A taint of a node."""
    return {"key": key, "value": value, "effect": effect}


def tolerations(taints: Sequence[Object]) -> list[Object]:
    """What tolerates exactly these taints."""
    return [{**each, "operator": "Equal"} for each in taints]
