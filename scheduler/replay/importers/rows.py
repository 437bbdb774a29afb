"""The rows of a published file, one after the other: nothing of the file stays but what is taken.

A malformed row ends the import with its file and line or, with `--skip-bad`, is counted under a
reason that begins with `bad_`. A row that is well formed but of no use for a replay is dropped
by its importer and counted under another reason.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from io import BufferedReader
from operator import itemgetter
from pathlib import Path

from scheduler.errors import BadInputError

SECOND = 1_000_000
"""Microseconds."""

_LONGEST_US = 10**15
"""31 years; the most that a trace directory holds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_YEARS = range(2000, 2031)
"""Calendar times outside are slips; two of them inside are never more than 31 years apart."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CELL_LINES = 1000
"""A quoted cell that goes on for longer was not closed."""


class MalformedError(Exception):
    """A row that cannot be read: the reason it is counted under, what is wrong, what to do."""

    def __init__(self, reason: str, what: str, do: str) -> None:
        super().__init__(reason, what, do)
        self.reason = reason
        self.what = what
        self.do = do


Take = Callable[[int, Sequence[str]], str]
"""(line, cells) -> the reason why the row is dropped, empty if it is kept."""


class RowSource:
    """The rows of one file after another, with one count of what was left out, and why."""

    def __init__(self, *, skip_bad: bool = False) -> None:
        self.skip_bad = skip_bad
        self.dropped: Counter[str] = Counter()

    def each(self, file: Path, records: Iterator[Record], take: Take) -> None:
        """Hand every record to `take`. Raises BadInputError for the first malformed one."""
        for line, cells in records:
            try:
                if isinstance(cells, MalformedError):
                    raise cells
                reason = take(line, cells)
            except MalformedError as bad:
                if not self.skip_bad:
                    raise BadInputError(file, line, bad.what, bad.do) from None
                reason = bad.reason
            if reason:
                self.dropped[reason] += 1

    def table(self, file: CsvTable, columns: Sequence[str], take: Take) -> None:
        """Hand the cells of `columns` (two or more) of every row to `take`.

        Raises BadInputError if the header lacks one of them, or for the first malformed row.
        """
        self.each(file.path, file.records(columns), take)


Record = tuple[int, "Sequence[str] | MalformedError"]
"""The line on which a record begins, and its cells or why it has none."""


class CsvTable:
    """A CSV file with a header, after any leading `#` lines (kept in `comments`).

    Raises BadInputError if it cannot be read or has no header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.comments: list[str] = []
        self.header_line = 0
        self.columns: tuple[str, ...] = ()
        for line, text in decoded(path):
            if isinstance(text, MalformedError):
                raise BadInputError(path, line, text.what, text.do)
            if text.startswith("#"):
                self.comments.append(text.lstrip("#").strip())
                continue
            self.header_line = line
            self.columns = tuple(cell.strip() for cell in next(csv.reader([text]), ()))
            break
        if not any(self.columns):
            line = self.header_line or len(self.comments) + 1
            raise BadInputError(path, line, "has no header line", "add the header")

    def require(self, names: Sequence[str]) -> None:
        """Raises BadInputError unless the header names every one of `names` exactly once."""
        missing = [name for name in names if self.columns.count(name) != 1]
        if missing:
            what = f"the header lacks {', '.join(missing)}, or names it twice"
            do = f"it must name {','.join(names)}"
            raise BadInputError(self.path, self.header_line, what, do)

    def has(self, name: str) -> bool:
        """Whether the header names `name`."""
        return name in self.columns

    def records(self, columns: Sequence[str]) -> Iterator[Record]:
        """The cells of `columns`, row by row; blank lines are passed over."""
        self.require(columns)
        pick = itemgetter(*(self.columns.index(name) for name in columns))
        width = len(self.columns)
        for line, cells in self._rows():
            if isinstance(cells, MalformedError):
                yield line, cells
            elif len(cells) != width:
                what = f"has {len(cells)} columns, the header has {width}"
                yield line, MalformedError("bad_columns", what, "correct the row or remove it")
            else:
                yield line, pick(cells)

    def _rows(self) -> Iterator[Record]:
        lines = decoded(self.path)
        ahead: deque[tuple[int, str | MalformedError]] = deque()
        for _ in range(self.header_line):
            next(lines)
        while True:
            line, text = ahead.popleft() if ahead else next(lines, (0, ""))
            if not line:
                return
            if isinstance(text, MalformedError):
                yield line, text
            elif '"' in text:
                yield line, _quoted(text, lines, ahead)
            elif text:
                yield line, text.split(",")


