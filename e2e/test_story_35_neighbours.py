"""Story 35: affinity to pods of other namespaces and to itself, and others' anti-affinity."""

from __future__ import annotations

import pytest

from e2e.api import Object
from e2e.by_hand import BY_HAND, bind
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, nothing_bound, wait_event

NODES = 24
IN_SPINE = {1: 0, 2: 8, 3: 16}
"""Spine -> number of a node in it."""


@pytest.mark.story(35)
@pytest.mark.fake_nodes
def test_story_35_neighbours(cluster: Cluster, start_muster: StartMuster) -> None:
    """Required affinity leads a gang to others, and others' anti-affinity keeps one away."""
    page = Page(cluster, "35-neighbours.md")
    nodes = cluster.create_nodes(NODES, spines=3, leaves=2)
    data = cluster.add_namespace("data", {"tier": "data"})
    dev = cluster.add_namespace("dev", {"tier": "dev"})
    cache = page.object("Pod", "cache")
    _bind(cluster, cache, dev, nodes[IN_SPINE[1]])
    _bind(cluster, cache, data, nodes[IN_SPINE[2]])
    muster = start_muster(SETTLED)
    with_cache, kept_away, delete, wait, ready = page.commands()

    page.apply("StatefulSet", "train")
    pods = cluster.wait_ready(6, app="train")
    assert cluster.spines(pods) == {f"{cluster.prefix}spine-2": 6}
    page.apply("StatefulSet", "pack")
    pods = cluster.wait_ready(4, app="pack")
    assert list(cluster.leaves(pods).values()) == [4]
    page.run(with_cache, muster)

    _bind(cluster, page.object("Pod", "quiet"), dev, nodes[IN_SPINE[3]])
    page.apply("StatefulSet", "drum")
    cluster.wait_reason(8, "Unschedulable", app="drum")
    away = "; 8 nodes excluded: 8 anti-affinity of other pods"
    wait_event(cluster, "drum", "GangPending", f"^6 of 8 fit .*{away}")
    nothing_bound(cluster, "drum", seconds=1)
    page.run(kept_away, muster)

    page.run(delete)
    cluster.wait_ready(8, app="drum")
    assert history(cluster, "drum").whole_before_first_bind
    page.run(wait)
    page.run(ready)
    assert complaints(muster) == []


def _bind(cluster: Cluster, body: Object, space: str, node: str) -> None:
    """Binds a pod of the page in a namespace of the test."""
    spec = {**body["spec"], **cluster.own(scheduler=BY_HAND).spec}
    meta = {**body["metadata"], "namespace": space}
    bind(cluster, {**body, "metadata": meta, "spec": spec}, node)
