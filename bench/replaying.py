"""`muster replay` on 10,000 nodes: events a second as the workload grows, and memory.

Each replay is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measure import Result

NODES = 10_000
LOAD = 0.9

PAIR, QUICK_PAIR = (10_000, 100_000), (2_000, 10_000)
"""Gangs of the smaller and of the larger replay."""

RATE_BOUND = 2.0
"""Events a second of the smaller replay, of those of the larger one."""
MEMORY_LIMIT = 2 << 30
GOAL_MS = 600_000.0


class ReplayError(RuntimeError):
    """A command failed."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replay: the whole command, from reading the trace to writing the report."""

    gangs: int
    events: int
    """Arrivals and ends."""
    seconds: float
    """Wall time."""
    cpu_seconds: float
    peak_bytes: int
    """Most memory that its process had at once."""

    @property
    def rate(self) -> float:
        """Events per second of CPU time: the pair does not run side by side, and what else the
        machine does meanwhile must not decide.
        """
        return self.events / self.cpu_seconds


def bounded(*, quick: bool, out: Path) -> list[Result]:
    """Rate and memory over the pair of workloads. Raises ReplayError if a command fails."""
    with tempfile.TemporaryDirectory(dir=out) as work:
        few, many = (replayed(gangs, Path(work)) for gangs in (QUICK_PAIR if quick else PAIR))
    params: dict[str, int | float | str] = {
        "nodes": NODES,
        "gangs": many.gangs,
        "load": LOAD,
        "events": many.events,
        "events_per_s": round(many.rate),
        "fewer_gangs": few.gangs,
        "events_per_s_of_fewer": round(few.rate),
        "peak_mib": many.peak_bytes >> 20,
    }
    millis = many.seconds * 1e3
    name, ratio = f"replay, {many.gangs:,} gangs", few.rate / many.rate
    memory = many.peak_bytes / MEMORY_LIMIT
    return [
        Result(
            name, params, 1, millis, millis, None, ratio, RATE_BOUND,
            ratio <= RATE_BOUND, f"events/s at {few.gangs:,} gangs / at {many.gangs:,}", GOAL_MS,
        ),
        Result(
            f"{name}, memory", params, 1, millis, millis, None, memory, 1.0, memory <= 1,
            f"{many.peak_bytes >> 20} of {MEMORY_LIMIT >> 20} MiB", GOAL_MS,
        ),
    ]  # fmt: skip


def replayed(gangs: int, work: Path) -> Replayed:
    """Generates a workload and replays it."""
    trace, run = work / f"trace-{gangs}", work / f"run-{gangs}"
    size = ("--nodes", str(NODES), "--gangs", str(gangs))
    _muster("generate", *size, "--load", str(LOAD), "--out", str(trace))
    seconds, usage = _muster("replay", str(trace), "--out", str(run))
    counts = json.loads((run / "summary.json").read_text(encoding="utf-8"))["counts"]
    events = int(counts["gangs"]) + int(counts["placed"])
    scale = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Replayed(gangs, events, seconds, cpu, usage.ru_maxrss * scale)


def _muster(*arguments: str) -> tuple[float, resource.struct_rusage]:
    """(seconds, usage) of one command. -P: the installed package, never the checkout."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "scheduler", *arguments], stdout=said, stderr=said
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            text = said.read().decode(errors="replace").strip()
            raise ReplayError(f"muster {' '.join(arguments)}: exit {child.returncode}\n{text}")
    return time.perf_counter() - begin, usage
