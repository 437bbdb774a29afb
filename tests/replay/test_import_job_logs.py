"""Importers of job logs without placements: SWF, Philly, AcmeTrace, Alibaba spot."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.errors import BadInputError
from scheduler.replay.importers.acme import import_acme
from scheduler.replay.importers.philly import import_philly
from scheduler.replay.importers.spot import import_spot
from scheduler.replay.importers.swf import import_swf
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.trace import Trace
from tests.replay.published import ACME, PHILLY, SPOT_JOBS, SPOT_NODES, SWF, VC_NODES, file

SECOND = 1_000_000


def members(trace: Trace) -> dict[str, list[tuple[int, int]]]:
    """(members, GPUs of each) of every row, by gang."""
    found: dict[str, list[tuple[int, int]]] = {key: [] for key in trace.gangs.keys}
    rows = trace.rows
    for gang, count, gpu in zip(rows.gang.tolist(), rows.count, rows.gpu, strict=True):
        found[trace.gangs.keys[gang]].append((int(count), int(gpu)))
    return found


def swf(tmp_path: Path, text: str = SWF, *, skip_bad: bool = False) -> Trace:
    return import_swf(file(tmp_path, "log.swf", text), 4, 8, skip_bad=skip_bad)


def test_swf_processors_become_nodes_and_a_rest(tmp_path: Path) -> None:
    """Field 8, or 5 where it is missing; whole nodes first, then one member for what is left."""
    trace = swf(tmp_path)
    assert members(trace) == {"1": [(1, 8)], "2": [(1, 3)], "3": [(2, 8), (1, 4)]}
    assert trace.gangs.submit_us.tolist() == [0, 30 * SECOND, 30 * SECOND]
    assert trace.gangs.duration_us.tolist() == [100 * SECOND, 60 * SECOND, 7200 * SECOND]
    assert trace.gangs.minimum.tolist() == [1, 1, 3]
    assert trace.nodes.names == ("node-0", "node-1", "node-2", "node-3")
    assert trace.nodes.gpu.tolist() == [8] * 4


def test_swf_jobs_without_run_or_size_are_counted(tmp_path: Path) -> None:
    """-1 is missing; a part of a swapped job is not a job."""
    assert swf(tmp_path).dropped_rows == {
        "no_run_time": 1, "zero_duration": 1, "no_processors": 1, "no_submit_time": 1,
        "partial_execution": 1,
    }  # fmt: skip


def test_one_processor_a_node_is_the_default(tmp_path: Path) -> None:
    """Then a job of n processors is a gang of n members."""
    trace = import_swf(file(tmp_path, "log.swf", SWF), 32)
    assert members(trace) == {"1": [(8, 1)], "2": [(3, 1)], "3": [(20, 1)]}


@pytest.mark.parametrize(
    ("line", "message", "reason"),
    [
        ("9 60 0 10 1", "has 5 fields, the format has 18", "bad_columns"),
        ("9 soon 0 10 1 -1 -1 1 -1 -1 1 3 1 1 1 1 -1 -1", "submit time is 'soon'", "bad_number"),
        ("9 60 0 -3 1 -1 -1 1 -1 -1 1 3 1 1 1 1 -1 -1", "run time is '-3'", "bad_number"),
        ("9 60 0 10 1 -1 -1 1.5 -1 -1 1 3 1 1 1 1 -1 -1", "processors is '1.5'", "bad_number"),
        ("9 60 0 10 1 -1 -1 9999999 -1 -1 1 3 1 1 1 1 -1 -1", "processors is 9", "bad_range"),
        ("1 60 0 10 1 -1 -1 1 -1 -1 1 3 1 1 1 1 -1 -1", "job number 1 stands on line 3 already",
         "bad_duplicate"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_one_error_or_is_counted(
    tmp_path: Path, line: str, message: str, reason: str
) -> None:
    """File and line; with skip_bad the rest of the log is there."""
    text = SWF + line + "\n"
    with pytest.raises(BadInputError) as caught:
        swf(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'log.swf'}:12: {message}")
    trace = swf(tmp_path, text, skip_bad=True)
    assert trace.gangs.keys == ("1", "2", "3")
    assert trace.dropped_rows[reason] == 1


def test_philly_virtual_clusters_are_pools(tmp_path: Path) -> None:
    """Gangs are called after their line, the earliest comes at 0, whatever the file's order."""
    jobs, nodes = file(tmp_path, "jobs.csv", PHILLY), file(tmp_path, "vc.csv", VC_NODES)
    trace = import_philly(jobs, nodes)
    assert members(trace) == {"line-2": [(1, 8)], "line-3": [(1, 1)], "line-4": [(2, 8), (1, 4)]}
    assert trace.gangs.submit_us.tolist() == [60 * SECOND, 0, 86_400 * SECOND]
    assert trace.gangs.duration_us.tolist() == [600 * SECOND, 60_500_000, 60 * SECOND]
    assert trace.gangs.pool == ("6214e9", "0e4a51", "6214e9")
    assert trace.nodes.names == ("0e4a51-0", "6214e9-0", "6214e9-1", "6214e9-2")
    assert trace.dropped_rows == {"unknown_pool": 1, "no_gpu": 1, "zero_duration": 1}


