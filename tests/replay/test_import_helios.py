"""The Helios importer: members, times and pools by its rules, nothing lost uncounted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scheduler.errors import BadInputError
from scheduler.replay.importers.helios import import_helios
from scheduler.replay.trace import lay_levels, narrow_pool

HEADER = (
    "job_id,user,tenant,class,submit_time,num_chips,chip_type,num_nodes,duration_s,"
    "walltime_limit_s,final_status"
)
COMMENTS = """\
# source: HeliosData, cluster Venus
# license: CC-BY-4.0
# per-VC pool sizes (nodes, 8 GPU/node): vcA=3, vcB=12
"""


def log(tmp_path: Path, *rows: str, comments: str = COMMENTS) -> Path:
    path = tmp_path / "jobs.csv"
    path.write_text("\n".join((comments + HEADER, *rows, "")), encoding="utf-8")
    return path


def job(
    key: str, tenant: str = "vcA", chips: str = "8", nodes: str = "1", duration: str = "5.0"
) -> str:
    return f"{key},u,{tenant},finetune,1500000,{chips},,{nodes},{duration},1.0,FAILED"


def test_gpus_become_members(tmp_path: Path) -> None:
    """Above 8 GPUs: whole nodes of 8, or equal parts on num_nodes; up to 8: one member."""
    path = log(
        tmp_path,
        job("1", chips="1"),
        job("2", chips="8"),
        job("3", chips="24", nodes="3"),
        job("4", chips="12", nodes="2"),
        job("5", "vcB", chips="16", nodes=""),
    )
    trace = import_helios(path)
    assert trace.gangs.keys == ("1", "2", "3", "4", "5")
    assert trace.rows.count.tolist() == [1, 1, 3, 2, 2]
    assert trace.rows.gpu.tolist() == [1, 8, 8, 6, 8]
    assert set(trace.rows.gpu_milli.tolist()) == {1000}
    assert not trace.rows.cpu_milli.any()
    assert not trace.rows.memory_bytes.any()
    assert trace.gangs.pool == ("vcA",) * 4 + ("vcB",)
    assert trace.gangs.submit_us.tolist() == [1_500_000] * 5


def test_pools_come_from_the_log_or_from_the_caller(tmp_path: Path) -> None:
    """Nodes of 8 GPUs per virtual cluster; tenants without nodes are dropped and counted."""
    path = log(tmp_path, job("1"), job("2", "vcB"))
    trace = import_helios(path)
    assert trace.nodes.names[:4] == ("vcA-0", "vcA-1", "vcA-2", "vcB-0")
    assert trace.nodes.names[-2:] == ("vcB-10", "vcB-11")
    assert trace.nodes.pool == ("vcA",) * 3 + ("vcB",) * 12
    assert set(trace.nodes.gpu.tolist()) == {8}
    assert trace.licence == "CC-BY-4.0"
    assert trace.source.startswith("HeliosData, cluster Venus; jobs.csv sha256 ")
    narrow = import_helios(path, {"vcB": 2})
    assert narrow.nodes.names == ("vcB-0", "vcB-1")
    assert narrow.gangs.keys == ("2",)
    assert narrow.dropped_rows == {"unknown_pool": 1}


def test_jobs_that_cannot_run_are_counted_by_reason(tmp_path: Path) -> None:
    """CPU jobs, jobs without run time and GPUs that do not divide are dropped, never silently."""
    path = log(
        tmp_path,
        job("1", chips="0"),
        job("2", chips=""),
        job("3", duration="0.0"),
        job("4", chips="13", nodes="2"),
        job("5"),
    )
    trace = import_helios(path)
    assert trace.gangs.keys == ("5",)
    assert trace.dropped_rows == {"no_gpu": 2, "zero_duration": 1, "uneven_gpus": 1}


def test_durations_are_exact(tmp_path: Path) -> None:
    """Decimal seconds become integer microseconds without a float in between."""
    durations = ["0.1", "567327.0", "1e3", "0.000001", "4503599.627371"]
    trace = import_helios(log(tmp_path, *(job(d, duration=d) for d in durations)))
    assert trace.gangs.duration_us.tolist() == [
        100_000, 567_327_000_000, 1_000_000_000, 1, 4_503_599_627_371,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (job("2", duration="soon"), "duration_s is 'soon'"),
        (job("2", duration="-1"), "duration_s is '-1'"),
        (job("2", duration="NaN"), "duration_s is 'NaN'"),
        (job("2", duration="Infinity"), "duration_s is 'Infinity'"),
        (job("2", chips="eight"), "num_chips is 'eight', not an integer"),
        (job("2", tenant=""), "tenant is empty"),
        (job("1"), "job_id 1 stands on line 5 already"),
        ("2,u,vcA", "has 3 columns, the header has 11"),
    ],
)
def test_a_malformed_job_is_one_error_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    """Comment lines count: the line is that of an editor."""
    path = log(tmp_path, job("1"), row)
    with pytest.raises(BadInputError) as caught:
        import_helios(path)
    assert str(caught.value).startswith(f"{path}:6: {message}")


def test_a_log_without_pool_sizes_asks_for_them(tmp_path: Path) -> None:
    """The hint names --pool."""
    with pytest.raises(BadInputError, match="--pool NAME=NODES"):
        import_helios(log(tmp_path, job("1"), comments="# a log\n"))


def test_a_log_of_dropped_jobs_is_an_empty_trace(tmp_path: Path) -> None:
    """No job left is a trace without gangs, not a crash."""
    trace = import_helios(log(tmp_path, job("1", chips="0")))
    assert len(trace.gangs) == 0
    assert trace.sizes().tolist() == []


def test_the_published_slice_is_whole(real_traces: Path) -> None:
    """1,867 jobs on 22 nodes, 831 + 44 gangs of several nodes, at most 18 (144 GPUs)."""
    trace = import_helios(real_traces / "helios" / "helios_venus_2vc_sept.csv")
    assert len(trace.gangs) == 1867
    assert trace.dropped_rows == {}
    assert trace.pools == ("vcvGl", "vcvlY")
    assert len(trace.nodes) == 22
    assert int(trace.sizes().max()) == 18
    assert int(np.count_nonzero(trace.gpus() == 128)) == 401
    seconds = trace.gangs.duration_us / 1_000_000
    assert (float(seconds.min()), float(seconds.max())) == (1.0, 567327.0)
    for pool, jobs, several in (("vcvGl", 1452, 831), ("vcvlY", 415, 44)):
        one = narrow_pool(trace, pool)
        assert (len(one.gangs), int(np.count_nonzero(one.sizes() > 1))) == (jobs, several)
    laid = lay_levels(narrow_pool(trace, "vcvGl"), "leaf", [8, 8, 4])
    topology = laid.topology()
    assert [topology.rows(int(d)).tolist() for d in topology.by_level[0]] == [
        list(range(8)), list(range(8, 16)), list(range(16, 20)),
    ]  # fmt: skip
