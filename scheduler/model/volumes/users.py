"""Which pods with volumes are on which row, and what follows for everybody else.

Built once for many questions; the pods of one row are given in no particular order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.volumes.handles import (
    NotCountableError,
    attached_by_controller,
    attaches,
)
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import PodVolumes

NO_LIMIT = np.iinfo(np.int64).max


class Attached:
    """CSI volumes per row, of rows that limit some driver."""

    __slots__ = ("_limit", "_used", "_where", "limited", "problems")

    def __init__(
        self,
        names: Sequence[str],
        pods: Mapping[int, Sequence[PodVolumes]],
        storage: Storage,
    ) -> None:
        rows = [row for row, name in enumerate(names) if _limits(name, storage)]
        self.limited: I32 = np.array(rows, np.int32)
        """[L] rows with a limit, rising."""
        self.problems: dict[int, str] = {}
        """Place in `limited` -> why what is there cannot be counted."""
        self._limit: dict[str, I64] = {}
        self._used: dict[str, I64] = {}
        self._where: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            self._count(place, names[row], pods.get(row, ()), storage)

    def limit(self, driver: str) -> I64 | None:
        """int64[L] volumes of `driver` that each row of `limited` may attach; None = any."""
        return self._limit.get(driver)

    def used(self, driver: str) -> I64:
        """int64[L] volumes of `driver` that are attached or about to be."""
        found = self._used.get(driver)
        return np.zeros(len(self.limited), np.int64) if found is None else found

    def places(self, volume: str) -> list[int]:
        """Places in `limited` where a pod already uses the volume of this unique name."""
        return self._where.get(volume, [])

    def _count(self, place: int, node: str, pods: Iterable[PodVolumes], storage: Storage) -> None:
        for driver, limit in _limits(node, storage).items():
            self._column(self._limit, driver, NO_LIMIT)[place] = limit
        there: dict[str, str] = {}
        for pod in pods:
            try:
                there |= attaches(pod, storage)
            except NotCountableError as error:
                self.problems[place] = str(error)
                return
        for volume in there:
            self._where.setdefault(volume, []).append(place)
        for driver in (attached_by_controller(node, storage) | there).values():
            self._column(self._used, driver, 0)[place] += 1

    def _column(self, columns: dict[str, I64], driver: str, filled: int) -> I64:
        if driver not in columns:
            columns[driver] = np.full(len(self.limited), filled, np.int64)
        return columns[driver]


def _limits(node: str, storage: Storage) -> Mapping[str, int]:
    found = storage.nodes.get(node)
    return {} if found is None else found.limits


class Users:
    """Pods with volumes by row."""

    __slots__ = ("_attached", "_disks", "_names", "_pods", "_storage", "added", "claims")

    def __init__(
        self,
        names: Sequence[str],
        pods: Iterable[tuple[int, PodVolumes]],
        storage: Storage,
        *,
        added: Iterable[tuple[int, PodVolumes]] = (),
    ) -> None:
        """names: [N] of the nodes. pods: (row, volumes of a pod that counts there).

        storage: as it is now; what it says later is not seen.
        added: pods nominated to a row, for the pass that counts them as if they were there.
        """
        self._names = names
        self._storage = storage
        self._pods: dict[int, list[PodVolumes]] = {}
        self.claims: set[tuple[str, str]] = set()
        """(namespace, name) of claims in use on any row; generic ephemeral ones are left out."""
        self.added: dict[int, list[PodVolumes]] = {}
        for row, pod in pods:
            self._pods.setdefault(row, []).append(pod)
            self.claims.update((pod.namespace, name) for name in pod.claims)
        for row, pod in added:
            self.added.setdefault(row, []).append(pod)
            self._pods.setdefault(row, []).append(pod)
        self._disks: dict[str, I32] | None = None
        self._attached: Attached | None = None

    @property
    def disks(self) -> Mapping[str, I32]:
        """Token of an inline disk -> rows where it is taken, rising."""
        if self._disks is None:
            rows: dict[str, set[int]] = {}
            for row, pods in self._pods.items():
                for token in {token for pod in pods for token in pod.disks}:
                    rows.setdefault(token, set()).add(row)
            self._disks = {
                token: np.array(sorted(found), np.int32) for token, found in rows.items()
            }
        return self._disks

    @property
    def attached(self) -> Attached:
        """CSI volumes per row."""
        if self._attached is None:
            self._attached = Attached(self._names, self._pods, self._storage)
        return self._attached
