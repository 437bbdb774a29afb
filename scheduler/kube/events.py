"""Events (events.k8s.io/v1): one on the owner at once, per-pod ones when nothing else is to do.

Events may be lost, binds and conditions may not: both queues are bounded, the oldest goes first,
and what is dropped is counted. The same words about the same object become a series.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from scheduler.kube import stamps
from scheduler.kube.transport import Request
from scheduler.kube.writes import Ended, Kind, Write
from scheduler.state.gang_view import OwnerRef

LONGEST_NOTE = 1024
"""Bytes; the API server refuses more."""
LONGEST_NAME = 253
URGENT_BOUND = 1_000
POD_BOUND = 1_000
"""Events about pods: each costs the server as much as a bind, and of thousands nobody reads all."""
BUNCHES_PER_S = 2
"""Events about pods go a few at a time, so that the loop is not woken for each."""
SERIES_BOUND = 10_000
TRIES = 5
"""Times that one event about an owner is sent."""
MERGE = "application/merge-patch+json"
CLUSTER_NAMESPACE = "default"
"""Where events about objects without a namespace go."""

Type = Literal["Normal", "Warning"]


class _Regarding(msgspec.Struct, rename="camel", omit_defaults=True):
    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    api_version: str = ""


class _Metadata(msgspec.Struct):
    name: str
    namespace: str


class _Body(msgspec.Struct, rename="camel"):
    metadata: _Metadata
    event_time: str
    reporting_controller: str
    reporting_instance: str
    action: str
    reason: str
    regarding: _Regarding
    note: str
    type: Type
    api_version: str = "events.k8s.io/v1"
    kind: str = "Event"


class _Series(msgspec.Struct, rename="camel"):
    count: int
    last_observed_time: str


class _SeriesPatch(msgspec.Struct):
    series: _Series


_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Event:
    """Something that happened to an object."""

    regarding: OwnerRef
    type: Type
    reason: str
    action: str
    note: str
    time_us: int
    tries: int = 0


@dataclass(slots=True)
class _Known:
    """An event that the server has."""

    namespace: str
    name: str
    note: str
    count: int


PodEvent = Callable[[], "Event | None"]
"""Makes an event about a pod when there is time for it; None = it is not true any more."""


class Events:
    """What is to be written, and what was."""

    def __init__(
        self,
        controller: str,
        instance: str,
        pod_events_per_s: int,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        """controller, instance: who reports (the scheduler's name; which process of it).

        pod_events_per_s: 0 = none. dropped: told how many events were given up.
        """
        self._controller = controller
        self._instance = instance[:128]
        self._interval_us = 1_000_000 // pod_events_per_s if pod_events_per_s else 0
        self._dropped = dropped
        self._urgent: OrderedDict[tuple[str, str, str], Event] = OrderedDict()
        self._bunch = self._left = max(1, pod_events_per_s // BUNCHES_PER_S)
        self._pods: deque[PodEvent] = deque()
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()
        self._pod_us = 0
        self._last_ns = 0

    @property
    def quiet(self) -> bool:
        """No event about an owner waits."""
        return not self._urgent

    @property
    def pods_waiting(self) -> int:
        """Per-pod events that wait."""
        return len(self._pods)

    def say(self, event: Event) -> None:
        """An event about an owner; it takes the place of an unsent one of the same reason."""
        key = _key(event)
        self._urgent[key] = event
        if len(self._urgent) > URGENT_BOUND:
            self._urgent.popitem(last=False)
            self._dropped(1)

    def say_quietly(self, make: PodEvent) -> None:
        """An event about a pod, for quiet times."""
        if not self._interval_us:
            return
        self._pods.append(make)
        if len(self._pods) > POD_BOUND:
            self._pods.popleft()
            self._dropped(1)

    def next(self, now_us: int) -> Write | None:
        """The next event about an owner, or None."""
        if not self._urgent:
            return None
        key, event = self._urgent.popitem(last=False)
        known = self._known.get(key)
        if known is not None and known.note == _shortened(event.note):
            return self._again(key, known, event, now_us)
        return self._first(key, event, now_us)

    def next_pod(self, now_us: int) -> Write | None:
        """The next event about a pod that the rate allows, or None."""
        while self._pods and now_us >= self._pod_us:
            event = self._pods.popleft()()
            if event is None:
                continue
            self._left -= 1
            if not self._left:
                self._left = self._bunch
                self._pod_us = now_us + self._bunch * self._interval_us
            _, request = self._post(event, now_us)

            def done(ended: Ended, _: bytes) -> None:
                if ended not in {Ended.DONE, Ended.GONE}:
                    self._dropped(1)

            return Write(Kind.EVENTS, request, done)
        return None

    def next_pod_us(self) -> int | None:
        """When the next per-pod event may go, or None if none waits."""
        return self._pod_us if self._pods else None

    def _first(self, key: tuple[str, str, str], event: Event, now_us: int) -> Write:
        known, request = self._post(event, now_us)

        def done(ended: Ended, _: bytes) -> None:
            if ended is Ended.DONE:
                self._known[key] = known
                self._known.move_to_end(key)
                if len(self._known) > SERIES_BOUND:
                    self._known.popitem(last=False)
            elif ended in {Ended.AGAIN, Ended.EXISTS}:
                self._retry(key, event)
            elif ended is Ended.REFUSED:
                self._dropped(1)

        return Write(Kind.EVENTS, request, done)

    def _again(self, key: tuple[str, str, str], known: _Known, event: Event, now_us: int) -> Write:
        series = _Series(known.count + 1, stamps.to_microsecond(now_us))
        path = f"/apis/events.k8s.io/v1/namespaces/{known.namespace}/events/{known.name}"

        def done(ended: Ended, _: bytes) -> None:
            if ended is Ended.DONE:
                known.count += 1
            else:
                if ended is Ended.GONE:  # events live for an hour
                    self._known.pop(key, None)
                self._retry(key, event)

        request = Request("PATCH", path, _encode(_SeriesPatch(series)), MERGE)
        return Write(Kind.EVENTS, request, done)

    def _retry(self, key: tuple[str, str, str], event: Event) -> None:
        event.tries += 1
        if event.tries < TRIES and key not in self._urgent:
            self._urgent[key] = event
        else:
            self._dropped(1)

    def _post(self, event: Event, now_us: int) -> tuple[_Known, Request]:
        about = event.regarding
        namespace = about.namespace or CLUSTER_NAMESPACE
        # As upstream names them: the object's name and the time in hexadecimal nanoseconds.
        self._last_ns = max(now_us * 1_000, self._last_ns + 1)
        suffix = f".{self._last_ns:x}"
        name = about.name[: LONGEST_NAME - len(suffix)].rstrip("-.") + suffix
        note = _shortened(event.note)
        body = _Body(
            metadata=_Metadata(name, namespace),
            event_time=stamps.to_microsecond(event.time_us),
            reporting_controller=self._controller,
            reporting_instance=self._instance,
            action=event.action,
            reason=event.reason,
            regarding=_Regarding(
                about.kind, about.name, about.namespace, about.uid, about.api_version
            ),
            note=note,
            type=event.type,
        )
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        return _Known(namespace, name, note, 1), Request("POST", path, _encode(body))


def _key(event: Event) -> tuple[str, str, str]:
    about = event.regarding
    return about.uid or f"{about.namespace}/{about.kind}/{about.name}", event.reason, event.type


def _shortened(note: str) -> str:
    """At most LONGEST_NOTE bytes."""
    raw = note.encode("utf-8")
    if len(raw) <= LONGEST_NOTE:
        return note
    return raw[: LONGEST_NOTE - 3].decode("utf-8", "ignore") + "..."
