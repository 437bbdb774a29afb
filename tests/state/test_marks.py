"""How many pods of a mark are on each node: from the first time that somebody asks."""

from __future__ import annotations

import numpy as np

from scheduler.model.audience import Audience, Scope, Who, mark_of
from scheduler.model.constraints import Requirement
from scheduler.model.pod_rules import Near, PodRules, Spread
from scheduler.state.nodes import NodeSpec
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


def test_pods_that_are_there_are_counted_when_somebody_waits_who_asks() -> None:
    """Before and after that, whatever happens to them."""
    cache = cache_with("n1", "n2")
    mine, other = kind(cache), kind(cache, who=B)
    for uid, node, number in (("u", "n1", mine), ("v", "n1", mine), ("w", "n2", other)):
        cache.upsert_pod(uid, node, number)
    wait(cache, "g", kind(cache, near("a"), B))
    assert counts(checked(cache), seen("a")) == {"n1": 2}
    cache.upsert_pod("x", "n2", mine)
    cache.remove_pod("u")
    assert counts(checked(cache), seen("a")) == {"n1": 1, "n2": 1}
    cache.upsert_pod("v", "n1", other)  # its labels were changed
    assert counts(checked(cache), seen("a")) == {"n2": 1}


def test_columns_follow_nodes_that_come_and_go() -> None:
    """A pod on a node that is not there is not counted, and counts again later."""
    cache = cache_with("n2")
    cache.upsert_pod("u", "n2", kind(cache))
    wait(cache, "g", kind(cache, near("a"), B))
    assert checked(cache).marks[seen("a")].rows.tolist() == [0]
    cache.upsert_node(NodeSpec("n1", (64, 64, 4)))
    assert checked(cache).marks[seen("a")].rows.tolist() == [1]
    cache.remove_node("n2")
    assert counts(checked(cache), seen("a")) == {}


def test_an_unchanged_column_is_the_same_object() -> None:
    """Cycles in which nothing happened to a mark cost nothing for it."""
    cache = cache_with("n1")
    cache.upsert_pod("u", "n1", kind(cache))
    wait(cache, "g", kind(cache, near("a"), B))
    before = checked(cache).marks[seen("a")]
    assert checked(cache).marks[seen("a")] is before
    cache.upsert_pod("v", "n1", kind(cache))
    assert checked(cache).marks[seen("a")] is not before


def test_members_leave_marks_once_they_are_assumed() -> None:
    """As what they are, not as the plan shape under which they were planned."""
    cache = cache_with("n1", "n2")
    number = kind(cache, apart("a"))
    wait(cache, "g", number, number)
    snap = checked(cache)
    plan = cache.pending(0, snap, GREEDY).shape.tolist()
    assert plan == [cache.kinds.plan(number)] * 2 != [number] * 2
    cache.assume("g", i32(0, 1), None, i32(0, 1))
    wait(cache, "h", number)
    snap = checked(cache)
    assert counts(snap, seen("a")) == counts(snap, kept("a")) == {"n1": 1, "n2": 1}
    cache.forget("g", requeue=False)
    assert counts(checked(cache), seen("a")) == {}


def test_a_pod_leaves_all_of_its_marks() -> None:
    """Whether it comes alone or with its gang."""
    cache = cache_with("n1")
    number = kind(cache, apart("a"))
    wait(cache, "g", number)
    for uid in ("u", "v"):
        cache.upsert_pod(uid, "n1", number)
    cache.remove_pod("v")
    snap = checked(cache)
    assert counts(snap, seen("a")) == counts(snap, kept("a")) == {"n1": 1}


def test_audiences_of_bound_pods_alone_are_not_counted() -> None:
    """A foreign pod's affinity is its own scheduler's affair."""
    cache = cache_with("n1")
    cache.upsert_pod("u", "n1", kind(cache, near("a")))
    wait(cache, "g", kind(cache, who=B))
    assert checked(cache).marks == {}
    assert plan_rules(cache, kind(cache, who=B)).leaves == ()


def test_pods_that_are_leaving_count_for_affinity_alone() -> None:
    """Spread counts those that will stay."""
    cache = cache_with("n1")
    cache.upsert_pod("u", "n1", kind(cache, who=Who("ns", A.labels, leaving=True)))
    cache.upsert_pod("v", "n1", kind(cache))
    spread = PodRules(spread=(Spread(HOST, 1, 1, seen("a", leaving=False), own=False),))
    wait(cache, "g", kind(cache, near("a"), B), kind(cache, spread, B))
    snap = checked(cache)
    assert counts(snap, seen("a")) == {"n1": 2}
    assert counts(snap, seen("a", leaving=False)) == {"n1": 1}


