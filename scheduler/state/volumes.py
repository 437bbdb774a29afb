"""The book of volumes: storage objects as they are now, who uses what, and what that means.

    put / gone            a claim, volume, class, CSINode, ... appeared, changed, went
    waits / place / leave a pod with volumes waits, counts on a node, is gone
    reading(uid)          what its volumes mean for a pod that waits (see volume_reading.py)
    changed()             pods that wait and whose reading may be another one now
    rooms()               nodes where room for volumes of limited drivers may be another one now

Only pods that have volumes are told of, and nothing is scanned but what a change touches.

A ReadWriteOncePod claim is promised to the pod that came first of those that wait, unless one on
a node has it: so no two pods are placed with it, whatever a cycle decides. Stricter than
kube-scheduler: the promise holds while the first one waits for something else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from scheduler.model.resources import VOLUME_ROOM
from scheduler.model.volumes.handles import (
    NotCountableError,
    attached_by_controller,
    attaches,
)
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import (
    Attachment,
    Claim,
    NodeDrivers,
    PodVolumes,
    Space,
    StorageClass,
    Stored,
    Via,
    Volume,
)
from scheduler.state.volume_reading import VolumeReading, read

Key = tuple[str, str]
"""(namespace, name) of a claim."""
Needs = tuple[tuple[str, int], ...]
Found = TypeVar("Found")


@dataclass(slots=True)
class _Pod:
    volumes: PodVolumes
    order: int
    """Rises with every pod that is told of."""
    node: str = ""
    """Empty while it waits."""
    needs: Needs = ()
    """Room that the cache was told it takes."""


class VolumeBook:
    """The mutable index. Belongs to the thread that writes to the cache."""

    def __init__(self) -> None:
        self.storage = Storage()
        self._known: dict[str, Stored] = {}
        self._uid_of: dict[tuple[str, str], str] = {}
        self._pods: dict[str, _Pod] = {}
        self._users: dict[Key, dict[str, None]] = {}
        """Claim -> UIDs of pods that mount it."""
        self._claims_of: dict[str, set[Key]] = {}
        """Volume -> claims that name it."""
        self._attached_at: dict[str, set[str]] = {}
        """Volume -> nodes that it is attached to."""
        self._at: dict[str, set[str]] = {}
        """Node -> UIDs of pods that count there."""
        self._limits: Counter[str] = Counter()
        """Driver -> nodes that limit it."""
        self._changed: dict[str, None] = {}
        self._moved: dict[str, None] = {}
        self._arrivals = 0

    # ---- storage objects

    def put(self, uid: str, value: Stored) -> None:
        """An object appeared or changed. `uid`: of the object."""
        name = _name(value)
        before = self._known.get(self._uid_of.get(name, ""))
        self._uid_of[name] = uid
        if before is not None and before == value:
            self._known[uid] = value
            return
        if before is not None:
            self._unlink(before)
        self._known[uid] = value
        self.storage.put(value)
        self._link(value)
        self._touch(value)

    def gone(self, uid: str) -> None:
        """An object does not exist any more; one of its name that was made anew stays."""
        value = self._known.pop(uid, None)
        if value is None or self._uid_of.get(_name(value)) != uid:
            return
        del self._uid_of[_name(value)]
        self._unlink(value)
        self.storage.drop(value)
        self._touch(value)

    def _link(self, value: Stored) -> None:
        match value:
            case Claim() if value.volume:
                self._claims_of.setdefault(value.volume, set()).add((value.namespace, value.name))
            case Attachment() if value.volume is not None:
                self._attached_at.setdefault(value.volume, set()).add(value.node)
            case NodeDrivers():
                self._limit(value, 1)
            case _:
                pass

    def _unlink(self, value: Stored) -> None:
        match value:
            case Claim() if value.volume:
                _take_out(self._claims_of, value.volume, (value.namespace, value.name))
            case Attachment() if value.volume is not None:
                there = self.storage.attached_to(value.node)
                if sum(each.volume == value.volume for each in there) == 1:
                    _take_out(self._attached_at, value.volume, value.node)
                self._moved[value.node] = None
            case NodeDrivers():
                self._limit(value, -1)
            case _:
                pass

    def _limit(self, value: NodeDrivers, sign: int) -> None:
        for driver in value.limits:
            before = self._limits[driver] > 0
            self._limits[driver] += sign
            if before != (self._limits[driver] > 0):
                self._all_change()

    def _all_change(self) -> None:
        self._changed.update((uid, None) for uid, pod in self._pods.items() if not pod.node)

    def _touch(self, value: Stored) -> None:
        """Whoever reads `value` is looked at again."""
        match value:
            case Claim():
                self._touch_claims([(value.namespace, value.name)])
            case Volume():
                self._touch_claims(self._claims_of.get(value.name, ()))
                self._moved.update(dict.fromkeys(self._attached_at.get(value.name, ())))
            case StorageClass():
                self._all_change()
                self._moved.update(dict.fromkeys(self._at))
            case NodeDrivers() | Attachment():
                self._moved[value.node] = None
            case _:  # read only for claims that are still to be bound
                pass

    def _touch_claims(self, claims: Iterable[Key]) -> None:
        for claim in claims:
            for uid in self._users.get(claim, ()):
                pod = self._pods[uid]
                if pod.node:
                    self._moved[pod.node] = None
                else:
                    self._changed[uid] = None

    # ---- pods

    def __contains__(self, uid: str) -> bool:
        return uid in self._pods

    def waits(self, uid: str, volumes: PodVolumes) -> VolumeReading:
        """A pod that waits for a node."""
        pod = self._told(uid, volumes)
        self._leave_node(pod, uid)
        self._changed.pop(uid, None)
        found = self.reading(uid)
        pod.needs = found.needs
        return found

    def place(self, uid: str, node: str, volumes: PodVolumes) -> Needs:
        """A pod counts on `node`; returns what its shape is to ask for beside its requests."""
        pod = self._told(uid, volumes)
        if pod.node != node:
            self._leave_node(pod, uid)
            pod.node = node
            self._at.setdefault(node, set()).add(uid)
            self._moved[node] = None
            self._changed.pop(uid, None)
            self._touch_claims(self._rivals(volumes))
        return pod.needs

    def leave(self, uid: str) -> None:
        """A pod is gone, or takes no room any more. Nothing happens if it has no volumes."""
        pod = self._pods.get(uid)
        if pod is None:
            return
        self._leave_node(pod, uid)
        del self._pods[uid]
        self._changed.pop(uid, None)
        for claim in _claims(pod.volumes):
            del self._users[claim][uid]
            if not self._users[claim]:
                del self._users[claim]
        self._touch_claims(self._rivals(pod.volumes))

    def _told(self, uid: str, volumes: PodVolumes) -> _Pod:
        pod = self._pods.get(uid)
        if pod is not None and pod.volumes == volumes:
            return pod
        self.leave(uid)
        self._arrivals += 1
        pod = self._pods[uid] = _Pod(volumes, self._arrivals)
        for claim in _claims(volumes):
            self._users.setdefault(claim, {})[uid] = None
        return pod

    def _leave_node(self, pod: _Pod, uid: str) -> None:
        if pod.node:
            _take_out(self._at, pod.node, uid)
            self._moved[pod.node] = None
            pod.node = ""

    def _rivals(self, volumes: PodVolumes) -> list[Key]:
        """Claims of the pod that one pod may use at a time."""
        keys = [(volumes.namespace, name) for name in volumes.claims]
        known = ((key, self.storage.claims.get(key)) for key in keys)
        return [key for key, claim in known if claim is not None and claim.for_one_pod]

    # ---- answers

    def reading(self, uid: str) -> VolumeReading:
        """What its volumes mean for a pod that waits. Raises KeyError if it has none."""
        pod = self._pods[uid]
        in_use = {
            (pod.volumes.namespace, name)
            for name in pod.volumes.claims
            if self._taken(uid, pod, (pod.volumes.namespace, name))
        }
        limited = {driver for driver, nodes in self._limits.items() if nodes > 0}
        return read(pod.volumes, self.storage, limited, in_use)

    def _taken(self, uid: str, pod: _Pod, claim: Key) -> bool:
        """Does another pod have the claim, or come before this one?"""
        others = (self._pods[each] for each in self._users.get(claim, ()) if each != uid)
        return any(
            (each.node or each.order < pod.order) and claim[1] in each.volumes.claims
            for each in others
        )

    @property
    def moved(self) -> bool:
        """Whether `rooms` has something to say."""
        return bool(self._moved)

    @property
    def stale(self) -> bool:
        """Whether `changed` has something to say."""
        return bool(self._changed)

    def changed(self) -> list[str]:
        """UIDs of pods that wait and whose reading may have changed, since the last call."""
        found = [uid for uid in self._changed if uid in self._pods]
        self._changed.clear()
        return found

    def rooms(self) -> dict[str, dict[str, int]]:
        """Node -> resource `volumes of DRIVER` -> amount, where it may have changed; {} = no limit.

        What is free on a node is this less what pods take there by their shapes: so a pod that is
        assumed, and not yet told of by `place`, takes its room too.
        """
        found = {node: self._room(node) for node in self._moved}
        self._moved.clear()
        return found

    def _room(self, node: str) -> dict[str, int]:
        drivers = self.storage.nodes.get(node)
        if drivers is None or not drivers.limits:
            return {}
        pods = [self._pods[uid] for uid in sorted(self._at.get(node, ()))]
        room = {VOLUME_ROOM + driver: limit for driver, limit in drivers.limits.items()}
        there: dict[str, str] = {}
        try:
            for pod in pods:
                there |= attaches(pod.volumes, self.storage)
        except NotCountableError:
            # kube-scheduler ends in an error there; nothing that attaches a volume may go.
            room = dict.fromkeys(room, 0)
        else:
            for driver in (attached_by_controller(node, self.storage) | there).values():
                if VOLUME_ROOM + driver in room:
                    room[VOLUME_ROOM + driver] -= 1
        for pod in pods:
            for resource, amount in pod.needs:
                if resource in room:
                    room[resource] += amount
        return room


def _take_out(index: dict[str, set[Found]], key: str, found: Found) -> None:
    """`found` is not under `key` any more; names of volumes that are gone are not kept."""
    index[key].discard(found)
    if not index[key]:
        del index[key]


def _claims(volumes: PodVolumes) -> set[Key]:
    return {(volumes.namespace, m.claim) for m in volumes.mounts if m.via is not Via.INLINE}


def _name(value: Stored) -> tuple[str, str]:
    """(kind, name) of an object, unique while it exists."""
    match value:
        case Claim():
            name = f"{value.namespace}/{value.name}"
        case NodeDrivers():
            name = value.node
        case Space():
            name = value.key
        case _:
            name = value.name
    return type(value).__name__, name
