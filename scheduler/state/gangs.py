"""Gangs and the slots of their members; every step keeps the pod table, the room and both indices.

A record is one small object per gang; its members are rows of the pod table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32
from scheduler.state.account import GIVE, TAKE, Account
from scheduler.state.entry import Entry
from scheduler.state.growth import grown
from scheduler.state.lifecycle import GangState, IllegalTransitionError, Step, after
from scheduler.state.pods import BOUND, NO_GANG, NO_RANK, PodState, PodTable


class GangRecord:
    """One gang: its state, the slots of its members, the entries its assumes came from."""

    __slots__ = (
        "_slots",
        "assumed",
        "by_rank",
        "count",
        "entries",
        "key",
        "number",
        "origin",
        "state",
    )

    def __init__(self, key: str, number: int) -> None:
        self.key = key
        self.number = number
        self.state = GangState.WAITING
        self.count = 0
        self.assumed = 0
        self.entries: list[Entry] = []
        """Entries whose members are assumed, so that a forgotten one can wait again."""
        self.origin: Entry | None = None
        """The gang as it waited when nothing of it was on nodes."""
        self.by_rank: dict[int, int] | None = None
        """rank -> slot, built when single pods of the gang are asked for."""
        self._slots: I32 = np.empty(0, np.int32)

    @property
    def slots(self) -> I32:
        """Slots of the members, in no particular order."""
        return self._slots[: self.count]

    @property
    def bound(self) -> int:
        """Members seen on a node."""
        return self.count - self.assumed

    def all_entries(self) -> list[Entry]:
        """Entries that may wait again."""
        return [*self.entries, *(() if self.origin is None else (self.origin,))]

    def step(self, step: Step) -> None:
        """Raises IllegalTransitionError, changing nothing."""
        self.state = after(self.state, step, self.key)

    def append(self, pods: PodTable, slots: I32) -> None:
        """Adds members; pods.place is kept."""
        end = self.count + len(slots)
        self._slots = slots.copy() if not self.count else grown(self._slots, end)
        self._slots[self.count : end] = slots
        pods.place[slots] = np.arange(self.count, end, dtype=np.int32)
        self.count = end
        if self.by_rank is not None:
            self.by_rank.update(zip(pods.rank[slots].tolist(), slots.tolist(), strict=True))

    def append_one(self, pods: PodTable, slot: int) -> None:
        """Adds one member; pods.place is kept."""
        count = self.count
        self._slots = grown(self._slots, count + 1) if count else np.array((slot,), np.int32)
        self._slots[count] = slot
        pods.place[slot] = count
        self.count = count + 1
        if self.by_rank is not None:
            self.by_rank[int(pods.rank[slot])] = slot

    def drop(self, pods: PodTable, slots: I32) -> None:
        """Takes members out; the order of the others may change."""
        if self.by_rank is not None:
            for rank, slot in zip(pods.rank[slots].tolist(), slots.tolist(), strict=True):
                if self.by_rank.get(rank) == slot:
                    del self.by_rank[rank]
        if len(slots) == self.count:
            self.count = 0
            return
        if len(slots) == 1:  # the last one takes its place
            hole, last = int(pods.place[slots[0]]), int(self._slots[self.count - 1])
            self._slots[hole] = last
            pods.place[last] = hole
            self.count -= 1
            return
        keep = np.ones(self.count, np.bool_)
        keep[pods.place[slots]] = False
        left = self.slots[keep]
        self.count = len(left)
        self._slots[: self.count] = left
        pods.place[left] = np.arange(self.count, dtype=np.int32)

    def slot_of_rank(self, pods: PodTable, rank: int) -> int | None:
        """The slot of the member with this rank, or None."""
        if self.by_rank is None:
            slots = self.slots
            self.by_rank = dict(zip(pods.rank[slots].tolist(), slots.tolist(), strict=True))
        return self.by_rank.get(rank)


class GangBook:
    """All records, by key and by number."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.pods = PodTable()
        self._records: dict[str, GangRecord] = {}
        self._by_number: list[GangRecord | None] = []
        self._free_numbers: list[int] = []

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[GangRecord]:
        return iter(self._records.values())

    def __len__(self) -> int:
        return len(self._records)

    def find(self, key: str) -> GangRecord | None:
        """The record of `key`, or None."""
        return self._records.get(key)

    def get(self, key: str) -> GangRecord:
        """The record of `key`. Raises IllegalTransitionError if there is none."""
        try:
            return self._records[key]
        except KeyError:
            raise IllegalTransitionError(f"gang {key}: not known") from None

    def numbered(self, number: int) -> GangRecord:
        """The record with this number. Raises KeyError if no gang has it."""
        record = self._by_number[number] if 0 <= number < len(self._by_number) else None
        if record is None:
            raise KeyError(number)
        return record

    def ensure(self, key: str) -> GangRecord:
        """The record of `key`, a waiting one if it is new."""
        record = self._records.get(key)
        if record is None:
            number = self._free_numbers.pop() if self._free_numbers else len(self._by_number)
            record = self._records[key] = GangRecord(key, number)
            if number == len(self._by_number):
                self._by_number.append(record)
            else:
                self._by_number[number] = record
        return record

    def end(self, record: GangRecord) -> None:
        """Drops a record without members; its number is used again."""
        record.step(Step.END)
        del self._records[record.key]
        self._by_number[record.number] = None
        self._free_numbers.append(record.number)

    def disband(self, record: GangRecord) -> None:
        """Drops a record; its members keep their nodes and are of no gang."""
        slots = record.slots
        self.pods.gang[slots] = NO_GANG
        self.pods.rank[slots] = NO_RANK
        record.count = record.assumed = 0
        self.end(record)

    def add(self, record: GangRecord, nids: I32, shapes: I32, ranks: I32, state: PodState) -> I32:
        """Members appear on nodes, their room is taken; returns their slots."""
        pods = self.pods
        slots = pods.take_slots(len(nids))
        pods.nid[slots] = nids
        pods.shape[slots] = shapes
        pods.gang[slots] = record.number
        pods.rank[slots] = ranks
        pods.state[slots] = state
        record.append(pods, slots)
        if state is PodState.ASSUMED:
            record.assumed += len(slots)
        self.account.charge(nids, shapes, TAKE)
        return slots

    def add_bound(self, record: GangRecord | None, nid: int, shape: int, rank: int) -> int:
        """A bound pod appears, a member of a gang or (None) of none; returns its slot."""
        pods = self.pods
        slot = pods.take_slot()
        pods.nid[slot], pods.shape[slot], pods.rank[slot] = nid, shape, rank
        pods.state[slot] = BOUND
        if record is None:
            pods.gang[slot] = NO_GANG
        else:
            pods.gang[slot] = record.number
            record.append_one(pods, slot)
        self.account.charge_one(nid, shape, TAKE)
        return slot

    def drop(self, record: GangRecord, slots: I32) -> None:
        """Members leave their nodes, their room is given back."""
        pods = self.pods
        record.assumed -= int(np.count_nonzero(pods.state[slots] == PodState.ASSUMED))
        self.account.charge(pods.nid[slots], pods.shape[slots], GIVE)
        record.drop(pods, slots)
        pods.give_slots(slots)

    def assumed_slots(self, record: GangRecord, ranks: I32 | None) -> I32:
        """Slots of assumed members: all of them, or those with `ranks`.

        Raises IllegalTransitionError if there are none, or one of `ranks` is not assumed.
        """
        pods, slots = self.pods, record.slots
        slots = slots[pods.state[slots] == PodState.ASSUMED] if record.bound else slots.copy()
        if ranks is not None:
            wanted = np.unique(ranks)
            slots = slots[np.isin(pods.rank[slots], wanted)]
            if len(slots) != len(wanted):
                raise IllegalTransitionError(
                    f"gang {record.key}: {len(wanted) - len(slots)} of these members not assumed"
                )
        if not slots.size:
            raise IllegalTransitionError(f"gang {record.key}: no member is assumed")
        return slots

    def taken_ranks(self, record: GangRecord, ranks: I32) -> npt.NDArray[np.bool_]:
        """[len(ranks)] whether a member with this rank is on a node already."""
        if not record.count:
            return np.zeros(len(ranks), np.bool_)
        return np.isin(ranks, self.pods.rank[record.slots])
