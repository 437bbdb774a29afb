"""Segments survive repairs: a lost member goes back to the domain of its mates."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.model.plan import Verdict
from scheduler.model.policy import Policy
from scheduler.plan import plan
from scheduler.state.cache import Cache
from tests.state.helpers import cache_of, gang, i32

LEAF = 1
CLUSTER = "s1/l1: n1 n2 | s1/l2: n3 n4 | s2/l3: n5 n6 | s2/l4: n7 n8"
"""Leaves of 8 GPUs: two segments of 4 on each."""


def cycle(cache: Cache) -> dict[int, str]:
    """One cycle as the engine runs it; rank -> leaf of the members placed in it."""
    snapshot = cache.freeze(0)
    pending = cache.pending(0, snapshot, Policy())
    decided = plan(snapshot, pending, Policy(), 0, tree=cache.tree)
    found: dict[int, str] = {}
    for g in np.flatnonzero(decided.verdict == Verdict.FITS).tolist():
        members = slice(int(pending.offset[g]), int(pending.offset[g + 1]))
        rows = decided.row[members]
        ranks = pending.rank[members][rows >= 0]
        cache.assume(pending.key[g], rows[rows >= 0], pending.shape[members][rows >= 0], ranks)
        cache.confirm(pending.key[g])
        for rank, row in zip(ranks.tolist(), rows[rows >= 0].tolist(), strict=True):
            leaf = snapshot.topology.domain_of(row, LEAF)
            found[rank] = snapshot.topology.names[leaf]
    cache.note(pending, decided, 0)
    return found


def placed_gang(ranks: int = 0) -> tuple[Cache, dict[int, str]]:
    """A gang of three segments of 4 on leaves with room for 8; its leaves by rank."""
    cache = cache_of(CLUSTER)
    cache.enqueue(gang("a", 12, segment_size=4, segment_level=LEAF, preferred=0, ranks=ranks))
    leaves = cycle(cache)
    assert len(leaves) == 12
    return cache, leaves


def lose(cache: Cache, *ranks: int) -> None:
    """These members end, and their controller makes them again."""
    cache.release("a", i32(*ranks))
    cache.enqueue(
        gang("a", len(ranks), 1, ranks=i32(*ranks), repair=True, segment_size=4, segment_level=LEAF)
    )


@pytest.mark.parametrize("first", [0, 5])
@pytest.mark.parametrize("lost", [(1,), (1, 6), (0, 1, 2), (3, 4), (2, 5, 8)])
def test_lost_members_return_to_the_leaf_of_their_segment(
    lost: tuple[int, ...], first: int
) -> None:
    """However tight or roomy the other leaves are, and wherever ranks begin."""
    cache, leaves = placed_gang(first)
    ranks = [first + rank for rank in lost]
    lose(cache, *ranks)
    assert cycle(cache) == {rank: leaves[rank] for rank in ranks}


def test_a_member_waits_if_its_leaf_has_no_room() -> None:
    """Another leaf has room, but its segment is not there."""
    cache, leaves = placed_gang()
    leaf = leaves[0]
    lose(cache, 1)
    snapshot = cache.freeze(0)
    rows = [r for r in range(8) if snapshot.topology.names[snapshot.topology.domain_of(r, LEAF)]
            == leaf and snapshot.free[2, r] > 0]  # fmt: skip
    assert rows
    other = int(sum(snapshot.free[2, r] for r in rows))
    free_row = np.repeat(i32(*rows), [int(snapshot.free[2, r]) for r in rows])
    cache.enqueue(gang("other", other, repair=False))
    cache.assume("other", free_row, 0, i32(*range(other)))
    assert cycle(cache) == {}
    cache.release("other")
    assert cycle(cache) == {1: leaf}


def test_a_whole_lost_segment_goes_as_a_whole_after_those_with_mates() -> None:
    """Rank 1 returns to its mates; then ranks 4 to 7 take one leaf together."""
    cache, leaves = placed_gang()
    lose(cache, 1, 4, 5, 6, 7)
    assert cycle(cache) == {1: leaves[1]}
    again = cycle(cache)
    assert sorted(again) == [4, 5, 6, 7]
    assert len(set(again.values())) == 1


def test_segments_that_come_back_in_pieces_are_not_mixed() -> None:
    """Ranks 4 and 5 wait without 6 and 7, beside the whole third segment: one run at a time."""
    cache, leaves = placed_gang()
    cache.release("a", i32(*range(4, 12)))
    cache.enqueue(
        gang("a", 6, 1, ranks=i32(4, 5, 8, 9, 10, 11), repair=True, segment_size=4,
             segment_level=LEAF)
    )  # fmt: skip
    first = cycle(cache)
    assert sorted(first) == [4, 5]
    assert len(set(first.values())) == 1
    second = cycle(cache)
    assert sorted(second) == [8, 9, 10, 11]
    assert len(set(second.values())) == 1
    del leaves


def test_held_room_counts_as_a_mate() -> None:
    """A member whose mates are all held goes to their leaf, not where it is tightest."""
    cache, leaves = placed_gang()
    rows: dict[str, int] = {}
    snapshot = cache.freeze(0)
    for row in range(8):
        name = snapshot.topology.names[snapshot.topology.domain_of(row, LEAF)]
        rows.setdefault(name, row)
    cache.release("a", i32(4, 5, 6, 7))
    target = next(name for name in rows if name not in leaves.values())
    cache.freeze(0)
    cache.hold("a", "ns", [snapshot.names[rows[target]]], i32(0), i32(5), 0)
    cache.enqueue(gang("a", 1, 1, ranks=i32(4), repair=True, segment_size=4, segment_level=LEAF))
    assert cycle(cache) == {4: target}
