"""What replay reads of a cluster: nodes.csv and gangs.csv of a snapshot, from its cluster.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scheduler.model.resources import CPU, GPU, MEMORY
from scheduler.replay.cluster_file import ClusterFile, GangEntry
from scheduler.replay.trace import (
    WHOLE_GPU,
    GangColumns,
    NodeColumns,
    ShapeRows,
    Trace,
    column,
)

GPU_MODEL_LABEL = "nvidia.com/gpu.product"


def trace_of(cluster: ClusterFile, source: str, dropped: Mapping[str, int]) -> Trace:
    """Its nodes, and the gangs that are tried; run times are not known and 0."""
    gangs = [gang for gang in cluster.gangs if not gang.waits_for and not gang.left_out]
    rows = [(at, shape, n) for at, gang in enumerate(gangs) for shape, n in _alike(gang.shapes)]
    amounts = np.array([cluster.shapes[shape].requests for _, shape, _ in rows], np.int64).reshape(
        len(rows), len(cluster.resources)
    )
    gpu = _of(cluster, amounts, GPU)
    start = min((gang.ready_us for gang in gangs), default=0)
    return Trace(
        name="cluster",
        source=source,
        licence="none: describes one cluster at one moment",
        levels=tuple(level.name for level in cluster.levels),
        nodes=_trace_nodes(cluster),
        gangs=GangColumns(
            keys=_distinct(gangs),
            pool=("",) * len(gangs),
            submit_us=column(gang.ready_us - start for gang in gangs),
            duration_us=column(0 for _ in gangs),
            priority=column(gang.priority for gang in gangs),
            minimum=column(gang.minimum for gang in gangs),
            segment_size=column(gang.segment_size for gang in gangs),
            required=tuple(gang.required for gang in gangs),
            preferred=tuple(gang.preferred for gang in gangs),
            offset=column(np.searchsorted([at for at, _, _ in rows], range(len(gangs) + 1))),
        ),
        rows=ShapeRows(
            gang=column(at for at, _, _ in rows),
            shape=tuple(f"shape-{shape}" for _, shape, _ in rows),
            count=column(n for _, _, n in rows),
            cpu_milli=column(_of(cluster, amounts, CPU)),
            memory_bytes=column(_of(cluster, amounts, MEMORY)),
            gpu=column(gpu),
            gpu_milli=column(np.where(gpu > 0, WHOLE_GPU, 0)),
            model=("",) * len(rows),
        ),
        dropped_rows=dropped,
    )


def _distinct(gangs: Sequence[GangEntry]) -> tuple[str, ...]:
    """Names; one that comes twice (an object and its successor) with its key behind it."""
    seen = Counter(gang.name for gang in gangs)
    return tuple(g.name if seen[g.name] == 1 else f"{g.name}#{g.key}" for g in gangs)


def _alike(shapes: Sequence[int]) -> list[tuple[int, int]]:
    """(shape, members), shapes rising."""
    return sorted(Counter(shapes).items())


def _of(cluster: ClusterFile, amounts: np.ndarray, name: str) -> Any:
    """[rows] one resource of each row; 0 where the cluster has none of it."""
    if name not in cluster.resources:
        return np.zeros(len(amounts), np.int64)
    return amounts[:, cluster.resources.index(name)]


def _trace_nodes(cluster: ClusterFile) -> NodeColumns:
    """One pass: the entries of a live cluster are made one after the other."""
    names: list[str] = []
    models: list[str] = []
    numbers: list[list[int]] = [[] for _ in range(4)]
    labels: list[list[str]] = [[] for _ in cluster.levels]
    for node in cluster.nodes:
        names.append(node.name)
        models.append(node.labels.get(GPU_MODEL_LABEL, ""))
        has = (*(node.allocatable.get(name, 0) for name in (CPU, MEMORY, GPU)), node.slots)
        for values, number in zip(numbers, has, strict=True):
            values.append(number)
        for texts, level in zip(labels, cluster.levels, strict=True):
            texts.append(node.labels.get(level.label, ""))
    cpu, memory, gpu, slots = map(column, numbers)
    return NodeColumns(
        names=tuple(names),
        pool=("",) * len(names),
        model=tuple(models),
        cpu_milli=cpu,
        memory_bytes=memory,
        gpu=gpu,
        pods=slots,
        labels=tuple(map(tuple, labels)),
    )
