"""How things are timed here, and what becomes of the numbers.

Two contenders take turns in one process, so that a busy machine slows both; a bound is a ratio
of their medians. Absolute times are goals: printed, never a failure.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Work = Callable[[], object]


def nothing() -> None:
    """No preparation."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Work that is timed, after `prepare`, which is not."""

    work: Work
    prepare: Work = nothing


@dataclass(frozen=True, slots=True)
class Result:
    """One row of results.json.

    ratio: what is bounded, the less the better; `basis` says what of what. floor_ms: median of
    what the ratio compares with, where that is a time. goal_ms: printed only.
    """

    name: str
    params: dict[str, int | float | str]
    runs: int
    median_ms: float
    min_ms: float
    floor_ms: float | None
    ratio: float | None
    bound: float | None
    ok: bool
    basis: str
    goal_ms: float | None = None

    def row(self) -> dict[str, str | int | float | bool | None]:
        """A line of the printed table."""
        return {
            "name": self.name,
            "runs": self.runs,
            "median ms": round(self.median_ms, 3),
            "min ms": round(self.min_ms, 3),
            "goal ms": self.goal_ms,
            "compared with ms": None if self.floor_ms is None else round(self.floor_ms, 3),
            "ratio": None if self.ratio is None else round(self.ratio, 6),
            "bound": self.bound,
            "ok": self.ok,
            "ratio of": self.basis,
        }


def take_turns(contenders: Sequence[Contender], runs: int) -> list[list[float]]:
    """[contender][run] milliseconds, after one run of each that does not count."""
    times: list[list[float]] = [[] for _ in contenders]
    gc.collect()
    gc.freeze()  # as in production: what a snapshot is made of is not walked again and again
    for run in range(runs + 1):
        for mine, contender in zip(times, contenders, strict=True):
            contender.prepare()
            begin = time.perf_counter_ns()
            contender.work()
            took = (time.perf_counter_ns() - begin) / 1e6
            if run:
                mine.append(took)
    gc.unfreeze()
    return times


def compared(
    name: str,
    params: dict[str, int | float | str],
    own: Sequence[float],
    other: Sequence[float],
    bound: float,
    basis: str,
    goal_ms: float | None = None,
) -> Result:
    """The result of `own` milliseconds against those of `other` in the same run."""
    median, floor = statistics.median(own), statistics.median(other)
    ratio = median / floor
    return Result(
        name, params, len(own), median, min(own), floor, ratio, bound, ratio <= bound, basis,
        goal_ms,
    )  # fmt: skip


def write_results(results: Sequence[Result], out: Path) -> None:
    """results.json in `out`."""
    text = json.dumps([asdict(result) for result in results], indent=2)
    (out / "results.json").write_text(text + "\n", encoding="utf-8")
