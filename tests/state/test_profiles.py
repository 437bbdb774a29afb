"""Several profiles over one cache: trees of their own, the same rows and the same room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.policy import Pack, Policy
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.plan import plan
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.gates import NOTHING
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import Level, NodeSpec
from tests.state.helpers import gang, i32, run, spec, waiting
from tests.state.test_gates_are_exact import LEVELS as TWO
from tests.state.test_gates_are_exact import NODES, SHAPES, gangs

RACKS = (Level("rack", "net/rack"),)
POLICIES = (Policy(), Policy(pack=Pack.SPINE))


def racked() -> Cache:
    """Two spines of two nodes; racks r0, r1 of one node of each spine."""
    levels = (Level("spine", "net/spine"),)
    cache = Cache(ResourceOrder(("cpu", "memory", GPU)), levels, others=[RACKS])
    for at in range(4):
        labels = {"net/rack": f"r{at % 2}"}
        cache.upsert_node(spec(f"n{at}", (f"s{at // 2}",), labels=labels))
    cache.shape(SHAPES[0])
    return cache


def tried(cache: Cache, profile: int, now: int = 0) -> list[str]:
    """Gangs that are worth trying in a cycle of the profile."""
    snapshot = cache.freeze(now, profile=profile)
    return sorted(cache.pending(now, snapshot, POLICIES[profile], profile).key)


def test_trees_differ_and_rows_do_not() -> None:
    """The same columns under the levels of each profile."""
    cache = racked()
    first = cache.freeze(0)
    names, spines = first.names, first.topology
    second = cache.freeze(0, profile=1)
    assert second.names is names
    assert (spines.levels, second.topology.levels) == (("spine",), ("rack",))
    assert second.topology is cache.tree_of(1).topology
    rows = [second.topology.path(int(parent)) for parent in second.topology.node_parent]
    assert rows == [("r0",), ("r1",), ("r0",), ("r1",)]


def test_a_label_of_any_profile_lays_out_the_trees_anew() -> None:
    """A node that moves to another rack does so for the profile that knows racks."""
    cache = racked()
    cache.freeze(0)
    labels = {"net/rack": "r7"}
    cache.upsert_node(spec("n0", ("s0",), labels=labels))
    assert cache.nodes.tree_stale
    tree = cache.freeze(0, profile=1).topology
    assert tree.path(int(tree.node_parent[0])) == ("r7",)


def test_profiles_with_the_same_levels_share_a_tree() -> None:
    """Names differ, the network does not: it is laid out once."""
    cache = Cache(ResourceOrder(("cpu",)), TWO, others=[TWO, ()])
    cache.upsert_node(NodeSpec("n1", (4,)))
    cache.freeze(0)
    assert cache.tree_of(0) is cache.tree_of(1)
    assert cache.tree_of(2).topology.levels == ()


def test_a_cycle_tries_the_gangs_of_its_profile() -> None:
    """And knows the shapes and the room of the others."""
    cache = racked()
    cache.enqueue(gang("spine", 8, required=0))
    cache.enqueue(gang("rack", 8, required=0, profile=1))
    assert cache.queue.profiles() == [0, 1]
    assert (tried(cache, 0), tried(cache, 1)) == (["spine"], ["rack"])
    run(cache, "spine", i32(0, 0, 0, 0, 1, 1, 1, 1), i32(*range(8)))
    assert cache.queue.profiles() == [1]
    snapshot = cache.freeze(1, profile=1)
    assert snapshot.free[2].tolist() == [0, 0, 4, 4]
    assert (cache.queue.shapes(0), cache.queue.shapes(1), cache.queue.shapes()) == ([], [0], [0])
    check_invariants(cache, snapshot)


def test_a_rejection_wakes_when_a_domain_of_its_own_tree_has_room() -> None:
    """Room that came free in one spine is not room in one rack."""
    cache = racked()
    cache.enqueue(gang("runs", 12))
    cache.freeze(0)
    run(cache, "runs", i32(*[row for row in range(3) for _ in range(4)]))
    cache.enqueue(gang("rack", 8, required=0, profile=1))
    for expected in (["rack"], []):
        snapshot = cache.freeze(1, profile=1)
        pending = cache.pending(1, snapshot, POLICIES[1], 1)
        assert list(pending.key) == expected
        cache.note(pending, plan(snapshot, pending, POLICIES[1], 1), 1)
    cache.release("runs", i32(8, 9, 10, 11))
    assert tried(cache, 1, 2) == []  # n2 and n3 are one spine, in two racks
    cache.release("runs", i32(4, 5, 6, 7))
    assert tried(cache, 1, 3) == ["rack"]  # n1 and n3 are one rack


@pytest.mark.parametrize("profiles", [(0, 1), (1,)])
def test_a_hopeless_gang_of_any_profile_is_tried_once(profiles: tuple[int, ...]) -> None:
    """Whatever kind of gate it stands at, until a node comes."""
    cache = racked()
    asks: tuple[dict[str, Any], ...] = (
        {}, {"segment_size": 5, "segment_level": 0}, {"pins": {0: ("n1",)}},
    )  # fmt: skip
    for at, more in enumerate(asks):
        for profile in profiles:
            cache.enqueue(gang(f"g{at}-{profile}", 20, profile=profile, **more))
    for profile in (*profiles, *profiles):
        snapshot = cache.freeze(0, profile=profile)
        pending = cache.pending(0, snapshot, POLICIES[profile], profile)
        cache.note(pending, plan(snapshot, pending, POLICIES[profile], 0), 0)
    assert [tried(cache, profile) for profile in profiles] == [[] for _ in profiles]
    cache.upsert_node(NodeSpec("n9", (64, 64, 4), labels={"net/rack": "r9", "net/spine": "s9"}))
    assert [len(tried(cache, profile)) for profile in profiles] == [3 for _ in profiles]


def test_a_claim_is_of_one_tree() -> None:
    """A path names a domain of the profile that made it, and means nothing to others."""
    cache = racked()
    cache.claim(((0, "r1"),), "rack", 0, 99, profile=1)
    cache.claim((), "all", 0, 99, profile=1)
    assert cache.freeze(0).claims.owner == ()
    snapshot = cache.freeze(0, profile=1)
    assert snapshot.claims.owner == ("all", "rack")
    assert snapshot.topology.path(int(snapshot.claims.domain[1])) == ("r1",)
    assert cache.freeze(0, profile=1).claims is snapshot.claims


def test_a_new_resource_is_counted_for_every_profile() -> None:
    """Capacities that are kept stay true."""
    cache = racked()
    for key, profile in (("a", 0), ("b", 1)):
        cache.enqueue(gang(key, 2, profile=profile))
        cache.freeze(0, profile=profile)
    cache.widen(["example.com/nic"])
    cache.upsert_node(spec_of(cache, "n0", 1))
    for profile in (0, 1):
        check_invariants(cache, cache.freeze(1, profile=profile))
    assert waiting(cache) == ["a"]


def spec_of(cache: Cache, name: str, gpu: int) -> NodeSpec:
    """A node of `racked` with another number of GPUs, in the order that holds now."""
    amounts = {"cpu": 64, "memory": 64, GPU: gpu}
    vector = [amounts.get(resource, 0) for resource in cache.shapes.resources.names]
    return NodeSpec(name, vector, labels={"net/spine": "s0", "net/rack": "r0"})


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[tuple[str, int, Entry | None]]]:
    """Instants with their events: gangs of either profile, ends, cordons, foreign pods."""
    count = 0
    instants = []
    for _ in range(draw(st.integers(3, 10))):
        events: list[tuple[str, int, Entry | None]] = []
        for kind in draw(st.lists(st.sampled_from("aaaaeecup"), max_size=4)):
            entry = draw(gangs(f"g{count}")) if kind == "a" else None
            if entry is not None and draw(st.booleans()):
                segment = 0 if entry.segment_size else -1
                required = min(entry.required, 0)
                entry = replace(entry, profile=1, required=required, segment_level=segment)
            count += kind == "a"
            events.append((kind, draw(st.integers(0, 7)), entry))
        instants.append(events)
    return instants


class Life:
    """A cache of two profiles and what became of its gangs."""

    def __init__(self, *, gated: bool) -> None:
        by_leaf = [(Level("pair", "l"),)]
        self.cache = Cache(ResourceOrder(("cpu", "memory", GPU)), TWO, others=by_leaf)
        for node in NODES:
            self.cache.upsert_node(node)
        for shape in SHAPES:
            self.cache.shape(shape)
        self.gated = gated
        self.tried = 0
        self.running: list[str] = []

    def event(self, kind: str, which: int, entry: Entry | None) -> None:
        """What the letters of `arrivals` stand for."""
        cache, node = self.cache, NODES[which]
        if entry is not None:
            cache.enqueue(entry)
        elif kind == "e" and self.running:
            cache.release(self.running.pop(which % len(self.running)))
        elif kind in "cu":
            cache.upsert_node(replace(node, cordoned=kind == "c"))
        elif kind == "p" and not cache.remove_pod(f"u{which % 3}"):
            cache.upsert_pod(f"u{which % 3}", node.name, 1)

    def cycles(self, now: int) -> dict[str, list[str]]:
        """One after the other; who was placed where."""
        placed: dict[str, list[str]] = {}
        for profile in self.cache.queue.profiles():
            placed |= self.cycle(now, profile)
        return placed

    def cycle(self, now: int, profile: int) -> dict[str, list[str]]:
        """One of them."""
        cache = self.cache
        snapshot = cache.freeze(now, profile=profile)
        check_invariants(cache, snapshot)
        if not self.gated:
            cache.queue.table["need"] = NOTHING
        pending = cache.pending(now, snapshot, POLICIES[profile], profile)
        decided = plan(snapshot, pending, POLICIES[profile], now, tree=cache.tree_of(profile))
        self.tried += int(np.count_nonzero(decided.verdict))
        placed: dict[str, list[str]] = {}
        for g in decided.order[decided.placed[decided.order] > 0].tolist():
            first = int(decided.offset[g])
            members = slice(first, first + int(decided.placed[g]))
            key, rows = pending.key[g], decided.row[members]
            cache.assume(key, rows, None, pending.rank[members])
            cache.confirm(key)
            placed[key] = [snapshot.names[row] for row in rows]
            if key not in self.running:
                self.running.append(key)
        cache.note(pending, decided, now)
        return placed


@given(history=arrivals())
def test_gates_of_two_profiles_are_exact_and_room_is_given_once(
    history: list[list[tuple[str, int, Entry | None]]],
) -> None:
    """The gated queue places what a full scan places; no cycle takes what another has taken."""
    gated, full = Life(gated=True), Life(gated=False)
    for now, events in enumerate(history):
        for kind, which, entry in events:
            gated.event(kind, which, entry)
            full.event(kind, which, entry)
        before = gated.cache.freeze(now).free[2].copy()
        assert gated.cycles(now) == full.cycles(now)
        after = gated.cache.freeze(now).free[2]
        assert (after >= np.minimum(before, 0)).all()  # foreign pods may be too many
    assert gated.tried <= full.tried
