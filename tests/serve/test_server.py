"""HTTP: answers, refusals, limits; one bad request costs nobody else anything."""

from __future__ import annotations

import http.client
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from scheduler.errors import UsageError
from scheduler.serve import server as server_module
from scheduler.serve.client import Client
from scheduler.serve.server import THREADS, Server
from tests.serve.running import Running, busy


def ask(
    address: str, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body)"""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def raw(address: str, data: bytes) -> bytes:
    """What comes back for these bytes."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        parts = []
        while part := line.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_metrics_are_prometheus_text(address: str) -> None:
    """Gauges of the moment are set when somebody scrapes."""
    status, headers, body = ask(address, "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert b'muster_gangs{state="binding"} 2.0' in body
    assert b'muster_watch_lag_seconds{kind="Node"} 2.0' in body


def test_health_is_text_or_json_as_asked() -> None:
    """What is wrong is always said, what is well if asked for; JSON by Accept."""
    running = busy()
    with running.serving() as address:
        assert ask(address, "/healthz")[::2] == (200, b"ok\n")
        assert ask(address, "/readyz")[::2] == (200, b"ok\n")
        verbose = ask(address, "/readyz?verbose")[2]
        assert verbose == b"[+] Node: last heard 2.0 s ago\n[+] binds: ok\nok\n"
        running.worry = "503 Service Unavailable"
        status, _, body = ask(address, "/readyz")
        assert (status, body) == (503, b"[-] binds: 503 Service Unavailable\nnot ok\n")
        status, headers, body = ask(address, "/readyz", Accept="application/json")
        assert (status, headers["Content-Type"]) == (503, "application/json")
        assert json.loads(body)["checks"][1] == {
            "name": "binds", "ok": False, "text": "503 Service Unavailable",
        }  # fmt: skip


def test_a_busy_loop_is_503_with_words_and_metrics_still_come() -> None:
    """What needs the loop says so; counters do not need it."""
    running = busy()
    running.loop.busy = True
    with running.serving() as address:
        for path in ("/gangs", "/explain/ns/StatefulSet/train", "/status", "/snapshot"):
            status, _, body = ask(address, path)
            assert (status, json.loads(body)["error"]) == (503, "the scheduler is busy")
        assert ask(address, "/healthz")[0] == ask(address, "/readyz")[0] == 503
        assert ask(address, "/metrics")[0] == 200


def test_an_unknown_page_or_gang_is_404_with_a_hint(address: str) -> None:
    """JSON with an error and what to do."""
    status, headers, body = ask(address, "/gang")
    assert (status, headers["Content-Type"]) == (404, "application/json")
    assert json.loads(body)["hint"].startswith("there are /metrics, /healthz")
    status, _, body = ask(address, "/explain/ns/StatefulSet/tran")
    assert (status, json.loads(body)) == (404, {
        "error": "no gang is called ns/StatefulSet/tran",
        "hint": "did you mean ns/StatefulSet/train?",
    })  # fmt: skip
    assert ask(address, "/explain/ns/train")[0] == 404
    assert ask(address, "/explain/a/b/c/d")[0] == 404


def test_names_may_be_escaped(address: str) -> None:
    """What a client escapes is read as it was meant, a slash inside a name too."""
    assert json.loads(ask(address, "/explain/ns/Stateful%53et/train")[2])["state"] == "placed"
    assert ask(address, "/explain/ns/StatefulSet%2Ftrain/x")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_nothing_can_be_changed(address: str, method: str) -> None:
    """Other methods are refused, with those that are served."""
    status, headers, body = ask(address, "/gangs", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["hint"] == "use GET"


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/gangs", "/snapshot", "/nothing"])
def test_head_has_no_body(address: str, path: str) -> None:
    """The same status as GET, and nothing after the headers."""
    status, _, body = ask(address, path, "HEAD")
    assert (status, body) == (404 if path == "/nothing" else 200, b"")


def test_a_web_page_cannot_read_it_through_a_browser(address: str) -> None:
    """A name that somebody else's DNS points here is refused."""
    assert ask(address, "/gangs", Host="evil.example.com")[0] == 403
    assert ask(address, "/gangs", Host="localhost:99")[0] == 200


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b" 400 "),
        (b"GET / HTTP/9.9\r\n\r\n", b" 505 "),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.0\r\n\r\n", b" 414 "),
        (b"GET / HTTP/1.0\r\n" + b"a: b\r\n" * 200 + b"\r\n", b" 431 "),
    ],
)
def test_what_is_no_http_is_refused(address: str, data: bytes, status: bytes) -> None:
    """With JSON, like every other error."""
    head, _, body = raw(address, data).partition(b"\r\n\r\n")
    assert status in head.splitlines()[0]
    assert json.loads(body)["error"]


