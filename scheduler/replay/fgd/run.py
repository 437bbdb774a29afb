"""`muster replay --fill X --placement fgd..`: the fill as a run, one arrival a second."""

from __future__ import annotations

import numpy as np

from scheduler.errors import UsageError
from scheduler.replay.fgd.experiment import run_fill
from scheduler.replay.fgd.policy import PLACEMENTS
from scheduler.replay.fgd.problem import problem_of
from scheduler.replay.fill import arrivals_trace
from scheduler.replay.result import CAUSES, OptionValue, RunResult, Status
from scheduler.replay.trace import Trace


def fill_result(
    trace: Trace, placement: str, times: float | None, seed: int, options: dict[str, OptionValue]
) -> RunResult:
    """Fills the cluster of `trace` by the rule `placement`; `options` are printed in the report.

    A pod that comes again has `~2`, `~3`, .. behind its name; a pod that finds no room is
    dropped. Raises UsageError without `times`, or if the trace does not suit (`problem_of`).
    """
    if times is None:
        what = f"--placement {placement} only fills a cluster"
        raise UsageError(what, "give --fill too, 1.3 as published")
    run = run_fill(problem_of(trace), PLACEMENTS[placement], times, seed)
    arrivals = arrivals_trace(trace, run.pods.tolist())
    submit, placed = arrivals.gangs.submit_us, run.row >= 0
    count = len(submit)
    return RunResult(
        trace=arrivals,
        topology=arrivals.topology(),
        options=options,
        start_us=np.where(placed, submit, -1),
        end_us=np.where(placed, submit + arrivals.gangs.duration_us, -1),
        status=np.where(placed, Status.PLACED, Status.UNPLACED).astype(np.int8),
        offset=np.arange(count + 1, dtype=np.int64),
        row=run.row.astype(np.int32),
        time_us=submit,
        waiting_gangs=np.zeros(count, np.int32),
        waiting_members=np.zeros(count, np.int64),
        blocked=np.zeros((count, len(CAUSES)), np.int32),
    )
