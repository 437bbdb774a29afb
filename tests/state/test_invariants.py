"""check_invariants() sees each kind of damage; otherwise the state machine would prove nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scheduler.state.cache import Cache
from scheduler.state.invariants import InvariantError, check_invariants
from scheduler.state.lifecycle import GangState
from scheduler.state.pods import PodState
from tests.state.helpers import cache_of, gang, i32, run


def busy() -> Cache:
    cache = cache_of("s1/l1: n1 n2 | s2: n3")
    for key in ("a", "b", "c"):
        cache.enqueue(gang(key, 2))
    cache.freeze(0)
    run(cache, "a", i32(0, 1))
    cache.assume("b", i32(0, 2), 0, i32(0, 1))
    cache.upsert_pod("u", "n3", 0, gang="d", rank=0)
    cache.upsert_pod("v", "n3", 0)
    cache.remove_pod("v")
    cache.queue.pools(cache.queue._order)
    return cache


def test_sound_cache_passes() -> None:
    """With a snapshot, whose kept capacities are recomputed."""
    cache = busy()
    check_invariants(cache, cache.freeze(0))


DAMAGE: dict[str, tuple[Callable[[Cache], object], str]] = {
    "used": (lambda c: c.nodes.used.__setitem__((2, 0), 9), "used is not"),
    "pods": (lambda c: c.nodes.pods_used.__setitem__(1, 9), "used is not"),
    "tokens": (lambda c: c.account.tokens.add("port:TCP/1", i32(0), 1), "token users"),
    "slot": (lambda c: c.book.pods.state.__setitem__(0, PodState.FREE), "free list|used"),
    "owner": (lambda c: c.book.pods.gang.__setitem__(0, 1), "a slot is another's"),
    "place": (lambda c: c.book.pods.place.__setitem__(0, 1), "places are wrong"),
    "assumed": (lambda c: setattr(c.book.get("b"), "assumed", 1), "miscounted"),
    "state": (lambda c: setattr(c.book.get("a"), "state", GangState.WAITING), "that it has"),
    "planned": (lambda c: setattr(c.book.get("b"), "state", GangState.PLACED), "members assumed"),
    "queue": (lambda c: c.queue.table["count"].__setitem__(0, 7), "row of c"),
    "pool": (lambda c: c.queue.pools(c.queue._order)[0].clear(), "not in order"),
    "uid": (lambda c: c.live._slots.__setitem__("w", c.live._slots["u"]), "two UIDs"),
    "free": (lambda c: c.frozen.free.__setitem__((2, 1), 9), "clean row"),
    "row": (lambda c: c.frozen.row_of_nid.__setitem__(0, 1), "inverse"),
}


@pytest.mark.parametrize("what", sorted(DAMAGE))
def test_damage_is_seen(what: str) -> None:
    """One wrong value anywhere is reported by name."""
    cache = busy()
    cache.freeze(0)
    damage, text = DAMAGE[what]
    damage(cache)
    with pytest.raises(InvariantError, match=text):
        check_invariants(cache)


@pytest.mark.parametrize("column", ["cap", "_sums", "_reason"])
def test_damage_of_a_kept_capacity_is_seen(column: str) -> None:
    """Caps, sums and reasons are compared with those computed from scratch."""
    cache = busy()
    snap = cache.freeze(0)
    kept = cache.capacities.get(0)
    assert kept is not None
    getattr(kept, column)[0] += 1
    with pytest.raises((InvariantError, IndexError)):
        check_invariants(cache, snap)
