"""Story 36: a gang that must be spread over spines."""

from __future__ import annotations

import pytest

from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import LEAF, SPINE, node
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, nothing_bound, wait_event

NODES = 12


@pytest.mark.story(36)
@pytest.mark.fake_nodes
def test_story_36_spread(cluster: Cluster, start_muster: StartMuster) -> None:
    """DoNotSchedule over spines: shares differ by one; minDomains waits for one more spine."""
    page = Page(cluster, "36-spread.md")
    cluster.create_nodes(NODES, spines=3, leaves=1)
    muster = start_muster(SETTLED)
    even, four, wait, ready = page.commands()

    page.apply("StatefulSet", "even")
    pods = cluster.wait_ready(7, app="even")
    assert sorted(cluster.spines(pods).values()) == [2, 2, 3]
    page.run(even, muster)

    page.apply("StatefulSet", "four")
    cluster.wait_reason(6, "Unschedulable", app="four")
    wait_event(cluster, "four", "GangPending", "^3 of 6 fit in the whole cluster")
    nothing_bound(cluster, "four", seconds=1)
    page.run(four, muster)

    spine = f"{cluster.prefix}spine-4"
    labels = {SPINE: spine, LEAF: f"{spine}-leaf-1"}
    cluster.add_nodes([node(f"{cluster.prefix}node-{NODES:05}", labels)])
    pods = cluster.wait_ready(6, app="four")
    assert sorted(cluster.spines(pods).values()) == [1, 1, 2, 2]
    assert history(cluster, "four").whole_before_first_bind
    page.run(wait)
    page.run(ready)
    assert complaints(muster) == []
