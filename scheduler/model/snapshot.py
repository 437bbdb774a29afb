"""The frozen view of a cycle: node columns in row order, read-only.

Rows are nodes in numeric-aware name order. Resources are int64 (milli-CPU, bytes, devices);
there are no floats. `free` is what kube-scheduler's rules leave over (every pod of every
scheduler counted), less the room of all holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scheduler.model.arrays import I16, I32, I64, U8
from scheduler.model.constraints import Taint
from scheduler.model.pod_rules import MarkColumn
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.topology import Topology

CORDONED = 1
"""Flag: `spec.unschedulable`."""
SETTLING = 2
"""Flag: younger than `nodeSettle`; takes single pods, no gang."""


class StaleSnapshotError(RuntimeError):
    """A snapshot was used after its columns had been brought up to date by a later freeze()."""


@dataclass(slots=True)
class Lease:
    """Who may read the shared columns now: the snapshot of generation `current`."""

    current: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class LabelColumn:
    """One label key over the rows. `code` is -1 where a node has no such label."""

    key: str
    values: tuple[str, ...]
    code: I32


@dataclass(frozen=True, eq=False, slots=True)
class Capacity:
    """One shape against all rows, before claims: kept by state/ between cycles or computed.

    reason: int16[N], 0 = the node is eligible, else an index into `reasons`.
    cap: int64[N], members of the shape that fit on each row now (0 if not eligible).
    sums: int64[D], the same under each domain.
    """

    reasons: tuple[str, ...]
    reason: I16
    cap: I64
    sums: I64


@dataclass(frozen=True, eq=False, slots=True)
class Claims:
    """Domains reserved for gangs that waited too long. Columns of equal length C."""

    domain: I32
    owner: tuple[str, ...]
    priority: I32

    @classmethod
    def none(cls) -> Claims:
        """No claims."""
        return cls(np.empty(0, np.int32), (), np.empty(0, np.int32))


@dataclass(frozen=True, eq=False, slots=True)
class Holds:
    """Room kept for members that do not exist now; already taken from free. Length H."""

    row: I32
    shape: I32
    owner: tuple[str, ...]
    rank: I32
    until_us: I64

    @classmethod
    def none(cls) -> Holds:
        """No holds."""
        e = np.empty(0, np.int32)
        return cls(e, e, (), e, np.empty(0, np.int64))


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """All that plan() knows of the cluster. N rows, R resources, D domains."""

    generation: int
    resources: ResourceOrder
    names: tuple[str, ...]
    """[N] node names."""
    topology: Topology
    allocatable: I64
    """[R, N]"""
    free: I64
    """[R, N]; negative where a node is overcommitted."""
    slots: I64
    """[N] free pod slots; negative where overcommitted."""
    flags: U8
    """[N] CORDONED | SETTLING."""
    taint_sets: tuple[tuple[Taint, ...], ...]
    taint_set: I32
    """[N] index into taint_sets."""
    labels: Mapping[str, LabelColumn]
    tokens: Mapping[str, I32] = field(default_factory=dict)
    """token -> rows where it is taken (see Shape.tokens)."""
    marks: Mapping[str, MarkColumn] = field(default_factory=dict)
    """Pods per row, of every mark that the rules of a waiting shape read (see pod_rules.py)."""
    features: tuple[tuple[str, ...], ...] = ((),)
    """Distinct sets of features that nodes declare, each sorted."""
    feature_set: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    """[N] index into features; empty = 0 everywhere."""
    shapes: tuple[Shape, ...] = ()
    """Shapes by number, as `Pending.shape` names them."""
    capacities: Mapping[int, Capacity] = field(default_factory=dict)
    """Capacities kept by state/, by shape number; the planner computes what is not there."""
    claims: Claims = field(default_factory=Claims.none)
    holds: Holds = field(default_factory=Holds.none)
    lease: Lease | None = None

    def check_fresh(self) -> None:
        """Raises StaleSnapshotError if a later freeze() has overwritten the columns."""
        if self.lease is not None and self.lease.current != self.generation:
            raise StaleSnapshotError(
                f"snapshot {self.generation} was read after freeze() made {self.lease.current}"
            )
