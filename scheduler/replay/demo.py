"""`muster demo`: a generated cluster of 20 spines, a gang workload, three placements compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scheduler.errors import UsageError
from scheduler.replay.compare import compare
from scheduler.replay.generate import GenerateOptions, generate
from scheduler.replay.run_dir import write_run
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.trace_io import write_trace

PLACEMENTS = ("first-fit", "spread", "muster")
"""The baseline first: differences are against it."""

OPTIONS = GenerateOptions(
    nodes=640, spines=20, leaf_size=8, gangs=4_000, sizes=(1, 64), load=0.9, longest_s=6 * 3600
)

MARK = ".muster-demo"
"""A file that says that a directory is ours to replace."""


def demo(
    out: Path, *, seed: int = 1, on_progress: Callable[[int, int], None] | None = None
) -> tuple[list[dict[str, Any]], Path]:
    """(rows of the comparison, path of its report); everything stands under `out`.

    Raises UsageError if `out` is there and not from an earlier demo.
    """
    if out.exists():
        if not (out / MARK).is_file():
            raise UsageError(f"{out} is there and not from an earlier demo", "give another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).touch()
    trace = generate(replace(OPTIONS, seed=seed))
    write_trace(trace, out / "trace")
    runs: list[Path] = []
    total = len(PLACEMENTS) * len(trace.gangs)
    for turn, rule in enumerate(PLACEMENTS):

        def step(done: int, gangs: int, turn: int = turn) -> None:
            if on_progress is not None:
                on_progress(turn * gangs + done, total)

        result = replay(trace, ReplayOptions(order="fifo", placement=rule, seed=seed), step)
        runs.append(out / rule)
        write_run(result, runs[-1])
    return compare(runs, out / "compare"), out / "compare" / "report.html"
