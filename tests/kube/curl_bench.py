"""A CurlTransport with what a test needs around it: credentials, a clock that jumps, answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from scheduler.clock import SystemClock
from scheduler.kube.connection import Access, Connection
from scheduler.kube.curl import CurlTransport
from scheduler.kube.transport import Handle, Request, Response

PATIENCE_US = 30_000_000


class JumpingClock(SystemClock):
    """The machine's clock, ahead by `ahead_us`."""

    ahead_us = 0

    def elapsed_us(self) -> int:
        """Monotonic time and what it is ahead."""
        return super().elapsed_us() + self.ahead_us


@dataclass
class Heard:
    """What a stream has brought so far."""

    codes: list[int] = field(default_factory=list)
    data: bytes = b""
    ends: list[Response] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        """More of it."""
        assert self.codes, "data before the status"
        assert not self.ends, "data after the end"
        self.data += data


class Bench:
    """One transport to one server. Change `access` to change what a renewal brings."""

    def __init__(self, url: str, ca: Path | None, **access: object) -> None:
        trusted = ca.read_bytes() if ca else b""
        self.access = replace(Access(url, ca=trusted), **access)  # type: ignore[arg-type]
        self.loads = 0
        self.trouble: Exception | None = None
        self.clock = JumpingClock()
        self.transport = CurlTransport(Connection(self._load), self.clock)

    def _load(self) -> Access:
        self.loads += 1
        if self.trouble is not None:
            raise self.trouble
        return replace(self.access)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def until(self, condition: Callable[[], object]) -> None:
        """Polls until the condition holds."""
        end = self.clock.now_us() + PATIENCE_US
        while not condition():
            assert self.clock.now_us() < end, "it does not happen"
            self.transport.poll(20_000)  # what the condition waits for may not be on a socket

    def call(self, method: str = "GET", path: str = "/x", body: bytes = b"",
             **more: object) -> Response:  # fmt: skip
        """One request, and its answer."""
        got: list[Response] = []
        request = Request(method, path, body, **more)  # type: ignore[arg-type]
        self.transport.send(request, got.append)
        self.until(lambda: got)
        return got[0]

    def stream(self, path: str = "/watch", idle_us: int = 0) -> tuple[Heard, Handle]:
        """A stream that is open, or will be."""
        heard = Heard()
        request = Request("GET", path, timeout_us=0, idle_us=idle_us)
        handle = self.transport.stream(request, heard.codes.append, heard.take, heard.ends.append)
        return heard, handle
