"""HTTP/1.1 through libcurl: many requests on one thread, over connections that are kept.

One request per connection at a time, so that a lost connection is exactly one request of unknown
outcome. libcurl looks at an idle connection before it uses it again. If the server closes one
while a request is on its way and nothing of an answer has come, libcurl sends that request once
more over a new connection, POSTs too: what may be sent must bear that. Binds do (the second is
answered by 409 with our own node in it), as do patches, and events, whose names are unique.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pycurl

from scheduler import __version__
from scheduler.clock import Clock
from scheduler.kube.connection import Access, Connection
from scheduler.kube.poller import Poller
from scheduler.kube.renewal import Renewal
from scheduler.kube.transport import NO_ANSWER, Done, Request, Response

CONNECT_TIMEOUT_MS = 10_000
KEPT = 512
"""Connections kept open: more than a binder's window and all watches."""
IDLE_S = 60
"""An idle connection is not used again after so long; kube-apiserver closes it after 90 s."""
ASKS_TO_WAIT = frozenset({429, 503})
UNAUTHORIZED = 401
_HEADERS = ("Accept: application/json", f"User-Agent: muster/{__version__}", "Expect:")
_READS = frozenset({pycurl.POLL_IN, pycurl.POLL_INOUT})
_WRITES = frozenset({pycurl.POLL_OUT, pycurl.POLL_INOUT})

Status = Callable[[int], None]
Data = Callable[[bytes], None]


class _Slot:
    """A curl handle with the options of one sort of request, used again and again."""

    __slots__ = ("access", "chunks", "curl", "headers", "sort", "timeout_us")

    def __init__(self, sort: tuple[str, str, bool]) -> None:
        self.sort = sort
        self.curl = pycurl.Curl()
        self.chunks: list[bytes] = []
        self.headers: list[bytes] = []
        self.access: Access | None = None
        self.timeout_us = -1


class _Flight:
    """A request under way: the Handle that `send` and `stream` return."""

    __slots__ = (
        "_transport", "again", "code", "data", "done", "heard_us", "over", "request",
        "slot", "status",
    )  # fmt: skip

    def __init__(
        self, transport: CurlTransport, request: Request, done: Done, status: Status | None = None,
        data: Data | None = None,
    ) -> None:  # fmt: skip
        self._transport = transport
        self.request = request
        self.done = done
        self.status = status
        self.data = data
        self.slot: _Slot | None = None
        self.again = False
        self.over = False
        self.code = 0
        self.heard_us = 0

    def cancel(self) -> None:
        """Gives it up; `done` is not called any more."""
        if not self.over:
            self.over = True
            self._transport.give_up(self)