def test_labels_of_namespaces_decide_who_is_meant() -> None:
    """Also when they change, or the namespace goes; one that is not known has none."""
    cache = cache_with("n1", "n2")
    for uid, node, space in (("u", "n1", "x"), ("v", "n2", "y")):
        cache.upsert_pod(uid, node, kind(cache, who=Who(space, ())))
    mark = mark_of(Audience((selecting("t"),)))
    wait(cache, "g", kind(cache, PodRules(near=Near((HOST,), mark, own=False)), Who("x", ())))
    assert counts(checked(cache), mark) == {}
    cache.put_namespace("x", {"team": "t"})
    assert counts(checked(cache), mark) == {"n1": 1}
    cache.put_namespace("y", {"team": "t", "more": "1"})
    cache.put_namespace("x", {"team": "u"})
    assert counts(checked(cache), mark) == {"n2": 1}
    cache.drop_namespace("y")
    assert counts(checked(cache), mark) == {}


def test_holds_leave_no_marks() -> None:
    """They take room; but rules count pods that exist."""
    cache = cache_with("n1")
    number = kind(cache, apart("a"))
    cache.hold("g", "ns", ["n1"], i32(number), i32(0), 0)
    snap = checked(cache)
    assert snap.shapes[int(snap.holds.shape[0])].rules.repelled
    wait(cache, "h", number)
    snap = checked(cache)
    assert counts(snap, seen("a")) == {}
    assert snap.free[2].tolist() == [3]
    assert snap.holds.shape.tolist() == [cache.kinds.plan(number)]
    cache.drop_hold("g")
    assert counts(checked(cache), seen("a")) == {}


def test_many_small_changes_are_folded_in() -> None:
    """What is noted of a mark that nobody reads does not grow with time."""
    cache = cache_with("n1", "n2")
    number = kind(cache, apart("a"))
    for i in range(600):
        cache.upsert_pod("u", f"n{i % 2 + 1}", number)
    marks = cache.account.marks
    assert sum(len(changes) for changes in marks._changes.values()) <= 2 * 257
    where, users = marks.users(kept("a"))
    assert (where.tolist(), users.tolist()) == ([cache.nodes.nid_of["n2"]], [1])


def test_features_are_published_where_a_node_declares_some() -> None:
    """An empty column stands for none anywhere."""
    cache = cache_with("n1", "n2")
    assert (cache.freeze(0).features, cache.freeze(0).feature_set.size) == (((),), 0)
    cache.upsert_node(NodeSpec("n2", (64, 64, 4), labels={HOST: "n2"}, features=("a", "b")))
    before = cache.freeze(0)
    assert [before.features[i] for i in before.feature_set] == [(), ("a", "b")]
    cache.upsert_node(NodeSpec("n1", (64, 64, 4), features=("b",)))
    cache.upsert_node(NodeSpec("n2", (64, 64, 4)))
    after = cache.freeze(0)
    assert [after.features[i] for i in after.feature_set] == [("b",), ()]
    assert [before.features[i] for i in before.feature_set] == [(), ("a", "b")]
    cache.remove_node("n1")
    cache.upsert_node(NodeSpec("n1", (64, 64, 4)))
    assert np.array_equal(cache.freeze(0).feature_set, [0, 0])


def test_marks_that_become_known_together_are_counted_as_one_by_one() -> None:
    """The first by a pass over the pods, the others by a sort; a pod in between is not missed."""
    cache = cache_with("n1", "n2")
    kinds = [kind(cache, who=Who("ns", (("app", app),))) for app in "abcd"]
    for i, number in enumerate(kinds * 2):
        cache.upsert_pod(f"u{i}", f"n{1 + i % 2}", number)
    for i, app in enumerate("abc"):
        wait(cache, app, kind(cache, near(app), B))
        if i == 1:
            cache.upsert_pod("late", "n2", kinds[2])
    found = checked(cache)
    assert counts(found, seen("a")) == {"n1": 2}
    assert counts(found, seen("b")) == {"n2": 2}
    assert counts(found, seen("c")) == {"n1": 2, "n2": 1}
    both = mark_of(Audience((Scope((Requirement("app", "In", ("a", "d")),), ("ns",)),)))
    wait(cache, "e", kind(cache, PodRules(near=Near((HOST,), both, own=False)), B))
    wait(cache, "f", kind(cache, near("d"), B))
    found = checked(cache)
    assert counts(found, both) == {"n1": 2, "n2": 2}
    assert counts(found, seen("d")) == {"n2": 2}
