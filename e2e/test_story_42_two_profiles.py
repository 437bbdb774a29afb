"""Story 42: two scheduler names with levels of their own in one process."""

from __future__ import annotations

import pytest

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import fabric
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, nothing_bound, wait_condition

NODES, IN_RACK = 16, 2
RACK = "example.com/rack"


@pytest.mark.story(42)
@pytest.mark.fake_nodes
def test_story_42_two_profiles(cluster: Cluster, start_muster: StartMuster) -> None:
    """Each profile places by its own levels, on the same nodes, and knows no others."""
    page = Page(cluster, "42-two-profiles.md")
    bodies = fabric(NODES, spines=2, leaves=2, prefix=cluster.prefix)
    for number, body in enumerate(bodies):
        rack = f"{cluster.prefix}rack-{number // IN_RACK + 1}"
        body["metadata"]["labels"][RACK] = rack
    nodes = cluster.add_nodes(bodies)
    profiles = page.object("MusterConfiguration")["profiles"]
    for profile in profiles:
        profile["schedulerName"] = cluster.scheduler_like(profile["schedulerName"])
    muster = start_muster({**SETTLED, "profiles": profiles})
    serve, more, lost = page.commands()

    page.apply("StatefulSet", "serve")
    pods = cluster.wait_ready(4, app="serve")
    assert len({nodes.index(pod.spec.node_name) // IN_RACK for pod in pods}) == 1
    page.run(serve, muster)
    page.apply("StatefulSet", "train")
    pods = cluster.wait_ready(4, app="train")
    assert cluster.spines(pods) == {f"{cluster.prefix}spine-1": 4}
    for name in ("serve", "train"):
        assert history(cluster, name).whole_before_first_bind

    wide = _like(page, "train", "more")
    wide["spec"]["replicas"] = 9
    page.create(wide)
    cluster.wait_reason(9, "TopologyUnsatisfied", app="more")
    asks = _like(page, "serve", "lost")
    asks["spec"]["template"]["metadata"]["annotations"]["muster.dev/required-topology"] = "spine"
    page.create(asks)
    cluster.wait_reason(4, "Unsupported", app="lost")
    wait_condition(cluster, "lost-0", "PodScheduled", r"='spine' is not a level \(rack\)$")
    for name in ("more", "lost"):
        nothing_bound(cluster, name, seconds=1)
    page.run(more)
    page.run(lost)
    assert complaints(muster) == []


def _like(page: Page, which: str, name: str) -> Object:
    """A StatefulSet of the page by another name."""
    body = page.object("StatefulSet", which)
    body["metadata"]["name"] = body["spec"]["serviceName"] = name
    body["spec"]["selector"]["matchLabels"]["app"] = name
    body["spec"]["template"]["metadata"]["labels"]["app"] = name
    return body
