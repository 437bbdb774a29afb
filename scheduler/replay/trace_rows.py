"""nodes.csv and gangs.csv: what each cell means, both ways. Files are opened elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, compress, islice, pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from scheduler.errors import UsageError
from scheduler.model.arrays import I64, frozen
from scheduler.replay.csv_columns import Columns, CsvFile, Integer, Kind, Text
from scheduler.replay.trace import (
    WHOLE_GPU,
    GangColumns,
    NodeColumns,
    ShapeRows,
    Trace,
    column,
    sort_nodes,
)

_COUNT = Integer(0, 10**6)
"""Devices, pod slots, members of a segment: more is a slip of a unit."""
_AMOUNT = Integer(0, 2**53)
"""Milli-CPU and bytes, far above any machine."""
_TIME = Integer(0, 10**15)
"""Microseconds; 31 years."""
_INT32 = 2**31 - 1

_CHUNK = 5_000
"""Rows written together: a megabyte of text and some 10 ms, however long the trace."""

_NODE_KINDS: dict[str, Kind] = {
    "name": Text(filled=True, keys=True),
    "pool": Text(),
    "model": Text(),
    "cpu_milli": _AMOUNT,
    "memory_bytes": _AMOUNT,
    "gpu": _COUNT,
    "pods": _COUNT,
}
_GANG_KINDS: dict[str, Kind] = {
    "gang": Text(filled=True, keys=True),
    "pool": Text(),
    "shape": Text(),
    "count": Integer(1, 10**6),
    "submit_us": _TIME,
    "duration_us": _TIME,
    "priority": Integer(-_INT32, _INT32, empty=0),
    "cpu_milli": _AMOUNT,
    "memory_bytes": _AMOUNT,
    "gpu": _COUNT,
    "gpu_milli": Integer(0, WHOLE_GPU),
    "model": Text(),
    "min": Integer(1, _INT32, empty=0),
    "required": Text(),
    "preferred": Text(),
    "segment_size": Integer(0, 10**6, empty=0),
}
_PER_GANG = (
    *("pool", "submit_us", "duration_us", "priority"),
    *("min", "required", "preferred", "segment_size"),
)
"""Columns on which all rows of one gang agree."""

_NODE_NUMBERS = ("cpu_milli", "memory_bytes", "gpu", "pods")
_GANG_NUMBERS = ("submit_us", "duration_us", "priority", "segment_size")
_ROW_NUMBERS = ("count", "cpu_milli", "memory_bytes", "gpu", "gpu_milli")

NODE_FIELDS = tuple(_NODE_KINDS)
GANG_FIELDS = tuple(_GANG_KINDS)


def nodes_from_csv(file: CsvFile) -> tuple[tuple[str, ...], NodeColumns]:
    """The levels and the nodes of nodes.csv, nodes in natural order of names.

    Raises BadInputError for a malformed row or a name that comes twice.
    """
    file.require_first(NODE_FIELDS, more=True)
    levels = file.columns[len(NODE_FIELDS) :]
    if "" in levels:
        file.fail_header("a level has no name", "name every column after pods")
    got = file.read({**_NODE_KINDS, **dict.fromkeys(levels, Text())})
    got.check_distinct("name")
    nodes = NodeColumns(
        names=tuple(got.text["name"]),
        pool=tuple(got.text["pool"]),
        model=tuple(got.text["model"]),
        cpu_milli=got.numbers["cpu_milli"],
        memory_bytes=got.numbers["memory_bytes"],
        gpu=got.numbers["gpu"],
        pods=got.numbers["pods"],
        labels=tuple(tuple(got.text[level]) for level in levels),
    )
    return levels, sort_nodes(nodes)


def gangs_from_csv(file: CsvFile) -> tuple[GangColumns, ShapeRows]:
    """The gangs of gangs.csv, in file order. Empty min = all members.

    Raises BadInputError for a malformed row, rows of one gang that disagree or do not stand
    together, and a minimum above the members.
    """
    file.require_first(GANG_FIELDS, more=False)
    got = file.read(_GANG_KINDS)
    starts = _starts(got)
    offset = np.append(starts, got.rows)
    lengths = np.diff(offset)
    size = np.add.reduceat(got.numbers["count"], starts) if len(starts) else starts
    _check_rows(got, np.repeat(size, lengths))
    minimum = got.numbers.pop("min")[starts]
    begins = np.zeros(got.rows, bool)
    begins[starts] = True

    def of_gang(name: str) -> tuple[str, ...]:
        """[G] the cell of each gang's first row; the column is not needed again."""
        cells = got.text.pop(name)
        return tuple(compress(cells, begins))

    gangs = GangColumns(
        keys=of_gang("gang"),
        pool=of_gang("pool"),
        submit_us=frozen(got.numbers.pop("submit_us")[starts]),
        duration_us=frozen(got.numbers.pop("duration_us")[starts]),
        priority=frozen(got.numbers.pop("priority")[starts]),
        minimum=column(np.where(minimum == 0, size, minimum)),
        segment_size=frozen(got.numbers.pop("segment_size")[starts]),
        required=of_gang("required"),
        preferred=of_gang("preferred"),
        offset=column(offset),
    )
    rows = ShapeRows(
        gang=column(np.repeat(np.arange(len(starts)), lengths)),
        shape=tuple(got.text.pop("shape")),
        count=got.numbers["count"],
        cpu_milli=got.numbers["cpu_milli"],
        memory_bytes=got.numbers["memory_bytes"],
        gpu=got.numbers["gpu"],
        gpu_milli=got.numbers["gpu_milli"],
        model=tuple(got.text.pop("model")),
    )
    return gangs, rows


