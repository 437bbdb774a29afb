"""Structured logs to stderr: an event name and key-values; stdout belongs to results.

Modules take a logger with `log.get(__name__)` when they are imported; nothing is decided
before `configure` is called. `model`, `kernel` and `plan` do not log at all.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

LEVELS = ("debug", "info", "warning", "error")
"""Names that `configure` knows, most talkative first."""


def configure(level: str = "warning", *, json: bool = False, stream: TextIO | None = None) -> None:
    """Sends events of `level` and above to `stream` (default: stderr).

    One line per event: `key=value` for people (coloured on a terminal), or one JSON object.
    Raises ValueError if `level` is not one of LEVELS.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r} is not one of {', '.join(LEVELS)}")
    target = sys.stderr if stream is None else stream
    structlog.configure(
        processors=_processors(json=json, colors=target.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(target),
        # Loggers taken at import time must see this call, and tests call it more than once.
        cache_logger_on_first_use=False,
    )


def get(name: str) -> FilteringBoundLogger:
    """The logger of module `name`; the name is bound as `module`."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=name))


def _processors(*, json: bool, colors: bool) -> list[Processor]:
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if json:
        return [
            *common,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
    return [*common, structlog.dev.ConsoleRenderer(colors=colors, sort_keys=True)]
