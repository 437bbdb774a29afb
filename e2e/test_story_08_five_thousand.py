"""Story 8: one gang of 5,000 pods on 5,000 nodes."""

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
    steps,
    wait_condition,
    wait_event,
)

MANY, SPINES = 5_000, 20


@pytest.mark.story(8)
@pytest.mark.fake_nodes
@pytest.mark.timeout(1_200)
def test_story_8_five_thousand(cluster: Cluster, start_muster: StartMuster) -> None:
    """One gang of 5,000 is placed whole on 5,000 nodes, in one batch and in order."""
    page = Page(cluster, "08-five-thousand.md")
    cluster.create_nodes(MANY, spines=SPINES, leaves=5)
    muster = start_muster(JSON_LOG)
    page.apply("StatefulSet", "train")
    pods = cluster.wait_ready(MANY, app="train", seconds=600)
    print(steps(cluster, "train"))

    assert node_numbers(pods) == list(range(MANY))
    assert set(cluster.spines(pods).values()) == {MANY // SPINES}
    (planned,) = log_of(muster, "planned")
    assert (planned["gangs"], planned["pods"]) == (1, MANY)
    assert history(cluster, "train").whole_before_first_bind
    assert muster.metric("muster_binds_total", outcome="bound") == MANY
    assert muster.metric("muster_binds_total") == MANY
    said = f"{MANY} of {MANY} on {SPINES} spines"
    wait_event(cluster, "train", "GangPlaced", rf"^{said} in [0-9.]+ s$")
    wait_condition(cluster, "train-0", GANG_PLACED, f"^{said}$")
    for command in page.commands():
        page.run(command, muster)
    assert complaints(muster) == []
