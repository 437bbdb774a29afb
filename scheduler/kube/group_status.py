"""The status of scheduling.x-k8s.io/v1alpha1 PodGroups, which nobody else keeps true.

Fields and phases as the CRD of kubernetes-sigs/scheduler-plugins publishes them. Finished pods are
not watched: when a group has fewer members on nodes than it had, those that have finished are
listed and counted. CRDs before v0.28 have `scheduled` too; others drop the field.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from scheduler.kube import stamps
from scheduler.kube.transport import Request
from scheduler.kube.writes import Ended, Kind, Write
from scheduler.model.groups import GROUP_LABEL
from scheduler.state.gang_view import GangView, OwnerRef
from scheduler.state.lifecycle import GangState

API_VERSION = "scheduling.x-k8s.io/v1alpha1"
MERGE = "application/merge-patch+json"
COUNT_US = 10_000_000
"""Finished pods of one group are counted at most this often."""
PAGE = 500
_FINISHED = "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"


class _Status(msgspec.Struct, rename="camel", frozen=True):
    phase: str
    scheduled: int
    running: int
    succeeded: int | msgspec.UnsetType = msgspec.UNSET
    failed: int | msgspec.UnsetType = msgspec.UNSET
    schedule_start_time: str | msgspec.UnsetType = msgspec.UNSET


class _Uid(msgspec.Struct):
    uid: str


class _Patch(msgspec.Struct):
    metadata: _Uid
    status: _Status


class _PodStatus(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _ListMetadata(msgspec.Struct, rename={"token": "continue"}):
    token: str = ""


class _Pods(msgspec.Struct):
    items: Sequence[_Pod] = ()
    metadata: _ListMetadata = msgspec.field(default_factory=_ListMetadata)


_encode = msgspec.json.Encoder().encode
_pods = msgspec.json.Decoder(_Pods)


def is_group(owner: OwnerRef) -> bool:
    """Is this an object whose status is ours to keep?"""
    return owner.kind == "PodGroup" and owner.api_version == API_VERSION


def phase(view: GangView) -> str:
    """The phase of a group, by the meanings that the CRD's types give them.

    Pending: not enough members have a node, and none is there to stay. Scheduling: they are getting
    their nodes, or have them and do not run yet. Unknown: some have nodes and the others find
    none. Running: minMember run. For Finished and Failed see `ended_phase`.
    """
    if view.bound >= view.minimum:
        return "Running" if view.running >= view.minimum else "Scheduling"
    if view.state is GangState.DEGRADED:
        return "Unknown"
    return "Scheduling" if view.bound else "Pending"


def ended_phase(minimum: int, running: int, succeeded: int, failed: int) -> str:
    """Finished: minMember succeeded. Failed: some failed and too few are left. Else empty."""
    if succeeded >= max(minimum, 1):
        return "Finished"
    return "Failed" if failed and failed + running + succeeded >= minimum else ""


@dataclass(slots=True)
class _Group:
    """What is known of one PodGroup, and what was written."""

    owner: OwnerRef
    minimum: int
    phase: str = ""
    bound: int = 0
    running: int = 0
    started_us: int | None = None
    """When it was first worth trying; None = it was placed before this process looked."""
    finished: tuple[int, int] | None = None
    """(succeeded, failed), once they were counted."""
    counted_us: int = -COUNT_US
    uncounted: bool = False
    """Members have left their nodes since."""
    gone: bool = False
    """No member is left."""
    said: _Status | None = None


@dataclass(slots=True)
class _Count:
    """Finished pods, page by page."""

    token: str = ""
    succeeded: int = 0
    failed: int = 0


class GroupStatuses:
    """Keeps the status of each group true."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._due: OrderedDict[str, None] = OrderedDict()
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    @property
    def quiet(self) -> bool:
        """Nothing to send."""
        return not (self._due or self._counts)

    def say(self, key: str, view: GangView, now_us: int) -> int | None:
        """Writes how this group stands, unless it did so; returns when to come again, or None."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(view.owner, view.minimum)
        if group.started_us is None and not view.bound:
            group.started_us = view.since_us
        if view.waiting:
            group.finished = None  # it begins anew
        group.uncounted |= view.bound < group.bound
        group.gone = False
        group.minimum, group.phase = view.minimum, phase(view)
        group.bound, group.running = view.bound, view.running
        if group.uncounted and now_us < group.counted_us + COUNT_US:
            return group.counted_us + COUNT_US
        self._changed(key, group, now_us)
        return None

    def gone(self, key: str, now_us: int) -> None:
        """No member is left: they have finished, or were deleted."""
        group = self._groups.get(key)
        if group is not None:
            group.gone, group.uncounted = True, True
            group.phase, group.bound, group.running = "Pending", 0, 0
            self._changed(key, group, now_us)

    def next(self) -> Write | None:
        """The next request, or None."""
        if self._counts:
            key, count = self._counts.popitem(last=False)
            return self._list(key, self._groups[key], count)
        if self._due:
            key, _ = self._due.popitem(last=False)
            return self._write(key, self._groups[key])
        return None

    def _changed(self, key: str, group: _Group, now_us: int) -> None:
        if group.uncounted:
            group.uncounted, group.counted_us = False, now_us
            self._due.pop(key, None)
            self._counts.setdefault(key, _Count())
        elif key not in self._counts and _status(group) != group.said:
            self._due[key] = None

    def _list(self, key: str, group: _Group, count: _Count) -> Write:
        query = {
            "labelSelector": f"{GROUP_LABEL}={group.owner.name}",
            "fieldSelector": _FINISHED,
            "limit": str(PAGE),
        }
        if count.token:
            query["continue"] = count.token
        path = f"/api/v1/namespaces/{group.owner.namespace}/pods?{urlencode(query)}"

        def done(ended: Ended, body: bytes) -> None:
            self._groups.setdefault(key, group)  # a write may have ended it meanwhile
            if ended is Ended.AGAIN:
                self._counts.setdefault(key, count)
                return
            if ended is Ended.DONE and self._counted(group, count, body):
                self._counts.setdefault(key, count)
                return
            self._due[key] = None

        return Write(Kind.GROUPS, Request("GET", path), done)

    @staticmethod
    def _counted(group: _Group, count: _Count, body: bytes) -> bool:
        """Adds one page; True if there is another one."""
        try:
            page = _pods.decode(body)
        except msgspec.DecodeError:
            return False
        phases = [pod.status.phase for pod in page.items]
        count.succeeded += phases.count("Succeeded")
        count.failed += phases.count("Failed")
        count.token = page.metadata.token
        if not count.token:
            group.finished = (count.succeeded, count.failed)
        return bool(count.token)

    def _write(self, key: str, group: _Group) -> Write | None:
        status = _status(group)
        if status == group.said:
            self._end(key, group)
            return self.next()
        group.said = status

        def done(ended: Ended, _: bytes) -> None:
            if ended is Ended.AGAIN:
                self._groups.setdefault(key, group)
                group.said = None
                self._due.setdefault(key, None)
            else:
                self._end(key, group)

        return Write(Kind.GROUPS, _request(group.owner, status), done)

    def _end(self, key: str, group: _Group) -> None:
        """A group without members is forgotten when that was said."""
        if group.gone and key not in self._due and key not in self._counts:
            self._groups.pop(key, None)


def _status(group: _Group) -> _Status:
    succeeded, failed = group.finished or (0, 0)
    counted = group.finished is not None
    ended = ended_phase(group.minimum, group.running, succeeded, failed)
    started = group.started_us
    return _Status(
        phase=ended or group.phase,
        scheduled=group.bound,
        running=group.running,
        succeeded=succeeded if counted else msgspec.UNSET,
        failed=failed if counted else msgspec.UNSET,
        schedule_start_time=msgspec.UNSET if started is None else stamps.to_second(started),
    )


def _request(owner: OwnerRef, status: _Status) -> Request:
    path = f"/apis/{API_VERSION}/namespaces/{owner.namespace}/podgroups/{owner.name}/status"
    return Request("PATCH", path, _encode(_Patch(_Uid(owner.uid), status)), MERGE)
