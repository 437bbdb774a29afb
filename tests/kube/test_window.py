"""The window finds the size at which a server gives most, and gives way when it is told to."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from scheduler.kube.window import LEAST, MOST, SILENT, START, Window

Service = Callable[[Random], int]


@dataclass
class Queueing:
    """A server that works on `capacity` requests at once, and a client that always has more."""

    window: Window
    capacity: int
    service: Service
    rng: Random = field(default_factory=lambda: Random(5))
    travel_us: int = 300
    now_us: int = 0
    working: int = 0
    queue: int = 0
    in_flight: int = 0
    ends: list[int] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)

    def run(self, answers: int) -> tuple[float, list[int]]:
        """Until so many answers: answers a second, and the window at each of them."""
        sizes: list[int] = []
        began = self.now_us
        while len(sizes) < answers:
            for _ in range(self.window.room(self.in_flight, self.now_us)):
                self.in_flight += 1
                self.queue += 1
            self._work()
            self.now_us = heapq.heappop(self.ends)
            self.working -= 1
            full = self.in_flight >= self.window.size
            self.in_flight -= 1
            self.window.answered(self.now_us, full=full)
            sizes.append(self.window.size)
        return answers * 1e6 / (self.now_us - began), sizes

    def _work(self) -> None:
        while self.queue and self.working < self.capacity:
            self.queue -= 1
            self.working += 1
            time = self.service(self.rng) + self.travel_us
            heapq.heappush(self.ends, self.now_us + time)


def constant(service_us: int) -> Service:
    return lambda _: service_us


def erratic(mean_us: int) -> Service:
    """Exponential: the spread that queues are built of."""
    return lambda rng: 1 + int(rng.expovariate(1 / mean_us))


def best(capacity: int, service: Service) -> float:
    """Answers a second with the best fixed window."""
    sizes = (8, 16, 32, 64, 128, 200)
    fixed = [Window(Random(1), start=size, least=size, most=size) for size in sizes]
    return max(Queueing(window, capacity, service).run(4_000)[0] for window in fixed)


@pytest.mark.parametrize("make", [constant, erratic])
@pytest.mark.parametrize("start", [8, START])
@pytest.mark.parametrize("capacity", [4, 12, 40, 100])
def test_it_settles_near_the_knee(
    make: Callable[[int], Service], start: int, capacity: int
) -> None:
    """From any start: at least 90 % of what is possible, in a window near the server's capacity."""
    service = make(5_000)
    server = Queueing(Window(Random(1), start=start), capacity, service)
    server.run(8_000)
    speed, sizes = server.run(10_000)
    assert speed >= 0.9 * best(capacity, service)
    middle = sorted(sizes)[len(sizes) // 2]
    assert max(LEAST, 0.7 * capacity) <= middle <= max(2 * LEAST, 3 * capacity)


def test_it_comes_down_from_far_above() -> None:
    """Latency that buys nothing is given back, also when the start was much too high."""
    server = Queueing(Window(Random(1), start=160), 10, constant(5_000))
    server.run(30_000)
    assert sorted(server.run(5_000)[1])[2_500] <= 30


def test_it_follows_a_server_that_changes() -> None:
    """A server that gets more cores gets more at once; one that loses them, less."""
    server = Queueing(Window(Random(1)), 10, erratic(5_000))
    small = server.run(20_000)[1][-1]
    server.capacity = 80
    large = server.run(60_000)[1][-1]
    server.capacity = 10
    again = server.run(40_000)[1][-1]
    assert small <= 30
    assert large >= 60
    assert again <= 30


def test_it_stays_within_its_bounds() -> None:
    """Neither a fast server nor a slow one takes it past `most` or below `least`."""
    for capacity in (1, 1_000):
        server = Queueing(Window(Random(1), start=16, least=4, most=64), capacity, constant(1_000))
        _, sizes = server.run(30_000)
        assert min(sizes) >= 4
        assert max(sizes) <= 64
    assert sizes[-1] >= 48
    with pytest.raises(ValueError, match="window"):
        Window(Random(1), start=300, most=MOST)


def test_without_load_it_does_not_move() -> None:
    """Answers that come while there is room say nothing about the server."""
    window = Window(Random(1), start=20)
    for time in range(0, 10_000_000, 1_000):
        window.answered(time, full=False)
    assert window.size == 20


def test_429_halves_once_a_round_and_it_grows_back() -> None:
    """The 429s of one round are one message; afterwards it grows by one a round."""
    window = Window(Random(1), start=32)
    for _ in range(10):
        window.busy(0, None)
    assert window.size == 16
    assert window.room(0, 0) == 16
    server = Queueing(window, 100, constant(5_000))
    _, sizes = server.run(2_000)
    assert sizes[:200] == sorted(sizes[:200])
    assert max(sizes) >= 32


def test_only_429_pauses_as_told() -> None:
    """When nothing but 429 comes it waits as long as the server asks, and goes down to one."""
    window = Window(Random(1), start=8)
    now = 0
    for _ in range(60):
        window.busy(now, 2_000_000)
        now = window.paused_until_us(now) or now
    assert window.size == 1
    assert now >= 10_000_000
    before = now
    window.busy(now, 3_000_000)
    window.busy(now, 3_000_000)
    assert window.room(0, now) == 0
    assert window.paused_until_us(now) == before + 3_000_000


def test_a_silent_server_gets_one_request_at_a_time() -> None:
    """No answers: pauses that grow, then one request; an answer opens the window again."""
    window = Window(Random(1), start=32)
    for _ in range(SILENT):
        window.silent(0)
    assert window.away
    assert window.room(0, 0) == 0
    pauses, now = [], 0
    for _ in range(8):
        until = window.paused_until_us(now)
        assert until is not None
        pauses.append(until - now)
        now = until
        assert window.room(0, now) == 1
        assert window.room(1, now) == 0
        window.silent(now)
    assert max(pauses[:2]) < min(pauses[-2:])
    window.answered(now, full=True)
    assert window.room(0, now) >= 8
