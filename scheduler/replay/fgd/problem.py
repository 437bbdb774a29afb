"""A trace as the fill sees it: kinds of pods, typical types, nodes and devices as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.errors import UsageError
from scheduler.model.arrays import I32, I64, U8, frozen
from scheduler.replay.fgd.policy import fgd_thresholds
from scheduler.replay.trace import WHOLE_GPU, Trace

TYPICAL_PERCENT = 95
"""Typical types are the most popular ones that make up at least this share of the pods."""

Kind = tuple[int, int, int, int, str]
"""(milli-CPU, GPUs, milli of each, bytes of memory, models) of a pod."""

Type = tuple[int, int, int, str]
"""The same without memory, which fragmentation ignores."""


@dataclass(frozen=True, eq=False, slots=True)
class Problem:
    """N nodes in the trace's order, P pods, K kinds, M typical types, V models, W devices."""

    trace: Trace
    kinds: I64
    """[K, 4] milli-CPU, GPUs, milli of each, bytes."""
    may_use: U8
    """[K, V] whether a kind may run on a GPU model."""
    typical: I64
    """[M, 4] milli-CPU, GPUs, milli of each, pods of the type."""
    typical_may_use: U8
    """[M, V]"""
    threshold: I64
    """[99] of `fgd_thresholds`."""
    kind: I32
    """[P] kind of each gang of the trace."""
    gpu_milli: I64
    """[P] GPU milli that a pod asks for in all."""
    model: I32
    """[N]"""
    devices: I64
    """[N]"""
    free: I64
    """[N, 2] milli-CPU and bytes."""
    idle: I64
    """[N, W] milli of each device; 0 where the node has no such device."""

    @property
    def total(self) -> int:
        """GPU milli of the cluster."""
        return int(self.devices.sum()) * WHOLE_GPU


def problem_of(trace: Trace) -> Problem:
    """The columns of `trace`. Raises UsageError if it is not one of single pods on GPU nodes."""
    rows, nodes = trace.rows, trace.nodes
    if not len(rows) or len(rows) != len(trace.gangs) or (rows.count != 1).any():
        raise UsageError(
            f"trace {trace.name} has gangs of several members (or none at all)",
            "the fgd placements fill a cluster with single pods; choose another --placement",
        )
    if len(set(nodes.pool) | set(trace.gangs.pool)) > 1 or not nodes.gpu.any():
        what = f"trace {trace.name} has several pools, or no GPU"
        raise UsageError(what, "narrow it with --pool, or choose another --placement")
    columns = (rows.cpu_milli, rows.gpu, rows.gpu_milli, rows.memory_bytes)
    pods: list[Kind] = list(zip(*(c.tolist() for c in columns), rows.model, strict=True))
    kinds = list(dict.fromkeys(pods))
    number = {kind: k for k, kind in enumerate(kinds)}
    typical = typical_types(pods)
    models = sorted(set(nodes.model))
    devices = np.arange(int(nodes.gpu.max()))
    return Problem(
        trace=trace,
        kinds=frozen(np.array([kind[:4] for kind in kinds], np.int64)),
        may_use=_may_use([kind[4] for kind in kinds], models),
        typical=frozen(np.array([(*one[:3], count) for one, count in typical], np.int64)),
        typical_may_use=_may_use([one[3] for one, _ in typical], models),
        threshold=fgd_thresholds(sum(count for _, count in typical)),
        kind=frozen(np.array([number[pod] for pod in pods], np.int32)),
        gpu_milli=frozen(rows.gpu * rows.gpu_milli),
        model=frozen(np.array([models.index(name) for name in nodes.model], np.int32)),
        devices=nodes.gpu,
        free=frozen(np.stack((nodes.cpu_milli, nodes.memory_bytes), axis=1)),
        idle=frozen(np.where(devices < nodes.gpu[:, None], WHOLE_GPU, 0).astype(np.int64)),
    )


def typical_types(pods: Sequence[Kind]) -> list[tuple[Type, int]]:
    """The most popular types and how many pods each has; equally popular ones in their order.

    As many as are needed to make up TYPICAL_PERCENT of the pods; types without GPU count too.
    """
    counts = Counter((cpu, gpus, milli, model) for cpu, gpus, milli, _, model in pods)
    chosen: list[tuple[Type, int]] = []
    covered = 0
    for one, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if 100 * covered >= TYPICAL_PERCENT * len(pods):
            break
        chosen.append((one, count))
        covered += count
    return chosen


def _may_use(wanted: Sequence[str], models: Sequence[str]) -> U8:
    may = [[not names or model in names.split("|") for model in models] for names in wanted]
    return frozen(np.array(may, np.uint8).reshape(len(wanted), len(models)))


def draw_arrivals(problem: Problem, times: float, seed: int) -> tuple[I64, np.random.Generator]:
    """Pods (numbers of gangs) in order of arrival, and the generator for what is drawn next.

    All pods by name, shuffled; then pods drawn with replacement, until the next one's milli of
    one GPU would pass `times` the cluster's GPUs (of all its GPUs may, so the end is overshot
    by less than a node). A cluster too small for all pods gets them up to the same limit.
    Raises UsageError if no pod asks for a GPU.
    """
    if not problem.gpu_milli.any():
        raise UsageError("--fill needs a trace whose gangs have GPUs")
    generator = np.random.Generator(np.random.PCG64(seed))
    keys = problem.trace.gangs.keys
    order = sorted(range(len(keys)), key=keys.__getitem__)
    order = [order[at] for at in generator.permutation(len(order)).tolist()]
    # Thousandths of a milli, so that the end is decided in whole numbers.
    most = round(times * 1000) * problem.total
    milli, one = problem.gpu_milli.tolist(), problem.trace.rows.gpu_milli.tolist()
    arrived = 0
    for count, pod in enumerate(order):
        if (arrived + one[pod]) * 1000 > most:
            return np.array(order[:count], np.int64), generator
        arrived += milli[pod]
    while True:
        pod = int(generator.integers(len(keys)))
        if (arrived + one[pod]) * 1000 > most:
            return np.array(order, np.int64), generator
        order.append(pod)
        arrived += milli[pod]
