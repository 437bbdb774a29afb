"""Replay: the production engine over a trace, with a virtual clock and a committer of ends.

One cycle per instant: all completions of that instant, then all arrivals, then one pass over the
queue. A gang too big for the empty cluster is refused at arrival.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scheduler.clock import ManualClock
from scheduler.engine import Cycle, Decision, Engine
from scheduler.errors import UsageError
from scheduler.model.arrays import I8, I32, I64
from scheduler.model.pending import NO_ROW
from scheduler.model.policy import Order, Policy, Scan
from scheduler.model.topology import CLUSTER_LEVEL
from scheduler.replay.blocked import Blocked, FreeTotals, Wants
from scheduler.replay.fill import fill_trace
from scheduler.replay.never_fits import fits_empty
from scheduler.replay.placements import placement
from scheduler.replay.result import OptionValue, RunResult, Status
from scheduler.replay.trace import Trace, lay_levels, narrow_pool
from scheduler.replay.workload import Aliases, trace_cluster
from scheduler.state.cache import Cache

NOBODY: I32 = np.empty(0, np.int32)

Progress = Callable[[int, int], None]
"""Called with (gangs done, gangs in all)."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """`muster replay`'s options, field by field. Order, placement and tie-break are separate."""

    order: str = "fifo"
    scan: str = "greedy"
    placement: str = "muster"
    tie_break: str = "name"
    levels: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """(level, sizes of its domains in nodes), laid over the trace from the top down."""
    pool: str | None = None
    """Only this pool; levels are laid over it."""
    fill: float | None = None
    seed: int = 1

    def printed(self) -> dict[str, OptionValue]:
        """As the report's header and summary.json show them."""
        laid = ";".join(f"{level}={','.join(map(str, sizes))}" for level, sizes in self.levels)
        return {
            "order": self.order,
            "scan": self.scan,
            "placement": self.placement,
            "tie_break": self.tie_break,
            "levels": laid,
            "pool": self.pool or "",
            "fill": self.fill or 0,
            "seed": self.seed,
        }


def replay(trace: Trace, options: ReplayOptions, on_progress: Progress | None = None) -> RunResult:
    """Runs the trace until the last gang that can run has ended.

    Raises UsageError or BadInputError if the options do not suit the trace.
    """
    if options.pool is not None:
        trace = narrow_pool(trace, options.pool)
    for level, sizes in options.levels:
        trace = lay_levels(trace, level, sizes)
    if options.fill is not None:
        trace = fill_trace(trace, options.fill, options.seed)
    if not len(trace.nodes):
        raise UsageError("the trace has no nodes", "replay needs a cluster")
    run = _Run(trace, options)
    run.to_the_end(on_progress)
    return run.result()


class _Run:
    """One replay: the ends of the engine, and the columns of the result while they fill."""

    def __init__(self, trace: Trace, options: ReplayOptions) -> None:
        self._trace = trace
        self._options = options
        self._gang_of = {key: g for g, key in enumerate(trace.gangs.keys)}
        strict = options.scan == Scan.STRICT
        self._policy = Policy(
            order=Order(options.order), scan=Scan(options.scan),
            placement=options.placement, explain=False,
        )  # fmt: skip
        seed = options.seed if options.tie_break == "seeded" else None
        cache, workload = trace_cluster(trace, order=self._policy.order, seed=seed)
        self._cache, self._workload = cache, workload
        empty = cache.freeze(0)
        row_of = {name: row for row, name in enumerate(Aliases.of(trace, seed).nodes)}
        self._trace_row: I32 = np.array([row_of[name] for name in empty.names], np.int32)
        self._fits = fits_empty(empty, cache.tree, self._workload)
        eligible, kind = _kinds(trace, self._trace_row, len(empty.shapes), workload.of_row)
        totals = FreeTotals(empty.shapes, kind, eligible, empty)
        self._totals = totals
        self._blocked = Blocked(totals, strict)
        self._strict = strict
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

    def _columns(self, gangs: int) -> None:
        sizes = self._workload.sizes
        self.start_us: I64 = np.full(gangs, -1, np.int64)
        self.end_us: I64 = np.full(gangs, -1, np.int64)
        self.status: I8 = np.full(gangs, Status.UNPLACED, np.int8)
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
        retry = self._cache.queue.next_time_us(self._clock.now_us())
        if retry is not None:
            times.append(retry)
        return min(times, default=None)

    def _drop_waiting(self) -> None:
        """Fill: one attempt each."""
        for entry in list(self._cache.queue):
            self._cache.dequeue(entry.key)
            self._leave(self._gang_of[entry.key])
            self._done += 1

    # -- Source -----------------------------------------------------------------------------

    def gather(self, cache: Cache, now_us: int) -> None:
        """All completions of the instant, then all arrivals."""
        while self._ends and self._ends[0][0] <= now_us:
            _, gang = heapq.heappop(self._ends)
            rows, shapes = self._placed.pop(gang)
            cache.release(self._trace.gangs.keys[gang])
            self._totals.add(rows, shapes, +1)
        submit = self._trace.gangs.submit_us
        while self._next < len(self._arrivals):
            gang = self._arrivals[self._next]
            if submit[gang] > now_us:
                break
            self._next += 1
            self._arrive(cache, gang, now_us)

    def _arrive(self, cache: Cache, gang: int, now_us: int) -> None:
        if not self._fits[gang]:
            self.status[gang] = Status.NEVER_FITS
            self._done += 1
            return
        cache.enqueue(self._workload.entry(gang, now_us, sjf=self._policy.order is Order.SJF))
        self._blocked.arrived(self._wants(gang), int(self._workload.pool_of_gang[gang]))
        self._waiting[0] += 1
        self._waiting[1] += int(self._workload.sizes[gang])

    # -- Committer --------------------------------------------------------------------------

    def commit(self, decision: Decision) -> None:
        """Every bind succeeds at once, and its end is known."""
        gang = self._gang_of[decision.key]
        now = self._clock.now_us()
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
        if self._series and self._series[-1][0] == cycle.now_us:
            self._series.pop()  # a gang of no duration ended in the instant it began
        gangs, members = self._waiting
        self._series.append((cycle.now_us, gangs, members, blocked))

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
        )


def _kinds(trace: Trace, trace_row: I32, shapes: int, of_row: I32) -> tuple[I64, I32]:
    """(int64[S, K] which shapes may use which kinds of node, int32[N] kind by row)."""
    nodes, gangs, rows = trace.nodes, trace.gangs, trace.rows
    many_pools, many_models = len(set(nodes.pool)) > 1, len(set(nodes.model)) > 1
    pairs = list(zip(nodes.pool, nodes.model, strict=True))
    number = {pair: k for k, pair in enumerate(sorted(set(pairs)))}
    kind = np.array([number[pairs[row]] for row in trace_row.tolist()], np.int32)
    eligible = np.zeros((shapes, len(number)), np.int64)
    seen: set[int] = set()
    for r, shape in enumerate(of_row.tolist()):
        if shape in seen:
            continue
        seen.add(shape)
        pool, models = gangs.pool[int(rows.gang[r])], rows.model[r].split("|")
        for (node_pool, model), k in number.items():
            right_pool = not many_pools or node_pool == pool
            right_model = not many_models or not rows.model[r] or model in models
            eligible[shape, k] = right_pool and right_model
    return eligible, kind
