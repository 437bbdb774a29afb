"""Story 33: sidecars, init containers, overhead, requests of a whole pod, and places for pods."""

from __future__ import annotations

import pytest

from e2e.by_hand import bind, someone
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import Machine, Template
from e2e.page import Page
from e2e.story import BESIDE, SETTLED, complaints, nothing_bound, wait_condition
from e2e.watch import Pod

NODES = 3
MACHINE = Machine(cpu="8", memory="32Gi", gpus=0, pods=4)
ADMITTED = "PodReadyToStartContainers"
"""Condition of a pod that its kubelet has taken."""


@pytest.mark.story(33)
@pytest.mark.hollow_nodes
def test_story_33_requests(cluster: Cluster, start_muster: StartMuster) -> None:
    """Muster and the kubelet agree on what a pod takes, to the last thousandth of a CPU."""
    page = Page(cluster, "33-requests.md")
    nodes = cluster.start_hollow_nodes(NODES, machine=MACHINE)
    page.names = {f"hollow-node-{n:05}": name for n, name in enumerate(nodes)}
    muster = start_muster(SETTLED)
    page.apply("RuntimeClass", "sandboxed")

    for name in ("sum", "whole"):
        page.apply("StatefulSet", name)
        pods = cluster.wait_bound(NODES, app=name)
        assert [pod.spec.node_name for pod in pods] == nodes
    placed, told, refused = page.commands()
    page.run(placed)

    # Not a thousandth more, and no more places.
    page.apply("Pod", "crumb")
    page.apply("StatefulSet", "idle")
    cluster.wait_reason(1, "Unschedulable", app="crumb")
    cluster.wait_reason(7, "Unschedulable", app="idle")
    wait_condition(cluster, "idle-0", "PodScheduled", f"^6 of 7 fit .*, 1 short of pods{BESIDE}")
    nothing_bound(cluster, "idle", seconds=1)
    nothing_bound(cluster, "crumb", seconds=0.2)
    page.run(told)

    # The kubelets have taken ours, and take nothing else.
    for name in ("sum", "whole"):
        cluster.wait_pods("admitted", NODES, _admitted, app=name)
    bind(cluster, someone(cluster, "forced", Template(gpus=0, cpu="1m", memory="0")), nodes[0])
    cluster.wait_pods("refused", 1, lambda pod: pod.status.phase == "Failed", app="forced")
    page.run(refused)
    failed = [pod.metadata.name for pod in cluster.pods() if pod.status.phase == "Failed"]
    assert failed == ["forced"]
    assert complaints(muster) == []


def _admitted(pod: Pod) -> bool:
    condition = pod.condition(ADMITTED)
    return condition is not None and condition.status == "True"
