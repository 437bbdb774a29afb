"""Replay: the production engine over a trace, with a virtual clock and a committer of ends.

One cycle per instant: all completions of that instant, then what a what-if does to nodes
(`disturb.py`), then all arrivals, then one pass over the queue. A gang too big for the empty
cluster is refused at arrival.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from scheduler.clock import ManualClock
from scheduler.engine import Cycle, Decision, Engine
from scheduler.errors import UsageError
from scheduler.model.arrays import I8, I32, I64
from scheduler.model.pending import NO_ROW
from scheduler.model.plan import Cause
from scheduler.model.policy import Order, Pack, Policy, Scan
from scheduler.model.topology import CLUSTER_LEVEL
from scheduler.replay.blocked import Blocked, FreeTotals, Wants, kinds_of
from scheduler.replay.disturb import Course, Disturbances
from scheduler.replay.fgd.policy import PLACEMENTS as SHARED_GPU_PLACEMENTS
from scheduler.replay.fgd.run import fill_result
from scheduler.replay.fill import fill_trace
from scheduler.replay.never_fits import fits_empty
from scheduler.replay.placements import placement
from scheduler.replay.result import OptionValue, RunResult, Status
from scheduler.replay.trace import Trace, lay_levels, narrow_pool
from scheduler.replay.what_if import WhatIf, change_levels, change_nodes, scale_arrivals
from scheduler.replay.workload import Aliases, node_specs, trace_cluster
from scheduler.state.cache import Cache
from scheduler.state.queue import LONGEST_RETRY_US

NOBODY: I32 = np.empty(0, np.int32)

Progress = Callable[[int, int], None]
"""Called with (gangs done, gangs in all)."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """`muster replay`'s options, field by field. Order, placement and tie-break are separate."""

    order: str = "fifo"
    scan: str = "greedy"
    placement: str = "muster"
    pack: str = "leaf"
    """Heeded by the placement `muster` only."""
    tie_break: str = "name"
    levels: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """(level, sizes of its domains in nodes), laid over the trace from the top down."""
    pool: str | None = None
    """Only this pool; levels are laid over it."""
    fill: float | None = None
    seed: int = 1
    what_if: WhatIf | None = None

    def printed(self) -> dict[str, OptionValue]:
        """As the report's header and summary.json show them."""
        laid = ";".join(f"{level}={','.join(map(str, sizes))}" for level, sizes in self.levels)
        changed = {} if self.what_if is None else {"what_if": self.what_if.name}
        return {
            "order": self.order,
            "scan": self.scan,
            "placement": self.placement,
            "pack": self.pack,
            "tie_break": self.tie_break,
            "levels": laid,
            "pool": self.pool or "",
            "fill": self.fill or 0,
            "seed": self.seed,
            **changed,
        }


def replay(trace: Trace, options: ReplayOptions, on_progress: Progress | None = None) -> RunResult:
    """Runs the trace until the last gang that can run has ended.

    Raises UsageError or BadInputError if the options do not suit the trace.
    """
    trace = _prepared(trace, options)
    if options.placement in SHARED_GPU_PLACEMENTS:  # not the engine's business
        printed = options.printed()
        return fill_result(trace, options.placement, options.fill, options.seed, printed)
    run = _Run(trace, options)
    run.to_the_end(on_progress)
    return run.result()


def _prepared(trace: Trace, options: ReplayOptions) -> Trace:
    """The trace with everything applied that holds from the beginning."""
    what_if = options.what_if
    if options.pool is not None:
        trace = narrow_pool(trace, options.pool)
    if what_if is not None:
        trace = change_nodes(trace, what_if)
    for level, sizes in options.levels:
        trace = lay_levels(trace, level, sizes)
    if what_if is not None:
        trace = scale_arrivals(change_levels(trace, what_if), what_if)
    if options.fill is not None:
        if what_if is not None and what_if.timed:
            raise UsageError(
                "--fill has no times of its own: nothing can happen at a time",
                "leave only nodes and levels in the what-if file",
            )
        if options.placement not in SHARED_GPU_PLACEMENTS:
            trace = fill_trace(trace, options.fill, options.seed)
    if not len(trace.nodes):
        raise UsageError("the trace has no nodes", "replay needs a cluster")
    return trace


