"""Story 5: objects that are absurd, contradict themselves or have lost their owner."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from e2e.api import ApiError, Object
from e2e.cluster import Cluster, eventually
from e2e.conftest import StartMuster
from e2e.objects import Machine, Template, gang_pods, job, node, pod, statefulset
from e2e.page import Page
from e2e.story import (
    BESIDE,
    SETTLED,
    complaints,
    events_about,
    nothing_bound,
    our_events,
    told_waiting,
    wait_condition,
    wait_event,
)

MOST = str(2**63 - 1)
"""The largest amount that the API server stores."""
LONG = 10_000
CLAIMS: list[Object] = [{"name": "device", "resourceClaimName": "nobody-has-made-it"}]
ONE = Template(gpus=1)
WITH = {
    "rack": {"muster.dev/required-topology": "rack"},
    "essay": {"muster.dev/required-topology": "x" * LONG},
    "crowd": {"muster.dev/required-topology": "spine"},
    "wish": {"muster.dev/preferred-topology": "rack", "note": "y" * LONG},
    "verbose": {"muster.dev/segment-size": "9" * LONG},
    "greedy": {"muster.dev/min-available": "99"},
    "good": {"muster.dev/required-topology": "spine"},
}
"""Annotations of the StatefulSets."""
WAITS = {
    "absurd": (2, "Unsupported", r"^not placed because of .*: unreadable requests$"),
    "giant": (2, "Unschedulable", r"^0 of 2 fit in the whole cluster, 2 short of memory; "),
    "rack": (2, "Unsupported", r"required-topology='rack' is not a level \(spine, leaf\)$"),
    "essay": (2, "Unsupported", r"='x{64}'\.\.\. \(10,000 characters\) is not a level"),
    "crowd": (
        5,
        "TopologyUnsatisfied",
        rf"; 3 nodes excluded: 2 no spine label, 1 cordoned{BESIDE}",
    ),
    "picky": (1, "Unsupported", r"^not placed because of what is not supported: resourceClaims$"),
}
"""What cannot be placed -> pods, and what the lowest rank is told: reason, pattern."""
PLACED = {"wish": 2, "verbose": 2, "greedy": 4, "short": 4, "tiny": 1, "shared": 1,
          "good": 4, "batch": 4, "alone": 1}  # fmt: skip
"""What can -> pods; nothing is wrong with the last three."""
PROBLEMS = {
    "wish": r"preferred-topology='rack' is not a level \(spine, leaf\): ignored$",
    "verbose": r"segment-size='9{64}'\.\.\. \(10,000 characters\) is not a whole",
    "greedy": r"^min-available 99 is more than the 4 wanted: ignored$",
    "short-0": r"^label muster\.dev/gang-size is 2, 4 members exist$",
}
"""What is placed in spite of a mistake -> the event that tells it, as a pattern."""


@pytest.mark.story(5)
@pytest.mark.fake_nodes
def test_story_5_hostile_objects(cluster: Cluster, start_muster: StartMuster) -> None:
    """Each hostile object is reported once, everything else is placed, the scheduler lives on."""
    page = Page(cluster, "05-hostile-objects.md")
    cluster.create_nodes(24, spines=6, leaves=1)
    cluster.add_nodes(_odd_nodes(cluster.prefix))
    muster = start_muster(SETTLED)
    _hostile_sets(cluster)
    _hostile_pods(cluster)
    _owners(cluster)
    cluster.statefulset("good", 4, Template(annotations=WITH["good"]))
    cluster.create(job("batch", 4, cluster.own(ONE)))
    cluster.create_pods([pod("alone", cluster.own(ONE.with_labels(app="alone")))])

    # Everything that can be placed is, whole.
    for name, many in PLACED.items():
        pods = cluster.wait_ready(many, app=name)
        assert len(pods) == many
    assert len(cluster.spines(cluster.pods("good"))) == 1

    # What cannot is told why: its members, its owner, and whoever asks.
    for name, (many, reason, pattern) in WAITS.items():
        cluster.wait_reason(many, reason, app=name)
        wait_condition(cluster, cluster.pods(name)[0].metadata.name, "PodScheduled", pattern)
        nothing_bound(cluster, name, 0.2)
    for name, pattern in PROBLEMS.items():
        wait_event(cluster, name, "GangProblem", pattern)
    vast, space = f"{cluster.prefix}vast", cluster.namespace
    unreadable = sorted(f"{each['kind']} {each['name']}" for each in complaints(muster))
    assert unreadable == [
        f"Node {vast}",
        *(f"Pod {space}/absurd-{n}" for n in range(2)),
        f"StatefulSet {space}/absurd",
    ]
    _orphan_goes(cluster)

    # Once: a while later nothing has been said again, and the scheduler is well.
    nothing_bound(cluster, "crowd")
    often = Counter(
        (each["regarding"]["uid"], each["reason"], each["note"]) for each in our_events(cluster)
    )
    assert max(often.values()) == 1, often.most_common(3)
    series = [each["series"]["count"] for each in our_events(cluster) if each.get("series")]
    assert series == []
    for name, (many, _reason, _pattern) in WAITS.items():
        told = told_waiting(cluster, name)
        assert [len(texts) for texts in told.values()] == [1] * many, told
    assert len(complaints(muster)) == len(unreadable)
    assert muster.ready()
    assert muster.get("/healthz")
    for command in page.commands():
        page.run(command, muster)


def _odd_nodes(prefix: str) -> list[Object]:
    """Two nodes that are in no spine, and one whose CPUs are beyond counting."""
    vast = Machine(cpu=MOST, memory=MOST, gpus=0, pods=2**31 - 1)
    plain = [node(f"{prefix}plain-{n}", {}) for n in range(2)]
    return [*plain, node(f"{prefix}vast", {}, vast)]


def _hostile_sets(cluster: Cluster) -> None:
    """StatefulSets with amounts and annotations that nobody can mean."""
    bodies = [
        statefulset("absurd", 2, cluster.own(Template(gpus=0, cpu=MOST))),
        statefulset("giant", 2, cluster.own(Template(gpus=0, memory=MOST))),
    ]
    for name in ("rack", "essay", "crowd", "wish", "verbose", "greedy"):
        many = WAITS[name][0] if name in WAITS else PLACED[name]
        template = Template(gpus=8 if name == "crowd" else 1, annotations=WITH[name])
        bodies.append(statefulset(name, many, cluster.own(template)))
    cluster.api.create_all(cluster.path("apps/v1", "StatefulSet"), bodies)


def _hostile_pods(cluster: Cluster) -> None:
    """A gang larger than it says, a billionth of a CPU, a claim of a device."""
    bodies = gang_pods("short", 4, cluster.own(ONE), size=2)
    tiny = Template(gpus=0, cpu="1n", memory="1").with_labels(app="tiny")
    bodies.append(pod("tiny", cluster.own(tiny)))
    picky = ONE.with_labels(app="picky").with_spec(resourceClaims=CLAIMS)
    bodies.append(pod("picky", cluster.own(picky)))
    cluster.create_pods(bodies)


def _owners(cluster: Cluster) -> None:
    """Pods of an owner that is gone, of two owners, and of two controllers."""
    notes = []
    for name in ("first", "second"):
        note: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        notes.append(_owner(cluster.create(note)))
    gone = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "nobody",
            "uid": "00000000-0000-0000-0000-000000000000", "controller": True}  # fmt: skip
    bodies = {
        name: pod(name, cluster.own(ONE.with_labels(app=name)))
        for name in ("orphan-0", "shared", "torn")
    }
    bodies["orphan-0"]["metadata"]["ownerReferences"] = [gone]
    bodies["shared"]["metadata"]["ownerReferences"] = notes
    bodies["torn"]["metadata"]["ownerReferences"] = [{**each, "controller": True} for each in notes]
    cluster.create_pods([bodies["orphan-0"], bodies["shared"]])
    with pytest.raises(ApiError, match="one reference can have Controller set to true"):
        cluster.create_pods([bodies["torn"]])


def _owner(body: Object) -> Object:
    """A reference to an object."""
    meta = body["metadata"]
    return {"apiVersion": "v1", "kind": body["kind"], "name": meta["name"], "uid": meta["uid"]}


def _orphan_goes(cluster: Cluster) -> None:
    """It never gets a node. Kubernetes deletes it; until it does, it is told why it waits."""

    def settled() -> bool:
        pods = cluster.pods("orphan-0")
        assert not any(each.spec.node_name for each in pods)
        said = [event["note"] for event in events_about(cluster, "orphan-0", "GangPending")]
        return not pods or any(re.search("owner StatefulSet nobody is gone", note) for note in said)

    eventually("the orphan is gone or told", settled)
    bound = [change.item for change in cluster.recorder.changes if change.kind == "pod"]
    assert not [each for each in bound if each.metadata.name == "orphan-0" and _node(each)]


def _node(item: object) -> str:
    return str(getattr(getattr(item, "spec", None), "node_name", ""))
