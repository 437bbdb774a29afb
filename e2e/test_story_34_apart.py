"""Story 34: members that keep away from each other, by node and by leaf."""

from __future__ import annotations

import pytest

from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, nothing_bound, wait_event

NODES, LEAVES = 16, 8


@pytest.mark.story(34)
@pytest.mark.fake_nodes
def test_story_34_apart(cluster: Cluster, start_muster: StartMuster) -> None:
    """Required anti-affinity of a gang to itself: one member to a node, or to a leaf."""
    page = Page(cluster, "34-apart.md")
    cluster.create_nodes(NODES, spines=2, leaves=4)
    muster = start_muster(SETTLED)
    explain, scale, wait, _again, events = page.commands()

    page.apply("StatefulSet", "ring")
    pods = cluster.wait_ready(12, app="ring")
    assert len({pod.spec.node_name for pod in pods}) == len(pods)

    page.apply("StatefulSet", "store")
    cluster.wait_reason(LEAVES + 1, "Unschedulable", app="store")
    wait_event(cluster, "store", "GangPending", "^8 of 9 fit in the whole cluster, 1 short of ")
    nothing_bound(cluster, "store", seconds=1)
    page.run(explain, muster)
    page.run(scale)
    pods = cluster.wait_ready(LEAVES, app="store")
    assert sorted(cluster.leaves(pods).values()) == [1] * LEAVES
    assert history(cluster, "store").whole_before_first_bind
    page.run(wait)
    page.run(explain, muster, nth=1)

    page.apply("StatefulSet", "quorum")
    pods = cluster.wait_ready(3, app="quorum")
    assert sorted(cluster.leaves(pods).values()) == [1] * 3
    assert list(cluster.spines(pods).values()) == [3]
    page.run(events)
    assert complaints(muster) == []
