"""What commands print: whole tables into a pipe, JSON as it is, progress only on a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scheduler import cli
from scheduler.commands.output import Cell, emit_comparison, emit_table, progress, table_lines

ROWS: list[dict[str, Cell]] = [
    {"gang": "team-a/" + "x" * 120, "members": 12_345, "share": 0.98765, "ok": True},
    {"gang": "[b]", "members": None, "share": 16_534.2, "ok": False},
]


def test_a_table_in_a_pipe_is_not_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    """Long names stay whole, markup is text, numbers are rounded for reading."""
    emit_table(ROWS, "table")
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["gang", "members", "share", "ok"]
    assert lines[2] == ["team-a/" + "x" * 120, "12,345", "0.9877", "yes"]
    assert lines[3] == ["[b]", "16,534", "no"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_is_read_in_a_narrow_terminal(width: int) -> None:
    """Few rows become columns, names and numbers stay whole."""
    rows: list[dict[str, Cell]] = [
        {"run": run, **{f"measure {at} s": 1000.5 * at for at in range(12)}}
        for run in ("first-fit", "spread", "muster")
    ]
    lines = table_lines(rows, width)
    assert max(map(len, lines)) <= width
    assert lines[0].split() == ["run", "first-fit", "spread", "muster"]
    assert lines[3].split() == ["measure", "1", "s", "1,000", "1,000", "1,000"]
    assert len(lines) == 2 + 12
    assert len(table_lines(rows, 500)) == 2 + 3


def test_a_long_sentence_stands_below_its_row() -> None:
    """The numbers of a verdict stay a table; the reason is wrapped below."""
    why = "94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu; 3 cordoned"
    rows: list[dict[str, Cell]] = [
        {"gang": "team-a/StatefulSet/train", "members": 128, "why": why},
        {"gang": "b", "members": 1, "why": ""},
    ]
    lines = table_lines(rows, 60)
    assert max(map(len, lines)) <= 60
    assert lines[0].split() == ["gang", "members"]
    assert " ".join(" ".join(lines[3:-1]).split()) == why
    assert lines[-1].split() == ["b", "1"]


def test_many_rows_and_columns_become_several_tables() -> None:
    """Each begins with the first column, so that every number has its name."""
    rows: list[dict[str, Cell]] = [
        {"run": f"run-{at}", **{f"column {c}": c for c in range(9)}} for at in range(6)
    ]
    lines = table_lines(rows, 40)
    assert max(map(len, lines)) <= 40
    heads = [line for line in lines if line.startswith(" run ")]
    assert len(heads) == 3
    assert [f"column {c}" for c in range(9)] == re.findall(r"column \d", " ".join(heads))


def test_a_comparison_of_seeds_names_no_winner(capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs are turned, with the best; groups of seeds stay rows with their own verdict."""
    runs: list[dict[str, Cell]] = [{"run": "a", "wait s": 1.0}, {"run": "b", "wait s": 2.0}]
    emit_comparison(runs, "table")
    assert capsys.readouterr().out.split()[:3] == ["a", "b", "best"]
    groups: list[dict[str, Cell]] = [{"group": row["run"], "wait s": 1.5} for row in runs]
    emit_comparison(groups, "table")
    assert capsys.readouterr().out.split()[:3] == ["group", "wait", "s"]
    emit_comparison(runs, "json")
    assert json.loads(capsys.readouterr().out) == runs


def test_json_has_the_values_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON neither rounds nor leaves out."""
    emit_table(ROWS, "json")
    assert json.loads(capsys.readouterr().out) == ROWS


def test_an_empty_table_is_empty_json(capsys: pytest.CaptureFixture[str]) -> None:
    """No rows are an empty list, and an empty table is no error."""
    emit_table([], "json")
    assert json.loads(capsys.readouterr().out) == []
    emit_table([], "table")


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A log file gets no progress bar."""
    with progress("replay") as step:
        for done in range(10):
            step(done, 10)
    assert capsys.readouterr() == ("", "")


def test_progress_shows_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal the bar goes to stderr, never to stdout."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress("replay") as step:
        step(5, 10)
    printed = capsys.readouterr()
    assert "replay" in printed.err
    assert printed.out == ""


def test_a_generated_trace_passes_its_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`generate` writes what `trace check` reads; a changed file then fails the check."""
    out = tmp_path / "trace"
    options = "generate --nodes 16 --spines 2 --leaf-size 4 --gangs 5 --sizes 1:4 --out"
    assert cli.main([*options.split(), str(out)]) == 0
    capsys.readouterr()
    assert cli.main(["trace", "check", str(out), "-o", "json"]) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    assert (summary["nodes"], summary["gangs"]) == (16, 5)

    nodes = out / "nodes.csv"
    nodes.write_bytes(nodes.read_bytes().replace(b",8,", b",7,", 1))
    assert cli.main(["trace", "check", str(out)]) == 1
    assert "nodes.csv is not the file whose sha256 the manifest has" in capsys.readouterr().err
