"""Gangs as pods and controllers come and go: who waits in the cache, and in which state."""

from __future__ import annotations

import pytest

from scheduler.state.members import PLAIN
from tests.state.roster_helpers import SECOND, Desk, placed_gang

GANG_OF_2 = {"muster.dev/gang": "g", "muster.dev/gang-size": "2"}
MIN_2 = {"muster.dev/min-available": "2"}


def test_a_gang_waits_in_the_cache_once_it_is_whole() -> None:
    """Two of three are nothing to the planner; the third makes them pending."""
    desk = Desk()
    desk.own("a", 3)
    desk.put("a-0", "a-1", owner="a")
    assert desk.settle() == {}
    desk.put("a-2", owner="a")
    assert desk.settle() == {"a": [0, 1, 2]}
    assert desk.state("a") == "pending"


@pytest.mark.parametrize("first", ["pods", "owner"])
def test_the_order_of_pods_and_owner_does_not_matter(first: str) -> None:
    """A pod that is seen before its owner waits for it; it is never taken for a single pod."""
    desk = Desk()
    if first == "owner":
        desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    if first == "pods":
        assert desk.settle() == {}
        desk.own("a", 2)
    assert desk.settle() == {"a": [0, 1]}


def test_a_pod_without_owner_waits_alone() -> None:
    """Its key is its UID; once it is bound the cache keeps no gang for it."""
    desk = Desk()
    desk.put("x")
    assert desk.settle() == {"uid-x": [0]}
    assert desk.cycle() == {"uid-x": [0]}
    desk.put("x", node=desk.node("x"))
    assert desk.settle() == {}
    assert desk.cache.state("uid-x") is None
    assert desk.state("uid-x") == "placed"
    assert desk.cache.live.slot("uid-x") is not None


@pytest.mark.parametrize("how", ["gated", "deleting", "finished"])
def test_a_waiting_member_that_counts_no_more_makes_the_gang_incomplete(how: str) -> None:
    """The others wait for its successor."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    desk.put("a-1", owner="a", **{how: True})
    assert desk.settle() == {}
    assert desk.state("a") == "waiting"


def test_a_member_that_is_gone_while_it_is_assumed_frees_its_room_and_is_told() -> None:
    """The rest of the gang goes on, and the binder drops what it has not sent."""
    desk = Desk()
    desk.own("a", 3)
    desk.put("a-0", "a-1", "a-2", owner="a")
    desk.settle()
    desk.cycle()
    desk.drop("a-1")
    assert desk.lost == [("a", 1)]
    assert desk.settle() == {}
    assert desk.state("a") == "degraded"
    desk.put("a-1", owner="a", uid="uid-new")
    assert desk.settle() == {"a": [1]}


def test_the_last_assumed_member_that_is_gone_makes_the_gang_wait_again() -> None:
    """Nothing is left of it in the queue or on nodes."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    desk.cycle()
    desk.drop("a-0", "a-1")
    assert desk.lost == [("a", 0), ("a", 1)]
    assert desk.settle() == {}
    assert desk.state("a") == ""


def test_a_bound_member_that_is_gone_degrades_its_gang_until_another_comes() -> None:
    """The replacement is a repair of one member."""
    desk = Desk()
    placed_gang(desk)
    desk.drop("a-1")
    assert desk.settle() == {}
    assert desk.state("a") == "degraded"
    desk.put("a-1", owner="a", uid="uid-new")
    assert desk.settle() == {"a": [1]}
    (entry,) = desk.cache.queue
    assert (entry.repair, entry.minimum, entry.count) == (True, 1, 1)


def test_scaling_up_makes_late_members() -> None:
    """They need not all exist: each is placed as it comes."""
    desk = Desk()
    placed_gang(desk)
    desk.own("a", 5)
    desk.put("a-3", owner="a")
    assert desk.settle() == {"a": [3]}
    (entry,) = desk.cache.queue
    assert entry.repair
    desk.cycle()
    desk.put("a-3", owner="a", node=desk.node("a-3"))
    assert desk.settle() == {}
    view = desk.roster.view("a")
    assert view is not None
    assert (view.wanted, view.bound, view.waiting) == (5, 4, 0)


