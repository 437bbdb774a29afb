"""Questions of other threads to the loop thread, which answers them between two of its turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from scheduler.serve.protocol import NoAnswerError

T = TypeVar("T")

LONGEST_S = 10.0
"""How long a thread waits for an answer."""


class Mailbox:
    """A `Loop`: `ask` may be called from any thread, `run` and `close` by the loop alone."""

    def __init__(self, wake: Callable[[], None], longest_s: float = LONGEST_S) -> None:
        """wake: lets the loop's wait return now; may be called from any thread."""
        self._wake = wake
        self._longest_s = longest_s
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._closed = False

    def ask(self, question: Callable[[], T]) -> T:
        """See `Loop.ask`. A question that nobody waits for any more is not asked."""
        answer: Future[T] = Future()
        self._waiting.append((answer, question))
        if self._closed:
            self._refuse_all()
        else:
            self._wake()
        try:
            return answer.result(self._longest_s)
        except TimeoutError:
            if not answer.cancel() and answer.done():
                return answer.result()  # it came in this very moment, or raised a TimeoutError
            what = f"the scheduler is busy: it did not answer within {self._longest_s:g} s"
            raise NoAnswerError(what) from None
        except CancelledError:
            raise NoAnswerError("the scheduler is ending") from None

    def run(self) -> None:
        """Answers all questions that stand now; those that come meanwhile wait for the next turn.

        What a question raises goes to who asked.
        """
        for _ in range(len(self._waiting)):
            answer, question = self._waiting.popleft()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001 - the loop must not end with a question
                answer.set_exception(error)

    def close(self) -> None:
        """Nobody will answer any more: who waits, and who asks from now on, is told so."""
        self._closed = True
        self._refuse_all()

    def _refuse_all(self) -> None:
        while self._waiting:
            try:
                answer, _ = self._waiting.popleft()
            except IndexError:
                return  # another thread took the last one
            answer.cancel()
