"""What tests of this folder share: who is trusted, and servers that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kube.certificates import Authority
from tests.kube.tls_server import Exchange, Serve, TlsServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the tests trust."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def serve(authority: Authority) -> Iterator[Serve]:
    """Starts servers, and ends them after the test."""
    servers: list[TlsServer] = []
    certificate = authority.issue("server", hosts=("127.0.0.1",))

    def start(answer: Callable[[Exchange], None]) -> TlsServer:
        servers.append(TlsServer(certificate, answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
