"""Gangs that wait, as rows of one dense table; who is worth trying now is a vectorised question.

A rejected gang is tried again only when what it lacked may have improved (gates.py) or its
back-off ended, so that a cycle with thousands of hopeless gangs costs a few array operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import numpy.typing as npt
from sortedcontainers import SortedList

from scheduler.model.arrays import I64
from scheduler.model.names import natural_key
from scheduler.model.pending import Pending
from scheduler.model.plan import Plan, Verdict
from scheduler.model.policy import Order, Policy, Scan
from scheduler.state.capacity import KeptCapacity
from scheduler.state.entry import MIXED, Entry
from scheduler.state.gates import NOTHING, OPEN, Gate, GateKind, GateTable
from scheduler.state.growth import FIRST_SIZE
from scheduler.state.kinds import Kinds
from scheduler.state.lifecycle import IllegalTransitionError

NEVER = np.iinfo(np.int64).max
EXPLICIT = -1
"""first_rank of an entry whose ranks are not consecutive."""
SECOND_US = 1_000_000
LONGEST_RETRY_US = 60 * SECOND_US

COLUMNS = np.dtype(
    [
        ("need", np.int64), ("retry_us", np.int64), ("not_before_us", np.int64),
        ("ready_us", np.int64), ("expected_us", np.int64),
        ("gate", np.int32), ("count", np.int32), ("minimum", np.int32), ("shape", np.int32),
        ("first_rank", np.int32), ("segment_size", np.int32), ("priority", np.int32),
        ("pool", np.int32), ("attempts", np.int32),
        ("required", np.int8), ("preferred", np.int8), ("segment_level", np.int8),
        ("single", np.uint8), ("repair", np.uint8), ("starved", np.uint8),
        ("profile", np.uint8),
    ],
    align=True,
)  # fmt: skip
"""need / gate: see gates.py. retry_us: an unproved rejection is tried again from then on.
not_before_us: not to be tried earlier, whatever improves. attempts: unproved rejections so far.
starved: left out by the last cycle's budget. shape: the plan shape, MIXED if members differ.
first_rank: EXPLICIT if ranks are not consecutive. profile: whose cycles try it."""

OrderKey = tuple[Any, ...]
Mask = npt.NDArray[np.bool_]


class Queue:
    """Entries by key; at most one per gang."""

    def __init__(self, kinds: Kinds, order: Order = Order.PRIORITY) -> None:
        self._order = order
        self._kinds = kinds
        self._table: npt.NDArray[np.void] = np.zeros(FIRST_SIZE, COLUMNS)
        self._entries: list[Entry] = []
        self._index: dict[str, int] = {}
        self._gates = GateTable()
        self._shapes: dict[int, Counter[int]] = {}
        """By profile: plan shapes, and how often somebody waits with them."""
        self._pools: dict[int, SortedList[tuple[OrderKey, str]]] | None = None
        self._handed: tuple[Pending, list[Entry]] | None = None
        self._epoch = 0
        self.added = 0
        """Entries that ever came; who compares it knows whether somebody new waits."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def table(self) -> npt.NDArray[np.void]:
        """Rows of COLUMNS, one per entry, in the order of `entries_at`."""
        return self._table[: len(self._entries)]

    def get(self, key: str) -> Entry | None:
        """The entry of a gang, or None."""
        index = self._index.get(key)
        return None if index is None else self._entries[index]

    def entries_at(self, indices: I64) -> list[Entry]:
        """Entries of table rows."""
        entries = self._entries
        return [entries[i] for i in indices.tolist()]

    def shapes(self, profile: int | None = None) -> list[int]:
        """Plan shapes that somebody (of one profile) waits with, rising."""
        if profile is not None:
            return sorted(self._shapes.get(profile, ()))
        return sorted(set().union(*self._shapes.values()))

    def profiles(self) -> list[int]:
        """Profiles that somebody waits for, rising."""
        return sorted(self._shapes)

    def add(self, entry: Entry, *, held: bool = False, not_before_us: int = 0) -> None:
        """A gang waits. Raises IllegalTransitionError if it waits already."""
        if entry.key in self._index:
            raise IllegalTransitionError(f"gang {entry.key}: it waits already")
        self.added += 1
        plans = self._kinds.plans(entry.shape)
        gate = self._gates.join(self._gate_of(entry, plans, held=held))
        index = len(self._entries)
        if index == len(self._table):
            self._table = np.concatenate((self._table, np.zeros(index, COLUMNS)))
        self._table[index] = (
            NOTHING, NEVER, not_before_us, entry.ready_us, entry.expected_us,
            gate, entry.count, entry.minimum, plans[0] if len(plans) == 1 else MIXED,
            entry.ranks if isinstance(entry.ranks, int) else EXPLICIT,
            entry.segment_size, entry.priority, entry.pool, 0,
            entry.required, entry.preferred, entry.segment_level, entry.single, entry.repair, 0,
            entry.profile,
        )  # fmt: skip
        self._entries.append(entry)
        self._index[entry.key] = index
        self._shapes.setdefault(entry.profile, Counter()).update(plans)
        if self._pools is not None:
            self._pools.setdefault(entry.pool, SortedList()).add(self._item(entry))

    def remove(self, key: str) -> Entry:
        """A gang waits no more. Raises IllegalTransitionError if it does not wait."""
        index = self._index.pop(key, None)
        if index is None:
            raise IllegalTransitionError(f"gang {key}: it does not wait")
        entry = self._entries[index]
        self._gates.leave(int(self._table[index]["gate"]))
        shapes = self._shapes[entry.profile]
        for shape in self._kinds.plans(entry.shape):
            shapes[shape] -= 1
            if not shapes[shape]:
                del shapes[shape]
        if not shapes:
            del self._shapes[entry.profile]
        if self._pools is not None:
            self._pools[entry.pool].remove(self._item(entry))
        # The last row takes the place, so that the table stays dense.
        last = self._entries.pop()
        if last is not entry:
            self._table[index] = self._table[len(self._entries)]
            self._entries[index] = last
            self._index[last.key] = index
        return entry

    def replace(self, entry: Entry, *, held: bool) -> None:
        """A gang that waits becomes another entry and is tried anew; its back-off stays."""
        until = int(self._table[self._index[entry.key]]["not_before_us"])
        self.remove(entry.key)
        self.add(entry, held=held, not_before_us=until)

    def regate(self, key: str, *, held: bool) -> None:
        """Rows are held for a gang, or no more: what wakes it changes, and it is tried anew."""
        index = self._index.get(key)
        if index is not None:
            entry = self._entries[index]
            self._stand_at(index, self._gate_of(entry, self._kinds.plans(entry.shape), held=held))

    def renumber(self, changed: AbstractSet[int], is_held: Callable[[str], bool]) -> None:
        """Kinds `changed` have other plan shapes now: who waits with one of them is tried anew."""
        self._shapes.clear()
        for index, entry in enumerate(self._entries):
            plans = self._kinds.plans(entry.shape)
            self._shapes.setdefault(entry.profile, Counter()).update(plans)
            if not changed.isdisjoint(entry.shape_numbers()):
                self._table[index]["shape"] = plans[0] if len(plans) == 1 else MIXED
                self._stand_at(index, self._gate_of(entry, plans, held=is_held(entry.key)))

    def _gate_of(self, entry: Entry, plans: list[int], *, held: bool) -> Gate:
        return Gate.of(entry, plans, held=held, ruled=any(map(self._kinds.ruled, plans)))

    def _stand_at(self, index: int, gate: Gate) -> None:
        self._gates.leave(int(self._table[index]["gate"]))
        self._table[index]["gate"] = self._gates.join(gate)
        self._table[index]["need"] = NOTHING

    def back_off(self, key: str, until_us: int) -> None:
        """A gang is not tried before `until_us`, and tried then. Raises if it does not wait."""
        index = self._index.get(key)
        if index is None:
            raise IllegalTransitionError(f"gang {key}: it does not wait")
        self._table[index]["not_before_us"] = max(until_us, 1)  # 0 stands for none
        self._table[index]["need"] = NOTHING

    def end_back_offs(self, now_us: int) -> list[str]:
        """Gangs whose back-off is over; from now on only their gate counts."""
        until = self.table["not_before_us"]
        over = np.flatnonzero((until > 0) & (until <= now_us))
        until[over] = 0
        return [entry.key for entry in self.entries_at(over)]

    def retry_all(self) -> None:
        """Everybody rejected may have hope: a plan was not carried out as it was decided."""
        self._epoch += 1

    def next_time_us(self, now_us: int) -> int | None:
        """The first time after `now_us` at which a back-off ends, or None."""
        times = np.concatenate((self.table["not_before_us"], self.table["retry_us"]))
        later = times[(times > now_us) & (times < NEVER)]
        return int(later.min()) if later.size else None

    def worth_trying(
        self, policy: Policy, now_us: int, kept: Mapping[int, KeptCapacity | None],
        room: int, epoch: int, profile: int = 0,
    ) -> I64:  # fmt: skip
        """Rows of the table of gangs of `profile` whose gate is open.

        Strict scans: of each pool, only those before the first one that cannot be placed.
        """
        if not self._entries:
            return np.empty(0, np.int64)
        self._gates.refresh(kept, room, epoch + self._epoch, self._kinds.changes, profile)
        table = self.table
        mine = table["profile"] == profile
        is_open = table["need"] <= self._gates.best[table["gate"]]
        is_open |= table["retry_us"] <= now_us
        is_open &= table["not_before_us"] <= now_us
        if policy.scan is Scan.STRICT:
            return self._head_runs(policy.order, is_open, mine)
        return np.flatnonzero(is_open & mine)

    def _head_runs(self, order: Order, is_open: Mask, mine: Mask) -> I64:
        passed: list[int] = []
        for pool in self.pools(order).values():
            for _, key in pool:
                index = self._index[key]
                if not mine[index]:
                    continue
                if not is_open[index]:
                    break
                passed.append(index)
        return np.array(sorted(passed), np.int64)

    def pools(self, order: Order) -> dict[int, SortedList[tuple[OrderKey, str]]]:
        """(order key, gang key) per pool, sorted; kept sorted once it was asked for."""
        if self._pools is None or order is not self._order:
            self._order = order
            items: dict[int, list[tuple[OrderKey, str]]] = {}
            for entry in self._entries:
                items.setdefault(entry.pool, []).append(self._item(entry))
            self._pools = {pool: SortedList(items[pool]) for pool in sorted(items)}
        return self._pools

    def _item(self, entry: Entry) -> tuple[OrderKey, str]:
        """Repairs, then the order's own key, then age, then name: as plan() decides."""
        key = (
            not entry.repair,
            -entry.priority if self._order is Order.PRIORITY else 0,
            entry.expected_us if self._order is Order.SJF else 0,
            entry.ready_us,
            natural_key(entry.name),
        )
        return key, entry.key

    def gate(self, index: int) -> Gate:
        """The gate at which a row of the table stands."""
        return self._gates[int(self._table[index]["gate"])]

    def check_pools(self) -> Iterator[str]:
        """Contradictions between the sorted pools, if they are kept, and the entries."""
        if self._pools is None:
            return
        kept = {pool: list(items) for pool, items in self._pools.items() if items}
        wanted: dict[int, list[tuple[OrderKey, str]]] = {}
        for entry in self._entries:
            wanted.setdefault(entry.pool, []).append(self._item(entry))
        if kept != {pool: sorted(items) for pool, items in wanted.items()}:
            yield "queue: a pool is not in order"

    def hand_out(self, pending: Pending, entries: list[Entry]) -> None:
        """Remembers who was handed to plan(), for `note`."""
        self._handed = (pending, entries)

    def note(self, pending: Pending, plan: Plan, now_us: int) -> None:
        """Takes down who was rejected. Only for the columns handed out last; others change nothing.

        A proved rejection stands until its gate opens. An unproved one (not found within the
        budget) is tried again after a back-off too: 1 s, doubling up to a minute.
        """
        if self._handed is None or self._handed[0] is not pending:
            return
        entries, index = self._handed[1], self._index
        if (plan.verdict == Verdict.NOT_TRIED).any() or self.table["starved"].any():
            for g, key in enumerate(pending.key):
                if key in index:
                    self._table["starved"][index[key]] = plan.verdict[g] == Verdict.NOT_TRIED
        for verdict in (Verdict.DOES_NOT_FIT, Verdict.NOT_FOUND):
            rejected = np.flatnonzero(plan.verdict == verdict).tolist()
            if rejected:
                at = [index.get(pending.key[g], -1) for g in rejected]
                # Who left the queue meanwhile, or came back as another entry, was not rejected.
                known = [
                    i for i, g in zip(at, rejected, strict=True)
                    if i >= 0 and self._entries[i] is entries[g]
                ]  # fmt: skip
                proved = verdict is Verdict.DOES_NOT_FIT
                self._reject(np.array(known, np.int64), now_us, proved=proved)

    def _reject(self, rows: I64, now_us: int, *, proved: bool) -> None:
        table, gate = self._table, self._table["gate"][rows]
        best = self._gates.best[gate]
        by_capacity = self._gates.kinds[gate] == GateKind.CAPACITY
        next_gain = np.where(best == OPEN, NOTHING, best) + (best != OPEN)
        table["need"][rows] = np.where(by_capacity, table["minimum"][rows], next_gain)
        if proved:
            table["retry_us"][rows] = NEVER
            table["attempts"][rows] = 0
        else:
            wait = SECOND_US << np.minimum(table["attempts"][rows].astype(np.int64), 16)
            table["retry_us"][rows] = now_us + np.minimum(wait, LONGEST_RETRY_US)
            table["attempts"][rows] += 1
