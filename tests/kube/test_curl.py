"""The transport against a real TLS server on loopback: answers, connections and broken ones."""

from __future__ import annotations

import threading
from email.utils import formatdate
from pathlib import Path

import pytest

from scheduler.kube.transport import NO_ANSWER, Request, Response
from tests.kube.certificates import Authority
from tests.kube.curl_bench import Bench
from tests.kube.tls_server import Exchange, Serve


def ok(exchange: Exchange) -> None:
    """The server's usual answer."""
    exchange.reply(200, b"fine")


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
def test_request_arrives_as_it_was_meant(serve: Serve, authority: Authority, method: str) -> None:
    """Method, path, body, credentials, and nothing that a server would have to wait or unpack."""
    server = serve(ok)
    body = b"" if method == "GET" else b'{"a":1}'
    with Bench(server.url, authority.ca, headers=("Authorization: Bearer t",)) as client:
        path = "/api/v1/pods?limit=5&continue=a%2Bb"
        answer = client.call(method, path, body, content_type="application/x")
    assert (answer.status, answer.body, answer.error) == (200, b"fine", "")
    (seen,) = server.requests
    assert (seen.method, seen.path, seen.body) == (method, path, body)
    assert seen.headers.get("content-type") == ("application/x" if body else None)
    assert seen.headers["authorization"] == "Bearer t"
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["user-agent"].startswith("muster/")
    assert not {"expect", "accept-encoding"} & set(seen.headers)


def test_one_sort_of_request_leaves_nothing_to_the_next(serve: Serve, authority: Authority) -> None:
    """Handles are used again: a GET after a POST has no body, a DELETE may have one or none."""
    server = serve(ok)
    with Bench(server.url, authority.ca) as client:
        bodies = {"POST": (b"1", b"", b"333"), "DELETE": (b"", b"22"), "GET": (b"",)}
        for method, body in [
            (m, body) for m in ("POST", "GET", "DELETE", "GET") for body in bodies[m]
        ]:
            client.call(method, "/x", body)
            assert (server.requests[-1].method, server.requests[-1].body) == (method, body)
    assert server.connections == 1


def test_connections_are_kept(serve: Serve, authority: Authority) -> None:
    """As many as were in flight at once, however many requests there are."""
    server = serve(ok)
    got: list[Response] = []
    with Bench(server.url, authority.ca) as client:

        def again(answer: Response) -> None:
            got.append(answer)
            if len(got) <= 92:
                client.transport.send(Request("POST", "/x", b"{}"), again)

        for _ in range(8):
            client.transport.send(Request("POST", "/x", b"{}"), again)
        client.until(lambda: len(got) == 100)
    assert server.connections <= 8
    assert {answer.status for answer in got} == {200}


def test_nobody_listens(serve: Serve, authority: Authority) -> None:
    """A refused connection: nothing was sent."""
    server = serve(ok)
    server.refuse()
    with Bench(server.url, authority.ca) as client:
        answer = client.call("POST", "/x", b"{}")
    assert (answer.status, answer.sent) == (NO_ANSWER, False)
    assert "connect" in answer.error.lower()


