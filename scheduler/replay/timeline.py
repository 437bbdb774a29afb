"""The cluster over time: at most 400 evenly spread instants between first arrival and last end.

    first submit                                              last end
    |----x----|----x----|----x----|----x----|  ...  |----x----|
    each x stands for its slice, so a plain mean over the samples is a mean over time

A member is there at instant t if start <= t < end. Sampling bounds the work by the cluster and
the members, whatever the number of events: each member is added once and taken away once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I16, I32, I64
from scheduler.replay.demand import Demand
from scheduler.replay.result import CAUSES, RunResult

Bool: TypeAlias = npt.NDArray[np.bool_]
_Column = TypeVar("_Column", I32, I64)

SAMPLES = 400
"""Most instants looked at: enough for a plot, and for time means within about one percent."""

CLUSTER_NAME = "cluster"
"""Name of the tree's root beside the configured levels: what a fabric without them would give."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """Columns over K sampled instants. GPUs are counted in thousandths."""

    begin_us: int
    finish_us: int
    at_us: I64
    """[K] the instants."""
    allocated: I64
    """[K] GPU thousandths in use."""
    stranded: I64
    """[K] idle GPU thousandths on nodes that hold at least one member."""
    idle: I64
    """[K] idle GPU thousandths."""
    total: int
    """GPU thousandths of the cluster."""
    free_nodes: I32
    """[K] nodes that hold no member."""
    waiting_gangs: I32
    """[K]"""
    waiting_members: I64
    """[K]"""
    blocked: I32
    """[K, 4] waiting gangs by cause, columns as CAUSES."""
    sizes: dict[str, list[int]]
    """level -> gang sizes in nodes (powers of two that the largest domain could hold)."""
    slots: dict[str, I64]
    """level -> [K, sizes] gangs of that many whole free nodes that could start in one domain."""
    heat: tuple[I16, ...]
    """[L] of [K, domains of the level in path order] use of each domain, in thousandths: of its
    GPUs, or of its nodes where the cluster has no GPU."""


def span_us(result: RunResult, submit_us: I64) -> tuple[int, int]:
    """First arrival and last end (or last cycle, if a gang still waits there)."""
    if not result.gangs:
        return 0, 0
    begin = int(submit_us.min())
    last_end = int(result.end_us.max())
    last_cycle = int(result.time_us[-1]) if len(result.time_us) else begin
    return begin, max(begin, last_end, last_cycle)


def sample_instants(begin_us: int, finish_us: int, limit: int = SAMPLES) -> I64:
    """[K] middles of K equal slices of the span; K <= limit, 0 for an empty span."""
    count = min(limit, finish_us - begin_us)
    if count <= 0:
        return np.empty(0, np.int64)
    step = np.arange(count, dtype=np.int64)
    # Integers all the way: (2k + 1) / 2K of the span, rounded down.
    return begin_us + (2 * step + 1) * (finish_us - begin_us) // (2 * count)


class _Walk:
    """Nodes' state at each instant in turn: GPU thousandths in use and members, per row."""

    def __init__(self, result: RunResult, demand: Demand, at_us: I64) -> None:
        first = np.searchsorted(at_us, result.start_us, side="left").astype(np.int16)
        gone = np.searchsorted(at_us, result.end_us, side="left").astype(np.int16)
        count = result.members
        seen = np.repeat((first < gone) & (result.start_us >= 0), count) & (result.row >= 0)
        self._row = result.row[seen]
        self._milli = demand.member_gpu_milli[seen]
        self._in = _groups(np.repeat(first, count)[seen], len(at_us))
        self._out = _groups(np.repeat(gone, count)[seen], len(at_us))
        self.used = np.zeros(result.topology.nodes, np.int64)
        self.members = np.zeros(result.topology.nodes, np.int32)

    def to(self, sample: int) -> None:
        """Bring `used` and `members` from sample - 1 to `sample`."""
        for (order, bounds), sign in ((self._out, -1), (self._in, 1)):
            which = order[bounds[sample] : bounds[sample + 1]]
            row = self._row[which]
            np.add.at(self.used, row, sign * self._milli[which].astype(np.int64))
            np.add.at(self.members, row, np.int32(sign))


def _groups(sample: I16, count: int) -> tuple[I32, I64]:
    """Members sorted by sample, and where each of the `count` samples begins in that order."""
    order = np.argsort(sample, kind="stable").astype(np.int32)
    bounds = np.searchsorted(sample[order], np.arange(count + 1, dtype=np.int16), side="left")
    return order, bounds.astype(np.int64)


def build_timeline(result: RunResult, demand: Demand, limit: int = SAMPLES) -> Timeline:
    """Walk over the run once and sample it at no more than `limit` instants."""
    begin, finish = span_us(result, demand.submit_us)
    at_us = sample_instants(begin, finish, limit)
    total = int(demand.node_gpu_milli.sum())
    seen = _Seen(result, demand, len(at_us))
    walk = _Walk(result, demand, at_us)
    for k in range(len(at_us)):
        walk.to(k)
        seen.look(k, walk.used, walk.members > 0)
    cycle = np.searchsorted(result.time_us, at_us, side="right") - 1
    known = cycle >= 0  # nothing waits before the first cycle
    return Timeline(
        begin_us=begin,
        finish_us=finish,
        at_us=at_us,
        allocated=seen.allocated,
        stranded=seen.stranded,
        idle=total - seen.allocated,
        total=total,
        free_nodes=seen.free_nodes,
        waiting_gangs=_during(result.waiting_gangs, cycle, known),
        waiting_members=_during(result.waiting_members, cycle, known),
        blocked=_during(result.blocked, cycle, known),
        sizes={name: c.sizes.tolist() for name, c in seen.counters.items()},
        slots=seen.slots,
        heat=seen.heat,
    )


