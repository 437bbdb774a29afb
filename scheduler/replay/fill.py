"""`--fill X`: does everything fit? Arrivals one a second, one attempt each, nobody leaves.

The experiment of FGD (ATC'23): the trace's gangs in shuffled order, then gangs drawn again with
replacement, until X times the cluster's GPUs have arrived.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scheduler.errors import UsageError
from scheduler.model.arrays import frozen
from scheduler.replay.trace import Trace, take_gangs

SECOND = 1_000_000


def fill_trace(trace: Trace, times: float, seed: int) -> Trace:
    """The shuffled arrivals; a gang that comes again has `~2`, `~3`, .. behind its key.

    Raises UsageError if the trace asks for no GPU at all.
    """
    gpus = trace.gpus()
    # Thousandths, so that the end of the experiment is decided in whole numbers.
    target = round(times * 1000) * int(trace.nodes.gpu.sum())
    if not gpus.sum() or not target:
        raise UsageError("--fill needs a trace whose gangs and nodes have GPUs")
    rng = np.random.Generator(np.random.PCG64(seed))
    order = rng.permutation(len(gpus)).tolist()
    arrived = int(gpus.sum()) * 1000
    while arrived < target:
        again = int(rng.integers(len(gpus)))
        order.append(again)
        arrived += int(gpus[again]) * 1000
    order = order[: _cut(gpus[order].tolist(), target)]
    return arrivals_trace(trace, order)


def _cut(gpus: list[int], target: int) -> int:
    """How many of the arrivals stay below `target` thousandths of a GPU."""
    total = 0
    for count, gpu in enumerate(gpus):
        total += gpu * 1000
        if total > target:
            return count
    return len(gpus)


def arrivals_trace(trace: Trace, order: list[int]) -> Trace:
    """The gangs `order` (repeats allowed), one a second, each until after the last arrival."""
    seen: dict[int, int] = {}
    keys: list[str] = []
    parts = []
    for gang in order:
        seen[gang] = seen.get(gang, 0) + 1
        suffix = f"~{seen[gang]}" if seen[gang] > 1 else ""
        keys.append(trace.gangs.keys[gang] + suffix)
        parts.append(gang)
    gangs, rows = take_gangs(trace.gangs, trace.rows, np.array(parts, np.int64))
    submit = np.arange(len(order), dtype=np.int64) * SECOND
    forever = np.full(len(order), (len(order) + 1) * SECOND, np.int64)
    arrivals = replace(
        gangs, keys=tuple(keys), submit_us=frozen(submit), duration_us=frozen(forever - submit)
    )
    return replace(trace, gangs=arrivals, rows=rows)
