"""Rules that bite together: member by member, proved where it can be, found where it is large."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.model.plan import Verdict
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.policy import Policy
from scheduler.model.reasons import sentence
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from scheduler.plan.course import Course, course_of
from scheduler.plan.gang import Gang
from scheduler.plan.ledger import Ledger
from tests import builders
from tests.plan.test_rule_forms import HOST, OWN, cluster, even, one, ruled, where

ZONES = {f"n{i}": {"zone": "abc"[i % 3]} for i in range(1, 61)}
GRID = " | ".join(
    f"s{s}/l{leaf}: n{first}..{first + 4}"
    for s, leaf, first in [(i // 4, i, 5 * i + 1) for i in range(12)]
)
"""60 nodes: 3 spines of 4 leaves of 5 nodes; zones lie across them."""


def counts(snap: Snapshot, names: list[str], key: str) -> list[int]:
    """Members per value of a label, values without members too."""
    column = snap.labels[key]
    codes = column.code[[snap.names.index(name) for name in names]]
    per: list[int] = np.bincount(codes, minlength=len(column.values)).tolist()
    return per


@pytest.mark.parametrize("n", [7, 40, 60])
def test_two_spreads_at_once(n: int) -> None:
    """Zones and leaves are labels of their own: both must stay even, few members or many."""
    snap = cluster(GRID, [ruled(spread=(even("zone"), even("leaf")))], labels=ZONES)
    pending = builders.gangs(snap, [{"key": "a", "n": n}])
    assert course_of(Ledger(snap), Gang.of(pending, 0)) is Course.ONE_BY_ONE
    names = where(snap, plan(snap, pending, Policy(), 0))
    assert "-" not in names
    for key in ("zone", "leaf"):
        per = counts(snap, names, key)
        assert max(per) - min(per) <= 1


def test_pins_beside_a_spread() -> None:
    """Half of the members are pinned to nodes of a few spines; the others even it out."""
    snap = cluster(GRID, [ruled(spread=(even("zone"),), apart=(Apart(HOST, OWN),))], labels=ZONES)
    pins = {i: [f"n{i + 1}", f"n{i + 2}"] for i in range(20)}
    names = where(snap, one(snap, n=40, pins=pins))
    assert len(set(names)) == 40
    assert all(names[i] in pins[i] for i in pins)
    per = counts(snap, names, "zone")
    assert max(per) - min(per) <= 1


def test_members_that_let_each_other_in_come_in_an_order_that_works() -> None:
    """The second kind may only be where the first is: rank 0 follows rank 1."""
    follower = builders.shape(gpu=1, rules=PodRules(near=Near(("leaf",), "seen:lead", own=False)))
    leader = builders.shape(gpu=8, rules=PodRules(leaves=("seen:lead",)))
    snap = builders.snapshot("s/l1: n1 | s/l2: n2 n3", shapes=[follower, leader])
    names = where(snap, one(snap, shape=[0, 1]))
    assert names in (["n2", "n3"], ["n3", "n2"])
    alone = one(snap, n=1, shape=0)
    assert alone.verdict[0] == Verdict.DOES_NOT_FIT
    refusal = alone.rejection[0]
    assert refusal is not None
    assert "3 nodes excluded: 3 affinity to other pods" in sentence(refusal)


def test_segments_beside_a_spread() -> None:
    """Segments of two in one leaf each, and the leaves as even as the skew of two asks."""
    snap = cluster(GRID, [ruled(spread=(even("leaf", 2),))], gpu=2, labels=ZONES)
    names = where(snap, one(snap, n=12, segment=2))
    leaves = [snap.labels["leaf"].code[snap.names.index(name)] for name in names]
    assert leaves[::2] == leaves[1::2]
    assert max(counts(snap, names, "leaf")) <= 2


def test_what_cannot_be_is_proved() -> None:
    """Two zones, three members apart over zones and a spread over leaves beside it."""
    shape = ruled(spread=(even("leaf"), even("spine", 3)), apart=(Apart("zone", OWN),))
    zones = {f"n{i}": {"zone": "ab"[i % 2]} for i in range(1, 5)}
    snap = cluster("s/l1: n1 n2 | s/l2: n3 n4", [shape], labels=zones)
    made = one(snap, n=3)
    assert made.verdict[0] == Verdict.DOES_NOT_FIT
    assert where(snap, one(snap, n=3, min=1))[2] == "-"
    assert len(set(where(snap, one(snap, n=2)))) == 2


def test_without_a_budget_nothing_is_claimed() -> None:
    """Neither found nor proved: the verdict says so, and so does the sentence."""
    snap = cluster(GRID, [ruled(spread=(even("zone"), even("leaf")))], labels=ZONES)
    pending = builders.gangs(snap, [{"key": "a", "n": 40}])
    made = plan(snap, pending, Policy(budget=0), 0)
    assert made.verdict[0] == Verdict.NOT_FOUND
    refusal = made.rejection[0]
    assert refusal is not None
    assert sentence(refusal).startswith("no place found within the search budget")


def test_a_used_up_cycle_leaves_searches_for_later_but_not_forms() -> None:
    """Closed forms cost no budget: a spread gang is placed, one of two spreads waits."""
    shapes = [ruled(spread=(even("zone"), even("leaf"))), ruled(spread=(even("leaf"),))]
    snap = cluster(GRID, shapes, labels=ZONES)
    specs = [{"key": "a", "n": 6, "ready": 0}, {"key": "b", "n": 12, "shape": 1, "ready": 1}]
    made = plan(snap, builders.gangs(snap, specs), Policy(cycle_budget=0), 0)
    assert made.verdict.tolist() == [Verdict.NOT_TRIED, Verdict.FITS]


def test_held_rooms_count_once_their_members_return() -> None:
    """Two rooms in one leaf are held, and the rule lets one member back: the other moves."""
    shape = ruled(apart=(Apart("leaf", OWN),))
    holds = [("n1", 0, "a", 0, 0), ("n2", 0, "a", 1, 0)]
    snap = cluster("s/l1: n1 n2 | s/l2: n3", [shape], holds=holds)
    assert where(snap, one(snap, n=2, held={0: "n1", 1: "n2"})) == ["n1", "n3"]
    specs = [
        {"key": "a", "n": 2, "held": {0: "n1", 1: "n2"}, "ready": 0},
        {"key": "b", "n": 1, "ready": 1},
    ]
    made = plan(snap, builders.gangs(snap, specs), Policy(), 0)
    assert where(snap, made) == ["n1", "n3", "-"]


def test_shapes_that_keep_apart_from_each_other_only() -> None:
    """Two kinds refuse each other over leaves, not themselves: a leaf each."""
    kinds: list[Shape] = [
        builders.shape(gpu=1, rules=PodRules(apart=(Apart("leaf", theirs),), leaves=(mine,)))
        for mine, theirs in (("seen:x", "seen:y"), ("seen:y", "seen:x"))
    ]
    snap = builders.snapshot("s/l1: n1 | s/l2: n2", shapes=kinds)
    names = where(snap, one(snap, shape=[0, 1, 0, 1, 1]))
    assert names[0] == names[2] != names[1] == names[3] == names[4]


def test_a_spread_that_counts_others_is_a_filter() -> None:
    """Members that the selector does not match never fill a domain: all may share one."""
    rule = Spread("leaf", 1, 1, "seen:else", own=False)
    snap = cluster(GRID, [ruled(spread=(rule,))], labels=ZONES)
    assert len(set(where(snap, one(snap, n=8)))) == 1
