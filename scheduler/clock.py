"""The only place that reads a clock or sleeps; everything else is given a `Clock`.

Times are int64 microseconds. `now_us` is wall time since the epoch (what the API server and
traces speak); `elapsed_us` never goes back and measures durations.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the engine needs of time."""

    def now_us(self) -> int:
        """Microseconds since the epoch (replay: since the start of the trace)."""
        ...

    def elapsed_us(self) -> int:
        """Microseconds since some fixed moment; never goes back."""
        ...

    def sleep_us(self, duration_us: int) -> None:
        """Returns when `duration_us` microseconds have passed; at once if it is not positive."""
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._last = (0, 0)
        """What `now_us` said last, and when on the monotonic clock."""

    def now_us(self) -> int:
        """Microseconds since the epoch, as the machine believes; never goes back.

        After the machine's clock was set back, this one goes at half speed until it is caught up
        with: back-offs and gathering windows then last twice as long, and do not stand still.
        """
        elapsed = self.elapsed_us()
        last, then = self._last
        now = max(time.time_ns() // 1_000, last + (elapsed - then) // 2)
        self._last = (now, elapsed)
        return now

    def elapsed_us(self) -> int:
        """Microseconds of the monotonic clock."""
        return time.monotonic_ns() // 1_000

    def sleep_us(self, duration_us: int) -> None:
        """Sleeps; returns at once if `duration_us` is not positive."""
        if duration_us > 0:
            time.sleep(duration_us / 1_000_000)


class ManualClock:
    """A clock that stands still until it is moved: replay and tests."""

    def __init__(self, now_us: int = 0) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """The time it was last moved to."""
        return self._now_us

    def elapsed_us(self) -> int:
        """The same as `now_us`: a manual clock is never set back."""
        return self._now_us

    def sleep_us(self, duration_us: int) -> None:
        """Moves the clock on, if `duration_us` is positive."""
        if duration_us > 0:
            self.advance(duration_us)

    def advance(self, duration_us: int) -> None:
        """Moves the clock on by `duration_us` >= 0. Raises ValueError if that is negative."""
        if duration_us < 0:
            raise ValueError(f"a clock cannot be advanced by {duration_us} us")
        self._now_us += duration_us

    def set(self, now_us: int) -> None:
        """Moves the clock to `now_us`. Raises ValueError if that is in its past."""
        if now_us < self._now_us:
            raise ValueError(f"a clock cannot be set back from {self._now_us} to {now_us} us")
        self._now_us = now_us