def test_server_that_nobody_vouches_for(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    """Another CA: nothing was sent; without verification it works."""
    server = serve(ok)
    with Bench(server.url, Authority(tmp_path).ca) as client:
        answer = client.call()
        assert (answer.status, answer.sent) == (NO_ANSWER, False)
        assert "certificate" in answer.error
    with Bench(server.url, None, verify=False) as client:
        assert client.call().status == 200
    assert len(server.requests) == 1
    assert authority.ca.exists()


@pytest.mark.parametrize("end", ["close", "drop", "reset"])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\nhalf"])
def test_connection_lost_before_the_answer_is_whole(
    serve: Serve, authority: Authority, end: str, begun: bytes
) -> None:
    """There is no answer, and the request may have been carried out."""

    def answer(exchange: Exchange) -> None:
        exchange.send(begun)
        getattr(exchange, end)()

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        got = client.call("POST", "/x", b"{}")
    assert (got.status, got.sent, got.body) == (NO_ANSWER, True, b"")
    assert got.error
    assert len(server.requests) == 1


def test_answer_takes_too_long(serve: Serve, authority: Authority) -> None:
    """After the request's own time-out: no answer, and nobody knows. Others are not touched."""
    enough = threading.Event()

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/slow":
            enough.wait(20)
        exchange.reply(200)

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        got = client.call("POST", "/slow", b"{}", timeout_us=50_000)
        assert (got.status, got.sent) == (NO_ANSWER, True)
        assert "timed out" in got.error
        assert client.call().status == 200
        enough.set()


def test_retry_after(serve: Serve, authority: Authority) -> None:
    """As seconds or as a date, on 429 and 503; None where the server says nothing."""
    said: list[str | None] = ["7", formatdate(4_102_444_800, usegmt=True), None, "soon"]

    def answer(exchange: Exchange) -> None:
        text = said[exchange.number]
        code = 429 if exchange.number % 2 else 503
        exchange.reply(code, b"{}", **({"Retry_After": text} if text else {}))

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        waits = [client.call().retry_after_us for _ in said]
    assert waits[0] == 7_000_000
    assert waits[1] is not None
    assert waits[1] > 3_600_000_000
    assert waits[2:] == [None, None]


def test_idle_connection_that_the_server_has_closed_is_not_used(
    serve: Serve, authority: Authority
) -> None:
    """A server that closes after its answer costs a connection, never a doubtful request."""
    closed = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.reply(200)
        if exchange.connection == 0:
            exchange.close()
            closed.set()

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        assert client.call("POST", "/1", b"{}").status == 200
        assert closed.wait(20)
        assert client.call("POST", "/2", b"{}").status == 200
    assert [seen.path for seen in server.requests] == ["/1", "/2"]
    assert server.connections == 2


def test_kept_connection_dies_under_a_request(serve: Serve, authority: Authority) -> None:
    """Nothing of an answer has come: libcurl sends it once more, over a new connection."""

    def answer(exchange: Exchange) -> None:
        if exchange.number == 1:
            exchange.drop()
        else:
            exchange.reply(201)

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        assert client.call("POST", "/1", b"{}").status == 201
        assert client.call("POST", "/2", b"{}").status == 201
    assert [seen.path for seen in server.requests] == ["/1", "/2", "/2"]


def test_kept_connection_and_server_die_under_a_request(serve: Serve, authority: Authority) -> None:
    """The second try finds nobody: still the first one may have been carried out."""

    def answer(exchange: Exchange) -> None:
        if exchange.number == 1:
            exchange.server.refuse()
            exchange.drop()
        else:
            exchange.reply(201)

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        assert client.call("POST", "/1", b"{}").status == 201
        got = client.call("POST", "/2", b"{}")
    assert (got.status, got.sent) == (NO_ANSWER, True)


def test_cancelled_request_is_not_heard_of(serve: Serve, authority: Authority) -> None:
    """Neither before nor after it was sent; others go on; a second cancel does nothing."""
    came, go_on = threading.Event(), threading.Event()

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/slow":
            came.set()
            go_on.wait(20)
        exchange.reply(200)

    server = serve(answer)
    got: list[str] = []
    with Bench(server.url, authority.ca) as client:
        unsent = client.transport.send(Request("GET", "/never"), lambda _: got.append("never"))
        unsent.cancel()
        slow = client.transport.send(Request("GET", "/slow"), lambda _: got.append("slow"))
        client.until(came.is_set)
        slow.cancel()
        slow.cancel()
        assert client.call("GET", "/other").status == 200
        go_on.set()
        assert client.call("GET", "/other").status == 200
    assert got == []
    assert "/never" not in [seen.path for seen in server.requests]


def test_failing_callback_takes_nobody_else_along(serve: Serve, authority: Authority) -> None:
    """What it raises comes out of poll; the other answers come with the next one."""
    server = serve(ok)
    got: list[Response] = []

    def fail(_: Response) -> None:
        raise RuntimeError("a bug of the caller")

    with Bench(server.url, authority.ca) as client:
        client.transport.send(Request("GET", "/a"), fail)
        client.transport.send(Request("GET", "/b"), got.append)
        failures = 0
        while not (got and failures):
            try:
                client.transport.poll(1_000_000)
            except RuntimeError:
                failures += 1
        assert (failures, len(got)) == (1, 1)


def test_wake_ends_a_poll(serve: Serve, authority: Authority) -> None:
    """From any thread, before or during the poll; without it nothing would happen for long."""
    server = serve(ok)
    with Bench(server.url, authority.ca) as client:
        begun = client.clock.now_us()
        client.transport.wake()
        client.transport.poll(200_000_000)
        thread = threading.Thread(target=client.transport.wake)
        thread.start()
        client.transport.poll(200_000_000)
        thread.join()
        assert client.clock.now_us() - begun < 100_000_000


def test_close_gives_everything_up(serve: Serve, authority: Authority) -> None:
    """Nobody is called back; the server sees the connections end; waking is harmless."""
    came = threading.Semaphore(0)

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/watch":
            exchange.begin()
        came.release()

    server = serve(answer)
    got: list[Response] = []
    client = Bench(server.url, authority.ca)
    client.transport.send(Request("POST", "/x", b"{}"), got.append)
    heard, _ = client.stream()
    client.until(lambda: len(server.requests) == 2 and heard.codes)
    client.transport.close()
    client.transport.wake()
    for _ in range(2):
        assert came.acquire(timeout=20)
    server.close()
    assert (got, heard.ends) == ([], [])