def _starts(got: Columns) -> I64:
    """[G] first row of each gang."""
    keys = got.text["gang"]
    starts = np.flatnonzero(~_repeats(keys))
    # Rows of a gang stand together, so as many names as beginnings: no name begins twice.
    if len(set(keys)) == len(starts):
        return starts
    seen: set[str] = set()
    for row in starts.tolist():
        if keys[row] in seen:
            what = f"gang {keys[row]} has rows further up already"
            got.fail(row, what, "put all rows of a gang together, or rename one of the gangs")
        seen.add(keys[row])
    raise AssertionError("no gang comes twice")


def _check_rows(got: Columns, size: I64) -> None:
    """What no single cell shows. `size` is the members of each row's gang, [R]."""
    keys, gpu, milli = got.text["gang"], got.numbers["gpu"], got.numbers["gpu_milli"]
    _check_agreement(got)
    got.check(
        got.numbers["min"] > size,
        lambda row: f"min is {got.numbers['min'][row]}, gang {keys[row]} has {size[row]} members",
        "lower min, or leave it empty for all",
    )
    got.check(
        size > _INT32,
        lambda row: f"gang {keys[row]} has {size[row]} members",
        f"a gang has at most {_INT32}",
    )
    got.check(
        (gpu > 0) != (milli > 0),
        lambda row: f"gpu is {gpu[row]} but gpu_milli is {milli[row]}",
        "gpu_milli is 1000 for whole devices, less for a share of one, 0 without a GPU",
    )
    got.check(
        (gpu > 1) & (milli < WHOLE_GPU),
        lambda row: f"asks for {milli[row]} milli of each of {gpu[row]} GPUs",
        "only a single device can be shared",
    )


def _check_agreement(got: Columns) -> None:
    """Refuse a row that gives its gang another value than the row above did."""
    keys = got.text["gang"]
    same_gang = _repeats(keys)
    if not same_gang.any():
        return
    for name in _PER_GANG:
        if name in got.numbers:
            values = got.numbers[name]
            same = values == np.concatenate((values[:1], values[:-1]))
        else:
            same = _repeats(got.text[name])
        bad = same_gang & ~same
        if bad.any():
            row = int(bad.argmax())
            what = f"{name} of gang {keys[row]} is not what the line above says"
            got.fail(row, what, f"give all rows of a gang the same {name}")


def _repeats(cells: Sequence[str]) -> npt.NDArray[np.bool_]:
    """[len(cells)] whether a cell is that of the row above."""
    equal = (above == cell for above, cell in pairwise(cells))
    return np.fromiter(chain((False,) if cells else (), equal), bool, len(cells))


def _check_range(kinds: dict[str, Kind], name: str, key: str, values: I64) -> None:
    """Refuse to write what nobody could read again."""
    kind = kinds[name]
    assert isinstance(kind, Integer)
    bad = (values < kind.least) | (values > kind.most)
    if bad.any():
        value = int(values[bad.argmax()])
        what = f"{name} of a {key} is {value}, a trace holds {kind.least} to {kind.most}"
        raise UsageError(what, "correct the number or its unit")


