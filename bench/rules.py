"""The planner under the rules that gangs carry, on a cluster with labels, taints and bound pods.

100,000 nodes with 60 label keys and 200 sets of taints, 300,000 bound pods that rules count.
What is bounded is the ratio to the plain C floor placing the same number of members without any
rule, on the same number of nodes: gangs as a gang, single pods as a queue of their two sizes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import rule_scenario
import scenario
from floor import Floor
from measure import Contender, Result, compared, take_turns
from rule_scenario import (
    BOUND_PODS,
    FILTERS,
    LABEL_KEYS,
    NODES,
    ONE_PER_NODE,
    SPREAD,
    TAINT_SETS,
    gang,
    singles,
)

from scheduler.model.arrays import I32
from scheduler.model.pending import Pending
from scheduler.model.policy import Policy
from scheduler.plan import plan

FILTERS_BOUND, APART_BOUND, SPREAD_BOUND, SINGLES_BOUND = 60.0, 80.0, 200.0, 140.0
FILTERS_GOAL_MS, APART_GOAL_MS, SPREAD_GOAL_MS, SINGLES_GOAL_MS = 20.0, 20.0, 50.0, 1_000.0
BASIS = "plain C without rules"


def bounded(library: ctypes.CDLL, runs: int) -> list[Result]:
    """Four kinds of workloads, each beside the floor."""
    snapshot = rule_scenario.cluster(NODES).snapshot
    floor = Floor(library, scenario.snapshot(NODES))
    cases = [
        ("rules: selector, taints, affinity", gang(10_000, FILTERS),
         FILTERS_BOUND, FILTERS_GOAL_MS),
        ("rules: one per node", gang(10_000, ONE_PER_NODE), APART_BOUND, APART_GOAL_MS),
        ("rules: spread over spines", gang(1_000, SPREAD), SPREAD_BOUND, SPREAD_GOAL_MS),
        ("rules: single pods of 50 shapes", singles(), SINGLES_BOUND, SINGLES_GOAL_MS),
    ]  # fmt: skip
    params: dict[str, int | float | str] = {
        "nodes": NODES, "label_keys": LABEL_KEYS, "taint_sets": TAINT_SETS,
        "bound_pods": BOUND_PODS, "seed": scenario.SEED,
    }  # fmt: skip
    results = []
    for name, pending, bound, goal in cases:
        members = pending.members
        decided = plan(snapshot, pending, Policy(), 0)
        if decided.stats.members_placed != members:
            raise RuntimeError(f"{name}: {decided.stats.members_placed} of {members} placed")

        def own(pending: Pending = pending) -> object:
            return plan(snapshot, pending, Policy(), 0)

        times, mine = take_turns(
            (Contender(_plain(floor, pending), floor.reset), Contender(own)), max(3, runs // 3)
        )
        results.append(compared(name, {**params, "pods": members}, mine, times, bound, BASIS, goal))
    return results


def _plain(floor: Floor, pending: Pending) -> Callable[[], int]:
    """What the floor does with pods of the same number and sizes."""
    members = pending.members
    rows: I32 = np.empty(members, np.int32)
    if pending.gangs == 1:
        return lambda: floor.gang(members, rows)
    shape: I32 = (np.arange(members) % 2).astype(np.int32)
    return lambda: floor.queue(pending, shape, rows)
