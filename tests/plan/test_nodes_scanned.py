"""A gang costs what it touches: nodes of untouched domains are never scanned again."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from scheduler.model.arrays import frozen
from scheduler.model.policy import Policy
from scheduler.model.snapshot import Snapshot
from scheduler.model.topology_build import build_topology
from scheduler.plan import plan
from scheduler.plan.gang import Gang, Outcome
from scheduler.plan.ledger import Ledger
from scheduler.plan.muster import MusterPlacement
from tests import builders

SPINES, NODES = 400, 250
PASSES = 3
"""A touched domain's nodes are read to bring capacities up to date, for its tightest node, and
when members go down to nodes."""


@cache
def big_cluster() -> Snapshot:
    """400 spines of 250 nodes with 8 GPUs; shapes of one and of two GPUs."""
    names = [f"n{i}" for i in range(SPINES * NODES)]
    spines = [(f"s{i // NODES}",) for i in range(SPINES * NODES)]
    small = builders.snapshot("s0: n0", levels=("spine",))
    count = len(names)
    free = np.repeat([[64_000], [1 << 40], [8]], count, axis=1).astype(np.int64)
    return Snapshot(
        generation=1,
        resources=small.resources,
        names=tuple(names),
        topology=build_topology(("spine",), names, spines),
        allocatable=frozen(free),
        free=frozen(free),
        slots=frozen(np.full(count, 110, np.int64)),
        flags=frozen(np.zeros(count, np.uint8)),
        taint_sets=((),),
        taint_set=frozen(np.zeros(count, np.int32)),
        labels={},
        shapes=(builders.shape(gpu=1), builders.shape(gpu=2)),
    )


@dataclass
class Turn:
    """What one gang cost, and the spines it was put on."""

    shape: int
    scanned: int
    spines: set[int]


@dataclass
class Counting:
    """Muster's placement, which notes what each gang costs."""

    name: str = "counting"
    turns: list[Turn] = field(default_factory=list)

    def place(self, ledger: Ledger, gang: Gang) -> Outcome:
        """As MusterPlacement."""
        before = ledger.stats.nodes_scanned
        outcome = MusterPlacement().place(ledger, gang)
        spines = set(ledger.tree.topology.domains_at(outcome.rows, 0).tolist())
        self.turns.append(Turn(gang.shape, ledger.stats.nodes_scanned - before, spines))
        return outcome


def turns(specs: list[dict[str, object]]) -> list[Turn]:
    """One cycle over the big cluster."""
    snap, rule = big_cluster(), Counting()
    got = plan(snap, builders.gangs(snap, specs), Policy(), 0, placement=rule)
    assert got.stats.nodes_scanned == sum(turn.scanned for turn in rule.turns)
    return rule.turns


def check_costs(of: list[Turn]) -> None:
    """Nobody but a shape's first gang reads more than what was touched since its last turn."""
    touched: dict[int, set[int]] = {}
    for turn in of:
        if turn.shape in touched:
            since = touched[turn.shape] | turn.spines
            assert turn.scanned <= PASSES * NODES * len(since)
        touched[turn.shape] = set()
        for spines in touched.values():
            spines.update(turn.spines)


@pytest.mark.parametrize("members", [64, 4])
def test_gangs_of_one_shape_scan_touched_domains_only(members: int) -> None:
    """1,000 gangs over 100,000 nodes: all nodes once, then a spine or two for each gang.

    64 members go down from a spine to its nodes; 4 go to the tightest node of all.
    """
    of = turns([{"key": f"g{i:04}", "n": members, "required": "spine"} for i in range(1_000)])
    assert all(len(turn.spines) == 1 for turn in of)
    assert of[0].scanned >= SPINES * NODES
    check_costs(of)
    later = sum(turn.scanned for turn in of[1:])
    assert later <= 2 * PASSES * NODES * 999  # 1.5 % of 1,000 scans of the cluster


def test_shapes_in_turn_catch_up_with_each_other() -> None:
    """A shape that was not asked for a while reads what others touched meanwhile, and no more."""
    check_costs(turns([
        {"key": f"g{i:04}", "n": 200, "shape": int(i % 7 == 0), "required": "spine"}
        for i in range(300)
    ]))  # fmt: skip


def test_a_gang_like_one_that_was_turned_away_costs_nothing() -> None:
    """Too large for any spine: the first is turned away by sums, its likes by memory."""
    of = turns([{"key": f"g{i}", "n": 2_001, "required": "spine"} for i in range(20)])
    assert all(not turn.spines for turn in of)
    assert [turn.scanned for turn in of[1:]] == [0] * 19
