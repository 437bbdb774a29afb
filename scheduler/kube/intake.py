"""What the API server shows, taken into the model: the end of every list and watch.

    Node         -> cache.upsert_node / remove_node; one that repeats itself costs a comparison
    Namespace    -> cache.put_namespace / drop_namespace: rules between pods read its labels
    Pod          -> Sighting -> roster.put_pod / drop_pod
    Claims, volumes and what else decides about them -> the book of volumes (volume_intake.py);
                    pods that wait for them are taken in again
    StatefulSet, Job, ReplicaSet, PodGroup -> roster.put_controller, put_group / drop_*

Nothing an object says stops the others. What cannot be read is reported, once for each object
and text, and then:
- a pod whose requests cannot be read counts on its node as if it took all of what it names, and
  waits with a rule that nobody honours (see pod_memo.py): never bound, never forgotten;
- a node whose amounts cannot be read offers nothing and is cordoned until they can; what runs on
  it stays counted, and it keeps its place in the network;
- a controller or group is skipped; what was known of it stays, and its pods wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from scheduler.clock import Clock
from scheduler.kube.node_memo import NodeMemo
from scheduler.kube.pod_memo import PodMemo, claims_of
from scheduler.kube.resources import PODS, Resource
from scheduler.kube.volume_intake import Seat, VolumeIntake
from scheduler.model.decode import (
    DEFAULT_SCHEDULER,
    FINISHED,
    Controller,
    ObjectError,
    Owner,
    decode_job,
    decode_replica_set,
    decode_stateful_set,
    microseconds,
)
from scheduler.model.groups import Group, decode_pod_group
from scheduler.model.objects import (
    Base,
    JobObject,
    Metadata,
    NamespaceObject,
    NodeObject,
    PodGroupObject,
    PodObject,
    PodStatus,
    ReplicaSetObject,
    StatefulSetObject,
)
from scheduler.model.volumes.inline import plain
from scheduler.model.volumes.pins import narrowed
from scheduler.state.cache import Cache
from scheduler.state.sighting import Sighting
from scheduler.state.volume_reading import VolumeReading
from scheduler.state.volumes import VolumeBook

GANG_PLACED = "muster.dev/GangPlaced"
"""Condition of a gang that was whole once, on the pod of its lowest live rank."""
TWO_CONTROLLERS = "two controllers"
TWO_OWNERS = "two ownerReferences have controller: true"
MOST_PRIORITY = 2**31 - 1
"""The API server admits no more."""
TOLD_AT_MOST = 16_384
"""Reports that are remembered so as not to be repeated."""

Report = Callable[[str, str, str, str], None]
"""(kind, namespace/name, uid, what is wrong); name and uid are empty where they are not known."""


class Roster(Protocol):
    """Who is told of pods and of what owns them."""

    def put_pod(self, pod: Sighting, now_us: int) -> None:
        """A pod appeared or changed."""
        ...

    def drop_pod(self, uid: str, now_us: int) -> None:
        """A pod is gone."""
        ...

    def put_controller(self, controller: Controller, now_us: int) -> None:
        """A controller appeared or changed."""
        ...

    def drop_controller(self, uid: str, now_us: int) -> None:
        """A controller is gone."""
        ...

    def put_group(self, group: Group, now_us: int) -> None:
        """A PodGroup appeared or changed."""
        ...

    def drop_group(self, uid: str, now_us: int) -> None:
        """A PodGroup is gone."""
        ...


class Intake:
    """The sink of the reflectors. Belongs to the thread that writes to the cache."""

    def __init__(
        self,
        cache: Cache,
        roster: Roster,
        schedulers: Sequence[str],
        clock: Clock,
        report: Report,
    ) -> None:
        """schedulers: pods that name one are ours, of the profile of its place in the sequence.

        report hears of bad objects.
        """
        self._cache = cache
        self._roster = roster
        self._profiles = {name: profile for profile, name in enumerate(schedulers)}
        self._clock = clock
        self._report = report
        self._pods = PodMemo(cache)
        self._nodes = NodeMemo(cache)
        self._told: dict[tuple[str, str, str], None] = {}
        self._spaces: dict[str, str] = {}
        """UID -> name of each namespace."""
        self._space_uid: dict[str, str] = {}
        """The other way round."""
        self.volumes = VolumeIntake(VolumeBook(), self._tell)

    # ---- the Sink of the reflectors

    def put(self, resource: Resource, obj: Base) -> None:
        """An object appeared or changed."""
        self._take(resource, obj)
        self._look_again()

    def gone(self, resource: Resource, uid: str, last: Base | None) -> None:
        """An object does not exist any more; `last` (its final content) is not needed."""
        del last
        now_us = self._clock.now_us()
        match resource.kind:
            case "Pod":
                self.volumes.left(uid)
                self._roster.drop_pod(uid, now_us)
            case "Node":
                self._nodes.drop(uid)
            case "Namespace":
                self._drop_namespace(uid)
            case "StatefulSet" | "Job" | "ReplicaSet":
                self._roster.drop_controller(uid, now_us)
            case "PodGroup":
                self._roster.drop_group(uid, now_us)
            case _ if self.volumes.takes(resource):
                self.volumes.gone(resource, uid, None)
            case _:
                pass
        self._look_again()

    def synced(self, resource: Resource) -> None:
        """A list is complete; nothing is done here that was not done object by object."""

    def bad(self, resource: Resource, what: str) -> None:
        """An object or a line of a list or watch could not be decoded, and was skipped."""
        self._tell(resource.kind, Metadata(), what)

    # ---- kind by kind

    def _take(self, resource: Resource, obj: Base) -> None:
        try:
            if type(obj) is PodObject:
                self._put_pod(obj)
            elif type(obj) is NodeObject:
                self._put_node(obj)
            elif type(obj) is NamespaceObject:
                self._put_namespace(obj.metadata)
            elif self.volumes.takes(resource):
                self.volumes.put(resource, obj)
            else:
                self._put_owner(obj)
        except ObjectError as error:
            self._tell(resource.kind, getattr(obj, "metadata", Metadata()), error.what)
        except OverflowError as error:  # an amount as a JSON number beyond 64 bits
            self._tell(resource.kind, getattr(obj, "metadata", Metadata()), str(error))

    def _put_pod(self, pod: PodObject) -> None:
        meta, spec, status = pod.metadata, pod.spec, pod.status
        if not meta.uid or not meta.name:
            self._tell("Pod", meta, "metadata.uid or metadata.name is missing")
            return
        profile = self._profiles.get(spec.scheduler_name or DEFAULT_SCHEDULER)
        ours = profile is not None
        bare = plain(spec.volumes or ())  # as most pods are
        volumes = self.volumes.bare(meta.uid) if bare else self._volumes(pod, ours=ours)
        reading, names = self._pods.read(pod, volumes.needs, promised=not (ours or spec.node_name))
        owner, only = _controller_of(meta)
        for what in filter(None, (reading.problem, "" if only else TWO_OWNERS)):
            self._tell("Pod", meta, what)
        ready, was_whole, told = _said_by(status)
        sighting = Sighting(
            meta.uid,
            meta.namespace,
            meta.name,
            owner,
            meta.labels or {},
            meta.annotations or {},
            node=spec.node_name or "",
            ours=ours,
            finished=status.phase in FINISHED,
            deleting=meta.deletion_timestamp is not None,
            gated=bool(spec.scheduling_gates),
            ready=ready,
            priority=min(max(spec.priority or 0, -MOST_PRIORITY), MOST_PRIORITY),
            created_us=microseconds(meta.creation_timestamp),
            shape=reading.shape,
            pins=narrowed(volumes.pin, names),
            claims=() if bare else claims_of(spec),
            unsupported=_with(reading.unsupported, volumes.said, "" if only else TWO_CONTROLLERS),
            running=status.phase == "Running",
            was_whole=was_whole,
            told=told,
            nominated=_promised(status.nominated_node_name, spec.node_name, ours=ours),
            profile=profile or 0,
        )
        self._roster.put_pod(sighting, self._clock.now_us())

    def _volumes(self, pod: PodObject, *, ours: bool) -> VolumeReading:
        """What its volumes mean for a pod; one that has ended, or never begins, is nowhere."""
        spec, status = pod.spec, pod.status
        over = status.phase in FINISHED
        gated = bool(spec.scheduling_gates)
        waits = ours and not (over or gated or pod.metadata.deletion_timestamp is not None)
        node = spec.node_name or _promised(status.nominated_node_name, spec.node_name, ours=ours)
        return self.volumes.seen(pod, Seat("" if over else node, ours=waits))

    def _look_again(self) -> None:
        """Pods whose volumes may mean something else now, as they were last seen."""
        while self.volumes.book.stale:
            for pod in self.volumes.again():
                self._take(PODS, pod)

    def _put_node(self, node: NodeObject) -> None:
        problem = self._nodes.put(node)
        if problem:
            self._tell("Node", node.metadata, problem)

    def _put_namespace(self, meta: Metadata) -> None:
        """One that was made anew may be seen before the old one is seen to go."""
        before = self._space_uid.get(meta.name, meta.uid)
        if before != meta.uid:
            del self._spaces[before]
        self._spaces[meta.uid] = meta.name
        self._space_uid[meta.name] = meta.uid
        self._cache.put_namespace(meta.name, meta.labels or {})

    def _drop_namespace(self, uid: str) -> None:
        name = self._spaces.pop(uid, None)
        if name is not None:
            del self._space_uid[name]
            self._cache.drop_namespace(name)

    def _put_owner(self, obj: Base) -> None:
        now_us = self._clock.now_us()
        match obj:
            case StatefulSetObject():
                self._roster.put_controller(decode_stateful_set(obj), now_us)
            case JobObject():
                self._roster.put_controller(decode_job(obj), now_us)
            case ReplicaSetObject():
                self._roster.put_controller(decode_replica_set(obj), now_us)
            case PodGroupObject():
                self._roster.put_group(decode_pod_group(obj), now_us)
            case _:  # PriorityClasses: admission has resolved them into spec.priority
                pass

    def _tell(self, kind: str, meta: Metadata, what: str) -> None:
        """Reports once; what was said longest ago may be said again."""
        said = (kind, meta.uid, what)
        if said in self._told:
            return
        if len(self._told) >= TOLD_AT_MOST:
            del self._told[next(iter(self._told))]
        self._told[said] = None
        name = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        self._report(kind, name, meta.uid, what)


def _with(rules: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """`rules` and those of `more` that are not empty, sorted."""
    if not any(more):
        return rules
    return tuple(sorted({*rules, *filter(None, more)}))


def _promised(nominated: str | None, node: str | None, *, ours: bool) -> str:
    """Node on which another scheduler has promised room to a pod that waits, or empty."""
    return "" if ours or node else nominated or ""


def _controller_of(meta: Metadata) -> tuple[Owner | None, bool]:
    """(the first owner that is a controller, whether there is no second one)."""
    found = None
    for ref in meta.owner_references or ():
        if ref.controller:
            if found is not None:
                return found, False
            found = Owner(ref.kind, ref.name, ref.uid, ref.api_version)
    return found, True


def _said_by(status: PodStatus) -> tuple[bool, bool, str]:
    """(ready, whether its gang was whole once, reason why it is not scheduled or empty)."""
    ready = was_whole = False
    told = ""
    for condition in status.conditions or ():
        if condition.type == "Ready":
            ready = condition.status == "True"
        elif condition.type == GANG_PLACED:
            was_whole = True
        elif condition.type == "PodScheduled" and condition.status == "False":
            told = condition.reason or ""
    return ready, was_whole, told
