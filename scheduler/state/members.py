"""Our pods, as columns: which gang each is of, with which rank, and what it asks for.

    uid -> slot      names, uids: lists by slot      everything else: one column per fact

No object is kept per pod. Texts that many pods share (rules, annotations) are kept once and
stand in a column as a number; what few pods have (pins) is kept in a dict by slot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import numpy as np

from scheduler.model.arrays import I32, I64, U8
from scheduler.model.gang_rules import LABEL_KEY
from scheduler.model.volumes.pins import Pins
from scheduler.model.wishes import ANNOTATIONS, GANG_SIZE_LABEL
from scheduler.state.growth import grown
from scheduler.state.sighting import Sighting

NONE = -1
"""In `gang`: it belongs to nothing. In `rank`: it has not been given one yet."""
UNTOLD = -2
"""In `told`: the cache does not know it as a bound pod."""
PLAIN = -1
"""In `told`: the cache counts it on its node, as a member of no gang."""

# Bits of `flags`; plain numbers, because looking up a member of an enum costs more than the rest.
MEMBER = 1
"""It exists and counts: not gated, being deleted or finished."""
BOUND = 2
"""It has a node."""
RUNNING = 4
"""Its phase is Running."""

T = TypeVar("T")


class Interned(Generic[T]):
    """Values and the numbers that stand for them in a column; 0 is the empty one."""

    __slots__ = ("_numbers", "_values")

    def __init__(self, empty: T) -> None:
        self._numbers: dict[T, int] = {empty: 0}
        self._values: list[T] = [empty]

    def __getitem__(self, number: int) -> T:
        return self._values[number]

    def number(self, value: T) -> int:
        """The number of `value`, given now if it is new."""
        known = self._numbers.get(value)
        if known is None:
            known = self._numbers[value] = len(self._values)
            self._values.append(value)
        return known


Said = tuple[tuple[str, str], ...]
"""Annotations that are wishes, in the order of `wishes.ANNOTATIONS`."""
Terms = tuple[Said, str]
"""What a pod itself says of its gang: its wishes, and its gang size label."""


def said_by(annotations: Mapping[str, str]) -> Said:
    """The wishes among `annotations`."""
    if not annotations:
        return ()
    return tuple([(key, annotations[key]) for key in ANNOTATIONS if key in annotations])


def terms_of(pod: Sighting, belongs: str) -> Terms:
    """What `pod` itself says of its gang."""
    size = pod.labels.get(GANG_SIZE_LABEL, "") if belongs.startswith(LABEL_KEY) else ""
    return said_by(pod.annotations), size


class MemberTable:
    """Columns over slots; a slot is one pod's until that is gone."""

    COLUMNS = ("gang", "rank", "stated", "shape", "priority", "terms", "rules", "profile", "told",
               "order", "since_us", "flags")  # fmt: skip

    def __init__(self) -> None:
        self.gang: I32 = np.zeros(0, np.int32)
        """Number of what it belongs to, or NONE."""
        self.rank: I32 = np.zeros(0, np.int32)
        """Its rank in the gang, or NONE; that of a pod without gang is 0."""
        self.stated: I32 = np.zeros(0, np.int32)
        """The rank that it says it has, or -1."""
        self.shape: I32 = np.zeros(0, np.int32)
        self.priority: I32 = np.zeros(0, np.int32)
        self.terms: I32 = np.zeros(0, np.int32)
        """Number in `all_terms`."""
        self.rules: I32 = np.zeros(0, np.int32)
        """Number in `all_rules`: rules that it asks for and nobody checks yet."""
        self.profile: U8 = np.zeros(0, np.uint8)
        """Profile that its schedulerName names."""
        self.told: I32 = np.zeros(0, np.int32)
        """What the cache was told of it as a bound pod: UNTOLD, PLAIN, or the gang's number."""
        self.order: I64 = np.zeros(0, np.int64)
        """Rises with every pod that appears."""
        self.since_us: I64 = np.zeros(0, np.int64)
        """When it was created, or when it became a member if that was seen."""
        self.flags: U8 = np.zeros(0, np.uint8)
        self.names: list[str] = []
        self.uids: list[str] = []
        """'' where the slot is free."""
        self.spaces: list[str] = []
        """Namespaces."""
        self.reasons: list[str] = []
        """The reason that its condition PodScheduled=False gives, '' if there is none."""
        self.pins: dict[int, Pins] = {}
        """Slot -> the nodes that a waiting pod may use, where not all."""
        self.moving: dict[int, int] = {}
        """Slot -> number of what a pod whose bind is under way will belong to, or NONE."""
        self.all_terms: Interned[Terms] = Interned(((), ""))
        self.all_rules: Interned[tuple[str, ...]] = Interned(())
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._shared: dict[str, str] = {}
        self.newest = 0
        """`order` of the pod that appeared last."""

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[int]:
        return iter(self._slots.values())

    def kinds(self) -> list[int]:
        """Kinds of all pods, each once."""
        return [int(kind) for kind in np.unique(self.shape[list(self._slots.values())])]

    @property
    def top(self) -> int:
        """One past the highest slot ever used."""
        return len(self.uids)

    def slot(self, uid: str) -> int:
        """The slot of a pod, or NONE."""
        return self._slots.get(uid, NONE)

    def shared(self, text: str) -> str:
        """The one copy of a text that many pods have."""
        return self._shared.setdefault(text, text)

    def take(self, pod: Sighting) -> int:
        """A slot for a pod that appears; gang, rank and what it asks for are the caller's."""
        name, uid = pod.name, pod.uid
        if self._free:
            slot = self._free.pop()
            self.names[slot], self.uids[slot] = name, uid
            self.spaces[slot] = self.shared(pod.namespace)
            self.reasons[slot] = self.shared(pod.told)
        else:
            slot = len(self.uids)
            self.names.append(name)
            self.uids.append(uid)
            self.spaces.append(self.shared(pod.namespace))
            self.reasons.append(self.shared(pod.told))
            if slot >= len(self.gang):
                for column in self.COLUMNS:
                    setattr(self, column, grown(getattr(self, column), slot + 1))
        self._slots[uid] = slot
        self.newest += 1
        self.told[slot] = UNTOLD
        self.rank[slot] = NONE
        self.order[slot] = self.newest
        self.flags[slot] = 0
        return slot

    def give(self, slot: int) -> None:
        """The pod in `slot` is gone."""
        del self._slots[self.uids[slot]]
        self.uids[slot] = self.names[slot] = ""
        self.gang[slot] = NONE
        self.flags[slot] = 0
        self.pins.pop(slot, None)
        self.moving.pop(slot, None)
        self._free.append(slot)

    def of(self, gang: int) -> I32:
        """Slots of pods that belong to the gang with this number, rising; scans the column."""
        return np.flatnonzero(self.gang[: self.top] == gang).astype(np.int32)

    def grouped(self, gangs: list[int]) -> Mapping[int, I32]:
        """Slots by gang number, for many gangs in one pass."""
        if len(gangs) <= _FEW:
            return {gang: self.of(gang) for gang in gangs}
        wanted = np.array(sorted(gangs), np.int32)
        column = self.gang[: self.top]
        slots = np.flatnonzero(np.isin(column, wanted)).astype(np.int32)
        slots = slots[np.argsort(column[slots], kind="stable")]
        begin = np.searchsorted(column[slots], wanted)
        end = np.append(begin[1:], len(slots)).tolist()
        bounds = zip(wanted.tolist(), begin.tolist(), end, strict=True)
        return {gang: slots[first:last] for gang, first, last in bounds}

    def bound(self, slot: int) -> bool:
        """Whether the pod has a node."""
        return int(self.flags[slot]) & BOUND != 0

    def member(self, slot: int) -> bool:
        """Whether the pod counts as a member."""
        return int(self.flags[slot]) & MEMBER != 0


_FEW = 4
"""Up to so many gangs, a scan each is cheaper than sorting."""
