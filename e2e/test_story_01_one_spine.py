"""Story 1: a StatefulSet of 500 on 1,000 nodes in 20 spines."""

from __future__ import annotations

import pytest

from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import (
    GANG_PLACED,
    JSON_LOG,
    complaints,
    history,
    log_of,
    node_numbers,
    runs_by,
    wait_condition,
    wait_event,
)

PODS = 500


@pytest.mark.story(1)
@pytest.mark.fake_nodes
def test_story_1_one_spine(cluster: Cluster, start_muster: StartMuster) -> None:
    """500 pods are placed at once: one spine, ranks in the order of the network, one batch."""
    page = Page(cluster, "01-one-spine.md")
    cluster.create_nodes(1_000, spines=20, leaves=5)
    muster = start_muster(JSON_LOG)
    page.apply("StatefulSet", "train")
    pods = cluster.wait_ready(PODS, app="train", seconds=180)

    # One spine, full; every leaf of it has the next hundred ranks, every node the next ten.
    spine = f"{cluster.prefix}spine-1"
    assert cluster.spines(pods) == {spine: PODS}
    assert runs_by(cluster, pods, 1) == [
        (f"{spine}-leaf-{leaf + 1}", list(range(100 * leaf, 100 * leaf + 100))) for leaf in range(5)
    ]
    assert node_numbers(pods) == [rank // 10 for rank in range(PODS)]

    # One batch: planned by one cycle, and no bind before the last member was there.
    (planned,) = log_of(muster, "planned")
    assert (planned["gangs"], planned["pods"]) == (1, PODS)
    assert history(cluster, "train").whole_before_first_bind
    assert muster.metric("muster_binds_total", outcome="bound") == PODS
    assert muster.metric("muster_binds_total") == PODS

    # What the user is told.
    said = f"{PODS} of {PODS} on {spine}"
    wait_event(cluster, "train", "GangPlaced", rf"^{said} in [0-9.]+ s$")
    wait_condition(cluster, "train-0", GANG_PLACED, f"^{said}$")
    placed = [pod.metadata.name for pod in cluster.pods("train") if pod.condition(GANG_PLACED)]
    assert placed == ["train-0"]
    for command in page.commands():
        page.run(command, muster)
    written = cluster.pod("train-123").metadata.annotations
    assert written["muster.dev/placed-gang"] == f"{cluster.namespace}/StatefulSet/train"
    assert (written["muster.dev/placed-rank"], written["muster.dev/placed-domain"]) == (
        "123",
        spine,
    )
    assert complaints(muster) == []
