"""Gangs whose members differ: order of ranks, proofs, budget, tokens, pins, odd amounts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from scheduler.model.arrays import I32
from scheduler.model.plan import Verdict
from scheduler.model.policy import SEARCH_BUDGET
from scheduler.model.snapshot import Snapshot
from scheduler.plan.gang import Gang, Outcome
from scheduler.plan.ledger import Ledger
from scheduler.plan.mixed import place_mixed
from scheduler.plan.mixed_search import SCOPE_VISITS, Search
from tests.builders import gangs, names_of, path_of, shape, snapshot
from tests.plan.exhaustive import random_case
from tests.plan.test_mixed_exhaustive import check

HUGE = 2**62
TREE = "s1/l1: n1 n2 | s1/l2: n3..6 | s2/l3: n7..10"


def place(
    snap: Snapshot, *, near: int = -1, budget: int = SEARCH_BUDGET, some: list[int] | None = None,
    **spec: Any,
) -> tuple[Outcome, list[str], Ledger]:  # fmt: skip
    """(outcome, names of the nodes by rank, ledger) of one gang, or of some of its members."""
    gang = Gang.of(gangs(snap, [{"key": "g", **spec}]), 0)
    ledger = Ledger(snap)
    members: I32 = np.array(range(gang.n) if some is None else some, np.int32)
    minimum = gang.minimum if some is None else len(some)
    outcome = place_mixed(ledger, gang, members, minimum, near, budget)
    return outcome, names_of(snap, outcome.rows), ledger


def test_leader_and_workers_share_the_lowest_domain() -> None:
    """A leader without GPUs goes beside its workers; the leaf with least room that holds all."""
    snap = snapshot(TREE, shapes=[shape(cpu=4000), shape(gpu=8, cpu=8000)])
    outcome, names, _ = place(snap, shape=[0, 1, 1])
    assert outcome.searched
    assert path_of(snap, outcome.domain) == "s1/l1"
    assert names == ["n1", "n1", "n2"]
    # Both larger leaves have as much room; the spine of the second has less.
    outcome, _, _ = place(snap, shape=[0, 1, 1, 1])
    assert path_of(snap, outcome.domain) == "s2/l3"


def test_ranks_of_a_shape_follow_the_tree() -> None:
    """Lower ranks of one shape take earlier places of the tree, whatever stands between them."""
    snap = snapshot(TREE, shapes=[shape(gpu=8), shape(cpu=60_000)])
    outcome, _, ledger = place(snap, shape=[1, 0, 0, 1, 0, 1, 0, 0, 1])
    position = ledger.tree.topology.position[outcome.rows]
    for ranks in ([0, 3, 5, 8], [1, 2, 4, 6, 7]):
        assert position[ranks].tolist() == sorted(position[ranks])


def test_segments_keep_their_members_together() -> None:
    """Each leader and its workers share a leaf; lower segments come first in the tree."""
    snap = snapshot(TREE, shapes=[shape(cpu=4000), shape(gpu=8)])
    outcome, _, ledger = place(snap, shape=[0, 1, 1] * 3, segment=3)
    topology = ledger.tree.topology
    leaf = topology.node_parent[outcome.rows].reshape(3, 3)
    assert (leaf == leaf[:, :1]).all()
    assert topology.path_rank[leaf[:, 0]].tolist() == sorted(topology.path_rank[leaf[:, 0]])


def test_a_partial_gang_is_its_lowest_ranks_in_whole_segments() -> None:
    """Of five segments of leader and worker, four fit; the fifth's leader stays behind."""
    snap = snapshot("s1/l1: n1 n2 | s1/l2: n3 n4", shapes=[shape(cpu=100), shape(gpu=8)])
    outcome, names, _ = place(snap, shape=[0, 1] * 5, segment=2, min=5)
    assert (outcome.verdict, outcome.fit, len(names)) == (Verdict.FITS, 8, 8)
    outcome, names, _ = place(snap, shape=[0, 1] * 5, segment=2, min=9)
    assert (outcome.verdict, outcome.fit, names) == (Verdict.DOES_NOT_FIT, 8, [])


def test_required_level_and_home_bound_the_search() -> None:
    """A gang that needs two spines is refused where a spine, or its home, is required."""
    snap = snapshot(TREE, shapes=[shape(cpu=100), shape(gpu=8)])
    mixed = [0, *[1] * 7]
    assert place(snap, shape=mixed)[0].domain == 0
    outcome, _, _ = place(snap, shape=mixed, required="spine")
    assert (outcome.verdict, outcome.fit) == (Verdict.DOES_NOT_FIT, 7)
    assert path_of(snap, outcome.best_domain) == "s1"
    outcome, names, _ = place(snap, shape=[0, 1, 1], required="spine", home="s2")
    assert names == ["n7", "n7", "n8"]


