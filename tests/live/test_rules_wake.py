"""Whoever other pods keep waiting is tried again when they come, go or are seen differently."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.clock import ManualClock
from scheduler.kube.resources import NAMESPACES, PODS
from tests.live.cluster import Cluster, Scheduler
from tests.live.objects import add_nodes, node_of, single

HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.fixture
def cluster() -> Cluster:
    """Three nodes, and a namespace without labels."""
    found = Cluster(ManualClock(10_000_000))
    add_nodes(found, 1, 3)
    space(found, {})
    return found


def started(cluster: Cluster) -> Scheduler:
    """A scheduler that is in step."""
    scheduler = Scheduler(cluster)
    scheduler.turns(20)
    return scheduler


def space(cluster: Cluster, labels: dict[str, str]) -> None:
    """The labels of namespace lab."""
    cluster.put(NAMESPACES, {"metadata": {"name": "lab", "uid": "uid-lab", "labels": labels}})


def near(app: str, **scope: Any) -> dict[str, Any]:
    """Beside a pod of the application."""
    term = {"topologyKey": HOST, "labelSelector": {"matchLabels": {"app": app}}, **scope}
    return {"affinity": {"podAffinity": {REQUIRED: [term]}}}


def running(cluster: Cluster, namespace: str) -> None:
    """A pod of application `a` on n1, placed by somebody else."""
    meta = {"name": "x", "namespace": namespace, "labels": {"app": "a"}}
    spec = {"nodeName": "n1", "containers": []}
    cluster.put(PODS, {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})


def test_a_pod_that_appears_opens_an_affinity(cluster: Cluster) -> None:
    """No node gained room, and yet there is a place now."""
    scheduler = started(cluster)
    single(cluster, "p", **near("a"))
    scheduler.seconds(2)
    assert node_of(cluster, "p") == ""
    running(cluster, "team")
    scheduler.seconds(1)
    assert node_of(cluster, "p") == "n1"


def test_labels_of_a_namespace_open_an_affinity(cluster: Cluster) -> None:
    """Its pods are meant from now on."""
    scheduler = started(cluster)
    running(cluster, "lab")
    single(cluster, "p", **near("a", namespaceSelector={"matchLabels": {"env": "x"}}))
    scheduler.seconds(2)
    assert node_of(cluster, "p") == ""
    space(cluster, {"env": "x"})
    scheduler.seconds(1)
    assert node_of(cluster, "p") == "n1"


def test_a_pod_that_is_placed_in_the_same_cycle_opens_an_affinity(cluster: Cluster) -> None:
    """Whoever was rejected before it is not left until something else happens."""
    scheduler = started(cluster)
    single(cluster, "first", priority=5, **near("a"))
    later = single(cluster, "later")
    later["metadata"]["labels"] = {"app": "a"}
    cluster.put(PODS, later)
    scheduler.seconds(1)
    assert node_of(cluster, "first") == node_of(cluster, "later") != ""


def test_who_waits_for_others_does_not_keep_the_loop_busy(cluster: Cluster) -> None:
    """Without news there is no cycle."""
    scheduler = started(cluster)
    single(cluster, "p", **near("a"))
    scheduler.seconds(2)
    before = scheduler.app.loop.cycles
    scheduler.seconds(60)
    assert scheduler.app.loop.cycles == before
