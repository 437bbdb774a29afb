"""Nodes by a stable id: what each has, what is taken of it, what was written on it.

A node's id (nid) is given to its name once and kept for ever, also while no such node exists:
pods may be seen before their node, and stay counted when it vanishes and comes back.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32, I64, U8
from scheduler.model.constraints import Taint
from scheduler.model.names import NaturalKey, natural_key
from scheduler.model.snapshot import CORDONED, SETTLING
from scheduler.state.growth import grown, moved

NO_LABEL = -1

Mask = npt.NDArray[np.bool_]


class LabelTable:
    """One label key over node ids: values seen, in the order in which they appeared, and codes."""

    __slots__ = ("code", "code_of", "published", "values")

    def __init__(self, size: int) -> None:
        self.values: list[str] = []
        self.code_of: dict[str, int] = {}
        self.code: I32 = np.full(size, NO_LABEL, np.int32)
        self.published: tuple[str, ...] = ()

    def intern(self, value: str) -> int:
        """The code of `value`, kept for ever."""
        code = self.code_of.setdefault(value, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code

    def value(self, nid: int) -> str | None:
        """Label value of a node, or None."""
        code = self.code[nid]
        return None if code == NO_LABEL else self.values[code]

    def all_values(self) -> tuple[str, ...]:
        """Values by code; the same tuple until one is new."""
        if len(self.published) != len(self.values):
            self.published = tuple(self.values)
        return self.published


@dataclass(frozen=True, slots=True)
class Level:
    """One configured level: its name, and the node label that it is read from."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node as the API server (or a trace) describes it.

    allocatable: a vector in the process's ResourceOrder. slots: pods the kubelet takes.
    created_us: creation time, microseconds.
    """

    name: str
    allocatable: Sequence[int]
    slots: int = 110
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Iterable[Taint] = ()
    cordoned: bool = False
    created_us: int = 0
    features: tuple[str, ...] = ()
    """Features that the kubelet declares, sorted."""


class NodeTable:
    """Truth columns by node id, and which of them the last freeze() has not seen.

    dirty: numbers changed. gained: room may have appeared (what wakes rejected gangs). written:
    flags, taints, features or labels changed. tree_stale: nodes came or went, or the label of a
    level of any profile changed.
    """

    def __init__(self, resources: int, level_labels: Collection[str], settle_us: int = 0) -> None:
        """level_labels: of the levels of every profile. settle_us: younger nodes take no gang."""
        self.level_labels = frozenset(level_labels)
        self.settle_us = settle_us
        self.names: list[str] = []
        self.nid_of: dict[str, int] = {}
        self.keys: list[NaturalKey] = []
        self.exists: Mask = np.zeros(0, np.bool_)
        self.allocatable: I64 = np.zeros((resources, 0), np.int64)
        self.used: I64 = np.zeros((resources, 0), np.int64)
        self.slots_allocatable: I64 = np.zeros(0, np.int64)
        self.pods_used: I64 = np.zeros(0, np.int64)
        self.flags: U8 = np.zeros(0, np.uint8)
        self.created_us: I64 = np.zeros(0, np.int64)
        self.taint_set: I32 = np.zeros(0, np.int32)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.feature_set: I32 = np.zeros(0, np.int32)
        self.feature_sets: list[tuple[str, ...]] = [()]
        self.labels: dict[str, LabelTable] = {}
        self.dirty: Mask = np.zeros(0, np.bool_)
        self.gained: Mask = np.zeros(0, np.bool_)
        self.written: Mask = np.zeros(0, np.bool_)
        self.tree_stale = True
        self._taint_set_of: dict[tuple[Taint, ...], int] = {(): 0}
        self._feature_set_of: dict[tuple[str, ...], int] = {(): 0}
        self._settling: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.names)

    def intern(self, name: str) -> int:
        """The id of the node called `name`, which need not exist."""
        nid = self.nid_of.get(name)
        if nid is None:
            nid = self.nid_of[name] = len(self.names)
            self.names.append(name)
            self.keys.append(natural_key(name))
            if nid >= len(self.exists):
                self._grow(nid + 1)
        return nid

    def _grow(self, needed: int) -> None:
        for column in ("exists", "dirty", "gained", "written"):
            setattr(self, column, grown(getattr(self, column), needed, fill=False))
        for column in ("allocatable", "used", "slots_allocatable", "pods_used", "flags"):
            setattr(self, column, grown(getattr(self, column), needed))
        self.created_us = grown(self.created_us, needed)
        self.taint_set = grown(self.taint_set, needed)
        self.feature_set = grown(self.feature_set, needed)
        for table in self.labels.values():
            table.code = grown(table.code, needed, NO_LABEL)

    def widen(self, rows: int, place: I64) -> None:
        """The process counts `rows` resources: row r is row place[r] now."""
        self.allocatable = moved(self.allocatable, place, rows)
        self.used = moved(self.used, place, rows)

    def upsert(self, spec: NodeSpec) -> int:
        """A node appeared or changed; returns its id.

        Raises ValueError if its amounts are no vector of the process's resources.
        """
        if len(spec.allocatable) != len(self.allocatable):
            raise ValueError(
                f"node {spec.name}: {len(spec.allocatable)} amounts for"
                f" {len(self.allocatable)} resources"
            )
        nid = self.intern(spec.name)
        appeared = not self.exists[nid]
        if appeared:
            self.exists[nid] = self.tree_stale = True
        self._write_amounts(nid, spec)
        self._write_attributes(nid, spec, appeared=appeared)
        return nid

    def _write_amounts(self, nid: int, spec: NodeSpec) -> None:
        amounts = np.array(spec.allocatable, np.int64)
        old = self.allocatable[:, nid]
        if (amounts != old).any() or spec.slots != self.slots_allocatable[nid]:
            self.allocatable[:, nid] = amounts
            self.slots_allocatable[nid] = spec.slots
            self.dirty[nid] = self.gained[nid] = True

    def _write_attributes(self, nid: int, spec: NodeSpec, *, appeared: bool) -> None:
        """Flags, taints, labels; marks what changed."""
        taints = self._taint_number(tuple(sorted(spec.taints)))
        flags = CORDONED if spec.cordoned else 0
        features = self._feature_number(spec.features)
        changed = appeared or taints != self.taint_set[nid] or flags != self.flags[nid]
        changed = changed or features != self.feature_set[nid]
        if spec.created_us != self.created_us[nid]:
            self.created_us[nid] = spec.created_us
            changed = True
        if self.settle_us and changed:
            heapq.heappush(self._settling, (spec.created_us + self.settle_us, nid))
        self.taint_set[nid] = taints
        self.feature_set[nid] = features
        self.flags[nid] = flags
        write = self._write_first_labels if appeared else self._write_labels
        if write(nid, spec.labels) or changed:
            self.mark_written(nid)

    def _label_table(self, key: str) -> LabelTable:
        table = self.labels.get(key)
        if table is None:
            table = self.labels[key] = LabelTable(len(self.exists))
        return table

    def _write_first_labels(self, nid: int, labels: Mapping[str, str]) -> bool:
        """Of a node that appears: it has none yet, so that only its own keys are looked at."""
        known = self.labels
        for key, value in labels.items():
            table = known.get(key) or self._label_table(key)
            code = table.code_of.get(value)
            table.code[nid] = table.intern(value) if code is None else code
        return True

    def _write_labels(self, nid: int, labels: Mapping[str, str]) -> bool:
        for key in labels:
            self._label_table(key)
        changed = False
        for key, table in self.labels.items():
            value = labels.get(key)
            code = NO_LABEL if value is None else table.intern(value)
            if code != table.code[nid]:
                table.code[nid] = code
                changed = True
                if key in self.level_labels:
                    self.tree_stale = True
        return changed

    def _taint_number(self, taints: tuple[Taint, ...]) -> int:
        number = self._taint_set_of.setdefault(taints, len(self.taint_sets))
        if number == len(self.taint_sets):
            self.taint_sets.append(taints)
        return number

    def _feature_number(self, features: tuple[str, ...]) -> int:
        number = self._feature_set_of.setdefault(features, len(self.feature_sets))
        if number == len(self.feature_sets):
            self.feature_sets.append(features)
        return number

    def remove(self, name: str) -> bool:
        """The node object is gone; its pods stay counted under its id. False if unknown."""
        nid = self.nid_of.get(name)
        if nid is None or not self.exists[nid]:
            return False
        self.exists[nid] = False
        self.allocatable[:, nid] = 0
        self.slots_allocatable[nid] = 0
        self.flags[nid] = self.taint_set[nid] = self.feature_set[nid] = 0
        self.created_us[nid] = 0
        for table in self.labels.values():
            table.code[nid] = NO_LABEL
        self.tree_stale = True
        return True

    def mark_written(self, nid: int) -> None:
        """What filters read on this node changed; it may now take what it refused."""
        self.dirty[nid] = self.gained[nid] = self.written[nid] = True

    @property
    def next_settle_us(self) -> int | None:
        """When `settle` has something to do, or None."""
        return self._settling[0][0] if self._settling else None

    def settle(self, now_us: int) -> None:
        """Nodes whose settling time has ended by `now_us` are due for new flags."""
        while self._settling and self._settling[0][0] <= now_us:
            _, nid = heapq.heappop(self._settling)
            self.mark_written(nid)

    def flags_at(self, nids: I32 | I64, now_us: int) -> U8:
        """[len(nids)] CORDONED | SETTLING at `now_us`."""
        flags = self.flags[nids]
        if not self.settle_us:
            return flags
        young = self.created_us[nids] + self.settle_us > now_us
        return np.asarray(flags | young.astype(np.uint8) * np.uint8(SETTLING), np.uint8)

    def level_values(
        self, nids: Iterable[int], levels: Iterable[Level]
    ) -> list[tuple[str | None, ...]]:
        """Value per level of each node."""
        tables = [self.labels.get(level.label) for level in levels]
        return [tuple(t.value(nid) if t else None for t in tables) for nid in nids]

    def in_name_order(self) -> I32:
        """Ids of the nodes that exist, in numeric-aware name order: the rows of a snapshot."""
        nids = np.flatnonzero(self.exists).tolist()
        return np.array(sorted(nids, key=self.keys.__getitem__), np.int32)
