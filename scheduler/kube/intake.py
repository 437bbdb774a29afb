"""What the API server shows, taken into the model: the end of every list and watch.

    Node         -> cache.upsert_node / remove_node; one that repeats itself costs a comparison
    Pod          -> Sighting -> roster.put_pod / drop_pod
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

from collections.abc import Callable, Collection
from typing import Protocol

from scheduler.clock import Clock
from scheduler.kube.node_memo import NodeMemo
from scheduler.kube.pod_memo import CLAIMS, PodMemo, claims_of
from scheduler.kube.resources import Resource
from scheduler.model.decode import (
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
    NodeObject,
    PodGroupObject,
    PodObject,
    PodStatus,
    ReplicaSetObject,
    StatefulSetObject,
)
from scheduler.state.cache import Cache
from scheduler.state.sighting import Sighting

GANG_PLACED = "muster.dev/GangPlaced"
"""Condition of a gang that was whole once, on the pod of its lowest live rank."""
TWO_CONTROLLERS = "two controllers"
MOST_PRIORITY = 2**31 - 1
"""The API server admits no more."""
TOLD_AT_MOST = 16_384
"""Reports that are remembered so as not to be repeated."""
_FINISHED = ("Succeeded", "Failed")
_DEFAULT_SCHEDULER = "default-scheduler"

Report = Callable[[str, str, str], None]
"""(kind, namespace/name, what is wrong)."""


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
        scheduler_names: Collection[str],
        clock: Clock,
        report: Report,
    ) -> None:
        """scheduler_names: pods that name one of them are ours. report hears of bad objects."""
        self._cache = cache
        self._roster = roster
        self._ours = frozenset(scheduler_names)
        self._clock = clock
        self._report = report
        self._pods = PodMemo(cache)
        self._nodes = NodeMemo(cache)
        self._told: dict[tuple[str, str, str], None] = {}

    # ---- the Sink of the reflectors

    def put(self, resource: Resource, obj: Base) -> None:
        """An object appeared or changed."""
        try:
            if type(obj) is PodObject:
                self._put_pod(obj)
            elif type(obj) is NodeObject:
                self._put_node(obj)
            else:
                self._put_owner(obj)
        except ObjectError as error:
            self._tell(resource.kind, getattr(obj, "metadata", Metadata()), error.what)
        except OverflowError as error:  # an amount as a JSON number beyond 64 bits
            self._tell(resource.kind, getattr(obj, "metadata", Metadata()), str(error))

    def gone(self, resource: Resource, uid: str, last: Base | None) -> None:
        """An object does not exist any more; `last` (its final content) is not needed."""
        del last
        now_us = self._clock.now_us()
        match resource.kind:
            case "Pod":
                self._roster.drop_pod(uid, now_us)
            case "Node":
                self._nodes.drop(uid)
            case "StatefulSet" | "Job" | "ReplicaSet":
                self._roster.drop_controller(uid, now_us)
            case "PodGroup":
                self._roster.drop_group(uid, now_us)
            case _:
                pass

    def synced(self, resource: Resource) -> None:
        """A list is complete; nothing is done here that was not done object by object."""

    def bad(self, resource: Resource, what: str) -> None:
        """An object or a line of a list or watch could not be decoded, and was skipped."""
        self._tell(resource.kind, Metadata(), what)

    # ---- kind by kind

    def _put_pod(self, pod: PodObject) -> None:
        meta, spec, status = pod.metadata, pod.spec, pod.status
        if not meta.uid or not meta.name:
            self._tell("Pod", meta, "metadata.uid or metadata.name is missing")
            return
        reading, pins = self._pods.read(pod)
        if reading.problem:
            self._tell("Pod", meta, reading.problem)
        owner, only = _controller_of(meta)
        unsupported = reading.unsupported
        if not only:
            unsupported = tuple(sorted((*unsupported, TWO_CONTROLLERS)))
            self._tell("Pod", meta, "two ownerReferences have controller: true")
        ready, was_whole, told = _said_by(status)
        sighting = Sighting(
            meta.uid,
            meta.namespace,
            meta.name,
            owner,
            meta.labels or {},
            meta.annotations or {},
            node=spec.node_name or "",
            ours=(spec.scheduler_name or _DEFAULT_SCHEDULER) in self._ours,
            finished=status.phase in _FINISHED,
            deleting=meta.deletion_timestamp is not None,
            gated=bool(spec.scheduling_gates),
            ready=ready,
            priority=min(max(spec.priority or 0, -MOST_PRIORITY), MOST_PRIORITY),
            created_us=microseconds(meta.creation_timestamp),
            shape=reading.shape,
            pins=pins,
            claims=claims_of(spec) if CLAIMS in unsupported else (),
            unsupported=unsupported,
            running=status.phase == "Running",
            was_whole=was_whole,
            told=told,
        )
        self._roster.put_pod(sighting, self._clock.now_us())

    def _put_node(self, node: NodeObject) -> None:
        problem = self._nodes.put(node)
        if problem:
            self._tell("Node", node.metadata, problem)

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
        self._report(kind, name, what)


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
