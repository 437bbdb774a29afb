"""Streams: what comes when, how they end, and how they are given up."""

from __future__ import annotations

import threading

import pytest

from scheduler.kube.transport import NO_ANSWER, Request, Response
from tests.kube.certificates import Authority
from tests.kube.curl_bench import Bench
from tests.kube.tls_server import Exchange, Serve


def test_stream_comes_in_order(serve: Serve, authority: Authority) -> None:
    """Status as soon as the head is there, then every byte once, then the end."""
    go_on = threading.Event()
    pieces = [bytes([65 + i % 26]) * (i * 997 % 40_000 + 1) for i in range(60)]

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        go_on.wait(20)
        for piece in [*pieces, b""]:
            exchange.chunk(piece)

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        heard, _ = client.stream()
        client.until(lambda: heard.codes)
        assert (heard.codes, heard.data, heard.ends) == ([200], b"", [])
        go_on.set()
        client.until(lambda: heard.ends)
    assert heard.data == b"".join(pieces)
    assert heard.ends == [Response(200)]


def test_refused_stream_brings_its_body_at_the_end(serve: Serve, authority: Authority) -> None:
    """A 410 is no data: the Status comes with the end, and Retry-After too."""

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/gone":
            exchange.reply(410, b'{"code":410}')
        else:
            exchange.reply(429, b"", Retry_After="3")

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        gone, _ = client.stream("/gone")
        busy, _ = client.stream("/busy")
        client.until(lambda: gone.ends and busy.ends)
    assert (gone.codes, gone.data, gone.ends) == ([410], b"", [Response(410, b'{"code":410}')])
    assert (busy.codes, busy.ends) == ([429], [Response(429, b"", 3_000_000)])


@pytest.mark.parametrize("end", ["close", "drop", "reset"])
def test_stream_that_breaks_off(serve: Serve, authority: Authority, end: str) -> None:
    """What came before is handed on; the end keeps the status and says what broke."""
    heard_all = threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"one\n")
        heard_all.wait(20)
        getattr(exchange, end)()

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        heard, _ = client.stream()
        client.until(lambda: heard.data)
        heard_all.set()
        client.until(lambda: heard.ends)
    assert (heard.codes, heard.data) == ([200], b"one\n")
    assert heard.ends[0].status == 200
    assert heard.ends[0].error


def test_stream_to_nobody(serve: Serve, authority: Authority) -> None:
    """No status is told; the end says that there is no answer."""
    server = serve(lambda _: None)
    server.refuse()
    with Bench(server.url, authority.ca) as client:
        heard, _ = client.stream()
        client.until(lambda: heard.ends)
    assert heard.codes == []
    assert (heard.ends[0].status, heard.ends[0].sent) == (NO_ANSWER, False)


def test_silent_stream_is_given_up(serve: Serve, authority: Authority) -> None:
    """After its idle time, counted from the last byte; one without an idle time never is."""

    def answer(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"a")

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        short, _ = client.stream("/short", idle_us=180_000_000)
        ever, _ = client.stream("/ever")
        client.until(lambda: short.data and ever.data)
        client.clock.ahead_us += 100_000_000
        for exchange in server.requests:
            exchange.chunk(b"b")
        client.until(lambda: short.data == ever.data == b"ab")
        client.clock.ahead_us += 100_000_000
        client.transport.poll(0)
        assert short.ends == []
        client.clock.ahead_us += 90_000_000
        client.until(lambda: short.ends)
        assert short.ends == [Response(200, error="nothing came for 180 s")]
        assert ever.ends == []
        client.clock.ahead_us += 900_000_000
        client.transport.poll(0)
        assert (short.data, ever.ends) == (b"ab", [])


def test_poll_ends_in_time_for_a_silent_stream(serve: Serve, authority: Authority) -> None:
    """A long poll wakes up when the first stream falls silent."""
    server = serve(Exchange.begin)
    with Bench(server.url, authority.ca) as client:
        heard, _ = client.stream(idle_us=300_000)
        client.until(lambda: heard.codes)
        begun = client.clock.now_us()
        while not heard.ends:
            client.transport.poll(100_000_000)
        assert client.clock.now_us() - begun < 50_000_000


def test_stream_cancelled_by_its_own_data(serve: Serve, authority: Authority) -> None:
    """Also one that another stream's data cancels, and with requests sent from there."""

    def answer(exchange: Exchange) -> None:
        if exchange.path.startswith("/watch"):
            exchange.begin()
            exchange.chunk(b"x" * 10)
        else:
            exchange.reply(200, b"fine")

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        other, other_handle = client.stream("/watch-other")
        got: list[Response] = []
        ended: list[Response] = []
        pieces: list[bytes] = []

        def data(piece: bytes) -> None:
            pieces.append(piece)
            handle.cancel()
            other_handle.cancel()
            client.transport.send(Request("GET", "/next"), got.append)

        request = Request("GET", "/watch", timeout_us=0)
        handle = client.transport.stream(request, lambda _: None, data, ended.append)
        client.until(lambda: got)
        for exchange in server.requests[:2]:
            assert exchange.path.startswith("/watch")
            exchange.chunk(b"more")
        assert client.call().status == 200
    assert (pieces, ended, other.ends) == ([b"x" * 10], [], [])
    assert got == [Response(200, b"fine")]


def test_last_bytes_may_cancel_before_the_end(serve: Serve, authority: Authority) -> None:
    """Data and end come together: a stream given up by its data hears of no end."""

    def answer(exchange: Exchange) -> None:
        exchange.reply(200, b"all at once")

    server = serve(answer)
    with Bench(server.url, authority.ca) as client:
        ended: list[Response] = []
        pieces: list[bytes] = []

        def data(piece: bytes) -> None:
            pieces.append(piece)
            handle.cancel()

        request = Request("GET", "/watch", timeout_us=0)
        handle = client.transport.stream(request, lambda _: None, data, ended.append)
        client.until(lambda: pieces)
        assert client.call().status == 200
    assert (pieces, ended) == ([b"all at once"], [])
