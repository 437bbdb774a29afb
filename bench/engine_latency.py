"""From the last member's event to the first bind on the wire: the whole scheduler against the stub.

`muster run` is a process of its own, as in production. The stub keeps a gang one pod short until
everything else has been read, shows that pod, and notes when it wrote the event and when the
first bind arrived: the last settle, freeze, plan, assume and the first request lie in between.
"""

from __future__ import annotations

import json
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import go_tools
import measure
import yaml

READY_S = 120.0
BOUND_S = 240.0
LEVELS = [{"name": level, "label": f"network.example.com/{level}"} for level in ("spine", "leaf")]


class LatencyError(RuntimeError):
    """The scheduler did not bind."""


@dataclass(frozen=True, slots=True)
class Size:
    """A gang on a cluster; `pause_s` is what the scheduler has to read the other members."""

    members: int
    nodes: int
    pause_s: float
    goal_ms: float


SIZES = (Size(500, 5_000, 0.5, 20.0), Size(100_000, 100_000, 4.0, 500.0))
QUICK = SIZES[:1]


def first_bind_ms(size: Size, work: Path) -> float:
    """Milliseconds of one run. Raises LatencyError or go_tools.GoToolsError."""
    flags = ("-nodes", size.nodes, "-added", size.members, "-hold", "-last-after",
             f"{size.pause_s}s")  # fmt: skip
    with go_tools.stub(work, *map(str, flags)) as stub:
        config, log = work / "config.yaml", work / "muster.log"
        document = {
            "apiVersion": "muster.dev/v1alpha1",
            "kind": "MusterConfiguration",
            "profiles": [{"schedulerName": "muster", "levels": LEVELS}],
        }
        config.write_text(yaml.safe_dump(document), encoding="utf-8")
        command = [
            sys.executable, "-P", "-m", "scheduler", "run", "--config", str(config),
            "--kubeconfig", str(stub.kubeconfig), "--listen", "127.0.0.1:0",
        ]  # fmt: skip
        with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
            try:
                _until(lambda: b"in step with" in log.read_bytes(), READY_S, process, log)
                time.sleep(max(1.0, size.pause_s))  # the first nodes are laid out meanwhile
                _ask(stub, "/stub/go", method="POST")
                stats: dict[str, Any] = {}

                def bound() -> bool:
                    stats.update(_ask(stub, "/stub/stats"))
                    return bool(stats["first_bind_us"])

                _until(bound, BOUND_S, process, log)
            finally:
                process.kill()
    return float(stats["first_bind_us"] - stats["last_event_us"]) / 1e3


def bounded(runs: int, *, quick: bool) -> list[measure.Result]:
    """A row per size, beside a gang of one pod on the same nodes: what the members add.

    Raises LatencyError or go_tools.GoToolsError.
    """
    results = []
    for size in QUICK if quick else SIZES:
        own: list[float] = []
        alone: list[float] = []
        for _ in range(runs):
            for times, members in ((own, size.members), (alone, 1)):
                with tempfile.TemporaryDirectory() as work:
                    times.append(first_bind_ms(replace(size, members=members), Path(work)))
        median, floor = statistics.median(own), statistics.median(alone)
        results.append(
            measure.Result(
                f"last event to first bind, {size.members:,}",
                {"members": size.members, "nodes": size.nodes},
                runs, median, min(own), floor, median / floor, None, ok=True,
                basis="a gang of one pod", goal_ms=size.goal_ms,
            )
        )  # fmt: skip
    return results


def _until(
    done: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise LatencyError(f"muster run did not get there; its log ends with:\n{tail}")
        time.sleep(0.05)


def _ask(stub: go_tools.Stub, path: str, method: str = "GET") -> dict[str, Any]:
    context = ssl.create_default_context(cafile=str(stub.ca))
    request = urllib.request.Request(stub.server + path, method=method)  # noqa: S310 -- https
    with urllib.request.urlopen(  # noqa: S310 -- as above
        request, context=context, timeout=10
    ) as response:
        text = response.read()
    answer: dict[str, Any] = json.loads(text) if text else {}
    return answer


if __name__ == "__main__":
    for result in bounded(3, quick="--quick" in sys.argv):
        print(result.row())
