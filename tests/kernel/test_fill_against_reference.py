"""The compiled fill and its readable twin place every pod alike, whatever the policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.kernel import KernelArgumentError
from scheduler.model.arrays import I32, I64
from scheduler.replay.fgd import kernel, reference
from scheduler.replay.fgd.policy import FillPolicy
from scheduler.replay.fgd.problem import Problem, problem_of
from tests.replay.shared_gpus import PodRow, pods_trace

POLICIES = tuple(FillPolicy)
MILLI = st.one_of(st.integers(1, 1000), st.sampled_from([200, 300, 500, 700, 999, 1000]))


@st.composite
def pods(draw: st.DrawFn) -> PodRow:
    """Without GPU, sharing one, or on one to three; CPU sometimes above what the policies know."""
    gpus = draw(st.sampled_from([0, 1, 1, 1, 2, 3]))
    milli = draw(MILLI) if gpus == 1 else 1000 * (gpus > 0)
    cpu = draw(st.sampled_from([0, 1000, 4000, 8000, 60_000]))
    return cpu, draw(st.integers(0, 4)), gpus, milli, draw(st.sampled_from(["", "A", "A|B", "C"]))


@st.composite
def fills(draw: st.DrawFn) -> tuple[Problem, I64, I32, I64]:
    """(problem, order of nodes, arrivals, draws) small enough for the twin."""
    node = st.tuples(
        st.sampled_from([0, 8000, 96_000, 300_000]),
        st.integers(0, 12),
        st.sampled_from([0, 1, 2, 4, 10]),
        st.sampled_from(["A", "B"]),
    )
    nodes = [*draw(st.lists(node, max_size=4)), (96_000, 9, draw(st.integers(1, 3)), "A")]
    rows = draw(st.lists(pods(), min_size=1, max_size=6))
    problem = problem_of(pods_trace(nodes, rows))
    order = np.array(draw(st.permutations(range(len(nodes)))), np.int64)
    kind = st.integers(0, len(problem.kinds) - 1)
    arrivals = np.array(draw(st.lists(kind, max_size=14)), np.int32)
    one = st.integers(0, kernel.DRAWS - 1)
    pair = st.lists(one, min_size=2, max_size=2)
    count = len(arrivals)
    draws = np.array(draw(st.lists(pair, min_size=count, max_size=count)), np.int64)
    return problem, order, arrivals, draws.reshape(count, 2)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
@given(case=fills())
def test_the_fill(policy: FillPolicy, case: tuple[Problem, I64, I32, I64]) -> None:
    """Nodes of all pods and fragmentation after each are those of the twin."""
    got = kernel.fill(case[0], policy, *case[1:])
    assert (got.node.tolist(), got.amount.tolist()) == reference.fill(case[0], policy, *case[1:])


def crowd(seed: int) -> tuple[Problem, I64, I32, I64]:
    """Many alike nodes and pods until nothing fits: scores are close, and history decides."""
    rng = np.random.Generator(np.random.PCG64(seed))
    nodes = [
        (int(cpu), 400, int(gpus), str(model))
        for cpu, gpus, model in zip(
            rng.choice([32_000, 64_000, 96_000], 9),
            rng.choice([2, 4, 8], 9),
            rng.choice(["A", "A", "B"], 9),
            strict=True,
        )
    ]
    # Near each other, so that devices differ by less than a point of a score.
    milli = [int(value) for value in rng.choice(np.arange(300, 360), 5, replace=False)]
    sizes = [(1, one) for one in milli] + [(1, 1000), (2, 1000), (4, 1000), (0, 0)]
    rows: list[PodRow] = [
        (int(rng.integers(1, 16)) * 1000, 3, gpus, one, "B" if rng.integers(6) == 0 else "")
        for gpus, one in sizes
    ]
    problem = problem_of(pods_trace(nodes, rows))
    arrivals = rng.integers(len(rows), size=70).astype(np.int32)
    draws = rng.integers(kernel.DRAWS, size=(70, 2), dtype=np.int64)
    return problem, rng.permutation(9).astype(np.int64), arrivals, draws


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p.name)
def test_crowded_fills(policy: FillPolicy) -> None:
    """The same until the cluster is full; most pods are placed, and some are not."""
    for seed in range(12):
        case = crowd(seed)
        got = kernel.fill(case[0], policy, *case[1:])
        want = reference.fill(case[0], policy, *case[1:])
        assert (got.node.tolist(), got.amount.tolist()) == want
        assert 20 < int((got.node >= 0).sum()) < 70


def test_arguments_that_the_kernel_would_trust_are_checked() -> None:
    """Kinds, nodes and draws out of range, and columns of another shape, are refused."""
    problem = problem_of(pods_trace([(8000, 4, 2, "A")], [(1000, 1, 1, 500, "")]))
    nodes, arrivals = np.zeros(1, np.int64), np.zeros(3, np.int32)
    draws = np.zeros((3, 2), np.int64)
    wide = problem.kinds.copy()
    wide[0, 1] = kernel.MOST_DEVICES + 1
    for arguments in (
        (problem, nodes + 1, arrivals, draws),
        (problem, nodes, arrivals + 1, draws),
        (problem, nodes, arrivals, draws + kernel.DRAWS),
        (problem, nodes, arrivals, draws[:2]),
        (replace(problem, kinds=wide), nodes, arrivals, draws),
        (replace(problem, model=problem.model + np.int32(1)), nodes, arrivals, draws),
        (replace(problem, threshold=problem.threshold[:9]), nodes, arrivals, draws),
    ):
        with pytest.raises(KernelArgumentError):
            kernel.fill(arguments[0], FillPolicy.FGD, *arguments[1:])
