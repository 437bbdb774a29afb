"""Narrowing a trace to a pool, and laying levels over its nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import BadInputError, UsageError
from scheduler.replay.trace import Trace, lay_levels, narrow_pool
from scheduler.replay.trace_io import read_trace
from scheduler.replay.traces_dir import real_trace, traces_dir
from tests.replay.trace_strategies import NODES_CSV, directory, traces

FLAT = NODES_CSV.replace(",spine,leaf", "").replace(",s1,l1", "").replace(",s2,", "")


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Three nodes of pools a, a, b under two spines."""
    return read_trace(directory(tmp_path / "t"), verify=False)


@given(trace=traces(), data=st.data())
def test_a_pool_keeps_its_nodes_and_gangs_only(trace: Trace, data: st.DataObject) -> None:
    """Every node and gang of the pool stays as it was, in the same order; no other does."""
    if not trace.nodes.pool:
        return
    pool = data.draw(st.sampled_from(trace.nodes.pool))
    narrow = narrow_pool(trace, pool)
    wanted = [at for at, name in enumerate(trace.gangs.pool) if name == pool]
    assert narrow.pools == (pool,)
    assert narrow.nodes.names == tuple(
        name for name, p in zip(trace.nodes.names, trace.nodes.pool, strict=True) if p == pool
    )
    assert narrow.gangs.keys == tuple(trace.gangs.keys[at] for at in wanted)
    assert narrow.sizes().tolist() == [int(trace.sizes()[at]) for at in wanted]
    assert narrow.gpus().tolist() == [int(trace.gpus()[at]) for at in wanted]
    assert narrow.gangs.submit_us.tolist() == [int(trace.gangs.submit_us[at]) for at in wanted]
    assert [narrow.gangs.keys[g] for g in narrow.rows.gang] == [
        trace.gangs.keys[g] for g in trace.rows.gang if g in wanted
    ]


def test_an_unknown_pool_names_the_pools(trace: Trace) -> None:
    """A slip in --pool says which pools there are."""
    with pytest.raises(UsageError, match="no node is in that pool; the pools are a, b"):
        narrow_pool(trace, "c")


def test_levels_are_laid_over_consecutive_nodes(tmp_path: Path) -> None:
    """Domains follow the natural order of names, after --pool has narrowed the cluster."""
    flat = narrow_pool(read_trace(directory(tmp_path / "t", nodes=FLAT), verify=False), "a")
    laid = lay_levels(flat, "leaf", [1, 1])
    assert laid.levels == ("leaf",)
    assert laid.nodes.names == ("n2", "n10")
    assert laid.nodes.labels == (("leaf-1", "leaf-2"),)
    assert laid.level_numbers(laid.gangs.required).tolist() == [0, -1]
    twice = lay_levels(lay_levels(flat, "spine", [2]), "leaf", [1, 1])
    assert [len(domains) for domains in twice.topology().by_level] == [1, 2]


def test_levels_that_do_not_fit_are_refused(trace: Trace) -> None:
    """Each mistake in --levels says what does not match."""
    with pytest.raises(UsageError, match=r"several pools \(a, b\)"):
        lay_levels(trace, "rack", [2, 1])
    only = narrow_pool(trace, "a")
    with pytest.raises(UsageError, match="add up to 3, the trace has 2 nodes"):
        lay_levels(only, "rack", [2, 1])
    with pytest.raises(UsageError, match="has a level of that name"):
        lay_levels(only, "leaf", [2])
    with pytest.raises(UsageError, match="at least 1"):
        lay_levels(only, "rack", [2, 0])
    two = lay_levels(only, "row", [1, 1])
    with pytest.raises(UsageError, match="rack-1 would lie under s1/l1/row-1 and s1/l1/row-2"):
        lay_levels(two, "rack", [2])


def test_a_level_the_trace_lacks_names_the_gang(tmp_path: Path) -> None:
    """A gang that requires a level needs --levels, and the error says so."""
    flat = read_trace(directory(tmp_path / "t", nodes=FLAT), verify=False)
    with pytest.raises(BadInputError, match=r"gang g1: names the level 'leaf'.*--levels"):
        flat.level_numbers(flat.gangs.required)


def test_real_traces_are_looked_for_where_the_variable_says(tmp_path: Path) -> None:
    """$MUSTER_TRACES comes first and alone; a file that is not there is None, not an error."""
    (tmp_path / "x.csv").write_text("a\n", encoding="utf-8")
    environ = {"MUSTER_TRACES": str(tmp_path)}
    assert traces_dir(environ) == tmp_path
    assert real_trace("x.csv", environ) == tmp_path / "x.csv"
    assert real_trace("y.csv", environ) is None
    assert traces_dir({"MUSTER_TRACES": str(tmp_path / "none")}) is None
