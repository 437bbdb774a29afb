"""The fill of a cluster, measured by how much has arrived; seeds and policies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import mean

import numpy as np

from scheduler.model.arrays import I64
from scheduler.replay.arrival import at_arrival
from scheduler.replay.fgd.kernel import DRAWS, fill
from scheduler.replay.fgd.policy import FillPolicy
from scheduler.replay.fgd.problem import Problem, draw_arrivals

ALLOCATION_AT = (100, 130)
FRAGMENTATION_AT = (80, 100, 130)
"""Percent of the cluster's GPUs that have arrived: the columns of the published table."""

WORKERS = 2
"""Runs at a time: each holds a score per kind and node, so many at once would not be faster."""


@dataclass(frozen=True, eq=False, slots=True)
class FillRun:
    """One fill: A pods in order of arrival."""

    pods: I64
    """[A] number of the gang that arrived."""
    row: I64
    """[A] row of its node in the trace, or -1."""
    arrived: I64
    """[A] GPU milli that had arrived."""
    used: I64
    """[A] GPU milli in use."""
    amount: I64
    """[A] fragmentation of the cluster, in milli x pods of typical types."""


def run_fill(problem: Problem, policy: FillPolicy, times: float, seed: int) -> FillRun:
    """Fills the cluster up to `times` its GPUs. Arrivals and node order depend on `seed` only."""
    pods, generator = draw_arrivals(problem, times, seed)
    nodes = generator.permutation(len(problem.model)).astype(np.int64)
    draws = generator.integers(DRAWS, size=(len(pods), 2), dtype=np.int64)
    filled = fill(problem, policy, nodes, problem.kind[pods], draws)
    placed = filled.node >= 0
    milli = problem.gpu_milli[pods]
    return FillRun(
        pods=pods,
        row=np.where(placed, nodes[filled.node], -1),
        arrived=np.cumsum(milli),
        used=np.cumsum(np.where(placed, milli, 0)),
        amount=filled.amount,
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the arrivals at each percent, in percent of the cluster's GPUs."""

    allocation: dict[int, float]
    fragmentation: dict[int, float]


def figures(problem: Problem, run: FillRun) -> Figures:
    """The published columns of one run; a column that no arrival reached is left out."""
    weights = int(problem.typical[:, 3].sum())

    def column(values: I64, whole: int, percents: Sequence[int]) -> dict[int, float]:
        means = at_arrival(run.arrived, problem.total, values, percents)
        found = zip(percents, means, strict=True)
        return {at: float(100 * value / whole) for at, value in found if value is not None}

    return Figures(
        allocation=column(run.used, problem.total, ALLOCATION_AT),
        fragmentation=column(run.amount, problem.total * weights, FRAGMENTATION_AT),
    )


def mean_figures(runs: Sequence[Figures]) -> Figures:
    """The mean over seeds, of columns that all of them have."""

    def over(columns: Sequence[dict[int, float]]) -> dict[int, float]:
        shared = set.intersection(*(set(column) for column in columns))
        return {at: mean(column[at] for column in columns) for at in sorted(shared)}

    return Figures(
        over([run.allocation for run in runs]), over([run.fragmentation for run in runs])
    )


def run_seeds(
    problem: Problem, policy: FillPolicy, times: float, seeds: Sequence[int]
) -> list[Figures]:
    """The policy's figures seed by seed, in that order, whichever run ends first."""

    def one(seed: int) -> Figures:
        return figures(problem, run_fill(problem, policy, times, seed))

    # Threads: the kernel works without the interpreter's lock.
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(one, seeds))