class _Seen:
    """The columns of K samples, filled one after the other."""

    def __init__(self, result: RunResult, demand: Demand, samples: int) -> None:
        self.gpu = demand.node_gpu_milli
        self.counters = slot_counters(result, demand)
        self.heaters = _heaters(result, demand)
        self.allocated = np.zeros(samples, np.int64)
        self.stranded = np.zeros(samples, np.int64)
        self.free_nodes = np.zeros(samples, np.int32)
        self.slots: dict[str, I64] = {
            name: np.zeros((samples, len(counter.sizes)), np.int64)
            for name, counter in self.counters.items()
        }
        self.heat: tuple[I16, ...] = tuple(
            np.zeros((samples, len(heater.weight)), np.int16) for heater in self.heaters
        )

    def look(self, k: int, used: I64, busy: Bool) -> None:
        """Fill sample k. used: GPU thousandths [N]; busy: the row holds a member [N]."""
        self.allocated[k] = used.sum()
        self.stranded[k] = (self.gpu - used)[busy].sum()
        self.free_nodes[k] = np.count_nonzero(~busy)
        for name, counter in self.counters.items():
            self.slots[name][k] = counter.count(~busy)
        use = used if self.gpu.any() else busy.astype(np.int64) * 1000
        for column, heater in zip(self.heat, self.heaters, strict=True):
            column[k] = heater.share(use)


def _during(column: _Column, cycle: I64, known: Bool) -> _Column:
    out = np.zeros((len(cycle), *column.shape[1:]), column.dtype)
    out[known] = column[cycle[known]]
    return out


@dataclass(frozen=True, eq=False)
class SlotCounter:
    """Counts gang slots of one level: whole free nodes per (domain, pool), divided by the size."""

    group: I32
    """[N] dense number of the row's (domain, pool); groups is one past the last."""
    groups: int
    sizes: I64
    """[S] powers of two up to the largest group."""

    def count(self, free: Bool) -> I64:
        """[S] sum over groups of floor(free nodes / size). `free`: bool [N]."""
        nodes = np.bincount(self.group[free], minlength=self.groups)
        slots: I64 = (nodes[:, None] // self.sizes).sum(axis=0, dtype=np.int64)
        return slots


def slot_counters(result: RunResult, demand: Demand) -> dict[str, SlotCounter]:
    """A counter for the whole cluster and for each level, root first.

    A gang stays in one pool, so free nodes of two pools in one domain never add up. A node
    without the level's label is in no domain there: it holds slots of one node only.
    """
    nodes = result.topology.nodes
    pools = int(demand.node_pool.max()) + 1 if nodes else 0
    counters: dict[str, SlotCounter] = {}
    for level in range(-1, len(result.topology.levels)):
        name = result.topology.levels[level] if level >= 0 else CLUSTER_NAME
        key = demand.domain(result.topology, level) * pools + demand.node_pool
        values, group = np.unique(key, return_inverse=True)
        largest = int(np.bincount(group).max()) if nodes else 0
        sizes = 2 ** np.arange(largest.bit_length(), dtype=np.int64)
        counters[name] = SlotCounter(group.astype(np.int32), len(values), sizes)
    return counters


@dataclass(frozen=True, eq=False)
class _Heater:
    """Share of each labelled domain of one level that is in use."""

    index: I32
    """[N] place of the row's domain in path order; one past the last without a label."""
    weight: I64
    """[domains] what there is to use; at least 1, so that empty domains read 0."""

    def share(self, use: I64) -> I64:
        by_domain = np.bincount(self.index, weights=use, minlength=len(self.weight) + 1)
        return by_domain[:-1].astype(np.int64) * 1000 // self.weight


def _heaters(result: RunResult, demand: Demand) -> list[_Heater]:
    topology = result.topology
    gpu = demand.node_gpu_milli
    weight = gpu if gpu.any() else np.full(topology.nodes, 1000, np.int64)
    heaters = []
    for level, domains in enumerate(topology.by_level):
        place = np.full(topology.domains + 1, len(domains), np.int32)
        place[domains] = np.arange(len(domains))
        # domains_at says -1 for a row without the label: the last place
        index = place[topology.domains_at(np.arange(topology.nodes, dtype=np.int32), level)]
        sums = np.bincount(index, weights=weight, minlength=len(domains) + 1)[:-1]
        heaters.append(_Heater(index, np.maximum(sums.astype(np.int64), 1)))
    return heaters


def gpu_peak_milli(result: RunResult, demand: Demand) -> int:
    """Most GPU thousandths in use at one instant: exact, from every start and end."""
    ran = result.placed
    delta = np.concatenate((demand.gang_gpu_milli[ran], -demand.gang_gpu_milli[ran]))
    when = np.concatenate((result.start_us[ran], result.end_us[ran]))
    order = np.lexsort((delta, when))  # at one instant completions (negative) come first
    level = np.cumsum(delta[order])
    return int(level.max(initial=0))


def blocked_us(result: RunResult, finish_us: int) -> dict[str, int]:
    """Gang-microseconds spent waiting, by cause. Each cycle's counts hold until the next one."""
    if not len(result.time_us):
        return dict.fromkeys(CAUSES, 0)
    lasted = np.diff(result.time_us, append=max(finish_us, int(result.time_us[-1])))
    # Python integers: gangs x microseconds can pass 2^63 on long, crowded traces.
    return {
        cause: sum(n * us for n, us in zip(column.tolist(), lasted.tolist(), strict=True) if n)
        for cause, column in zip(CAUSES, result.blocked.T, strict=True)
    }
