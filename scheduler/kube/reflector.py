"""List and watch of one resource as a state machine without I/O.

       ┌──────────── 410, refused ──────────────┐
       v                                        │
    LIST_STREAM ── initial-events-end ──────> WATCH ──┐ closed: resume by version
       │                                        ^ ^───┘
       └─ 400, 404, 422, no end ─> LIST_PAGES ──┘
                                    │  ^
                                    └──┘ continue; 410: from the first page again

`next` says which request is wanted (None: wait until `until_us`); `status`, `heard` and `ended`
are fed with what comes of it. A failure in any state waits, doubling, and tries the same again.

What the sink can rely on: nothing is shown in an older version than before; what was deleted
does not come back, unless recreated under another UID, and then the old one is gone first; after
`synced` it has seen everything that the list held, and what vanished meanwhile is gone. A relist
never clears anything: it is compared with what was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from urllib.parse import urlencode

import msgspec

from scheduler.kube.answers import Status, said
from scheduler.kube.backoff import Backoff
from scheduler.kube.frames import Bad, Bookmark, Failed, Frame, Frames, Gone, Lines, Listed, Put
from scheduler.kube.resources import Resource
from scheduler.kube.shown import UNKNOWN, Shown, Sink, number
from scheduler.kube.transport import NO_ANSWER, Response

PAGE = 500
"""Objects on a page; each time a page's token has expired, four times as many."""
LARGEST_PAGE = 20_000
"""Beyond this the list is asked for in one piece: it cannot expire."""
LIVED_US = 5_000_000
"""A watch that lived so long and was closed without an event has not failed."""
TRIES = 2
"""Streaming lists that may break off in a row before pages are asked for."""
REFUSALS = 3
"""Answers other than a watch, in a row, until the version is given up and listed anew."""
NO_STREAMING = frozenset({400, 404, 405, 406, 422})
"""How a server refuses `sendInitialEvents`; a page will tell if it refuses the resource itself."""
WAITABLE = frozenset({NO_ANSWER, 401, 403, 429, 503})
"""Refusals that say nothing about the version that was asked for."""


