"""Story 7: a snapshot of the running cluster, planned offline, and what the scheduler then does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.muster import Muster
from e2e.objects import Template, gang_pods, pod
from e2e.page import Page
from e2e.story import SETTLED, complaints, log_of, nothing_bound, rank_of

ARRIVE = {
    "train": (5, Template(gpus=8, annotations={"muster.dev/required-topology": "spine"})),
    "pairs": (6, Template(gpus=4, annotations={"muster.dev/segment-size": "2"})),
    "small": (12, Template(gpus=2)),
}
"""StatefulSets that come while the scheduler gathers."""
SINGLES = ("solo-a", "solo-b")
HUGE = 40


@pytest.mark.story(7)
@pytest.mark.fake_nodes
def test_story_7_planned_offline(
    cluster: Cluster, start_muster: StartMuster, tmp_path: Path
) -> None:
    """What `muster plan` makes of `muster snapshot` is what the scheduler does, node by node."""
    page = Page(cluster, "07-planned-offline.md", tmp_path)
    save, plan, gang, after = page.commands()
    cluster.create_nodes(30, spines=5, leaves=2)
    muster = start_muster({**SETTLED, "gather": page.object("MusterConfiguration")["gather"]})
    cluster.statefulset("running", 10)
    cluster.wait_ready(10, app="running")
    cluster.statefulset("huge", HUGE)
    cluster.wait_reason(HUGE, "Unschedulable", app="huge")
    cluster.create_pods(gang_pods("late", 1, cluster.own(), size=2))
    cluster.wait_reason(1, "WaitingForMembers", app="late")
    for name, (many, template) in ARRIVE.items():
        cluster.statefulset(name, many, template)
    single = Template(gpus=1)
    cluster.create_pods(pod(name, cluster.own(single.with_labels(app=name))) for name in SINGLES)
    eventually("all who arrived are in the queue", lambda: _queued(cluster, muster))

    page.run(save, muster, exact=False)
    page.run(plan, muster, exact=False)
    page.run(gang, muster, exact=False)
    rows = {row["gang"].rpartition("/")[2]: row for row in _plan(muster, tmp_path / "monday")}
    for name in (*ARRIVE, *SINGLES):
        nothing_bound(cluster, name, 0.2)
    planned_before = len(log_of(muster, "planned"))

    # The one who is incomplete goes, and the scheduler plans.
    cluster.delete("v1", "Pod", "late-0")
    pods = {name: cluster.wait_ready(many, app=name) for name, (many, _) in ARRIVE.items()}
    pods |= {name: cluster.wait_ready(1, app=name) for name in SINGLES}
    page.run(after, exact=False)
    (planned,) = log_of(muster, "planned")[planned_before:]
    assert (planned["gangs"], planned["pods"]) == (5, 25)
    for name, members in pods.items():
        kind = "Pod" if name in SINGLES else "StatefulSet"
        offline = _plan(muster, tmp_path / "monday", f"{cluster.namespace}/{kind}/{name}")
        did = {0 if name in SINGLES else rank_of(each): each.spec.node_name for each in members}
        assert {row["rank"]: row["node"] for row in offline} == did, name
        assert (rows[name]["verdict"], rows[name]["placed"]) == ("fits", len(members))

    # Who waits, waits in both for the same reason; who is placed is not planned.
    assert set(rows) == {*pods, "huge", "late"}
    explained = muster.json(f"/explain/{cluster.namespace}/StatefulSet/huge")
    assert (rows["huge"]["verdict"], rows["huge"]["why"]) == ("does not fit", explained["sentence"])
    assert rows["late"]["verdict"] == "waits for members"
    assert complaints(muster) == []


def _plan(muster: Muster, snapshot: Path, gang: str = "") -> list[dict[str, Any]]:
    """Rows of `muster plan`."""
    more = ["--gang", gang] if gang else []
    printed = muster.command("plan", "--snapshot", str(snapshot), "-o", "json", *more)
    rows: list[dict[str, Any]] = json.loads(printed)
    return rows


def _queued(cluster: Cluster, muster: Muster) -> bool:
    """All of them exist and are pending, and none has a node."""
    want = {name: many for name, (many, _) in ARRIVE.items()} | dict.fromkeys(SINGLES, 1)
    seen = {
        row["gang"].rpartition("/")[2]: row["waiting"]
        for row in muster.json("/gangs")
        if row["state"] == "pending" and row["gang"].startswith(f"{cluster.namespace}/")
    }
    return want.items() <= seen.items()
