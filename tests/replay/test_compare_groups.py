"""Runs that differ by their seed: groups, means, ranges, and no winner inside the noise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from scheduler.replay import run_dir
from scheduler.replay.compare import compare
from scheduler.replay.compare_measures import mixed_workloads
from scheduler.replay.groups import Group, Verdict, group_runs, judge, stats_of
from scheduler.replay.result import OptionValue
from scheduler.replay.run_dir import RunFiles, write_run
from tests.replay.test_report import Page
from tests.replay.toy_run import ask, first_fit, toy_trace

SECOND = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def no_pages() -> Iterator[None]:
    """Runs are written without their own page: a comparison does not read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_dir, "render_report", lambda _: "")
        yield


def known(
    name: str, seed: int, wait: float = 1.0, trace: str = "t", **options: OptionValue
) -> RunFiles:
    """What a comparison reads of a run."""
    summary = {"trace": trace, "options": {"seed": seed, **options}, "wait_s": {"mean": wait}}
    return RunFiles(name, summary, {}, (), np.empty(0, np.int64))


def groups_of(runs: Sequence[RunFiles]) -> list[Group]:
    return group_runs(runs, [run.name for run in runs])


def fractions(*values: int) -> list[Fraction]:
    return [Fraction(value) for value in values]


def test_runs_that_differ_by_seed_only_are_a_group() -> None:
    """Whatever their order; another option or another trace is another group."""
    runs = [
        known("a-seed-2", 2, 2.0, placement="a"), known("b-seed-1", 1, placement="b"),
        known("a-seed-1", 1, placement="a"), known("other", 1, placement="a", trace="u"),
    ]  # fmt: skip
    assert [(g.name, g.members, g.seeds, g.varies) for g in groups_of(runs)] == [
        ("a", (2, 0), (1, 2), True), ("b-seed-1", (1,), (1,), False), ("other", (3,), (1,), False),
    ]  # fmt: skip


def test_other_pools_are_other_workloads() -> None:
    """Runs of one trace narrowed to different pools are not of the same gangs."""
    runs = [known("a", 1, pool="x"), known("b", 1, pool="x"), known("c", 1, pool="")]
    assert mixed_workloads(runs[:2]) == ""
    assert "different pools of one trace (all pools, x)" in mixed_workloads(runs)
    assert "different workloads" in mixed_workloads([runs[0], known("d", 1, trace="u")])


def test_the_same_seed_twice_is_no_other_draw() -> None:
    """Two directories of one run stay two columns."""
    assert [g.members for g in groups_of([known("x", 1), known("y", 1)])] == [(0,), (1,)]


def test_a_group_without_a_name_in_common_takes_its_first_run() -> None:
    """Directories may be called anything."""
    assert [g.name for g in groups_of([known("x", 1), known("y", 2)])] == ["x"]


def test_unpaired_means_are_judged_as_welch_does() -> None:
    """1, 2, 3 against 4, 5, 6: the standard error is sqrt(2/3), t at 4 degrees is 2.776."""
    assert judge(fractions(1, 2, 3), fractions(4, 5, 6), paired=False) is Verdict.BETTER
    # The least difference that counts is 2.776 * 0.8165 = 2.267.
    low = [value + Fraction(226, 100) for value in fractions(1, 2, 3)]
    high = [value + Fraction(227, 100) for value in fractions(1, 2, 3)]
    assert judge(fractions(1, 2, 3), low, paired=False) is Verdict.WITHIN_NOISE
    assert judge(fractions(1, 2, 3), high, paired=False) is Verdict.BETTER


def test_the_same_seeds_are_paired() -> None:
    """Workloads may differ much from seed to seed, and one rule be ahead on each of them."""
    base, other = fractions(10, 200, 3000), fractions(11, 201, 3002)
    assert judge(base, other, paired=False) is Verdict.WITHIN_NOISE
    # Differences 1, 1, 2: mean 4/3, standard error 1/3, t at 2 degrees is 4.303.
    assert judge(base, other, paired=True) is Verdict.WITHIN_NOISE
    assert judge(base, fractions(13, 203, 3003), paired=True) is Verdict.BETTER


