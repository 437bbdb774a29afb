"""Logs: to the given stream only, by level, as text or JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
import structlog

from scheduler import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_json_is_one_object_per_event_with_its_values() -> None:
    """An event carries its name, level, module, key-values and exception."""
    stream = io.StringIO()
    log.configure("info", json=True, stream=stream)
    log.get("scheduler.engine").info("cycle", gangs=3)
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    del record["timestamp"]
    assert record == {"event": "cycle", "level": "info", "module": "scheduler.engine", "gangs": 3}


def test_events_below_the_level_are_not_written() -> None:
    """A logger taken before configure obeys it."""
    logger = log.get("scheduler.engine")
    stream = io.StringIO()
    log.configure("warning", stream=stream)
    logger.info("quiet")
    logger.warning("loud", node="n1")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
    assert "node=n1" in stream.getvalue()


def test_logs_go_to_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout belongs to results."""
    log.configure()
    log.get("scheduler").error("broken")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "broken" in printed.err


def test_an_unknown_level_is_refused() -> None:
    """A level that does not exist raises."""
    with pytest.raises(ValueError, match="'loud' is not one of debug, info, warning, error"):
        log.configure("loud")
