"""Locality and the slowdown estimate, against definitions and a published replay."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.replay.demand import demand_of
from scheduler.replay.locality import measure_locality
from scheduler.replay.metrics import analyse
from scheduler.replay.result import RunResult
from scheduler.replay.slowdown import K_ARNOLD, SlowdownModel, estimate_slowdown, spine_level
from scheduler.replay.traces_dir import WHERE, traces_dir
from tests.replay.toy_run import Ask, ask, first_fit, toy_trace

TREE = [("s1", "a"), ("s1", "a"), ("s1", "b"), ("s2", "a"), ("s2", "a"), ("s2", "b")]
HELIOS = "helios/helios_venus_2vc_sept.csv"


def placed(rows: list[list[int]], gpu: int = 8, durations: list[int] | None = None) -> RunResult:
    """One gang after another on exactly these rows of TREE."""
    durations = durations or [10] * len(rows)
    asks = [ask(at * 100, durations[at], len(row), gpu) for at, row in enumerate(rows)]
    result = first_fit(toy_trace(TREE, asks))
    return replace(result, row=np.array([row for one in rows for row in one], np.int32))


def test_domains_and_pairs_of_one_gang() -> None:
    """Rows 0, 1 and 3: two spines, two leaves of one name; 2 of 3 pairs cross."""
    locality = analyse(placed([[0, 1, 3]])).summary["locality"]
    assert locality["spine"]["mean_domains"] == 2.0
    assert locality["leaf"]["mean_domains"] == 2.0
    assert locality["leaf"]["cross_pair_share"] == round(2 / 3, 6)
    assert locality["leaf"]["mean_ideal"] == 2.0
    assert locality["spine"]["mean_ideal"] == 1.0
    assert locality["spine"]["single_able"] == 1
    assert locality["spine"]["single_share"] == 0.0


def test_pairs_are_weighted_by_gpu_time() -> None:
    """A gang that crosses for 30 counts three times one that does not for 10."""
    result = placed([[0, 1], [0, 3]], durations=[10, 30])
    assert analyse(result).summary["locality"]["spine"]["cross_pair_share"] == 0.75


def test_gangs_of_one_member_do_not_count() -> None:
    """A single is always in one domain; counting it would flatter every placement."""
    locality = analyse(placed([[0], [0, 1]])).summary["locality"]
    assert locality["leaf"]["gangs"] == 1


def test_members_of_one_node_share_its_domains() -> None:
    """Four members of 2 GPUs on one node: one domain, ideal one, no pair crosses."""
    one = measure_locality(result := placed([[0, 0, 0, 0]], gpu=2), demand_of(result))[1]
    assert one.used.tolist() == [1]
    assert one.ideal.tolist() == [1]
    assert one.cross_pair_share() == 0.0


def test_a_node_without_the_label_shares_no_domain() -> None:
    """Two nodes without a leaf are not in one leaf together."""
    trace = toy_trace([("s1", ""), ("s1", ""), ("s1", "a")], [ask(0, 10, 2)])
    locality = analyse(first_fit(trace)).summary["locality"]
    assert locality["leaf"]["mean_domains"] == 2.0
    assert locality["leaf"]["mean_ideal"] == 2.0
    assert locality["spine"]["mean_domains"] == 1.0


def test_the_ideal_stays_in_the_pool_of_the_gang() -> None:
    """Leaf a could hold two members, but one of its nodes belongs to others."""
    labels = [("s1", "a"), ("s1", "a"), ("s1", "b")]
    trace = toy_trace(labels, [ask(0, 10, 2, pool="x")], pools=["x", "y", "x"])
    locality = analyse(first_fit(trace)).summary["locality"]
    assert locality["leaf"]["mean_ideal"] == 2.0
    assert locality["leaf"]["single_able"] == 0


def test_the_ideal_keeps_to_models_and_shared_devices() -> None:
    """Only node 2 has the model; a device of 1000 holds one member of 600, not 1.67."""
    trace = toy_trace(TREE, [ask(0, 10, 8, gpu=1), ask(0, 10, 9, gpu=1)])
    rows = replace(
        trace.rows, gpu_milli=np.array([600, 600]), model=("A100|H100", "A100"), gpu=np.ones(2, int)
    )
    nodes = replace(trace.nodes, model=("", "", "A100", "", "", "A100"))
    shapes = demand_of(first_fit(replace(trace, rows=rows, nodes=nodes))).shapes
    assert shapes.capacity(int(shapes.kind[0])).tolist() == [0, 0, 8, 0, 0, 8]


def test_the_ideal_of_several_shapes_counts_what_they_need_together() -> None:
    """Two shapes that fit a leaf each, but not together: two leaves at least."""
    trace = toy_trace(TREE, [Ask(0, 10, ((2, 5), (2, 5)))])
    result = replace(first_fit(toy_trace(TREE, [])), trace=trace)
    result = RunResult(
        trace, result.topology, {}, np.array([0]), np.array([10]), np.zeros(1, np.int8),
        np.array([0, 4]), np.array([0, 1, 3, 4], np.int32), np.array([0]),
        np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros((1, 4), np.int32),
    )  # fmt: skip
    assert analyse(result).summary["locality"]["leaf"]["mean_ideal"] == 2.0


gangs_strategy = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=6), max_size=6)


@settings(deadline=None, max_examples=80)
@given(rows=gangs_strategy, gpu=st.sampled_from([1, 2, 4]))
def test_locality_agrees_with_its_definition(rows: list[list[int]], gpu: int) -> None:
    """Domains, pairs and the ideal, by looking at every pair and every set of domains."""
    result = placed(rows, gpu)
    for level, one in enumerate(measure_locality(result, demand_of(result))):
        path = [labels[: level + 1] for labels in TREE]
        room = {domain: path.count(domain) * (8 // gpu) for domain in path}
        for e, row in enumerate(rows):
            domains = [path[at] for at in row]
            assert one.used[e] == len(set(domains))
            same = sum(a == b for i, a in enumerate(domains) for b in domains[i + 1 :])
            assert one.same_pairs[e] == 2 * same
            enough = (
                count
                for count in range(1, len(room) + 1)
                for some in combinations(room.values(), count)
                if sum(some) >= len(row)
            )
            assert one.ideal[e] == next(enough)


def helios(leaves: bool) -> RunResult:
    """Pool vcvGl as the published replay reads it, first fit, FIFO, strict."""
    root = traces_dir()
    if root is None or not (root / HELIOS).is_file():
        pytest.skip(WHERE)
    with (root / HELIOS).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    rows = [row for row in rows if row["tenant"] == "vcvGl"]
    asks = []
    for row in sorted(rows, key=lambda row: (int(row["submit_time"]), row["job_id"])):
        chips, run_us = int(row["num_chips"]), round(float(row["duration_s"]) * 1e6)
        shape = (chips // 8, 8) if chips > 8 else (1, chips)
        asks.append(ask(int(row["submit_time"]), run_us, *shape))
    labels = [(f"leaf-{1 + (at >= 8) + (at >= 16)}",) for at in range(20)]
    return first_fit(toy_trace(labels, asks, ("leaf",)), strict=leaves)


@pytest.mark.parametrize(
    ("strict", "share", "leaves", "pairs", "wait", "allocated"),
    [
        (True, 0.802, 1.942, 0.497, 13_885.6, 0.951),
        (False, 0.909, 1.821, 0.447, 220.5, 0.964),
    ],
)
def test_the_published_leaves_of_helios(
    strict: bool, share: float, leaves: float, pairs: float, wait: float, allocated: float
) -> None:
    """First fit on leaves of 8, 8, 4 gives the numbers of an independent replay, as printed."""
    summary = analyse(helios(strict)).summary
    one = summary["locality"]["leaf"]
    assert (one["gangs"], one["single_able"]) == (831, 242)
    assert one["mean_ideal"] == pytest.approx(1.763, abs=5e-4)
    assert one["single_share"] == pytest.approx(share, abs=5e-4)
    assert one["mean_domains"] == pytest.approx(leaves, abs=5e-4)
    assert one["cross_pair_share"] == pytest.approx(pairs, abs=5e-4)
    assert summary["wait_s"]["mean"] == pytest.approx(wait, abs=0.05)
    assert summary["gpu_allocation"]["mean"] == pytest.approx(allocated, abs=5e-4)
    assert summary["gpu_allocation"]["max"] == 1.0


def test_slowdown_weighs_tiers_by_gpu_time() -> None:
    """One gang in a leaf, one in a spine, one across: the mean of their tiers."""
    result = placed([[0, 1], [0, 2], [0, 3]], durations=[10, 10, 20])
    slow = analyse(result).slowdown
    assert [share for _, share, _ in slow.tiers] == [0.25, 0.25, 0.5]
    high = 1 + 0.25 * 0.003 + 0.5 * 0.11
    assert (slow.low, slow.mid, slow.high) == pytest.approx((1.01, 1.03, high))
    assert "estimate, not measured" in slow.source


def test_slowdown_of_given_phi_and_k() -> None:
    """1 + phi x k across spines, and a source that says whose numbers these are."""
    result = placed([[0, 3]])
    model = SlowdownModel.of("mine", (0.1, 0.3, 0.5), 0.2)
    locality = measure_locality(result, demand_of(result))
    slow = estimate_slowdown(result.topology, locality, model)
    assert (slow.low, slow.mid, slow.high) == pytest.approx((1.02, 1.06, 1.1))
    assert slow.source.startswith("profile mine; estimate, not measured")
    assert "as given" in slow.source


@pytest.mark.parametrize("phi", [(0.3, 0.2, 0.5), (-0.1, 0.2, 0.3), (0.1, 0.2, 1.5)])
def test_phi_is_a_rising_share(phi: tuple[float, float, float]) -> None:
    """A share of the step outside 0 to 1, or a range that falls, is refused."""
    with pytest.raises(ValueError, match="phi"):
        SlowdownModel.of("mine", phi)


def test_the_published_range_is_what_phi_and_k_give() -> None:
    """0.1, 0.3 and 0.5 of the step, lengthened by 0.205, are 1.02, 1.06 and 1.10."""
    assert pytest.approx(0.205, abs=5e-4) == K_ARNOLD
    computed = SlowdownModel.of("x", (0.1, 0.3, 0.5)).cross_spine
    published = SlowdownModel().cross_spine
    assert computed == pytest.approx(published, abs=0.0085)


@pytest.mark.parametrize(
    ("levels", "labels", "spine"),
    [
        (("spine", "leaf"), ("s", "a"), 0),
        (("leaf",), ("a",), None),
        (("spine",), ("s",), 0),
        ((), (), None),
    ],
)
def test_a_single_level_of_leaves_has_no_spine_to_cross(
    levels: tuple[str, ...], labels: tuple[str, ...], spine: int | None
) -> None:
    """Leaves laid over a trace stand under one spine; without levels nothing is crossed."""
    result = first_fit(toy_trace([labels, labels], [ask(0, 10, 2)], levels))
    assert spine_level(result.topology) == spine
    assert analyse(result).summary["slowdown"]["high"] == 1.0
