"""Requests that were answered 401 wait here until new credentials are there.

Getting them may take long (a credential plugin, a slow disk), so a thread does it; everything
else here belongs to the transport's thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from scheduler import log
from scheduler.clock import Clock
from scheduler.errors import MusterError
from scheduler.kube.connection import REFRESH_US, Access, Connection
from scheduler.kube.transport import Response

GAP_US = 10_000_000
"""Credentials so young are not renewed: it is not their age that the server dislikes."""
T = TypeVar("T")

_log = log.get(__name__)


class Renewal(Generic[T]):
    """Keeps the credentials of one connection fresh. T is what waits for them."""

    def __init__(self, connection: Connection, clock: Clock, wake: Callable[[], None]) -> None:
        self.parked: list[tuple[T, Access, Response]] = []
        """What waits, the credentials that were refused, and the refusal."""
        self._connection = connection
        self._clock = clock
        self._wake = wake
        self._answers: deque[str] = deque()
        self._ready: list[tuple[T, Response | None]] = []
        self._busy = False
        self._renewing = False
        self._renewed_us: int | None = None
        self._refresh_us = clock.elapsed_us() + REFRESH_US

    def park(self, waiting: T, access: Access, refusal: Response) -> None:
        """`waiting` was refused with these credentials. `pump` gives it back."""
        young = (
            self._renewed_us is not None and self._clock.elapsed_us() - self._renewed_us < GAP_US
        )
        if self._connection.access is not access:
            self._ready.append((waiting, None))
        elif young and not self._busy:
            self._ready.append((waiting, refusal))
        else:
            self.parked.append((waiting, access, refusal))

    def pump(self, now_us: int) -> list[tuple[T, Response | None]]:
        """What need not wait any longer: to be sent again (None), or the refusal stands."""
        while self._answers:
            self._settle(self._answers.popleft(), now_us)
        if self.parked and not self._busy:
            self._begin(self._connection.renew, renewing=True)
        elif now_us >= self._refresh_us and not self._busy:
            self._refresh_us = now_us + REFRESH_US
            if self._connection.access.rotates:
                self._begin(self._connection.refresh, renewing=False)
        ready, self._ready = self._ready, []
        return ready

    def next_us(self, otherwise: int) -> int:
        """When `pump` has something to do (monotonic), at most `otherwise`."""
        if self._ready:
            return 0
        if self._busy or not self._connection.access.rotates:
            return otherwise
        return min(otherwise, self._refresh_us)

    def _begin(self, work: Callable[[], None], *, renewing: bool) -> None:
        self._busy = True
        self._renewing = renewing

        def run() -> None:
            error = ""
            try:
                work()
            except (MusterError, OSError, ValueError) as failed:
                error = str(failed)
            finally:
                self._answers.append(error)
                self._wake()

        threading.Thread(target=run, name="credentials", daemon=True).start()

    def _settle(self, error: str, now_us: int) -> None:
        self._busy = False
        if error:
            _log.warning("no new credentials", error=error)
        if self._renewing:
            self._renewed_us = now_us
        waiting, self.parked = self.parked, []
        for entry in waiting:
            thing, access, refusal = entry
            if self._connection.access is not access:
                self._ready.append((thing, None))
            elif self._renewing:
                self._ready.append((thing, replace(refusal, error=error)))
            else:
                self.parked.append(entry)
