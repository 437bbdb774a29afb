"""Room kept for members that do not exist, and domains reserved for gangs that waited too long."""

from __future__ import annotations

from scheduler.model.shape import Shape
from scheduler.state.claims import find_domain
from scheduler.state.holds import HoldLimits
from scheduler.state.invariants import check_invariants
from tests.state.helpers import GREEDY, cache_of, free_gpus, gang, i32, run, spec

LIMITS = HoldLimits(term_us=10, longest_us=25, per_namespace=2, total=3)
TREE = "s1/l1: n1 n2 | s2/l1: n3"


def test_hold_takes_room_and_is_published() -> None:
    """Free is less the held room; the snapshot names row, owner, rank and end."""
    cache = cache_of(TREE, limits=LIMITS)
    assert cache.hold("a", "team", ["n3", "n1"], i32(0, 0), i32(1, 0), 5) == 2
    assert free_gpus(cache) == {"n1": 3, "n2": 4, "n3": 3}
    holds = cache.freeze(5).holds
    assert holds.row.tolist() == [0, 2]
    assert (holds.owner, holds.rank.tolist()) == (("a", "a"), [0, 1])
    assert holds.until_us.tolist() == [15, 15]


def test_limits_keep_the_lowest_ranks() -> None:
    """Two in a namespace, three in all; what is beyond is not held."""
    cache = cache_of(TREE, limits=LIMITS)
    assert cache.hold("a", "team", ["n1", "n1", "n2"], i32(0, 0, 0), i32(7, 5, 6), 0) == 2
    assert sorted(cache.holds.of("a")) == [5, 6]
    assert cache.hold("b", "team", ["n3"], i32(0), i32(0), 0) == 0
    assert cache.hold("c", "other", ["n3", "n3"], i32(0, 0), i32(0, 1), 0) == 1
    assert len(cache.holds) == 3


def test_hold_ends_unless_it_is_renewed_and_never_lasts_longer_than_the_longest() -> None:
    """10 us a term, 25 us in all."""
    cache = cache_of(TREE, limits=LIMITS)
    cache.hold("a", "team", ["n1"], i32(0), i32(0), 0)
    cache.hold("b", "team", ["n2"], i32(0), i32(0), 0)
    cache.renew_holds("a", 9)
    assert free_gpus(cache, 10) == {"n1": 3, "n2": 4, "n3": 4}
    cache.renew_holds("a", 18)
    assert free_gpus(cache, 24)["n1"] == 3
    assert free_gpus(cache, 25)["n1"] == 4
    check_invariants(cache)


def test_held_member_takes_its_own_room() -> None:
    """The hold of a rank ends when the rank is assumed, wherever it goes; others stay."""
    cache = cache_of(TREE, limits=LIMITS)
    cache.enqueue(gang("a", 2))
    cache.hold("a", "team", ["n1", "n2"], i32(0, 0), i32(0, 1), 0)
    cache.freeze(0)
    cache.assume("a", i32(0), 0, i32(0))
    assert free_gpus(cache) == {"n1": 3, "n2": 3, "n3": 4}
    run(cache, "a", i32(2), i32(1))
    assert free_gpus(cache) == {"n1": 3, "n2": 4, "n3": 3}
    assert len(cache.holds) == 0


def test_hold_of_a_rank_moves_and_goes_with_its_gang() -> None:
    """A second hold of the same rank replaces the first; release() ends all."""
    cache = cache_of(TREE, limits=LIMITS)
    cache.enqueue(gang("a", 1))
    cache.hold("a", "team", ["n1"], i32(0), i32(3), 0)
    cache.hold("a", "team", ["n2"], i32(0), i32(3), 1)
    assert free_gpus(cache) == {"n1": 4, "n2": 3, "n3": 4}
    cache.release("a")
    assert free_gpus(cache) == {"n1": 4, "n2": 4, "n3": 4}


def test_hold_on_a_vanished_node_is_kept_but_not_shown() -> None:
    """It counts again when the node comes back before its end."""
    cache = cache_of(TREE, limits=LIMITS)
    cache.hold("a", "team", ["n1"], i32(0), i32(0), 0)
    cache.remove_node("n1")
    assert cache.freeze(1).holds.owner == ()
    cache.upsert_node(spec("n1", ("s1", "l1")))
    assert cache.freeze(2).holds.owner == ("a",)
    assert free_gpus(cache, 3)["n1"] == 3


def test_claim_follows_its_domain_and_ends_at_its_deadline() -> None:
    """Domains are numbered anew when nodes come; the claim stays on its path."""
    cache = cache_of(TREE)
    path = ((0, "s2"), (1, "l1"))
    cache.claim(path, "a", 3, 10)
    cache.claim(((0, "s9"),), "b", 1, 10)
    for name, leaf in (("n0", "l0"), ("n9", "l7")):
        snap = cache.freeze(1)
        assert (snap.claims.owner, snap.claims.priority.tolist()) == (("a",), [3])
        assert snap.claims.domain.tolist() == [find_domain(snap.topology, path)]
        assert snap.topology.path(int(snap.claims.domain[0])) == ("s2", "l1")
        cache.upsert_node(spec(name, ("s1", leaf)))
    assert cache.freeze(9).claims.owner == ("a",)
    assert cache.freeze(10).claims.owner == ()


def test_claim_is_given_up_by_its_owner() -> None:
    """drop_claim() says whether there was one; the snapshot has none left."""
    cache = cache_of(TREE)
    cache.claim(((0, "s1"),), "a", 0, 10)
    assert cache.drop_claim("a")
    assert not cache.drop_claim("a")
    assert cache.freeze(0).claims.owner == ()


def test_a_member_that_asks_for_more_than_is_held_is_searched_for() -> None:
    """Its pod template grew meanwhile: the held room would overcommit the node."""
    cache = cache_of("s1/l1: n1")
    for gpus, waits in ((4, -1), (1, 0)):
        number = cache.shape(Shape((0, 0, gpus)))
        cache.hold("a", "team", ["n1"], i32(0), i32(0), 0)
        cache.enqueue(gang("a", 1, shape=number))
        assert cache.pending(0, cache.freeze(0), GREEDY).held_row.tolist() == [waits]
        cache.dequeue("a")
    cache.hold("a", "team", ["n1"], i32(number), i32(0), 0)
    ported = cache.shape(Shape((0, 0, 1), tokens=("port:TCP/80",)))
    cache.enqueue(gang("a", 1, shape=ported))
    assert cache.pending(0, cache.freeze(0), GREEDY).held_row.tolist() == [-1]
