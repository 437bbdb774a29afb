"""Leaving hopeless gangs out of a cycle never changes what is placed, nor when.

Two caches live through the same history: one tries the whole queue in every cycle, the other only
the gangs whose gate is open.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.model.policy import Order, Policy, Scan
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.plan import plan
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.gates import NOTHING
from scheduler.state.nodes import Level, NodeSpec

LEVELS = (Level("spine", "s"), Level("leaf", "l"))
SHAPES = (
    Shape((0, 0, 1)),
    Shape((0, 0, 3)),
    Shape((2, 0, 1)),
    Shape((0, 0, 1), tokens=("disk:ebs/a",)),
)
NODES = [
    NodeSpec(f"n{i}", (8, 0, 4 if i % 3 else 2), labels={"s": f"s{i // 4}", "l": f"l{i // 2}"})
    for i in range(7)
] + [NodeSpec("bare", (8, 0, 4))]
Event = tuple[str, int, Entry | None]


@st.composite
def gangs(draw: st.DrawFn, key: str) -> Entry:
    n = draw(st.integers(1, 8))
    mixed = draw(st.integers(0, 3)) == 3
    numbers = [draw(st.integers(0, len(SHAPES) - 1)) for _ in range(n if mixed else 1)]
    segment = draw(st.sampled_from((0, 0, 0, 2)))
    return Entry(
        key=key,
        name=key,
        count=n,
        shape=np.array(numbers, np.int32) if mixed else numbers[0],
        minimum=draw(st.sampled_from((n, n, max(1, n // 2)))),
        required=draw(st.integers(-1, 1)),
        segment_size=segment,
        segment_level=1 if segment else -1,
        priority=draw(st.integers(0, 2)),
        pool=draw(st.integers(0, 1)),
        expected_us=draw(st.integers(0, 5)),
        pins={0: ("n1", "n2")} if draw(st.integers(0, 7)) == 7 else {},
    )


@st.composite
def histories(draw: st.DrawFn) -> list[list[Event]]:
    """A list of instants, each with its events."""
    arrivals = 0
    instants: list[list[Event]] = []
    for _ in range(draw(st.integers(4, 14))):
        events: list[Event] = []
        for kind in draw(st.lists(st.sampled_from("aaaeeecuphx"), max_size=4)):
            entry = draw(gangs(f"g{arrivals}")) if kind == "a" else None
            arrivals += kind == "a"
            events.append((kind, draw(st.integers(0, 7)), entry))
        instants.append(events)
    return instants


class Life:
    """One cache and what became of its gangs."""

    def __init__(self, policy: Policy, *, gated: bool) -> None:
        self.cache = Cache(ResourceOrder(("cpu", "memory", GPU)), LEVELS, order=policy.order)
        for spec in NODES:
            self.cache.upsert_node(spec)
        for shape in SHAPES:
            self.cache.shape(shape)
        self.policy = policy
        self.gated = gated
        self.tried = 0
        self.running: list[str] = []

    def event(self, kind: str, which: int, entry: Entry | None, now: int) -> None:
        """Arrival, end of a gang, cordon, uncordon, a foreign pod, a hold, a claim."""
        cache, spec = self.cache, NODES[which]
        if entry is not None:
            cache.enqueue(entry)
        elif kind == "e" and self.running:
            cache.release(self.running.pop(which % len(self.running)))
        elif kind in "cu":
            cache.upsert_node(
                NodeSpec(spec.name, spec.allocatable, labels=spec.labels, cordoned=kind == "c")
            )
        elif kind == "p":
            uid = f"u{which % 3}"
            if not cache.remove_pod(uid):
                cache.upsert_pod(uid, spec.name, 1)
        elif kind == "h" and len(cache.queue):
            key = min(entry.key for entry in cache.queue)
            one = np.zeros(1, np.int32)
            cache.hold(key, "team", [spec.name], one, one, now, 3)
        elif kind == "x":
            cache.claim(((0, f"s{which % 2}"),), f"g{which}", 1, now + 2)

    def cycle(self, now: int) -> dict[str, list[str]]:
        """Who was placed where."""
        cache = self.cache
        snap = cache.freeze(now)
        if not self.gated:
            cache.queue.table["need"] = NOTHING
        pending = cache.pending(now, snap, self.policy)
        decided = plan(snap, pending, self.policy, now)
        self.tried += int(np.count_nonzero(decided.verdict))
        placed: dict[str, list[str]] = {}
        for g in decided.order[decided.placed[decided.order] > 0].tolist():
            first = int(decided.offset[g])
            members = slice(first, first + int(decided.placed[g]))
            key, rows = pending.key[g], decided.row[members]
            cache.assume(key, rows, pending.shape[members], pending.rank[members])
            cache.confirm(key)
            placed[key] = [snap.names[row] for row in rows]
            if key not in self.running:
                self.running.append(key)
        cache.note(pending, decided, now)
        return placed


@pytest.mark.parametrize("scan", list(Scan))
@pytest.mark.parametrize("order", list(Order))
@given(history=histories())
@settings(max_examples=60, deadline=None)
def test_gated_queue_places_what_a_full_scan_places(
    scan: Scan, order: Order, history: list[list[Event]]
) -> None:
    """Same gangs, same nodes, same cycle, under every order and scan, with claims and holds."""
    policy = Policy(order=order, scan=scan)
    gated, full = Life(policy, gated=True), Life(policy, gated=False)
    for now, events in enumerate(history):
        for kind, which, entry in events:
            gated.event(kind, which, entry, now)
            full.event(kind, which, entry, now)
        assert gated.cycle(now) == full.cycle(now)
    assert gated.tried <= full.tried


def test_hopeless_gangs_are_tried_once() -> None:
    """While nothing ends, a rejected gang is not handed to the planner again."""
    life = Life(Policy(), gated=True)
    for i in range(30):
        life.cache.enqueue(Entry(f"g{i}", f"g{i}", 100, 0, 100, required=i % 3 - 1))
    for now in range(5):
        assert life.cycle(now) == {}
    assert life.tried == 30
