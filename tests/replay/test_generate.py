"""Generated traces: the asked load, bounds and cluster, and the same bytes for the same seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.errors import UsageError
from scheduler.replay import generate as module
from scheduler.replay.check import offered_load, span_us
from scheduler.replay.generate import GenerateOptions, generate, lingjun_workload
from scheduler.replay.importers.lingjun import import_lingjun
from scheduler.replay.trace import Trace
from scheduler.replay.trace_io import write_trace

SMALL = GenerateOptions(nodes=100, spines=3, leaf_size=8, gangs=500, sizes=(1, 32), seed=7)


@settings(max_examples=40)
@given(
    gangs=st.integers(0, 300),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)).map(lambda pair: tuple(sorted(pair))),
    load=st.floats(0.05, 3),
    seed=st.integers(0, 2**32),
    whole=st.booleans(),
)
def test_sizes_durations_and_load_are_as_asked(
    gangs: int, sizes: tuple[int, int], load: float, seed: int, whole: bool
) -> None:
    """Every gang is in the bounds, arrivals never go back, and the load is met exactly."""
    options = GenerateOptions(
        nodes=64, gangs=gangs, sizes=sizes, load=load, seed=seed, whole_hosts=whole
    )
    trace = generate(options)
    members, low = trace.sizes(), 1 if sizes[0] == 1 and not whole else sizes[0]
    assert len(trace.gangs) == gangs
    assert ((members >= low) & (members <= sizes[1])).all()
    assert (np.diff(trace.gangs.submit_us) >= 0).all()
    assert trace.gangs.submit_us[:1].sum() == 0
    seconds, rest = np.divmod(trace.gangs.duration_us, 1_000_000)
    assert (rest == 0).all()
    assert ((seconds >= 1) & (seconds <= options.longest_s)).all()
    whole_host = trace.rows.gpu == 8
    assert (whole_host | (members == 1)).all()
    assert whole_host.all() or (sizes[0] == 1 and not whole)
    if gangs > 1 and span_us(trace):
        # The span is rounded to a microsecond.
        assert float(offered_load(trace) or 0) == pytest.approx(load, rel=2 / span_us(trace))


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two runs are equal byte for byte, another seed is another workload on the same nodes."""
    for name, seed in (("one", 7), ("two", 7), ("other", 8)):
        write_trace(generate(replace(SMALL, seed=seed)), tmp_path / name)
    one, two, other = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        for name in ("one", "two", "other")
    )
    assert one == two
    assert one["gangs.csv"] != other["gangs.csv"]
    assert one["nodes.csv"] == other["nodes.csv"]


def test_the_bytes_are_those_of_the_first_version(tmp_path: Path) -> None:
    """Published results name a seed: what it gives may not change without a new version."""
    write_trace(generate(SMALL), tmp_path / "t")
    digest = hashlib.sha256((tmp_path / "t" / "gangs.csv").read_bytes()).hexdigest()
    assert digest == "758b390abffee46b3988094bfbaa8c44ca861065ce8eaf62edb6d80fb85d1886"


def test_the_cluster_has_the_asked_spines_and_leaves() -> None:
    """Spines differ by one node at most; leaf names come again under every spine."""
    trace = generate(SMALL)
    topology = trace.topology()
    assert trace.levels == ("spine", "leaf")
    spines, leaves = topology.by_level
    assert sorted(len(topology.rows(int(d))) for d in spines) == [33, 33, 34]
    assert [len(topology.rows(int(d))) for d in leaves] == [8, 8, 8, 8, 2, *[8, 8, 8, 8, 1] * 2]
    assert {topology.names[int(d)] for d in leaves} == {f"leaf-{at}" for at in range(1, 6)}
    assert trace.nodes.names[:2] == ("node-001", "node-002")
    assert int(trace.nodes.gpu.sum()) == 800


def test_levels_that_are_not_asked_for_are_not_there() -> None:
    """Without --spines and --leaf-size there is no topology."""
    assert generate(GenerateOptions(nodes=9, gangs=3, sizes=(1, 9))).levels == ()
    assert generate(GenerateOptions(nodes=9, leaf_size=4, gangs=3, sizes=(1, 9))).levels == (
        "leaf",
    )


def test_every_member_fits_an_empty_host() -> None:
    """No generated gang asks a host for more CPU or memory than it has."""
    trace = generate(SMALL)
    assert int(trace.rows.cpu_milli.max()) <= int(trace.nodes.cpu_milli.min())
    assert int(trace.rows.memory_bytes.max()) <= int(trace.nodes.memory_bytes.min())


def test_distributions_follow_their_sources() -> None:
    """Median duration, powers of two and the lower stage are near what the sources say."""
    options = GenerateOptions(nodes=200, gangs=40_000, sizes=(1, 128), whole_hosts=True)
    trace = generate(options)
    sizes, seconds = trace.sizes(), trace.gangs.duration_us / 1_000_000
    # A day cuts off the 1.1 % longest draws, which lowers the median a little.
    assert float(np.median(seconds)) == pytest.approx(module.MEDIAN_S, rel=0.05)
    powers = np.isin(sizes, 1 << np.arange(8))
    assert float(powers.mean()) > module.POWER_OF_TWO
    assert float((sizes <= 32).mean()) == pytest.approx(module.LOWER_STAGE, abs=0.05)
    small = generate(replace(options, whole_hosts=False))
    assert float((small.rows.gpu < 8).mean()) == pytest.approx(0.5 * 14 / 15, abs=0.02)


def test_gangs_come_on_the_nodes_of_another_trace() -> None:
    """--cluster takes nodes, pool and levels as they are."""
    cluster = generate(replace(SMALL, gangs=0))
    trace = generate(GenerateOptions(gangs=50, sizes=(4, 16), cluster=cluster))
    assert trace.nodes is cluster.nodes
    assert trace.levels == cluster.levels
    assert set(trace.gangs.pool) == {"default"}
    assert trace.source.endswith(f"on nodes of {cluster.name} ({cluster.source})")


def no_gpus(trace: Trace) -> Trace:
    return replace(trace, nodes=replace(trace.nodes, gpu=trace.nodes.gpu * 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(SMALL, sizes=(1, 101)), r"up to 101 hosts, but the cluster has 100 .*1:100"),
        (replace(SMALL, sizes=(4, 2)), "sizes 4:2 are not MIN:MAX"),
        (replace(SMALL, spines=101), "101 spines for 100 nodes"),
        (replace(SMALL, nodes=None), "at least 1"),
        (replace(SMALL, leaf_size=0), "at least 1"),
        (replace(SMALL, load=0), "load is 0"),
        (replace(SMALL, longest_s=0), "longest_s is 0"),
        (replace(SMALL, cluster=no_gpus(generate(replace(SMALL, gangs=0)))), "has no GPUs"),
    ],
)
def test_options_that_cannot_be_met_are_refused(options: GenerateOptions, message: str) -> None:
    """Each is one sentence that names the option's value."""
    with pytest.raises(UsageError, match=message):
        generate(options)


def test_the_lingjun_workload_is_whole_hosts(real_traces: Path) -> None:
    """2,000 gangs of 1 to 128 hosts of 8 GPUs at load 0.85 on the 847 real hosts."""
    trace = lingjun_workload(import_lingjun(real_traces / "lingjun-2023" / "topo.csv"))
    assert len(trace.gangs) == 2000
    assert trace.rows.gpu.tolist() == [8] * 2000
    assert (int(trace.sizes().min()), int(trace.sizes().max())) == (1, 128)
    assert float(offered_load(trace) or 0) == pytest.approx(0.85, abs=1e-9)
