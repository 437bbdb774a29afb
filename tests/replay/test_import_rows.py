"""What all importers share: rows, malformed ones, quoted cells, bytes that come out the same."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.errors import BadInputError
from scheduler.replay.importers.acme import import_acme
from scheduler.replay.importers.helios import import_helios
from scheduler.replay.importers.lingjun import import_lingjun, import_lingjun_jobs
from scheduler.replay.importers.philly import import_philly
from scheduler.replay.importers.rows import CsvTable, RowSource
from scheduler.replay.importers.spot import import_spot
from scheduler.replay.importers.swf import import_swf
from scheduler.replay.recorded import RECORDED, recorded_csv
from scheduler.replay.trace import Trace
from scheduler.replay.trace_io import read_trace, write_trace
from tests.replay.published import (
    ACME,
    LINGJUN_JOBS,
    LINGJUN_WORKERS,
    PHILLY,
    SPOT_JOBS,
    SPOT_NODES,
    SWF,
    TOPO,
    VC_NODES,
    file,
)

HELIOS = """\
# per-VC pool sizes (nodes, 8 GPU/node): a=2
job_id,user,tenant,submit_time,num_chips,num_nodes,duration_s
1,u,a,0,8,1,5.0
2,u,a,1,24,3,0.000001
"""


def rows_of(
    path: Path, *columns: str, skip_bad: bool = True
) -> tuple[list[tuple[int, str]], dict[str, int]]:
    rows = RowSource(skip_bad=skip_bad)
    found: list[tuple[int, str]] = []

    def take(line: int, cells: Sequence[str]) -> str:
        found.append((line, "|".join(cells)))
        return ""

    rows.table(CsvTable(path), columns, take)
    return found, dict(rows.dropped)


def test_a_quoted_cell_may_hold_lines_and_counts_as_its_first(tmp_path: Path) -> None:
    """Lines are those of an editor; blank ones are passed over; a BOM is not part of a name."""
    path = file(tmp_path, "t.csv", '\ufeffa,b\n1,"x\ny ""z"""\n\n2,w\r\n')
    assert rows_of(path, "a", "b") == ([(2, '1|x\ny "z"'), (5, "2|w")], {})


def test_a_quote_that_never_ends_loses_one_row(tmp_path: Path) -> None:
    """Not all that follow."""
    path = file(tmp_path, "t.csv", 'a,b\n1,"x\n2,y\n3,"z"\n4,w\n')
    found, dropped = rows_of(path, "a", "b")
    assert found[-1] == (5, "4|w")
    assert dropped == {"bad_quoting": 1}
    with pytest.raises(BadInputError, match=r"t\.csv:2: "):
        rows_of(path, "a", "b", skip_bad=False)


def test_a_row_that_is_not_utf8_is_one_bad_row(tmp_path: Path) -> None:
    """Its line is named, or it is counted."""
    path = file(tmp_path, "t.csv", "a,b\n1,x\n2,caf\udce9\n3,z\n")
    assert rows_of(path, "a", "b") == ([(2, "1|x"), (4, "3|z")], {"bad_encoding": 1})
    with pytest.raises(BadInputError, match=r"t\.csv:3: is not UTF-8"):
        rows_of(path, "a", "b", skip_bad=False)


def test_columns_that_nobody_reads_may_be_unnamed(tmp_path: Path) -> None:
    """Trailing commas are usual in published files; a needed column must be there once."""
    path = file(tmp_path, "t.csv", "b,,a,\n1,2,3,4\n1,2\n")
    assert rows_of(path, "a", "b") == ([(2, "3|1")], {"bad_columns": 1})
    with pytest.raises(BadInputError, match="lacks c"):
        rows_of(path, "a", "c")
    twice = file(tmp_path, "u.csv", "a,b,a\n")
    with pytest.raises(BadInputError, match="lacks a, or names it twice"):
        rows_of(twice, "a", "b")


Edit = tuple[int, int, str]
"""(which row, which cell, what shall stand there)."""


def edited(text: str, key: int, edits: list[Edit], separator: str | None = ",") -> str:
    """`text` with a changed copy of a row for each edit; the copy's cell `key` is a new name."""
    rows = [line for line in text.splitlines()[1:] if line and not line.startswith((";", "#"))]
    for at, (row, column, value) in enumerate(edits):
        cells = rows[row % len(rows)].split(separator)
        cells[key % len(cells)] += f"x{at}"
        cells[column % len(cells)] = value
        text += (separator or " ").join(cells) + "\n"
    return text


