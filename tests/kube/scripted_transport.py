"""A Transport whose answers a test gives by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from scheduler.kube.transport import Done, Request, Response


@dataclass(eq=False)
class Sent:
    """A request that was sent, and the ways to answer it."""

    request: Request
    done: Done
    status: Callable[[int], None] | None = None
    data: Callable[[bytes], None] | None = None
    over: bool = False

    @property
    def path(self) -> str:
        """Without the query."""
        return urlsplit(self.request.path).path

    @property
    def query(self) -> str:
        """Escaped, as it was sent."""
        return urlsplit(self.request.path).query

    def cancel(self) -> None:
        """The Handle's."""
        self.over = True

    def answer(self, code: int, body: bytes = b"", error: str = "") -> None:
        """It ends."""
        assert not self.over
        self.over = True
        self.done(Response(code, body, error=error))

    def bring(self, *pieces: bytes) -> None:
        """Data of a stream, as long as it is wanted."""
        assert self.data is not None
        for piece in pieces:
            if not self.over:
                self.data(piece)


class ScriptedTransport:
    """Keeps requests until the test answers them."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.wakes = 0

    def send(self, request: Request, done: Done) -> Sent:
        """Sends a request."""
        self.sent.append(Sent(request, done))
        return self.sent[-1]

    def stream(
        self, request: Request, status: Callable[[int], None], data: Callable[[bytes], None],
        done: Done,
    ) -> Sent:  # fmt: skip
        """Sends a request whose answer comes in pieces."""
        self.sent.append(Sent(request, done, status, data))
        return self.sent[-1]

    def poll(self, timeout_us: int) -> None:
        """Nothing happens by itself."""

    def wake(self) -> None:
        """Counted."""
        self.wakes += 1

    def close(self) -> None:
        """Gives up everything."""
        for sent in self.sent:
            sent.over = True

    def open(self, path: str) -> Sent:
        """The only request to this path that is under way."""
        (found,) = [sent for sent in self.sent if sent.path == path and not sent.over]
        return found

    def paths(self) -> list[str]:
        """Paths of all requests under way, sorted."""
        return sorted(sent.path for sent in self.sent if not sent.over)
