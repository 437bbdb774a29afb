"""Closed forms of rules between members, against trying every order; and what people are told."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from scheduler import kernel
from scheduler.model.arrays import I32, I64, frozen
from scheduler.model.filters.spread import Mask
from scheduler.model.plan import Plan, Verdict
from scheduler.model.pod_rules import Apart, MarkColumn, Near, PodRules, Spread
from scheduler.model.policy import Policy
from scheduler.model.reasons import sentence
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from scheduler.plan.course import Course, course_of
from scheduler.plan.gang import Gang
from scheduler.plan.ledger import Ledger
from scheduler.plan.rule_codes import RuleCodes
from tests import builders

HOST = builders.HOSTNAME
OWN = "seen:own"


def ruled(gpu: int = 1, **rules: Any) -> Shape:
    """A shape of `gpu` GPUs that leaves OWN, with fields of PodRules."""
    return builders.shape(gpu=gpu, rules=PodRules(leaves=(OWN,), **rules))


def even(key: str, skew: int = 1, least: int = 1) -> Spread:
    """A spread over `key` that counts the shape's own pods."""
    return Spread(key, skew, least, OWN, own=True)


def cluster(
    text: str, shapes: Sequence[Shape], there: Mapping[str, int] | None = None, **more: Any
) -> Snapshot:
    """A cluster with so many pods of OWN on some nodes. gpu = members that a node takes."""
    snap = builders.snapshot(text, shapes=shapes, **more)
    rows = sorted((snap.names.index(name), pods) for name, pods in (there or {}).items())
    column = MarkColumn(
        frozen(np.array([row for row, _ in rows], np.int32)),
        frozen(np.array([pods for _, pods in rows], np.int64)),
    )
    return with_marks(snap, {OWN: column})


def with_marks(snap: Snapshot, marks: Mapping[str, MarkColumn]) -> Snapshot:
    """The snapshot with these marks (it is frozen, so through its constructor)."""
    fields = {name: getattr(snap, name) for name in Snapshot.__slots__}
    return Snapshot(**{**fields, "marks": marks})


def one(snap: Snapshot, **spec: Any) -> Plan:
    """A plan for a single gang."""
    return plan(snap, builders.gangs(snap, [{"key": "a", **spec}]), Policy(), 0)


def where(snap: Snapshot, made: Plan) -> list[str]:
    """Node of each member."""
    return builders.names_of(snap, made.row)


# --- one per node, one per domain ----------------------------------------------------------------

APART = ruled(apart=(Apart(HOST, OWN),))


def test_members_that_keep_apart_on_nodes_get_one_each() -> None:
    """Hostname: the lowest level that holds them counts nodes, not GPUs."""
    snap = cluster("s1/l1: n1 n2 | s1/l2: n3..6", [APART])
    assert where(snap, one(snap, n=4)) == ["n3", "n4", "n5", "n6"]
    assert where(snap, one(snap, n=5)) == ["n1", "n3", "n4", "n5", "n6"]
    assert one(snap, n=7).verdict[0] == Verdict.DOES_NOT_FIT


def test_a_node_with_such_a_pod_is_refused_and_named() -> None:
    """Pods that are there count; the sentence says why nodes are left out."""
    snap = cluster("s/l: n1..3", [APART], {"n2": 1})
    assert where(snap, one(snap, n=2)) == ["n1", "n3"]
    refusal = one(snap, n=3).rejection[0]
    assert refusal is not None
    assert sentence(refusal) == (
        "2 of 3 fit in the whole cluster, 1 short of nodes; "
        "1 node excluded: 1 anti-affinity to other pods"
    )


def test_the_next_gang_sees_what_the_last_one_left() -> None:
    """Two gangs of one shape: the second keeps apart from the first."""
    snap = cluster("s/l: n1..4", [APART])
    specs = [{"key": "a", "n": 2, "ready": 0}, {"key": "b", "n": 2, "ready": 1}]
    made = plan(snap, builders.gangs(snap, specs), Policy(), 0)
    assert where(snap, made) == ["n1", "n2", "n3", "n4"]


def test_a_gang_without_rules_leaves_marks_too() -> None:
    """Its pods match the term of a gang that comes later."""
    plain = builders.shape(gpu=8, rules=PodRules(leaves=(OWN,)))
    shy = builders.shape(gpu=1, rules=PodRules(apart=(Apart("leaf", OWN),)))
    snap = cluster("s/l1: n1 n2 | s/l2: n3", [plain, shy])
    specs = [{"key": "a", "n": 1, "ready": 0}, {"key": "b", "n": 1, "shape": 1, "ready": 1}]
    made = plan(snap, builders.gangs(snap, specs), Policy(), 0)
    assert where(snap, made) == ["n3", "n1"]


