"""Metrics of a run: each number against a case worked out by hand, or a slow definition."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.replay.demand import demand_of
from scheduler.replay.metrics import analyse, spread, wait_by_size
from scheduler.replay.result import RunResult, Status
from scheduler.replay.timeline import build_timeline, gpu_peak_milli, sample_instants
from tests.replay.toy_run import Ask, ask, first_fit, make_result, toy_trace

SECOND = 1_000_000
TWO_LEAVES = [("s1", "a"), ("s1", "a"), ("s1", "b"), ("s1", "b")]
KEYS = (
    "schema_version trace options counts jct_s wait_s wait_by_size makespan_s gpu_allocation "
    "fragmentation locality slots blocked_s slowdown"
).split()


def two_gangs() -> RunResult:
    """4 nodes of 8: g0 holds 3 of them from 0 to 10 s, g1 waits for 2 until then, ends at 20 s."""
    asks = [ask(0, 10 * SECOND, 3), ask(4 * SECOND, 10 * SECOND, 2), ask(5 * SECOND, 1, 9)]
    return first_fit(toy_trace(TWO_LEAVES, asks, dropped={"no GPU": 2, "no end": 1}))


def test_the_summary_has_exactly_the_promised_keys_in_order() -> None:
    """A reader may rely on every name, and on their order in the file."""
    summary = analyse(two_gangs()).summary
    assert list(summary) == KEYS
    times = ["mean", "p50", "p95", "p99", "max"]
    inner = {
        "counts": ["gangs", "pods", "placed", "never_fits", "dropped_rows"],
        "jct_s": times,
        "wait_s": [*times, "over_60s"],
        "gpu_allocation": ["mean", "max", "at_arrival"],
        "fragmentation": ["amount", "ratio"],
        "blocked_s": ["order", "capacity", "fragmentation", "topology"],
        "slowdown": ["low", "mid", "high", "source"],
    }
    assert {key: list(summary[key]) for key in inner} == inner
    assert list(summary["locality"]) == ["spine", "leaf"]
    assert list(summary["locality"]["leaf"]) == (
        "gangs single_able single_share mean_domains mean_ideal cross_pair_share".split()
    )
    assert summary["gpu_allocation"]["at_arrival"] == {"100": None, "130": None}
    json.dumps(summary, allow_nan=False)


def test_times_counts_and_allocation_of_two_gangs() -> None:
    """Counted by hand: g1 waits 6 s; 3 nodes for 10 s and 2 for 10 s of 4 x 20 node-seconds."""
    summary = analyse(two_gangs()).summary
    assert summary["counts"] == {
        "gangs": 3, "pods": 14, "placed": 2, "never_fits": 1, "dropped_rows": 3,
    }  # fmt: skip
    assert summary["wait_s"]["mean"] == 3.0
    assert summary["wait_s"]["max"] == 6.0
    assert summary["jct_s"]["mean"] == 13.0
    assert summary["makespan_s"] == 20.0
    assert summary["gpu_allocation"]["mean"] == round(50 / 80, 6)
    assert summary["gpu_allocation"]["max"] == 0.75
    assert [(b["from"], b["to"], b["count"]) for b in summary["wait_by_size"]] == [(2, 3, 2)]
    assert summary["blocked_s"] == {
        "order": 0.0, "capacity": 6.0, "fragmentation": 0.0, "topology": 0.0,
    }  # fmt: skip


def test_the_peak_takes_completions_before_starts_of_one_instant() -> None:
    """A gang that starts when another ends never runs beside it."""
    result = first_fit(toy_trace(TWO_LEAVES, [ask(0, 10, 4), ask(0, 10, 4)]))
    assert result.start_us.tolist() == [0, 10]
    assert gpu_peak_milli(result, demand_of(result)) == 4 * 8 * 1000


def test_stranded_gpus_are_idle_ones_on_nodes_in_use() -> None:
    """One member of 2 GPUs on a node of 8 strands 6 of 32; 6 of the 30 idle ones."""
    summary = analyse(first_fit(toy_trace(TWO_LEAVES, [ask(0, 1000, 1, gpu=2)]))).summary
    assert summary["fragmentation"] == {"amount": round(6 / 32, 6), "ratio": round(6 / 30, 6)}


def test_slots_count_whole_free_nodes_per_domain() -> None:
    """One of four nodes is taken: 3 singles, 1 pair in a leaf, 1 pair in the spine, no four."""
    result = first_fit(toy_trace(TWO_LEAVES, [ask(0, 1000, 1)]))
    slots = analyse(result).summary["slots"]
    assert slots["leaf"] == {"1": 3.0, "2": 1.0}
    assert slots["spine"] == {"1": 3.0, "2": 1.0, "4": 0.0}
    assert slots["cluster"] == slots["spine"]


def test_slots_never_add_up_nodes_of_two_pools() -> None:
    """A gang stays in its pool, so two free nodes of two pools are two singles."""
    pools = ["x", "x", "y", "y"]
    labels = [("s1", "a"), ("s1", "b"), ("s1", "a"), ("s1", "b")]
    result = first_fit(toy_trace(labels, [ask(0, 1000, 1, pool="x")], pools=pools))
    assert analyse(result).summary["slots"]["spine"] == {"1": 3.0, "2": 1.0}
    assert analyse(result).summary["slots"]["leaf"] == {"1": 3.0}


def test_percentiles_are_nearest_rank() -> None:
    """Of 1 to 100 s the 95th percentile is 95 s: a time that happened, none in between."""
    times = spread(np.arange(1, 101, dtype=np.int64)[::-1] * SECOND)
    assert times == {"mean": 50.5, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert spread(np.array([7], np.int64) * SECOND)["p50"] == 7.0


def test_size_buckets_are_powers_of_two() -> None:
    """1; 2-3; 4-7; the edges belong where they say; empty buckets are left out."""
    members = np.array([1, 2, 3, 4, 7, 16], np.int64)
    row = wait_by_size(members, np.zeros(6, np.int64))
    assert [(b["from"], b["to"], b["count"]) for b in row] == [
        (1, 1, 1), (2, 3, 2), (4, 7, 2), (16, 31, 1),
    ]  # fmt: skip


def test_a_run_of_nothing_has_nulls_and_zeros() -> None:
    """No gang: no mean, no share, and no division by zero."""
    summary = analyse(first_fit(toy_trace(TWO_LEAVES, []))).summary
    assert summary["jct_s"]["mean"] is None
    assert summary["gpu_allocation"]["mean"] is None
    assert summary["wait_by_size"] == []
    assert summary["slowdown"]["high"] == 1.0
    assert summary["makespan_s"] == 0.0


def test_a_cluster_without_gpus_has_no_allocation() -> None:
    """Shares of no GPU are null, not zero; places and times are as ever."""
    result = first_fit(toy_trace(TWO_LEAVES, [ask(0, 50, 2, gpu=0)], gpu=0))
    summary = analyse(result).summary
    assert summary["gpu_allocation"]["mean"] is None
    assert summary["fragmentation"] == {"amount": None, "ratio": None}
    assert summary["counts"]["placed"] == 1


def test_a_gang_that_runs_with_its_minimum_holds_only_what_was_placed() -> None:
    """Two of three members placed: two nodes' GPUs, a gang of two for locality."""
    trace = toy_trace(TWO_LEAVES, [ask(0, 100, 3)])
    whole = first_fit(trace)
    row = whole.row.copy()
    row[2] = -1
    summary = analyse(replace(whole, row=row)).summary
    assert summary["gpu_allocation"]["mean"] == 0.5
    assert summary["locality"]["leaf"]["mean_domains"] == 1.0
    assert summary["locality"]["leaf"]["mean_ideal"] == 1.0


