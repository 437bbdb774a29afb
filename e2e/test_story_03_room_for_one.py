"""Story 3: two gangs and room for one."""

from __future__ import annotations

import json

import pytest

from e2e.api import Object
from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.page import Page
from e2e.story import BESIDE, SETTLED, complaints, history, log_of, nothing_bound, wait_event

PODS = 16
SENTENCE = "4 of 16 fit in the whole cluster, 12 short of nvidia.com/gpu"


@pytest.mark.story(3)
@pytest.mark.fake_nodes
def test_story_3_room_for_one(cluster: Cluster, start_muster: StartMuster) -> None:
    """Of two gangs with room for one exactly one starts, whole; the other follows when it goes."""
    page = Page(cluster, "03-room-for-one.md")
    cluster.create_nodes(20, spines=2, leaves=2)
    muster = start_muster(SETTLED)
    blue = page.object("StatefulSet", "blue")
    cluster.api.in_parallel(page.create, [blue, _green(blue)])

    eventually("one gang runs", lambda: PODS in {_ready(cluster, "blue"), _ready(cluster, "green")})
    winner, loser = sorted(("blue", "green"), key=lambda name: -_ready(cluster, name))
    cluster.wait_reason(PODS, "Unschedulable", app=loser)
    wait_event(cluster, loser, "GangPending", f"^{SENTENCE}{BESIDE}")
    nothing_bound(cluster, loser)
    assert [entry["pods"] for entry in log_of(muster, "planned")] == [PODS]
    assert muster.metric("muster_binds_total") == PODS
    # The page tells the same whichever of them won.
    page.names = {"blue": winner, "green": loser}
    *before, delete, wait, after = page.commands()
    for command in before:
        page.run(command, muster)

    page.run(delete)
    pods = cluster.wait_ready(PODS, app=loser, seconds=120)
    assert cluster.pods(winner) == []
    assert len({pod.spec.node_name for pod in pods}) == PODS
    # 12 pods of the other gang had to go first, and then all 16 were planned at once.
    assert [entry["pods"] for entry in log_of(muster, "planned")] == [PODS, PODS]
    assert muster.metric("muster_binds_total", outcome="bound") == 2 * PODS
    page.run(wait)
    page.run(after, nth=1)
    assert history(cluster, loser).whole_before_first_bind
    assert complaints(muster) == []


def _green(blue: Object) -> Object:
    """The same gang under another name."""
    green: Object = json.loads(json.dumps(blue).replace("blue", "green"))
    return green


def _ready(cluster: Cluster, name: str) -> int:
    """How many of its pods run."""
    return sum(pod.ready for pod in cluster.pods(name))
