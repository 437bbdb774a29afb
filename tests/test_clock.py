"""Clocks: the machine's, and the one that stands still."""

from __future__ import annotations

import time

import pytest

from scheduler.clock import Clock, ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_told() -> None:
    """It starts where it is set, and advance, set and sleep move it on."""
    clock = ManualClock(5)
    clock.advance(10)
    clock.set(20)
    clock.sleep_us(7)
    clock.sleep_us(-1)
    assert (clock.now_us(), clock.elapsed_us()) == (27, 27)


def test_a_manual_clock_never_goes_back() -> None:
    """An order to go back raises and changes nothing."""
    clock = ManualClock(5)
    with pytest.raises(ValueError, match="set back from 5 to 4"):
        clock.set(4)
    with pytest.raises(ValueError, match="advanced by -1"):
        clock.advance(-1)
    assert clock.now_us() == 5


def test_the_system_clock_reads_microseconds() -> None:
    """Wall time lies after 2020 in microseconds; elapsed time does not go back in a sleep."""
    clock: Clock = SystemClock()
    before = clock.elapsed_us()
    clock.sleep_us(1)
    assert clock.elapsed_us() >= before
    assert 1_577_836_800_000_000 < clock.now_us() < 2**63


def test_the_system_clock_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set back by a minute, it goes on at half speed until the machine's clock is past it."""
    wall, elapsed = 1_000_000_000, 50_000_000
    monkeypatch.setattr(time, "time_ns", lambda: wall * 1_000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: elapsed * 1_000)
    clock = SystemClock()
    assert clock.now_us() == 1_000_000_000
    wall -= 60_000_000
    assert clock.now_us() == 1_000_000_000
    wall, elapsed = wall + 10_000_000, elapsed + 10_000_000
    assert clock.now_us() == 1_005_000_000
    wall, elapsed = wall + 120_000_000, elapsed + 120_000_000
    assert clock.now_us() == wall
