"""Kinds of pods come and go; what is kept of them does not only grow."""

from __future__ import annotations

import pytest

from scheduler.model.audience import Who
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import NodeSpec
from scheduler.state.roster import Roster
from tests.state.helpers import GREEDY, i32
from tests.state.roster_helpers import sighting
from tests.state.rules_helpers import (
    HOST,
    A,
    B,
    apart,
    cache_with,
    checked,
    counts,
    kept,
    kind,
    plan_rules,
    seen,
    wait,
)


def test_kinds_that_nobody_is_any_more_are_forgotten() -> None:
    """Months of workloads with labels and rules of their own take the room of those that run."""
    cache = cache_with("n1", "n2")
    stays = kind(cache, apart("a"))
    cache.upsert_pod("u", "n1", stays)
    sizes = set()
    for i in range(20):
        app = f"job-{i}"
        number = kind(cache, apart(app), Who("ns", (("app", app),)))
        wait(cache, "g", number, number)
        assert set(checked(cache).marks) == {seen(app), kept(app)}
        cache.assume("g", i32(0, 1), None, i32(0, 1))
        cache.confirm("g")
        checked(cache)
        cache.release("g")
        cache.sweep_kinds()
        snap = checked(cache)
        heard = len(cache.kinds._audiences.items())
        sizes.add((len(cache.shapes), len(snap.shapes), len(cache.account.marks._stamps), heard))
        assert set(cache.capacities) <= cache.shapes.numbers()
        assert cache.kinds.number(cache.shapes[stays], A) == stays
    assert len(sizes) == 1
    assert cache.account.marks.users(seen("job-3"))[0].size == 0
    wait(cache, "g", stays)
    assert counts(checked(cache), kept("a")) == {"n1": 1}


def test_a_sweep_spares_who_waits_is_held_or_is_kept() -> None:
    """And what they are planned as; a shape asked for without a Who is kept for ever."""
    cache = cache_with("n1")
    waits, held, told, bound = (
        kind(cache, apart(app), Who("ns", (("app", app),))) for app in ("w", "h", "t", "b")
    )
    plain = cache.shape(Shape((0, 7, 0)))
    cache.kinds.keepers.append(lambda: [told])
    wait(cache, "g", waits)
    cache.hold("x", "ns", ["n1"], i32(held), i32(0), 0)
    cache.upsert_pod("u", "n1", bound)
    snap = checked(cache)
    before = {number: (cache.shapes[number], cache.shapes.who(number), cache.plan_shape(number))
              for number in (waits, held, told, bound, plain)}  # fmt: skip
    planned = {plan: cache.shapes[plan] for _, _, plan in before.values()}
    cache.sweep_kinds()
    kind(cache, apart("z"), Who("ns", ()))  # what was given back is used again
    snap = checked(cache)
    for number, (shape, who, plan) in before.items():
        assert (cache.shapes[number], cache.shapes.who(number)) == (shape, who)
        assert cache.plan_shape(number) == plan
        assert cache.shapes[plan] == planned[plan]
        assert cache.shape(shape, who) == number
    assert cache.pending(0, snap, GREEDY).shape.tolist() == [before[waits][2]]


def test_a_number_that_is_used_again_has_no_past() -> None:
    """Neither its capacities, nor its tokens, nor its marks."""
    cache = cache_with("n1")
    requests = (0, 0, 3)
    old = cache.shape(Shape(requests, tokens=("port:TCP/1",), rules=apart("a")), A)
    wait(cache, "g", old)
    checked(cache)
    cache.assume("g", i32(0), None, i32(0))
    cache.confirm("g")
    cache.release("g")
    cache.freeze(0)
    cache.sweep_kinds()
    again = [kind(cache, who=Who("ns", (("i", str(i)),))) for i in range(4)]
    assert old in again
    assert cache.account.leaves == {}
    wait(cache, "g", *again)
    snap = checked(cache)
    assert {int(cap.cap[0]) for cap in snap.capacities.values()} == {4}
    assert (snap.marks, cache.shapes.with_tokens) == ({}, set())
    cache.assume("g", i32(0, 0, 0, 0), None, i32(0, 1, 2, 3))
    check_invariants(cache)


