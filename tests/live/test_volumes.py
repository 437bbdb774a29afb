"""The live scheduler and volumes: who waits for claims, where bound volumes let a gang go."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.clock import ManualClock
from scheduler.kube.resources import (
    CSI_NODES,
    PODS,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_CLAIMS,
    VOLUMES,
)
from scheduler.state.invariants import check_invariants
from tests.live.cluster import Cluster, Object, Scheduler
from tests.live.objects import add_nodes, member, node_of, single, stateful_set


@pytest.fixture
def cluster() -> Cluster:
    """Four spines of four nodes with eight GPUs."""
    found = Cluster(ManualClock(10_000_000))
    add_nodes(found, 4, 4)
    return found


def started(cluster: Cluster) -> Scheduler:
    """A scheduler that is in step."""
    scheduler = Scheduler(cluster)
    scheduler.turns(20)
    assert scheduler.app.loop.synced
    return scheduler


def volume(cluster: Cluster, name: str, spine: str = "") -> None:
    """A volume of the driver `d`, in one spine or anywhere."""
    spec: Object = {
        "capacity": {"storage": "1Gi"},
        "csi": {"driver": "d", "volumeHandle": f"handle-{name}"},
    }
    if spine:
        here = {"key": "net/spine", "operator": "In", "values": [spine]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
    cluster.put(VOLUMES, {"metadata": {"name": name}, "spec": spec})


def claim(cluster: Cluster, name: str, bound_to: str = "", **spec: Any) -> None:
    """A claim in namespace team, bound if it has a volume."""
    notes = {"pv.kubernetes.io/bind-completed": "yes"} if bound_to else {}
    meta = {"name": name, "namespace": "team", "uid": f"uid-{name}", "annotations": notes}
    body = {"volumeName": bound_to, "resources": {"requests": {"storage": "1Gi"}}, **spec}
    cluster.put(VOLUME_CLAIMS, {"metadata": meta, "spec": body, "status": {}})


def mounting(*claims: str) -> dict[str, Any]:
    """The volumes of a pod."""
    return {
        "volumes": [
            {"name": f"v{i}", "persistentVolumeClaim": {"claimName": name}}
            for i, name in enumerate(claims)
        ]
    }


def told(cluster: Cluster, name: str) -> tuple[str, str]:
    """(reason, message) of the pod's condition PodScheduled."""
    condition = cluster.objects["pods"][f"team/{name}"]["status"]["conditions"][0]
    return condition["reason"], condition["message"]


def gang(cluster: Cluster, count: int) -> None:
    """A StatefulSet whose member i mounts the claim data-i."""
    train = stateful_set(cluster, "train", count)
    for rank in range(count):
        member(cluster, train, rank, **mounting(f"data-{rank}"))


def test_a_gang_goes_where_its_volumes_are(cluster: Cluster) -> None:
    """All members' volumes are in spine s2, so the gang goes there, whole."""
    for rank in range(3):
        volume(cluster, f"pv-{rank}", "s2")
        claim(cluster, f"data-{rank}", f"pv-{rank}")
    scheduler = started(cluster)
    gang(cluster, 3)
    scheduler.turns(20)
    nodes = sorted(node_of(cluster, f"train-{rank}") for rank in range(3))
    assert set(nodes) <= {"n8", "n9", "n10", "n11"}
    assert len(set(nodes)) == 3
    check_invariants(scheduler.app.cache)


def test_a_gang_waits_for_its_claims_and_starts_by_itself(cluster: Cluster) -> None:
    """One claim is missing, then not bound, then bound; nobody is bound before."""
    scheduler = started(cluster)
    for rank in range(2):
        volume(cluster, f"pv-{rank}")
    claim(cluster, "data-0", "pv-0")
    gang(cluster, 2)
    scheduler.seconds(5)
    assert cluster.binds == []
    assert told(cluster, "train-0") == (
        "Unschedulable",
        'not placed: refused by VolumeRestrictions: persistentvolumeclaim "data-1" not found',
    )
    claim(cluster, "data-1")
    scheduler.seconds(70)
    assert told(cluster, "train-0")[1].endswith("unbound immediate PersistentVolumeClaims")
    claim(cluster, "data-1", "pv-1")
    scheduler.seconds(1)
    assert len(cluster.binds) == 2


