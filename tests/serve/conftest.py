"""A scheduler that serves, and logs where tests can read them (not a stream that is closed)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import structlog

from scheduler import log
from tests.serve.running import Running, busy


@pytest.fixture(autouse=True)
def logged() -> Iterator[io.StringIO]:
    """What was logged as a warning or worse."""
    stream = io.StringIO()
    log.configure("warning", stream=stream)
    yield stream
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def running() -> Running:
    """A scheduler that tests only read."""
    return busy()


@pytest.fixture(scope="module")
def address(running: Running) -> Iterator[str]:
    """Where it listens."""
    with running.serving() as found:
        yield found
