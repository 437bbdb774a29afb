"""Lingjun with jobs and workers: gangs, and the placement of the data set as a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.errors import BadInputError, UsageError
from scheduler.replay.importers.lingjun import import_lingjun_jobs
from scheduler.replay.recorded import RECORDED, Recorded, recorded_csv, recorded_run
from scheduler.replay.result import Status
from scheduler.replay.run_dir import write_run
from scheduler.replay.trace import Trace
from scheduler.replay.trace_io import read_trace, write_trace
from tests.replay.published import LINGJUN_JOBS, LINGJUN_WORKERS, TOPO, file

MINUTE = 60_000_000


def imported(
    tmp_path: Path,
    jobs: str = LINGJUN_JOBS,
    workers: str = LINGJUN_WORKERS,
    *,
    skip_bad: bool = False,
) -> tuple[Trace, list[Recorded]]:
    return import_lingjun_jobs(
        file(tmp_path, "topo.csv", TOPO),
        file(tmp_path, "job.csv", jobs),
        file(tmp_path, "worker.csv", workers),
        skip_bad=skip_bad,
    )


def stored(tmp_path: Path, recorded: str | None = None) -> tuple[Path, Trace]:
    trace, rows = imported(tmp_path)
    out = tmp_path / "trace"
    data = recorded_csv(rows) if recorded is None else recorded.encode()
    write_trace(trace, out, {RECORDED: data})
    return out, read_trace(out)


def test_workers_with_gpus_become_the_members(tmp_path: Path) -> None:
    """A shape per replica type and GPUs; a worker that was restarted counts where it ended up."""
    trace, recorded = imported(tmp_path)
    assert trace.gangs.keys == ("dlc1", "dlc2")
    assert trace.rows.shape == ("master", "worker", "master")
    assert trace.rows.count.tolist() == [1, 2, 1]
    assert trace.rows.gpu.tolist() == [4, 8, 1]
    assert trace.gangs.submit_us.tolist() == [MINUTE, 0]
    assert trace.gangs.duration_us.tolist() == [60 * MINUTE, 10 * MINUTE]
    assert recorded == [
        Recorded("dlc1", 0, "10.0.0.1", 3 * MINUTE, 63 * MINUTE),
        Recorded("dlc1", 1, "10.0.0.3", 3 * MINUTE, 63 * MINUTE),
        Recorded("dlc1", 2, "10.0.0.9", 3 * MINUTE, 63 * MINUTE),
        Recorded("dlc2", 0, "10.0.0.1", 0, 10 * MINUTE),
    ]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """Jobs that did not run, or whose members or hosts are unknown."""
    trace, _ = imported(tmp_path)
    assert trace.dropped_rows == {
        "never_ran": 1, "still_running": 1, "times_disagree": 1, "zero_duration": 1,
        "no_host": 1, "no_gpu": 1,
        "worker_no_gpu": 2, "worker_restarted": 1, "worker_of_no_job": 1,
    }  # fmt: skip


def test_a_host_without_a_switch_is_a_node_outside_the_tree(tmp_path: Path) -> None:
    """worker.csv names hosts that topo.csv does not."""
    trace, _ = imported(tmp_path)
    assert trace.nodes.names == ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9")
    assert trace.nodes.labels == (("P1", "P1", "P2", ""), ("A1", "A1", "A1", ""))


@pytest.mark.parametrize(
    ("jobs", "workers", "message", "reason"),
    [
        (LINGJUN_JOBS.replace("2023/7/15 02:28,,", "soon,,"), LINGJUN_WORKERS,
         "job.csv:4: gmt_job_finished or gmt_job_stopped is 'soon'", "bad_time"),
        (LINGJUN_JOBS.replace("dlc7", "dlc2"), LINGJUN_WORKERS,
         "job.csv:9: job_name dlc2 stands on line 4 already", "bad_duplicate"),
        (LINGJUN_JOBS, LINGJUN_WORKERS.replace('"{""cpu"": ""8""}"', "lots"),
         "worker.csv:7: RES is 'lots', not a JSON object", "bad_resources"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_one_error_or_is_counted(
    tmp_path: Path, jobs: str, workers: str, message: str, reason: str
) -> None:
    """A cell that goes on over two lines does not shift the line numbers."""
    with pytest.raises(BadInputError) as caught:
        imported(tmp_path, jobs, workers)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    trace, _ = imported(tmp_path, jobs, workers, skip_bad=True)
    assert trace.dropped_rows[reason] == 1
    assert "dlc1" in trace.gangs.keys


def test_the_recorded_placement_is_a_run(tmp_path: Path) -> None:
    """Times, nodes and who waited are the recording's; it can be written and compared."""
    directory, trace = stored(tmp_path)
    run = recorded_run(directory, trace)
    assert run.start_us.tolist() == [3 * MINUTE, 0]
    assert run.end_us.tolist() == [63 * MINUTE, 10 * MINUTE]
    assert [trace.nodes.names[row] for row in run.row] == [
        "10.0.0.1", "10.0.0.3", "10.0.0.9", "10.0.0.1",
    ]  # fmt: skip
    assert run.time_us.tolist() == [0, MINUTE, 3 * MINUTE, 10 * MINUTE, 63 * MINUTE]
    assert run.waiting_gangs.tolist() == [0, 1, 0, 0, 0]
    assert run.waiting_members.tolist() == [0, 3, 0, 0, 0]
    summary = write_run(run, tmp_path / "run")
    assert summary["options"]["placement"] == "as-recorded"
    assert summary["wait_s"]["max"] == 120.0


def test_a_gang_without_a_record_is_unplaced(tmp_path: Path) -> None:
    """It waits to the end."""
    directory, trace = stored(tmp_path, "gang,rank,node,start_us,end_us\ndlc2,0,10.0.0.1,0,9\n")
    run = recorded_run(directory, trace)
    assert run.status.tolist() == [Status.UNPLACED, Status.PLACED]
    assert run.waiting_gangs.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("dlc9,0,10.0.0.1,0,9", "gang dlc9 is not in the trace"),
        ("dlc2,0,10.0.0.8,0,9", "node 10.0.0.8 is not in the trace"),
        ("dlc2,1,10.0.0.1,0,9", "gang dlc2 has no rank 1"),
        ("dlc1,0,10.0.0.1,180000000,190000000", "rank 0 of gang dlc1 has two rows"),
        ("dlc1,1,10.0.0.1,180000000,190000001", "the members of gang dlc1 have different times"),
        ("dlc2,0,10.0.0.1,9,8", "gang dlc2 ends before it begins"),
    ],
)
def test_a_recording_that_cannot_be_is_one_error_with_its_line(
    tmp_path: Path, row: str, message: str
) -> None:
    """Names, ranks and times are checked against the trace."""
    first = "dlc1,0,10.0.0.1,180000000,190000000"
    directory, trace = stored(tmp_path, f"gang,rank,node,start_us,end_us\n{first}\n{row}\n")
    with pytest.raises(BadInputError, match=message) as caught:
        recorded_run(directory, trace)
    assert caught.value.line in {2, 3}


def test_a_trace_without_a_recording_says_so(tmp_path: Path) -> None:
    """Most data sets have none."""
    trace, _ = imported(tmp_path)
    write_trace(trace, tmp_path / "trace")
    with pytest.raises(UsageError, match="the data set recorded no placement"):
        recorded_run(tmp_path / "trace", trace)