def test_the_nearest_domain_that_holds_them_is_taken() -> None:
    """Members that lost their node look there first, then one domain further out."""
    snap = snapshot(TREE, shapes=[shape(cpu=100), shape(gpu=8)])
    near = int(snap.topology.by_level[1][0])
    assert path_of(snap, near) == "s1/l1"
    assert place(snap, shape=[0, 1, 1, 1, 1], near=near, some=[0, 3])[1] == ["n1", "n1"]
    outcome, _, _ = place(snap, shape=[0, 1, 1, 1, 1], near=near, some=[0, 1, 3, 4])
    assert path_of(snap, outcome.domain) == "s1/l2"


def test_a_token_is_given_once_even_to_different_shapes() -> None:
    """Two shapes with the same host port never share a node; a third without it may."""
    port = ("port:TCP/8080",)
    shapes = [shape(cpu=100, tokens=port), shape(gpu=1, tokens=port), shape(gpu=1)]
    snap = snapshot("s1/l1: n1 n2 n3", shapes=shapes, tokens={port[0]: ["n2"]})
    outcome, names, _ = place(snap, shape=[0, 1, 2, 2])
    assert outcome.verdict is Verdict.FITS
    assert {names[0], names[1]} == {"n1", "n3"}
    assert place(snap, shape=[0, 1, 0])[0].verdict is Verdict.DOES_NOT_FIT


def test_pins_are_kept_and_shortage_on_one_node_is_proved() -> None:
    """Pinned members go to their nodes; two that need the same full node are refused at once."""
    snap = snapshot(TREE, gpu=8)
    outcome, names, _ = place(snap, n=4, pins={0: ["n9"], 1: ["n8", "n9"], 3: ["n10"]})
    assert names[0] == "n9"
    assert names[1] in {"n8", "n9"}
    assert names[3] == "n10"
    pins = {i: [f"n{1 + i // 9}"] for i in range(18)}
    outcome, _, ledger = place(snap, n=20, pins=pins)
    assert outcome.verdict is Verdict.DOES_NOT_FIT
    assert ledger.stats.search_visits < 100
    assert place(snap, n=2, pins={0: []})[0].verdict is Verdict.DOES_NOT_FIT


def test_a_resource_not_asked_for_is_not_looked_at() -> None:
    """On a node overcommitted in memory, members that ask for none may still start."""
    snap = snapshot(
        "s1/l1: n1", used={"n1": (0, HUGE, 0)}, shapes=[shape(cpu=1), shape(gpu=1), shape(memory=1)]
    )
    assert place(snap, shape=[0, 1])[0].verdict is Verdict.FITS
    assert place(snap, shape=[0, 2])[0].verdict is Verdict.DOES_NOT_FIT