def clipped(trace: Trace) -> Trace:
    """`trace` with numbers that its files cannot hold brought to the nearest they can."""
    return replace(
        trace,
        nodes=_clipped(_NODE_KINDS, _NODE_NUMBERS, trace.nodes),
        gangs=_clipped(_GANG_KINDS, _GANG_NUMBERS, trace.gangs),
        rows=_clipped(_GANG_KINDS, _ROW_NUMBERS, trace.rows),
    )


Part = TypeVar("Part", NodeColumns, GangColumns, ShapeRows)


def _clipped(kinds: dict[str, Kind], names: Sequence[str], columns: Part) -> Part:
    changed: dict[str, Any] = {}
    for name in names:
        kind = kinds[name]
        assert isinstance(kind, Integer)
        changed[name] = frozen(np.clip(getattr(columns, name), kind.least, kind.most))
    return replace(columns, **changed)


def nodes_to_csv(trace: Trace) -> Iterator[bytes]:
    """nodes.csv of `trace` in natural order of names, piece by piece.

    Raises UsageError for a number that no trace may hold, ValueError if a name holds a line
    break.
    """
    nodes = trace.nodes
    for name in _NODE_NUMBERS:
        _check_range(_NODE_KINDS, name, "node", getattr(nodes, name))
    numbers = (nodes.cpu_milli, nodes.memory_bytes, nodes.gpu, nodes.pods)
    rows = zip(
        *(nodes.names, nodes.pool, nodes.model),
        *(values.tolist() for values in numbers),
        *nodes.labels,
        strict=True,
    )
    yield _csv_bytes(((*NODE_FIELDS, *trace.levels),), 1)
    for first in range(0, len(nodes), _CHUNK):
        last = min(first + _CHUNK, len(nodes))
        yield _csv_bytes(islice(rows, last - first), last - first)


def gangs_to_csv(trace: Trace) -> Iterator[bytes]:
    """gangs.csv of `trace`, piece by piece; min stays empty where it is all members, and
    segment_size where it is none. Raises what `nodes_to_csv` raises.
    """
    for name in _GANG_NUMBERS:
        _check_range(_GANG_KINDS, name, "gang", getattr(trace.gangs, name))
    for name in _ROW_NUMBERS:
        _check_range(_GANG_KINDS, name, "gang", getattr(trace.rows, name))
    yield _csv_bytes((GANG_FIELDS,), 1)
    sizes = trace.sizes()
    for first in range(0, len(trace.rows), _CHUNK):
        last = min(first + _CHUNK, len(trace.rows))
        yield _csv_bytes(_gang_rows(trace, sizes, slice(first, last)), last - first)


def _gang_rows(trace: Trace, sizes: I64, part: slice) -> Iterable[Sequence[object]]:
    """The cells of the rows `part`. `sizes`: members of each gang, [G]."""
    gangs, rows = trace.gangs, trace.rows
    at = rows.gang[part]
    of = at.tolist()
    minimum = zip(gangs.minimum[at].tolist(), sizes[at].tolist(), strict=True)
    cells: dict[str, Iterable[object]] = {
        "gang": (gangs.keys[g] for g in of),
        "pool": (gangs.pool[g] for g in of),
        "shape": rows.shape[part],
        "count": rows.count[part].tolist(),
        "submit_us": gangs.submit_us[at].tolist(),
        "duration_us": gangs.duration_us[at].tolist(),
        "priority": gangs.priority[at].tolist(),
        "cpu_milli": rows.cpu_milli[part].tolist(),
        "memory_bytes": rows.memory_bytes[part].tolist(),
        "gpu": rows.gpu[part].tolist(),
        "gpu_milli": rows.gpu_milli[part].tolist(),
        "model": rows.model[part],
        "min": ("" if least == size else least for least, size in minimum),
        "required": (gangs.required[g] for g in of),
        "preferred": (gangs.preferred[g] for g in of),
        "segment_size": (size or "" for size in gangs.segment_size[at].tolist()),
    }
    return zip(*(cells[name] for name in GANG_FIELDS), strict=True)


def _csv_bytes(rows: Iterable[Sequence[object]], count: int) -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    text = buffer.getvalue()
    if text.count("\n") != count or "\r" in text:
        raise ValueError("a name in the trace holds a line break")
    return text.encode()
