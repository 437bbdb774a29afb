"""Who is handed to the planner, in which columns, and when a rejected gang is tried again."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.model.plan import Verdict
from scheduler.model.policy import Order, Policy, Scan
from scheduler.model.shape import Shape
from scheduler.plan import plan
from scheduler.plan.order import decide_order
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.lifecycle import GangState, IllegalTransitionError
from tests.state.helpers import GREEDY, cache_of, gang, i32, run, waiting
from tests.state.planner import first_fit

TREE = "s1/l1: n1 n2 | s1/l2: n3 n4 | s2/l1: n5 n6"
STRICT = Policy(order=Order.FIFO, scan=Scan.STRICT)


def reject(cache: Cache, now: int = 0, policy: Policy = GREEDY, verdict: int = 0) -> list[str]:
    """A cycle whose plan refuses everybody (with `verdict`, else as the planner says)."""
    snap = cache.freeze(now)
    pending = cache.pending(now, snap, policy)
    refused = first_fit(snap, pending)
    if verdict:
        refused.verdict[:] = verdict
    assert not (refused.verdict == Verdict.FITS).any()
    cache.note(pending, refused, now)
    return sorted(pending.key)


def test_columns_of_pending() -> None:
    """Every field of an entry stands where plan() reads it."""
    cache = cache_of(TREE)
    big = cache.shape(type(cache.shapes[0])((1, 0, 2)))
    cache.enqueue(gang("a", 3, minimum=2, ranks=5, required=1, priority=-4, ready_us=7, pool=2))
    cache.enqueue(
        Entry("b", "team/b", 2, np.array([0, big], np.int32), 2, i32(1, 9), segment_size=2,
              segment_level=1, expected_us=11, single=True, pins={9: ("n6", "n2", "nowhere")}),
    )  # fmt: skip
    pending = cache.pending(0, cache.freeze(0), GREEDY)
    assert pending.key == ("a", "b")
    assert pending.name == ("a", "team/b")
    assert pending.offset.tolist() == [0, 3, 5]
    assert pending.minimum.tolist() == [2, 2]
    assert pending.required.tolist() == [1, -1]
    assert pending.preferred.tolist() == [0, 0]
    assert pending.segment_size.tolist() == [0, 2]
    assert pending.segment_level.tolist() == [-1, 1]
    assert pending.home.tolist() == [-1, -1]
    assert pending.single.tolist() == [0, 1]
    assert pending.priority.tolist() == [-4, 0]
    assert pending.ready_us.tolist() == [7, 0]
    assert pending.expected_us.tolist() == [0, 11]
    assert pending.pool.tolist() == [2, 0]
    assert pending.rank.tolist() == [5, 6, 7, 1, 9]
    assert pending.shape.tolist() == [0, 0, 0, 0, big]
    assert pending.pin.tolist() == [-1, -1, -1, -1, 0]
    assert [p.tolist() for p in pending.pins] == [[1, 5]]
    assert not pending.rank.flags.writeable


def test_late_members_come_with_their_home_and_their_held_row() -> None:
    """Home is where most bound members are, at the required level; a hold is a member's row."""
    cache = cache_of(TREE)
    cache.enqueue(gang("a", 3, required=1))
    cache.freeze(0)
    run(cache, "a", i32(2, 3, 0))
    cache.enqueue(gang("a", 2, minimum=1, ranks=3, required=1, repair=True))
    cache.hold("a", "team", ["n4"], i32(0), i32(4), 0)
    snap = cache.freeze(0)
    pending = cache.pending(0, snap, GREEDY)
    assert snap.topology.path(int(pending.home[0])) == ("s1", "l2")
    assert pending.held_row.tolist() == [-1, 3]
    assert pending.repair.tolist() == [1]


def test_tree_without_levels_has_no_preferred_level() -> None:
    """Whatever the entry says."""
    cache = Cache(cache_of(TREE).shapes.resources)
    cache.shape(type(cache_of(TREE).shapes[0])((0, 0, 1)))
    cache.enqueue(gang("a", 1))
    assert cache.pending(0, cache.freeze(0), GREEDY).preferred.tolist() == [-1]