class Mode(Enum):
    """What is asked of the server."""

    LIST_STREAM = "streaming list"
    LIST_PAGES = "paged list"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that the reflector wants; its answer streams, or comes whole (a page)."""

    path: str
    stream: bool


class Reflector:
    """Keeps a sink up to date with one resource.

    Public fields are for health: `heard_us` is when the server last said anything (0 = never),
    `failures` counts since something last worked, `error` is the last one's text, `is_synced`
    whether a list has been complete, `absent` whether the server does not serve the resource.
    """

    def __init__(self, resource: Resource, sink: Sink, rng: Random) -> None:
        self.resource = resource
        self.until_us = 0
        self.heard_us = 0
        self.failures = 0
        self.error = ""
        self.is_synced = False
        self.absent = False
        self._sink = sink
        self._rng = rng
        self._frames = Frames(resource)
        self._lines = Lines()
        self._shown = Shown(resource, sink)
        self._after_failure = Backoff(rng)
        self._after_expiry = Backoff(rng)
        self._restart()

    def _restart(self) -> None:
        self._mode = Mode.LIST_STREAM
        self._streaming = True
        self._version = ""
        self._number = UNKNOWN
        self._continue = ""
        self._limit = PAGE
        self._broken = 0
        self._refused = 0
        self._began_us = 0
        self._events = False
        self._given_up = False
        self._failed: Status | None = None

    @property
    def objects(self) -> int:
        """How many objects the sink has been shown that are not gone."""
        return len(self._shown)

    @property
    def mode(self) -> Mode:
        """What is asked of the server now, or next."""
        return self._mode

    # What is wanted

    def next(self, now_us: int) -> Ask | None:
        """The request to send now; None: not before `until_us`. Ask once per request."""
        if now_us < self.until_us:
            return None
        self._began_us = now_us
        self._events = False
        self._given_up = False
        self._failed = None
        self._lines.clear()
        if self._mode is Mode.LIST_STREAM or (self._mode is Mode.LIST_PAGES and not self._continue):
            self._shown.begin()
        if self._mode is Mode.LIST_PAGES:
            return Ask(self._path(self._page()), stream=False)
        return Ask(self._path(self._stream()), stream=True)

    def _stream(self) -> dict[str, str | int]:
        query: dict[str, str | int] = {
            "watch": 1,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": self._rng.randint(300, 600),
        }
        if self._mode is Mode.LIST_STREAM:
            query["sendInitialEvents"] = "true"
            query["resourceVersionMatch"] = "NotOlderThan"
        else:
            query["resourceVersion"] = self._version
        return query

    def _page(self) -> dict[str, str | int]:
        query: dict[str, str | int] = {}
        if self._limit <= LARGEST_PAGE:
            query["limit"] = self._limit
        if self._continue:
            query["continue"] = self._continue
        return query

    def _path(self, query: dict[str, str | int]) -> str:
        if self.resource.selector:
            query["fieldSelector"] = self.resource.selector
        return f"{self.resource.path}?{urlencode(query)}" if query else self.resource.path

    # What comes of it

    def status(self, code: int, now_us: int) -> None:
        """A stream has begun; its code is judged when it ends."""
        if code == 200:
            self.heard_us = now_us

    def heard(self, data: bytes, now_us: int) -> bool:
        """Bytes of a stream. False: nothing more is wanted of it; cancel it, then `ended`."""
        self.heard_us = now_us
        lines = self._lines.feed(data)
        if not lines:
            return True
        return all(self._take(frame, now_us) for frame in self._frames.events(lines))

    def ended(self, response: Response, now_us: int) -> None:
        """The request is over, well or not."""
        if response.status != NO_ANSWER:
            self.heard_us = now_us
        if self._given_up:
            return
        if self._mode is Mode.LIST_PAGES:
            self._page_ended(response, now_us)
        elif self._mode is Mode.LIST_STREAM:
            self._list_ended(response, now_us)
        else:
            self._watch_ended(response, now_us)

    def learn(self, obj: Listed) -> None:
        """Shows an object that a GET has brought, if the watch has not come so far yet.

        An object that the watch has passed is known already, or has been deleted since. Of a
        resource with a selector nothing is learnt: the watch would never say that an object is
        gone that it would not have shown.
        """
        if self._mode is not Mode.WATCH or self.resource.selector:
            return
        if self._number != UNKNOWN and number(obj.metadata.resource_version) > self._number:
            self._shown.put(obj)

    def vanish(self) -> None:
        """The server does not serve the resource any more: all its objects are gone."""
        self._shown.clear()
        self.is_synced = False
        self.absent = True
        self._worked()
        self._restart()

    # Events

    def _take(self, frame: Frame, now_us: int) -> bool:
        if isinstance(frame, Bookmark):
            return self._bookmark(frame, now_us)
        if isinstance(frame, Failed):
            self._failed = frame.status
            return False
        self._changed(frame)
        return True

    def _changed(self, frame: Put | Gone | Bad) -> None:
        version = _version_of(frame)
        # A watch tells changes in their order, so what lies behind it is told twice. The objects
        # of a list come in any order.
        if self._mode is Mode.WATCH and UNKNOWN < number(version) < self._number:
            return
        if isinstance(frame, Put):
            self._shown.put(frame.object)
        elif isinstance(frame, Gone):
            self._shown.gone(frame.object)
        else:
            self._shown.bad(frame)
        self._moved_on(version)

    def _moved_on(self, version: str) -> None:
        # Only the end of a list says which version it shows.
        if self._mode is not Mode.WATCH or not version:
            return
        count = number(version)
        if count == UNKNOWN or count >= self._number:
            self._version, self._number = version, count
        if not self._events:
            self._events = True
            self._after_expiry.reset()
            self._worked()

    def _bookmark(self, mark: Bookmark, now_us: int) -> bool:
        if self._mode is Mode.WATCH:
            self._moved_on(mark.version)
            return True
        if mark.listed:
            return self._listed(mark.version, now_us)
        # An ordinary bookmark before the end of the list: this server knows no other kind.
        self._streaming = False
        self._given_up = True
        self._list(now_us)
        return False

    def _worked(self) -> None:
        self._refused = 0
        self.failures = 0
        self.error = ""
        self._after_failure.reset()

    # Lists

    def _list(self, now_us: int) -> None:
        self._mode = Mode.LIST_STREAM if self._streaming else Mode.LIST_PAGES
        self._continue = ""
        self.until_us = now_us

    def _listed(self, version: str, now_us: int) -> bool:
        """A list is complete. False: it must be read once more."""
        count = number(version)
        self._worked()
        self._limit = PAGE
        self._broken = 0
        behind = UNKNOWN < count < self._number
        self._version, self._number = version, count
        if behind:
            # The server was restored from a copy and counts from lower: compare with nothing.
            self._shown.forget_versions()
            self._given_up = True
            self._list(now_us)
            return False
        self._mode = Mode.WATCH
        self.until_us = now_us
        self.is_synced = True
        self.absent = False
        self._shown.finish()
        self._sink.synced(self.resource)
        return True

    def _page_ended(self, response: Response, now_us: int) -> None:
        if response.status == 410 and self._continue:
            self._limit *= 4
            self._continue = ""
            self.until_us = now_us
            return
        if response.status == 404 and self.resource.optional:
            self.absent = True
        if response.status != 200 or response.error:
            self._wait(response, now_us)
            return
        try:
            head, items = self._frames.page(response.body)
        except msgspec.MsgspecError as error:
            self._wait(Response(200, error=f"a list that cannot be decoded: {error}"), now_us)
            return
        for item in items:
            if isinstance(item, Put):
                self._shown.put(item.object)
            else:
                self._shown.bad(item)
        self._worked()
        self._continue = head.continue_ or ""
        self.until_us = now_us
        if not self._continue:
            self._listed(head.resource_version, now_us)

    def _list_ended(self, response: Response, now_us: int) -> None:
        if response.status in NO_STREAMING:
            # 404 is about the resource, not about the way it was asked for.
            self._streaming = response.status == 404
            self._mode = Mode.LIST_PAGES
            self._continue = ""
            return
        if response.status == 200:
            self._broken += 1
        if self._broken >= TRIES:
            self._mode = Mode.LIST_PAGES
            self._continue = ""
        self._wait(response, now_us)

    # Watches

    def _watch_ended(self, response: Response, now_us: int) -> None:
        failed = self._failed
        if response.status == 410 or (
            failed and (failed.code == 410 or failed.reason == "Expired")
        ):
            self._list(now_us)
            if not self._events:
                self.until_us = now_us + self._after_expiry.next_us()
        elif response.status == 200 and failed is None:
            # Servers close watches when they like; resuming one that was of use needs no pause.
            if self._events or now_us - self._began_us >= LIVED_US:
                self._worked()
                self.until_us = now_us
            else:
                self._wait(response, now_us)
        else:
            self._refused += response.status not in WAITABLE
            if self._refused >= REFUSALS or response.status in NO_STREAMING:
                self._refused = 0
                self._list(now_us)
            self._wait(response, now_us)

    def _wait(self, response: Response, now_us: int) -> None:
        """Tries again later."""
        self.failures += 1
        if self._failed is not None:
            words = self._failed.message or self._failed.reason or "the watch was ended"
            self.error = f"{self._failed.code}: {words}"
        elif response.status == 200:
            self.error = response.error or f"the {self._mode.value} was closed early"
        else:
            self.error = said(response)
        pause = max(self._after_failure.next_us(), response.retry_after_us or 0)
        self.until_us = now_us + pause


def _version_of(frame: Put | Gone | Bad) -> str:
    if isinstance(frame, Bad):
        return frame.name.resource_version if frame.name else ""
    return frame.object.metadata.resource_version
