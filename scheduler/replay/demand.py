"""What each member asks for and each node offers, in the units the metrics count in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import Topology
from scheduler.replay.result import RunResult
from scheduler.replay.trace import WHOLE_GPU, Trace


@dataclass(frozen=True, eq=False)
class Shapes:
    """R rows of the trace's gangs, and the distinct kinds of members among them."""

    first: I64
    """[G + 1] rows of gang g are first[g] .. first[g + 1] - 1."""
    kind: I64
    """[R] number of the distinct (pool, request, model) of each row."""
    count: I64
    """[R] members of each row."""
    request: I64
    """[R, 4] milli-CPU, bytes, GPU thousandths and pods of one member."""
    row_pool: I32
    """[R] index into Trace.pools."""
    node_pool: I32
    """[N] the same of each node."""
    allocatable: I64
    """[N, 4] columns as those of request."""
    trace: Trace

    def capacity(self, kind: int) -> I64:
        """[N] members of one kind that each empty node holds; 0 outside its pool and models."""
        trace, row = self.trace, int(np.argmax(self.kind == kind))
        request = self.request[row]
        asked = request > 0
        each = (self.allocatable[:, asked] // request[asked]).min(axis=1)
        milli = int(trace.rows.gpu_milli[row])
        if 0 < milli < WHOLE_GPU:
            # Members share a device, but no member is cut in two by its edge.
            devices = trace.nodes.gpu * (WHOLE_GPU // milli) // trace.rows.gpu[row]
            each = np.minimum(each, devices)
        allowed = self.node_pool == self.row_pool[row]
        if trace.rows.model[row]:
            models = set(trace.rows.model[row].split("|"))
            allowed &= np.fromiter((m in models for m in trace.nodes.model), bool, len(trace.nodes))
        return np.where(allowed, each, 0)


@dataclass(frozen=True, eq=False)
class Demand:
    """Columns over G gangs, M members (by rank) and N nodes. GPUs are counted in thousandths."""

    submit_us: I64
    member_gpu_milli: I32
    """[M] what a member asks for, placed or not."""
    gang_gpu_milli: I64
    """[G] what the placed members of a gang hold together."""
    node_gpu_milli: I64
    node_pool: I32
    shapes: Shapes

    def domain(self, topology: Topology, level: int) -> I64:
        """[N] a number for each row's domain at `level` (-1: the cluster, all rows are 0).

        A row without the level's label is in no domain: it gets a number of its own.
        """
        if level < 0:
            return np.zeros(topology.nodes, np.int64)
        rows = np.arange(topology.nodes, dtype=np.int32)
        domain = topology.domains_at(rows, level).astype(np.int64)
        return np.where(domain >= 0, domain, topology.domains + rows)


def demand_of(result: RunResult) -> Demand:
    """Demand of a run. Raises ValueError if the members of result and trace disagree."""
    trace, rows = result.trace, result.trace.rows
    if not np.array_equal(result.members, trace.sizes()):
        raise ValueError("the run has other members than its trace")
    milli = rows.gpu * rows.gpu_milli
    shapes = _shapes(trace, milli)
    member = np.repeat(milli, rows.count).astype(np.int32)
    # Placed members only: a gang that runs with its minimum holds less than it asked for.
    held = np.concatenate(([0], np.cumsum(np.where(result.row >= 0, member, 0), dtype=np.int64)))
    return Demand(
        submit_us=trace.gangs.submit_us,
        member_gpu_milli=member,
        gang_gpu_milli=held[result.offset[1:]] - held[result.offset[:-1]],
        node_gpu_milli=trace.nodes.gpu * WHOLE_GPU,
        node_pool=shapes.node_pool,
        shapes=shapes,
    )


def _shapes(trace: Trace, milli: I64) -> Shapes:
    rows, nodes = trace.rows, trace.nodes
    ones = np.ones(len(rows), np.int64)
    request = np.stack((rows.cpu_milli, rows.memory_bytes, milli, ones), axis=1)
    _, model = np.unique(np.array(rows.model, dtype=np.str_), return_inverse=True)
    node_pool, gang_pool = trace.pool_codes()
    row_pool = gang_pool[rows.gang]
    identity = np.column_stack((request, rows.gpu, rows.gpu_milli, row_pool, model))
    _, kind = np.unique(identity, axis=0, return_inverse=True)
    columns = (nodes.cpu_milli, nodes.memory_bytes, nodes.gpu * WHOLE_GPU, nodes.pods)
    return Shapes(
        first=trace.gangs.offset,
        kind=kind.reshape(-1).astype(np.int64),
        count=rows.count,
        request=request,
        row_pool=row_pool,
        node_pool=node_pool,
        allocatable=np.stack(columns, axis=1),
        trace=trace,
    )