def test_scaling_down_ends_the_repair() -> None:
    """Fewer are wanted, so that nobody is missing any more."""
    desk = Desk()
    placed_gang(desk)
    desk.drop("a-2")
    desk.settle()
    assert desk.state("a") == "degraded"
    desk.own("a", 2)
    desk.settle()
    assert desk.state("a") == "placed"


def test_scaling_down_below_the_members_that_wait() -> None:
    """Those who still exist wait together; the gang goes on shrinking with them."""
    desk = Desk()
    desk.own("a", 4)
    desk.put("a-0", "a-1", "a-2", "a-3", owner="a")
    desk.settle()
    desk.own("a", 2)
    assert desk.settle() == {"a": [0, 1, 2, 3]}
    desk.drop("a-3", "a-2")
    assert desk.settle() == {"a": [0, 1]}


def test_a_set_scaled_to_nothing_leaves_nothing_in_the_cache() -> None:
    """Its record goes with its last pod."""
    desk = Desk()
    placed_gang(desk)
    desk.own("a", 0)
    desk.drop("a-0", "a-1", "a-2")
    desk.settle()
    assert "a" not in desk.cache.book


def test_a_new_template_lets_a_waiting_gang_wait_for_something_else() -> None:
    """The entry is exchanged; a back-off stays."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    desk.cache.back_off("a", desk.now + SECOND)
    desk.own("a", 2, annotations={"muster.dev/required-topology": "leaf"})
    desk.settle()
    (entry,) = desk.cache.queue
    assert entry.required == 1
    assert int(desk.cache.queue.table["not_before_us"][0]) == desk.now + SECOND


def test_settling_again_does_not_touch_what_waits() -> None:
    """What the planner has learnt of a rejected gang stays."""
    desk = Desk()
    desk.own("a", 20)
    desk.put(*(f"a-{i}" for i in range(20)), owner="a")
    desk.settle()
    assert desk.cycle() == {}
    (entry,) = desk.cache.queue
    desk.roster.touch("a")
    desk.settle()
    assert next(iter(desk.cache.queue)) is entry


def test_the_minimum_is_enough_after_gather_max() -> None:
    """It counts from the moment the minimum is there, and next_time_us says when it ends."""
    desk = Desk(gather_max_us=10 * SECOND)
    desk.own("a", 4, annotations=MIN_2)
    desk.put("a-0", owner="a")
    assert desk.settle() == {}
    assert desk.roster.next_time_us(desk.now) is None
    desk.put("a-1", owner="a")
    begin = desk.now
    assert desk.settle() == {}
    desk.put("a-2", owner="a")
    assert desk.settle(9 * SECOND) == {}
    assert desk.roster.next_time_us(desk.now) == begin + 10 * SECOND
    assert desk.settle(SECOND) == {"a": [0, 1, 2]}
    (entry,) = desk.cache.queue
    assert entry.minimum == 2
    assert desk.roster.next_time_us(desk.now) is None


def test_a_gang_placed_in_part_leaves_the_rest_as_late_members() -> None:
    """The cache's own rest is what the roster wants: it is not exchanged."""
    desk = Desk("s1/l1: n1", gather_max_us=0)
    desk.own("a", 6, annotations=MIN_2)
    desk.put(*(f"a-{i}" for i in range(6)), owner="a")
    desk.settle()
    assert desk.cycle() == {"a": [0, 1, 2, 3]}
    (entry,) = desk.cache.queue
    desk.roster.touch("a")
    assert desk.settle() == {"a": [4, 5]}
    assert next(iter(desk.cache.queue)) is entry


def test_bound_members_are_counted_before_their_owner_is_seen_and_join_it_then() -> None:
    """Their room is taken at once; the gang begins with them."""
    desk = Desk()
    desk.put("a-0", "a-1", owner="a", node="n1")
    slot = desk.roster.table.slot("uid-a-0")
    assert int(desk.roster.table.told[slot]) == PLAIN
    desk.own("a", 3)
    desk.put("a-2", owner="a")
    assert desk.settle() == {"a": [2]}
    record = desk.cache.book.get("a")
    assert (record.count, record.bound) == (2, 2)