class _Run:
    """One replay: the ends of the engine, and the columns of the result while they fill."""

    def __init__(self, trace: Trace, options: ReplayOptions) -> None:
        self._trace = trace
        self._options = options
        self._gang_of = {key: g for g, key in enumerate(trace.gangs.keys)}
        strict = options.scan == Scan.STRICT
        self._policy = Policy(
            order=Order(options.order), scan=Scan(options.scan),
            placement=options.placement, pack=Pack(options.pack), explain=False,
        )  # fmt: skip
        seed = options.seed if options.tie_break == "seeded" else None
        cache, workload = trace_cluster(trace, order=self._policy.order, seed=seed)
        self._cache, self._workload = cache, workload
        empty = cache.freeze(0)
        aliases = Aliases.of(trace, seed)
        row_of = {name: row for row, name in enumerate(aliases.nodes)}
        self._trace_row: I32 = np.array([row_of[name] for name in empty.names], np.int32)
        self._disturb(aliases)
        judged = workload if self._course.plan.relax_us is None else self._relaxed
        self._fits = fits_empty(empty, cache.tree, judged)
        eligible, kind = kinds_of(trace, self._trace_row, len(empty.shapes), workload.of_row)
        totals = FreeTotals(empty.shapes, kind, eligible, empty)
        self._totals = totals
        self._blocked = Blocked(totals, strict)
        self._strict = strict
        self._sjf = self._policy.order is Order.SJF
        self._clock = ManualClock()
        self._engine = Engine(
            cache, self._policy, self._clock, self, self, self,
            None if options.placement == "muster" else placement(options.placement, options.seed),
        )  # fmt: skip
        self._arrivals: list[int] = np.argsort(trace.gangs.submit_us, kind="stable").tolist()
        self._next = 0
        self._ends: list[tuple[int, int]] = []
        self._done = 0
        self._columns(len(trace.gangs))

    def _disturb(self, aliases: Aliases) -> None:
        """What a what-if needs: its course, the nodes that go out, the relaxed demands."""
        what_if = self._options.what_if
        plan = Disturbances() if what_if is None else Disturbances.of(what_if, self._trace)
        self._course = Course(plan)
        self._relaxed = self._workload.relaxed(plan.relax_levels)
        self._specs = list(node_specs(self._trace, aliases)) if plan.steps else []
        self._since: dict[int, int] = {}
        self._changed_us = 0

    def _columns(self, gangs: int) -> None:
        sizes = self._workload.sizes
        self.start_us: I64 = np.full(gangs, -1, np.int64)
        self.end_us: I64 = np.full(gangs, -1, np.int64)
        self.status: I8 = np.full(gangs, Status.UNPLACED, np.int8)
        self.restarts: I32 = np.zeros(gangs, np.int32)
        self.offset: I64 = np.concatenate(([0], np.cumsum(sizes)))
        self.row: I32 = np.full(int(self.offset[-1]), NO_ROW, np.int32)
        self._placed: dict[int, tuple[I32, I32]] = {}
        self._waiting = [0, 0]
        self._series: list[tuple[int, int, int, list[int]]] = []

    # -- the loop ---------------------------------------------------------------------------

    def to_the_end(self, on_progress: Progress | None) -> None:
        """Instant after instant."""
        gangs = len(self._trace.gangs)
        while True:
            now = self._next_instant()
            if now is None:
                break
            self._clock.set(now)
            if self._course.is_down(now):
                self._watch(now)
            else:
                self._engine.cycle()
            if self._options.fill is not None:
                self._drop_waiting()
            if on_progress is not None:
                on_progress(self._done, gangs)

    def _next_instant(self) -> int | None:
        times = []
        if self._next < len(self._arrivals):
            times.append(int(self._trace.gangs.submit_us[self._arrivals[self._next]]))
        if self._ends and (times or self._options.fill is None):
            times.append(self._ends[0][0])
        now, waiting = self._clock.now_us(), len(self._cache.queue) > 0
        if waiting or self._ends:
            times += self._course.next_us(now, self._since, waiting=waiting)
        retry = self._cache.queue.next_time_us(now)
        if retry is not None and not self._course.is_down(now):
            # With nodes out a gang may never be found a place. Everybody is tried once a minute:
            # after a minute without any change nobody has hope.
            hopeless = not times and retry > self._changed_us + LONGEST_RETRY_US
            if not (hopeless and self._course.out):
                times.append(retry)
        return min(times, default=None)

    def _watch(self, now_us: int) -> None:
        """The scheduler is down: things happen, nobody decides, and nobody's turn comes."""
        self.gather(self._cache, now_us)
        blocked = [0, 0, 0, 0]
        blocked[Cause.ORDER - 1] = self._waiting[0]
        self._note(now_us, blocked)

    def _drop_waiting(self) -> None:
        """Fill: one attempt each."""
        for entry in list(self._cache.queue):
            self._cache.dequeue(entry.key)
            self._leave(self._gang_of[entry.key])
            self._done += 1

    # -- Source -----------------------------------------------------------------------------

    def gather(self, cache: Cache, now_us: int) -> None:
        """Completions of the instant, then outages, then arrivals, then demands that relax."""
        while self._ends and self._ends[0][0] <= now_us:
            _, gang = heapq.heappop(self._ends)
            self._release(cache, gang)
            self._changed_us = now_us
        failed = self._course.due(now_us, self._node_out)
        if failed:
            self._restart_on(cache, failed, now_us)
        submit = self._trace.gangs.submit_us
        while self._next < len(self._arrivals):
            gang = self._arrivals[self._next]
            if submit[gang] > now_us:
                break
            self._next += 1
            self._arrive(cache, gang, now_us)
        for gang in self._course.relaxed(now_us, self._since):
            cache.dequeue(self._trace.gangs.keys[gang])
            cache.enqueue(self._relaxed.entry(gang, self._since[gang], sjf=self._sjf))
            self._changed_us = now_us

    def _release(self, cache: Cache, gang: int) -> None:
        """Its members leave their nodes, those that still wait leave the queue."""
        rows, shapes = self._placed.pop(gang)
        cache.release(self._trace.gangs.keys[gang])
        self._totals.add(rows, shapes, +1)

    def _node_out(self, row: int, out: bool) -> None:
        """A node of the trace takes no gang from now on, or takes gangs again."""
        spec, nodes = self._specs[row], self._cache.nodes
        self._cache.upsert_node(replace(spec, cordoned=out))
        nid = nodes.nid_of[spec.name]
        free = nodes.allocatable[:, nid] - nodes.used[:, nid]
        slots = int(nodes.slots_allocatable[nid] - nodes.pods_used[nid])
        at = int(np.flatnonzero(self._trace_row == row)[0])
        self._totals.move(at, free, slots, out=out)
        self._changed_us = self._clock.now_us()

    def _restart_on(self, cache: Cache, failed: list[int], now_us: int) -> None:
        """Gangs with a member on a failed node begin again, from the end of the queue's age."""
        hit = [
            gang for gang, (rows, _) in self._placed.items()
            if np.isin(self._trace_row[rows], failed).any()
        ]  # fmt: skip
        for gang in sorted(hit):
            self._release(cache, gang)
            self._ends.remove((int(self.end_us[gang]), gang))
            self.start_us[gang] = self.end_us[gang] = -1
            self.status[gang] = Status.UNPLACED
            self.row[self.offset[gang] : self.offset[gang + 1]] = NO_ROW
            self.restarts[gang] += 1
            self._done -= 1
            self._wait(cache, gang, now_us)
        heapq.heapify(self._ends)

    def _arrive(self, cache: Cache, gang: int, now_us: int) -> None:
        if not self._fits[gang]:
            self.status[gang] = Status.NEVER_FITS
            self._done += 1
            return
        self._wait(cache, gang, now_us)

    def _wait(self, cache: Cache, gang: int, now_us: int) -> None:
        cache.enqueue(self._workload.entry(gang, now_us, sjf=self._sjf))
        self._changed_us = self._since[gang] = now_us
        self._course.waits(gang, now_us, self._trace.gangs.required[gang])
        self._blocked.arrived(self._wants(gang), int(self._workload.pool_of_gang[gang]))
        self._waiting[0] += 1
        self._waiting[1] += int(self._workload.sizes[gang])

    # -- Committer --------------------------------------------------------------------------

    def commit(self, decision: Decision) -> None:
        """Every bind succeeds at once, and its end is known."""
        gang = self._gang_of[decision.key]
        now = self._changed_us = self._clock.now_us()
        self._cache.confirm(decision.key)
        self._totals.add(decision.rows, decision.shapes, -1)
        first = int(self.offset[gang])
        self.row[first + decision.ranks] = self._trace_row[decision.rows]
        rows, shapes = self._placed.get(gang, (NOBODY, NOBODY))
        self._placed[gang] = (
            np.concatenate((rows, decision.rows)), np.concatenate((shapes, decision.shapes))
        )  # fmt: skip
        if self.start_us[gang] >= 0:
            return  # late members of a gang that began with its minimum
        self.start_us[gang] = now
        self.end_us[gang] = now + int(self._trace.gangs.duration_us[gang])
        self.status[gang] = Status.PLACED
        heapq.heappush(self._ends, (int(self.end_us[gang]), gang))
        self._leave(gang)
        self._done += 1

    def _leave(self, gang: int) -> None:
        del self._since[gang]
        self._blocked.left(self._wants(gang), int(self._workload.pool_of_gang[gang]))
        self._waiting[0] -= 1
        self._waiting[1] -= int(self._workload.sizes[gang])

    # -- Recorder ---------------------------------------------------------------------------

    def record(self, cycle: Cycle) -> None:
        """What waits from now on, and why."""
        blocked = [0, 0, 0, 0]
        if self._waiting[0]:
            self._cache.freeze(cycle.now_us)  # what this cycle placed is taken into account
            blocked = self._blocked.by_cause(self._root_capacity, self._heads())
        self._note(cycle.now_us, blocked)

    def _note(self, now_us: int, blocked: list[int]) -> None:
        if self._series and self._series[-1][0] == now_us:
            self._series.pop()  # a gang of no duration ended in the instant it began
        gangs, members = self._waiting
        self._series.append((now_us, gangs, members, blocked))

    def _root_capacity(self, shape: int) -> int:
        kept = self._cache.capacities.get(shape)
        if kept is None:
            raise KeyError(shape)  # freeze() keeps the capacities of everybody who waits
        return kept.best(CLUSTER_LEVEL)

    def _heads(self) -> dict[int, Wants]:
        if not self._strict:
            return {}
        pools = self._cache.queue.pools(self._policy.order)
        return {
            pool: self._wants(self._gang_of[entries[0][1]])
            for pool, entries in pools.items()
            if entries
        }

    def _wants(self, gang: int) -> Wants:
        return self._workload.wants(gang)

    # -- the result -------------------------------------------------------------------------

    def result(self) -> RunResult:
        """The columns, in trace order."""
        return RunResult(
            trace=self._trace,
            topology=self._trace.topology(),
            options=self._options.printed(),
            start_us=self.start_us,
            end_us=self.end_us,
            status=self.status,
            offset=self.offset,
            row=self.row,
            time_us=np.array([s[0] for s in self._series], np.int64),
            waiting_gangs=np.array([s[1] for s in self._series], np.int32),
            waiting_members=np.array([s[2] for s in self._series], np.int64),
            blocked=np.array([s[3] for s in self._series], np.int32).reshape(-1, 4),
            restarts=None if self._options.what_if is None else self.restarts,
        )