class CurlTransport:
    """The real Transport. Everything but `wake` belongs to one thread."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._idle: dict[tuple[str, str, bool], list[_Slot]] = {}
        self._flights: dict[pycurl.Curl, _Flight] = {}
        self._streams: dict[pycurl.Curl, _Flight] = {}
        self._finished: deque[tuple[_Flight, Response, bytes]] = deque()
        self._timer_us: int | None = None
        self._poller = Poller()
        self._renewal: Renewal[_Flight] = Renewal(connection, clock, self.wake)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, KEPT)
        self._multi.setopt(pycurl.M_PIPELINING, 0)

    # Transport

    def send(self, request: Request, done: Done) -> _Flight:
        """Sends a request; `done` is called once, from `poll`."""
        flight = _Flight(self, request, done)
        self._start(flight)
        return flight

    def stream(self, request: Request, status: Status, data: Data, done: Done) -> _Flight:
        """Sends a request whose answer comes in pieces; see Transport."""
        flight = _Flight(self, request, done, status, data)
        self._start(flight)
        return flight

    def poll(self, timeout_us: int) -> None:
        """Waits until something happens (at most `timeout_us`) and calls back for all of it."""
        for fd, read, write in self._poller.wait(self._wait_us(timeout_us)):
            action = (pycurl.CSELECT_IN if read else 0) | (pycurl.CSELECT_OUT if write else 0)
            self._multi.socket_action(fd, action)
        now = self._clock.elapsed_us()
        if self._timer_us is not None and now >= self._timer_us:
            self._timer_us = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        self._resume(now)
        self._stream_on(now)
        while self._finished:
            self._finish(*self._finished.popleft())

    def wake(self) -> None:
        """Lets a `poll` return now. May be called from any thread."""
        self._poller.wake()

    def close(self) -> None:
        """Gives up everything under way without calling back, and closes the connections."""
        for flight in list(self._flights.values()):
            flight.cancel()
        self._renewal.parked.clear()
        self._finished.clear()
        for slots in self._idle.values():
            for slot in slots:
                slot.curl.close()
        self._idle.clear()
        self._multi.close()
        self._poller.close()

    def give_up(self, flight: _Flight) -> None:
        """Takes a flight out of curl, if it is there. For `cancel`."""
        if flight.slot is not None:
            self._land(flight)

    # Requests

    def _start(self, flight: _Flight) -> None:
        request = flight.request
        sort = (request.method, request.content_type if request.body else "", bool(flight.data))
        slots = self._idle.get(sort)
        slot = slots.pop() if slots else _Slot(sort)
        access = self._connection.access
        if slot.access is not access:
            self._equip(slot, access)
        curl = slot.curl
        curl.setopt(pycurl.URL, _base(access) + request.path)
        if request.body:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        if slot.timeout_us != request.timeout_us:
            slot.timeout_us = request.timeout_us
            # 0 is "none" to curl too; less than a millisecond is not.
            curl.setopt(pycurl.TIMEOUT_MS, -(-request.timeout_us // 1_000))
        flight.slot = slot
        flight.code = 0
        flight.heard_us = self._clock.elapsed_us()
        self._flights[curl] = flight
        if flight.data is not None:
            self._streams[curl] = flight
        self._multi.add_handle(curl)

    def _equip(self, slot: _Slot, access: Access) -> None:
        """Sets the options that stay the same from one request to the next."""
        method, content_type, stream = slot.sort
        curl = slot.curl
        curl.reset()
        slot.timeout_us = -1
        options: list[tuple[int, Any]] = [
            (pycurl.NOSIGNAL, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS),
            (pycurl.MAXAGE_CONN, IDLE_S),
            (pycurl.TCP_KEEPALIVE, 1),
            (pycurl.TCP_KEEPIDLE, 30),
            (pycurl.TCP_KEEPINTVL, 15),
            (pycurl.WRITEFUNCTION, slot.chunks.append),
            *_security(access),
        ]
        headers = [*_HEADERS, *_host(access), *access.headers]
        if content_type:
            headers.append(f"Content-Type: {content_type}")
            options.append((pycurl.POST, 1))
        elif method == "POST":
            options += [(pycurl.POST, 1), (pycurl.POSTFIELDS, b"")]
        if method not in {"GET", "POST"} or (content_type and method == "GET"):
            options.append((pycurl.CUSTOMREQUEST, method))
        if stream:
            options.append((pycurl.HEADERFUNCTION, slot.headers.append))
        options.append((pycurl.HTTPHEADER, headers))
        for option, value in options:
            curl.setopt(option, value)
        slot.access = access

    def _land(self, flight: _Flight) -> _Slot:
        """Takes the handle out of curl and puts it back among the idle ones."""
        slot = flight.slot
        assert slot is not None
        flight.slot = None
        curl = slot.curl
        self._multi.remove_handle(curl)
        del self._flights[curl]
        self._streams.pop(curl, None)
        slot.chunks.clear()
        slot.headers.clear()
        self._idle.setdefault(slot.sort, []).append(slot)
        return slot

    # What curl has done

    def _collect(self) -> None:
        """Takes what has ended from curl; nobody is called back before all of it is taken."""
        more = 1
        while more:
            more, fine, failed = self._multi.info_read()
            for curl in fine:
                self._ended(self._flights[curl], "")
            for curl, number, text in failed:
                self._ended(self._flights[curl], text or f"curl error {number}")

    def _ended(self, flight: _Flight, error: str) -> None:
        slot = flight.slot
        assert slot is not None
        curl = slot.curl
        code = curl.getinfo(pycurl.RESPONSE_CODE)
        body = b"".join(slot.chunks)
        rest = b""
        if flight.data is not None and 200 <= code < 300:
            body, rest = b"", body
        retry_after = None
        if code in ASKS_TO_WAIT:
            # 0: it did not say; libcurl before 8.12 makes a date in the past negative.
            retry_after = max(0, curl.getinfo(pycurl.RETRY_AFTER)) * 1_000_000 or None
        sent = code != 0 or curl.getinfo(pycurl.REQUEST_SIZE) > 0
        if error and flight.data is None:
            code, body = NO_ANSWER, b""
        response = Response(code, body, retry_after, error, sent)
        access = slot.access
        self._land(flight)
        if code == UNAUTHORIZED and not error and not flight.again and access is not None:
            self._renewal.park(flight, access, response)
        else:
            self._finished.append((flight, response, rest))

    def _finish(self, flight: _Flight, response: Response, rest: bytes) -> None:
        """The last things that a request's owner hears of it."""
        if flight.over:
            return
        if flight.data is not None and response.status and not flight.code:
            _tell(flight, response.status)
        if rest and flight.data is not None and not flight.over:
            flight.data(rest)
        if not flight.over:
            flight.over = True
            flight.done(response)

    def _stream_on(self, now_us: int) -> None:
        """Hands on what has come of streams, and gives up those that have fallen silent."""
        for flight in list(self._streams.values()):
            slot = flight.slot
            if slot is None or slot.curl not in self._streams:
                continue  # cancelled by one of those before it
            if slot.chunks or slot.headers:
                flight.heard_us = now_us
                self._pieces(flight, slot)
            idle = flight.request.idle_us
            if flight.slot is slot and idle and now_us - flight.heard_us >= idle:
                self._land(flight)
                error = f"nothing came for {idle // 1_000_000} s"
                self._finished.append((flight, Response(flight.code, error=error), b""))

    @staticmethod
    def _pieces(flight: _Flight, slot: _Slot) -> None:
        """Status and data of a stream, as far as they have come."""
        whole = slot.chunks or (slot.headers and slot.headers[-1] in {b"\r\n", b"\n"})
        slot.headers.clear()
        if whole and not flight.code:
            code = slot.curl.getinfo(pycurl.RESPONSE_CODE)
            # Credentials may be renewed; and a proxy's answers and 1xx come before the answer.
            if code >= 200 and (code != UNAUTHORIZED or flight.again):
                _tell(flight, code)
        if flight.over or not 200 <= flight.code < 300 or not slot.chunks:
            return
        data = slot.chunks[0] if len(slot.chunks) == 1 else b"".join(slot.chunks)
        slot.chunks.clear()
        assert flight.data is not None
        flight.data(data)

    def _resume(self, now_us: int) -> None:
        """Sends again what waited for new credentials."""
        for flight, refusal in self._renewal.pump(now_us):
            if flight.over:
                continue
            if refusal is None:
                flight.again = True
                self._start(flight)
            else:
                self._finished.append((flight, refusal, b""))

    # What curl wants

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._poller.leave(fd)
        else:
            self._poller.watch(fd, read=what in _READS, write=what in _WRITES)

    def _on_timer(self, timeout_ms: int) -> None:
        later = self._clock.elapsed_us() + timeout_ms * 1_000
        self._timer_us = None if timeout_ms < 0 else later

    def _wait_us(self, timeout_us: int) -> int:
        if self._finished:
            return 0
        now = self._clock.elapsed_us()
        until = now + timeout_us
        if self._timer_us is not None:
            until = min(until, self._timer_us)
        for flight in self._streams.values():
            if flight.request.idle_us:
                until = min(until, flight.heard_us + flight.request.idle_us)
        return max(0, min(until, self._renewal.next_us(until)) - now)