def test_a_claim_that_waits_for_its_pod_keeps_it_waiting(cluster: Cluster) -> None:
    """WaitForFirstConsumer is not supported yet: never bound before its claims; that is said."""
    wait = {"metadata": {"name": "wait"}, "provisioner": "d"}
    cluster.put(STORAGE_CLASSES, {**wait, "volumeBindingMode": "WaitForFirstConsumer"})
    claim(cluster, "data-0", storageClassName="wait")
    scheduler = started(cluster)
    single(cluster, "alone", **mounting("data-0"))
    scheduler.seconds(5)
    assert cluster.binds == []
    reason, message = told(cluster, "alone")
    assert reason == "Unsupported"
    assert "claims that are bound only when their pod has a node" in message


def test_a_node_attaches_no_more_volumes_than_it_can(cluster: Cluster) -> None:
    """Two for each of three nodes: six of eight pods in one cycle, the others when room comes."""
    for at in range(16):
        count = 2 if at < 3 else 0
        drivers = [{"name": "d", "nodeID": "x", "allocatable": {"count": count}}]
        cluster.put(CSI_NODES, {"metadata": {"name": f"n{at}"}, "spec": {"drivers": drivers}})
    for at in range(8):
        volume(cluster, f"pv-{at}")
        claim(cluster, f"data-{at}", f"pv-{at}")
    source = {"persistentVolumeName": "pv-9"}
    volume(cluster, "pv-9")
    spec = {"attacher": "d", "nodeName": "n0", "source": source}
    cluster.put(VOLUME_ATTACHMENTS, {"metadata": {"name": "left"}, "spec": spec})
    scheduler = started(cluster)
    for at in range(8):
        single(cluster, f"p{at}", **mounting(f"data-{at}"))
    scheduler.seconds(2)
    used = [node_of(cluster, f"p{at}") for at in range(8)]
    assert [used.count(node) for node in ("n0", "n1", "n2", "")] == [1, 2, 2, 3]
    cluster.delete(VOLUME_ATTACHMENTS, "/left")
    scheduler.seconds(2)
    used = [node_of(cluster, f"p{at}") for at in range(8)]
    assert [used.count(node) for node in ("n0", "n1", "n2", "")] == [2, 2, 2, 2]
    check_invariants(scheduler.app.cache)


def test_volumes_of_a_pod_that_was_promised_a_node_are_counted_there(cluster: Cluster) -> None:
    """Another scheduler has made room for it: its volumes come under the node's limit, too."""
    for at in range(16):
        drivers = [{"name": "d", "nodeID": "x", "allocatable": {"count": int(at < 2)}}]
        cluster.put(CSI_NODES, {"metadata": {"name": f"n{at}"}, "spec": {"drivers": drivers}})
    for at in range(2):
        volume(cluster, f"pv-{at}")
        claim(cluster, f"data-{at}", f"pv-{at}")
    scheduler = started(cluster)
    other = single(cluster, "other", gpus=0, schedulerName="other", **mounting("data-0"))
    other["status"]["nominatedNodeName"] = "n0"
    cluster.put(PODS, other)
    scheduler.turns(5)
    single(cluster, "ours", **mounting("data-1"))
    scheduler.seconds(2)
    assert node_of(cluster, "ours") == "n1"


def test_a_claim_for_one_pod_is_given_to_one(cluster: Cluster) -> None:
    """The second pod goes when the first one is gone."""
    volume(cluster, "pv")
    claim(cluster, "data", "pv", accessModes=["ReadWriteOncePod"])
    scheduler = started(cluster)
    for name in ("one", "two"):
        single(cluster, name, **mounting("data"))
    scheduler.seconds(2)
    bound = [name for name in ("one", "two") if node_of(cluster, name)]
    assert len(bound) == 1
    cluster.delete(PODS, f"team/{bound[0]}")
    scheduler.seconds(2)
    assert len(cluster.binds) == 2
