"""A CSV file as columns, decoded in chunks; the first bad cell is one error with file and line."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, Protocol, TextIO

import numpy as np
import numpy.typing as npt

from scheduler.errors import BadInputError
from scheduler.model.arrays import I64, frozen

_CHUNK = 1024
"""Rows decoded together, only their columns stay. 64 times as many fall out of the CPU's caches
and double the time."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_INTEGER_BYTES = b"0123456789,-"


@dataclass(frozen=True, slots=True)
class Text:
    """A column of strings. `filled` refuses an empty cell; `keys`: most cells differ."""

    filled: bool = False
    keys: bool = False

    def shared(self, cells: Sequence[str], memo: dict[str, str]) -> Sequence[str]:
        """The cells; equal ones are one object, unless they are keys."""
        if self.keys:
            return cells
        distinct = set(cells)
        if len(distinct) == 1:
            return [memo.setdefault(cells[0], cells[0])] * len(cells)
        return [memo.setdefault(cell, cell) for cell in cells]


@dataclass(frozen=True, slots=True)
class Integer:
    """A column of integers in [least, most]; an empty cell reads as `empty`, unless None."""

    least: int
    most: int
    empty: int | None = None


Kind = Text | Integer


class Columns:
    """The columns of one file; rows are counted from 0, row 0 stands on line `first_line`."""

    def __init__(self, file: Path, first_line: int) -> None:
        self.file = file
        self.first_line = first_line
        self.rows = 0
        self.text: dict[str, list[str]] = {}
        self.numbers: dict[str, I64] = {}

    def fail(self, row: int, what: str, do: str) -> NoReturn:
        """Raise BadInputError for `row`."""
        raise BadInputError(self.file, self.first_line + row, what, do)

    def check(self, bad: npt.NDArray[Any], what: Callable[[int], str], do: str) -> None:
        """Refuse the first row where `bad` is true; `what(row)` says what is wrong with it."""
        if bad.any():
            row = int(bad.argmax())
            self.fail(row, what(row), do)

    def check_distinct(self, name: str) -> None:
        """Refuse the first row whose cell in column `name` stood there before."""
        cells = self.text[name]
        if len(set(cells)) == len(cells):
            return
        line: dict[str, int] = {}
        for row, cell in enumerate(cells):
            if cell in line:
                what = f"{name} {cell} stands on line {line[cell]} already"
                self.fail(row, what, "remove one of the rows, or rename it")
            line[cell] = self.first_line + row


