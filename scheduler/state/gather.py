"""Waiting entries -> the columns that plan() reads."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64, frozen
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW, Pending
from scheduler.model.snapshot import Snapshot
from scheduler.model.topology import Topology
from scheduler.model.volumes.pins import Pin, Pins
from scheduler.state.entry import MIXED, Entry
from scheduler.state.freeze import FrozenColumns
from scheduler.state.gangs import GangBook
from scheduler.state.holds import HoldTable
from scheduler.state.mates import beside_mates
from scheduler.state.queue import EXPLICIT, Queue
from scheduler.state.shapes import ShapeRegistry
from scheduler.state.volume_pins import PinRows


class Gatherer:
    """Builds Pending columns; the extras of few entries are filled in one by one."""

    def __init__(
        self,
        queue: Queue,
        book: GangBook,
        holds: HoldTable,
        shapes: ShapeRegistry,
        frozen_columns: FrozenColumns,
    ) -> None:
        self._queue = queue
        self._book = book
        self._holds = holds
        self._shapes = shapes
        self._frozen = frozen_columns
        self._pinned = PinRows(frozen_columns)
        self._nobody = self._columns(queue.table[:0], [], None)

    def pending(self, indices: I64, snapshot: Snapshot) -> tuple[Pending, list[Entry]]:
        """The entries at `indices` of the queue's table as columns, in that order."""
        if not indices.size:
            return self._nobody, []
        entries = self._queue.entries_at(indices)
        table = self._queue.table[indices]
        self._pinned.look_at(snapshot)
        shown = self._mended(table, entries, snapshot.topology)
        return self._columns(table, shown, snapshot.topology), entries

    def _mended(self, table: np.ndarray, entries: list[Entry], topology: Topology) -> list[Entry]:
        """The entries to plan now, with `table` made to agree: segments stay with their mates."""
        shown = entries
        for g in np.flatnonzero((table["segment_size"] > 0) & (table["repair"] > 0)).tolist():
            entry, record = entries[g], self._book.find(entries[g].key)
            holds = self._holds.of(entry.key)
            placed = {rank: int(self._frozen.row_of_nid[hold.nid]) for rank, hold in holds.items()}
            if record is not None and record.count:
                pods, slots = self._book.pods, record.slots
                rows = self._frozen.row_of_nid[pods.nid[slots]]
                placed |= dict(zip(pods.rank[slots].tolist(), rows.tolist(), strict=True))
            if not placed:
                continue
            known = [entry.rank_column(), np.fromiter(placed, np.int32, len(placed))]
            if record is not None and record.origin is not None:
                known.append(record.origin.rank_column())
            gang = np.unique(np.concatenate(known))
            seen = {rank: row for rank, row in placed.items() if row >= 0}
            mended = beside_mates(entry, gang, seen, topology, self._frozen.names)
            if mended is not entry:
                shown = [*shown[:g], mended, *shown[g + 1 :]]
                row = table[g]
                row["count"], row["minimum"], row["first_rank"] = mended.count, 1, EXPLICIT
                row["shape"], row["segment_size"] = self._plan(mended), mended.segment_size
                row["segment_level"], row["repair"] = mended.segment_level, True
        return shown

    def _plan(self, entry: Entry) -> int:
        """The plan shape of all members, or MIXED."""
        plans = np.unique(self._shapes.plan_of[entry.shape_numbers()])
        return int(plans[0]) if len(plans) == 1 else MIXED

    def _columns(
        self, table: np.ndarray, entries: list[Entry], topology: Topology | None
    ) -> Pending:
        count = table["count"]
        offset: I64 = np.zeros(len(entries) + 1, np.int64)
        np.cumsum(count, out=offset[1:])
        rank, shape = self._members(table, entries, offset)
        pin, pins = self._pins(entries, offset)
        flat = topology is None or not topology.levels

        def column(name: str) -> np.ndarray:
            return frozen(np.ascontiguousarray(table[name]))

        preferred = np.full(len(entries), NO_LEVEL, np.int8) if flat else table["preferred"]
        return Pending(
            key=tuple([entry.key for entry in entries]),
            name=tuple([entry.name for entry in entries]),
            offset=frozen(offset),
            minimum=column("minimum"),
            required=column("required"),
            preferred=frozen(np.ascontiguousarray(preferred)),
            segment_size=column("segment_size"),
            segment_level=column("segment_level"),
            home=frozen(self._homes(entries, preferred, topology)),
            single=column("single"),
            repair=column("repair"),
            starved=column("starved"),
            priority=column("priority"),
            ready_us=column("ready_us"),
            expected_us=column("expected_us"),
            pool=column("pool"),
            rank=frozen(rank),
            shape=frozen(shape),
            held_row=frozen(self._held_rows(entries, rank, shape, offset)),
            pin=frozen(pin),
            pins=pins,
        )

    def _members(self, table: np.ndarray, entries: list[Entry], offset: I64) -> tuple[I32, I32]:
        """(rank, shape) of every member: repeated from the table, explicit ones copied."""
        count, first = table["count"], table["first_rank"]
        begin = np.repeat(first - offset[:-1], count)
        rank = (begin + np.arange(offset[-1])).astype(np.int32)
        shape = np.repeat(table["shape"], count)
        for g in np.flatnonzero((first == EXPLICIT) | (table["shape"] == MIXED)).tolist():
            members = slice(int(offset[g]), int(offset[g + 1]))
            rank[members] = entries[g].rank_column()
            shape[members] = self._shapes.plan_of[entries[g].shape_column()]
        return rank, shape

    def _homes(self, entries: list[Entry], preferred: np.ndarray, topology: Topology | None) -> I32:
        """Where the bound members of a gang are: nowhere for most that wait."""
        home = np.full(len(entries), NO_DOMAIN, np.int32)
        for g, entry in enumerate(entries):
            record = self._book.find(entry.key)
            if record is not None and record.count and topology is not None:
                rows = self._frozen.row_of_nid[self._book.pods.nid[record.slots]]
                level = entry.required if entry.required >= 0 else int(preferred[g])
                home[g] = topology.home(rows[rows >= 0], level)
        return home

    def _held_rows(self, entries: list[Entry], rank: I32, shape: I32, offset: I64) -> I32:
        """Room that is too small for what the member asks for by now is not its own."""
        held = np.full(len(rank), NO_ROW, np.int32)
        if not len(self._holds):
            return held
        for g, entry in enumerate(entries):
            holds = self._holds.of(entry.key)
            if not holds:
                continue
            for m in range(int(offset[g]), int(offset[g + 1])):
                hold = holds.get(int(rank[m]))
                if hold is not None and self._shapes.covers(hold.shape, int(shape[m])):
                    held[m] = self._frozen.row_of_nid[hold.nid]
        return held

    def _pins(self, entries: list[Entry], offset: I64) -> tuple[I32, tuple[I32, ...]]:
        pin = np.full(int(offset[-1]), NO_PIN, np.int32)
        pins: list[I32] = []
        number: dict[Pins, int] = {}
        for g, entry in enumerate(entries):
            if not entry.pins:
                continue
            for i, rank in enumerate(entry.rank_column().tolist()):
                nodes = entry.pins.get(rank)
                if nodes is not None:
                    if nodes not in number:
                        number[nodes] = len(pins)
                        pins.append(self._rows_of(nodes))
                    pin[int(offset[g]) + i] = number[nodes]
        return pin, tuple(pins)

    def _rows_of(self, nodes: Pins) -> I32:
        """Rows of the nodes that exist, rising."""
        return self._pinned.rows(nodes) if isinstance(nodes, Pin) else self._rows_named(nodes)

    def _rows_named(self, names: tuple[str, ...]) -> I32:
        known = [self._frozen.row_of(name) for name in names]
        return frozen(np.array(sorted(row for row in known if row >= 0), np.int32))
