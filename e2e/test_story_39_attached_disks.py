"""Story 39: how many disks a node takes."""

from __future__ import annotations

from collections import Counter

import pytest

from e2e.by_hand import bound_claims, numbered
from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, nothing_bound, wait_condition

PODS, NODES = 8, 4


@pytest.mark.story(39)
@pytest.mark.fake_nodes
@pytest.mark.providers("local")  # its volumes have names that others may use
def test_story_39_attached_disks(cluster: Cluster, start_muster: StartMuster) -> None:
    """No node gets more disks than its CSINode allows, those still attached included."""
    page = Page(cluster, "39-attached-disks.md")
    nodes = cluster.create_nodes(NODES, spines=2, leaves=1)
    limit = page.object("CSINode", nodes[0])
    for name in nodes:
        limit["metadata"]["name"] = limit["spec"]["drivers"][0]["nodeID"] = name
        page.create(limit)
    page.apply("PersistentVolume", "old")
    page.apply("VolumeAttachment", "old-on-node-00000")
    muster = start_muster(SETTLED)
    waits, detach, placed = page.commands()

    for body in numbered(page.object("PersistentVolume", "volume-0"), PODS):
        page.create(body)
    page.apply("StatefulSet", "train")
    eventually("the claims are bound", lambda: bound_claims(cluster) == PODS)
    wait_condition(cluster, "train-0", "PodScheduled", "^7 of 8 fit in the whole cluster")
    nothing_bound(cluster, seconds=1)
    page.run(waits, muster)

    page.run(detach)
    pods = cluster.wait_ready(PODS, app="train")
    assert Counter(pod.spec.node_name for pod in pods) == dict.fromkeys(nodes, 2)
    assert history(cluster, "train").whole_before_first_bind
    page.run(placed)
    assert complaints(muster) == []
