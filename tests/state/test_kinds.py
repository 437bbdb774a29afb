"""Kinds of pods: what each leaves, who repels it, and what plan() is told of those that wait."""

from __future__ import annotations

import pytest

from scheduler.model.audience import Audience, Carried, Scope, Who, mark_of
from scheduler.model.constraints import Requirement
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.shape import Shape
from scheduler.state.meanings import Handle, handles
from tests.state.helpers import GREEDY, i32
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
    near,
    plan_rules,
    seen,
    selecting,
    wait,
)


def test_without_rules_a_kind_costs_a_number_and_nothing_else() -> None:
    """Pods of all namespaces and labels wait as one plan shape: that without a Who."""
    cache = cache_with("n1")
    plain = cache.shape(Shape((0, 0, 1)))
    kinds = [kind(cache, who=who) for who in (A, B, Who("x", ()))]
    assert len({plain, *kinds}) == 4
    wait(cache, "g", *kinds)
    snap = checked(cache)
    assert cache.pending(0, snap, GREEDY).shape.tolist() == [plain] * 3
    assert (snap.marks, cache.account.leaves) == ({}, {})
    assert kind(cache) == kinds[0]


def test_members_that_are_left_out_keep_their_kinds() -> None:
    """Those that a plan places are assumed as the kinds with which they wait."""
    cache = cache_with("n1")
    kinds = [kind(cache, who=Who("ns", (("i", str(i)),))) for i in range(3)]
    wait(cache, "g", *kinds)
    checked(cache)
    cache.assume("g", i32(0, 0), None, i32(0, 2))
    slots = cache.book.get("g").slots
    assert cache.book.pods.shape[slots].tolist() == [kinds[0], kinds[2]]


def test_self_anti_affinity_leaves_and_repels() -> None:
    """A pod keeps others like itself away, and is kept away by them."""
    cache = cache_with("n1")
    rules = plan_rules(cache, kind(cache, apart("a")))
    assert rules.leaves == tuple(sorted((seen("a"), kept("a"))))
    assert rules.repelled == (Apart(HOST, kept("a")),)
    other = plan_rules(cache, kind(cache, apart("b")))
    assert (other.leaves, other.repelled) == (
        tuple(sorted((seen("a"), kept("b")))), (Apart(HOST, kept("a")),),
    )  # fmt: skip


def test_a_term_of_others_repels_who_waits_already() -> None:
    """Their plan shape becomes another one, where they stand in the queue."""
    cache = cache_with("n1")
    plain = kind(cache)
    wait(cache, "g", plain)
    before = cache.kinds.plan(plain)
    checked(cache)
    cache.upsert_pod("u", "n1", kind(cache, apart("a"), B))
    snap = checked(cache)
    assert cache.kinds.plan(plain) != before
    assert plan_rules(cache, plain).repelled == (Apart(HOST, kept("a")),)
    assert counts(snap, kept("a")) == {"n1": 1}
    assert cache.pending(0, snap, GREEDY).shape.tolist() == [cache.kinds.plan(plain)]


def test_an_audience_that_means_who_waits_already_is_left_by_it_from_now_on() -> None:
    """The ledger of a cycle counts its members for those that ask, whoever came first."""
    cache = cache_with("n1")
    plain, asking = kind(cache), kind(cache, near("a"), B)
    wait(cache, "g", plain)
    checked(cache)
    assert plan_rules(cache, plain).leaves == ()
    wait(cache, "h", asking, plain)
    snap = checked(cache)
    assert plan_rules(cache, plain).leaves == (seen("a"),)
    pending = cache.pending(0, snap, GREEDY)
    plans = [cache.kinds.plan(k) for k in (plain, asking, plain)]
    assert sorted(pending.shape.tolist()) == sorted(plans)


