"""What stands on the objects of a cluster after a rejection, and about objects that are odd."""

from __future__ import annotations

import pytest

from scheduler.clock import ManualClock
from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS
from tests.live.cluster import Cluster, Object, Scheduler
from tests.live.objects import add_nodes, members, single, stateful_set

LINE = "4/4 nodes are available to a single member."
FULL = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu."


@pytest.fixture
def cluster() -> Cluster:
    """A spine of four nodes with eight GPUs."""
    found = Cluster(ManualClock(10_000_000))
    add_nodes(found, 1, 4)
    return found


def events(cluster: Cluster, reason: str) -> list[Object]:
    """Those with this reason, in order."""
    return [each for each in cluster.posted if each.get("reason") == reason]


def told(cluster: Cluster, pod: str) -> str:
    """The message of the pod's PodScheduled."""
    conditions = cluster.objects["pods"][f"team/{pod}"]["status"]["conditions"]
    return str(next(each["message"] for each in conditions if each["type"] == "PodScheduled"))


def test_a_rejection_is_told_in_our_words_and_kube_scheduler_s(cluster: Cluster) -> None:
    """On the lowest rank, in the owner's event, and to who asks; others get no numbers."""
    scheduler = Scheduler(cluster)
    members(cluster, stateful_set(cluster, "wide", 5), 5)
    scheduler.seconds(5)
    ours = "4 of 5 fit in the whole cluster, 1 short of nvidia.com/gpu"
    assert told(cluster, "wide-0") == f"{ours}. {LINE}"
    assert told(cluster, "wide-1") == (
        "the nodes that may be used have too little room: short of nvidia.com/gpu"
    )
    assert [each["note"] for each in events(cluster, "GangPending")] == [f"{ours}. {LINE}"]
    app = scheduler.app
    assert app._available("uid-of-nobody") == ""
    (key,) = [key for key in app.roster.keys() if "StatefulSet" in key]  # noqa: SIM118
    assert app._available(key) == LINE


def test_a_single_pod_reads_kube_scheduler_s_own_line(cluster: Cluster) -> None:
    """As users know it, behind our sentence, in the event and in the condition."""
    scheduler = Scheduler(cluster)
    single(cluster, "greedy", gpus=9)
    scheduler.seconds(5)
    (event,) = events(cluster, "FailedScheduling")
    assert event["regarding"]["name"] == "greedy"
    assert event["note"].endswith(f"short of nvidia.com/gpu. {FULL}")
    assert told(cluster, "greedy") == event["note"]


def test_an_object_that_cannot_be_read_is_told_on_itself_once(cluster: Cluster) -> None:
    """An event InvalidObject on a pod, a node and a set; seen again, nothing is said again."""
    scheduler = Scheduler(cluster)
    scheduler.seconds(1)
    pod = single(cluster, "odd", gpus=1)
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "lots"
    node = cluster.objects["nodes"]["/n3"]
    node["status"]["allocatable"]["cpu"] = "-1"
    huge = stateful_set(cluster, "huge", 10**7)
    for _ in range(3):
        cluster.put(PODS, pod)
        cluster.put(NODES, node)
        cluster.put(STATEFUL_SETS, huge)
        scheduler.seconds(5)
    found = {each["regarding"]["name"]: each for each in events(cluster, "InvalidObject")}
    assert sorted(found) == ["huge", "n3", "odd"]
    assert len(events(cluster, "InvalidObject")) == 3
    assert {name: each["regarding"]["uid"] for name, each in found.items()} == {
        each["metadata"]["name"]: each["metadata"]["uid"] for each in (pod, node, huge)
    }
    assert found["odd"]["type"] == "Warning"
    assert found["odd"]["note"].startswith("cannot be read: ")
    assert "lots" in found["odd"]["note"]
    assert found["n3"]["metadata"]["namespace"] == "default"
    assert found["huge"]["regarding"]["apiVersion"] == "apps/v1"
    assert "10000000 pods" in found["huge"]["note"]
