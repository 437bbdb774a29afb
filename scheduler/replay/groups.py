"""Runs that differ by their seed only, as one group; and whether two groups differ beyond noise.

The rule: a group is `better` or `worse` than its baseline if the difference of the means is larger
than t standard errors of that difference, t being Student's for 95 % (two-sided); otherwise it is
`within noise`. Groups with the same seeds are paired seed by seed (the same seed is the same
workload, or the same order of equals), others are compared as Welch does. One seed, or seeds that
change nothing in either group, say nothing about noise, and no verdict is given.

All sums are exact fractions of the printed numbers, so that a verdict never hangs on rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import takewhile
from typing import Any, TypeAlias

from scheduler.replay.run_dir import RunFiles

Value: TypeAlias = float | int | None

STUDENT_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, 97.5th percentile, by degrees of freedom from 1; the last one serves beyond 30."""

HIGHER_IS_BETTER = ("counts.placed", "gpu_allocation.mean", "single_share")
"""Ends of keys; of every other measure less is better."""

MARKS = "-_. "
"""What stands between a run's name and its seed."""


class Verdict(StrEnum):
    """What may be said of a group against its baseline."""

    BETTER = "better"
    WORSE = "worse"
    WITHIN_NOISE = "within noise"
    SAME = "same"
    UNKNOWN = "noise unknown"


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one trace with the same options but for the seed."""

    name: str
    trace: str
    members: tuple[int, ...]
    """Indices of the runs, by rising seed."""
    seeds: tuple[int, ...]
    varies: bool
    """Whether the seeds made any difference."""


@dataclass(frozen=True, slots=True)
class Stats:
    """One measure of one group, and what it says against the baseline."""

    mean: Value
    low: Value
    high: Value
    difference: Value
    """Of the means; None for the baseline itself, or where one is missing."""
    verdict: Verdict | None
    """None where there is no difference to judge."""


def group_runs(runs: Sequence[RunFiles], labels: Sequence[str]) -> list[Group]:
    """Every run in one group, groups in the order of their first run."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for at, run in enumerate(runs):
        options = {k: v for k, v in run.summary["options"].items() if k != "seed"}
        found.setdefault((run.summary["trace"], *sorted(options.items())), []).append(at)
    parts: list[list[int]] = []
    for members in found.values():
        # The same seed twice is a run shown twice, not another draw.
        alone = len({_seed(runs[at]) for at in members}) < len(members)
        parts += [[at] for at in members] if alone else [members]
    parts.sort(key=lambda members: members[0])
    names = _names(parts, labels)
    return [_group(name, runs, members) for name, members in zip(names, parts, strict=True)]


def _group(name: str, runs: Sequence[RunFiles], members: Sequence[int]) -> Group:
    members = sorted(members, key=lambda at: _seed(runs[at]))
    kept = [{k: v for k, v in runs[at].summary.items() if k != "options"} for at in members]
    return Group(
        name=name,
        trace=str(runs[members[0]].summary["trace"]),
        members=tuple(members),
        seeds=tuple(_seed(runs[at]) for at in members),
        varies=any(one != kept[0] for one in kept),
    )


def _seed(run: RunFiles) -> int:
    seed = run.summary["options"].get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _names(parts: Sequence[Sequence[int]], labels: Sequence[str]) -> list[str]:
    """What the names of a group's runs have in common, without the seed."""
    names = []
    for members in parts:
        mine = [labels[at] for at in members]
        # zip stops at the shortest; letters are common as long as all agree on them.
        alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*mine, strict=False))
        name = "".join(letters[0] for letters in alike)
        if len(members) > 1:
            name = name.rstrip("0123456789").rstrip(MARKS).removesuffix("seed").rstrip(MARKS)
        names.append(name)
    return [
        name if name and names.count(name) == 1 else labels[members[0]]
        for name, members in zip(names, parts, strict=True)
    ]


def baseline_of(groups: Sequence[Group], at: int) -> int:
    """The first group of the same trace."""
    return next(b for b, group in enumerate(groups) if group.trace == groups[at].trace)


def stats_of(key: str, values: Sequence[Value], groups: Sequence[Group]) -> list[Stats]:
    """[groups] one measure; values: [runs]."""
    found = []
    for at, group in enumerate(groups):
        base = groups[baseline_of(groups, at)]
        here, there = _of(values, group), _of(values, base)
        difference = None
        verdict = None
        if here and there and group is not base:
            exact = _mean(here) - _mean(there)
            difference = _rounded(exact)
            verdict = judge(there, here, paired=group.seeds == base.seeds)
            if not (base.varies or group.varies) and exact:
                verdict = Verdict.UNKNOWN
            if verdict is Verdict.BETTER and not _better(key, exact):
                verdict = Verdict.WORSE
        found.append(
            Stats(
                mean=_rounded(_mean(here)) if here else None,
                low=_rounded(min(here)) if here else None,
                high=_rounded(max(here)) if here else None,
                difference=difference,
                verdict=verdict,
            )
        )
    return found


def judge(base: Sequence[Fraction], other: Sequence[Fraction], *, paired: bool) -> Verdict:
    """BETTER stands for any difference beyond noise; the caller knows which way is better."""
    difference = _mean(other) - _mean(base)
    if not difference:
        return Verdict.SAME
    if min(len(base), len(other)) < 2:
        return Verdict.UNKNOWN
    if paired:
        squares = [(_variance([b - a for a, b in zip(base, other, strict=True)]), len(base))]
    else:
        squares = [(_variance(base), len(base)), (_variance(other), len(other))]
    error = sum((square / count for square, count in squares), Fraction(0))
    if not error:
        return Verdict.BETTER
    # Welch's degrees of freedom; of one sample (paired) they are count - 1.
    below = sum(((s / n) ** 2 / (n - 1) for s, n in squares), Fraction(0))
    freedom = int(error**2 / below)
    t = Fraction(str(STUDENT_T[min(freedom, len(STUDENT_T)) - 1]))
    return Verdict.BETTER if difference**2 > t**2 * error else Verdict.WITHIN_NOISE


def _better(key: str, difference: Fraction) -> bool:
    return (difference > 0) == key.endswith(HIGHER_IS_BETTER)


def _of(values: Sequence[Value], group: Group) -> list[Fraction]:
    """Values of a group, exactly as printed; none if one is missing."""
    mine = [values[at] for at in group.members]
    return [Fraction(str(value)) for value in mine if value is not None and None not in mine]


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _variance(values: Sequence[Fraction]) -> Fraction:
    mean = _mean(values)
    return sum(((v - mean) ** 2 for v in values), Fraction(0)) / (len(values) - 1)


def _rounded(value: Fraction) -> float | int:
    return int(value) if value.denominator == 1 else round(float(value), 6)


def spread_text(stats: Stats, show: Callable[[Any], str]) -> str:
    """The range of a group as text, or nothing if it has none."""
    if stats.low is None or stats.low == stats.high:
        return ""
    low, high = show(stats.low), show(stats.high)
    return "" if low == high else f"{low} to {high}"