@pytest.mark.parametrize(("app", "own"), [("a", True), ("b", False)])
def test_whether_a_pod_counts_itself_is_filled_in(app: str, *, own: bool) -> None:
    """For affinity and spread alike; a spread that counts nobody keeps what decoding said."""
    cache = cache_with("n1")
    found = PodRules(
        spread=(
            Spread("zone", 1, 1, seen(app, leaving=False), own=not own),
            Spread("zone", 1, 1, "", own=True),
        ),
        near=Near(("zone",), seen(app), own=not own),
    )
    rules = plan_rules(cache, kind(cache, found))
    assert rules.near is not None
    assert (rules.near.own, *(each.own for each in rules.spread)) == (own, own, True)


def test_labels_of_namespaces_decide_who_is_repelled() -> None:
    """Those of the namespace of the pod that waits."""
    cache = cache_with("n1")
    mark = mark_of(Audience((selecting("t"),)))
    cache.upsert_pod("u", "n1", kind(cache, PodRules(apart=(Apart(HOST, mark),)), B))
    plain = kind(cache)
    wait(cache, "g", plain)
    checked(cache)
    assert plan_rules(cache, plain).repelled == ()
    cache.put_namespace("ns", {"team": "t"})
    checked(cache)
    assert plan_rules(cache, plain).repelled == (
        Apart(HOST, mark_of(Carried(HOST, selecting("t")))),
    )


def test_a_term_on_a_hidden_label_is_taken_to_match() -> None:
    """Nobody knows the label of the members: they stay away from all that it may mean."""
    cache = cache_with("n1", hidden=frozenset({"index"}))
    term = Scope((Requirement("app", "In", ("a",)), Requirement("index", "In", ("7",))), ("ns",))
    rules = PodRules(apart=(Apart(HOST, mark_of(Audience((term,)))),))
    cache.upsert_pod("u", "n1", kind(cache, rules, B))
    assert len(plan_rules(cache, kind(cache)).repelled) == 1
    assert plan_rules(cache, kind(cache, who=B, gpu=2)).repelled == ()


def test_the_plan_shape_of_a_hold_follows_that_of_its_kind() -> None:
    """Holds are published anew when others' rules change what their member is."""
    cache = cache_with("n1")
    plain = kind(cache)
    cache.hold("g", "ns", ["n1"], i32(plain), i32(0), 0)
    before = checked(cache).holds.shape.tolist()
    cache.upsert_pod("u", "n1", kind(cache, apart("a"), B))
    after = checked(cache).holds.shape.tolist()
    assert before != after == [cache.kinds.plan(plain)]


def test_what_is_filed_under_a_handle_is_as_rare_as_can_be() -> None:
    """The label that fewest pods have, else namespaces, else everybody."""
    sizes: dict[Handle, int] = {("app", "a"): 9, ("job", "1"): 1}

    def filed(*scopes: Scope) -> tuple[Handle, ...]:
        return handles(Audience(scopes), {"index"}, lambda handle: sizes.get(handle, 0))

    app, job = Requirement("app", "In", ("a",)), Requirement("job", "In", ("1", "2"))
    index = Requirement("index", "In", ("0",))
    assert filed(Scope((app, job), ("ns",))) == (("job", "1"), ("job", "2"))
    assert filed(Scope((app,), ()), Scope((job,), ())) == (("job", "1"), ("job", "2"))
    assert filed(Scope((index,), ("x", "y"))) == (("x",), ("y",))
    assert filed(Scope((), (), ()), Scope((), ("x",))) == (("x",),)
    assert filed(Scope((), ("x",), ())) == ((),)
    assert filed(Scope(None, ("x",))) == ()


def test_a_mark_of_a_rule_that_is_no_audience_is_refused() -> None:
    """Of a kind that has a Who: its marks are counted, so they must mean something."""
    cache = cache_with("n1")
    number = kind(cache, PodRules(near=Near((HOST,), kept("a"), own=False)))
    with pytest.raises(ValueError, match="no audience"):
        cache.kinds.plan(number)
