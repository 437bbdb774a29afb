"""Ctrl-C that is not lost.

CPython and NumPy drop a KeyboardInterrupt that is raised inside some lookups (NumPy asks
`array == Enum.MEMBER` for attributes and takes any exception for "no"; Python 3.11 wraps one in
a class body into a RuntimeError). So the signal is remembered, and long work asks for it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_seen: list[int] = []
"""The signals that came; a list so that a handler only appends."""


@contextmanager
def listening() -> Iterator[None]:
    """Remember SIGINT while the block runs, besides raising KeyboardInterrupt.

    A process that ignores SIGINT (under nohup) or has a handler of its own keeps that.
    """
    _seen.clear()
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    try:
        signal.signal(signal.SIGINT, _remember)
    except ValueError:  # not the main thread: signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted() -> bool:
    """Whether Ctrl-C was pressed."""
    return bool(_seen)


def check() -> None:
    """Raises KeyboardInterrupt if Ctrl-C was pressed and nobody heard it."""
    if _seen:
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    del frame
    _seen.append(number)
    raise KeyboardInterrupt
