"""Ranks that contradict each other never make two members one, whatever happens in between."""

from __future__ import annotations

from tests.state.roster_helpers import SECOND, Desk

INDEX = "apps.kubernetes.io/pod-index"


def index(number: int) -> dict[str, str]:
    """The label that says a pod's rank."""
    return {INDEX: str(number)}


def test_a_bound_stranger_does_not_take_the_number_of_one_who_waits() -> None:
    """Its own rank was given away when two others claimed the same."""
    desk = Desk()
    labels = {"muster.dev/gang": "g", "muster.dev/gang-size": "3"}
    desk.put("a-0", "b-0", "z-9", labels=labels)
    assert desk.settle() == {"label:ns/g": [0, 1, 2]}
    desk.put("c-1", labels=labels, node="n1")
    waits = desk.settle()
    assert len(waits["label:ns/g"]) == 3
    assert desk.cache.book.get("label:ns/g").count == 1


def test_numbers_of_a_gang_that_fell_apart_are_forgotten() -> None:
    """They were given for another roll."""
    desk = Desk()
    desk.own("a", 3, annotations={"muster.dev/min-available": "2"})
    desk.put("x", "y", owner="a", labels=index(0))
    desk.settle()
    desk.drop("x")
    desk.settle()
    desk.put("z", owner="a", labels=index(1), node="n1")
    assert desk.settle() == {"a": [0]}
    assert desk.roster.rank_uid("a", 0) == ("y", "uid-y")
    assert desk.roster.rank_uid("a", 1) == ("z", "uid-z")


def test_a_pod_that_counts_again_is_numbered_again() -> None:
    """Another has had its number, and a place, meanwhile."""
    desk = Desk()
    desk.own("a", 2, annotations={"muster.dev/min-available": "1"})
    desk.put("x", "y", owner="a", labels=index(0))
    assert desk.settle() == {"a": [0, 1]}
    desk.put("y", owner="a", labels=index(0), gated=True)
    desk.put("z", owner="a", labels=index(1))
    desk.settle()
    desk.cycle()
    desk.put("y", owner="a", labels=index(0))
    assert desk.settle() == {"a": [2]}
    assert desk.roster.rank_uid("a", 2) == ("y", "uid-y")


def test_a_bound_pod_that_counts_again_is_numbered_again() -> None:
    """As above, for one that was terminating on its node."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("x", owner="a", labels=index(0), node="n1")
    desk.put("y", owner="a", labels=index(1), node="n1")
    desk.settle()
    desk.put("y", owner="a", labels=index(1), node="n1", deleting=True)
    desk.put("z", owner="a", labels=index(1), node="n2")
    desk.settle()
    desk.put("y", owner="a", labels=index(1), node="n1")
    desk.settle()
    assert desk.cache.book.get("a").count == 3
    assert desk.roster.rank_uid("a", 1) == ("z", "uid-z")
    assert desk.roster.rank_uid("a", 2) == ("y", "uid-y")


def test_a_gang_that_was_made_whole_again_goes_behind_those_that_are_whole() -> None:
    """Its place in the queue is the time at which its last member came."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", owner="a", created_us=5)
    desk.put("a-1", owner="a", created_us=7)
    desk.settle()
    (entry,) = desk.cache.queue
    assert entry.ready_us == 7
    desk.drop("a-1")
    desk.settle()
    desk.put("a-1", owner="a", uid="uid-new", created_us=9)
    desk.settle()
    (entry,) = desk.cache.queue
    assert entry.ready_us == 9


def test_a_member_whose_gate_is_lifted_came_at_that_time() -> None:
    """However long ago it was created."""
    desk = Desk()
    desk.put("x", gated=True, created_us=5)
    assert desk.settle(SECOND) == {}
    desk.put("x", created_us=5)
    desk.settle()
    (entry,) = desk.cache.queue
    assert entry.ready_us == desk.now
