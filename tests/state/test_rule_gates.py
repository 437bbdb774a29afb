"""A gang with rules that was rejected is tried again when what its rules read changes."""

from __future__ import annotations

import pytest

from scheduler.model.audience import Audience, Scope, Who, mark_of
from scheduler.model.pod_rules import Near, PodRules, Spread
from scheduler.state.cache import Cache
from scheduler.state.nodes import NodeSpec
from tests.state.helpers import GREEDY, waiting
from tests.state.planner import first_fit
from tests.state.rules_helpers import (
    HOST,
    A,
    B,
    apart,
    cache_with,
    checked,
    kind,
    near,
    scope,
    seen,
    selecting,
    wait,
)


def cycle(cache: Cache, now: int = 0) -> list[str]:
    """A cycle in which nothing is placed, with proof; returns who was tried."""
    snap = checked(cache, now)
    pending = cache.pending(now, snap, GREEDY)
    plan = first_fit(snap, pending)
    assert not plan.placed.any()
    cache.note(pending, plan, now)
    return sorted(pending.key)


CHANGES = {
    "a pod comes": lambda c: c.upsert_pod("new", "n1", kind(c)),
    "a pod goes": lambda c: c.remove_pod("u"),
    "another label": lambda c: c.upsert_pod("u", "n1", kind(c, who=B)),
    "a node goes": lambda c: c.remove_node("n2"),
    "a node's label": lambda c: c.upsert_node(NodeSpec("n2", (64, 64, 0), labels={HOST: "x"})),
    "a namespace": lambda c: c.put_namespace("ns", {"team": "t"}),
}


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_rejected_gang_with_rules_is_tried_again_when_what_it_reads_changes(what: str) -> None:
    """In whichever direction: one pod more may open a domain, one fewer may close none."""
    cache = cache_with("n1", "n2", gpu=0)
    cache.upsert_pod("u", "n1", kind(cache, gpu=0))
    audience = Audience((scope("a"),))
    if what == "a namespace":
        audience = Audience((Scope(scope("a").labels, (), selecting("t").namespace_selector),))
    rules = PodRules(
        near=Near((HOST,), mark_of(audience), own=False),
        spread=(Spread(HOST, 1, 1, seen("a", leaving=False), own=False),),
    )
    wait(cache, "g", kind(cache, rules, B))
    assert cycle(cache) == ["g"]
    assert waiting(cache) == []
    CHANGES[what](cache)
    assert waiting(cache) == ["g"]


def test_a_rejected_gang_is_tried_again_when_it_is_repelled_no_more() -> None:
    """The pod whose term kept it away is gone."""
    cache = cache_with("n1", gpu=0)
    cache.upsert_pod("u", "n1", kind(cache, apart("a"), B, gpu=0))
    wait(cache, "g", kind(cache))
    assert cycle(cache) == ["g"]
    assert waiting(cache) == []
    cache.remove_pod("u")
    assert waiting(cache) == ["g"]


def test_pods_that_a_rejected_gang_does_not_read_do_not_wake_it() -> None:
    """A cycle with many hopeless gangs stays cheap."""
    cache = cache_with("n1", gpu=0)
    wait(cache, "g", kind(cache, near("a"), B))
    assert cycle(cache) == ["g"]
    cache.upsert_pod("u", "n1", kind(cache, who=Who("ns", (("app", "c"),)), gpu=0))
    assert waiting(cache) == []


def test_members_with_one_plan_shape_stand_at_one_gate_whatever_their_labels() -> None:
    """They are alike to the planner."""
    cache = cache_with("n1")
    kinds = [kind(cache, who=who) for who in (A, B)]
    wait(cache, "g", *kinds)
    assert cache.queue.table["shape"].tolist() == [cache.kinds.plan(kinds[0])]
    assert cache.queue.shapes() == [cache.kinds.plan(kinds[0])]
