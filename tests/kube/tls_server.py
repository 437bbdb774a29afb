"""An HTTP/1.1 server over TLS on loopback whose every byte a test decides on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self


@dataclass
class Exchange:
    """A request that has come in, and the way to answer it."""

    server: TlsServer
    socket: ssl.SSLSocket
    connection: int
    """Number of the connection, from 0."""
    number: int
    """Number of the request on the server, from 0."""
    method: str
    path: str
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes

    def reply(self, code: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `_` in header names stands for `-`."""
        lines = [f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode() + body)

    def begin(self, code: int = 200) -> None:
        """Head of an answer in chunks."""
        self.send(f"HTTP/1.1 {code} Whatever\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    def chunk(self, data: bytes) -> None:
        """A chunk; an empty one ends the answer."""
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def send(self, data: bytes) -> None:
        """Bytes as they are; it is no matter if nobody listens any more."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def close(self) -> None:
        """Closes the connection in order, without waiting for the client to agree."""
        self.socket.settimeout(0)
        with contextlib.suppress(OSError):
            self.socket.unwrap()
        self.drop()

    def drop(self) -> None:
        """Closes it without a word of TLS."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self) -> None:
        """Breaks it: the client sees RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.socket.detach())


class TlsServer:
    """Accepts connections until `close`; `answer` runs in one thread per connection."""

    def __init__(
        self,
        certificate: tuple[Path, Path],
        answer: Callable[[Exchange], None],
        *,
        client_ca: Path | None = None,
    ) -> None:
        self.answer = answer
        self.requests: list[Exchange] = []
        self.connections = 0
        self.names: list[str | None] = []
        """Server names that clients asked for (SNI)."""
        self._lock = threading.Lock()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refuse(self) -> None:
        """From now on nobody gets a connection."""
        # A thread in accept() would still take one.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if threading.current_thread() is not self._threads[0]:
            self._threads[0].join()

    def close(self) -> None:
        """Ends everything, threads included."""
        self.refuse()
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(timeout=20)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            number = self.connections
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(plain, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, connection: int) -> None:
        try:
            secure = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        self._sockets.append(secure)
        with contextlib.suppress(OSError, ValueError), secure.makefile("rb") as reader:
            while (exchange := self._read(reader, secure, connection)) is not None:
                self.answer(exchange)
        with contextlib.suppress(OSError):
            secure.close()

    def _read(self, reader: BinaryIO, secure: ssl.SSLSocket, connection: int) -> Exchange | None:
        first = reader.readline().decode().split()
        if not first:
            return None
        headers: dict[str, str] = {}
        while line := reader.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", 0)))
        with self._lock:
            number = len(self.requests)
            exchange = Exchange(self, secure, connection, number, first[0], first[1], headers, body)
            self.requests.append(exchange)
        return exchange


Serve = Callable[[Callable[[Exchange], None]], TlsServer]
"""The fixture `serve`: starts a server that answers so, until the test ends."""
