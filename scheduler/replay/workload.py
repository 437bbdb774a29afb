"""A trace in the engine's words: nodes, shapes, and an entry of the queue per gang."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np

from scheduler.errors import UsageError
from scheduler.model.arrays import I8, I32, I64
from scheduler.model.constraints import Requirement, Term
from scheduler.model.pending import NO_LEVEL
from scheduler.model.policy import Order
from scheduler.model.resources import CPU, GPU, MEMORY, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.replay.trace import WHOLE_GPU, Trace
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.nodes import Level, NodeSpec

RESOURCES = ResourceOrder.of((CPU, MEMORY, GPU))
POOL = "muster.dev/pool"
MODEL = "muster.dev/gpu-model"


@dataclass(frozen=True, slots=True)
class Aliases:
    """Names under which nodes and domains are sorted: their own, or shuffled by a seed.

    The engine breaks ties by name, so `--tie-break seeded` gives every node, and every label
    value, another name for the length of the run.
    """

    nodes: tuple[str, ...]
    """[N] name of each node of the trace."""
    labels: tuple[tuple[str, ...], ...]
    """[L][N] label values."""

    @classmethod
    def of(cls, trace: Trace, seed: int | None) -> Aliases:
        """The names themselves if `seed` is None."""
        if seed is None:
            return cls(trace.nodes.names, trace.nodes.labels)
        rng = np.random.Generator(np.random.PCG64(seed))
        nodes = tuple(f"node-{i}" for i in rng.permutation(len(trace.nodes)))
        labels = []
        for level, values in zip(trace.levels, trace.nodes.labels, strict=True):
            known = sorted(set(values) - {""})
            order = rng.permutation(len(known))
            alias = {v: f"{level}-{i}" for v, i in zip(known, order, strict=True)} | {"": ""}
            labels.append(tuple(alias[value] for value in values))
        return cls(nodes, tuple(labels))


def level_label(level: str) -> str:
    """The node label that carries `level`."""
    return f"muster.dev/{level}"


def node_specs(trace: Trace, aliases: Aliases) -> Iterator[NodeSpec]:
    """The nodes of the trace, old enough to take gangs."""
    nodes = trace.nodes
    for row, name in enumerate(aliases.nodes):
        labels = {POOL: nodes.pool[row], MODEL: nodes.model[row]}
        for level, values in zip(trace.levels, aliases.labels, strict=True):
            if values[row]:
                labels[level_label(level)] = values[row]
        amounts = {
            CPU: int(nodes.cpu_milli[row]),
            MEMORY: int(nodes.memory_bytes[row]),
            GPU: int(nodes.gpu[row]),
        }
        yield NodeSpec(
            name=name,
            allocatable=RESOURCES.vector(amounts),
            slots=int(nodes.pods[row]),
            labels=labels,
        )


def row_shapes(trace: Trace) -> tuple[list[Shape], I32]:
    """Distinct shapes of the trace, and the shape of each of its R rows.

    Raises UsageError for shares of a GPU, which only some published experiments need.
    """
    rows, gangs = trace.rows, trace.gangs
    shared = np.flatnonzero((rows.gpu > 0) & (rows.gpu_milli != WHOLE_GPU))
    if shared.size:
        key = gangs.keys[int(rows.gang[shared[0]])]
        raise UsageError(
            f"gang {key} asks for a share of a GPU", "this placement takes whole devices only"
        )
    pools = len(set(trace.nodes.pool)) > 1
    models = len(set(trace.nodes.model)) > 1
    number: dict[Shape, int] = {}
    known: dict[tuple[int, int, int, str, str], int] = {}
    of_row = np.empty(len(rows), np.int32)
    columns = (rows.cpu_milli.tolist(), rows.memory_bytes.tolist(), rows.gpu.tolist())
    for r, (cpu, memory, gpu, gang) in enumerate(zip(*columns, rows.gang.tolist(), strict=True)):
        pool = gangs.pool[gang] if pools else ""
        model = rows.model[r] if models else ""
        parts = (cpu, memory, gpu, pool, model)
        if parts not in known:
            shape = _shape(cpu, memory, gpu, pool, model)
            known[parts] = number.setdefault(shape, len(number))
        of_row[r] = known[parts]
    return list(number), of_row


def _shape(cpu: int, memory: int, gpu: int, pool: str, model: str) -> Shape:
    wanted = Requirement(MODEL, "In", tuple(model.split("|")))
    return Shape(
        requests=RESOURCES.vector({CPU: cpu, MEMORY: memory, GPU: gpu}),
        selector=((POOL, pool),) if pool else (),
        affinity=(Term((wanted,)),) if model else None,
    )


class Workload:
    """Gangs of the trace as entries of the queue."""

    def __init__(self, trace: Trace, shape_numbers: Mapping[int, int], of_row: I32) -> None:
        """shape_numbers: place in row_shapes() -> number in the cache."""
        self.trace = trace
        self.required: I8 = trace.level_numbers(trace.gangs.required)
        preferred = trace.level_numbers(trace.gangs.preferred)
        top = 0 if trace.levels else -1
        self.preferred: I8 = np.where(preferred >= 0, preferred, top).astype(np.int8)
        self.pool_of_gang: I32 = trace.pool_codes()[1]
        self.sizes: I64 = trace.sizes()
        self.of_row: I32 = np.array([shape_numbers[s] for s in of_row.tolist()], np.int32)

    def relaxed(self, levels: frozenset[str]) -> Workload:
        """The same gangs, where a required level (of `levels`, or any) is only preferred."""
        relaxed = copy(self)
        required = self.trace.gangs.required
        may = np.array([name in levels or not levels for name in required], np.bool_)
        may &= self.required >= 0
        relaxed.preferred = np.where(may, self.required, self.preferred).astype(np.int8)
        relaxed.required = np.where(may, NO_LEVEL, self.required).astype(np.int8)
        return relaxed

    def shapes(self, gang: int) -> int | I32:
        """The shape number of all members, or one per member by rank."""
        first, last = self.trace.gangs.offset[gang : gang + 2].tolist()
        if last == first + 1:
            return int(self.of_row[first])
        counts = self.trace.rows.count[first:last]
        return np.repeat(self.of_row[first:last], counts)

    def composition(self, gang: int) -> tuple[tuple[int, int], ...]:
        """(shape number, members) by rank, neighbours alike joined."""
        first, last = self.trace.gangs.offset[gang : gang + 2].tolist()
        counts = self.trace.rows.count[first:last].tolist()
        return tuple(zip(self.of_row[first:last].tolist(), counts, strict=True))

    def wants(self, gang: int) -> tuple[tuple[int, int], ...]:
        """(shape number, members) of the lowest ranks that are enough to start."""
        left = int(self.trace.gangs.minimum[gang])
        wants: dict[int, int] = {}
        for shape, count in self.composition(gang):
            if left > 0:
                wants[shape] = wants.get(shape, 0) + min(count, left)
            left -= count
        return tuple(sorted(wants.items()))

    def entry(self, gang: int, ready_us: int, *, sjf: bool) -> Entry:
        """The entry of one gang that arrived at ready_us."""
        gangs = self.trace.gangs
        size = int(gangs.segment_size[gang])
        return Entry(
            key=gangs.keys[gang],
            name=gangs.keys[gang],
            count=int(self.sizes[gang]),
            shape=self.shapes(gang),
            minimum=int(gangs.minimum[gang]),
            required=int(self.required[gang]),
            preferred=int(self.preferred[gang]),
            segment_size=size,
            segment_level=len(self.trace.levels) - 1 if size else -1,
            pool=int(self.pool_of_gang[gang]),
            priority=int(gangs.priority[gang]),
            ready_us=ready_us,
            expected_us=int(gangs.duration_us[gang]) if sjf else 0,
            single=int(self.sizes[gang]) == 1,
        )


def trace_cluster(
    trace: Trace, *, order: Order = Order.PRIORITY, seed: int | None = None
) -> tuple[Cache, Workload]:
    """A cache that holds the trace's empty cluster, and its gangs in that cache's numbers.

    seed: shuffles the names that break ties (see Aliases).
    """
    cache = Cache(
        RESOURCES, [Level(level, level_label(level)) for level in trace.levels], order=order
    )
    for spec in node_specs(trace, Aliases.of(trace, seed)):
        cache.upsert_node(spec)
    shapes, of_row = row_shapes(trace)
    numbers = {place: cache.shape(shape) for place, shape in enumerate(shapes)}
    return cache, Workload(trace, numbers, of_row)
