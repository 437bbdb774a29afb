"""Stops what a killed test session left behind.

Reads `+PID` and `-PID` lines; when the pipe closes it stops the process groups that are still
listed. Standard library only: it starts with every session and must cost nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

GRACE_SECONDS = 3.0


def main() -> None:
    """Runs until standard input ends."""
    listed: list[int] = []
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            listed.append(pid)
        else:
            listed.remove(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in reversed(listed):
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
        if listed and number == signal.SIGTERM:
            time.sleep(GRACE_SECONDS)


if __name__ == "__main__":
    main()
