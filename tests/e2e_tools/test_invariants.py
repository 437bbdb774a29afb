"""The checker of watch histories finds what it must, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from e2e import invariants
from e2e.watch import Change, Node, Pod

OURS = {"muster"}


class History:
    """Events written by hand, each with the next resourceVersion."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def node(self, name: str = "n1", **allocatable: str) -> None:
        """A node that offers so much, and 110 pods unless said otherwise."""
        status = {"allocatable": {"pods": "110", **allocatable}}
        self._add(
            "node", "ADDED", Node, {"metadata": {"name": name, "uid": name}, "status": status}
        )

    def pod(
        self,
        name: str,
        node: str = "",
        *,
        event: str = "MODIFIED",
        uid: str = "",
        scheduler: str = "muster",
        phase: str = "Pending",
        condition: tuple[str, str, str] | None = None,
        **more: Any,
    ) -> None:
        """A pod of one CPU; `condition` is (type, status, reason); `more` goes into metadata."""
        conditions = []
        if condition:
            conditions = [dict(zip(("type", "status", "reason"), condition, strict=True))]
        requests = {"resources": {"requests": {"cpu": "1"}}}
        document = {
            "metadata": {"name": name, "namespace": "ns", "uid": uid or name, **more},
            "spec": {"schedulerName": scheduler, "nodeName": node, "containers": [requests]},
            "status": {"phase": phase, "conditions": conditions},
        }
        self._add("pod", event, Pod, document)

    def member(self, name: str, node: str = "", **more: Any) -> None:
        """A pod of the StatefulSet `train`."""
        owner = {"kind": "StatefulSet", "name": "train", "uid": "u", "controller": True}
        self.pod(name, node, ownerReferences=[owner], **more)

    def _add(self, kind: str, event: str, model: Any, document: dict[str, Any]) -> None:
        version = len(self.changes) + 1
        document["metadata"]["resourceVersion"] = str(version)
        item = msgspec.convert(document, model)
        self.changes.append(Change(kind, event, item, float(version)))

    def violations(self, *events: Mapping[str, str]) -> list[str]:
        """What the checker says."""
        return invariants.check(self.changes, OURS, events)


@pytest.fixture
def history() -> History:
    return History()


def test_a_quiet_story_has_no_violations(history: History) -> None:
    """Two pods bound once each, on a node with room for both, are fine."""
    history.node(cpu="2")
    for name in ("a", "b"):
        history.pod(name, event="ADDED")
        history.pod(name, "n1")
        history.pod(name, "n1", phase="Running")
    assert history.violations() == []


def test_a_pod_that_moves_was_bound_twice(history: History) -> None:
    """A UID that shows another node than before is reported with both."""
    history.node("n1", cpu="9")
    history.node("n2", cpu="9")
    history.pod("a", "n1")
    history.pod("a", "n2")
    assert "pod ns/a was bound to n1 and then to n2" in history.violations()


def test_a_recreated_pod_is_another_pod(history: History) -> None:
    """The same name with a new UID may be bound elsewhere."""
    history.node("n1", cpu="9")
    history.node("n2", cpu="9")
    history.pod("a", "n1", uid="1")
    history.pod("a", "n1", uid="1", event="DELETED")
    history.pod("a", "n2", uid="2")
    assert history.violations() == []


def test_events_count_in_the_order_of_their_versions(history: History) -> None:
    """Two watches deliver in any order; the resourceVersion says what came first."""
    history.node(cpu="1")
    history.pod("a", "n1")
    history.pod("a", "n1", event="DELETED")
    history.pod("b", "n1")
    history.changes.reverse()
    assert history.violations() == []


def test_a_bind_without_room_is_ours_to_answer_for(history: History) -> None:
    """The third pod of one CPU does not fit on two, and the sentence has the numbers."""
    history.node(cpu="2")
    for name in ("a", "b", "c"):
        history.pod(name, "n1")
    assert history.violations() == ["the bind of ns/c puts n1 over its cpu: 3 of 2"]


def test_binds_of_others_take_room_but_are_not_ours(history: History) -> None:
    """kube-scheduler's pods count on the node; its own mistakes are not reported."""
    history.node(cpu="1")
    history.pod("theirs", "n1", scheduler="default-scheduler")
    history.pod("theirs-too", "n1", scheduler="default-scheduler")
    assert history.violations() == []
    history.pod("ours", "n1")
    assert history.violations() == ["the bind of ns/ours puts n1 over its cpu: 3 of 1"]


@pytest.mark.parametrize("end", ["finished", "deleted"])
def test_what_is_over_gives_its_room_back(history: History, end: str) -> None:
    """A finished or deleted pod takes nothing."""
    history.node(cpu="1")
    history.pod("a", "n1")
    if end == "finished":
        history.pod("a", "n1", phase="Succeeded")
    else:
        history.pod("a", "n1", event="DELETED")
    history.pod("b", "n1")
    assert history.violations() == []


