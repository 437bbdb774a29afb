"""A resource name that comes late changes nothing but what it is about.

Two caches live through the same history: one knows every name from the start, the other learns
each when somebody first mentions it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.model.policy import Policy
from scheduler.model.resources import CPU, EPHEMERAL_STORAGE, GPU, MEMORY, PODS, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import Level, NodeSpec
from tests.state.helpers import i32

LEVELS = (Level("spine", "s"),)
NIC = "example.com/nic"
LATE = (NIC, GPU, EPHEMERAL_STORAGE)
Amounts = dict[str, int]
Event = tuple[str, int, Amounts]

amounts = st.fixed_dictionaries(
    {CPU: st.integers(1, 3)},
    optional={name: st.integers(1, 2) for name in LATE},
)
offers = st.fixed_dictionaries(
    {CPU: st.integers(2, 6), MEMORY: st.just(4)},
    optional={name: st.integers(1, 6) for name in LATE},
)
events: st.SearchStrategy[Event] = st.one_of(
    st.tuples(st.just("node"), st.integers(0, 5), offers),
    st.tuples(st.just("pod"), st.integers(0, 5), amounts),
    st.tuples(st.just("gang"), st.integers(1, 4), amounts),
    st.tuples(st.just("hold"), st.integers(0, 5), amounts),
    st.tuples(st.just("end"), st.integers(0, 3), st.just({})),
)
histories = st.lists(st.lists(events, max_size=4), min_size=2, max_size=8)


class Life:
    """One cache and what was decided on it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.cache = Cache(ResourceOrder.of(names), LEVELS)
        self.running: list[str] = []
        self.gangs = 0
        self.node(0, {CPU: 4, MEMORY: 4})

    def vector(self, wanted: Amounts) -> tuple[int, ...]:
        """`wanted` in the order that holds once all its names are known."""
        return self.cache.widen(wanted).vector(wanted)

    def node(self, which: int, offer: Amounts) -> None:
        """A node appears or changes."""
        vector = self.vector(offer)
        self.cache.upsert_node(NodeSpec(f"n{which}", vector, labels={"s": f"s{which // 2}"}))

    def event(self, kind: str, which: int, wanted: Amounts, now: int) -> None:
        """One event of the history."""
        cache = self.cache
        if kind == "node":
            self.node(which, wanted)
        elif kind == "end":
            if self.running:
                cache.release(self.running.pop(which % len(self.running)))
        else:
            number = cache.shape(Shape(self.vector(wanted)))
            if kind == "pod":
                cache.upsert_pod(f"u{which}", f"n{which}", number)
            elif kind == "hold":
                cache.hold("h", "team", [f"n{which}"], i32(number), i32(which), now, 3)
            else:
                self.gangs += 1
                key = f"g{self.gangs}"
                cache.enqueue(Entry(key=key, name=key, count=which, shape=number, minimum=which))

    def cycle(self, now: int) -> tuple[Snapshot, list[object]]:
        """The snapshot, and everything that was decided and said about it."""
        cache = self.cache
        snap = cache.freeze(now)
        pending = cache.pending(now, snap, Policy())
        decided = plan(snap, pending, Policy(), now)
        for g in np.flatnonzero(decided.placed).tolist():
            first = int(decided.offset[g])
            members = slice(first, first + int(decided.placed[g]))
            key = pending.key[g]
            cache.assume(key, decided.row[members], pending.shape[members], pending.rank[members])
            cache.confirm(key)
            self.running.append(key)
        cache.note(pending, decided, now)
        check_invariants(cache, snap)
        told = [pending.key, decided.row.tolist(), decided.verdict.tolist(), decided.rejection]
        return snap, told


def columns(snap: Snapshot) -> dict[str, list[int]]:
    """What is free by name of resource; names that nobody offers are left out."""
    rows = {name: snap.free[r].tolist() for r, name in enumerate(snap.resources.names)}
    return {name: row for name, row in rows.items() if any(row)}


@given(history=histories)
@settings(max_examples=150, deadline=None)
def test_a_name_learnt_late_decides_as_one_known_from_the_start(
    history: list[list[Event]],
) -> None:
    """The same columns, the same rows, the same words of every rejection, in every cycle."""
    late, early = Life((CPU, MEMORY)), Life((CPU, MEMORY, *LATE))
    for now, instant in enumerate(history):
        for kind, which, wanted in instant:
            late.event(kind, which, wanted, now)
            early.event(kind, which, wanted, now)
        (mine, my_words), (theirs, their_words) = late.cycle(now), early.cycle(now)
        assert my_words == their_words
        assert columns(mine) == columns(theirs)
        assert [dict(zip(mine.resources.names, s.requests, strict=True)) for s in mine.shapes] == [
            {n: a for n, a in zip(early.cache.shapes.resources.names, s.requests, strict=True)
             if n in mine.resources.names}
            for s in theirs.shapes
        ]  # fmt: skip


def test_names_stand_where_they_would_have_stood() -> None:
    """CPU and memory first, ephemeral storage next, the others by name; pod slots never."""
    order = ResourceOrder.of((GPU,))
    assert order.widened((NIC, PODS, EPHEMERAL_STORAGE)).names == (
        CPU, MEMORY, EPHEMERAL_STORAGE, NIC, GPU,
    )  # fmt: skip
    assert order.widened((GPU, CPU, PODS)) is order


def test_numbers_stay_and_equal_shapes_are_found_again() -> None:
    """A shape has the number it had, also when it comes as the longer vector."""
    life = Life((CPU, MEMORY, GPU))
    gpu = life.cache.shape(Shape((1, 0, 2)))
    assert life.cache.widen((NIC,)).names == (CPU, MEMORY, NIC, GPU)
    assert life.cache.shape(Shape((1, 0, 0, 2))) == gpu
    assert life.cache.shape(Shape((1, 0, 2, 0))) != gpu
    with pytest.raises(ValueError, match="no request over"):
        life.cache.shape(Shape((1, 0, 2)))


def test_a_snapshot_that_is_out_keeps_what_it_showed() -> None:
    """Planning goes on over it, and its rows may still be assumed, until the next freeze()."""
    life = Life((CPU, MEMORY))
    number = life.cache.shape(Shape((3, 0)))
    life.cache.enqueue(Entry(key="a", name="a", count=1, shape=number, minimum=1))
    snap = life.cache.freeze(0)
    pending = life.cache.pending(0, snap, Policy())
    life.node(1, {CPU: 9, GPU: 8})
    snap.check_fresh()
    assert snap.free.tolist() == [[4], [4]]
    assert len(snap.shapes[number].requests) == len(snap.resources) == 2
    decided = plan(snap, pending, Policy(), 0)
    life.cache.assume("a", decided.row, number, i32(0))
    after = life.cache.freeze(0)
    assert after.resources.names == (CPU, MEMORY, GPU)
    assert after.free.T.tolist() == [[1, 4, 0], [9, 0, 8]]
    check_invariants(life.cache, after)
