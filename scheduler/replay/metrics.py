"""The numbers of a run: `summary.json`, with the keys of docs/report.md.

Times are seconds with three digits, shares are 0 to 1 with six; null where a number does not
apply (no gang ran, no GPU in the cluster, arrivals not counted against capacity).

- completion = end - submit, wait = start - submit, over the gangs that ran. Percentiles are
  nearest-rank: a wait that really happened, and integers until the last division.
- gpu_allocation: GPUs given to members, not how busy they were; mean over makespan, exact.
- fragmentation.amount: idle GPUs on nodes that hold a member ("stranded": no gang of whole
  nodes can use them) / all GPUs, a mean over time; ratio: the same / idle GPUs.
- slots: gangs of S whole nodes that could start at this moment inside one domain, a mean over
  time (`timeline.py`); a fabric without levels is the row `cluster`.
- blocked_s: gang-seconds of waiting by what stood in the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from scheduler.model.arrays import I64
from scheduler.replay.arrival import at_arrival
from scheduler.replay.demand import Demand, demand_of
from scheduler.replay.locality import Locality, measure_locality
from scheduler.replay.result import RunResult, Status
from scheduler.replay.slowdown import Slowdown, SlowdownModel, estimate_slowdown
from scheduler.replay.timeline import Timeline, blocked_us, build_timeline, gpu_peak_milli

SCHEMA_VERSION = 1

Summary: TypeAlias = dict[str, Any]
"""JSON values only: what `summary.json` holds."""

_SECOND = 1_000_000
_LONG_WAIT_US = 60 * _SECOND


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything the report and the run directory are made from; computed once per run."""

    result: RunResult
    demand: Demand
    timeline: Timeline
    locality: list[Locality]
    slowdown: Slowdown
    summary: Summary


def analyse(result: RunResult, model: SlowdownModel | None = None) -> Analysis:
    """All metrics of a run. Raises ValueError if result and trace do not belong together."""
    demand = demand_of(result)
    timeline = build_timeline(result, demand)
    locality = measure_locality(result, demand)
    slowdown = estimate_slowdown(result.topology, locality, model)
    summary = _summary(result, demand, timeline, locality, slowdown)
    return Analysis(result, demand, timeline, locality, slowdown, summary)


def _summary(
    result: RunResult,
    demand: Demand,
    timeline: Timeline,
    locality: list[Locality],
    slowdown: Slowdown,
) -> Summary:
    ran = result.placed
    wait_us = result.start_us[ran] - demand.submit_us[ran]
    blocked = blocked_us(result, timeline.finish_us)
    return {
        "schema_version": SCHEMA_VERSION,
        "trace": result.trace.name,
        "options": {key: result.options[key] for key in sorted(result.options)},
        "counts": _counts(result),
        "jct_s": spread(result.end_us[ran] - demand.submit_us[ran]),
        "wait_s": {
            **spread(wait_us),
            "over_60s": int(np.count_nonzero(wait_us > _LONG_WAIT_US)),
        },
        "wait_by_size": wait_by_size(result.members[ran], wait_us),
        "makespan_s": seconds(timeline.finish_us - timeline.begin_us),
        "gpu_allocation": _allocation(result, demand, timeline),
        "fragmentation": {
            "amount": share(int(timeline.stranded.sum()), timeline.total * len(timeline.at_us)),
            "ratio": share(int(timeline.stranded.sum()), int(timeline.idle.sum())),
        },
        "locality": {one.level: _locality(one) for one in locality},
        "slots": {name: _slots(timeline, name) for name in timeline.sizes},
        "blocked_s": {cause: seconds(us) for cause, us in blocked.items()},
        "slowdown": {
            "low": _round(slowdown.low, 6),
            "mid": _round(slowdown.mid, 6),
            "high": _round(slowdown.high, 6),
            "source": slowdown.source,
        },
    }


def _counts(result: RunResult) -> dict[str, int]:
    restarts = {} if result.restarts is None else {"restarts": int(result.restarts.sum())}
    return {
        "gangs": result.gangs,
        "pods": len(result.row),
        "placed": len(result.placed),
        "never_fits": int(np.count_nonzero(result.status == Status.NEVER_FITS)),
        "dropped_rows": sum(result.trace.dropped_rows.values()),
        **restarts,
    }


