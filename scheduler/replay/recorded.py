"""The placement that a data set recorded, as a run to compare with: recorded.csv of a trace.

    gang,rank,node,start_us,end_us          a row per member, on the trace's clock

The file lies in the trace directory, and the manifest has its hash. The recording shows who
waited and where members ran, not why anybody waited: nothing is blocked by a cause.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scheduler.errors import UsageError
from scheduler.model.arrays import I32, I64
from scheduler.replay.csv_columns import Columns, CsvFile, Integer, Kind, Text
from scheduler.replay.result import CAUSES, RunResult, Status
from scheduler.replay.trace import Trace

RECORDED = "recorded.csv"
AS_RECORDED = "as-recorded"
"""Name of the placement, in `--placement` and in reports."""

_MOST_US = 10**15
_KINDS: dict[str, Kind] = {
    "gang": Text(filled=True),
    "rank": Integer(0, 2**31 - 1),
    "node": Text(filled=True),
    "start_us": Integer(0, _MOST_US),
    "end_us": Integer(0, _MOST_US),
}


class Recorded(NamedTuple):
    """One member: the node it ran on, and when its gang began and ended."""

    gang: str
    rank: int
    node: str
    start_us: int
    end_us: int


def recorded_csv(rows: Iterable[Recorded]) -> bytes:
    r"""recorded.csv; `\n` at the end of lines, rows in the order given."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(Recorded._fields)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def recorded_run(directory: Path, trace: Trace) -> RunResult:
    """The run that recorded.csv of the trace directory tells; gangs without a row are unplaced.

    Raises UsageError if the trace has no recording, BadInputError for a row that names no gang,
    rank or node of the trace, or times that cannot be.
    """
    path = directory / RECORDED
    if not path.is_file():
        what = f"{directory} has no {RECORDED}: the data set recorded no placement"
        raise UsageError(what, "choose another --placement")
    file = CsvFile(path)
    file.require_first(tuple(_KINDS), more=False)
    got = file.read(_KINDS)
    gang = _numbers(got, "gang", trace.gangs.keys)
    node = _numbers(got, "node", trace.nodes.names)
    offset: I64 = np.concatenate(([0], np.cumsum(trace.sizes())))
    row = _members(got, gang, node, offset)
    start, end = _times(got, gang, trace.gangs.submit_us)
    status = np.where(start >= 0, Status.PLACED, Status.UNPLACED).astype(np.int8)
    when = np.unique(np.concatenate((trace.gangs.submit_us, start[start >= 0], end[start >= 0])))
    ones = np.ones(len(start), np.int64)
    return RunResult(
        trace=trace,
        topology=trace.topology(),
        options={"order": "as recorded", "placement": AS_RECORDED},
        start_us=start,
        end_us=end,
        status=status,
        offset=offset,
        row=row,
        time_us=when,
        waiting_gangs=_waiting(trace.gangs.submit_us, start, ones, when).astype(np.int32),
        waiting_members=_waiting(trace.gangs.submit_us, start, trace.sizes(), when),
        blocked=np.zeros((len(when), len(CAUSES)), np.int32),
    )


def _numbers(got: Columns, name: str, known: tuple[str, ...]) -> I64:
    """[rows] index of each cell of column `name` among `known`."""
    number = {one: at for at, one in enumerate(known)}
    cells = got.text[name]
    found: I64 = np.fromiter((number.get(cell, -1) for cell in cells), np.int64, len(cells))
    got.check(
        found < 0,
        lambda row: f"{name} {cells[row]} is not in the trace",
        "import the data set again",
    )
    return found


def _members(got: Columns, gang: I64, node: I64, offset: I64) -> I32:
    """[M] node of each member, or -1."""
    rank = got.numbers["rank"]
    got.check(
        rank >= np.diff(offset)[gang],
        lambda row: f"gang {got.text['gang'][row]} has no rank {rank[row]}",
        "ranks count from 0, shape after shape",
    )
    at = offset[gang] + rank
    _, first = np.unique(at, return_index=True)
    again = np.ones(len(at), bool)
    again[first] = False
    got.check(
        again,
        lambda row: f"rank {rank[row]} of gang {got.text['gang'][row]} has two rows",
        "remove one of them",
    )
    members: I32 = np.full(int(offset[-1]), -1, np.int32)
    members[at] = node
    return members


def _times(got: Columns, gang: I64, submit: I64) -> tuple[I64, I64]:
    """([G], [G]) start and end of each gang, or -1."""
    start: I64 = np.full(len(submit), -1, np.int64)
    end = start.copy()
    begun, ended = got.numbers["start_us"], got.numbers["end_us"]
    start[gang], end[gang] = begun, ended
    got.check(
        (start[gang] != begun) | (end[gang] != ended),
        lambda row: f"the members of gang {got.text['gang'][row]} have different times",
        "give all members of a gang the same start_us and end_us",
    )
    got.check(
        (begun < submit[gang]) | (ended < begun),
        lambda row: f"gang {got.text['gang'][row]} ends before it begins, or begins too early",
        "times rise: submit, start, end",
    )
    return start, end


def _waiting(submit: I64, start: I64, weight: I64, when: I64) -> I64:
    """[T] weight of the gangs that are submitted and have not begun at each instant."""
    ran = start >= 0
    return _until(submit, weight, when) - _until(start[ran], weight[ran], when)


def _until(event: I64, weight: I64, when: I64) -> I64:
    """[T] weight of the events at or before each instant."""
    order = np.argsort(event, kind="stable")
    total = np.concatenate(([0], np.cumsum(weight[order])))
    return np.asarray(total[np.searchsorted(event[order], when, side="right")], np.int64)
