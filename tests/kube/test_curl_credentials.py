"""Credentials and the way to the server: 401, rotation, client certificates, names, proxies."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from typing import Any, Self

import pytest

from scheduler.errors import ApiUnavailableError
from scheduler.kube.connection import REFRESH_US
from scheduler.kube.renewal import GAP_US
from scheduler.kube.transport import Request, Response
from tests.kube.certificates import Authority
from tests.kube.curl_bench import Bench
from tests.kube.tls_server import Exchange, Serve, TlsServer

OLD = ("Authorization: Bearer old",)
NEW = ("Authorization: Bearer new",)


def only_new(exchange: Exchange) -> None:
    """A server that has forgotten the old token."""
    if exchange.headers.get("authorization") != "Bearer new":
        exchange.reply(401, b'{"message":"Unauthorized"}')
    elif exchange.path == "/watch":
        exchange.begin()
        exchange.chunk(b"data")
    else:
        exchange.reply(200, b"fine")


def test_unauthorized_request_is_sent_again_with_new_credentials(
    serve: Serve, authority: Authority
) -> None:
    """Streams as well; nobody hears of the first 401, and all share one renewal."""
    server = serve(only_new)
    got: list[Response] = []
    with Bench(server.url, authority.ca, headers=OLD) as client:
        client.access = replace(client.access, headers=NEW)
        for body in (b"1", b"22", b""):
            client.transport.send(Request("POST", "/x", body), got.append)
        heard, _ = client.stream()
        client.until(lambda: len(got) == 3 and heard.data)
        assert client.loads == 2
    assert {answer.status for answer in got} == {200}
    assert heard.codes == [200]
    assert sorted(seen.body for seen in server.requests) == [
        b"",
        b"",
        b"",
        b"",
        b"1",
        b"1",
        b"22",
        b"22",
    ]


def test_second_401_stands(serve: Serve, authority: Authority) -> None:
    """New credentials that are refused too: the caller hears it, with the server's words."""
    server = serve(only_new)
    with Bench(server.url, authority.ca, headers=OLD) as client:
        answer = client.call()
        assert (answer.status, answer.body) == (401, b'{"message":"Unauthorized"}')
        assert (client.loads, len(server.requests)) == (2, 2)
        # Young credentials are not renewed in a loop.
        assert client.call().status == 401
        assert (client.loads, len(server.requests)) == (2, 3)
        heard, _ = client.stream()
        client.until(lambda: heard.ends)
        assert (heard.codes, heard.ends[0].status, heard.data) == ([401], 401, b"")
        client.clock.ahead_us += GAP_US
        client.access = replace(client.access, headers=NEW)
        assert client.call().status == 200


