"""One cycle: the whole queue against one snapshot."""

from __future__ import annotations

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I8, I32, I64
from scheduler.model.pending import NO_DOMAIN, NO_ROW, Pending
from scheduler.model.plan import Cause, Plan, PlanStats, Rejection, Verdict
from scheduler.model.policy import Policy, Scan
from scheduler.model.snapshot import Snapshot
from scheduler.plan.course import Course, course_of
from scheduler.plan.gang import MIXED, Gang, Gangs, Outcome
from scheduler.plan.ledger import Ledger
from scheduler.plan.muster import MusterPlacement
from scheduler.plan.order import decide_order
from scheduler.plan.placement import Placement
from scheduler.plan.rejection import explain

NOBODY: I32 = np.empty(0, np.int32)


def plan(
    snapshot: Snapshot,
    pending: Pending,
    policy: Policy,
    now: int,
    *,
    placement: Placement | None = None,
    tree: kernel.Tree | None = None,
) -> Plan:
    """Decides every gang of `pending`; pure, and the same for the same arguments.

    now: microseconds; part of the contract so that deadlines need no clock.
    placement: a rule other than Muster's own (replay).
    tree: the checked form of snapshot.topology, where the caller keeps one between cycles.
    Raises StaleSnapshotError if a later freeze() has overwritten the snapshot.
    """
    del now  # no rule of this version depends on time; holds and claims arrive already expired
    if not pending.gangs:
        snapshot.check_fresh()
        return _Columns(pending).plan(snapshot.generation, NOBODY, PlanStats())
    rule = placement if placement is not None else MusterPlacement(policy.budget, policy.pack)
    ledger = Ledger(snapshot, tree)
    gangs = Gangs(pending)
    columns = _Columns(pending)
    blocked: set[int] = set()
    # 1. Repairs, then priority, then age.
    order = decide_order(pending, policy.order, in_turn=policy.scan is Scan.GREEDY)
    for index in order.tolist():
        gang, pool = gangs[index], int(pending.pool[index])
        # 2. Strict: nobody passes a blocked head of its own pool. Searches share one budget.
        if pool in blocked or _starved(ledger, gang, policy):
            columns.cause[index] = Cause.ORDER
        else:
            # 3. A place for the whole gang, or the numbers why not.
            outcome = rule.place(ledger, gang)
            if outcome.verdict is Verdict.FITS:
                # 4. Its room is taken from the ledger; one that does not fit leaves no trace.
                columns.placed_at(gang, outcome, _take(ledger, gang, outcome))
                continue
            columns.refused(gang, outcome, *_numbers(ledger, gang, outcome, policy))
        if policy.scan is Scan.STRICT:
            blocked.add(pool)
    # 5. Columns out.
    return columns.plan(snapshot.generation, order, ledger.stats)


def _starved(ledger: Ledger, gang: Gang, policy: Policy) -> bool:
    """Has the cycle no node visits left for a member-by-member search?"""
    if ledger.stats.search_visits < policy.cycle_budget:
        return False
    return course_of(ledger, gang) in (Course.MIXED, Course.ONE_BY_ONE)


def _take(ledger: Ledger, gang: Gang, outcome: Outcome) -> int:
    """Takes the room of a gang that fits; returns how many members were placed."""
    rows = outcome.rows
    if gang.shape != MIXED and not gang.has_held:
        # All alike, and without held room there is no member without a row before the last.
        ledger.take(gang.shape, rows)
        return rows.size
    shapes = gang.shapes[: rows.size]
    # Held room is not in `free`: whoever gets his own held node takes nothing more.
    fresh = (rows != NO_ROW) & (rows != gang.held_row[: rows.size])
    for shape in np.unique(shapes[fresh]).tolist():
        ledger.take(shape, np.ascontiguousarray(rows[fresh & (shapes == shape)]))
    back = (rows != NO_ROW) & ~fresh
    for shape in np.unique(shapes[back]).tolist():
        leaves = ledger.snapshot.shapes[shape].rules.leaves
        if leaves:  # a hold is no pod, and has left none
            ledger.marks.leave(leaves, rows[back & (shapes == shape)])
    return int(np.count_nonzero(rows != NO_ROW))


def _numbers(
    ledger: Ledger, gang: Gang, outcome: Outcome, policy: Policy
) -> tuple[Cause, Rejection | None]:
    if not policy.explain:
        return Cause.NONE, None
    return explain(ledger, gang, outcome)


class _Columns:
    """The plan's columns while they are filled."""

    def __init__(self, pending: Pending) -> None:
        gangs = pending.gangs
        self.offset = pending.offset
        self.verdict: I8 = np.zeros(gangs, np.int8)
        self.cause: I8 = np.zeros(gangs, np.int8)
        self.placed: I32 = np.zeros(gangs, np.int32)
        self.domain: I32 = np.full(gangs, NO_DOMAIN, np.int32)
        self.best_domain: I32 = np.full(gangs, NO_DOMAIN, np.int32)
        self.best_cap: I64 = np.zeros(gangs, np.int64)
        self.row: I32 = np.full(pending.members, NO_ROW, np.int32)
        self.rejection: list[Rejection | None] = [None] * gangs

    def placed_at(self, gang: Gang, outcome: Outcome, placed: int) -> None:
        g, first = gang.index, int(self.offset[gang.index])
        self.verdict[g] = Verdict.FITS
        self.placed[g] = placed
        self.domain[g] = outcome.domain
        self.row[first : first + outcome.rows.size] = outcome.rows

    def refused(
        self, gang: Gang, outcome: Outcome, cause: Cause, rejection: Rejection | None
    ) -> None:
        g = gang.index
        self.verdict[g] = outcome.verdict
        self.cause[g] = cause
        self.best_domain[g] = outcome.best_domain
        self.best_cap[g] = outcome.fit
        self.rejection[g] = rejection

    def plan(self, generation: int, order: I32, stats: PlanStats) -> Plan:
        stats.gangs_tried = int(np.count_nonzero(self.verdict != Verdict.NOT_TRIED))
        stats.gangs_placed = int(np.count_nonzero(self.verdict == Verdict.FITS))
        stats.members_placed = int(self.placed.sum())
        columns = (
            order, self.verdict, self.cause, self.placed, self.domain, self.best_domain,
            self.best_cap, self.row,
        )  # fmt: skip
        for column in columns:
            column.flags.writeable = False
        return Plan(
            generation=generation,
            order=order,
            verdict=self.verdict,
            cause=self.cause,
            placed=self.placed,
            domain=self.domain,
            best_domain=self.best_domain,
            best_cap=self.best_cap,
            row=self.row,
            offset=self.offset,
            rejection=tuple(self.rejection),
            stats=stats,
        )