def test_one_per_domain_of_a_level() -> None:
    """Anti-affinity over leaves: as many members as leaves, the tightest node of each."""
    shape = ruled(apart=(Apart("leaf", OWN),))
    snap = cluster(
        "s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4 n5", [shape],
        allocatable={"n2": builders.shape(gpu=1, cpu=64_000).requests},
    )  # fmt: skip
    assert where(snap, one(snap, n=2)) == ["n2", "n3"]
    assert where(snap, one(snap, n=3)) == ["n2", "n3", "n4"]
    refusal = one(snap, n=4).rejection[0]
    assert refusal is not None
    assert "1 short of leaves to keep apart in" in sentence(refusal)


# --- affinity ------------------------------------------------------------------------------------


def test_the_first_of_its_kind_binds_the_others_to_its_domain() -> None:
    """Nobody is there: all of one value, the tightest that holds them."""
    shape = ruled(near=Near(("zone",), OWN, own=True))
    zones = {"n1": "a", "n2": "b", "n3": "b", "n4": "a", "n5": "a"}
    snap = cluster(
        "s/l1: n1 n2 | s/l2: n3 n4 n5", [shape], gpu=1,
        labels={name: {"zone": zone} for name, zone in zones.items()},
    )  # fmt: skip
    assert where(snap, one(snap, n=2)) == ["n4", "n5"]
    assert where(snap, one(snap, n=3)) == ["n1", "n4", "n5"]
    assert where(snap, one(snap, n=4, min=2)) == ["n1", "n4", "n5", "-"]
    assert one(snap, n=4).verdict[0] == Verdict.DOES_NOT_FIT


def test_with_somebody_there_only_his_domain_will_do() -> None:
    """The exception for the first ends with the first."""
    shape = ruled(near=Near(("leaf",), OWN, own=True))
    snap = cluster("s/l1: n1 n2 | s/l2: n3..9", [shape], {"n1": 1}, gpu=1)
    assert where(snap, one(snap, n=2)) == ["n1", "n2"]
    assert one(snap, n=3).verdict[0] == Verdict.DOES_NOT_FIT


# --- spread --------------------------------------------------------------------------------------


def test_a_spread_gang_takes_the_fewest_domains_that_its_skew_allows() -> None:
    """Skew 2 over three leaves: 2 and 2 is allowed beside 0, 3 and 1 is not."""
    snap = cluster("s/l1: n1 | s/l2: n2 | s/l3: n3", [ruled(spread=(even("leaf", 2),))])
    assert where(snap, one(snap, n=4)) == ["n1", "n1", "n2", "n2"]
    assert where(snap, one(snap, n=2)) == ["n1", "n1"]


def test_a_full_domain_holds_the_others_down() -> None:
    """A domain with no room counts: the others may be ahead of it by the skew only."""
    snap = cluster(
        "s/l1: n1 | s/l2: n2 | s/l3: n3", [ruled(spread=(even("leaf"),))],
        used={"n3": builders.shape(gpu=8).requests},
    )  # fmt: skip
    assert where(snap, one(snap, n=2)) == ["n1", "n2"]
    refusal = one(snap, n=3).rejection[0]
    assert refusal is not None
    assert refusal.fit == 2
    assert "1 short of room to spread over leaf" in sentence(refusal)


def test_fewer_domains_than_asked_are_measured_by_nothing() -> None:
    """minDomains 3 of 2: each takes as many as the skew, whatever the others have."""
    snap = cluster("s/l1: n1 | s/l2: n2", [ruled(spread=(even("leaf", 2, 3),))])
    assert where(snap, one(snap, n=4)) == ["n1", "n1", "n2", "n2"]
    assert one(snap, n=5).verdict[0] == Verdict.DOES_NOT_FIT


def reachable(counts: Sequence[int], room: Sequence[int], skew: int, floor: int | None) -> int:
    """The most members that can be placed one after the other, by trying every order."""
    best, seen, todo = 0, set(), [tuple(0 for _ in counts)]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        best = max(best, sum(state))
        now = [c + x for c, x in zip(counts, state, strict=True)]
        least = min(now) if floor is None else floor
        for d, pods in enumerate(now):
            if state[d] < room[d] and pods + 1 - least <= skew:
                todo.append((*state[:d], state[d] + 1, *state[d + 1 :]))
    return best


