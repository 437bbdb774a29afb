"""HTTP on a loopback address: metrics, health, gangs, explanations, snapshots.

A few threads at most, one request each, every wait bounded; a bad request costs its own
connection and nothing else. What a page says comes from `Answers`; this module knows HTTP only.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from scheduler import __version__, log
from scheduler.config import parse_listen
from scheduler.errors import NotFoundError, UsageError
from scheduler.metrics import CONTENT_TYPE
from scheduler.serve.protocol import Answers, Check, NoAnswerError
from scheduler.serve.tar_stream import tar_pieces

_log = log.get(__name__)

THREADS = 16
"""Requests served at a time; one more is told 503 at once."""
IDLE_S = 30.0
"""How long a client may take to send its request, or to take a piece of the answer."""
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
PATHS = ("/metrics", "/healthz", "/readyz", "/status", "/gangs", "/explain/NS/KIND/NAME",
         "/snapshot")  # fmt: skip
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class HttpError(Exception):
    """An answer that is not 200: what is wrong, and what to do."""

    def __init__(self, status: HTTPStatus, what: str, hint: str = "", **headers: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.hint = hint
        self.headers = headers


class Server(ThreadingHTTPServer):
    """Serves `answers` from threads of its own until `stop`."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, listen: str, answers: Answers) -> None:
        """Listens at once; `start` begins to serve.

        Raises UsageError if `listen` is no loopback address, or is taken.
        """
        host, port = parse_listen(listen)
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.answers = answers
        self._free = threading.BoundedSemaphore(THREADS)
        self._thread: threading.Thread | None = None
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            what = f"cannot listen on {listen}: {error.strerror or error}"
            raise UsageError(what, "end the other process, or give another --listen") from error

    @property
    def address(self) -> str:
        """`host:port` that it listens on; the port is the real one if 0 was asked for."""
        host, port = self.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def start(self) -> None:
        """Serves from now on."""
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends: no new request is taken; those under way may end with their connection."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread for a request, if there is one."""
        if not self._free.acquire(blocking=False):
            request.settimeout(1)
            body = b"too many requests at a time\n"
            head = f"HTTP/1.0 503 Busy\r\nRetry-After: 1\r\nContent-Length: {len(body)}\r\n\r\n"
            try:
                request.sendall(head.encode() + body)
            except OSError:
                pass
            finally:
                self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Runs on the request's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is nobody's business; anything else is a bug and is logged."""
        del request, client_address
        _log.debug("http connection ended", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request. Only its `do_` methods are called from outside."""

    server: Server
    timeout = IDLE_S
    server_version = f"muster/{__version__}"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # a refusal has a head, also of what is no request
    begun = False
    """Whether the head of the answer is out: there is no second one."""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses: other methods, and what is no HTTP."""
        del explain
        error = HttpError(HTTPStatus(code), message or HTTPStatus(code).phrase)
        if code == HTTPStatus.NOT_IMPLEMENTED:
            what = f"{self.command} is not served: nothing can be changed here"
            error = HttpError(HTTPStatus.METHOD_NOT_ALLOWED, what, "use GET", Allow="GET, HEAD")
        self._fail(error, with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        try:
            self._check_host()
            parts = urlsplit(self.path)
            query = parse_qs(parts.query, keep_blank_values=True)
            self._route(parts.path, query, with_body=with_body)
        except HttpError as error:
            self._fail(error, with_body=with_body)
        except NotFoundError as error:
            self._fail(HttpError(HTTPStatus.NOT_FOUND, error.what, error.hint), with_body=with_body)
        except UsageError as error:
            refusal = HttpError(HTTPStatus.BAD_REQUEST, error.what, error.hint)
            self._fail(refusal, with_body=with_body)
        except NoAnswerError as error:
            hint = "try again; /healthz says whether it still turns"
            busy = HttpError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), hint)
            self._fail(busy, with_body=with_body)
        except (ConnectionError, TimeoutError):
            raise  # the client is gone
        except Exception:  # noqa: BLE001 - a bug in one page must not end the others
            _log.exception("http request failed", path=self.path)
            what, hint = "an error of the scheduler itself", "its log has the details"
            broken = HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, what, hint)
            self._fail(broken, with_body=with_body)

    def _check_host(self) -> None:
        """A page of some web site must not read this through the visitor's browser."""
        name = urlsplit(f"//{self.headers.get('Host', 'localhost')}").hostname
        if name not in _LOOPBACK_NAMES:
            what = f"host {name} is not this machine's loopback"
            raise HttpError(HTTPStatus.FORBIDDEN, what, "ask 127.0.0.1 or localhost")

    def _route(self, path: str, query: Mapping[str, Sequence[str]], *, with_body: bool) -> None:
        answers = self.server.answers
        page = self.pages.get(path)
        if page is not None:
            page(self, query, with_body)
        elif path.startswith("/explain/"):
            parts = [unquote(part) for part in path.removeprefix("/explain/").split("/")]
            if len(parts) != 3 or not all(parts):
                what = "a gang is named NAMESPACE/KIND/NAME"
                raise HttpError(HTTPStatus.NOT_FOUND, what, "see /gangs")
            self._json(answers.explain("/".join(parts)), with_body=with_body)
        else:
            what = f"there is no {path}"
            raise HttpError(HTTPStatus.NOT_FOUND, what, f"there are {', '.join(PATHS)}")

    def _metrics(self, query: Mapping[str, Sequence[str]], with_body: bool) -> None:
        del query
        self._send(HTTPStatus.OK, CONTENT_TYPE, self.server.answers.metrics(), with_body=with_body)

    def _healthz(self, query: Mapping[str, Sequence[str]], with_body: bool) -> None:
        self._checks([self.server.answers.alive()], query, with_body=with_body)

    def _readyz(self, query: Mapping[str, Sequence[str]], with_body: bool) -> None:
        self._checks(self.server.answers.ready(), query, with_body=with_body)

    def _status(self, query: Mapping[str, Sequence[str]], with_body: bool) -> None:
        del query
        self._json(self.server.answers.status(), with_body=with_body)

    def _gangs(self, query: Mapping[str, Sequence[str]], with_body: bool) -> None:
        del query
        self._json(self.server.answers.gangs(), with_body=with_body)

    def _snapshot(self, query: Mapping[str, Sequence[str]], with_body: bool) -> None:
        scheduler = query.get("scheduler", ("",))[0]
        files = self.server.answers.snapshot(scheduler) if with_body else iter(())
        pieces = tar_pieces(files)
        first = next(pieces, b"")  # an error before the first byte is a proper answer
        self._head(HTTPStatus.OK, "application/x-tar", None)
        if with_body:
            self.wfile.write(first)
            for piece in pieces:
                self.wfile.write(piece)

    pages: ClassVar[Mapping[str, Callable[..., None]]] = {
        "/metrics": _metrics,
        "/healthz": _healthz,
        "/readyz": _readyz,
        "/status": _status,
        "/gangs": _gangs,
        "/snapshot": _snapshot,
    }

    def _checks(
        self, checks: Sequence[Check], query: Mapping[str, Sequence[str]], *, with_body: bool
    ) -> None:
        good = all(check.ok for check in checks)
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        if JSON in self.headers.get("Accept", ""):
            listed = [{"name": c.name, "ok": c.ok, "text": c.text} for c in checks]
            self._json({"ok": good, "checks": listed}, status=status, with_body=with_body)
            return
        shown = checks if "verbose" in query else [c for c in checks if not c.ok]
        lines = [f"[{'+' if c.ok else '-'}] {c.name}: {c.text or 'ok'}" for c in shown]
        text = "\n".join([*lines, "ok" if good else "not ok"]) + "\n"
        self._send(status, TEXT, text.encode(), with_body=with_body)

    def _json(
        self, document: object, *, status: HTTPStatus = HTTPStatus.OK, with_body: bool
    ) -> None:
        body = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        self._send(status, JSON, body, with_body=with_body)

    def _fail(self, error: HttpError, *, with_body: bool) -> None:
        if self.begun:
            _log.warning("http answer broken off", path=self.path, why=error.what)
            return  # the client misses the end of what it was sent
        body = json.dumps({"error": error.what, "hint": error.hint}).encode() + b"\n"
        self._send(error.status, JSON, body, with_body=with_body, headers=error.headers)

    def _send(
        self, status: HTTPStatus, kind: str, body: bytes, *, with_body: bool,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._head(status, kind, len(body), headers)
        if with_body:
            self.wfile.write(body)

    def _head(
        self, status: HTTPStatus, kind: str, length: int | None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.begun = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are not worth a line each."""
        _log.debug("http", text=format % args)
