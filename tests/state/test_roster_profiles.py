"""Which profile places a gang, and by whose levels its annotations are read."""

from __future__ import annotations

from scheduler.model.wishes import Level
from tests.state.roster_helpers import Desk

ASKS_RACK = {"muster.dev/required-topology": "rack"}
RACKS = (Level("rack", "net/leaf"),)


def two() -> Desk:
    """Profile 0 knows spines and leaves, profile 1 knows racks."""
    return Desk(others=[RACKS], schedulers=("muster", "racks"))


def profile(desk: Desk, key: str) -> int | None:
    """The profile with which a gang waits."""
    entry = desk.cache.queue.get(key)
    return None if entry is None else entry.profile


def test_a_gang_is_of_the_profile_that_its_pods_name() -> None:
    """And so is a pod alone."""
    desk = two()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a", profile=1)
    desk.put("alone", profile=1)
    desk.put("other")
    desk.settle()
    found = [profile(desk, key) for key in ("a", "uid-alone", "uid-other")]
    assert found == [1, 1, 0]
    views = [desk.roster.view(key) for key in ("a", "uid-alone", "uid-other")]
    assert [None if view is None else view.profile for view in views] == [1, 1, 0]


def test_the_lowest_rank_decides_and_the_others_are_told_of() -> None:
    """Members may name different schedulers while a template is rolled out."""
    desk = two()
    desk.own("a", 3)
    desk.put("a-0", owner="a", profile=1)
    desk.put("a-1", "a-2", owner="a")
    desk.settle()
    view = desk.roster.view("a")
    assert view is not None
    assert (profile(desk, "a"), view.profile) == (1, 1)
    said = "members name schedulers muster, racks: racks, that of the lowest rank, counts"
    assert view.problems == (said,)


def test_a_gang_that_waits_follows_its_lowest_rank() -> None:
    """Once that is made anew with another name, cycles of the other profile try the gang."""
    desk = two()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    assert profile(desk, "a") == 0
    desk.put("a-0", "a-1", owner="a", profile=1)
    desk.settle()
    assert (profile(desk, "a"), desk.cache.queue.profiles()) == (1, [1])
    view = desk.roster.view("a")
    assert view is not None
    assert view.problems == ()


def test_annotations_name_levels_of_their_profile() -> None:
    """A level of one profile is nothing to another, for gangs and for pods alone."""
    desk = two()
    for name, number in (("a", 0), ("b", 1)):
        desk.own(name, 1, annotations=ASKS_RACK)
        desk.put(f"{name}-0", owner=name, profile=number)
        desk.put(f"alone-{name}", profile=number, annotations=ASKS_RACK)
    desk.settle()
    assert [profile(desk, key) for key in ("a", "uid-alone-a", "b", "uid-alone-b")] == [
        None, None, 1, 1,
    ]  # fmt: skip
    unmet = "annotation muster.dev/required-topology='rack' is not a level (spine, leaf)"
    for key, expected in (("a", (unmet,)), ("b", ()), ("uid-alone-a", (unmet,))):
        view = desk.roster.view(key)
        assert view is not None
        assert view.unsupported == expected
    entry = desk.cache.queue.get("b")
    assert entry is not None
    assert entry.required == 0


def test_late_members_are_placed_by_the_profile_of_their_gang() -> None:
    """A member that is lost and comes again waits for the same cycles."""
    desk = two()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a", profile=1, node="n1")
    desk.drop("a-1")
    desk.put("a-1", owner="a", profile=1)
    assert desk.settle() == {"a": [1]}
    entry = desk.cache.queue.get("a")
    assert entry is not None
    assert (entry.profile, entry.repair) == (1, True)