def test_rejected_gang_sleeps_until_its_own_level_has_room() -> None:
    """10 on a spine with 8 free: nothing wakes it but a spine with 10 free."""
    cache = cache_of(TREE)
    cache.enqueue(gang("run", 8))
    cache.freeze(0)
    run(cache, "run", i32(0, 0, 1, 1, 2, 2, 3, 3))
    cache.enqueue(gang("a", 10, required=0))
    assert reject(cache) == ["a"]
    cache.upsert_pod("u", "n5", 0)
    assert waiting(cache) == []
    cache.remove_pod("u")
    assert waiting(cache) == []
    cache.release("run", i32(0, 1))
    assert waiting(cache) == ["a"]


def test_gang_in_segments_sleeps_until_a_row_gains_room() -> None:
    """Taking room wakes nobody, giving it back wakes it once."""
    cache = cache_of(TREE)
    cache.enqueue(gang("a", 27, segment_size=9, segment_level=1))
    assert reject(cache, verdict=Verdict.DOES_NOT_FIT) == ["a"]
    cache.upsert_pod("u", "n5", 0)
    assert waiting(cache) == []
    cache.remove_pod("u")
    assert reject(cache, verdict=Verdict.DOES_NOT_FIT) == ["a"]
    assert waiting(cache) == []


def test_room_that_came_and_went_between_two_cycles_wakes() -> None:
    """The plan that rejected it had given the room to somebody who was forgotten since."""
    cache = cache_of("s1/l1: n1")
    cache.enqueue(gang("a", 4, ready_us=1))
    cache.enqueue(gang("b", 4, ready_us=2, segment_size=4, segment_level=1))
    snap = cache.freeze(0)
    pending = cache.pending(0, snap, GREEDY)
    plan = first_fit(snap, pending)
    assert plan.verdict.tolist() == [Verdict.FITS, Verdict.DOES_NOT_FIT]
    cache.assume("a", plan.row[:4], 0, i32(0, 1, 2, 3))
    cache.note(pending, plan, 0)
    cache.forget("a", requeue=False)
    assert waiting(cache) == ["b"]


def test_plan_that_was_not_carried_out_wakes_everybody() -> None:
    """retry_all(): what was rejected behind a gang that was not assumed has hope again."""
    cache = cache_of("s1/l1: n1")
    cache.enqueue(gang("a", 5, segment_size=5, segment_level=1))
    assert reject(cache) == ["a"]
    assert waiting(cache) == []
    cache.retry_all()
    assert waiting(cache) == ["a"]


def test_unproved_rejection_is_tried_again_after_doubling_times() -> None:
    """Not found within the budget: 1 s, 2 s, 4 s later, without any change."""
    cache = cache_of("s1/l1: n1")
    two = np.array([0, cache.shape(type(cache.shapes[0])((1, 0, 4)))], np.int32)
    cache.enqueue(Entry("a", "a", 2, two, 2))
    now = 0
    for wait in (1_000_000, 2_000_000, 4_000_000):
        assert reject(cache, now, verdict=Verdict.NOT_FOUND) == ["a"]
        assert cache.queue.next_time_us(now) == now + wait
        assert waiting(cache, now + wait - 1) == []
        now += wait


def test_gang_that_backs_off_is_not_tried_before_its_time() -> None:
    """Whatever improves; then it is pending again."""
    cache = cache_of(TREE)
    cache.enqueue(gang("a", 1), not_before_us=10)
    cache.enqueue(gang("b", 1))
    cache.back_off("b", 20)
    assert [cache.state(key) for key in "ab"] == [GangState.BACKING_OFF] * 2
    assert waiting(cache, 9) == []
    assert cache.queue.next_time_us(9) == 10
    assert waiting(cache, 10) == ["a"]
    assert cache.state("a") is GangState.PENDING
    assert waiting(cache, 20) == ["a", "b"]


def test_strict_scan_stops_at_the_first_hopeless_gang_of_each_pool() -> None:
    """In pool 0 the second blocks the third; pool 1 goes on."""
    cache = cache_of(TREE, order=Order.FIFO)
    for key, n, pool, at in (("a", 25, 0, 2), ("b", 1, 0, 3), ("c", 1, 1, 4), ("d", 1, 0, 1)):
        cache.enqueue(gang(key, n, pool=pool, ready_us=at))
    assert waiting(cache, policy=STRICT) == ["a", "b", "c", "d"]
    snap = cache.freeze(0)
    pending = cache.pending(0, snap, STRICT)
    plan = first_fit(snap, pending)
    plan.verdict[:] = [2 if key == "a" else 0 for key in pending.key]
    cache.note(pending, plan, 0)
    assert waiting(cache, policy=STRICT) == ["c", "d"]
    assert waiting(cache) == ["b", "c", "d"]


