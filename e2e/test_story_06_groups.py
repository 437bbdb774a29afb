"""Story 6: gangs by label, and PodGroups whose CRD comes while Muster runs."""

from __future__ import annotations

import copy

import pytest

from e2e.api import ApiError, Object
from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import SETTLED, complaints, history, messages, nothing_bound, wait_condition

PODS = 8
GROUPS = "scheduling.x-k8s.io/v1alpha1"
GROUP_LABEL = "scheduling.x-k8s.io/pod-group"


@pytest.mark.story(6)
@pytest.mark.fake_nodes
@pytest.mark.providers("local")  # installs a CRD that others may have
def test_story_6_groups(cluster: Cluster, start_muster: StartMuster) -> None:
    """Gangs by label and by PodGroup are placed whole; the groups' status is kept true."""
    page = Page(cluster, "06-groups.md")
    cluster.create_nodes(20, spines=2, leaves=2)
    muster = start_muster(SETTLED)
    incomplete, complete, before, explain, delete, after = page.commands()

    # By label: nothing happens before the last member exists.
    ring = _pods(page, "ring", "ring")
    for body in ring[:5]:
        page.create(body)
    waiting = cluster.wait_reason(5, "WaitingForMembers", app="ring")
    wait_condition(cluster, "ring-0", "PodScheduled", "^5 of 8 members exist$")
    assert messages(waiting[1:]) == {"waiting for the other members of the gang"}
    nothing_bound(cluster)
    page.run(incomplete, muster)
    for body in ring[5:]:
        page.create(body)
    pods = cluster.wait_ready(PODS, app="ring")
    assert len(cluster.spines(pods)) == 1
    assert history(cluster, "ring").whole_before_first_bind
    page.run(complete, muster, nth=1)

    # By PodGroup, which nobody has heard of yet.
    page.apply("CustomResourceDefinition", "podgroups.scheduling.x-k8s.io")
    eventually("PodGroups are served", lambda: _served(cluster))
    page.apply("PodGroup", "mesh")
    for body in _pods(page, "mesh", "mesh"):
        page.create(body)
    # Sooner than the minute after which Muster asks by itself what is served.
    pods = cluster.wait_ready(PODS, app="mesh", seconds=45)
    assert len(cluster.spines(pods)) == 1
    assert history(cluster, "mesh").whole_before_first_bind
    _wait_status(cluster, "mesh", "Running", PODS)

    # No room for a third one: it waits as a whole, and its status says so.
    wide = page.object("PodGroup", "mesh")
    wide["metadata"]["name"] = "wide"
    page.create(wide)
    for body in _pods(page, "mesh", "wide"):
        page.create(body)
    cluster.wait_reason(PODS, "Unschedulable", app="wide")
    _wait_status(cluster, "wide", "Pending", 0)
    nothing_bound(cluster, "wide")
    page.run(before)
    page.run(explain, muster)

    page.run(delete)
    cluster.wait_ready(PODS, app="wide")
    assert history(cluster, "wide").whole_before_first_bind
    _wait_status(cluster, "wide", "Running", PODS)
    page.run(after, nth=1)
    assert muster.metric("muster_binds_total", outcome="bound") == 3 * PODS
    assert complaints(muster) == []


def _pods(page: Page, like: str, gang: str) -> list[Object]:
    """Members 0 to 7, after the page's member 0 of the gang `like`."""
    first = page.object("Pod", f"{like}-0")
    labels = first["metadata"]["labels"]
    first["metadata"]["labels"] = {
        key: gang if value == like else value for key, value in labels.items()
    }
    bodies = [copy.deepcopy(first) for _ in range(PODS)]
    for rank, body in enumerate(bodies):
        body["metadata"]["name"] = f"{gang}-{rank}"
    return bodies


def _served(cluster: Cluster) -> bool:
    """Discovery shows them."""
    try:
        cluster.path(GROUPS, "PodGroup")
    except ApiError:
        return False
    return True


def _wait_status(cluster: Cluster, group: str, phase: str, members: int) -> None:
    """Waits until a PodGroup's status has the phase, with so many members scheduled and running."""
    path = f"{cluster.path(GROUPS, 'PodGroup')}/{group}"
    want = (phase, members, members)
    seen: tuple[object, ...] = ()

    def holds() -> bool:
        nonlocal seen
        status = cluster.api.get(path).get("status", {})
        seen = (status.get("phase"), status.get("scheduled"), status.get("running"))
        return seen == want

    try:
        eventually(f"the status of {group} is {want}", holds)
    except AssertionError as error:
        raise AssertionError(f"{error}; it is {seen}") from error
