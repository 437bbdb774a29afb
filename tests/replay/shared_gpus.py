"""Small traces of single pods that share GPUs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.replay.trace import GangColumns, NodeColumns, ShapeRows, Trace, column

NodeRow = tuple[int, int, int, str]
"""(milli-CPU, bytes, GPUs, model)"""

PodRow = tuple[int, int, int, int, str]
"""(milli-CPU, bytes, GPUs, milli of each, models)"""


def pods_trace(
    nodes: Sequence[NodeRow], pods: Sequence[PodRow], names: Sequence[str] | None = None
) -> Trace:
    """Nodes n0, n1, .. and pods p0, p1, .. (or `names`), all in one pool."""
    cpu, memory, gpu, model = zip(*nodes, strict=True)
    pod_cpu, pod_memory, gpus, milli, models = zip(*pods, strict=True)
    count = len(pods)
    ones = column(np.ones(count, np.int64))
    zeros = column(np.zeros(count, np.int64))
    return Trace(
        name="pods",
        source="hand-written",
        licence="none",
        levels=(),
        nodes=NodeColumns(
            names=tuple(f"n{n}" for n in range(len(nodes))),
            pool=("pool",) * len(nodes),
            model=model,
            cpu_milli=column(cpu),
            memory_bytes=column(memory),
            gpu=column(gpu),
            pods=column([110] * len(nodes)),
        ),
        gangs=GangColumns(
            keys=tuple(names or (f"p{p}" for p in range(count))),
            pool=("pool",) * count,
            submit_us=zeros,
            duration_us=ones,
            priority=zeros,
            minimum=ones,
            segment_size=zeros,
            required=("",) * count,
            preferred=("",) * count,
            offset=column(np.arange(count + 1)),
        ),
        rows=ShapeRows(
            gang=column(np.arange(count)),
            shape=("pod",) * count,
            count=ones,
            cpu_milli=column(pod_cpu),
            memory_bytes=column(pod_memory),
            gpu=column(gpus),
            gpu_milli=column(milli),
            model=models,
        ),
    )
