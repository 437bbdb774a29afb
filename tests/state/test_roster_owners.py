"""What pods belong to: seen, not seen, gone, of another kind; PodGroups; pods that change owner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.model.decode import Owner
from scheduler.model.gang_rules import ORDERED_RULE
from tests.state.roster_helpers import SECOND, Desk, sighting

GROUPED = {"scheduling.x-k8s.io/pod-group": "pg"}
TOGETHER = {"muster.dev/gang-workload": "true"}


def test_an_owner_that_is_not_seen_is_asked_for_after_two_seconds() -> None:
    """And again, less and less often, until it is there; next_time_us knows when."""
    desk = Desk()
    desk.put("a-0", owner="a")
    begin = desk.now
    assert desk.roster.next_time_us(begin) == begin + 2 * SECOND
    assert desk.roster.overdue_owners(begin + SECOND) == []
    (ref,) = desk.roster.overdue_owners(begin + 2 * SECOND)
    assert (ref.api_version, ref.kind, ref.namespace, ref.name, ref.uid) == (
        "apps/v1", "StatefulSet", "ns", "a", "a",
    )  # fmt: skip
    assert desk.roster.overdue_owners(begin + 5 * SECOND) == []
    assert desk.roster.overdue_owners(begin + 6 * SECOND) == [ref]
    assert desk.roster.next_time_us(begin) == begin + 14 * SECOND
    desk.own("a", 1)
    assert desk.roster.next_time_us(begin) is None
    assert desk.settle() == {"a": [0]}


def test_an_owner_of_bound_pods_only_is_not_asked_for() -> None:
    """Nobody waits for it."""
    desk = Desk()
    desk.put("a-0", owner="a", node="n1")
    assert desk.roster.next_time_us(desk.now) is None


def test_a_pod_whose_owner_is_gone_is_told_and_never_placed_alone() -> None:
    """Until the owner is seen after all: a GET may be older than a watch."""
    desk = Desk()
    desk.put("a-0", owner="a")
    (ref,) = desk.roster.overdue_owners(desk.now + 2 * SECOND)
    desk.roster.owner_absent(ref.uid, desk.now)
    assert desk.settle(100 * SECOND) == {}
    assert desk.roster.overdue_owners(desk.now) == []
    view = desk.roster.view("a")
    assert view is not None
    assert view.problems == ("its owner StatefulSet a is gone",)
    assert (view.owner.kind, view.owner.name) == ("Pod", "a-0")
    desk.own("a", 1)
    assert desk.settle() == {"a": [0]}
    desk.roster.owner_absent("a", desk.now)
    assert desk.settle() == {"a": [0]}


def test_a_deleted_owner_stops_those_who_wait() -> None:
    """Bound members stay where they are until they are gone; then nothing is left."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", owner="a", node="n1")
    desk.put("a-1", owner="a")
    assert desk.settle() == {"a": [1]}
    desk.roster.drop_controller("a", desk.now)
    assert desk.settle() == {}
    assert desk.cache.book.get("a").count == 1
    desk.drop("a-0", "a-1")
    desk.settle()
    assert "a" not in desk.cache.book
    assert desk.roster.gangs.called("a") is None


def test_a_recreated_set_inherits_nothing() -> None:
    """Another UID is another gang, though names and ranks are the same."""
    desk = Desk()
    desk.own("a", 1)
    desk.put("a-0", owner="a", node="n1")
    desk.settle()
    desk.own("a2", 1)
    desk.put("a-0", owner="a2", uid="uid-second")
    assert desk.settle() == {"a2": [0]}
    (entry,) = desk.cache.queue
    assert not entry.repair


@pytest.mark.parametrize("kind", ["Job", "ReplicaSet"])
def test_pods_of_other_controllers_are_placed_one_by_one(kind: str) -> None:
    """But not before it is known that their controller makes no gang."""
    desk = Desk()
    desk.put("r-x", "r-y", owner="r", kind=kind)
    assert desk.settle() == {}
    desk.own("r", 3, kind)
    assert desk.settle() == {"uid-r-x": [0], "uid-r-y": [0]}


def test_single_pods_wait_no_more_when_their_controller_is_gone() -> None:
    """They will be collected; until then it is said."""
    desk = Desk()
    desk.own("r", 1, "ReplicaSet")
    desk.put("r-x", owner="r", kind="ReplicaSet")
    assert desk.settle() == {"uid-r-x": [0]}
    desk.roster.drop_controller("r", desk.now)
    assert desk.settle() == {}
    view = desk.roster.view("uid-r-x")
    assert view is not None
    assert view.problems == ("its owner ReplicaSet r is gone",)


def test_an_indexed_job_is_a_gang_that_completed_members_leave() -> None:
    """As pods complete, fewer are wanted: the gang is not degraded."""
    desk = Desk()
    desk.own("j", 2, "Job", indexed=True)
    index = "batch.kubernetes.io/job-completion-index"
    for i in range(2):
        desk.put(f"j-{i}-x", owner="j", kind="Job", labels={index: f"{i}"}, node="n1")
    desk.settle()
    assert desk.state("j") == "placed"
    desk.drop("j-0-x")
    desk.own("j", 1, "Job", indexed=True)
    desk.settle()
    assert desk.state("j") == "placed"


def test_single_pods_become_a_gang_once_their_binds_have_ended() -> None:
    """Its annotation was added while one of them was on its way."""
    desk = Desk()
    desk.own("r", 2, "ReplicaSet")
    desk.put("r-x", owner="r", kind="ReplicaSet")
    desk.settle()
    desk.cycle()
    desk.put("r-y", owner="r", kind="ReplicaSet")
    desk.own("r", 2, "ReplicaSet", annotations=TOGETHER)
    assert desk.settle() == {}
    desk.put("r-x", owner="r", kind="ReplicaSet", node=desk.node("r-x"))
    assert desk.settle() == {"r": [1]}
    assert desk.cache.book.get("r").count == 1


