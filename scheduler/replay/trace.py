"""A trace in memory: a cluster and the gangs submitted to it, as columns.

    nodes [N]   names in natural order, pool, model, allocatable, a label per level
    gangs [G]   key, pool, submit and run time, minimum, levels; in file order
    rows  [R]   the shapes of gang g are rows offset[g] .. offset[g + 1] - 1

Times are microseconds from the start of the trace; amounts are int64 milli-CPU, bytes and
whole devices. Nothing here reads or writes files: `trace_io.py` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from scheduler.errors import BadInputError, UsageError
from scheduler.model.arrays import I8, I32, I64, frozen
from scheduler.model.names import natural_key
from scheduler.model.pending import NO_LEVEL
from scheduler.model.topology import Topology
from scheduler.model.topology_build import build_topology

WHOLE_GPU = 1000
"""gpu_milli of a request for whole devices; less is a share of one device (replay only)."""


@dataclass(frozen=True, eq=False, slots=True)
class NodeColumns:
    """N nodes in natural order of names. All amounts are allocatable."""

    names: tuple[str, ...]
    pool: tuple[str, ...]
    model: tuple[str, ...]
    """[N] GPU model, empty where the source names none."""
    cpu_milli: I64
    memory_bytes: I64
    gpu: I64
    pods: I64
    labels: tuple[tuple[str, ...], ...] = ()
    """[L][N] label value per level, root first; empty = no label."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False, slots=True)