@pytest.mark.parametrize(
    ("order", "want"),
    [(Order.FIFO, "fabcde"), (Order.SJF, "fecdab"), (Order.PRIORITY, "fdeabc")],
)
def test_pools_stay_sorted_in_the_policys_order(order: Order, want: str) -> None:
    """Repairs first, then the order's key, then age, then name, as plan() decides."""
    cache = cache_of(TREE)
    waits = {"e": (5, 1, 1, 0), "a": (1, 9, 0, 0), "d": (5, 2, 2, 0), "b": (2, 9, 0, 0),
             "f": (9, 9, 0, 1), "c": (5, 2, 0, 0)}  # fmt: skip
    for key, (ready, expected, priority, repair) in waits.items():
        name = {"c": "n2", "d": "n10", "e": "n11"}.get(key, key)
        cache.enqueue(
            gang(key, 1, name=name, ready_us=ready, expected_us=expected, priority=priority,
                 repair=bool(repair))
        )  # fmt: skip
    cache.queue.pools(Order.FIFO)
    cache.dequeue("f")
    cache.enqueue(gang("f", 1, ready_us=9, expected_us=9, repair=True))
    assert "".join(key for _, key in cache.queue.pools(order)[0]) == want


def test_note_of_other_columns_changes_nothing() -> None:
    """An entry that came back since it was handed out was not rejected."""
    cache = cache_of(TREE)
    cache.enqueue(gang("a", 100))
    snap = cache.freeze(0)
    pending = cache.pending(0, snap, GREEDY)
    plan = first_fit(snap, pending)
    cache.dequeue("a")
    cache.enqueue(gang("a", 90))
    cache.note(pending, plan, 0)
    assert waiting(cache) == ["a"]


def test_gang_waits_once() -> None:
    """A second entry of the same key is refused, and so is leaving without being there."""
    cache = cache_of(TREE)
    cache.enqueue(gang("a", 1))
    with pytest.raises(IllegalTransitionError, match="waits already"):
        cache.enqueue(gang("a", 1, ranks=1))
    cache.dequeue("a")
    with pytest.raises(IllegalTransitionError, match="does not wait"):
        cache.dequeue("a")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"minimum": 3}, "minimum 3 of 2"),
        ({"shape": i32(0)}, "1 values for 2 members"),
        ({"ranks": i32(4, 4)}, "ranks do not rise"),
    ],
)
def test_entry_that_contradicts_itself_is_refused(fields: dict[str, object], text: str) -> None:
    """The error names the gang and what is wrong."""
    with pytest.raises(ValueError, match=f"gang a: {text}"):
        gang("a", 2, **fields)  # type: ignore[arg-type]


def test_hard_searches_take_turns() -> None:
    """A gang that the budget left out stands before its equals in the next cycle."""
    cache = cache_of("s1/l1: n1..4")
    assert cache.shape(Shape((0, 0, 2))) == 1
    for key in ("a", "b", "c"):
        cache.enqueue(gang(key, 2, shape=i32(0, 1), ready_us=5))
    cache.enqueue(gang("high", 1, priority=9, ready_us=9))
    snapshot = cache.freeze(0)
    pending = cache.pending(0, snapshot, GREEDY)
    decided = plan(snapshot, pending, Policy(budget=1, cycle_budget=1), 0)
    tried = {k for k, v in zip(pending.key, decided.verdict, strict=True) if v != Verdict.NOT_TRIED}
    assert tried == {"high", "a"}
    for g, key in enumerate(pending.key):
        if key in tried and decided.verdict[g] == Verdict.FITS:
            members = slice(int(pending.offset[g]), int(pending.offset[g + 1]))
            cache.assume(key, decided.row[members], pending.shape[members], pending.rank[members])
    cache.note(pending, decided, 0)
    cache.enqueue(gang("early", 2, shape=i32(0, 1), ready_us=1))
    again = cache.pending(0, cache.freeze(0), GREEDY)
    order = [again.key[g] for g in decide_order(again, GREEDY.order).tolist()]
    assert [key for key in order if key != "a"] == ["b", "c", "early"]
    strict = decide_order(again, GREEDY.order, in_turn=False).tolist()
    assert again.key[strict[0]] == "early"