def test_gangs_still_waiting_at_the_end_count_until_the_last_cycle() -> None:
    """The blocked time of a gang that never starts ends with the run."""
    trace = toy_trace(TWO_LEAVES, [ask(0, 10 * SECOND, 4), ask(2 * SECOND, 10 * SECOND, 4)])
    whole = first_fit(trace)
    start, end = whole.start_us.copy(), whole.end_us.copy()
    start[1] = end[1] = -1
    row = np.where(np.arange(8) < 4, whole.row, -1)
    cut = RunResult(
        trace, whole.topology, {}, start, end,
        np.array([Status.PLACED, Status.UNPLACED], np.int8), whole.offset, row.astype(np.int32),
        whole.time_us[:2], np.array([0, 1], np.int32), np.array([0, 4]),
        np.array([[0, 0, 0, 0], [0, 1, 0, 0]], np.int32),
    )  # fmt: skip
    assert analyse(cut).summary["blocked_s"]["capacity"] == 8.0


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("row", np.array([0, 1, 9, 0], np.int32), "outside 0..3"),
        ("offset", np.array([0, 3], np.int64), "divide"),
        ("end_us", np.array([-1], np.int64), "start <= end"),
        ("time_us", np.array([100, 0], np.int64), "goes back"),
        ("status", np.zeros(2, np.int8), "shape"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(
    field: str, value: np.ndarray, says: str
) -> None:
    """The contract is checked where it is made, not where it is read."""
    whole = first_fit(toy_trace(TWO_LEAVES, [ask(0, 100, 4)]))
    with pytest.raises(ValueError, match=says):
        replace(whole, **{field: value})  # type: ignore[arg-type]


def test_a_result_of_another_trace_is_refused() -> None:
    """Members that the trace does not have would be counted under the wrong gang."""
    whole = first_fit(toy_trace(TWO_LEAVES, [ask(0, 100, 4)]))
    other = toy_trace(TWO_LEAVES, [ask(0, 100, 3)])
    with pytest.raises(ValueError, match="other members"):
        analyse(replace(whole, trace=other))


@given(begin=st.integers(0, 10**15), length=st.integers(0, 10**13), limit=st.integers(1, 400))
def test_samples_stand_in_the_middle_of_equal_slices(begin: int, length: int, limit: int) -> None:
    """At most `limit`, strictly rising, each less than a microsecond before its middle."""
    at = sample_instants(begin, begin + length, limit)
    assert len(at) == min(limit, length)
    assert (np.diff(at) > 0).all()
    assert ((at >= begin) & (at < begin + max(length, 1))).all()
    for k, instant in enumerate((at - begin).tolist()):
        assert 0 <= Fraction((2 * k + 1) * length, 2 * len(at)) - instant < 1


asks_strategy = st.lists(
    st.builds(
        ask,
        submit=st.integers(0, 60),
        duration=st.integers(0, 40),
        members=st.integers(1, 5),
        gpu=st.integers(1, 8),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(asks=asks_strategy, limit=st.integers(1, 50))
def test_the_timeline_agrees_with_looking_at_each_instant(asks: list[Ask], limit: int) -> None:
    """Allocated, stranded and free nodes at every sample, counted member by member."""
    result = first_fit(toy_trace([*TWO_LEAVES, ("s2", "")], asks))
    demand = demand_of(result)
    line = build_timeline(result, demand, limit)
    gang = np.repeat(np.arange(result.gangs), result.members)
    for k, now in enumerate(line.at_us.tolist()):
        used, members = [0] * 5, [0] * 5
        for member, row in enumerate(result.row.tolist()):
            if row >= 0 and result.start_us[gang[member]] <= now < result.end_us[gang[member]]:
                used[row] += int(demand.member_gpu_milli[member])
                members[row] += 1
        assert line.allocated[k] == sum(used)
        stranded = [8000 - u for u, m in zip(used, members, strict=True) if m]
        assert line.stranded[k] == sum(stranded)
        assert line.free_nodes[k] == members.count(0)
        assert line.heat[1][k].tolist() == [
            sum(used[:2]) * 1000 // 16000,
            sum(used[2:4]) * 1000 // 16000,
        ]


def test_results_do_not_depend_on_how_often_they_are_computed() -> None:
    """Twice the same run gives the same JSON, digit by digit."""
    first, second = (json.dumps(analyse(two_gangs()).summary) for _ in range(2))
    assert first == second


def test_make_result_takes_plain_columns() -> None:
    """The builder of these tests says what it is given (a gang that never fits has no row)."""
    trace = toy_trace(TWO_LEAVES, [ask(0, 1, 9)])
    result = make_result(
        trace,
        trace.topology(),
        np.array([-1]),
        np.array([-1]),
        np.array([Status.NEVER_FITS]),
        np.full(9, -1),
    )
    assert analyse(result).summary["counts"]["never_fits"] == 1