class _Reader(Protocol):
    """csv.reader, which has no public type."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


class CsvFile:
    """A CSV file with a header line, after any leading `#` lines (kept in `comments`).

    Raises BadInputError if it cannot be read, is not UTF-8, or has no proper header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.comments: list[str] = []
        header = ""
        with self._open() as lines:
            try:
                for header in lines:
                    if not header.startswith("#"):
                        break
                    self.comments.append(header.lstrip("#").strip())
            except UnicodeDecodeError as error:
                raise self._not_utf8(error) from error
        self.header_line = len(self.comments) + 1
        self.columns: tuple[str, ...] = tuple(next(csv.reader([header]), ()))
        if not self.columns or header.startswith("#"):
            raise BadInputError(path, self.header_line, "has no header line", "add the header")
        if len(set(self.columns)) != len(self.columns):
            what = f"names a column twice: {','.join(self.columns)}"
            raise BadInputError(path, self.header_line, what, "name each column once")

    def _open(self) -> TextIO:
        try:
            return self.path.open(encoding="utf-8-sig", newline="")
        except OSError as error:
            what = f"cannot be read: {error.strerror or error}"
            raise BadInputError(self.path, None, what, "name a readable file") from error

    def _not_utf8(self, error: UnicodeDecodeError) -> BadInputError:
        line = _line_of(self.path, error)
        return BadInputError(self.path, line, f"is not UTF-8: {error.reason}", "convert it")

    def require(self, names: Sequence[str]) -> None:
        """Raises BadInputError if one of the columns `names` is missing."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            what = f"the header lacks {', '.join(missing)}"
            do = f"it must name {','.join(names)}"
            raise BadInputError(self.path, self.header_line, what, do)

    def require_first(self, names: Sequence[str], more: bool) -> None:
        """Raises BadInputError unless the header is `names`, then others if `more`."""
        self.require(names)
        got = self.columns[: len(names)] if more else self.columns
        if got != tuple(names):
            what = f"the header is {','.join(self.columns)}"
            do = f"it must {'begin with' if more else 'be'} {','.join(names)}, in this order"
            raise BadInputError(self.path, self.header_line, what, do)

    def fail_header(self, what: str, do: str) -> NoReturn:
        """Raise BadInputError for the header line."""
        raise BadInputError(self.path, self.header_line, what, do)

    def read(self, kinds: Mapping[str, Kind]) -> Columns:
        """The columns named in `kinds`. Raises BadInputError for the first malformed row."""
        self.require(list(kinds))
        columns = Columns(self.path, self.header_line + 1)
        columns.text = {name: [] for name, kind in kinds.items() if isinstance(kind, Text)}
        # Arrays that grow in place: chunks to join at the end would be twice the file's columns.
        grown = {name: array("q") for name, kind in kinds.items() if isinstance(kind, Integer)}
        memo: dict[str, str] = {}
        for rows in self._chunks():
            cells = dict(zip(self.columns, zip(*rows, strict=True), strict=True))
            for name, kind in kinds.items():
                if isinstance(kind, Text):
                    if kind.filled and "" in cells[name]:
                        at = columns.rows + cells[name].index("")
                        columns.fail(at, f"{name} is empty", "give it a value")
                    _check_characters(columns, name, cells[name])
                    columns.text[name] += kind.shared(cells[name], memo)
                else:
                    grown[name].frombytes(_decode(columns, name, kind, cells[name]).tobytes())
            columns.rows += len(rows)
        for name, numbers in grown.items():
            empty = np.zeros(0, np.int64)
            columns.numbers[name] = frozen(np.frombuffer(numbers, np.int64) if numbers else empty)
        return columns

    def _chunks(self) -> Iterator[list[list[str]]]:
        with self._open() as lines:
            for _ in range(self.header_line):
                next(lines)
            reader = csv.reader(lines, strict=True)
            first = self.header_line + 1
            while rows := self._next_rows(reader):
                self._check_rows(rows, first, self.header_line + reader.line_num)
                first += len(rows)
                yield rows

    def _next_rows(self, reader: _Reader) -> list[list[str]]:
        try:
            return list(islice(reader, _CHUNK))
        except csv.Error as error:
            line = self.header_line + reader.line_num
            raise BadInputError(self.path, line, str(error), "correct the quoting") from error
        except UnicodeDecodeError as error:
            raise self._not_utf8(error) from error

    def _check_rows(self, rows: list[list[str]], first: int, last: int) -> None:
        width = len(self.columns)
        for line, row in enumerate(rows, first):
            if len(row) != width:
                what = f"has {len(row)} columns, the header has {width}"
                raise BadInputError(self.path, line, what, "correct the row or remove it")
        if last - first + 1 == len(rows):
            return
        # One row is one line, so that every later error can name its line.
        for line, row in enumerate(rows, first):
            if any("\n" in cell or "\r" in cell for cell in row):
                what = "a cell holds a line break"
                raise BadInputError(self.path, line, what, "remove the line break")


def _line_of(path: Path, error: UnicodeDecodeError) -> int | None:
    """The line whose bytes could not be decoded; the error knows only its own block."""
    try:
        with path.open("rb") as lines:
            for line, text in enumerate(lines, 1):
                try:
                    text.decode(error.encoding)
                except UnicodeDecodeError:
                    return line
    except OSError:
        pass
    return None


def _check_characters(columns: Columns, name: str, cells: Sequence[str]) -> None:
    """Refuse a cell with a NUL, an escape or the like: a terminal would obey it."""
    if _CONTROL.search("".join(cells)) is None:
        return
    for row, cell in enumerate(cells, columns.rows):
        if found := _CONTROL.search(cell):
            what = f"{name} holds the control character {found[0]!a}"
            columns.fail(row, what, "remove it")


def _decode(columns: Columns, name: str, kind: Integer, cells: Sequence[str]) -> I64:
    blank = np.zeros(len(cells), bool)
    if kind.empty is not None and "" in cells:
        blank = np.fromiter((not cell for cell in cells), bool, len(cells))
        cells = [cell or "0" for cell in cells]
    try:
        values = _integers(cells)
    except (ValueError, OverflowError):
        _fail_integer(columns, name, cells)
    outside = ((values < kind.least) | (values > kind.most)) & ~blank
    if outside.any():
        at = int(outside.argmax())
        do = f"give an integer from {kind.least} to {kind.most}"
        columns.fail(columns.rows + at, f"{name} is {cells[at]}", do)
    if kind.empty is not None:
        values[blank] = kind.empty
    return values


def _integers(cells: Sequence[str]) -> I64:
    # int() is lenient (spaces, underscores, digits of other scripts); the file format is not.
    if ",".join(cells).encode().translate(None, _INTEGER_BYTES):
        raise ValueError
    return np.fromiter(map(int, cells), np.int64, len(cells))


def _fail_integer(columns: Columns, name: str, cells: Sequence[str]) -> NoReturn:
    for row, cell in enumerate(cells, columns.rows):
        try:
            _integers([cell])
        except ValueError:
            columns.fail(row, f"{name} is {cell!r}, not an integer", "write digits, no unit")
        except OverflowError:
            columns.fail(row, f"{name} is {cell}, outside int64", "correct the value")
    raise AssertionError("every cell of the column is an integer")
