"""Gangs under rules between pods go where exhaustive search says that they can."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from scheduler.model.arrays import frozen
from scheduler.model.plan import Verdict
from scheduler.model.pod_rules import MarkColumn
from scheduler.model.policy import Policy
from scheduler.model.snapshot import CORDONED, Snapshot
from scheduler.plan.cycle import plan
from tests import builders
from tests.plan.rule_cases import (
    GPU_TAINT,
    PORTS,
    RESOURCES,
    Case,
    Node,
    after,
    marks_read,
    random_case,
    random_pair,
)
from tests.plan.rules_exhaustive import Truth
from tests.plan.shrink import smallest

CASES = int(os.environ.get("MUSTER_CASES", "20000"))
SEED = os.environ.get("MUSTER_SEED", "rules")
BATCHES = 20


def snapshot_of(truth: Truth) -> tuple[Snapshot, list[int]]:
    """The cluster as the planner sees it, and the shape number of each kind."""
    case = truth.case
    shapes = dict.fromkeys(truth.shapes)
    number = {shape: i for i, shape in enumerate(shapes)}
    snapshot = builders.snapshot(
        " | ".join(f"{n.spine or '-'}/{n.leaf or '-'}: {n.name}" for n in case.nodes),
        resources=RESOURCES,
        allocatable={n.name: n.free for n in case.nodes},
        slots={n.name: n.slots for n in case.nodes},
        labels={n.name: n.labels for n in case.nodes},
        taints={n.name: [GPU_TAINT] for n in case.nodes if n.tainted},
        flags={n.name: CORDONED for n in case.nodes if n.cordoned},
        tokens={t: [n.name for n in case.nodes if t in _taken(case, n)] for t in PORTS},
        holds=[(name, number[truth.shapes[case.member[j]]], "g0", j, 0) for j, name in case.held],
        shapes=tuple(shapes),
    )
    read = sorted({mark for shape in shapes for mark in marks_read(shape.rules)})
    marks = {mark: _column(truth, snapshot, mark) for mark in read}
    return replace(snapshot, marks=marks), [number[shape] for shape in truth.shapes]


def _taken(case: Case, node: Node) -> tuple[str, ...]:
    """Ports in use on a node, or held."""
    held = (
        port
        for j, name in case.held
        if name == node.name
        for port in case.kinds[case.member[j]].ports
    )
    return (*node.taken, *held)


def _column(truth: Truth, snapshot: Snapshot, mark: str) -> MarkColumn:
    found = Counter(snapshot.names.index(p.node.name) for p in truth.there if mark in p.marks)
    rows = sorted(found)
    counts = np.array([found[row] for row in rows], np.int64)
    return MarkColumn(frozen(np.array(rows, np.int32)), frozen(counts))


Decided = tuple[Verdict, list[str]]
"""What became of a gang, and the node of each member by rank, empty if it got none."""


def planned(cases: Sequence[Case]) -> list[Decided]:
    """What the planner decides about the gangs of one cluster, the first of them first."""
    kinds = tuple(kind for case in cases for kind in case.kinds)
    snapshot, number = snapshot_of(Truth(replace(cases[0], kinds=kinds)))
    specs = []
    for turn, case in enumerate(cases):
        before = sum(len(each.kinds) for each in cases[:turn])
        specs.append({
            "key": f"g{turn}",
            "ready": turn,
            "n": len(case.member),
            "shape": [number[before + k] for k in case.member],
            "min": case.minimum,
            "required": case.required,
            "preferred": case.preferred,
            "segment": (case.size, case.segment_level) if case.size else 0,
            "single": case.single,
            "held": dict(case.held),
        })  # fmt: skip
    made = plan(snapshot, builders.gangs(snapshot, specs), Policy(), 0)
    decided = []
    for g in range(len(cases)):
        row = made.row[made.offset[g] : made.offset[g + 1]]
        names = ["" if r < 0 else snapshot.names[r] for r in row]
        decided.append((Verdict(int(made.verdict[g])), names))
        assert sum(map(bool, names)) == made.placed[g]
    return decided


def judge(case: Case, decided: Decided, seen: Counter[str]) -> None:
    """Asserts everything that must hold for one gang, and counts the rest."""
    truth = Truth(case)
    verdict, names = decided
    if verdict is Verdict.FITS:
        _judge_rows(truth, names, seen)
        return
    if case.held:
        seen["refused"] += 1
        return
    feasible = next((m for m in reversed(truth.sizes()) if truth.holds(m)), 0)
    if not feasible:
        seen["refused"] += 1
        seen["refused without proof"] += verdict is not Verdict.DOES_NOT_FIT
        return
    assert verdict is Verdict.NOT_FOUND, f"a wrong proof, {feasible} fit"
    seen["feasible"] += 1
    seen["not found"] += 1


def _judge_rows(truth: Truth, names: list[str], seen: Counter[str]) -> None:
    """A placement must be permitted, and some order must let each member pass every filter."""
    case, m = truth.case, sum(map(bool, names))
    every = [node.name for node in case.nodes]
    nodes = [every.index(name) if name else None for name in names]
    if case.held:
        assert m >= case.minimum, f"{m} members placed: {names}"
    else:
        assert m in truth.sizes(), f"{m} members placed: {names}"
        assert all(names[:m]), f"not the lowest ranks: {names}"
    faults = truth.faults(nodes)
    assert not faults, f"{faults}: {names}"
    if truth.refused_at(nodes, range(len(nodes))) is not None:
        assert truth.valid_in_some_order(nodes), f"no order makes it valid: {names}"
        seen["not in the order of ranks"] += 1
    seen["feasible"] += 1
    if case.held:
        return
    if not case.size:
        one = "one kind" if len(set(case.member)) == 1 else "two kinds"
        here = truth.level_of([i for i in nodes if i is not None])
        seen[f"in a wider domain than needed, {one}"] += here != truth.lowest(m)
    seen["fewer members"] += any(truth.holds(size) for size in truth.sizes() if size > m)


def fault(case: Case) -> str:
    """What is wrong with the planner's answer; empty if nothing is."""
    try:
        judge(case, planned([case])[0], Counter())
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("batch", range(BATCHES))
def test_placement_against_enumeration(
    batch: int, record_property: Callable[[str, int], None]
) -> None:
    """No wrong proof, every placement valid in some order, hardly anything missed."""
    rng = random.Random(f"{SEED} {batch}")
    seen: Counter[str] = Counter()
    for _ in range(CASES // BATCHES):
        case = random_case(rng)
        try:
            judge(case, planned([case])[0], seen)
        except AssertionError:
            small = smallest(case, lambda each: bool(fault(each)))
            pytest.fail(f"{fault(small)}\n{small}")
    for name, count in sorted(seen.items()):
        record_property(f"rules between pods: {name}", count)
    # Both answers must be common enough for the counts to mean something.
    assert seen["feasible"] >= CASES // BATCHES // 4
    assert seen["refused"] >= CASES // BATCHES // 10
    assert seen["not found"] <= seen["feasible"] // 100
    assert seen["fewer members"] <= seen["feasible"] // 100
    assert seen["in a wider domain than needed, one kind"] == 0
    assert seen["in a wider domain than needed, two kinds"] <= seen["feasible"] // 100


@pytest.mark.parametrize("batch", range(4))
def test_a_gang_behind_another_sees_what_it_left(
    batch: int, record_property: Callable[[str, int], None]
) -> None:
    """The second gang of a cycle is judged with the members of the first as pods that are there."""
    rng = random.Random(f"{SEED} pairs {batch}")
    seen: Counter[str] = Counter()
    for _ in range(CASES // 40):
        first, second = random_pair(rng)
        decided = planned([first, second])
        try:
            judge(first, decided[0], Counter())
            judge(after(second, first, decided[0][1]), decided[1], seen)
        except AssertionError as error:
            pytest.fail(f"{error}\n{first}\n{second}")
    for name, count in sorted(seen.items()):
        record_property(f"rules between pods, second gang: {name}", count)
    assert min(seen["feasible"], seen["refused"]) >= CASES // 400
    assert seen["not found"] <= seen["feasible"] // 100 + 1


@pytest.mark.parametrize("batch", range(4))
def test_all_nodes_at_once_equal_the_twins(batch: int) -> None:
    """The quick half of the enumeration asks the same as the plain filters, node by node."""
    rng = random.Random(f"{SEED} twins {batch}")
    answers: Counter[bool] = Counter()
    for _ in range(max(1, CASES // 200)):
        truth = Truth(random_case(rng))
        kinds, nodes = range(len(truth.case.kinds)), range(len(truth.case.nodes))
        placed = [(rng.choice(kinds), rng.choice(nodes)) for _ in range(rng.randint(0, 5))]
        for kind in kinds:
            found = truth.open(tuple(sorted(placed)), kind)
            twins = [i for i in nodes if truth.passes(placed, kind, i)]
            assert list(found) == twins, (truth.case, placed, kind)
            answers.update({True: len(found), False: len(nodes) - len(found)})
    assert min(answers[True], answers[False]) > 0


def with_holds(case: Case, rng: random.Random) -> Case:
    """The case with room held for some members, where it can be."""
    truth, placed, held = Truth(case), list[tuple[int, int]](), []
    for j, kind in enumerate(case.member):
        room = [i for i in range(len(case.nodes)) if truth.opened[kind].has_room(i, tuple(placed))]
        if room and rng.random() < 0.6:
            placed.append((kind, rng.choice(room)))
            held.append((j, case.nodes[placed[-1][1]].name))
    least = rng.randint(1, len(case.member))
    return replace(case, held=tuple(held), minimum=least, size=0, segment_level=-1)


@pytest.mark.parametrize("batch", range(4))
def test_members_go_back_to_held_rooms_only_as_rules_let_them(
    batch: int, record_property: Callable[[str, int], None]
) -> None:
    """Rules count pods, not holds: those who return, too, and those who come beside them."""
    rng = random.Random(f"{SEED} holds {batch}")
    seen: Counter[str] = Counter()
    for _ in range(CASES // 20):
        case = with_holds(random_case(rng), rng)
        try:
            judge(case, planned([case])[0], seen)
        except AssertionError:
            small = smallest(case, lambda each: bool(fault(each)))
            pytest.fail(f"{fault(small)}\n{small}")
    for name, count in sorted(seen.items()):
        record_property(f"rules between pods, held rooms: {name}", count)
    assert min(seen["feasible"], seen["refused"]) >= CASES // 400
