"""Story 37: members whose claims are bound to disks of certain nodes."""

from __future__ import annotations

import pytest

from e2e.api import Object
from e2e.by_hand import bound_claims, numbered
from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, node_numbers, nothing_bound, wait_condition

DISKS = (21, 17, 16, 22)
"""Rank -> number of the node that has its disk."""


@pytest.mark.story(37)
@pytest.mark.fake_nodes
@pytest.mark.providers("local")  # its volumes and classes have names that others may use
def test_story_37_disks(cluster: Cluster, start_muster: StartMuster) -> None:
    """Each member goes where its disk is; one pod has a claim for one; a missing claim is told."""
    page = Page(cluster, "37-disks.md")
    nodes = cluster.create_nodes(24, spines=3, leaves=2)
    cordoned = nodes[DISKS[3]]
    cluster.api.patch(f"/api/v1/nodes/{cordoned}", {"spec": {"unschedulable": True}})
    muster = start_muster(SETTLED)
    waits, uncordon, placed, singles, delete, second = page.commands()

    page.apply("StorageClass", "local-disk")
    disks = numbered(page.object("PersistentVolume", "disk-0"), len(DISKS))
    for disk, number in zip(disks, DISKS, strict=True):
        page.create(_on_node(disk, nodes[number]))
    page.apply("StatefulSet", "train")
    eventually("the claims are bound", lambda: bound_claims(cluster) == len(DISKS))
    wait_condition(cluster, "train-0", "PodScheduled", "^3 of 4 fit; best spine is spine-3 with 3")
    nothing_bound(cluster, seconds=1)
    page.run(waits, muster)
    page.run(uncordon)
    pods = cluster.wait_ready(len(DISKS), app="train")
    assert node_numbers(pods) == list(DISKS)
    assert history(cluster, "train").whole_before_first_bind
    page.run(placed)

    # One claim for one pod, and one that is not there.
    for kind in ("PersistentVolume", "PersistentVolumeClaim"):
        page.apply(kind, "ledger")
    page.create(_pod(page, "first", "ledger"))
    cluster.wait_ready(1, app="first")
    page.create(_pod(page, "second", "ledger"))
    page.create(_pod(page, "lost", "nothing"))
    wait_condition(cluster, "second", "PodScheduled", "ReadWriteOncePod")
    wait_condition(cluster, "lost", "PodScheduled", 'persistentvolumeclaim "nothing" not found')
    nothing_bound(cluster, "second", seconds=1)
    nothing_bound(cluster, "lost", seconds=0.2)
    page.run(singles)
    page.run(delete)
    cluster.wait_ready(1, app="second")
    page.run(second)
    nothing_bound(cluster, "lost", seconds=0.2)
    assert complaints(muster) == []


def _on_node(disk: Object, node: str) -> Object:
    """The disk, on that node."""
    (term,) = disk["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    term["matchExpressions"][0]["values"] = [node]
    return disk


def _pod(page: Page, name: str, claim: str) -> Object:
    """A pod like the page's `first`, with that claim."""
    body = page.object("Pod", "first")
    body["metadata"] |= {"name": name, "labels": {"app": name}}
    body["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = claim
    return body
