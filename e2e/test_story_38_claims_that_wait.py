"""Story 38: claims that wait for their first consumer."""

from __future__ import annotations

import pytest

from e2e.by_hand import bound_claims, numbered
from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, nothing_bound

PODS = 4


@pytest.mark.story(38)
@pytest.mark.fake_nodes
@pytest.mark.providers("local")  # its volumes and classes have names that others may use
def test_story_38_claims_that_wait(cluster: Cluster, start_muster: StartMuster) -> None:
    """A gang whose claims are to be bound waits, and starts when the last of them is bound."""
    page = Page(cluster, "38-claims-that-wait.md")
    cluster.create_nodes(8, spines=2, leaves=2)
    muster = start_muster(SETTLED)
    told, claims, wait, ready = page.commands()

    page.apply("StorageClass", "late")
    page.apply("StatefulSet", "train")
    cluster.wait_reason(PODS, "Unsupported", app="train")
    nothing_bound(cluster)
    page.run(told)
    page.run(claims)
    selected = [
        claim["metadata"].get("annotations", {}).get("volume.kubernetes.io/selected-node")
        for claim in cluster.api.items(cluster.path("v1", "PersistentVolumeClaim"))
    ]
    assert selected == [None] * PODS

    # Not before the last one.
    volumes = numbered(page.object("PersistentVolume", "made-0"), PODS)
    for body in volumes[1:]:
        page.create(body)
    eventually("all claims but one are bound", lambda: bound_claims(cluster) == PODS - 1)
    nothing_bound(cluster, seconds=1)
    page.create(volumes[0])
    cluster.wait_ready(PODS, app="train")
    assert bound_claims(cluster) == PODS
    assert history(cluster, "train").whole_before_first_bind
    page.run(wait)
    page.run(ready)
    assert complaints(muster) == []