@pytest.mark.parametrize(
    ("jobs", "nodes", "message"),
    [
        (PHILLY.replace("2017-10-01 00:00:00", "yesterday"), VC_NODES, "jobs.csv:3: timestamp is"),
        (PHILLY.replace("2017-10-01 00:00:00", "0017-10-01"), VC_NODES, "jobs.csv:3: timestamp is"),
        (PHILLY.replace("4800,6214e9", "4800,"), VC_NODES, "jobs.csv:2: cluster is empty"),
        (PHILLY.replace(",cluster", ",vc"), VC_NODES, "jobs.csv:1: the header lacks cluster"),
        (PHILLY, VC_NODES + "6214e9,4\n", "vc.csv:4: vc 6214e9 has a row further up"),
        (PHILLY, "vc,node num\n6214e9,0\n", "vc.csv:1: has no virtual cluster with nodes"),
        (PHILLY, "", "vc.csv:1: has no header line"),
    ],
)  # fmt: skip
def test_philly_names_file_and_line(tmp_path: Path, jobs: str, nodes: str, message: str) -> None:
    """Of the jobs, and of the virtual clusters."""
    with pytest.raises(BadInputError) as caught:
        import_philly(file(tmp_path, "jobs.csv", jobs), file(tmp_path, "vc.csv", nodes))
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_acme_takes_run_time_from_the_times(tmp_path: Path) -> None:
    """`duration` counts the wait in one of the two files; time zones are honoured."""
    trace = import_acme(file(tmp_path, "trace_kalos.csv", ACME), 16)
    assert members(trace) == {"a": [(8, 8)], "b": [(1, 8)], "c": [(4, 1)]}
    assert trace.gangs.duration_us.tolist() == [8 * SECOND, 60 * SECOND, 60 * SECOND]
    # 19:00:00+08:00 is 11:00:00 in UTC
    assert trace.gangs.submit_us.tolist() == [58 * SECOND, 0, 120 * SECOND]
    assert trace.dropped_rows == {
        "no_gpu": 1, "never_ran": 1, "still_running": 1, "zero_duration": 1,
    }  # fmt: skip
    assert trace.name == "trace_kalos"
    assert (len(trace.nodes), set(trace.nodes.gpu.tolist())) == (16, {8})


def test_acme_refuses_an_end_before_the_start(tmp_path: Path) -> None:
    """That is no zero duration but a wrong row."""
    text = ACME.replace("11:01:16+00:00,18", "11:01:00+00:00,18")
    path = file(tmp_path, "trace_kalos.csv", text)
    with pytest.raises(BadInputError, match=r"trace_kalos\.csv:2: end_time is .*, before start"):
        import_acme(path, 16)
    assert import_acme(path, 16, skip_bad=True).dropped_rows["bad_time"] == 1


def spot(tmp_path: Path, jobs: str = SPOT_JOBS, *, skip_bad: bool = False) -> Trace:
    nodes = file(tmp_path, "node_info_df.csv", SPOT_NODES)
    return import_spot(file(tmp_path, "job_info_df.csv", jobs), nodes, skip_bad=skip_bad)


def test_spot_jobs_are_gangs_of_workers(tmp_path: Path) -> None:
    """Requests are per worker; a share of a GPU stays a share; spot jobs come second."""
    trace = spot(tmp_path)
    assert members(trace) == {"239255": [(1, 1)], "437261": [(94, 1)], "1": [(2, 1)]}
    assert trace.rows.gpu_milli.tolist() == [1000, 1000, 500]
    assert trace.rows.cpu_milli.tolist() == [20_000, 15_000, 1_500]
    assert trace.rows.model == ("A10", "A100-SXM4-80GB", "")
    assert trace.gangs.priority.tolist() == [1, 0, 0]
    assert trace.gangs.submit_us.tolist() == [0, 9_589_663 * SECOND, 7 * SECOND]
    assert trace.nodes.names == ("0", "1", "3", "10")
    assert trace.nodes.gpu.tolist() == [4, 1, 8, 8]
    assert trace.nodes.cpu_milli.tolist() == [192_000, 128_000, 128_000, 128_500]
    assert trace.dropped_rows == {
        "unknown_model": 1, "no_gpu": 1, "no_workers": 1, "zero_duration": 1, "uneven_gpus": 1,
    }  # fmt: skip


def test_spot_refuses_a_job_type_it_does_not_know(tmp_path: Path) -> None:
    """Priority hangs on it."""
    text = SPOT_JOBS.replace(",HP", ",Best")
    with pytest.raises(BadInputError, match=r"job_info_df\.csv:2: job_type is 'Best'; write HP or"):
        spot(tmp_path, text)
    trace = spot(tmp_path, text, skip_bad=True)
    assert trace.gangs.keys == ("437261", "1")
    assert trace.dropped_rows["bad_job_type"] == 1


def test_an_imported_trace_runs(tmp_path: Path) -> None:
    """The gang of 94 workers never fits the 16 GPUs of its model, the others run."""
    result = replay(spot(tmp_path, SPOT_JOBS.replace("1.5,0.5,2", "1.5,1,2")), ReplayOptions())
    assert result.start_us.tolist() == [0, -1, 7 * SECOND]
    result = replay(swf(tmp_path), ReplayOptions())
    assert result.start_us.tolist() == [0, 30 * SECOND, 30 * SECOND]
