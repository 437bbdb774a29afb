"""What the HTTP edge asks of the running scheduler, and the values it gets.

HTTP thread                          loop thread (owns the cache)
answers.gangs() --post--> Mailbox --> run(): views.gangs(...)
      ^                                  |
      +---------- the result ------------+     NoAnswerError if it takes too long
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

Document = dict[str, Any]
"""What becomes JSON: dicts, lists and scalars."""

T = TypeVar("T")


class NoAnswerError(Exception):
    """The loop did not answer in time, or has ended; the text says which."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of being ready."""

    name: str
    ok: bool
    text: str = ""
    """What is missing and since when; for a good one, a number or nothing."""


class Answers(Protocol):
    """The running scheduler, as HTTP threads see it.

    Every method may be called from any thread. What touches the cache runs on the loop thread
    (`ask_loop`); NoAnswerError if that does not answer in time.
    """

    def metrics(self) -> bytes:
        """Prometheus text, as `scheduler.metrics.CONTENT_TYPE` says."""
        ...

    def alive(self) -> Check:
        """Whether the loop turns."""
        ...

    def ready(self) -> Sequence[Check]:
        """What must hold before it schedules: the API server answers, every list is complete."""
        ...

    def status(self) -> Document:
        """`views.status`."""
        ...

    def gangs(self) -> list[Document]:
        """`views.gangs`."""
        ...

    def explain(self, name: str) -> Document:
        """`views.explain` of NAMESPACE/KIND/NAME. Raises NotFoundError."""
        ...

    def snapshot(self, scheduler: str = "") -> Iterator[tuple[str, bytes]]:
        """(file name, content) of a snapshot directory, made one after the other.

        scheduler: the schedulerName whose gangs and levels are meant; empty where there is one
        only. Raises UsageError if there are several, NotFoundError if none is called so.
        """
        ...


class Loop(Protocol):
    """How another thread has something done on the loop thread."""

    def ask(self, question: Callable[[], T]) -> T:
        """Runs `question` there and returns its result, or raises what it raised.

        Raises NoAnswerError if that takes longer than the implementation waits.
        """
        ...
