"""Waits for sockets, on one thread, and can be woken from others."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

_READ = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
_WRITE = select.EPOLLOUT


class Poller:
    """An epoll and a pair of sockets to wake it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._waking, self._waker = socket.socketpair()
        self._waking.setblocking(False)
        self._waker.setblocking(False)
        self._wake_fd = self._waking.fileno()
        self._epoll.register(self._wake_fd, select.EPOLLIN)

    def watch(self, fd: int, *, read: bool, write: bool) -> None:
        """From now on `fd` is waited for, in these directions."""
        interest = (select.EPOLLIN if read else 0) | (select.EPOLLOUT if write else 0)
        if fd in self._watched:
            self._epoll.modify(fd, interest)
        else:
            self._epoll.register(fd, interest)
            self._watched.add(fd)

    def leave(self, fd: int) -> None:
        """`fd` is not waited for any more; it may have been closed already."""
        if fd in self._watched:
            self._watched.discard(fd)
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def wait(self, timeout_us: int) -> Iterator[tuple[int, bool, bool]]:
        """Who can be read from and written to; nobody once the time has passed, or if woken."""
        for fd, ready in self._epoll.poll(timeout_us / 1_000_000):
            if fd == self._wake_fd:
                with contextlib.suppress(BlockingIOError):
                    self._waking.recv(4096)
            elif fd in self._watched:
                yield fd, bool(ready & _READ), bool(ready & _WRITE)

    def wake(self) -> None:
        """Lets a `wait` return now. May be called from any thread."""
        with contextlib.suppress(OSError):  # full: it wakes anyway; closed: nobody waits
            self._waker.send(b"\0")

    def close(self) -> None:
        """Nothing is waited for any more."""
        self._epoll.close()
        self._waking.close()
        self._waker.close()