def test_a_gang_becomes_single_pods_once_its_binds_have_ended() -> None:
    """The other way round."""
    desk = Desk()
    desk.own("r", 2, "ReplicaSet", annotations=TOGETHER)
    desk.put("r-x", "r-y", owner="r", kind="ReplicaSet")
    desk.settle()
    desk.place("r", 0)
    desk.own("r", 2, "ReplicaSet")
    assert desk.settle() == {}
    desk.put("r-x", owner="r", kind="ReplicaSet", node="n1")
    assert desk.settle() == {"uid-r-y": [0]}
    assert "r" not in desk.cache.book


def test_a_pod_that_is_orphaned_while_its_bind_is_under_way_leaves_afterwards() -> None:
    """An assume belongs to the gang that it was made for until it is settled."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    desk.cycle()
    desk.put("a-1")
    desk.settle()
    assert desk.cache.book.get("a").assumed == 2
    desk.put("a-1", node=desk.node("a-1"))
    desk.settle()
    assert desk.cache.book.get("a").count == 1
    assert desk.state("uid-a-1") == "placed"


def test_an_orphan_whose_bind_was_given_up_waits_alone() -> None:
    """The cache let it wait with its old gang; the roster knows better."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    desk.cycle()
    desk.put("a-1")
    desk.cache.forget("a")
    desk.roster.touch("a")
    assert desk.settle() == {"uid-a-1": [0]}


def test_an_ordered_set_is_not_placed_yet() -> None:
    """Unless it has one member: there is nothing to hold back."""
    desk = Desk()
    desk.own("a", 2, ordered=True)
    desk.put("a-0", owner="a")
    assert desk.settle() == {}
    view = desk.roster.view("a")
    assert view is not None
    assert view.unsupported == (ORDERED_RULE,)
    desk.own("a", 1, ordered=True)
    assert desk.settle() == {"a": [0]}


@pytest.mark.parametrize(
    ("pod_owner", "set_owner", "rule"),
    [
        (Owner("JobSet", "js", "js"), None, "JobSet"),
        (Owner("StatefulSet", "s", "s"), Owner("LeaderWorkerSet", "l", "l"), "LeaderWorkerSet"),
        (Owner("StatefulSet", "s", "s"), Owner("Pod", "l-0", "l-0"), "LeaderWorkerSet"),
    ],
)
def test_kinds_whose_gangs_come_later_are_unsupported(
    pod_owner: Owner, set_owner: Owner | None, rule: str
) -> None:
    """Their pods wait, and the kind is named; a worker's set belongs to its leader pod."""
    desk = Desk()
    desk.own("s", 1, owner=set_owner)
    desk.roster.put_pod(replace(sighting("w"), owner=pod_owner), desk.now)
    assert desk.settle() == {}
    view = desk.roster.view(pod_owner.uid)
    assert view is not None
    assert view.unsupported == (rule,)
    assert desk.roster.overdue_owners(desk.now + 10 * SECOND) == []


def test_an_owner_of_a_foreign_kind_of_the_same_name_is_no_controller_of_ours() -> None:
    """`Job` of another API group is nothing that is read: its pods are single ones."""
    desk = Desk()
    owner = Owner("Job", "v", "v", "batch.volcano.sh/v1alpha1")
    desk.roster.put_pod(replace(sighting("v-0"), owner=owner), desk.now)
    assert desk.settle() == {"uid-v-0": [0]}


def test_a_pod_group_is_a_gang_once_it_is_seen_and_its_minimum_exists() -> None:
    """wanted is what exists, at least minMember; more join before it is placed, or late."""
    desk = Desk()
    desk.put("p-0", "p-1", labels=GROUPED)
    assert desk.settle() == {}
    (ref,) = desk.roster.overdue_owners(desk.now + 2 * SECOND)
    assert (ref.kind, ref.name, ref.uid) == ("PodGroup", "pg", "group:ns/pg")
    desk.group("pg", 2, "g1")
    assert desk.settle() == {"g1": [0, 1]}
    desk.put("p-2", labels=GROUPED)
    assert desk.settle() == {"g1": [0, 1, 2]}
    (entry,) = desk.cache.queue
    assert (entry.minimum, entry.name) == (2, "ns/PodGroup/pg")


def test_a_pod_group_that_is_made_again_is_another_gang() -> None:
    """Members on nodes and those who wait go over; a bind under way is settled first."""
    desk = Desk()
    desk.group("pg", 2, "g1")
    desk.put("p-0", labels=GROUPED, node="n1")
    desk.put("p-1", "p-2", labels=GROUPED)
    assert desk.settle() == {"g1": [1, 2]}
    desk.place("g1", 1)
    desk.group("pg", 1, "g2")
    desk.roster.drop_group("g1", desk.now)
    assert desk.settle() == {"g2": [2]}
    assert desk.cache.book.get("g2").count == 1
    desk.put("p-1", labels=GROUPED, node="n1")
    desk.settle()
    assert desk.cache.book.get("g2").count == 2
    assert "g1" not in desk.cache.book


def test_a_pod_group_without_object_is_told() -> None:
    """GET said 404: the pods wait, whatever controller they have."""
    desk = Desk()
    desk.own("a", 1)
    desk.put("a-0", owner="a", labels=GROUPED)
    desk.roster.owner_absent("group:ns/pg", desk.now)
    assert desk.settle() == {}
    view = desk.roster.view("group:ns/pg")
    assert view is not None
    assert view.problems == ("its owner PodGroup pg is gone",)
    desk.group("pg", 1, "g1")
    assert desk.settle() == {"g1": [0]}
