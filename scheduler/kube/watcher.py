"""Drives the reflectors of all resources over one transport, and reads single objects.

Times in here are monotonic: a clock that is set must not stall a watch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from scheduler import log
from scheduler.clock import Clock
from scheduler.kube.answers import said
from scheduler.kube.discovery import Discovery
from scheduler.kube.frames import Bad, Frames, Listed
from scheduler.kube.reflector import Ask, Reflector
from scheduler.kube.resources import Resource
from scheduler.kube.shown import Sink
from scheduler.kube.transport import Handle, Request, Response, Transport

PAGE_TIMEOUT_US = 60_000_000
READ_TIMEOUT_US = 10_000_000
IDLE_US = 180_000_000
"""A watch that says nothing for so long is dead: bookmarks come about once a minute."""

_log = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a GET of one object brought.

    `object` is None unless `status` is 200 and it could be decoded; `error` says why not, and is
    empty for a plain 404.
    """

    status: int
    object: Listed | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How one resource's watch fares, for /readyz and metrics.

    served: None as long as the server has not said. silent_us: since the server last said
    anything, None if it never has. failures: in a row; error: the last one's text.
    """

    kind: str
    served: bool | None
    synced: bool
    objects: int
    silent_us: int | None
    failures: int
    error: str


class _Feed:
    """One resource's reflector and its request under way."""

    def __init__(self, resource: Resource, sink: Sink, rng: Random) -> None:
        self.reflector = Reflector(resource, sink, rng)
        self.frames = Frames(resource)
        self.handle: Handle | None = None


class Watcher:
    """List and watch of `resources`; what they hold goes to `sink`, from `pump` and `poll`."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        sink: Sink,
        resources: Iterable[Resource],
        rng: Random,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._feeds = {resource: _Feed(resource, sink, rng) for resource in resources}
        self._discovery = Discovery(self._feeds, rng)
        self._started = False

    def start(self) -> None:
        """From the next `pump` on, requests are sent."""
        self._started = True

    def pump(self, _now_us: int = 0) -> None:
        """Sends what is due."""
        if not self._started:
            return
        now = self._clock.elapsed_us()
        for path in self._discovery.due(now):
            self._discover(path)
        for resource, feed in self._feeds.items():
            if feed.handle is None and self._discovery.served(resource):
                ask = feed.reflector.next(now)
                if ask is not None:
                    self._ask(feed, ask)

    def next_time_us(self, now_us: int) -> int | None:
        """When `pump` has something to do, on the clock of `now_us`; None: when answers come."""
        if not self._started:
            return None
        times = [
            feed.reflector.until_us
            for resource, feed in self._feeds.items()
            if feed.handle is None and self._discovery.served(resource)
        ]
        asked = self._discovery.next_us()
        if asked is not None:
            times.append(asked)
        if not times:
            return None
        return now_us + max(0, min(times) - self._clock.elapsed_us())

    def synced(self, resources: Sequence[Resource]) -> bool:
        """Whether all of them have been listed, or are not served."""
        return all(
            self._discovery.served(resource) is False or self._feeds[resource].reflector.is_synced
            for resource in resources
        )

    def health(self) -> list[Health]:
        """How each resource fares."""
        now = self._clock.elapsed_us()
        return [self._health(resource, feed, now) for resource, feed in self._feeds.items()]

    def _health(self, resource: Resource, feed: _Feed, now_us: int) -> Health:
        served = self._discovery.served(resource)
        found = feed.reflector
        return Health(
            kind=resource.kind,
            served=served,
            synced=found.is_synced,
            objects=found.objects,
            silent_us=now_us - found.heard_us if found.heard_us else None,
            failures=found.failures,
            error=found.error or (self._discovery.error if served is None else ""),
        )

    def close(self) -> None:
        """Gives up all watches; the sink hears nothing more."""
        self._started = False
        for feed in self._feeds.values():
            if feed.handle is not None:
                feed.handle.cancel()
                feed.handle = None

    # Single objects

    def get(
        self, resource: Resource, namespace: str, name: str, done: Callable[[Found], None]
    ) -> None:
        """Reads one object of a resource that is watched.

        What is newer than the watch so far goes to the sink first, except for resources with a
        selector; see `Reflector.learn`.
        """
        feed = self._feeds[resource]

        def answered(response: Response) -> None:
            found = _found(feed.frames, response)
            if found.object is not None:
                feed.reflector.learn(found.object)
            done(found)

        path = resource.object_path(namespace, name)
        self._transport.send(Request("GET", path, timeout_us=READ_TIMEOUT_US), answered)

    def resource_of(self, kind: str, api_version: str) -> Resource | None:
        """The watched resource of this kind and group, in whatever version; None: not watched."""
        group = api_version.rpartition("/")[0]
        for resource in self._feeds:
            if resource.kind == kind and resource.group_version.rpartition("/")[0] == group:
                return resource
        return None

    def served(self, resource: Resource) -> bool | None:
        """Whether the server serves it; None as long as it has not said."""
        return self._discovery.served(resource)

    def hurry(self, resource: Resource) -> None:
        """Somebody names one: asks at once whether it is served by now."""
        self._discovery.hurry(resource)

    # Requests

    def _discover(self, path: str) -> None:
        def answered(response: Response) -> None:
            changed = self._discovery.answer(path, response, self._clock.elapsed_us())
            for resource in changed:
                self._serve(resource, served=bool(self._discovery.served(resource)))

        self._transport.send(Request("GET", path, timeout_us=READ_TIMEOUT_US), answered)

    def _serve(self, resource: Resource, *, served: bool) -> None:
        feed = self._feeds[resource]
        _log.info("a kind is served" if served else "a kind is not served", kind=resource.kind)
        if not served:
            if feed.handle is not None:
                feed.handle.cancel()
                feed.handle = None
            feed.reflector.vanish()
        feed.reflector.until_us = 0

    def _ask(self, feed: _Feed, ask: Ask) -> None:
        clock, reflector = self._clock, feed.reflector

        def done(response: Response) -> None:
            feed.handle = None
            self._ended(feed, response)

        def heard(data: bytes) -> None:
            if not reflector.heard(data, clock.elapsed_us()) and feed.handle is not None:
                feed.handle.cancel()
                done(Response(200))

        if ask.stream:
            request = Request("GET", ask.path, timeout_us=0, idle_us=IDLE_US)
            feed.handle = self._transport.stream(
                request, lambda code: reflector.status(code, clock.elapsed_us()), heard, done
            )
        else:
            request = Request("GET", ask.path, timeout_us=PAGE_TIMEOUT_US)
            feed.handle = self._transport.send(request, done)

    def _ended(self, feed: _Feed, response: Response) -> None:
        reflector = feed.reflector
        before = reflector.failures
        reflector.ended(response, self._clock.elapsed_us())
        if reflector.failures > before:
            # The first of a series is told at once, later ones less and less often.
            tell = _log.warning if _is_power_of_two(reflector.failures) else _log.debug
            tell("cannot read a kind", kind=reflector.resource.kind, error=reflector.error,
                 failures=reflector.failures)  # fmt: skip
        if reflector.absent and reflector.resource.optional:
            self._discovery.hurry(reflector.resource)


def _is_power_of_two(count: int) -> bool:
    return count & (count - 1) == 0


def _found(frames: Frames, response: Response) -> Found:
    if response.status == 404:
        return Found(404)
    if response.status != 200 or response.error:
        return Found(response.status, error=said(response))
    read = frames.one(response.body)
    if isinstance(read, Bad):
        return Found(200, error=read.what)
    return Found(200, read.object)
