"""Story 4: a gang that is larger than any spine, with segments."""

from __future__ import annotations

import pytest

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import LEAF, SPINE, node
from e2e.page import Page
from e2e.story import (
    BESIDE,
    SETTLED,
    by_rank,
    complaints,
    history,
    messages,
    nothing_bound,
    place_of,
    runs_by,
    wait_condition,
    wait_event,
)

PODS, SEGMENT = 40, 4
LEAVES = {"spine-1": (4, 4), "spine-2": (4, 4, 3, 4, 4), "spine-3": (4,),
          "spine-4": (4, 4, 4, 4), "spine-5": (4, 4, 4)}  # fmt: skip
"""Nodes per leaf. A leaf of three holds no segment."""
SENTENCE = "16 of 40 fit; best spine is {}spine-2 with 16, 24 short of nvidia.com/gpu"
SHORT = "there is room, but no spine that holds the gang"


def _nodes(prefix: str) -> list[Object]:
    """The network drawn in LEAVES."""
    made: list[Object] = []
    for spine, leaves in LEAVES.items():
        for at, size in enumerate(leaves):
            labels = {SPINE: prefix + spine, LEAF: f"{prefix}{spine}-leaf-{at + 1}"}
            first = len(made)
            made += [node(f"{prefix}node-{first + n:05}", labels) for n in range(size)]
    return made


@pytest.mark.story(4)
@pytest.mark.fake_nodes
def test_story_4_larger_than_a_spine(cluster: Cluster, start_muster: StartMuster) -> None:
    """40 pods, spines of up to 19: a gang that must have one waits, another takes three."""
    page = Page(cluster, "04-larger-than-a-spine.md")
    cluster.add_nodes(_nodes(cluster.prefix))
    muster = start_muster(SETTLED)
    *strict, delete, wait, explain = page.commands()

    # It insists on one spine: there is room, but not in one.
    page.apply("StatefulSet", "strict")
    waiting = cluster.wait_reason(PODS, "TopologyUnsatisfied", app="strict")
    sentence = f"^{SENTENCE.format(cluster.prefix)}{BESIDE}"
    wait_condition(cluster, "strict-0", "PodScheduled", sentence)
    wait_event(cluster, "strict", "GangPending", sentence)
    assert messages(by_rank(waiting)[1:]) == {SHORT}
    nothing_bound(cluster)
    assert muster.metric("muster_binds_total") == 0
    for command in strict:
        page.run(command, muster)
    page.run(delete)
    cluster.wait_pods("gone", 0, lambda _: True, app="strict")

    # It prefers one: the two largest are filled, the rest takes the smallest that holds it.
    page.apply("StatefulSet", "train")
    pods = cluster.wait_ready(PODS, app="train", seconds=120)
    want = {"spine-1": 8, "spine-2": 16, "spine-4": 16}
    assert cluster.spines(pods) == {cluster.prefix + spine: many for spine, many in want.items()}
    for start in range(0, PODS, SEGMENT):
        leaves = {place_of(cluster, pod) for pod in by_rank(pods)[start : start + SEGMENT]}
        assert len(leaves) == 1, f"ranks from {start} on are torn apart: {leaves}"
    spines = [spine.removeprefix(cluster.prefix) for spine, _ in runs_by(cluster, pods, 0)]
    assert spines == ["spine-1", "spine-2", "spine-4"]
    assert history(cluster, "train").whole_before_first_bind
    wait_event(cluster, "train", "GangPlaced", r"^40 of 40 on 3 spines in [0-9.]+ s$")
    page.run(wait)
    page.run(explain, muster)
    assert complaints(muster) == []
