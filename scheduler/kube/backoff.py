"""How long to wait after a failure: doubling, jittered, bounded."""

from __future__ import annotations

from random import Random

FIRST_US = 500_000
MOST_US = 30_000_000


class Backoff:
    """Delays of about `first_us`, twice that, and so on up to about `most_us`.

    Each is drawn evenly from half to one and a half of its size, so that clients that failed
    together do not come back together.
    """

    def __init__(self, rng: Random, first_us: int = FIRST_US, most_us: int = MOST_US) -> None:
        self._rng = rng
        self._first_us = first_us
        self._most_us = most_us
        self._size_us = first_us

    def next_us(self) -> int:
        """The next delay, microseconds."""
        size = self._size_us
        self._size_us = min(2 * size, self._most_us)
        return size // 2 + self._rng.randrange(size + 1)

    def reset(self) -> None:
        """Something worked: the next delay is a short one again."""
        self._size_us = self._first_us