def _quoted(
    text: str,
    lines: Iterator[tuple[int, str | MalformedError]],
    ahead: deque[tuple[int, str | MalformedError]],
) -> Sequence[str] | MalformedError:
    """The cells of a row with quotes, which may go on over the following lines.

    If the quotes never close, only the first line is lost: the others go back to `ahead`.
    """
    taken: list[tuple[int, str | MalformedError]] = []
    parts = [text]
    quotes = text.count('"')
    while quotes % 2 and len(taken) < _CELL_LINES:
        following = ahead.popleft() if ahead else next(lines, None)
        if following is None:
            break
        taken.append(following)
        if isinstance(following[1], MalformedError):
            break
        parts.append(following[1])
        quotes += following[1].count('"')
    try:
        if not quotes % 2:
            return next(csv.reader(["\n".join(parts)], strict=True))
        what = "a quoted cell does not end"
    except csv.Error as error:
        what = str(error)
    ahead.extendleft(reversed(taken))
    return MalformedError("bad_quoting", what, "correct the quoting")


def decoded(path: Path, errors: str = "strict") -> Iterator[tuple[int, str | MalformedError]]:
    """(line number, text without its end) of every line. Raises BadInputError if unreadable."""
    with _opened(path) as stream:
        for line, raw in enumerate(stream, 1):
            body = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
            try:
                yield line, body.decode("utf-8", errors).rstrip("\r\n")
            except UnicodeDecodeError as error:
                what = f"is not UTF-8: {error.reason}"
                yield line, MalformedError("bad_encoding", what, "convert it to UTF-8")


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise BadInputError(path, None, what, "name a readable file") from error


# -- cells ---------------------------------------------------------------------------------------


def filled(name: str, text: str) -> str:
    """The cell, which must not be empty nor hold a line break or another control character."""
    if not text:
        raise MalformedError("bad_empty", f"{name} is empty", "give it a value")
    if not text.isprintable() and (found := _CONTROL.search(text)):
        what = f"{name} holds the control character {found[0]!a}"
        raise MalformedError("bad_name", what, "remove it")
    return text


def whole(name: str, text: str, most: int = 10**6, empty: int | None = None) -> int:
    """An integer in [0, most]; also as a float column writes it (`8.0`).

    An empty cell is `empty`, or malformed if that is None.
    """
    if not text and empty is not None:
        return empty
    digits = text.removesuffix(".0")
    if not (digits.isascii() and digits.isdigit()):
        what = f"{name} is {text!r}, not an integer"
        raise MalformedError("bad_number", what, "write digits, no sign, no unit")
    value = int(digits) if len(digits) < 20 else most + 1
    if value > most:
        do = f"give an integer from 0 to {most}"
        raise MalformedError("bad_range", f"{name} is {text[:40]}", do)
    return value


def decimal(name: str, text: str, unit: str, most: int) -> Decimal:
    """A number in [0, most], exactly."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value <= most:
        what = f"{name} is {text!r}"
        raise MalformedError("bad_number", what, f"give {unit}, from 0 to {most}")
    return value


def seconds(name: str, text: str) -> int:
    """Decimal seconds as microseconds, without a float in between."""
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text) * SECOND
    return int((decimal(name, text, "seconds", _LONGEST_US // SECOND) * SECOND).to_integral_value())


def moment(name: str, text: str) -> int:
    """`YYYY-MM-DD HH:MM:SS`, with an offset or else in UTC, as microseconds since 1970."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        what = f"{name} is {text!r}, not a time"
        raise MalformedError("bad_time", what, "write it as YYYY-MM-DD HH:MM:SS") from None
    return _since_1970(name, when if when.tzinfo else when.replace(tzinfo=UTC))


def minute(name: str, text: str) -> int:
    """`YYYY/M/D HH:MM`, in UTC, as microseconds since 1970."""
    try:
        when = datetime.strptime(f"{text} +0000", "%Y/%m/%d %H:%M %z")
    except ValueError:
        what = f"{name} is {text!r}, not a time"
        raise MalformedError("bad_time", what, "write it as YYYY/M/D HH:MM") from None
    return _since_1970(name, when)


def _since_1970(name: str, when: datetime) -> int:
    if when.year not in _YEARS:
        what = f"{name} is in the year {when.year}"
        do = f"give a time of {_YEARS[0]} to {_YEARS[-1]}"
        raise MalformedError("bad_time", what, do)
    return (when - _EPOCH) // _MICROSECOND


# -- what the manifest says ----------------------------------------------------------------------


def source(told: str, *files: Path) -> str:
    """Where the data come from, and the sha256 of every file read."""
    hashes = []
    for file in files:
        with _opened(file) as stream:
            hashes.append(f"{file.name} sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()}")
    return "; ".join((told, *hashes))
