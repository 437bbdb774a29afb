"""What others see of the roster: members by rank, gangs by name, what changed, pods of others."""

from __future__ import annotations

import numpy as np

from tests.state.roster_helpers import Desk, placed_gang


def test_pods_of_others_take_room_where_they_are_or_must_go() -> None:
    """A finished one takes none; one pinned to a node counts there before it is bound."""
    desk = Desk()
    count = desk.cache.nodes.pods_used
    n1 = desk.cache.nodes.nid_of["n1"]
    desk.put("d", ours=False, pins=("n1",))
    assert int(count[n1]) == 1
    desk.put("d", ours=False, pins=("n1",), node="n1")
    assert int(count[n1]) == 1
    desk.put("e", ours=False, pins=("n1", "n2"))
    assert int(count[n1]) == 1
    desk.put("d", ours=False, node="n1", finished=True)
    assert int(count[n1]) == 0


def test_pins_of_members_reach_the_planner() -> None:
    """By rank; only of those who wait."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", owner="a")
    desk.put("a-1", owner="a", pins=("n3",))
    desk.settle()
    (entry,) = desk.cache.queue
    assert entry.pins == {1: ("n3",)}
    desk.cycle()
    assert desk.node("a-1") == "n3"


def test_what_is_known_of_members_by_rank() -> None:
    """Names, UIDs and told reasons in the order of the ranks asked for; '' where there is none."""
    desk = Desk()
    desk.own("a", 3)
    desk.put("a-0", owner="a", told="Unschedulable")
    desk.put("a-2", "a-1", owner="a")
    desk.settle()
    found = desk.roster.members("a", np.array([2, 0, 7], np.int32))
    assert (list(found.names), list(found.uids)) == (["a-2", "a-0", ""], ["uid-a-2", "uid-a-0", ""])
    assert found.namespace == "ns"
    assert list(desk.roster.told("a", np.array([0, 1], np.int32))) == ["Unschedulable", ""]
    assert (desk.roster.lowest("a"), desk.roster.lowest("b")) == (0, -1)
    assert desk.roster.waiting_ranks("a").tolist() == [0, 1, 2]
    assert desk.roster.rank_uid("b", 0) == ("", "")


def test_changed_names_gangs_once() -> None:
    """Also gangs that are gone, whose view is None then."""
    desk = Desk()
    desk.put("x", "y")
    desk.settle()
    assert desk.roster.changed() == {"uid-x", "uid-y"}
    assert desk.roster.changed() == set()
    desk.drop("x")
    desk.settle()
    assert desk.roster.changed() == {"uid-x"}
    assert desk.roster.view("uid-x") is None


def test_counts_by_state() -> None:
    """Every gang, and pods that wait alone; bound single pods are not counted."""
    desk = Desk()
    placed_gang(desk)
    desk.put("x")
    desk.put("y", node="n1")
    desk.put("b-0", owner="b")
    desk.settle()
    assert desk.roster.counts() == {"placed": 1, "pending": 1, "waiting": 1}
    assert {view.name for view in desk.roster.views()} == {
        "ns/StatefulSet/a", "ns/Pod/x", "ns/StatefulSet/b",
    }  # fmt: skip
    assert desk.roster.key_of("ns/StatefulSet/a") == "a"
    assert desk.roster.key_of("ns/Pod/a-1") == "a"
    assert desk.roster.key_of("ns/Pod/y") == "uid-y"
    assert desk.roster.key_of("ns/Pod/z") is None
