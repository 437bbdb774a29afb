"""Nodes, StatefulSets and pods as the API server writes them."""

from __future__ import annotations

from typing import Any

from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS
from tests.live.cluster import Cluster, Object

GPU = "nvidia.com/gpu"


def add_nodes(cluster: Cluster, spines: int, each: int, gpus: int = 8, first: int = 0) -> None:
    """Nodes n0, n1, ... in spines s0, s1, ... of two leaves."""
    for at in range(first, first + spines * each):
        spine, place = divmod(at, each)
        labels = {
            "net/spine": f"s{spine}",
            "net/leaf": f"s{spine}-l{place * 2 // each}",
            "kubernetes.io/hostname": f"n{at}",
        }
        amounts = {"cpu": "32", "memory": "64Gi", "pods": "110", GPU: str(gpus)}
        meta = {"name": f"n{at}", "labels": labels}
        cluster.put(NODES, {"metadata": meta, "spec": {}, "status": {"allocatable": amounts}})


def stateful_set(
    cluster: Cluster, name: str, replicas: int, *, notes: dict[str, str] | None = None
) -> Object:
    """A Parallel StatefulSet in namespace team."""
    template = {"metadata": {"annotations": notes or {}}, "spec": _spec(8)}
    spec = {"replicas": replicas, "podManagementPolicy": "Parallel", "template": template}
    return cluster.put(STATEFUL_SETS, {"metadata": _meta(name, generation=1), "spec": spec})


def member(cluster: Cluster, owner: Object, rank: int, **spec: Any) -> Object:
    """Pod `rank` of a StatefulSet."""
    name = owner["metadata"]["name"]
    ref = {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name,
        "uid": owner["metadata"]["uid"], "controller": True,
    }  # fmt: skip
    labels = {"apps.kubernetes.io/pod-index": str(rank)}
    notes = dict(owner["spec"]["template"]["metadata"]["annotations"])
    meta = _meta(f"{name}-{rank}", labels=labels, annotations=notes, ownerReferences=[ref])
    return cluster.put(PODS, {"metadata": meta, "spec": {**_spec(8), **spec}, "status": {}})


def members(cluster: Cluster, owner: Object, count: int, first: int = 0) -> list[Object]:
    """Pods first, first + 1, ..."""
    return [member(cluster, owner, rank) for rank in range(first, first + count)]


def single(cluster: Cluster, name: str, gpus: int = 1, **spec: Any) -> Object:
    """A pod without a controller."""
    body = {"metadata": _meta(name), "spec": {**_spec(gpus), **spec}, "status": {}}
    return cluster.put(PODS, body)


def _meta(name: str, **more: Any) -> Object:
    return {"name": name, "namespace": "team", **more}


def _spec(gpus: int) -> Object:
    limits = {GPU: str(gpus)} if gpus else {}
    container = {"name": "main", "resources": {"requests": {"cpu": "1", **limits}}}
    return {"schedulerName": "muster", "containers": [container]}


def node_of(cluster: Cluster, name: str) -> str:
    """Where a pod of namespace team is bound, or empty."""
    pod = cluster.objects["pods"][f"team/{name}"]
    return str(pod["spec"].get("nodeName", ""))
