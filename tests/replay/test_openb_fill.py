"""The fill experiment: what the policies choose, who arrives, what is measured."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scheduler.errors import UsageError
from scheduler.replay.arrival import at_arrival
from scheduler.replay.fgd.experiment import run_fill
from scheduler.replay.fgd.kernel import fill
from scheduler.replay.fgd.policy import POLICIES, FillPolicy, fgd_thresholds
from scheduler.replay.fgd.problem import draw_arrivals, problem_of, typical_types
from scheduler.replay.fgd.published import ORDER, PUBLISHED, SEEDS
from scheduler.replay.metrics import analyse
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.trace import Trace
from scheduler.replay.validate import validate
from tests.replay.shared_gpus import NodeRow, PodRow, pods_trace

BIG: NodeRow = (96_000, 100, 8, "A")
SMALL: NodeRow = (96_000, 100, 2, "A")


def placed(policy: FillPolicy, nodes: list[NodeRow], pods: list[PodRow]) -> list[int]:
    """Nodes of `pods`, which arrive in their order; nodes are tried in their order."""
    problem = problem_of(pods_trace(nodes, pods))
    count = len(pods)
    got = fill(problem, policy, np.arange(len(nodes)), problem.kind, np.zeros((count, 2), np.int64))
    return [int(node) for node in got.node]


def share(milli: int, cpu: int = 1000) -> PodRow:
    return cpu, 1, 1, milli, ""


def whole(gpus: int, models: str = "", memory: int = 1) -> PodRow:
    return 1000, memory, gpus, 1000, models


@pytest.mark.parametrize(
    ("policy", "pods", "nodes"),
    [
        # The third node is the smallest, so its room is tightest and its product lowest.
        (FillPolicy.BEST_FIT, [share(500), share(500), share(500)], [2, 2, 2]),
        (FillPolicy.DOTPROD, [share(500), share(500), share(500)], [2, 2, 2]),
        # A free small node (33 - 2) before a free big one; then shared devices before free ones.
        (FillPolicy.PACKING, [share(600), share(600), share(300)], [2, 2, 2]),
        (FillPolicy.PACKING, [whole(8), share(600), whole(1), share(300)], [0, 2, 2, 2]),
        # The small node counts as 6 of 8 used. Then one's own group, else a node without any.
        (FillPolicy.CLUSTERING, [whole(1), share(500), share(500), whole(1)], [2, 0, 0, 2]),
        # Without GPU everything is equal under Packing and Clustering: the first node.
        (FillPolicy.PACKING, [whole(2), (1000, 1, 0, 0, "")], [2, 0]),
        (FillPolicy.CLUSTERING, [whole(2), (1000, 1, 0, 0, "")], [2, 0]),
        # RANDOM with draws of 0: the first that fits.
        (FillPolicy.RANDOM, [whole(8), whole(8), whole(8)], [0, 1, -1]),
    ],
)
def test_what_the_policies_choose(policy: FillPolicy, pods: list[PodRow], nodes: list[int]) -> None:
    """Decision table over two big nodes and a small one."""
    assert placed(policy, [BIG, BIG, SMALL], pods) == nodes


def test_fgd_keeps_whole_devices_whole() -> None:
    """A share goes where it breaks no device that a typical pod needs, not on a free one."""
    pods = [share(500), whole(2), share(500), whole(8), whole(8)]
    assert placed(FillPolicy.FGD, [BIG, SMALL, BIG, SMALL], pods)[3:] == [0, 2]


def test_fgd_takes_the_first_opened_of_equally_good_devices() -> None:
    """Devices with 400 and 401 idle: a score apart by less than a point, so the first is taken.

    The last pod is too rare to be typical, and fits only if the device with 401 was kept.
    """
    pods = [share(600)] * 13 + [share(599)] * 13 + [share(300)] * 13 + [share(401)]
    problem = problem_of(pods_trace([SMALL], pods))
    assert len(problem.typical) == 3
    arrivals, draws = np.arange(4, dtype=np.int32), np.zeros((4, 2), np.int64)
    got = fill(problem, FillPolicy.FGD, np.zeros(1, np.int64), arrivals, draws)
    assert got.node.tolist() == [0, 0, 0, 0]


def test_filters() -> None:
    """CPU, memory, the GPU model and whole devices each refuse a node; memory holds for all."""
    nodes: list[NodeRow] = [(500, 100, 8, "A"), (96_000, 5, 8, "A"), (96_000, 100, 1, "B")]
    pods = [whole(1), whole(1, memory=9), whole(2, memory=9), whole(1, "A|C"), whole(1, "B")]
    assert placed(FillPolicy.BEST_FIT, nodes, pods) == [2, -1, -1, 1, -1]
    assert placed(FillPolicy.BEST_FIT, nodes, [share(600), share(600), share(400)]) == [2, 1, 2]


def test_thresholds_are_the_floor_of_the_sigmoid() -> None:
    """The number of thresholds reached is int(100 sigmoid(x / 1000)), with weights as a scale."""
    thresholds = fgd_thresholds(7)
    assert len(thresholds) == 99
    assert (np.diff(thresholds) > 0).all()
    for gain in (*range(-9000 * 7, 9000 * 7, 997), 0, -1, 1):
        exact = Decimal(100) / (1 + (-Decimal(gain) / 7000).exp())
        assert int(np.searchsorted(thresholds, gain, side="right")) == math.floor(exact)


def test_typical_types_cover_most_pods() -> None:
    """The most popular types that make up 95 % of the pods, memory apart; ties by amounts."""
    pods = [(1, 1, 1000, m, "") for m in range(90)] + [(2, 0, 0, 1, "")] * 4
    pods += [(3, 1, 500, 1, "B"), (3, 1, 500, 1, "A")] * 3
    assert typical_types(pods) == [
        ((1, 1, 1000, ""), 90),
        ((2, 0, 0, ""), 4),
        ((3, 1, 500, "A"), 3),
    ]


def test_arrivals_are_all_pods_and_then_more() -> None:
    """Every pod once in shuffled order, then repeats, up to the limit and not beyond a node."""
    problem = problem_of(pods_trace([BIG] * 4, [share(500), whole(2), whole(1), share(300)]))
    pods, _ = draw_arrivals(problem, 1.3, 1)
    again, _ = draw_arrivals(problem, 1.3, 1)
    other, _ = draw_arrivals(problem, 1.3, 2)
    assert pods.tolist() == again.tolist() != other.tolist()
    assert sorted(pods[:4].tolist()) == [0, 1, 2, 3]
    arrived = np.cumsum(problem.gpu_milli[pods])
    most = 1.3 * problem.total
    assert most - 1000 < arrived[-1] < most + 1000
    assert arrived[-2] <= most
    few, _ = draw_arrivals(problem, 0.05, 1)
    assert int(problem.gpu_milli[few].sum()) <= 0.05 * problem.total + 1000


def test_buckets_of_arrival() -> None:
    """A share is rounded to a whole percent; a column is the mean over its arrivals."""
    arrived = np.array([494, 495, 504, 505, 1000], np.int64)
    values = np.array([1, 2, 3, 4, 5], np.int64)
    assert at_arrival(arrived, 1000, values, (49, 50, 51, 99, 100)) == [1, 2.5, 4, None, 5]


def small() -> Trace:
    """Fourteen pods on eight nodes, two of them too big for any."""
    pods = [share(500), share(300), whole(1), whole(2, "A"), whole(8), (4000, 1, 0, 0, "")] * 2
    return pods_trace([BIG, SMALL] * 4, [*pods, whole(9), whole(9)])


@pytest.mark.parametrize(
    "placement",
    ["fgd", "fgd-bestfit", "fgd-packing", "fgd-clustering", "fgd-dotprod", "fgd-random"],
)
def test_a_fill_is_a_run_like_any_other(placement: str) -> None:
    """Everybody arrives once or more, keeps what it got, and the allocation is counted."""
    result = replay(small(), ReplayOptions(placement=placement, fill=1.3, seed=3))
    keys = result.trace.gangs.keys
    assert {key.split("~")[0] for key in keys} == {f"p{n}" for n in range(14)}
    assert len(set(keys)) == len(keys)
    milli = (result.trace.rows.gpu * result.trace.rows.gpu_milli).astype(np.int64)
    ran = result.row >= 0
    held = np.bincount(result.row[ran], weights=milli[ran], minlength=8)
    assert (held <= result.trace.nodes.gpu * 1000).all()
    assert ran.any()
    assert not ran[[key.startswith(("p12", "p13")) for key in keys]].any()
    summary = analyse(result).summary
    run = run_fill(problem_of(small()), next(
        policy for name, policy in POLICIES.items()
        if placement in {name, f"fgd-{name}".replace("best-fit", "bestfit")}
    ), 1.3, 3)  # fmt: skip
    percent = (200 * run.arrived + 40_000) // 80_000
    at = summary["gpu_allocation"]["at_arrival"]
    for column in (100, 130):
        bucket = run.used[percent == column]
        want = round(float(bucket.mean()) / 40_000, 6) if len(bucket) else None
        assert at[str(column)] == want


def test_what_the_shared_placements_refuse() -> None:
    """Without --fill, with gangs of several members, or without any GPU: one sentence each."""
    with pytest.raises(UsageError, match="give --fill too"):
        replay(small(), ReplayOptions(placement="fgd"))
    no_gpu = pods_trace([BIG], [(1000, 1, 0, 0, "")])
    with pytest.raises(UsageError, match="gangs have GPUs"):
        replay(no_gpu, ReplayOptions(placement="fgd", fill=1.0))


def test_the_published_order_is_that_of_the_published_means() -> None:
    """The steps of ORDER part the published allocations, and there are ten seeds."""
    assert sorted(name for step in ORDER for name in step) == sorted(PUBLISHED)
    for percent in (100, 130):
        for above, below in pairwise(ORDER):
            worst = min(PUBLISHED[name].allocation[percent] for name in above)
            assert worst > max(PUBLISHED[name].allocation[percent] for name in below)
    assert len(SEEDS) == 10


def test_published_results_are_reproduced(real_traces: Path) -> None:
    """Six policies, ten seeds: allocation and fragmentation inside their bands, and the order."""
    rows = validate("openb", real_traces)
    assert len(rows) == 36
    assert [row["figure"] for row in rows if not row["ok"]] == []
