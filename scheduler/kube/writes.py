"""Writes that tell users something: few at once, patient, and never in the way of binds.

One place decides what an answer means, so that conditions, events and statuses behave alike when
the API server is away, slow or refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from random import Random

from scheduler import log
from scheduler.clock import Clock
from scheduler.kube.answers import said
from scheduler.kube.backoff import Backoff
from scheduler.kube.transport import NO_ANSWER, Request, Response, Transport

_log = log.get(__name__)

SECOND_US = 1_000_000
IN_FLIGHT = 8
"""A bind costs the server as much as such a write; more at once only add latency to both."""
FIRST_PAUSE_US = SECOND_US
LONGEST_PAUSE_US = 60 * SECOND_US
FORBIDDEN_US = 600 * SECOND_US
"""After a 403, one write of that kind is tried again this much later: roles get mended."""


class Kind(StrEnum):
    """What is written; a 403 stops one kind."""

    CONDITIONS = "pod conditions"
    EVENTS = "events"
    GROUPS = "pod group statuses"


class Ended(Enum):
    """What became of a write."""

    DONE = auto()
    GONE = auto()
    """The object does not exist any more, or is another one of that name."""
    EXISTS = auto()
    """409 to a POST: the name is taken."""
    AGAIN = auto()
    """Not now; `Writes` waits by itself before there is room again."""
    REFUSED = auto()
    """It will not get better by itself."""


@dataclass(frozen=True, eq=False, slots=True)
class Write:
    """One request, and who wants to know (outcome, body of the answer)."""

    kind: Kind
    request: Request
    done: Callable[[Ended, bytes], None]


class Writes:
    """Sends writes while there is room; told by `Transport.poll`."""

    def __init__(
        self, transport: Transport, clock: Clock, rng: Random, *, in_flight: int = IN_FLIGHT
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._limit = in_flight
        self._in_flight = 0
        self._backoff = Backoff(rng, FIRST_PAUSE_US, LONGEST_PAUSE_US)
        self._failing = False
        self._epoch = 0
        self._paused_until_us = 0
        self._forbidden: dict[Kind, int] = {}

    @property
    def in_flight(self) -> int:
        """Writes under way."""
        return self._in_flight

    def room(self, now_us: int) -> int:
        """How many may be sent now: one at a time while the server fails."""
        if now_us < self._paused_until_us:
            return 0
        limit = 1 if self._failing else self._limit
        return max(limit - self._in_flight, 0)

    def may(self, kind: Kind, now_us: int) -> bool:
        """Has this kind not been forbidden lately?"""
        return now_us >= self._forbidden.get(kind, 0)

    def next_time_us(self, now_us: int) -> int | None:
        """When a pause ends, or None if there is none."""
        return self._paused_until_us if self._paused_until_us > now_us else None

    def send(self, write: Write) -> None:
        """Sends it; the caller has asked `room` and `may`."""
        self._in_flight += 1
        epoch = self._epoch

        def done(response: Response) -> None:
            self._in_flight -= 1
            write.done(self._ended(write, response, epoch), response.body)

        self._transport.send(write.request, done)

    def _ended(self, write: Write, response: Response, epoch: int) -> Ended:
        status = response.status
        if 200 <= status < 300:
            self._failing = False
            self._backoff.reset()
            return Ended.DONE
        if status == 404:
            return Ended.GONE
        if status == 409:
            return self._conflict(write, response)
        if status == 403:
            return self._refuse(write, response)
        if status in {NO_ANSWER, 401, 408, 429} or status >= 500:
            self._pause(response, epoch)
            return Ended.AGAIN
        _log.warning("refused by the API server", what=write.kind.value, path=write.request.path,
                     answer=said(response))  # fmt: skip
        return Ended.REFUSED

    def _conflict(self, write: Write, response: Response) -> Ended:
        if write.request.method == "POST":
            return Ended.EXISTS
        return Ended.GONE if b"UID" in response.body else Ended.AGAIN

    def _refuse(self, write: Write, response: Response) -> Ended:
        """403: a namespace that ends takes nothing new; else a role is missing."""
        if b"NamespaceTerminating" in response.body or b"being terminated" in response.body:
            return Ended.GONE
        now = self._clock.now_us()
        if write.kind not in self._forbidden:
            _log.error("not allowed by the API server: these are not written any more; "
                       "give the scheduler's role the verb", what=write.kind.value,
                       method=write.request.method, path=write.request.path,
                       answer=said(response))  # fmt: skip
        self._forbidden[write.kind] = now + FORBIDDEN_US
        return Ended.AGAIN

    def _pause(self, response: Response, epoch: int) -> None:
        """Writes that fail together make one pause; a longer wish of the server's counts."""
        now = self._clock.now_us()
        if epoch == self._epoch:
            self._epoch += 1
            self._failing = True
            wait = self._backoff.next_us()
            self._paused_until_us = max(self._paused_until_us, now + wait)
            _log.info(
                "the API server takes no status writes now",
                answer=said(response), again_in_ms=wait // 1_000,
            )  # fmt: skip
        if response.retry_after_us is not None:
            self._paused_until_us = max(self._paused_until_us, now + response.retry_after_us)
