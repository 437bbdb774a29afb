"""Processes of one test session: a log file each, stopped at the end whatever happens.

Each process leads a session of its own, so a Ctrl-C in the terminal reaches only pytest, which
then stops them in order. Should pytest itself be killed, a small helper (`reaper.py`) sees its
pipe close and stops what is left.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

REAPER = Path(__file__).resolve().parent / "reaper.py"
PORTS = range(20_000, 32_000)
"""Below Linux's ephemeral ports: no outgoing connection takes one between choice and use."""


class ProcessError(Exception):
    """A process did not start or ended too early; carries the end of its log."""


def free_port() -> int:
    """A TCP port of loopback on which nobody listens just now."""
    chooser = random.SystemRandom()
    for _attempt in range(200):
        port = chooser.choice(PORTS)
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ProcessError(f"no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


class Process:
    """A running program whose output goes to `log`."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"# {' '.join(command)}\n".encode())
            output.flush()
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=log.parent,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def running(self) -> bool:
        """False once it has ended, by itself or by us."""
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._popen.poll()

    def signal(self, number: signal.Signals) -> None:
        """Sends the signal to the process and its children; nothing if it has ended."""
        if self.running():
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """True if it ended within that time."""
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL if it still runs after `grace_seconds`."""
        self.signal(signal.SIGTERM)
        if not self.wait(grace_seconds):
            self.signal(signal.SIGKILL)
            self._popen.wait()

    def kill(self) -> None:
        """SIGKILL, and waits for its end."""
        self.signal(signal.SIGKILL)
        self._popen.wait()

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Processes:
    """The processes of a session, stopped in reverse order of their start."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: list[tuple[Process, float]] = []
        self._reaper = subprocess.Popen(
            [sys.executable, str(REAPER)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        grace_seconds: float = 5.0,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Starts `command` with its log in `<logs>/<name>.log`."""
        process = Process(name, command, self.logs / f"{name}.log", env)
        self._running.append((process, grace_seconds))
        self._tell_reaper(f"+{process.pid}")
        return process

    def named(self, name: str) -> Process:
        """The running process of that name. Raises LookupError."""
        for process, _grace in self._running:
            if process.name == name:
                return process
        raise LookupError(f"no process {name} was started")

    def stop(self, processes: Sequence[Process]) -> None:
        """Stops these, all signalled at once, then waited for."""
        chosen = [(each, grace) for each, grace in self._running if each in processes]
        self._running = [(each, grace) for each, grace in self._running if each not in processes]
        for process, _grace in chosen:
            process.signal(signal.SIGTERM)
        for process, grace in reversed(chosen):
            process.stop(grace)
            self._tell_reaper(f"-{process.pid}")

    def stop_all(self) -> None:
        """Stops everything, last started first, and the helper."""
        while self._running:
            self.stop([self._running[-1][0]])
        if self._reaper.stdin is not None:
            self._reaper.stdin.close()
        self._reaper.wait()

    def _tell_reaper(self, line: str) -> None:
        """Best effort: without a helper the session still stops its processes itself."""
        assert self._reaper.stdin is not None
        with suppress(BrokenPipeError, ValueError):
            self._reaper.stdin.write(line + "\n")
            self._reaper.stdin.flush()


def wait_until(
    what: str,
    ready: Callable[[], bool],
    *,
    seconds: float,
    process: Process | None = None,
    pause: float = 0.05,
) -> None:
    """Polls `ready` until it is true.

    Raises ProcessError with the end of the log when `process` ends or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        ended = process is not None and not process.running()
        if ended or time.monotonic() > deadline:
            reason = "ended" if ended else f"not ready after {seconds:.0f} s"
            where = f"; its log {process.log} ends with:\n{process.tail()}" if process else ""
            raise ProcessError(f"{what}: {reason}{where}")
        time.sleep(pause)