@pytest.mark.parametrize("seed", range(60))
def test_spread_holds_what_some_order_reaches(seed: int) -> None:
    """Counts, room, skew, minDomains at random; a level's label, another one, one per node."""
    rng = random.Random(seed)
    leaves = rng.randint(1, 4)
    alone = rng.random() < 0.3
    counts = [rng.choice((0, 0, 1, 2, 3)) for _ in range(leaves)]
    room = [rng.randint(0, 3) for _ in range(leaves)]
    skew, least = rng.randint(1, 3), rng.choice((1, 1, 2, 4))
    key = rng.choice(("leaf", "zone"))
    apart = (Apart(HOST, OWN),) if alone else ()
    shape = ruled(spread=(even(key, skew, least),), apart=apart)
    # Two nodes a leaf: the first takes what there is room for, the second has the pods.
    nodes = [f"n{2 * d + 1} n{2 * d + 2}" for d in range(leaves)]
    snap = cluster(
        " | ".join(f"s{d % 2}/l{d}: {pair}" for d, pair in enumerate(nodes)), [shape],
        {f"n{2 * d + 2}": c for d, c in enumerate(counts) if c},
        allocatable={
            name: builders.shape(gpu=room[d] if i == 0 else 0, cpu=64_000).requests
            for d, pair in enumerate(nodes) for i, name in enumerate(pair.split())
        },
        labels={n: {"zone": f"z{d}"} for d, pair in enumerate(nodes) for n in pair.split()},
    )  # fmt: skip
    if alone:
        room = [min(1, r) for r in room]
    most = reachable(counts, room, skew, 0 if leaves < least else None)
    made = one(snap, n=most + 1, min=1)
    assert int(made.placed[0]) == most
    assert (made.verdict[0] == Verdict.FITS) == (most > 0)
    gained = [0] * leaves
    for row in made.row[made.row >= 0].tolist():
        gained[row // 2] += 1
    floor = 0 if leaves < least else min(c + x for c, x in zip(counts, gained, strict=True))
    for c, x in zip(counts, gained, strict=True):
        assert not x or c + x - floor <= skew
    for n in range(1, most + 1):
        assert one(snap, n=n).verdict[0] == Verdict.FITS


def test_domains_hold_what_the_form_says_at_every_level() -> None:
    """A spine alone, its leaves, its nodes: outside it the other domains count, without room."""
    shape = ruled(spread=(even("leaf"),))
    snap = cluster("s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4", [shape], gpu=4)
    # Inside s1 alone l3 stays empty: one a leaf.
    assert where(snap, one(snap, n=2)) == ["n1", "n3"]
    assert builders.path_of(snap, int(one(snap, n=2).domain[0])) == "s1"
    assert len(set(where(snap, one(snap, n=3)))) == 3
    assert one(snap, n=3, required="spine").verdict[0] == Verdict.DOES_NOT_FIT


# --- which way a gang goes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "n", "segment", "course"),
    [
        ({}, 4, 0, Course.SUMS),
        ({"apart": (Apart(HOST, OWN),)}, 4, 2, Course.SUMS),
        ({"apart": (Apart("leaf", "seen:other"),)}, 4, 2, Course.SUMS),
        ({"spread": (even("leaf"),)}, 1, 0, Course.SUMS),
        ({"spread": (even("leaf"),)}, 4, 0, Course.FORM),
        ({"spread": (even("leaf"),)}, 4, 2, Course.ONE_BY_ONE),
        ({"spread": (even("leaf"), even("spine"))}, 4, 0, Course.ONE_BY_ONE),
        ({"near": Near(("spine",), OWN, own=True), "apart": (Apart("leaf", OWN),)}, 4, 0,
         Course.FORM),
        ({"spread": (even("zone"),), "apart": (Apart("leaf", OWN),)}, 4, 0, Course.ONE_BY_ONE),
    ],
)  # fmt: skip
def test_the_course_of_identical_members(
    rules: dict[str, Any], n: int, segment: int, course: Course
) -> None:
    """Only rules that members leave marks for take more than sums; zones lie across leaves."""
    zones = {f"n{i}": {"zone": "ab"[i % 2]} for i in range(1, 7)}
    snap = cluster("s1/l1: n1 n2 | s1/l2: n3 n4 | s2/l3: n5 n6", [ruled(**rules)], labels=zones)
    pending = builders.gangs(snap, [{"key": "a", "n": n, "segment": segment}])
    assert course_of(Ledger(snap), Gang.of(pending, 0)) is course


