"""Small traces and a first-fit simulator that counts GPUs only, to make runs for tests."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from scheduler.model.topology import Topology
from scheduler.replay.result import CAUSES, OptionValue, RunResult, Status
from scheduler.replay.trace import GangColumns, NodeColumns, ShapeRows, Trace, column

GPUS = 8


@dataclass(frozen=True)
class Ask:
    """One gang: its shapes as (members, GPUs each); times in microseconds."""

    submit: int
    duration: int
    shapes: tuple[tuple[int, int], ...]
    pool: str = ""
    key: str = ""


def ask(submit: int, duration: int, members: int, gpu: int = GPUS, pool: str = "") -> Ask:
    """A gang of one shape."""
    return Ask(submit, duration, ((members, gpu),), pool)


def toy_trace(
    labels: Sequence[tuple[str, ...]],
    asks: Sequence[Ask],
    levels: tuple[str, ...] = ("spine", "leaf"),
    pools: Sequence[str] = (),
    gpu: int = GPUS,
    dropped: Mapping[str, int] | None = None,
) -> Trace:
    """Nodes n0, n1, ... with `labels[row]` per level (root first) and `gpu` GPUs each."""
    n, rows = len(labels), [(g, c, u) for g, a in enumerate(asks) for c, u in a.shapes]
    g = len(asks)
    nodes = NodeColumns(
        names=tuple(f"n{row}" for row in range(n)),
        pool=tuple(pools) or ("",) * n,
        model=("",) * n,
        cpu_milli=column([64_000] * n),
        memory_bytes=column([1 << 39] * n),
        gpu=column([gpu] * n),
        pods=column([110] * n),
        labels=tuple(tuple(values[lv] for values in labels) for lv in range(len(levels))),
    )
    gangs = GangColumns(
        keys=tuple(a.key or f"g{at}" for at, a in enumerate(asks)),
        pool=tuple(a.pool for a in asks),
        submit_us=column(a.submit for a in asks),
        duration_us=column(a.duration for a in asks),
        priority=column([0] * g),
        minimum=column(sum(c for c, _ in a.shapes) for a in asks),
        segment_size=column([0] * g),
        required=("",) * g,
        preferred=("",) * g,
        offset=column([0, *accumulate(len(a.shapes) for a in asks)]),
    )
    shape_rows = ShapeRows(
        gang=column(at for at, _, _ in rows),
        shape=("x",) * len(rows),
        count=column(c for _, c, _ in rows),
        cpu_milli=column([0] * len(rows)),
        memory_bytes=column([0] * len(rows)),
        gpu=column(u for _, _, u in rows),
        gpu_milli=column(1000 if u else 0 for _, _, u in rows),
        model=("",) * len(rows),
    )
    return Trace("toy", "made up", "CC0-1.0", levels, nodes, gangs, shape_rows, dict(dropped or {}))


@dataclass
class _Series:
    time: list[int] = field(default_factory=list)
    waiting: list[tuple[int, int]] = field(default_factory=list)
    blocked: list[list[int]] = field(default_factory=list)


def first_fit(
    trace: Trace, *, strict: bool = False, options: Mapping[str, OptionValue] | None = None
) -> RunResult:
    """FIFO over one queue: completions, arrivals, one pass. Members take the lowest rows."""
    sizes = trace.sizes().tolist()
    offset = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    wants = np.repeat(trace.rows.gpu, trace.rows.count)
    free = trace.nodes.gpu.copy()
    row = np.full(offset[-1], -1, np.int32)
    start = np.full(len(sizes), -1, np.int64)
    status = np.full(len(sizes), Status.UNPLACED, np.int8)
    arrivals = sorted(range(len(sizes)), key=lambda g: (int(trace.gangs.submit_us[g]), g))
    queue: list[int] = []
    ends: list[tuple[int, int]] = []
    series = _Series()
    while arrivals or ends:
        now = min(
            ([int(trace.gangs.submit_us[arrivals[0]])] if arrivals else [])
            + ([ends[0][0]] if ends else [])
        )
        while ends and ends[0][0] == now:
            gone = heapq.heappop(ends)[1]
            part = slice(offset[gone], offset[gone + 1])
            np.add.at(free, row[part], wants[part])
        while arrivals and int(trace.gangs.submit_us[arrivals[0]]) == now:
            gang = arrivals.pop(0)
            part = slice(offset[gang], offset[gang + 1])
            if _place(trace, gang, trace.nodes.gpu.copy(), wants[part]) is None:
                status[gang] = Status.NEVER_FITS
            else:
                queue.append(gang)
        still: list[int] = []
        for gang in queue:
            part = slice(offset[gang], offset[gang + 1])
            took = None if strict and still else _place(trace, gang, free, wants[part])
            if took is None:
                still.append(gang)
                continue
            row[part] = took
            np.subtract.at(free, row[part], wants[part])
            start[gang], status[gang] = now, Status.PLACED
            heapq.heappush(ends, (now + int(trace.gangs.duration_us[gang]), gang))
        queue = still
        series.time.append(now)
        series.waiting.append((len(queue), sum(sizes[gang] for gang in queue)))
        blocked = [0] * len(CAUSES)
        for at, gang in enumerate(queue):
            short = int(wants[offset[gang] : offset[gang + 1]].sum()) > int(free.sum())
            blocked[0 if strict and at else 1 if short else 2] += 1
        series.blocked.append(blocked)
    end = np.where(start >= 0, start + trace.gangs.duration_us, -1)
    return make_result(trace, trace.topology(), start, end, status, row, series, options)


def _place(trace: Trace, gang: int, free: np.ndarray, wants: np.ndarray) -> list[int] | None:
    free, at = free.copy(), 0
    taken: list[int] = []
    pool = trace.gangs.pool[gang]
    for want in wants.tolist():
        if taken and want != wants[len(taken) - 1]:
            at = 0
        while at < len(free) and (free[at] < want or trace.nodes.pool[at] != pool):
            at += 1
        if at == len(free):
            return None
        free[at] -= want
        taken.append(at)
    return taken


def make_result(
    trace: Trace,
    topology: Topology,
    start: np.ndarray,
    end: np.ndarray,
    status: np.ndarray,
    row: np.ndarray,
    series: _Series | None = None,
    options: Mapping[str, OptionValue] | None = None,
) -> RunResult:
    """A RunResult from plain columns."""
    series = series or _Series()
    waiting = np.array(series.waiting, np.int64).reshape(-1, 2)
    return RunResult(
        trace=trace,
        topology=topology,
        options=options or {"placement": "first-fit", "order": "fifo", "scan": "greedy", "seed": 1},
        start_us=np.asarray(start, np.int64),
        end_us=np.asarray(end, np.int64),
        status=np.asarray(status, np.int8),
        offset=np.concatenate(([0], np.cumsum(trace.sizes()))).astype(np.int64),
        row=np.asarray(row, np.int32),
        time_us=np.array(series.time, np.int64),
        waiting_gangs=waiting[:, 0].astype(np.int32),
        waiting_members=waiting[:, 1].copy(),
        blocked=np.array(series.blocked, np.int32).reshape(-1, len(CAUSES)),
    )
