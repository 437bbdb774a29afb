"""Story 40: scheduling gates, claims of devices, and features that nodes declare."""

from __future__ import annotations

import pytest

from e2e.by_hand import numbered
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import fabric
from e2e.page import Page
from e2e.story import (
    BESIDE,
    SETTLED,
    complaints,
    history,
    node_numbers,
    nothing_bound,
    wait_condition,
    wait_event,
)

NODES, ABLE = 5, 3
FEATURE = "RestartAllContainersOnContainerExits"
SENTENCE = (
    "3 of 4 fit in the whole cluster, 1 short of nvidia.com/gpu;"
    f" 2 nodes excluded: 2 feature {FEATURE}"
)


@pytest.mark.story(40)
@pytest.mark.fake_nodes
def test_story_40_not_yet(cluster: Cluster, start_muster: StartMuster) -> None:
    """Gated members are waited for; claimed devices are not supported; features are asked for."""
    page = Page(cluster, "40-not-yet.md")
    bodies = fabric(NODES, spines=1, leaves=1, prefix=cluster.prefix)
    for body in bodies[:ABLE]:
        body["status"]["declaredFeatures"] = [FEATURE]
    nodes = cluster.add_nodes(bodies)
    muster = start_muster(SETTLED)
    gated, open_two, two, open_third, start, devices, lacking, able = page.commands()

    for body in numbered(page.object("Pod", "slow-0"), 3):
        page.create(body)
    nothing_bound(cluster, seconds=1)
    page.run(gated)
    page.run(open_two)
    wait_condition(cluster, "slow-0", "PodScheduled", "^2 of 3 members exist$")
    nothing_bound(cluster, seconds=1)
    page.run(two)
    page.run(open_third)
    cluster.wait_ready(3, app="slow")
    assert history(cluster, "slow").whole_before_first_bind
    page.run(start)

    page.apply("ResourceClaimTemplate", "gpu")
    page.apply("StatefulSet", "devices")
    cluster.wait_reason(2, "Unsupported", app="devices")
    page.run(devices)

    for body in numbered(page.object("Pod", "phoenix-0"), 4):
        page.create(body)
    cluster.wait_reason(4, "Unschedulable", app="phoenix")
    wait_event(cluster, "phoenix-0", "GangPending", f"^{SENTENCE}{BESIDE}")
    nothing_bound(cluster, "phoenix", seconds=1)
    page.run(lacking, muster)
    status = {"status": {"declaredFeatures": [FEATURE]}}
    cluster.api.patch(f"/api/v1/nodes/{nodes[ABLE]}/status", status)
    pods = cluster.wait_ready(4, app="phoenix")
    assert sorted(node_numbers(pods)) == list(range(ABLE + 1))
    page.run(able)
    nothing_bound(cluster, "devices", seconds=0.2)
    assert complaints(muster) == []