def _tell(flight: _Flight, code: int) -> None:
    flight.code = code
    if flight.status is not None:
        flight.status(code)


def _base(access: Access) -> str:
    """What stands before the path: the name that the certificate must bear, if one is given."""
    if not access.tls_server_name:
        return access.server
    parts = urlsplit(access.server)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{access.tls_server_name}{port}{parts.path}"


def _security(access: Access) -> list[tuple[int, Any]]:
    """TLS and the way there."""
    options: list[tuple[int, Any]] = [
        (pycurl.SSL_VERIFYPEER, int(access.verify)),
        (pycurl.SSL_VERIFYHOST, 2 if access.verify else 0),
    ]
    trusted = ssl.get_default_verify_paths().cafile
    if access.ca:
        options.append((pycurl.CAINFO_BLOB, access.ca))
    elif trusted:
        options.append((pycurl.CAINFO, trusted))
    if access.certificate:
        # By content, libcurl uses neither connections nor sessions of another certificate.
        options += [
            (pycurl.SSLCERT_BLOB, access.certificate),
            (pycurl.SSLKEY_BLOB, access.key),
        ]
    if access.tls_server_name:
        parts = urlsplit(access.server)
        port = parts.port or 443
        options.append(
            (pycurl.CONNECT_TO, [f"{access.tls_server_name}:{port}:{parts.hostname}:{port}"])
        )
    if access.proxy:
        # As kubectl does: a proxy that the kubeconfig names holds for its cluster, whatever
        # NO_PROXY says. Without one, libcurl reads the environment.
        options += [(pycurl.PROXY, access.proxy), (pycurl.NOPROXY, "")]
    return options


def _host(access: Access) -> list[str]:
    """The server's own name, where the URL bears the certificate's."""
    return [f"Host: {urlsplit(access.server).netloc}"] if access.tls_server_name else []