def test_members_that_keep_apart_on_nodes_stay_a_plain_mixed_gang() -> None:
    """Pins make a gang mixed; one per node is a column of its room."""
    snap = cluster("s/l: n1..3", [APART])
    spec = {"key": "a", "n": 3, "pins": {0: ["n2"], 1: ["n1", "n2"]}}
    pending = builders.gangs(snap, [spec])
    assert course_of(Ledger(snap), Gang.of(pending, 0)) is Course.MIXED
    assert where(snap, plan(snap, pending, Policy(), 0)) == ["n2", "n1", "n3"]


def test_pods_that_only_read_a_disk_share_a_node_with_no_writer() -> None:
    """Two readers and a writer of one disk, all pinned so that the gang is a mixed one."""
    shapes = [
        builders.shape(gpu=1, tokens=("disk:gce-pd:ro/d",)),
        builders.shape(gpu=1, tokens=("disk:gce-pd/d",)),
    ]
    snap = builders.snapshot("s/l: n1 n2", shapes=shapes)
    made = plan(
        snap, builders.gangs(snap, [{"key": "a", "shape": [0, 0, 1]}]), Policy(), 0
    )  # fmt: skip
    got = where(snap, made)
    assert got[0] == got[1] != got[2]


# --- kept up to date -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_codes_that_follow_marks_equal_codes_made_anew(seed: int) -> None:
    """Gangs leave marks one after the other and pods go; rows become eligible again, too."""
    rng = random.Random(seed)
    shape = ruled(
        spread=(even("leaf", rng.randint(1, 2)), even("zone", 1)),
        near=Near(("spine",), OWN, own=True) if rng.random() < 0.5 else None,
        apart=tuple(Apart(key, OWN) for key in (HOST, "zone") if rng.random() < 0.4),
    )
    zones = {f"n{i}": {"zone": rng.choice("abc")} for i in range(1, 13) if rng.random() < 0.9}
    snap = cluster(
        "s1/l1: n1..3 | s1/l2: n4..6 | s2/l3: n7..9 | s2: n10 | : n11 n12", [shape], labels=zones
    )
    ledger = Ledger(snap)
    pending = builders.gangs(snap, [{"key": "a", "single": True}])
    gang = Gang.of(pending, 0)
    there: list[int] = []
    for _ in range(16):
        view = ledger.view(0, gang)
        fresh = RuleCodes(ledger.marks, shape, frozenset())
        assert view.rules is not None
        texts = ["", *fresh.texts]
        kept = ["", *view.rules.texts]
        assert [kept[c] for c in view.rules.code] == [texts[c] for c in fresh.code]
        refused = [view.reasons[c] for c in view.reason]
        assert refused == [texts[c] for c in fresh.code]
        assert view.cap.tolist() == expected_caps(ledger, view.reason == 0)
        assert int(view.sums[0]) == int(view.cap.sum())
        assert ledger.tight(view, 1).tolist() == tightest(ledger, view.cap)
        for _ in range(rng.randint(1, 2)):
            if there and rng.random() < 0.4:
                gone = there.pop(rng.randrange(len(there)))
                ledger.marks.leave((OWN,), np.array([gone], np.int32), -1)
            else:
                there.append(rng.randrange(12))
                ledger.take(0, np.array(there[-1:], np.int32))


def tightest(ledger: Ledger, cap: I64) -> list[int]:
    """The tightest own node of each domain, looked for anew."""
    best: I32 = np.full(ledger.tree.domains, -1, np.int32)
    kernel.tight_nodes(ledger.tree, cap, 1, ledger.tree.every_domain, best)
    found: list[int] = best.tolist()
    return found


def expected_caps(ledger: Ledger, eligible: Mask) -> list[int]:
    """Members per row from what is free; the shape asks for one GPU and is alone by its rules."""
    alone = any(r.key == HOST for r in ledger.snapshot.shapes[0].rules.apart)
    free = np.minimum(ledger.free[2], ledger.slots)
    caps: list[int] = np.where(eligible, np.minimum(free, 1) if alone else free, 0).tolist()
    return caps
