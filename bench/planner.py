"""The planner against the C floor: capacities of one shape, one huge gang, a thousand gangs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scenario
from floor import Floor, FloorError
from measure import Contender, Result, compared, take_turns

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.filters import Eligibility
from scheduler.model.pending import Pending
from scheduler.model.plan import Plan
from scheduler.model.policy import Policy
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan

NODES = 100_000
GANGS = 1_000

CAPACITY_BOUND, ONE_GANG_BOUND, MANY_GANGS_BOUND = 8.0, 45.0, 16.0
CAPACITY_GOAL_MS, ONE_GANG_GOAL_MS, MANY_GANGS_GOAL_MS = 2.0, 20.0, 100.0

BASIS = "plain C"


@dataclass(frozen=True, slots=True)
class Pair:
    """One scenario: the floor's way and Muster's, already seen to agree."""

    floor: Contender
    own: Contender


def capacity_pair(floor: Floor) -> Pair:
    """Filter and capacity of shape 0 on every node, and sums under every spine."""
    snapshot = floor.snapshot
    tree = kernel.Tree(snapshot.topology)

    def own() -> tuple[I64, I64]:
        shape = snapshot.shapes[0]
        reason = Eligibility(shape).evaluate(snapshot)
        request = kernel.Request.of(shape.requests, exclusive=shape.exclusive)
        cap = kernel.capacity(snapshot.free, snapshot.slots, reason, request)
        return cap, kernel.roll_up(tree, cap)

    floor.reset()
    total = floor.filter_capacity(0)
    cap, sums = own()
    same = (cap == floor.cap[0]).all() and (sums[1:] == floor.sums[0]).all() and sums[0] == total
    _must_agree("capacities", same=bool(same))
    return Pair(Contender(lambda: floor.filter_capacity(0), floor.reset), Contender(own))


def one_gang_pair(floor: Floor, members: int) -> Pair:
    """The whole plan() call for one gang."""
    rows: I32 = np.empty(members, np.int32)
    return _plan_pair(floor, scenario.one_gang(members), rows, lambda: floor.gang(members, rows))


def many_gangs_pair(floor: Floor, gangs: int) -> Pair:
    """The whole plan() call for a queue of gangs."""
    pending = scenario.many_gangs(gangs)
    shape: I32 = np.ascontiguousarray(pending.shape[pending.offset[:-1]])
    rows: I32 = np.empty(pending.members, np.int32)
    return _plan_pair(floor, pending, rows, lambda: floor.queue(pending, shape, rows))


def _plan_pair(floor: Floor, pending: Pending, rows: I32, work: Callable[[], int]) -> Pair:
    snapshot = floor.snapshot

    def own() -> Plan:
        return plan(snapshot, pending, Policy(), 0)

    floor.reset()
    placed = work()
    decided = own()
    same = placed == decided.stats.members_placed and (decided.row == rows).all()
    _must_agree(f"{pending.gangs} gangs of {pending.members} members", same=bool(same))
    return Pair(Contender(work, floor.reset), Contender(own))


def _must_agree(what: str, *, same: bool) -> None:
    if not same:
        raise FloorError(f"{what}: the floor's answer is not Muster's; nothing to compare")


def bounded(library: ctypes.CDLL, runs: int) -> list[Result]:
    """The three bounds on 100,000 nodes."""
    snapshot: Snapshot = scenario.snapshot(NODES)
    floor = Floor(library, snapshot)
    nodes: dict[str, int | float | str] = {
        "nodes": NODES,
        "spines": floor.spines,
        "seed": scenario.SEED,
    }
    members = scenario.many_gangs(GANGS).members
    cases = [
        (
            "filter + capacity", capacity_pair(floor), {**nodes, "shapes": 1},
            CAPACITY_BOUND, CAPACITY_GOAL_MS,
        ),
        (
            "plan, one gang", one_gang_pair(floor, NODES), {**nodes, "gangs": 1, "pods": NODES},
            ONE_GANG_BOUND, ONE_GANG_GOAL_MS,
        ),
        (
            "plan, 1,000 gangs", many_gangs_pair(floor, GANGS),
            {**nodes, "gangs": GANGS, "pods": members}, MANY_GANGS_BOUND, MANY_GANGS_GOAL_MS,
        ),
    ]  # fmt: skip
    results = []
    for name, pair, params, bound, goal in cases:
        times, own = take_turns((pair.floor, pair.own), runs)
        results.append(compared(name, params, own, times, bound, BASIS, goal))
    return results
