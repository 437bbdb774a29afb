"""What the API-server edge needs of HTTP: many requests at once on one thread, told by callbacks.

Everything here runs on the thread that calls `poll`; only `wake` may be called from others.
`curl.py` is the real one; tests use a scripted one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

NO_ANSWER = 0
"""Status of a response that never came: `error` says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` begins with a slash and carries the query, escaped.

    timeout_us: for the whole request, 0 = none (watches). idle_us: of a stream, how long nothing
    may come before it is given up, 0 = for ever.
    """

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"
    timeout_us: int = 30_000_000
    idle_us: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """How a request ended. `body` is empty for a stream whose bytes were handed on.

    retry_after_us: what the server asked for, None if it did not. error: why there is no answer,
    or why a stream broke off. sent: whether the server may have seen the request; False only if
    that is impossible (no connection was made).
    """

    status: int
    body: bytes = b""
    retry_after_us: int | None = None
    error: str = ""
    sent: bool = True


Done = Callable[[Response], None]


class Handle(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Gives it up; `done` is not called any more. Nothing happens if it has ended."""
        ...


class Transport(Protocol):
    """Requests to one API server.

    A 401 renews the credentials and sends the request once more before `done` hears of it.
    """

    def send(self, request: Request, done: Done) -> Handle:
        """Sends a request; `done` is called once, from `poll`."""
        ...

    def stream(
        self, request: Request, status: Callable[[int], None], data: Callable[[bytes], None],
        done: Done,
    ) -> Handle:  # fmt: skip
        """Sends a request whose answer comes in pieces.

        `status` hears the code first. `data` is called for pieces of a 2xx answer, cut anywhere;
        the body of any other answer comes with `done`.
        """
        ...

    def poll(self, timeout_us: int) -> None:
        """Waits until something happens (at most `timeout_us`) and calls back for all of it."""
        ...

    def wake(self) -> None:
        """Lets a `poll` return now. May be called from any thread."""
        ...

    def close(self) -> None:
        """Gives up everything under way without calling back, and closes the connections."""
        ...