def test_a_node_that_shrinks_later_breaks_nothing(history: History) -> None:
    """Only the moment of the bind counts."""
    history.node(cpu="2")
    history.pod("a", "n1")
    history.pod("b", "n1")
    history.node(cpu="1")
    history.pod("b", "n1", phase="Running")
    assert history.violations() == []


def test_pod_slots_are_a_resource(history: History) -> None:
    """A node that takes one pod takes one."""
    history.node(cpu="9", pods="1")
    history.pod("a", "n1")
    history.pod("b", "n1")
    assert history.violations() == ["the bind of ns/b puts n1 over its pods: 2 of 1"]


def test_a_node_nobody_has_seen_has_no_room(history: History) -> None:
    """The API server binds to nodes that do not exist; a scheduler must not."""
    history.pod("a", "nowhere")
    assert history.violations() == [
        "the bind of ns/a puts nowhere over its allocatable: there is no such node"
    ]


def test_a_pod_that_was_there_bound_is_not_our_bind(history: History) -> None:
    """What the first list shows bound was bound before the story."""
    history.node(cpu="1")
    history.pod("a", "n1", event="ADDED")
    history.pod("b", "n1", event="ADDED")
    assert history.violations() == []


def test_half_a_gang_in_silence_is_reported(history: History) -> None:
    """One bound member, one that nothing is said about."""
    history.node(cpu="9")
    history.member("train-0", "n1")
    history.member("train-1")
    assert history.violations() == [
        "gang ns/StatefulSet/train: 1 of 2 members are bound and nothing is said about ns/train-1"
    ]


@pytest.mark.parametrize(
    "last",
    [
        {"node": "n1"},
        {"condition": ("PodScheduled", "False", "GangDegraded")},
        {"condition": ("muster.dev/GangPlaced", "False", "Degraded")},
        {"phase": "Failed"},
        {"deletionTimestamp": "2026-01-01T00:00:00Z"},
        {"event": "DELETED"},
    ],
    ids=lambda last: next(iter(last)),
)
def test_half_a_gang_is_fine_when_it_is_said(history: History, last: dict[str, Any]) -> None:
    """Whole, told by a condition, or without a second member: no violation."""
    history.node(cpu="9")
    history.member("train-0", "n1")
    history.member("train-1")
    history.member("train-1", **last)
    assert history.violations() == []


@pytest.mark.parametrize(("reason", "violations"), [("GangDegraded", 0), ("Killing", 1)])
def test_an_event_on_the_owner_reports_a_gang(
    history: History, reason: str, violations: int
) -> None:
    """Only Muster's own reasons count."""
    history.node(cpu="9")
    history.member("train-0", "n1")
    history.member("train-1")
    event = {"namespace": "ns", "kind": "StatefulSet", "name": "train", "reason": reason}
    assert len(history.violations(event)) == violations


def test_an_unknown_reason_reports_nothing(history: History) -> None:
    """A condition that somebody else wrote is not Muster's word."""
    history.node(cpu="9")
    history.member("train-0", "n1")
    history.member("train-1", condition=("PodScheduled", "False", "SchedulerError"))
    assert len(history.violations()) == 1


def test_gangs_by_label_and_index(history: History) -> None:
    """A label or a Job's completion index makes a gang; a ReplicaSet's pods are single."""
    history.node(cpu="9")
    job = {"kind": "Job", "name": "j", "uid": "j", "controller": True}
    single = {"kind": "ReplicaSet", "name": "r", "uid": "r", "controller": True}
    for node, index in (("n1", 0), ("", 1)):
        history.pod(f"g-{index}", node, labels={"muster.dev/gang": "g"})
        history.pod(
            f"j-{index}", node, ownerReferences=[job], annotations={invariants.INDEX: str(index)}
        )
        history.pod(f"r-{index}", node, ownerReferences=[single])
    assert [sentence.split(":")[0] for sentence in history.violations()] == [
        "gang ns/Job/j",
        "gang ns/muster.dev/gang/g",
    ]


def test_requests_follow_the_rules_of_kubernetes() -> None:
    """Sidecars add up, the largest init container counts, overhead comes on top."""

    def container(cpu: str, **more: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("500m"), container("1")],
        "initContainers": [container("2"), container("1", restartPolicy="Always"), container("3")],
        "overhead": {"cpu": "250m"},
    }
    pod = msgspec.convert({"metadata": {}, "spec": spec}, Pod)
    assert invariants.requests_of(pod) == {"cpu": Decimal("4.25"), "pods": Decimal(1)}


def test_requests_of_the_whole_pod_replace_the_sum() -> None:
    """Pod-level requests win for the resources that they name."""
    requests = {"cpu": "1", "memory": "1Gi"}
    spec = {
        "containers": [{"resources": {"requests": requests}}],
        "resources": {"requests": {"cpu": "3"}},
    }
    pod = msgspec.convert({"metadata": {}, "spec": spec}, Pod)
    wanted = {"cpu": Decimal(3), "memory": Decimal(2**30), "pods": Decimal(1)}
    assert invariants.requests_of(pod) == wanted
