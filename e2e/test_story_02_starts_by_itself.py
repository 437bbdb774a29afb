"""Story 2: a gang that does not fit, the sentence, and nodes that come."""

from __future__ import annotations

import pytest

from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import LEAF, SPINE, node
from e2e.page import Page
from e2e.story import (
    BESIDE,
    GANG_PLACED,
    JSON_LOG,
    complaints,
    history,
    messages,
    nothing_bound,
    told_waiting,
    wait_condition,
    wait_event,
    wait_settled,
)

PODS, NODES, CORDONED = 48, 40, 4
SENTENCE = (
    "36 of 48 fit in the whole cluster, 12 short of nvidia.com/gpu; 4 nodes excluded: 4 cordoned"
)
SHORT = "the nodes that may be used have too little room: short of nvidia.com/gpu"


@pytest.mark.story(2)
@pytest.mark.fake_nodes
def test_story_2_starts_by_itself(cluster: Cluster, start_muster: StartMuster) -> None:
    """Nothing is bound of a gang that does not fit, a sentence says why; nodes come, it starts."""
    page = Page(cluster, "02-starts-by-itself.md")
    nodes = cluster.create_nodes(NODES, spines=4, leaves=2)
    for name in nodes[:CORDONED]:
        cluster.api.patch(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})
    muster = start_muster(JSON_LOG)
    wait_settled(cluster)

    page.apply("StatefulSet", "train")
    pods = cluster.wait_reason(PODS, "Unschedulable", app="train")
    wait_event(cluster, "train", "GangPending", f"^{SENTENCE}{BESIDE}")
    wait_condition(cluster, "train-0", "PodScheduled", f"^{SENTENCE}{BESIDE}")
    assert messages(pods[1:]) == {SHORT}
    nothing_bound(cluster)
    assert muster.metric("muster_binds_total") == 0
    *waiting, wait, placed, explain = page.commands()
    for command in waiting:
        page.run(command, muster)

    # 12 nodes are what it is short of; nobody touches the StatefulSet.
    spine = f"{cluster.prefix}spine-5"
    cluster.add_nodes(
        [
            node(
                f"{cluster.prefix}node-{NODES + n:05}",
                {SPINE: spine, LEAF: f"{spine}-leaf-{n // 4 + 1}"},
            )
            for n in range(12)
        ]
    )
    pods = cluster.wait_ready(PODS, app="train", seconds=120)
    assert len({pod.spec.node_name for pod in pods}) == PODS
    assert not {pod.spec.node_name for pod in pods} & set(nodes[:CORDONED])
    assert cluster.spines(pods)[spine] == 12
    assert history(cluster, "train").whole_before_first_bind
    wait_event(cluster, "train", "GangPlaced", rf"^{PODS} of {PODS} on 5 spines in [0-9.]+ s$")
    wait_condition(cluster, "train-0", GANG_PLACED, f"^{PODS} of {PODS} on 5 spines$")
    page.run(wait)
    page.run(placed)
    page.run(explain, muster, nth=1)
    # Members were told once that they wait, whatever moved in the meantime.
    assert told_waiting(cluster, "train")["train-7"] == [SHORT]
    assert complaints(muster) == []