def test_one_seed_says_nothing_about_noise() -> None:
    """However large the difference."""
    assert judge(fractions(1), fractions(100), paired=True) is Verdict.UNKNOWN
    assert judge(fractions(1), fractions(100, 101), paired=False) is Verdict.UNKNOWN
    assert judge(fractions(1), fractions(1), paired=True) is Verdict.SAME


def test_which_way_is_better_depends_on_the_measure() -> None:
    """Less waiting is better, more allocation is."""
    values = [1.0, 1.1, 1.2, 0.5, 0.51, 0.52]
    groups = [Group("a", "t", (0, 1, 2), (1, 2, 3), varies=True),
              Group("b", "t", (3, 4, 5), (4, 5, 6), varies=True)]  # fmt: skip
    assert stats_of("wait_s.mean", values, groups)[1].verdict is Verdict.BETTER
    assert stats_of("gpu_allocation.mean", values, groups)[1].verdict is Verdict.WORSE
    one = stats_of("wait_s.mean", values, groups)[1]
    assert (one.mean, one.low, one.high, one.difference) == (0.51, 0.5, 0.52, -0.59)


def test_seeds_that_change_nothing_are_one_seed() -> None:
    """Two rules without chance on one trace: a spread of zero is not a noise of zero."""
    groups = [Group("a", "t", (0, 1), (1, 2), varies=False),
              Group("b", "t", (2, 3), (1, 2), varies=False)]  # fmt: skip
    assert stats_of("wait_s.mean", [1.0, 1.0, 2.0, 2.0], groups)[1].verdict is Verdict.UNKNOWN
    groups[1] = replace(groups[1], varies=True)
    assert stats_of("wait_s.mean", [1.0, 1.0, 2.0, 2.0], groups)[1].verdict is Verdict.WORSE


def test_a_group_is_compared_within_its_trace() -> None:
    """The baseline is the first group of the same trace; a missing value gives no difference."""
    groups = [Group(name, name[0], (at,), (1,), varies=False)
              for at, name in enumerate(("x1", "y1", "x2", "y2"))]  # fmt: skip
    found = stats_of("wait_s.mean", [1.0, 10.0, 3.0, None], groups)
    assert [one.difference for one in found] == [None, None, 2, None]


def test_the_page_and_the_numbers_of_groups(tmp_path: Path) -> None:
    """A column per group with mean, range and verdict; a row per group on the terminal."""
    runs = []
    for strict in (False, True):
        for seed in (1, 2, 3):
            asks = [ask(at * SECOND, (5 + seed) * SECOND, 1 + at % 5, 8) for at in range(20)]
            scan = "strict" if strict else "greedy"
            options: dict[str, OptionValue] = {"scan": scan, "seed": seed}
            labels = [(f"s{at // 4}", f"l{at // 2}") for at in range(8)]
            result = first_fit(toy_trace(labels, asks), strict=strict, options=options)
            runs.append(tmp_path / f"{scan}.seed-{seed}")
            write_run(result, runs[-1])
    rows = compare(runs, tmp_path / "out")
    assert [(row["group"], row["seeds"]) for row in rows] == [("greedy", 3), ("strict", 3)]
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert [group["baseline"] for group in summary["groups"]] == ["greedy", "greedy"]
    wait = summary["measures"]["wait_s.mean"]
    assert wait["groups"][0]["mean"] == round(sum(wait["values"][:3]) / 3, 6)
    assert wait["groups"][1]["high"] == max(wait["values"][3:])
    verdict = wait["groups"][1]["verdict"]
    assert verdict in {"better", "worse", "within noise"}
    assert str(rows[1]["wait +/-"]).endswith(verdict)
    text = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert f": {verdict}" in text
    assert "mean, and its range" in text
