"""The jobs of the Lingjun data set: gangs made from the workers of each job, with their hosts.

job.csv holds a row per job (job_name and times to the minute, `YYYY/M/D HH:MM`), worker.csv a
row per worker (job_name, worker_name, replica_type, host_ip, and RES, a JSON object of what it
asked for). Only GPUs count, as the data set gives hosts no CPU or memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from scheduler.model.names import natural_key
from scheduler.replay.importers.jobs import Jobs, Member
from scheduler.replay.importers.rows import (
    CsvTable,
    MalformedError,
    RowSource,
    filled,
    minute,
    whole,
)
from scheduler.replay.recorded import Recorded

_JOBS = (
    *("job_name", "gmt_job_submitted", "gmt_job_running"),
    *("gmt_job_finished", "gmt_job_stopped"),
)
_WORKERS = ("job_name", "worker_name", "replica_type", "host_ip", "gmt_pod_running", "RES")
_GPU = "nvidia.com/gpu"


class _Worker(NamedTuple):
    shape: str
    gpu: int
    host: str
    running_us: int
    """When it began; of several rows for one worker the last one counts."""


@dataclass(slots=True)
class _Job:
    line: int
    submit_us: int
    start_us: int
    end_us: int
    workers: dict[str, _Worker] = field(default_factory=dict)


def read_jobs(rows: RowSource, jobs: Path, workers: Path, pool: str) -> tuple[Jobs, list[Recorded]]:
    """The gangs in the order of `jobs`, the first submitted at 0, and where each member ran."""
    ran = _jobs_that_ran(rows, jobs)
    _add_workers(rows, workers, ran)
    usable = {key: job for key, job in ran.items() if _usable(job, rows.dropped)}
    origin = min((job.submit_us for job in usable.values()), default=0)
    kept = Jobs("job_name")
    recorded: list[Recorded] = []
    for key, job in usable.items():
        members, hosts = _members(job)
        kept.add(
            job.line, key, pool, job.submit_us - origin, job.end_us - job.start_us, members
        )  # fmt: skip
        recorded += [
            Recorded(key, rank, host, job.start_us - origin, job.end_us - origin)
            for rank, host in enumerate(hosts)
        ]
    return kept, recorded


def _jobs_that_ran(rows: RowSource, path: Path) -> dict[str, _Job]:
    found: dict[str, _Job] = {}

    def take(line: int, cells: Sequence[str]) -> str:
        key, submitted, running, finished, stopped = cells
        if filled("job_name", key) in found:
            what = f"job_name {key} stands on line {found[key].line} already"
            raise MalformedError("bad_duplicate", what, "remove one of the rows, or rename it")
        submit_us = minute("gmt_job_submitted", filled("gmt_job_submitted", submitted))
        if not running:
            return "never_ran"
        if not (finished or stopped):
            return "still_running"
        start_us = minute("gmt_job_running", running)
        end_us = minute("gmt_job_finished or gmt_job_stopped", finished or stopped)
        if not submit_us <= start_us <= end_us:
            return "times_disagree"
        if start_us == end_us:
            return "zero_duration"
        found[key] = _Job(line, submit_us, start_us, end_us)
        return ""

    rows.table(CsvTable(path), _JOBS, take)
    return found


def _add_workers(rows: RowSource, path: Path, jobs: dict[str, _Job]) -> None:
    def take(_line: int, cells: Sequence[str]) -> str:
        key, name, replica_type, host, running, resources = cells
        gpu = _gpus(resources)
        running_us = minute("gmt_pod_running", running) if running else 0
        job = jobs.get(filled("job_name", key))
        before = job.workers.get(filled("worker_name", name)) if job else None
        if job is None:
            return "worker_of_no_job"
        if gpu == 0:
            return "worker_no_gpu"
        if host:
            filled("host_ip", host)
        if before is None or running_us >= before.running_us:
            shape = filled("replica_type", replica_type).lower()
            job.workers[name] = _Worker(shape, gpu, host, running_us)
        return "worker_restarted" if before else ""

    rows.table(CsvTable(path), _WORKERS, take)


def _gpus(resources: str) -> int:
    if not resources:
        return 0
    try:
        wanted = msgspec.json.decode(resources, type=dict[str, str | int | float | None])
    except msgspec.DecodeError:
        what = f"RES is {resources[:60]!r}, not a JSON object"
        raise MalformedError("bad_resources", what, "correct the resources") from None
    return whole(f"{_GPU} of RES", str(wanted.get(_GPU) or ""), empty=0)


def _usable(job: _Job, dropped: Counter[str]) -> bool:
    if not job.workers:
        dropped["no_gpu"] += 1
        return False
    if not all(worker.host for worker in job.workers.values()):
        dropped["no_host"] += 1
        return False
    return True


def _members(job: _Job) -> tuple[list[Member], list[str]]:
    """The shapes of the gang, and the host of each rank (shape after shape)."""
    alike: dict[tuple[str, int], list[str]] = {}
    for name in sorted(job.workers, key=natural_key):
        worker = job.workers[name]
        alike.setdefault((worker.shape, worker.gpu), []).append(worker.host)
    members = [Member(len(hosts), gpu, shape=shape) for (shape, gpu), hosts in alike.items()]
    return members, [host for hosts in alike.values() for host in hosts]
