"""The crossing to the compiled fill: makes its arrays, checks ranges, runs it.

Its readable twin is `reference.fill`. The kernel holds no lock while it works: runs go side by
side in threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler import _fill
from scheduler.kernel import KernelArgumentError, check, check_range
from scheduler.model.arrays import I32, I64
from scheduler.replay.fgd.policy import FillPolicy
from scheduler.replay.fgd.problem import Problem
from scheduler.replay.trace import WHOLE_GPU

MOST_DEVICES = 62
"""GPUs of a node: the groups of Clustering are bits of an int64."""

MOST_CPU_MILLI = 2**26
"""Milli-CPU of a node or pod: products of two stay inside int64, fifty times over."""

MOST_BYTES = 2**53

MOST_PODS = 2**26
"""Pods of a typical type: thresholds of FGD stay inside int64."""

MOST_AMOUNT = 2**62
"""Fragmentation of a cluster: pods of typical types x GPU milli."""

DRAWS = 2**31


@dataclass(frozen=True, eq=False, slots=True)
class Filled:
    """What became of A pods in order of arrival."""

    node: I32
    """[A] node of each pod, or -1."""
    amount: I64
    """[A] fragmentation of the cluster after each arrival, in milli x pods."""


def fill(problem: Problem, policy: FillPolicy, nodes: I64, arrivals: I32, draws: I64) -> Filled:
    """Places kinds `arrivals` int32[A] one by one on the problem's nodes, tried in order `nodes`.

    nodes int64[N]: a permutation; `Filled.node` are positions in it. draws int64[A, 2] in
    [0, 2**31): a node and a device, for RANDOM only. Raises KernelArgumentError.
    """
    count, width = problem.idle.shape
    pods, kinds = arrivals.shape[0], problem.kinds.shape[0]
    _check(problem)
    check("nodes", nodes, np.int64, (count,))
    check_range("nodes", nodes, 0, count)
    check("arrivals", arrivals, np.int32, (pods,))
    check_range("arrivals", arrivals, 0, kinds)
    check("draws", draws, np.int64, (pods, 2))
    check_range("draws", draws, 0, DRAWS)
    filled = Filled(np.empty(pods, np.int32), np.empty(pods, np.int64))
    _fill.fill(
        policy, problem.kinds, problem.may_use, problem.typical, problem.typical_may_use,
        problem.threshold, problem.model[nodes], problem.devices[nodes], arrivals, draws,
        problem.free[nodes], problem.idle[nodes], np.zeros(count, np.int64),
        np.empty(count, np.int64), np.empty((kinds, count), np.int8), np.empty(width, np.int64),
        filled.node, filled.amount,
    )  # fmt: skip
    return filled


def _check(problem: Problem) -> None:
    """What the kernel indexes with, and what it multiplies."""
    kinds, typical = problem.kinds, problem.typical
    (count, width), models = problem.idle.shape, problem.may_use.shape[1]
    for name, array, dtype, shape in (
        ("kinds", kinds, np.int64, (kinds.shape[0], 4)),
        ("may_use", problem.may_use, np.uint8, (kinds.shape[0], models)),
        ("typical", typical, np.int64, (typical.shape[0], 4)),
        ("typical_may_use", problem.typical_may_use, np.uint8, (typical.shape[0], models)),
        ("threshold", problem.threshold, np.int64, (99,)),
        ("model", problem.model, np.int32, (count,)),
        ("devices", problem.devices, np.int64, (count,)),
        ("free", problem.free, np.int64, (count, 2)),
        ("idle", problem.idle, np.int64, (count, width)),
    ):
        check(name, array, dtype, shape)
    for name, array, high in (
        ("CPU of kinds", kinds[:, 0], MOST_CPU_MILLI),
        ("CPU of types", typical[:, 0], MOST_CPU_MILLI),
        ("GPUs of kinds", kinds[:, 1], MOST_DEVICES),
        ("GPUs of types", typical[:, 1], MOST_DEVICES),
        ("GPU milli of kinds", kinds[:, 2], WHOLE_GPU),
        ("GPU milli of types", typical[:, 2], WHOLE_GPU),
        ("memory of kinds", kinds[:, 3], MOST_BYTES),
        ("pods of types", typical[:, 3], MOST_PODS),
        ("model", problem.model, models - 1),
        ("devices", problem.devices, min(width, MOST_DEVICES)),
        ("CPU of nodes", problem.free[:, 0], MOST_CPU_MILLI),
        ("memory of nodes", problem.free[:, 1], MOST_BYTES),
        ("idle", problem.idle, WHOLE_GPU),
    ):
        check_range(name, array, 0, high + 1)
    if int(typical[:, 3].sum()) * int(problem.idle.sum()) > MOST_AMOUNT:
        raise KernelArgumentError("pods of types x idle: the sum passes int64")
