"""The run directory: what stands in its files, that it is whole, and that it reads back."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from scheduler.errors import BadInputError, UsageError
from scheduler.replay import run_dir
from scheduler.replay.metrics import analyse
from scheduler.replay.result import RunResult
from scheduler.replay.run_dir import read_run, summary_rows, write_placements, write_run
from tests.replay.toy_run import Ask, ask, first_fit, toy_trace

LABELS = [("s1", "a"), ("s1", "a"), ("s1", "b"), ("s2", "a")]
FILES = ["gangs.csv", "placements.csv", "report.html", "series.csv", "summary.json"]


def a_run() -> RunResult:
    """Three gangs that run, one too big for the cluster."""
    asks = [
        ask(100, 50, 2),
        Ask(110, 60, ((1, 8), (2, 4)), key='team "a", b/train'),
        ask(120, 5, 3),
        ask(130, 5, 9),
    ]
    return first_fit(toy_trace(LABELS, asks))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `a_run`; tests only read it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    write_run(a_run(), out)
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    """A CSV file by the library's reader."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_directory_has_its_five_files(written: Path) -> None:
    """The names are promised; nothing else is left, beside or inside."""
    assert sorted(file.name for file in written.iterdir()) == FILES
    assert [entry.name for entry in written.parent.iterdir()] == ["run"]
    summary = json.loads((written / "summary.json").read_text(encoding="utf-8"))
    assert summary == analyse(a_run()).summary


def test_placements_say_where_every_member_ran(written: Path) -> None:
    """Gangs in trace order, members by rank, the node by name; names are quoted as CSV does."""
    result = a_run()
    got = rows_of(written / "placements.csv")
    want = []
    for gang in result.placed.tolist():
        members = result.row[result.offset[gang] : result.offset[gang + 1]].tolist()
        for rank, row in enumerate(members):
            name = result.trace.gangs.keys[gang]
            times = str(result.start_us[gang]), str(result.end_us[gang])
            want.append((name, str(rank), f"n{row}", *times))
    assert [tuple(row.values()) for row in got] == want
    assert len(want) == 8
    assert any(row["gang"] == 'team "a", b/train' for row in got)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 100])
def test_placements_do_not_depend_on_the_chunk(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gangs are written in batches; none is cut, lost or written twice."""
    analysis = analyse(a_run())
    write_placements(analysis, tmp_path / "whole")
    monkeypatch.setattr(run_dir, "_CHUNK", chunk)
    write_placements(analysis, tmp_path / "parts")
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_members_without_a_place_have_no_row(tmp_path: Path) -> None:
    """A gang that runs with its minimum leaves out the ranks that were never placed."""
    result = a_run()
    row = result.row.copy()
    row[1] = -1
    partial = RunResult(
        result.trace, result.topology, result.options, result.start_us, result.end_us,
        result.status, result.offset, row, result.time_us, result.waiting_gangs,
        result.waiting_members, result.blocked,
    )  # fmt: skip
    write_placements(analyse(partial), tmp_path / "placements.csv")
    got = rows_of(tmp_path / "placements.csv")
    assert [row["rank"] for row in got if row["gang"] == "g0"] == ["0"]


def test_gangs_have_a_row_each(written: Path) -> None:
    """Times, state and spread; nothing where a number does not apply."""
    first, _, third, never = rows_of(written / "gangs.csv")
    assert first["wait_us"] == "0"
    assert (first["leaf_domains"], first["leaf_ideal"]) == ("1", "1")
    assert third["start_us"] == "170"
    assert (third["wait_us"], third["status"]) == ("50", "placed")
    assert (third["spine_domains"], third["spine_ideal"]) == ("1", "1")
    assert (third["leaf_domains"], third["leaf_ideal"]) == ("2", "2")
    assert (never["status"], never["start_us"], never["end_us"]) == ("never_fits", "", "")
    assert (never["wait_us"], never["leaf_domains"], never["members"]) == ("", "", "9")


def test_the_series_adds_up(written: Path) -> None:
    """Allocated and idle are all GPUs of the cluster, at every instant."""
    series = read_run(written).series
    both = series["gpu_allocated_milli"] + series["gpu_idle_milli"]
    assert (both == 4 * 8 * 1000).all()
    assert (series["gpu_stranded_milli"] <= series["gpu_idle_milli"]).all()
    assert series["waiting_gangs"].max() == 1
    assert {"slots_cluster_4", "slots_spine_2", "slots_leaf_1", "blocked_topology"} <= set(series)


def test_reading_gives_what_was_written(written: Path) -> None:
    """Summary, gangs and starts come back; -1 where a gang never started."""
    result = a_run()
    run = read_run(written)
    assert run.name == "run"
    assert run.summary == analyse(result).summary
    assert run.gangs == result.trace.gangs.keys
    assert np.array_equal(run.start_us, result.start_us)


def test_two_runs_are_the_same_bytes(written: Path, tmp_path: Path) -> None:
    """No date, no path, no order of a hash: every file, byte by byte."""
    write_run(a_run(), tmp_path / "again")
    for file in FILES:
        assert (tmp_path / "again" / file).read_bytes() == (written / file).read_bytes(), file


def test_a_run_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory appears whole or not at all."""

    def fail(analysis: object) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr(run_dir, "render_report", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        write_run(a_run(), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_content_is_not_written_over(tmp_path: Path) -> None:
    """What stands in DIR may be somebody's only copy."""
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError):
        write_run(a_run(), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes"]


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("summary.json", "{", "summary.json: is not JSON"),
        ("summary.json", "[]", "schema_version None"),
        ("summary.json", '{"schema_version": 99}', "schema_version 99"),
        ("summary.json", None, "summary.json: cannot be read"),
        ("summary.json", '{"schema_version": 1}', "is not the summary of a run: Object missing"),
        ("series.csv", "time_us\nsoon\n", "series.csv:2: time_us"),
        ("series.csv", "time_us\n1\n", "series.csv:1: the header lacks gpu_allocated_milli"),
        ("gangs.csv", "gang,pool\n", "lacks start_us"),
        ("gangs.csv", "gang,start_us\ng0,1\n,2\n", "gangs.csv:3"),
    ],
)
def test_a_damaged_run_is_one_clear_error(
    written: Path, tmp_path: Path, file: str, text: str | None, says: str
) -> None:
    """File, line where there is one, and what is wrong."""
    shutil.copytree(written, tmp_path / "run")
    if text is None:
        (tmp_path / "run" / file).unlink()
    else:
        (tmp_path / "run" / file).write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_run(tmp_path / "run")
    assert says in str(caught.value)


def test_the_terminal_table_has_a_row_per_run() -> None:
    """Headline numbers with the options that tell the runs apart."""
    row = summary_rows([analyse(a_run()).summary])[0]
    assert row["placement"] == "first-fit"
    assert row["order"] == "fifo greedy"
    assert row["placed"] == 3
    assert row["leaves"] == pytest.approx(5 / 3, abs=1e-6)
    assert row["leaves ideal"] == pytest.approx(4 / 3, abs=1e-6)