def test_first_401_of_a_stream_is_not_told(serve: Serve, authority: Authority) -> None:
    """Even if its head comes long before its end."""
    head_sent, go_on = threading.Event(), threading.Event()

    def answer(exchange: Exchange) -> None:
        if exchange.number == 0:
            exchange.send(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n")
            head_sent.set()
            go_on.wait(20)
            exchange.send(b"{}")
        else:
            only_new(exchange)

    server = serve(answer)
    with Bench(server.url, authority.ca, headers=OLD) as client:
        client.access = replace(client.access, headers=NEW)
        heard, _ = client.stream()
        client.until(head_sent.is_set)
        for _ in range(5):
            client.transport.poll(20_000)
        go_on.set()
        client.until(lambda: heard.data)
    assert heard.codes == [200]


def test_failed_renewal_is_told(serve: Serve, authority: Authority) -> None:
    """The 401 stands, with the reason why there are no new credentials."""
    server = serve(only_new)
    with Bench(server.url, authority.ca, headers=OLD) as client:
        client.trouble = ApiUnavailableError("the credential plugin x failed")
        answer = client.call()
    assert (answer.status, answer.error) == (401, "the credential plugin x failed")
    assert len(server.requests) == 1


def test_request_cancelled_while_credentials_are_renewed(
    serve: Serve, authority: Authority
) -> None:
    """It is not sent again."""
    server = serve(only_new)
    renewing, go_on = threading.Event(), threading.Event()
    got: list[Response] = []
    with Bench(server.url, authority.ca, headers=OLD) as client:
        fetch = client.transport._connection.renew

        def slow() -> None:
            renewing.set()
            go_on.wait(20)
            fetch()

        client.transport._connection.renew = slow  # type: ignore[method-assign]
        client.access = replace(client.access, headers=NEW)
        handle = client.transport.send(Request("GET", "/cancelled"), got.append)
        client.until(renewing.is_set)
        handle.cancel()
        go_on.set()
        assert client.call("GET", "/other").status == 200
    assert [seen.path for seen in server.requests].count("/cancelled") == 1
    assert got == []


def test_rotating_credentials_are_read_again(serve: Serve, authority: Authority) -> None:
    """Once a minute, before anybody is refused; those that do not rotate are left alone."""
    server = serve(lambda exchange: exchange.reply(200))
    for rotates, loads in ((True, 2), (False, 1)):
        with Bench(server.url, authority.ca, headers=OLD, rotates=rotates) as client:
            client.access = replace(client.access, headers=NEW)
            client.call()
            client.clock.ahead_us += REFRESH_US
            client.call()
            client.until(lambda: client.loads == loads)  # noqa: B023
            client.transport.poll(0)
            client.call()
        token = server.requests[-1].headers["authorization"]
        assert token == ("Bearer new" if rotates else "Bearer old")


def shown_by(authority: Authority, name: str) -> dict[str, Any]:
    """A client certificate and its key."""
    certificate, key = authority.issue(name)
    return {"certificate": certificate.read_bytes(), "key": key.read_bytes()}


def test_client_certificate(authority: Authority) -> None:
    """The server sees it; after a 401 the new one is shown, on a new connection and session."""
    names: list[str] = []

    def answer(exchange: Exchange) -> None:
        shown = exchange.socket.getpeercert()
        assert shown is not None
        name = "second" if "second" in str(shown["subject"]) else "first"
        names.append(name)
        exchange.reply(200 if name == "second" else 401)

    first, second = shown_by(authority, "first"), shown_by(authority, "second")
    certificate = authority.issue("server", hosts=("127.0.0.1",))
    with TlsServer(certificate, answer, client_ca=authority.ca) as server:
        with Bench(server.url, authority.ca, **first) as client:
            client.access = replace(client.access, **second)
            assert client.call("POST", "/x", b"{}").status == 200
            assert client.call("POST", "/x", b"{}").status == 200
        assert names == ["first", "second", "second"]
        assert server.connections == 2


def test_certificate_for_another_name(authority: Authority) -> None:
    """tls-server-name: asked for and checked, while the address and Host stay the server's."""
    certificate = authority.issue("named", hosts=("kubernetes.test",))
    with TlsServer(certificate, lambda exchange: exchange.reply(200)) as server:
        with Bench(server.url, authority.ca) as client:
            assert "127.0.0.1" in client.call().error
        with Bench(server.url, authority.ca, tls_server_name="kubernetes.test") as client:
            assert client.call().status == 200
        assert server.names[-1] == "kubernetes.test"
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_environment_names_a_proxy(
    serve: Serve, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY is used, unless NO_PROXY names the server; a kubeconfig's proxy always is."""
    server = serve(lambda exchange: exchange.reply(200))
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with Bench(server.url, authority.ca) as client:
            assert client.call().status == 200
        assert proxy.tunnels == 1
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with Bench(server.url, authority.ca) as client:
            assert client.call().status == 200
        assert proxy.tunnels == 1
        with Bench(server.url, authority.ca, proxy=proxy.url) as client:
            assert client.call().status == 200
        assert proxy.tunnels == 2


def test_proxy_that_is_away(serve: Serve, authority: Authority) -> None:
    """Nothing was sent; and a proxy's own answer is not taken for the server's."""
    server = serve(lambda exchange: exchange.reply(410))
    with Proxy() as proxy:
        url = proxy.url
        with Bench(server.url, authority.ca, proxy=url) as client:
            heard, _ = client.stream()
            client.until(lambda: heard.ends)
            assert heard.codes == [410]
    with Bench(server.url, authority.ca, proxy=url) as client:
        answer = client.call("POST", "/x", b"{}")
        assert (answer.status, answer.sent) == (0, False)


class Proxy:
    """Opens tunnels with CONNECT."""

    def __init__(self) -> None:
        self.tunnels = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=20)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._tunnel, args=(client,), daemon=True))
            self._threads[-1].start()

    def _tunnel(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        host, _, port = head.split()[1].decode().partition(":")
        self.tunnels += 1
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(timeout=20)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
