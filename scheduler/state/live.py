"""Pods one by one, as the watch shows them: by UID, ours and everybody's."""

from __future__ import annotations

import numpy as np

from scheduler.state.account import GIVE, Account
from scheduler.state.gangs import GangBook, GangRecord
from scheduler.state.pods import BOUND, NO_GANG


class LivePods:
    """uid -> slot of pods that the watch has shown. Steps of a gang's life are the cache's."""

    __slots__ = ("_account", "_book", "_slots", "_uids")

    def __init__(self, book: GangBook, account: Account) -> None:
        self._book = book
        self._account = account
        self._slots: dict[str, int] = {}
        self._uids: list[str] = []
        """UID by slot, '' where the watch has shown none."""

    def __len__(self) -> int:
        return len(self._slots)

    def items(self) -> list[tuple[str, int]]:
        """(uid, slot), sorted by uid."""
        return sorted(self._slots.items())

    def slot(self, uid: str) -> int | None:
        """The slot of a pod, or None."""
        return self._slots.get(uid)

    def same(self, slot: int, nid: int, shape: int, record: GangRecord | None, rank: int) -> bool:
        """Does the table say this of the pod already?"""
        pods = self._book.pods
        return (
            int(pods.nid[slot]) == nid
            and int(pods.shape[slot]) == shape
            and int(pods.gang[slot]) == (NO_GANG if record is None else record.number)
            and int(pods.rank[slot]) == rank
        )

    def owner(self, slot: int) -> GangRecord | None:
        """The gang that a slot's pod belongs to."""
        number = int(self._book.pods.gang[slot])
        return None if number == NO_GANG else self._book.numbered(number)

    def place(self, uid: str, nid: int, shape: int, record: GangRecord | None, rank: int) -> None:
        """A bound pod appears; its room is taken."""
        self.name(uid, self._book.add_bound(record, nid, shape, rank))

    def confirm(self, uid: str, slot: int, record: GangRecord) -> None:
        """The watch shows a member where it was assumed."""
        self._book.pods.state[slot] = BOUND
        record.assumed -= 1
        self.name(uid, slot)

    def name(self, uid: str, slot: int) -> None:
        """From now on `uid` is the pod in `slot`."""
        if slot >= len(self._uids):
            self._uids.extend([""] * (slot + 1 - len(self._uids)))
        self._uids[slot] = uid
        self._slots[uid] = slot

    def remove(self, slot: int) -> GangRecord | None:
        """A pod ends, its room is given back; returns its gang."""
        uid = self._uids[slot] if slot < len(self._uids) else ""
        if uid:
            del self._slots[uid]
            self._uids[slot] = ""
        record = self.owner(slot)
        slots = np.array((slot,), np.int32)
        if record is not None:
            self._book.drop(record, slots)
        else:
            pods = self._book.pods
            self._account.charge_one(int(pods.nid[slot]), int(pods.shape[slot]), GIVE)
            pods.give_slots(slots)
        return record

    def unname(self, slots: np.ndarray) -> None:
        """Forgets the UIDs of pods that end."""
        if not self._slots:
            return
        for slot in slots.tolist():
            if slot < len(self._uids) and self._uids[slot]:
                del self._slots[self._uids[slot]]
                self._uids[slot] = ""
