"""Runs side by side: the differences, the table, the page, and runs that differ in kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scheduler.errors import BadInputError, UsageError
from scheduler.replay import run_dir
from scheduler.replay.compare import Cell, compare
from scheduler.replay.compare_measures import Measure, differing_options, starts_against
from scheduler.replay.report import percent
from scheduler.replay.result import OptionValue
from scheduler.replay.run_dir import read_run, write_run
from tests.replay.test_report import Page
from tests.replay.toy_run import Ask, ask, first_fit, toy_trace

LABELS = [(f"s{at // 4}", f"l{at // 2}") for at in range(8)]
SECOND = 1_000_000
ASKS = [ask(at * SECOND, 6 * SECOND, 1 + at % 5, 8) for at in range(20)]


@pytest.fixture(scope="module", autouse=True)
def no_pages() -> Iterator[None]:
    """Runs are written without their own page: a comparison does not read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_dir, "render_report", lambda _: "")
        yield


@dataclass(frozen=True)
class Compared:
    """Two runs and what their comparison said."""

    greedy: Path
    strict: Path
    out: Path
    rows: list[dict[str, Cell]]

    @property
    def summary(self) -> dict[str, Any]:
        """The comparison's summary.json."""
        return dict(json.loads((self.out / "summary.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """A greedy and a strict run of one workload; tests only read them."""
    root = tmp_path_factory.mktemp("pair")
    greedy, strict = make(root, "greedy"), make(root, "strict", strict=True)
    return Compared(greedy, strict, root / "out", compare([greedy, strict], root / "out"))


def make(root: Path, name: str, *, strict: bool = False, asks: list[Ask] = ASKS) -> Path:
    """A run directory."""
    scan = "strict" if strict else "greedy"
    options: dict[str, OptionValue] = {"placement": "first-fit", "scan": scan, "seed": 1}
    result = first_fit(toy_trace(LABELS, asks), strict=strict, options=options)
    write_run(result, root / name)
    return root / name


def test_differences_are_to_the_first_run(pair: Compared) -> None:
    """Every number of every run, and its distance from the baseline."""
    rows, summary = pair.rows, pair.summary
    waits = [read_run(run).summary["wait_s"]["mean"] for run in (pair.greedy, pair.strict)]
    assert waits[0] != waits[1]
    assert summary["baseline"] == "greedy"
    assert summary["measures"]["wait_s.mean"]["values"] == waits
    assert summary["measures"]["wait_s.mean"]["differences"] == [
        0.0,
        round(waits[1] - waits[0], 6),
    ]
    assert [row["run"] for row in rows] == ["greedy", "strict"]
    assert [row["scan"] for row in rows] == ["greedy", "strict"]
    assert "seed" not in rows[0]
    assert rows[0].keys() == rows[1].keys()
    assert rows[0]["wait +/-"] == ""
    assert rows[1]["wait +/-"] == f"{waits[1] / waits[0] - 1:+.1%}"


def test_the_page_shows_every_run_in_every_figure(pair: Compared) -> None:
    """Both names stand in the table and the legends; the file opens offline."""
    text = (pair.out / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    sections = "numbers allocation queue waiting domains slots fragmentation blocked slowdown"
    assert set(sections.split()) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    figures = dict(re.findall(r'<svg id="(fig-\w+)"(.*?)</svg>', text, re.DOTALL))
    for name in ("fig-allocation", "fig-queue", "fig-waiting", "fig-domains", "fig-blocked"):
        assert "greedy" in figures[name], name
        assert "strict" in figures[name], name
    assert all(one.startswith("#") for one in page.fetched)
    assert str(pair.out.parent) not in text


def test_a_run_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    """Two directories of one run: all differences are zero, no gang starts at another time."""
    rows = compare([make(tmp_path, "one"), make(tmp_path, "two")], tmp_path / "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    for key, one in summary["measures"].items():
        assert one["differences"] in ([0, 0], [None, None]), key
    assert summary["starts"][1] == {"earlier": 0, "same": 20, "later": 0}
    assert rows[1]["wait +/-"] == ""


def test_the_same_runs_give_the_same_bytes(pair: Compared, tmp_path: Path) -> None:
    """The page and the numbers do not know where or when they were made."""
    compare([pair.greedy, pair.strict], tmp_path / "again")
    for file in ("summary.json", "report.html"):
        assert (tmp_path / "again" / file).read_bytes() == (pair.out / file).read_bytes()


def test_runs_called_alike_are_numbered(tmp_path: Path) -> None:
    """Two directories of one name in two places stay two runs."""
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    runs = [make(tmp_path / "x", "run"), make(tmp_path / "y", "run", strict=True)]
    assert [row["run"] for row in compare(runs, tmp_path / "out")] == ["run (1)", "run (2)"]


def test_runs_of_different_workloads_and_trees_still_compare(tmp_path: Path) -> None:
    """What one of them lacks is left empty; gangs are not paired; the page says so."""
    one = make(tmp_path, "one")
    result = first_fit(toy_trace([("l0",)] * 3, [ask(0, 5, 2)], ("leaf",)))
    write_run(result, tmp_path / "other")
    rows = compare([one, tmp_path / "other"], tmp_path / "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["starts"][1] is None
    spine = summary["measures"]["locality.spine.mean_domains"]
    assert spine["values"][1] is None
    assert spine["differences"][1] is None
    assert rows[1]["spines"] is None
    text = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "not comparable" in text
    Page(text)


def test_many_runs_have_a_column_each(tmp_path: Path) -> None:
    """More runs than colours: the page is made all the same."""
    runs = [make(tmp_path, f"run{at}", strict=at % 2 == 1) for at in range(8)]
    assert len(compare(runs, tmp_path / "out")) == 8
    assert "run7" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_starts_are_paired_gang_by_gang(pair: Compared) -> None:
    """Earlier, same and later against the baseline, over gangs that ran in both."""
    first, other = read_run(pair.greedy), read_run(pair.strict)
    got = starts_against(first, other)
    assert got is not None
    later = sum(b > a for a, b in zip(first.start_us, other.start_us, strict=True))
    assert got["later"] == later > 0
    assert sum(got.values()) == 20


def test_only_options_that_differ_tell_runs_apart(pair: Compared) -> None:
    """What is the same everywhere is said once, in the header."""
    assert differing_options([read_run(pair.greedy), read_run(pair.strict)]) == {
        "scan": ["greedy", "strict"]
    }


def test_differences_of_a_measure() -> None:
    """To the first run; relative only where that is not zero; nothing where one is missing."""
    one = Measure("k", "t", percent, (2.0, 3.0, None))
    assert (one.difference(1), one.ratio(1)) == (1.0, 0.5)
    assert (one.difference(2), one.ratio(2)) == (None, None)
    zero = Measure("k", "t", percent, (0.0, 3.0))
    assert (zero.difference(1), zero.ratio(1)) == (3.0, None)


def test_one_run_or_no_run_is_refused(tmp_path: Path) -> None:
    """A comparison needs two runs, and a run is a directory that replay wrote."""
    one = make(tmp_path, "one")
    with pytest.raises(UsageError, match="two runs"):
        compare([one], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="cannot be read"):
        compare([one, tmp_path / "empty"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
