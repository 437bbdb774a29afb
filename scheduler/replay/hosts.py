"""The host that stands in where a source tells GPUs and switches, but no CPU or memory."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.replay.trace import NodeColumns, column, sort_nodes

CPU_MILLI = 190_500
"""192 cores less what the system and the kubelet reserve."""

MEMORY_BYTES = 2_100_000_000 * 1024
"""Of 2 TiB."""

GPUS = 8

PODS = 110
"""The kubelet's default (`maxPods`)."""


def hosts(
    names: Sequence[str],
    pools: Sequence[str],
    labels: Sequence[Sequence[str]] = (),
    gpus: int = GPUS,
    model: str = "",
) -> NodeColumns:
    """Equal hosts as node columns; `labels[level][host]` as in NodeColumns."""
    count = len(names)
    return sort_nodes(
        NodeColumns(
            names=tuple(names),
            pool=tuple(pools),
            model=(model,) * count,
            cpu_milli=column([CPU_MILLI] * count),
            memory_bytes=column([MEMORY_BYTES] * count),
            gpu=column([gpus] * count),
            pods=column([PODS] * count),
            labels=tuple(tuple(values) for values in labels),
        )
    )
