"""The API server's bytes into columns: first lists and pod events over loopback TLS, and memory.

The stub API server (bench/go) serves objects as a real one does, managedFields and all; a worker
process reads them with the scheduler's own connection, watches and state. CPU time is the
worker's alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import go_tools
from measure import Result

WORKER = Path(__file__).with_name("reading_worker.py")

MEMORY_LIMIT = 2 << 30
NODES_GOAL_MS = 8_000.0
SNAPSHOT_GOAL_MS = 30_000.0
EVENTS_GOAL_MS = 1000 / 15
"""For 1,000 events: 15,000 a second."""


class ReadingError(RuntimeError):
    """The worker failed."""


@dataclass(frozen=True, slots=True)
class Size:
    """What the stub serves."""

    nodes: int
    pods: int
    modified: int
    added: int


FULL = Size(100_000, 300_000, 60_000, 30_000)
QUICK = Size(10_000, 30_000, 15_000, 5_000)


def bounded(*, quick: bool, out: Path) -> list[Result]:
    """First lists, events, memory. Raises go_tools.GoToolsError or ReadingError."""
    size = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(dir=out) as work:
        cost = _read(size, Path(work))
    params: dict[str, int | float | str] = {
        "nodes": size.nodes, "pods": size.pods, "labels": int(cost["labels"]),
        "cores": 1, **{name: round(value, 3) for name, value in cost.items() if "_s" in name},
        "peak_mib": int(cost["peak_bytes"]) >> 20,
    }  # fmt: skip
    share = size.nodes / FULL.nodes
    rows = [
        ("first list of nodes, CPU", cost["nodes_s"] * 1e3, NODES_GOAL_MS * share),
        ("first snapshot from bytes, CPU", cost["snapshot_s"] * 1e3, SNAPSHOT_GOAL_MS * share),
        ("1,000 new bound pods, CPU", cost["pods_s"] * 1e6 / size.pods, EVENTS_GOAL_MS),
        ("1,000 changed pods, CPU", cost["modified_s"] * 1e6 / size.modified, EVENTS_GOAL_MS),
        ("1,000 new waiting pods, CPU", cost["added_s"] * 1e6 / size.added, EVENTS_GOAL_MS),
    ]
    memory = cost["peak_bytes"] / MEMORY_LIMIT
    limited = Result(
        "first snapshot, memory", params, 1, cost["snapshot_s"] * 1e3, cost["snapshot_s"] * 1e3,
        None, memory, 1.0, memory <= 1, f"peak of {MEMORY_LIMIT >> 20} MiB",
        SNAPSHOT_GOAL_MS * share,
    )  # fmt: skip
    return [
        *(
            Result(name, params, 1, ms, ms, None, None, None, ok=True, basis="", goal_ms=goal)
            for name, ms, goal in rows
        ),
        limited,
    ]


def _read(size: Size, work: Path) -> dict[str, float]:
    counts = ("-nodes", size.nodes, "-pods", size.pods)
    events = ("-modified", size.modified, "-added", size.added, "-hold")
    with go_tools.stub(work, *map(str, counts + events)) as stub:
        command = (WORKER, stub.kubeconfig, size.modified, size.added)
        done = subprocess.run(
            [sys.executable, *map(str, command)], capture_output=True, text=True, check=False
        )  # fmt: skip
    if done.returncode:
        raise ReadingError(f"{WORKER.name}: exit {done.returncode}\n{done.stderr.strip()}")
    cost: dict[str, float] = json.loads(done.stdout)
    if (cost["nodes"], cost["pods"]) != (size.nodes, size.pods):
        raise ReadingError(f"{WORKER.name} has read {cost['nodes']} nodes, {cost['pods']} pods")
    return cost