def test_freeze_sweeps_when_many_kinds_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Often enough for memory, seldom enough to cost nothing."""
    monkeypatch.setattr("scheduler.state.kinds.SWEEP_AT", 30)
    cache = cache_with("n1")
    most = 0
    for i in range(200):
        cache.upsert_pod("u", "n1", kind(cache, who=Who("ns", (("job", str(i)),))))
        cache.freeze(0)
        most = max(most, cache.shapes.in_use)
    assert most < 50


def test_resources_that_are_new_leave_kinds_as_they_are() -> None:
    """Numbers, plan shapes and marks stay; vectors grow."""
    cache = cache_with("n1")
    number, plain = kind(cache, apart("a")), kind(cache, who=B)
    cache.upsert_pod("u", "n1", number)
    wait(cache, "g", number, plain)
    before = [cache.kinds.plan(k) for k in (number, plain)]
    cache.widen(["example.com/nic"])
    snap = checked(cache)
    assert [cache.kinds.plan(k) for k in (number, plain)] == before
    assert all(len(shape.requests) == 4 for shape in snap.shapes)
    assert kind(cache, apart("a")) == number
    assert counts(snap, seen("a")) == {"n1": 1}


def test_a_term_that_nobody_carries_any_more_repels_nobody() -> None:
    """After a sweep, for those that wait already."""
    cache = cache_with("n1")
    plain = kind(cache)
    wait(cache, "g", plain)
    cache.upsert_pod("u", "n1", kind(cache, apart("a"), B))
    checked(cache)
    assert plan_rules(cache, plain).repelled
    cache.remove_pod("u")
    cache.sweep_kinds()
    checked(cache)
    assert plan_rules(cache, plain).repelled == ()


def test_members_that_may_wait_again_keep_their_kinds() -> None:
    """A gang remembers how it waited."""
    cache = cache_with("n1")
    one, two = kind(cache), kind(cache, who=B)
    wait(cache, "g", one, two)
    checked(cache)
    cache.assume("g", i32(0, 0), None, i32(0, 1))
    cache.confirm("g")
    cache.release("g", i32(1))
    cache.sweep_kinds()
    assert cache.shapes.who(two) == B
    assert cache.shape(cache.shapes[two], B) == two


def test_pods_that_the_roster_knows_keep_their_kinds() -> None:
    """Also those that are neither in the queue nor on a node."""
    cache = cache_with("n1")
    roster = Roster(cache, (), gather_max_us=0)
    gated = kind(cache)
    roster.put_pod(sighting("p", shape=gated, gated=True), 0)
    cache.sweep_kinds()
    assert cache.shapes.who(gated) == A
    roster.drop_pod("uid-p", 0)
    cache.sweep_kinds()
    assert cache.shapes.who(gated) is None


def test_a_number_that_is_used_again_has_no_past_in_any_profile() -> None:
    """Capacities are kept for each profile, and forgotten for each."""
    cache = Cache(ResourceOrder(("cpu", "memory", GPU)), others=[()])
    cache.upsert_node(NodeSpec("n1", (64, 64, 4), labels={HOST: "n1"}))
    old = kind(cache, who=A, gpu=1)
    cache.enqueue(Entry("g", "g", 1, i32(old), 1, profile=1))
    plan = cache.plan_shape(old)
    assert cache.freeze(0, profile=1).capacities[plan].cap.tolist() == [4]
    cache.assume("g", i32(0), None, i32(0))
    cache.release("g")
    cache.sweep_kinds()
    new = [kind(cache, who=B, gpu=gpu) for gpu in (2, 3)]
    for number, cap in zip(new, (2, 1), strict=True):
        cache.enqueue(Entry(f"g{cap}", "h", 1, i32(number), 1, profile=1))
    found = cache.freeze(0, profile=1).capacities
    assert plan in found
    assert [found[cache.plan_shape(number)].cap.tolist() for number in new] == [[2], [1]]
