"""The cluster and the gangs that are timed: the same numbers on every run.

Two of three nodes are unused; on the others 0 to 4 GPUs are taken, each with 20 CPU and 200 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scheduler.model.arrays import I32, I64, frozen
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW, Pending
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import LabelColumn, Snapshot
from scheduler.model.topology_build import build_topology

GIB = 1 << 30
CPU_MILLI = 190_500
MEMORY_BYTES = 2_100_000_000 * 1024
GPUS = 8
PODS = 110
SPINE_NODES = 250

CPU_PER_GPU = 20_000
TAKEN_MEMORY_PER_GPU = 200 * GIB
ASKED_MEMORY_PER_GPU = 100 * GIB

SHAPE_GPUS = (1, 2, 4)
"""GPUs of shape 0, 1 and 2; CPU and memory grow with them."""
SHAPE_WEIGHTS = (0, 0, 1, 2)
"""Shapes that a gang's is drawn from: 1, 1, 2 or 4 GPUs."""

SEED = 20_261_122


@dataclass(frozen=True, slots=True)
class Node:
    """One node's numbers as columns [N], before they become a Snapshot or events of a cache."""

    names: tuple[str, ...]
    spine: tuple[str, ...]
    taken: I64
    """GPUs that other pods have taken."""


def nodes(count: int) -> Node:
    """`count` nodes under spines of SPINE_NODES consecutive ones."""
    rng = np.random.default_rng(SEED)
    used = rng.permutation(count) % 3 == 0
    taken = np.where(used, rng.integers(0, 5, count), 0)
    width = len(str(count - 1))
    return Node(
        names=tuple(f"node-{i:0{width}d}" for i in range(count)),
        spine=tuple(f"spine-{i // SPINE_NODES}" for i in range(count)),
        taken=taken.astype(np.int64),
    )


def shapes() -> tuple[Shape, ...]:
    """The three shapes, in the order of `resources()`."""
    per_gpu = (CPU_PER_GPU, ASKED_MEMORY_PER_GPU, 1)
    return tuple(Shape(tuple(amount * gpus for amount in per_gpu)) for gpus in SHAPE_GPUS)


def resources() -> ResourceOrder:
    """CPU, memory, GPU."""
    return ResourceOrder.of([GPU])


@lru_cache(maxsize=2)
def snapshot(count: int) -> Snapshot:
    """`count` nodes with no kept capacities: plan() has to compute all it needs."""
    node = nodes(count)
    taken = node.taken
    free = np.stack(
        [
            CPU_MILLI - CPU_PER_GPU * taken,
            MEMORY_BYTES - TAKEN_MEMORY_PER_GPU * taken,
            GPUS - taken,
        ]
    )
    allocatable = np.empty((3, count), np.int64)
    allocatable[:] = [[CPU_MILLI], [MEMORY_BYTES], [GPUS]]
    spines = tuple(dict.fromkeys(node.spine))
    spine = LabelColumn("spine", spines, frozen((np.arange(count) // SPINE_NODES).astype(np.int32)))
    return Snapshot(
        generation=1,
        resources=resources(),
        names=node.names,
        topology=build_topology(["spine"], node.names, [[label] for label in node.spine]),
        allocatable=frozen(allocatable),
        free=frozen(np.ascontiguousarray(free)),
        slots=frozen(PODS - taken),
        flags=frozen(np.zeros(count, np.uint8)),
        taint_sets=((),),
        taint_set=frozen(np.zeros(count, np.int32)),
        labels={"spine": spine},
        shapes=shapes(),
    )


def one_gang(members: int) -> Pending:
    """One gang of `members` pods of shape 0."""
    return pending_of(np.array([members]), np.array([0]))


def many_gangs(count: int) -> Pending:
    """`count` gangs of 64 x 16^u pods, u uniform in 0 .. 1, with 1, 1, 2 or 4 GPUs each."""
    rng = np.random.default_rng(SEED + 1)
    sizes = np.rint(64 * 16 ** rng.random(count)).astype(np.int64)
    shape = np.array(SHAPE_WEIGHTS)[rng.integers(0, len(SHAPE_WEIGHTS), count)]
    return pending_of(sizes, shape)


def pending_of(sizes: I64, shape: I64) -> Pending:
    """Gangs of these sizes, each of one shape."""
    gangs, members = len(sizes), int(sizes.sum())
    offset = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    width = len(str(gangs - 1))
    keys = tuple(f"team/gang-{g:0{width}d}" for g in range(gangs))

    def per_gang(value: int, dtype: type) -> np.ndarray:
        return frozen(np.full(gangs, value, dtype))

    def per_member(value: int) -> I32:
        return frozen(np.full(members, value, np.int32))

    return Pending(
        key=keys,
        name=keys,
        offset=frozen(offset),
        minimum=frozen(sizes.astype(np.int32)),
        required=per_gang(NO_LEVEL, np.int8),
        preferred=per_gang(0, np.int8),
        segment_size=per_gang(0, np.int32),
        segment_level=per_gang(NO_LEVEL, np.int8),
        home=per_gang(NO_DOMAIN, np.int32),
        single=per_gang(0, np.uint8),
        repair=per_gang(0, np.uint8),
        priority=per_gang(0, np.int32),
        ready_us=frozen(np.arange(gangs, dtype=np.int64)),
        expected_us=per_gang(0, np.int64),
        pool=per_gang(0, np.int32),
        rank=frozen((np.arange(members) - np.repeat(offset[:-1], sizes)).astype(np.int32)),
        shape=frozen(np.repeat(shape, sizes).astype(np.int32)),
        held_row=per_member(NO_ROW),
        pin=per_member(NO_PIN),
    )