class GangColumns:
    """G gangs in the order of the file."""

    keys: tuple[str, ...]
    pool: tuple[str, ...]
    submit_us: I64
    duration_us: I64
    priority: I64
    minimum: I64
    """[G] least members worth starting, 1 .. size."""
    segment_size: I64
    """[G] 0 = none."""
    required: tuple[str, ...]
    """[G] name of the required level, empty = none."""
    preferred: tuple[str, ...]
    offset: I64
    """[G + 1] rows of gang g are offset[g] .. offset[g + 1] - 1."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, eq=False, slots=True)
class ShapeRows:
    """R rows: `count` members of one shape of one gang; amounts are per member."""

    gang: I64
    """[R] gang of each row, rising."""
    shape: tuple[str, ...]
    count: I64
    cpu_milli: I64
    memory_bytes: I64
    gpu: I64
    gpu_milli: I64
    """[R] milli of each device asked for: 1000 = whole ones; 0 where gpu is 0."""
    model: tuple[str, ...]
    """[R] GPU models that will do, joined by `|`; empty = any."""

    def __len__(self) -> int:
        return len(self.shape)


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """One recorded or generated workload with its cluster."""

    name: str
    source: str
    licence: str
    levels: tuple[str, ...]
    """Network levels, root first; empty for a trace without topology."""
    nodes: NodeColumns
    gangs: GangColumns
    rows: ShapeRows
    dropped_rows: Mapping[str, int] = field(default_factory=dict)
    """reason -> rows of the source that are not in the trace."""

    @property
    def pools(self) -> tuple[str, ...]:
        """Every pool of a node or a gang, in natural order."""
        return tuple(sorted({*self.nodes.pool, *self.gangs.pool}, key=natural_key))

    def pool_codes(self) -> tuple[I32, I32]:
        """[N] and [G] the pool of each node and each gang, as indices into `pools`."""
        code = {name: at for at, name in enumerate(self.pools)}
        return (
            column((code[name] for name in self.nodes.pool), np.int32),
            column((code[name] for name in self.gangs.pool), np.int32),
        )

    def sizes(self) -> I64:
        """[G] members wanted by each gang."""
        return _per_gang(self.rows.count, self.gangs.offset)

    def gpus(self) -> I64:
        """[G] whole GPUs wanted by each gang (a share of a device counts as one)."""
        return _per_gang(self.rows.count * self.rows.gpu, self.gangs.offset)

    def topology(self) -> Topology:
        """The tree over the nodes; row order is that of `nodes`."""
        labels = list(zip(*self.nodes.labels, strict=True)) or [()] * len(self.nodes)
        return build_topology(self.levels, self.nodes.names, labels)

    def level_numbers(self, names: Sequence[str]) -> I8:
        """[len(names)] level numbers of `gangs.required` or `.preferred`; -1 = none.

        Raises BadInputError if a gang names a level that the trace does not have.
        """
        number = {level: at for at, level in enumerate(self.levels)} | {"": NO_LEVEL}
        try:
            return np.fromiter((number[name] for name in names), np.int8, len(names))
        except KeyError:
            at = next(i for i, name in enumerate(names) if name not in number)
            have = ", ".join(self.levels) or "no levels"
            raise BadInputError(
                f"gang {self.gangs.keys[at]}",
                None,
                f"names the level {names[at]!r}, the trace has {have}",
                "lay it with --levels, or correct gangs.csv",
            ) from None


def _per_gang(amounts: I64, offset: I64) -> I64:
    # Every gang has at least one row, so no segment of reduceat is empty.
    if len(offset) == 1:
        return np.zeros(0, np.int64)
    sums: I64 = np.add.reduceat(amounts, offset[:-1])
    return sums


def column(values: Iterable[int] | npt.NDArray[Any], dtype: Any = np.int64) -> Any:
    """A read-only column. Raises OverflowError if a value does not fit `dtype`."""
    return frozen(np.array(values if isinstance(values, np.ndarray) else list(values), dtype))


def sort_nodes(nodes: NodeColumns) -> NodeColumns:
    """The same nodes in natural order of their names."""
    order = sorted(range(len(nodes)), key=lambda row: natural_key(nodes.names[row]))
    if order == list(range(len(nodes))):
        return nodes
    return take_nodes(nodes, np.array(order, np.int64))


def take_nodes(nodes: NodeColumns, rows: I64) -> NodeColumns:
    """The nodes `rows`, in that order."""
    at = rows.tolist()
    return NodeColumns(
        names=tuple(nodes.names[row] for row in at),
        pool=tuple(nodes.pool[row] for row in at),
        model=tuple(nodes.model[row] for row in at),
        cpu_milli=frozen(nodes.cpu_milli[rows]),
        memory_bytes=frozen(nodes.memory_bytes[rows]),
        gpu=frozen(nodes.gpu[rows]),
        pods=frozen(nodes.pods[rows]),
        labels=tuple(tuple(values[row] for row in at) for values in nodes.labels),
    )


def take_gangs(gangs: GangColumns, rows: ShapeRows, keep: I64) -> tuple[GangColumns, ShapeRows]:
    """The gangs `keep`, in that order (repeats are allowed), with their rows."""
    at = keep.tolist()
    lengths = np.diff(gangs.offset)[keep]
    before = np.cumsum(lengths) - lengths
    # Row r of the k-th kept gang: its first row, plus how far r is from the gang's first place.
    kept = np.repeat(gangs.offset[:-1][keep] - before, lengths) + np.arange(int(lengths.sum()))
    row_at = kept.tolist()
    taken = GangColumns(
        keys=tuple(gangs.keys[g] for g in at),
        pool=tuple(gangs.pool[g] for g in at),
        submit_us=frozen(gangs.submit_us[keep]),
        duration_us=frozen(gangs.duration_us[keep]),
        priority=frozen(gangs.priority[keep]),
        minimum=frozen(gangs.minimum[keep]),
        segment_size=frozen(gangs.segment_size[keep]),
        required=tuple(gangs.required[g] for g in at),
        preferred=tuple(gangs.preferred[g] for g in at),
        offset=column(np.concatenate(([0], np.cumsum(lengths)))),
    )
    return taken, ShapeRows(
        gang=column(np.repeat(np.arange(len(keep)), lengths)),
        shape=tuple(rows.shape[r] for r in row_at),
        count=frozen(rows.count[kept]),
        cpu_milli=frozen(rows.cpu_milli[kept]),
        memory_bytes=frozen(rows.memory_bytes[kept]),
        gpu=frozen(rows.gpu[kept]),
        gpu_milli=frozen(rows.gpu_milli[kept]),
        model=tuple(rows.model[r] for r in row_at),
    )


def narrow_pool(trace: Trace, name: str) -> Trace:
    """Only the nodes and gangs of pool `name`. Times are not moved.

    Raises UsageError if the trace has no node in that pool.
    """
    rows = [row for row, pool in enumerate(trace.nodes.pool) if pool == name]
    if not rows:
        have = ", ".join(sorted(set(trace.nodes.pool), key=natural_key))
        raise UsageError(f"--pool {name}: no node is in that pool", f"the pools are {have}")
    keep = [g for g, pool in enumerate(trace.gangs.pool) if pool == name]
    gangs, shape_rows = take_gangs(trace.gangs, trace.rows, np.array(keep, np.int64))
    nodes = take_nodes(trace.nodes, np.array(rows, np.int64))
    return replace(trace, nodes=nodes, gangs=gangs, rows=shape_rows)


def lay_levels(trace: Trace, level: str, sizes: Sequence[int]) -> Trace:
    """The trace with `level` below its levels: domains of `sizes` consecutive nodes.

    Domains are called LEVEL-1, LEVEL-2, .. and follow the natural order of node names.
    Raises UsageError if the sizes do not add up to the nodes, the nodes are of several pools,
    the level is there already, or a domain would lie under two parents.
    """
    option = f"--levels {level}={','.join(map(str, sizes))}"
    pools = set(trace.nodes.pool)
    if len(pools) > 1:
        names = ", ".join(sorted(pools, key=natural_key))
        raise UsageError(f"{option}: the nodes are of several pools ({names})", "give --pool too")
    if not level or level in trace.levels:
        raise UsageError(f"{option}: the trace has a level of that name", "give another name")
    if any(size < 1 for size in sizes):
        raise UsageError(f"{option}: every size must be at least 1")
    if sum(sizes) != len(trace.nodes):
        raise UsageError(
            f"{option}: the sizes add up to {sum(sizes)}, the trace has {len(trace.nodes)} nodes",
            "give sizes that add up to the nodes (after --pool)",
        )
    values = tuple(f"{level}-{at}" for at, size in enumerate(sizes, 1) for _ in range(size))
    parents: dict[str, tuple[str, ...]] = {}
    for row, value in enumerate(values):
        parent = tuple(labels[row] for labels in trace.nodes.labels)
        if parents.setdefault(value, parent) != parent:
            raise UsageError(
                f"{option}: {value} would lie under {'/'.join(parents[value])} and "
                f"{'/'.join(parent)}",
                f"end a {level} where its parent ends",
            )
    return replace(
        trace,
        levels=(*trace.levels, level),
        nodes=replace(trace.nodes, labels=(*trace.nodes.labels, values)),
    )
