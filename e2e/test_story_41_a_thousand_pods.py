"""Story 41: a thousand random pods on real kubelets, none of which refuses one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import pytest

from e2e import invariants
from e2e.cluster import TEST_KEY, Cluster
from e2e.conftest import StartMuster
from e2e.crowd import APP, GENERATION, ZONE, ZONES, Crowd, quarrels
from e2e.objects import Machine, taint
from e2e.page import Page
from e2e.story import SETTLED, complaints
from e2e.watch import Pod

NODES, IN_ZONE = 12, 4
MACHINE = Machine(cpu="48", memory="256Gi", gpus=8, pods=80)
WAVES, PODS = 5, 200
KEPT = 100
"""Of the pods there are, at most so many outlive their wave."""
SEED = int(os.environ.get("MUSTER_E2E_SEED", "41"))
ADMITTED = "PodReadyToStartContainers"
"""Condition of a pod that its kubelet has taken."""
TOLD = {"Unschedulable", "TopologyUnsatisfied"}
SECONDS = 120.0


@pytest.mark.story(41)
@pytest.mark.hollow_nodes
@pytest.mark.providers("local")  # its nodes are tainted besides, and need memory
def test_story_41_a_thousand_pods(
    cluster: Cluster, start_muster: StartMuster, capsys: pytest.CaptureFixture[str]
) -> None:
    """No kubelet refuses one of 1,000 random pods; who has no place is told so."""
    page = Page(cluster, "41-a-thousand-pods.md")
    nodes = cluster.start_hollow_nodes(NODES, spines=3, leaves=2, machine=MACHINE)
    _mark(cluster, nodes)
    page.apply("RuntimeClass", "boxed")
    muster = start_muster(SETTLED)
    crowd = Crowd(SEED, cluster.own)
    there = [page.apply("Pod", "sample")]
    for wave in range(WAVES):
        there += cluster.create_pods(crowd.pods(PODS - (wave == 0)))
        cluster.wait_pods("settled", len(there), _settled, app=APP, seconds=SECONDS)
        assert _quarrels(cluster) == [], f"seed {SEED}"
        if wave < WAVES - 1:
            going = crowd.leaving(there, KEPT)
            _delete(cluster, [body["metadata"]["name"] for body in going])
            there = [body for body in there if body not in going]

    last = _last_seen(cluster)
    placed = sum(bool(pod.spec.node_name) for pod in last)
    with capsys.disabled():
        print(f"  seed {SEED}: {placed} of {len(last)} pods had a node")
    assert len(last) == WAVES * PODS
    assert placed > len(last) // 2
    failed = {pod.metadata.name: pod.status.message for pod in last if pod.finished}
    changes = list(cluster.recorder.changes)
    ours = invariants.overcommitted(changes, cluster.schedulers)
    assert (failed, ours) == ({}, []), f"seed {SEED}"
    on_nodes = Counter(pod.spec.node_name for pod in last if pod.spec.node_name)
    assert set(on_nodes) == set(nodes)
    (command,) = page.commands()
    page.run(command)
    assert complaints(muster) == []


def _mark(cluster: Cluster, nodes: Sequence[str]) -> None:
    """Zones, generations and taints of the page's table; returns when the watch shows them."""
    kept = taint(TEST_KEY, cluster.test)
    for number, name in enumerate(nodes):
        zone = number // IN_ZONE
        labels = {ZONE: ZONES[zone], GENERATION: str(number % IN_ZONE + 1)}
        taints = [kept, taint("gpu", "reserved")] if zone == 0 else [kept]
        body = {"metadata": {"labels": labels}, "spec": {"taints": taints}}
        cluster.api.patch(f"/api/v1/nodes/{name}", body)

    def missing() -> str:
        marked = [node for node in cluster.recorder.nodes.values() if ZONE in node.metadata.labels]
        return "" if len(marked) == len(nodes) else f"{len(marked)} nodes are marked"

    cluster.recorder.wait_for("the nodes' labels", missing, SECONDS)


def _settled(pod: Pod) -> bool:
    """It is on a node whose kubelet has judged it, or knows why it is not."""
    if not pod.spec.node_name:
        condition = pod.condition("PodScheduled")
        return condition is not None and condition.reason in TOLD
    admitted = pod.condition(ADMITTED)
    return pod.finished or (admitted is not None and admitted.status == "True")


def _quarrels(cluster: Cluster) -> list[str]:
    """What no kubelet checks: who is near a pod that it must not be near."""
    nodes = {node.metadata.name: node.metadata.labels for node in cluster.recorder.nodes.values()}
    return quarrels(cluster.api.items(cluster.path("v1", "Pod")), nodes)


def _delete(cluster: Cluster, names: Sequence[str]) -> None:
    """Deletes pods at once; returns when they are gone."""
    pods = cluster.path("v1", "Pod")
    cluster.api.in_parallel(
        lambda name: cluster.api.delete(f"{pods}/{name}", gracePeriodSeconds="0"), names
    )

    def missing() -> str:
        left = {pod.metadata.name for pod in cluster.pods()} & set(names)
        return f"{len(left)} are there" if left else ""

    cluster.recorder.wait_for("deleted pods", missing, SECONDS)


def _last_seen(cluster: Cluster) -> list[Pod]:
    """Every pod that the test has had, as it was last seen."""
    last: dict[str, Pod] = {}
    for change in cluster.recorder.changes:
        pod = change.item
        if isinstance(pod, Pod) and pod.metadata.namespace == cluster.namespace:
            last[pod.metadata.uid] = pod
    return list(last.values())
