"""Gangs take only steps that the table has; members come back to the queue as what they were."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.state.invariants import check_invariants
from scheduler.state.lifecycle import TRANSITIONS, GangState, IllegalTransitionError, Step, after
from tests.state.helpers import GREEDY, cache_of, free_gpus, gang, i32, run

ILLEGAL = sorted((s, t) for s in GangState for t in Step if (s, t) not in TRANSITIONS)


@pytest.mark.parametrize(("state", "step"), ILLEGAL)
def test_step_without_entry_in_the_table_raises(state: GangState, step: Step) -> None:
    """The error names the gang, the step and the state."""
    with pytest.raises(IllegalTransitionError, match=f"team/a.*{step.value}.*{state.value}"):
        after(state, step, "team/a")


def test_every_state_is_reached_and_left() -> None:
    """No state of the table is a dead end or an island; only `gone` has no way out."""
    assert {s for s, _ in TRANSITIONS} == set(GangState) - {GangState.GONE}
    assert set(TRANSITIONS.values()) == set(GangState)


def test_life_of_a_gang_that_goes_well() -> None:
    """pending -> planned -> binding -> placed -> gone, room taken at the plan and given back."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 3))
    assert cache.state("a") is GangState.PENDING
    cache.freeze(0)
    cache.assume("a", i32(0, 0, 1), 0, i32(0, 1, 2))
    assert cache.state("a") is GangState.PLANNED
    assert free_gpus(cache) == {"n1": 2, "n2": 3}
    cache.send("a")
    cache.confirm("a", i32(2))
    assert cache.state("a") is GangState.BINDING
    cache.confirm("a")
    assert cache.state("a") is GangState.PLACED
    cache.release("a")
    assert cache.state("a") is None
    assert free_gpus(cache) == {"n1": 4, "n2": 4}


@pytest.mark.parametrize("how", ["lost", "lost while it backs off", "forgotten"])
def test_late_members_of_a_gang_that_is_gone_are_a_gang_again(how: str) -> None:
    """With nothing left to join, fewer than the minimum would be half a gang."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 5, minimum=2, ready_us=3))
    cache.freeze(0)
    cache.assume("a", i32(0, 0), 0, i32(0, 1))
    if how == "forgotten":
        cache.forget("a", requeue=False)
    else:
        for rank in (0, 1):
            cache.upsert_pod(f"u{rank}", "n1", 0, "a", rank)
        if how != "lost":
            cache.remove_pod("u0")
            cache.give_up("a", 9)
        for rank in (0, 1):
            cache.remove_pod(f"u{rank}")
    entry = cache.queue.get("a")
    assert entry is not None
    assert (entry.count, entry.minimum, entry.repair) == (3, 2, False)
    assert (cache.state("a") is GangState.BACKING_OFF) == ("backs off" in how)
    assert (cache.pending(8, cache.freeze(8), GREEDY).gangs == 0) == ("backs off" in how)
    assert cache.pending(9, cache.freeze(9), GREEDY).gangs == 1
    check_invariants(cache)


def test_forgotten_gang_waits_again_as_it_was() -> None:
    """Nothing of it is left on nodes: the same entry stands in the queue, also after two parts."""
    cache = cache_of("s1/l1: n1 n2")
    entry = gang("a", 4, minimum=3, required=0)
    cache.enqueue(entry)
    cache.freeze(0)
    cache.assume("a", i32(0, 0, 1), 0, i32(0, 1, 2))
    late = cache.queue.get("a")
    assert late is not None
    assert (late.count, late.minimum, late.repair) == (1, 1, True)
    cache.forget("a", i32(1))
    assert cache.state("a") is GangState.DEGRADED
    cache.forget("a")
    assert cache.state("a") is GangState.PENDING
    assert cache.queue.get("a") is entry


def test_forgotten_member_of_a_gang_with_others_bound_waits_as_late() -> None:
    """What is bound stays; the one that was refused waits alone and goes first."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 3))
    cache.freeze(0)
    cache.assume("a", i32(0, 0, 1), 0, i32(0, 1, 2))
    cache.confirm("a", i32(0, 1))
    cache.forget("a")
    late = cache.queue.get("a")
    assert late is not None
    assert (late.rank_column().tolist(), late.minimum, late.repair) == ([2], 1, True)
    assert cache.state("a") is GangState.DEGRADED
    cache.freeze(0)
    run(cache, "a", i32(1), i32(2))
    assert cache.state("a") is GangState.PLACED


def test_member_of_a_rank_that_has_a_place_cannot_wait_or_be_assumed() -> None:
    """Nothing is placed twice."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 2))
    cache.freeze(0)
    run(cache, "a", i32(0, 0))
    with pytest.raises(IllegalTransitionError, match="place already"):
        cache.enqueue(gang("a", 2, ranks=1))
    cache.enqueue(gang("a", 1, ranks=2))
    with pytest.raises(IllegalTransitionError, match="do not wait"):
        cache.assume("a", i32(0), 0, i32(1))


def test_rows_beyond_the_snapshot_are_refused() -> None:
    """A row that no node has is a bug of the caller; nothing changes."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 1))
    cache.freeze(0)
    with pytest.raises(ValueError, match="rows"):
        cache.assume("a", i32(2), 0, i32(0))
    assert cache.state("a") is GangState.PENDING
    check_invariants(cache)


def test_lost_member_degrades_a_placed_gang() -> None:
    """One pod ends: its room is free, the gang is degraded; after the last one it waits."""
    cache = cache_of("s1/l1: n1 n2")
    for uid, rank in (("u0", 0), ("u1", 1)):
        cache.upsert_pod(uid, "n1", 0, gang="a", rank=rank)
    cache.finish("a")
    assert cache.state("a") is GangState.PLACED
    assert cache.remove_pod("u1")
    assert cache.state("a") is GangState.DEGRADED
    assert not cache.remove_pod("u1")
    assert cache.remove_pod("u0")
    assert cache.state("a") is GangState.WAITING
    assert free_gpus(cache) == {"n1": 4, "n2": 4}


def test_assumed_member_seen_elsewhere_is_where_the_watch_says() -> None:
    """Another scheduler bound it: the assumed room is free, the real one is taken."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 2))
    cache.freeze(0)
    cache.assume("a", i32(0, 0), 0, i32(0, 1))
    cache.upsert_pod("u0", "n2", 0, gang="a", rank=0)
    assert free_gpus(cache) == {"n1": 3, "n2": 3}
    cache.upsert_pod("u1", "n1", 0, gang="a", rank=1)
    assert cache.state("a") is GangState.PLACED
    check_invariants(cache)


def test_large_gang_takes_no_object_per_member() -> None:
    """100,000 members are columns: the record and the entry stay as small as for one."""
    cache = cache_of("s1/l1: n1 n2")
    cache.enqueue(gang("a", 100_000))
    cache.freeze(0)
    cache.assume("a", np.zeros(100_000, np.int32), 0, np.arange(100_000, dtype=np.int32))
    record = cache.book.get("a")
    assert record.by_rank is None
    assert len(cache.live) == 0
    assert len(record.slots) == record.assumed == 100_000
