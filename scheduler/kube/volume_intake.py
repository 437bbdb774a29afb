"""Storage objects and the volumes of pods, taken into the book of volumes.

    PersistentVolumeClaim, PersistentVolume, StorageClass, CSINode, CSIDriver, CSIStorageCapacity,
    VolumeAttachment -> book.put / gone
    Pod with volumes -> book.waits / place / leave; a pod without any costs one look

A pod that waits is remembered as it was last seen: when what its volumes mean may have changed, it
is taken in again (`again`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.kube.resources import VOLUME_RESOURCES, Resource
from scheduler.model.decode import ObjectError
from scheduler.model.objects import Metadata, PodObject
from scheduler.model.pod_objects import Base
from scheduler.model.volumes.decode import pod_volumes, stored
from scheduler.state.volume_reading import NOTHING, VolumeReading
from scheduler.state.volumes import VolumeBook

_KINDS = frozenset(resource.kind for resource in VOLUME_RESOURCES)
UNREADABLE = "unreadable volumes"
"""A rule that nobody honours, so that the pod waits."""

Report = Callable[[str, Metadata, str], None]
"""(kind, metadata, what is wrong)."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a pod is, as far as volumes care."""

    node: str
    """Node that it counts on; empty while it waits."""
    ours: bool
    """It waits for this scheduler: not gated, not being deleted, not finished."""


class VolumeIntake:
    """What reflectors and the pods' intake tell of volumes."""

    def __init__(self, book: VolumeBook, report: Report) -> None:
        """report hears of objects that cannot be read; what was known of them stays."""
        self.book = book
        self._report = report
        self._waiting: dict[str, PodObject] = {}

    @staticmethod
    def takes(resource: Resource) -> bool:
        """Whether objects of `resource` belong here."""
        return resource.kind in _KINDS

    def put(self, resource: Resource, obj: Base) -> None:
        """A storage object appeared or changed."""
        meta: Metadata = getattr(obj, "metadata", Metadata())
        try:
            self.book.put(meta.uid, stored(obj))
        except ObjectError as error:
            self._report(resource.kind, meta, error.what)

    def gone(self, resource: Resource, uid: str, last: Base | None) -> None:
        """A storage object does not exist any more; `last` is not needed."""
        del resource, last
        self.book.gone(uid)

    def seen(self, pod: PodObject, seat: Seat) -> VolumeReading:
        """A pod appeared or changed; what its volumes mean for it.

        Of a pod on a node only `needs` count: what its shape asks for beside its requests, as
        while it waited. A pod whose volumes cannot be read waits.
        """
        uid = pod.metadata.uid
        try:
            volumes = pod_volumes(pod)
        except ObjectError as error:
            self._report("Pod", pod.metadata, error.what)
            self.left(uid)
            return VolumeReading(unsupported=UNREADABLE)
        if volumes is None or not (seat.node or seat.ours):
            return self.bare(uid)
        if seat.node:
            self._waiting.pop(uid, None)
            return VolumeReading(needs=self.book.place(uid, seat.node, volumes))
        self._waiting[uid] = pod
        return self.book.waits(uid, volumes)

    def bare(self, uid: str) -> VolumeReading:
        """A pod appeared or changed that has no volumes that matter; most have none."""
        if uid in self.book:
            self.left(uid)
        return NOTHING

    def left(self, uid: str) -> None:
        """A pod is gone, or takes no room any more. Nothing happens if it has no volumes."""
        self._waiting.pop(uid, None)
        self.book.leave(uid)

    def again(self) -> list[PodObject]:
        """Pods that wait and whose reading may have changed since the last call: take them in."""
        return [self._waiting[uid] for uid in self.book.changed() if uid in self._waiting]