def seconds(us: int) -> float:
    """Microseconds as seconds with three digits."""
    return _round(us / _SECOND, 3)


def share(part: int, whole: int) -> float | None:
    """Divide with six digits, or None of nothing."""
    return _round(part / whole, 6) if whole else None


def _round(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # + 0.0: never -0.0


def spread(us: I64) -> dict[str, float | None]:
    """Mean, nearest-rank percentiles and maximum of times in microseconds, as seconds."""
    if not len(us):
        return dict.fromkeys(("mean", "p50", "p95", "p99", "max"))
    ordered = np.sort(us)
    count = len(ordered)

    def rank(percent: int) -> float:
        return seconds(int(ordered[-(-percent * count // 100) - 1]))

    return {
        "mean": _round(sum(ordered.tolist()) / (count * _SECOND), 3),
        "p50": rank(50),
        "p95": rank(95),
        "p99": rank(99),
        "max": seconds(int(ordered[-1])),
    }


def wait_by_size(members: I64, wait_us: I64) -> list[dict[str, float | int | None]]:
    """Waits by number of members, in buckets 1, 2-3, 4-7, 8-15, ...; empty ones are left out."""
    buckets = []
    power = np.frexp(members.astype(np.float64))[1] - 1  # floor(log2), exact for integers
    for at in np.unique(power).tolist():
        times = spread(wait_us[power == at])
        del times["p99"]
        count = int(np.count_nonzero(power == at))
        buckets.append({"from": 2**at, "to": 2 ** (at + 1) - 1, "count": count, **times})
    return buckets


def mean_slots(timeline: Timeline, name: str) -> list[float]:
    """[sizes] gang slots of one level, a mean over time."""
    samples = max(len(timeline.at_us), 1)
    return [total / samples for total in timeline.slots[name].sum(axis=0).tolist()]


def _slots(timeline: Timeline, name: str) -> dict[str, float]:
    means = mean_slots(timeline, name)
    sizes = timeline.sizes[name]
    return {str(size): _round(mean, 3) for size, mean in zip(sizes, means, strict=True)}


def _allocation(result: RunResult, demand: Demand, timeline: Timeline) -> dict[str, Any]:
    ran = result.placed
    milli = demand.gang_gpu_milli[ran].tolist()
    lasted = (result.end_us[ran] - result.start_us[ran]).tolist()
    # Python integers: GPU thousandths x microseconds pass 2^63 on large clusters.
    used = sum(gpus * us for gpus, us in zip(milli, lasted, strict=True))
    return {
        "mean": share(used, timeline.total * (timeline.finish_us - timeline.begin_us)),
        "max": share(gpu_peak_milli(result, demand), timeline.total),
        "at_arrival": _at_arrival(result, demand, timeline.total),
    }


def _at_arrival(result: RunResult, demand: Demand, total: int) -> dict[str, float | None]:
    """Of a fill (gangs arrive in trace order, nobody leaves): GPUs given when so many had come."""
    percents = (100, 130)
    if not result.options.get("fill") or not total:
        return {str(percent): None for percent in percents}
    wanted = np.concatenate(([0], np.cumsum(demand.member_gpu_milli, dtype=np.int64)))
    given = np.where(result.status == Status.PLACED, demand.gang_gpu_milli, 0)
    means = at_arrival(wanted[result.offset[1:]], total, np.cumsum(given), percents)
    return {
        str(percent): None if mean is None else _round(float(mean / total), 6)
        for percent, mean in zip(percents, means, strict=True)
    }


def _locality(one: Locality) -> dict[str, Any]:
    gangs, able = len(one.gang), one.single_able
    in_one = int(np.count_nonzero(one.used[able] == 1))
    crossing = one.cross_pair_share()
    return {
        "gangs": gangs,
        "single_able": int(np.count_nonzero(able)),
        "single_share": share(in_one, int(np.count_nonzero(able))),
        "mean_domains": share(int(one.used.sum()), gangs),
        "mean_ideal": share(int(one.ideal.sum()), gangs),
        "cross_pair_share": None if crossing is None else _round(crossing, 6),
    }
