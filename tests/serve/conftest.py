"""Logs of servers go where tests can read them, not to a stream that another test closed."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import structlog

from scheduler import log


@pytest.fixture(autouse=True)
def logged() -> Iterator[io.StringIO]:
    """What was logged as a warning or worse."""
    stream = io.StringIO()
    log.configure("warning", stream=stream)
    yield stream
    structlog.reset_defaults()