@pytest.mark.parametrize("amount", [2**40, HUGE, 2**63 - 1])
def test_amounts_near_the_end_of_int64_stay_exact(amount: int) -> None:
    """Room for two members and not one byte more, in sums far beyond int64."""
    shapes = [shape(memory=amount // 2), shape(memory=amount - amount // 2)]
    for short, verdict in ((0, Verdict.FITS), (1, Verdict.DOES_NOT_FIT)):
        snap = snapshot(
            "s1/l1: n1..8", memory=amount, used={"n3": (0, short, 0)}, shapes=shapes, slots=9
        )
        outcome, _, _ = place(snap, shape=[0, 1] * 8)
        assert outcome.verdict is verdict


def jigsaw(spare: str = "") -> tuple[Snapshot, list[int]]:
    """20 nodes filled to the brim with random members, then emptied; and nodes to spare."""
    rng = random.Random(2)
    kinds = [(rng.randint(2, 5), rng.randint(1, 6)) for _ in range(4)]
    used, mixed = {}, []
    for i in range(1, 21):
        gpu, cpu = 9, 12
        while gpu >= kinds[k := rng.randrange(4)][0] and cpu >= kinds[k][1]:
            gpu, cpu = gpu - kinds[k][0], cpu - kinds[k][1]
            mixed.append(k)
        used[f"n{i}"] = (cpu, 0, gpu)
    shapes = [shape(gpu=g, cpu=c) for g, c in kinds]
    return snapshot(f"s1/l1: n1..20 {spare}", gpu=9, cpu=12, used=used, shapes=shapes), mixed


def test_what_no_greedy_order_finds_the_search_finds() -> None:
    """Without the budget for it the verdict is "not found", never "does not fit"."""
    snap, mixed = jigsaw()
    outcome, _, ledger = place(snap, shape=mixed, budget=100)
    assert outcome.verdict is Verdict.NOT_FOUND
    assert 0 < outcome.fit < len(mixed)
    assert ledger.stats.search_visits < 1_000 + 2 * SCOPE_VISITS
    assert place(snap, shape=mixed)[0].verdict is Verdict.FITS


@pytest.mark.parametrize("alike", [True, False])
def test_the_budget_bounds_how_many_leaves_are_asked(*, alike: bool) -> None:
    """Sums let 20 members of 5 GPUs and 20 of 4 into 25 nodes of 8, whole members do not fit.

    Leaves that are alike share one proof; where each differs the budget ends the questions.
    """
    text = " | ".join(f"s{i // 10}/l{i}: n{i * 25}..{i * 25 + 24}" for i in range(60))
    odd = {} if alike else {f"n{i * 25}": (i, 0, 0) for i in range(60)}
    snap = snapshot(text, shapes=[shape(gpu=5, cpu=1), shape(gpu=4, cpu=1)], used=odd)
    budget = 10 * SCOPE_VISITS
    outcome, _, ledger = place(snap, shape=[0, 1] * 20, required="leaf", budget=budget)
    assert outcome.verdict is (Verdict.DOES_NOT_FIT if alike else Verdict.NOT_FOUND)
    assert ledger.stats.search_visits < budget + 6 * SCOPE_VISITS


def test_a_domain_whose_answer_is_not_found_is_passed_over() -> None:
    """The tighter leaf could hold the gang but is too hard to fill; the roomier one is taken."""
    snap, mixed = jigsaw("| s1/l2: n21..60")
    outcome, _, _ = place(snap, shape=mixed)
    assert path_of(snap, outcome.domain) == "s1/l1"
    outcome, _, _ = place(snap, shape=mixed, budget=100)
    assert path_of(snap, outcome.domain) == "s1/l2"


def test_a_leader_and_a_thousand_workers_visit_each_node_a_few_times() -> None:
    """Members alike are counts: the work grows with nodes, not with members times nodes."""
    text = " | ".join(f"s{i // 8}/l{i}: n{i * 25}..{i * 25 + 24}" for i in range(80))
    snap = snapshot(text, shapes=[shape(cpu=4000, memory=1), shape(gpu=1), shape(gpu=4)])
    outcome, names, ledger = place(snap, shape=[0, *[1] * 999, *[2] * 100])
    assert outcome.verdict is Verdict.FITS
    assert len(names) == 1100
    assert path_of(snap, outcome.domain).startswith("s")
    assert ledger.stats.search_visits < 2 * len(snap.names)
    outcome, names, ledger = place(snap, shape=[0, *[1] * 20_000], min=9)
    assert outcome.fit == len(names) == 16_001
    assert ledger.stats.search_visits < 20 * len(snap.names)


def test_depth_first_alone_finds_and_proves_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any greedy order the exhaustive search gives the same answers."""

    def none(_: Search, __: I32) -> Iterator[tuple[I32, I32 | None]]:
        yield from ()

    monkeypatch.setattr(Search, "_orders", none)
    rng = random.Random("depth first")
    seen: Counter[str] = Counter()
    for _ in range(600):
        check(random_case(rng), seen)
    assert seen["feasible"] > 150
    assert seen["not found"] == seen["fewer members"] == seen["refused without proof"] == 0


def test_the_ledger_is_left_alone_and_answers_repeat() -> None:
    """Asking twice on one ledger gives the same rows; nothing is taken."""
    snap = snapshot(TREE, shapes=[shape(cpu=100), shape(gpu=3), shape(gpu=5)])
    gang = Gang.of(gangs(snap, [{"key": "g", "shape": [0, 1, 2, 1, 2, 1]}]), 0)
    ledger = Ledger(snap)
    members = np.arange(6, dtype=np.int32)
    first = place_mixed(ledger, gang, members, 6)
    again = place_mixed(ledger, gang, members, 6)
    assert first.rows.tolist() == again.rows.tolist()
    assert ledger.free is snap.free
    assert place_mixed(ledger, gang, members[:0], 0).rows.size == 0