def test_a_gang_found_whole_after_a_restart_is_placed() -> None:
    """All its members are on nodes: nothing is repaired."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a", node="n1")
    desk.settle()
    assert desk.state("a") == "placed"
    view = desk.roster.view("a")
    assert view is not None
    assert view.was_whole


def test_a_begun_gang_with_ready_members_was_whole() -> None:
    """After a restart, ready members say so, or the condition that somebody wrote."""
    for rest, whole in (({}, False), ({"ready": True}, True), ({"was_whole": True}, True)):
        desk = Desk()
        desk.own("a", 3)
        desk.put("a-0", owner="a", node="n1", **rest)
        desk.settle()
        view = desk.roster.view("a")
        assert view is not None
        assert view.was_whole is whole


def test_a_terminating_member_on_a_node_takes_room_and_makes_no_home() -> None:
    """It is counted, as a member of no gang."""
    desk = Desk()
    placed_gang(desk)
    node = desk.node("a-0")
    desk.put("a-0", owner="a", node=node, deleting=True)
    desk.settle()
    assert desk.cache.book.get("a").count == 2
    assert desk.node("a-0") == node


def test_rules_nobody_checks_keep_the_whole_gang_from_waiting() -> None:
    """The view names them, and what is required and not understood."""
    desk = Desk()
    desk.own("a", 2, annotations={"muster.dev/required-topology": "rack"})
    desk.put("a-0", owner="a", unsupported=("spread",))
    desk.put("a-1", owner="a")
    assert desk.settle() == {}
    view = desk.roster.view("a")
    assert view is not None
    unmet = "annotation muster.dev/required-topology='rack' is not a level (spine, leaf)"
    assert view.unsupported == (unmet, "spread")


def test_a_gang_label_of_too_small_a_size_is_told_and_placed_whole() -> None:
    """Three pods with gang-size 2."""
    desk = Desk()
    desk.put("p-0", "p-1", labels=GANG_OF_2)
    assert desk.settle() == {"label:ns/g": [0, 1]}
    desk.put("p-2", labels=GANG_OF_2)
    assert desk.settle() == {"label:ns/g": [0, 1, 2]}
    view = desk.roster.view("label:ns/g")
    assert view is not None
    assert view.problems == ("label muster.dev/gang-size is 2, 3 members exist",)
    desk.drop("p-0", "p-1", "p-2")
    desk.settle()
    assert desk.roster.view("label:ns/g") is None


def test_members_keep_their_numbers_when_a_stranger_joins() -> None:
    """Ranks that come twice are given anew, but not to those who have a place."""
    desk = Desk()
    labels = {**GANG_OF_2, "muster.dev/gang-size": "3"}
    desk.put("b-1", "b-0", "c-5", labels=labels)
    desk.settle()
    desk.cycle()
    for name in ("b-0", "b-1", "c-5"):
        desk.put(name, labels=labels, node=desk.node(name))
    desk.settle()
    desk.put("a-0", labels=labels)
    assert desk.settle() == {"label:ns/g": [2]}
    assert desk.roster.rank_uid("label:ns/g", 2) == ("a-0", "uid-a-0")
    assert desk.roster.rank_uid("label:ns/g", 5) == ("c-5", "uid-c-5")


def test_a_pod_recreated_before_its_end_is_told_takes_its_predecessor_s_rank() -> None:
    """A list may show the new one first: there are never two pods of one name."""
    desk = Desk()
    desk.own("a", 2)
    desk.put("a-0", "a-1", owner="a")
    desk.settle()
    desk.cycle()
    desk.put("a-1", owner="a", uid="uid-new")
    assert desk.settle() == {"a": [1]}
    assert desk.lost == [("a", 1)]
    assert desk.roster.rank_uid("a", 1) == ("a-1", "uid-new")
    desk.drop("a-1")
    assert desk.settle() == {"a": [1]}