def every_importer(
    directory: Path, edits: list[Edit] | None = None
) -> list[tuple[Trace, dict[str, bytes]]]:
    """A trace from each importer; `edits` add rows to each file, malformed ones are skipped."""
    more = edits or []
    log = file(directory, "log.swf", edited(SWF, 0, more, None))
    philly = file(directory, "philly.csv", edited(PHILLY, 3, more))
    vc_nodes = file(directory, "vc.csv", edited(VC_NODES, 0, more))
    acme = file(directory, "acme.csv", edited(ACME, 0, more))
    spot = file(directory, "spot.csv", edited(SPOT_JOBS, 0, more))
    spot_nodes = file(directory, "nodes.csv", edited(SPOT_NODES, 0, more))
    helios = file(directory, "helios.csv", edited(HELIOS, 0, more))
    topo = file(directory, "topo.csv", edited(TOPO, 0, more))
    jobs = file(directory, "job.csv", edited(LINGJUN_JOBS, 1, more))
    workers = file(directory, "worker.csv", edited(LINGJUN_WORKERS, 2, more))
    lingjun, recorded = import_lingjun_jobs(topo, jobs, workers, skip_bad=True)
    return [
        (import_swf(log, 4, 8, skip_bad=True), {}),
        (import_philly(philly, vc_nodes, skip_bad=True), {}),
        (import_acme(acme, 8, skip_bad=True), {}),
        (import_spot(spot, spot_nodes, skip_bad=True), {}),
        (import_helios(helios, skip_bad=True), {}),
        (import_lingjun(topo, skip_bad=True), {}),
        (lingjun, {RECORDED: recorded_csv(recorded)}),
    ]


_values = ["", "0", "1", "8", "20", "-1", "1.5", "1e3", "A10", "6214e9", "a", "HP", '"', "dlc1"]
_times = ["2023/7/15 02:19", "2017-10-01 00:00:00", "2023-05-17 11:00:58+00:00"]
_cells = st.text(max_size=8) | st.sampled_from([*_values, *_times])
_edits = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 17), _cells), max_size=6)


@settings(max_examples=30)
@given(edits=_edits)
def test_what_was_imported_is_written_read_and_written_alike(edits: list[Edit]) -> None:
    """Whatever stands in the rows: no crash, and the second directory has the first one's bytes."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        for at, (trace, extra) in enumerate(every_importer(directory / "in", edits)):
            first, second = directory / f"{at}-first", directory / f"{at}-second"
            write_trace(trace, first, extra)
            write_trace(read_trace(first), second, extra)
            names = sorted(path.name for path in first.iterdir())
            assert names == sorted(path.name for path in second.iterdir())
            for file_name in names:
                assert (first / file_name).read_bytes() == (second / file_name).read_bytes()


def test_the_hand_written_files_are_whole(tmp_path: Path) -> None:
    """The property above is about traces with gangs, from every importer that makes them."""
    traces = [trace for trace, _ in every_importer(tmp_path)]
    assert [len(trace.gangs) for trace in traces] == [3, 3, 3, 3, 2, 0, 2]
    reasons = {reason for trace in traces for reason in trace.dropped_rows}
    assert not {reason for reason in reasons if reason.startswith("bad_")}


def test_an_import_keeps_columns_and_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peak memory grows by less than 500 bytes for each further job, until the trace is written.

    Each of these jobs is two rows. The cells of its line alone, as a list, would be 900 bytes.
    """
    monkeypatch.setattr("scheduler.replay.trace_rows._CHUNK", 100)

    def peak(jobs: int) -> int:
        lines = (f"{at} {at} 0 60 9 -1 -1 9 -1 -1 1 3 1 1 1 1 -1 -1\n" for at in range(jobs))
        path = file(tmp_path, f"{jobs}.swf", "".join(lines))
        tracemalloc.start()
        try:
            trace = import_swf(path, 4, 8)
            write_trace(trace, tmp_path / str(jobs))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(1_000), peak(5_000)
    assert (many - few) / 4_000 < 500
