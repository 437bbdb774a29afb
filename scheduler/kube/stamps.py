"""Times as the API server writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_second(time_us: int) -> str:
    """metav1.Time: `2026-11-22T17:48:35Z`."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_microsecond(time_us: int) -> str:
    """metav1.MicroTime: `2026-11-22T17:48:35.000123Z`."""
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
