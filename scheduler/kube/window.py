"""How many binds are in flight: as many as make the server faster, and no more.

No latency is assumed. While the window is full, the window counts answers a second and tries
another size every few rounds, up and down in turn:

    a quarter more   stays if it brings at least GAIN (5 %) more answers a second
    a fifth less     stays if it costs at most LOSS (2.5 %)

and goes on in that direction, else it returns. Below the server's knee answers a second grow with
the window, so that it grows; above the knee only latency does, so that it shrinks. 429 halves it;
then it grows by one a round up to where it was. A server that only says 429 is left alone for as
long as it asks; one that does not answer at all gets one request at a time, at growing intervals,
until it answers.
"""

from __future__ import annotations

from random import Random

from scheduler.kube.backoff import Backoff

START = 32
LEAST = 8
"""Trials go no lower: what would be won is a few milliseconds of latency."""
MOST = 200
"""An API server lets 200 writes in at once by default."""

GAIN = 0.05
LOSS = 0.025
ROUNDS = 4
"""A trial lasts this many windows of answers, and at least FEWEST answers."""
FEWEST = 64
REST = 2
"""A rest between trials lasts this many trials; it measures what the next is compared with."""

SILENT = 4
"""Requests in a row without an answer that make a server away."""
FIRST_PAUSE_US = 250_000
LONGEST_PAUSE_US = 10_000_000
BUSY_PAUSE_US = 1_000_000
"""After a 429 that does not say how long."""


class Window:
    """The bound on requests in flight. Times: microseconds of one clock that never goes back."""

    def __init__(
        self, rng: Random, *, start: int = START, least: int = LEAST, most: int = MOST
    ) -> None:
        """Raises ValueError unless 1 <= least <= start <= most."""
        if not 1 <= least <= start <= most:
            raise ValueError(f"a window needs 1 <= least <= start <= most: {least} {start} {most}")
        self._least, self._most = least, most
        self._size = start
        # The trial: sizes and answers a microsecond of the last rest.
        self._direction = 1
        self._before = 0
        """Size to return to; 0 while at rest."""
        self._speed = 0.0
        self._skip = start
        self._answers = 0
        self._began_us = 0
        # 429 and silence.
        self._recover_to = 0
        self._grace = 0
        self._good_since = True
        self._silent = 0
        self._paused_until_us = 0
        self._pauses = Backoff(rng, FIRST_PAUSE_US, LONGEST_PAUSE_US)

    @property
    def size(self) -> int:
        """Requests that may be in flight."""
        return 1 if self.away else self._size

    @property
    def away(self) -> bool:
        """Has the server stopped answering?"""
        return self._silent >= SILENT

    def room(self, in_flight: int, now_us: int) -> int:
        """How many requests may be sent now."""
        return 0 if now_us < self._paused_until_us else max(self.size - in_flight, 0)

    def paused_until_us(self, now_us: int) -> int | None:
        """When a pause ends, None if there is none."""
        return self._paused_until_us if now_us < self._paused_until_us else None

    def answered(self, now_us: int, *, full: bool) -> None:
        """The server has worked on a request. full: as many were in flight as may be."""
        if self._silent:
            if self.away:
                self._paused_until_us = now_us
            self._silent = 0
            self._pauses.reset()
        self._good_since = True
        self._grace = max(self._grace - 1, 0)
        if not full:
            self._measure_anew()
        elif self._skip:
            self._skip -= 1
            self._began_us, self._answers = now_us, 0
        else:
            self._answers += 1
            self._consider(now_us)

    def busy(self, now_us: int, retry_after_us: int | None) -> None:
        """429. Halves the window once a round; pauses if nothing else came since the last time."""
        self._silent = 0
        if self._grace:
            self._grace -= 1
            return
        if not self._good_since:
            wait = BUSY_PAUSE_US if retry_after_us is None else retry_after_us
            self._paused_until_us = max(self._paused_until_us, now_us + wait)
        self._halve()

    def silent(self, now_us: int) -> None:
        """A request was not answered, or by nobody who could work on it."""
        self._silent += 1
        if self._grace:
            self._grace -= 1
        else:
            self._halve()
        if self.away and now_us >= self._paused_until_us:
            self._paused_until_us = now_us + self._pauses.next_us()

    def _halve(self) -> None:
        """Once a round: what is under way was sent before and says nothing new."""
        self._recover_to = max(self._recover_to, self._before, self._size)
        self._grace = self._size
        self._good_since = False
        self._resize(max(self._size // 2, 1))

    def _consider(self, now_us: int) -> None:
        if self._recover_to:
            if self._answers >= self._size:
                self._recover()
            return
        wanted = max(ROUNDS * self._size, FEWEST) * (1 if self._before else REST)
        if self._answers < wanted or now_us <= self._began_us:
            return
        speed = self._answers / (now_us - self._began_us)
        if not self._before:
            self._speed = speed
        elif not self._worth(speed):
            self._direction = -self._direction
            self._resize(self._before)
            return
        elif self._direction > 0:
            self._speed = speed  # going down, all steps together may cost LOSS
        self._try()

    def _worth(self, speed: float) -> bool:
        return speed >= self._speed * (1 + GAIN if self._direction > 0 else 1 - LOSS)

    def _try(self) -> None:
        """Another size; back to rest where the end of the range is reached."""
        size = self._size
        wanted = size + max(size // 4, 1) if self._direction > 0 else size - max(size // 5, 1)
        wanted = min(max(wanted, min(self._least, size)), self._most)
        if wanted == size:
            self._direction = -self._direction
            self._resize(size)
            return
        self._resize(wanted)
        self._before = size

    def _recover(self) -> None:
        self._size += 1
        self._answers = 0
        if self._size >= self._recover_to:
            self._recover_to = 0
            self._resize(self._size)

    def _resize(self, size: int) -> None:
        """Answers to what was sent before are not counted."""
        self._size = size
        self._before = 0
        self._skip = size
        self._answers = 0

    def _measure_anew(self) -> None:
        """With room to spare, answers a second say nothing about the server; a trial ends so."""
        self._resize(self._before or self._size)
