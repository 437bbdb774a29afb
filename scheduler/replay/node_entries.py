"""The nodes of a snapshot as entries of cluster.json, made from columns when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.resources import PODS
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED, SETTLING, Snapshot
from scheduler.replay.cluster_file import NodeEntry

TOGETHER = 500
"""Entries made at a time."""


def marks_read(shapes: Iterable[Shape]) -> set[str]:
    """Marks whose counts decide where pods of these shapes may be."""
    rules = [shape.rules for shape in shapes]
    return {mark for each in rules for mark in (*each.asks, *(one.mark for one in each.repelled))}


class NodeEntries(Sequence[NodeEntry]):
    """One entry per row; a large cluster never has all of them at once."""

    def __init__(self, snapshot: Snapshot, slots: I64, marks: Sequence[str]) -> None:
        """slots: [N] allocatable pods. marks: names of those that entries count, by number."""
        self._snapshot = snapshot
        self._slots = slots
        self._used = snapshot.allocatable - snapshot.free
        names = enumerate(snapshot.resources.names)
        self._resources = sorted(((name, r) for r, name in names if name != PODS))
        self._labels = [snapshot.labels[key] for key in sorted(snapshot.labels)]
        self._tokens = sorted(snapshot.tokens)
        self._taken = _ByRow([snapshot.tokens[token] for token in self._tokens])
        columns = [snapshot.marks.get(mark) for mark in marks]
        nobody: I32 = np.empty(0, np.int32)
        self._marked = _ByRow([nobody if each is None else each.rows for each in columns])
        self._counts = [[] if each is None else each.counts.tolist() for each in columns]

    def __len__(self) -> int:
        return len(self._snapshot.names)

    @overload
    def __getitem__(self, index: int) -> NodeEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[NodeEntry]: ...
    def __getitem__(self, index: int | slice) -> NodeEntry | list[NodeEntry]:
        if isinstance(index, slice):
            first, last, _ = index.indices(len(self))
            return self._entries(first, last)
        return self._entries(index, index + 1)[0]

    def __iter__(self) -> Iterator[NodeEntry]:
        for first in range(0, len(self), TOGETHER):
            yield from self._entries(first, min(first + TOGETHER, len(self)))

    def _entries(self, first: int, last: int) -> list[NodeEntry]:
        snapshot, part = self._snapshot, slice(first, last)
        labels = self._labels_of(part)
        tokens, marked = self._taken.of(first, last), self._marked.of(first, last)
        has = [(name, snapshot.allocatable[r, part].tolist()) for name, r in self._resources]
        takes = [(name, self._used[r, part].tolist()) for name, r in self._resources]
        flags, taints = snapshot.flags[part].tolist(), snapshot.taint_set[part].tolist()
        declared = snapshot.feature_set[part].tolist() or [0] * (last - first)
        slots = self._slots[part].tolist()
        pods = (self._slots[part] - snapshot.slots[part]).tolist()
        return [
            NodeEntry(
                name=name,
                labels=labels[at],
                taints=list(snapshot.taint_sets[taints[at]]),
                cordoned=bool(flags[at] & CORDONED),
                settling=bool(flags[at] & SETTLING),
                allocatable={key: amounts[at] for key, amounts in has if amounts[at]},
                slots=slots[at],
                used={key: amounts[at] for key, amounts in takes if amounts[at]},
                pods=pods[at],
                tokens=[self._tokens[number] for number, _ in tokens[at]],
                marks={str(number): self._counts[number][i] for number, i in marked[at]},
                features=list(snapshot.features[declared[at]]),
            )
            for at, name in enumerate(snapshot.names[part])
        ]

    def _labels_of(self, part: slice) -> list[dict[str, str]]:
        out: list[dict[str, str]] = [{} for _ in self._snapshot.names[part]]
        for column in self._labels:
            for labels, code in zip(out, column.code[part].tolist(), strict=True):
                if code >= 0:
                    labels[column.key] = column.values[code]
        return out


class _ByRow:
    """Lists of rising rows, looked up by row."""

    def __init__(self, where: Sequence[I32]) -> None:
        sizes = [len(each) for each in where]
        rows = np.concatenate([np.empty(0, np.int32), *where])
        order = np.argsort(rows, kind="stable")  # so that what a row has stays in order
        self._rows = rows[order]
        self._list = np.repeat(np.arange(len(where)), sizes)[order]
        self._place = np.concatenate([np.empty(0, np.int64), *map(np.arange, sizes)])[order]

    def of(self, first: int, last: int) -> list[list[tuple[int, int]]]:
        """Per row: (number of the list, place in it), lists rising."""
        out: list[list[tuple[int, int]]] = [[] for _ in range(first, last)]
        start, end = np.searchsorted(self._rows, (first, last)).tolist()
        found = (column[start:end].tolist() for column in (self._rows, self._list, self._place))
        for row, number, place in zip(*found, strict=True):
            out[row - first].append((number, place))
        return out
