"""Jobs in forked processes, a few at a time, each with a bound on its CPU time."""

from __future__ import annotations

import mmap
import os
import resource
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
WIDTH = 8
"""Bytes of the number that a job leaves behind."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """A job that is over."""

    what: T
    itself: bool
    """It returned; False: it raised, exited, ran out of time or was killed."""
    number: int
    """What it returned, >= 0."""


class Forks(Generic[T]):
    """`job(what)` for many `what`; whatever a job changes dies with its process."""

    def __init__(self, job: Callable[[T], int], jobs: int) -> None:
        self._job = job
        self._free = list(range(jobs))
        self._numbers = mmap.mmap(-1, WIDTH * jobs)
        self._running: dict[int, tuple[int, T]] = {}

    def run(self, todo: Iterable[T], seconds: int) -> Iterator[Ended[T]]:
        """Each of `todo` as it ends; `seconds` of CPU time is what one may take."""
        for what in todo:
            if not self._free:
                yield self._wait()
            self._start(what, seconds)
        while self._running:
            yield self._wait()

    def _start(self, what: T, seconds: int) -> None:
        slot = self._free.pop()
        self._put(slot, 0)
        pid = os.fork()
        if pid == 0:
            self._be(what, slot, seconds)
        self._running[pid] = (slot, what)

    def _be(self, what: T, slot: int, seconds: int) -> None:
        """The child; never returns."""
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            self._put(slot, self._job(what))
        except BaseException:  # noqa: BLE001  (whatever it is, the job has failed)
            os._exit(1)
        os._exit(0)

    def _wait(self) -> Ended[T]:
        pid, status = os.wait()
        slot, what = self._running.pop(pid)
        self._free.append(slot)
        number = int.from_bytes(self._numbers[WIDTH * slot : WIDTH * (slot + 1)], "little")
        return Ended(what, os.waitstatus_to_exitcode(status) == 0, number)

    def _put(self, slot: int, number: int) -> None:
        self._numbers[WIDTH * slot : WIDTH * (slot + 1)] = number.to_bytes(WIDTH, "little")
