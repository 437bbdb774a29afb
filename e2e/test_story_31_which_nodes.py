"""Story 31: cordon, taints, node selector, and node affinity with Gt, Lt and a node's name."""

from __future__ import annotations

import pytest

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import fabric, taint
from e2e.page import Page
from e2e.story import (
    BESIDE,
    SETTLED,
    complaints,
    history,
    messages,
    node_numbers,
    nothing_bound,
    wait_event,
)

PODS, NODES = 12, 24
POOL, GENERATION = "example.com/pool", "example.com/generation"
TAINTED, CORDONED, INFERENCE = range(4), range(4, 6), range(11, 14)
GENERATIONS = {6: "3", 7: "3", 8: "five", 9: "6"}
"""Node -> a generation that the gang does not want."""
UNWANTED = 10
SENTENCE = (
    "10 of 12 fit in the whole cluster, 2 short of nvidia.com/gpu; 14 nodes excluded:"
    " 5 node affinity, 4 taint gpu=reserved, 3 node selector example.com/pool=training, 2 cordoned"
)


@pytest.mark.story(31)
@pytest.mark.fake_nodes
def test_story_31_which_nodes(cluster: Cluster, start_muster: StartMuster) -> None:
    """Nodes that a pod's labels, affinity and tolerations rule out are counted and not used."""
    page = Page(cluster, "31-which-nodes.md")
    page.names = {f"node-{n:05}": f"{cluster.prefix}node-{n:05}" for n in range(NODES)}
    nodes = cluster.add_nodes([_node(n, body) for n, body in enumerate(_fabric(cluster))])
    muster = start_muster(SETTLED)

    page.create(_train(page, nodes[UNWANTED]))
    pods = cluster.wait_reason(PODS, "Unschedulable", app="train")
    wait_event(cluster, "train", "GangPending", f"^{SENTENCE}{BESIDE}")
    assert messages(pods[1:]) == {
        "the nodes that may be used have too little room: short of nvidia.com/gpu"
    }
    nothing_bound(cluster, seconds=1)
    explain, told, uncordon, wait, ready, reserved = page.commands()
    page.run(explain, muster)
    page.run(told)

    page.run(uncordon)
    pods = cluster.wait_ready(PODS, app="train")
    assert set(node_numbers(pods)) == {*CORDONED, *range(UNWANTED + 4, NODES)}
    assert history(cluster, "train").whole_before_first_bind
    page.run(wait)
    page.run(ready)

    page.apply("StatefulSet", "reserved")
    pods = cluster.wait_ready(len(TAINTED), app="reserved")
    assert node_numbers(pods) == list(TAINTED)
    page.run(reserved)
    assert complaints(muster) == []


def _fabric(cluster: Cluster) -> list[Object]:
    return fabric(NODES, spines=3, leaves=2, prefix=cluster.prefix)


def _node(number: int, body: Object) -> Object:
    """With what the page's table says of it."""
    body["metadata"]["labels"] |= {
        POOL: "inference" if number in INFERENCE else "training",
        GENERATION: GENERATIONS.get(number, str(4 + number % 2)),
    }
    if number in TAINTED:
        body["spec"]["taints"] = [taint("gpu", "reserved")]
    if number in CORDONED:
        body["spec"]["unschedulable"] = True
    return body


def _train(page: Page, unwanted: str) -> Object:
    """The page's gang; the node that it does not want may have another name here."""
    body = page.object("StatefulSet", "train")
    affinity = body["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    term["matchFields"][0]["values"] = [unwanted]
    return body
