"""Questions of other threads: answered by the loop, refused in time, never lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scheduler.serve.mailbox import Mailbox
from scheduler.serve.protocol import NoAnswerError


def test_a_question_runs_on_the_loop_s_thread() -> None:
    """The asking thread waits; the loop is woken, answers, and the result comes back."""
    woken = threading.Event()
    box = Mailbox(woken.set)
    with ThreadPoolExecutor(1) as others:
        answer = others.submit(box.ask, threading.get_ident)
        assert woken.wait(10)
        box.run()
        assert answer.result(10) == threading.get_ident()


def test_what_a_question_raises_goes_to_who_asked() -> None:
    """The loop goes on."""
    woken = threading.Event()
    box = Mailbox(woken.set)

    def fail() -> None:
        raise ZeroDivisionError

    with ThreadPoolExecutor(1) as others:
        answer = others.submit(box.ask, fail)
        assert woken.wait(10)
        box.run()
        with pytest.raises(ZeroDivisionError):
            answer.result(10)


def test_a_busy_loop_is_an_error_in_time_and_the_question_is_dropped() -> None:
    """Nobody waits for ever, and what nobody waits for is not computed."""
    asked: list[int] = []
    box = Mailbox(lambda: None, longest_s=0.01)
    with pytest.raises(NoAnswerError, match=r"did not answer within 0\.01 s"):
        box.ask(lambda: asked.append(1))
    box.run()
    assert asked == []


def test_a_question_s_own_time_out_is_not_taken_for_the_loop_s() -> None:
    """A TimeoutError that the question raises is handed on."""
    box = Mailbox(lambda: None)
    box._wake = box.run

    def late() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        box.ask(late)


def test_the_end_refuses_who_waits_and_who_comes_later() -> None:
    """A stopped loop answers nobody."""
    woken = threading.Event()
    box = Mailbox(woken.set)
    with ThreadPoolExecutor(1) as others:
        answer = others.submit(box.ask, int)
        assert woken.wait(10)
        box.close()
        with pytest.raises(NoAnswerError, match="ending"):
            answer.result(10)
    with pytest.raises(NoAnswerError, match="ending"):
        box.ask(int)


def test_a_turn_answers_what_stood_at_its_beginning() -> None:
    """Questions that come while it answers wait for the next turn: a flood does not hold it."""
    woken = threading.Semaphore(0)
    box = Mailbox(woken.release)
    with ThreadPoolExecutor(2) as others:
        second = []

        def first() -> None:
            second.append(others.submit(box.ask, int))
            assert woken.acquire(timeout=10)

        answer = others.submit(box.ask, first)
        assert woken.acquire(timeout=10)
        box.run()
        answer.result(10)
        assert not second[0].done()
        box.run()
        assert second[0].result(10) == 0