def test_a_connection_that_says_nothing_or_breaks_off_harms_nobody(address: str) -> None:
    """The next request is answered."""
    assert raw(address, b"") == b""
    assert raw(address, b"GET /gan") is not None
    assert ask(address, "/gangs")[0] == 200


def test_a_bug_in_a_page_is_500_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    """It is logged; the client learns that it is not its fault."""
    running = busy()
    monkeypatch.setattr(running.answers, "gangs", lambda: 1 / 0)
    with running.serving() as address:
        status, _, body = ask(address, "/gangs")
        assert (status, json.loads(body)["hint"]) == (500, "its log has the details")
        assert ask(address, "/healthz")[0] == 200
    assert "ZeroDivisionError" in logged.getvalue()


def test_the_snapshot_is_a_tar_with_the_manifest_last(address: str) -> None:
    """Four files, plain names."""
    data = ask(address, "/snapshot")[2]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    assert names == ["cluster.json", "nodes.csv", "gangs.csv", "manifest.json"]
    assert len(data) % 512 == 0


def test_a_snapshot_that_fails_midway_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error page inside the tar: the client misses its end."""
    running = busy()

    def half(scheduler: str) -> Iterator[tuple[str, bytes]]:
        assert scheduler == ""
        yield "cluster.json", b"{}"
        raise ZeroDivisionError

    monkeypatch.setattr(running.answers, "snapshot", half)
    with running.serving() as address:
        status, _, data = ask(address, "/snapshot")
    assert status == 200
    assert b"error" not in data
    assert len(data) == 2 * tarfile.BLOCKSIZE  # head and content of one file, and no end


def test_more_requests_than_threads_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd cannot make threads without end; it is served again afterwards."""
    running = busy()
    go, inside = threading.Event(), threading.Semaphore(0)

    def slow() -> list[dict[str, object]]:
        inside.release()
        go.wait(10)
        return []

    monkeypatch.setattr(running.answers, "gangs", slow)
    with running.serving() as address, ThreadPoolExecutor(THREADS) as crowd:
        waiting = [crowd.submit(ask, address, "/gangs") for _ in range(THREADS)]
        for _ in range(THREADS):
            assert inside.acquire(timeout=10)
        status, headers, _ = ask(address, "/healthz")
        assert (status, headers["Retry-After"]) == (503, "1")
        go.set()
        assert {answer.result(10)[0] for answer in waiting} == {200}
        assert Client(address).ready()["ok"]


def test_an_address_that_is_taken_or_open_to_all_is_refused(running: Running) -> None:
    """In one sentence, before anything is scheduled."""
    with running.serving() as address, pytest.raises(UsageError, match="in use"):
        Server(address, running.answers)
    with pytest.raises(UsageError, match="loopback"):
        Server("0.0.0.0:0", running.answers)


def test_it_stops_and_starts(running: Running) -> None:
    """After stop nobody listens; stop without start is fine."""
    server = Server("localhost:0", running.answers)
    server.start()
    address = server.address
    server.stop()
    with pytest.raises(ConnectionError):
        ask(address, "/healthz")
    Server("127.0.0.1:0", running.answers).stop()


def test_silent_clients_are_given_up(monkeypatch: pytest.MonkeyPatch, running: Running) -> None:
    """Who sends nothing does not keep a thread."""
    monkeypatch.setattr(server_module._Handler, "timeout", 0.05)
    with running.serving() as address:
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as line:
            assert line.recv(1) == b""
