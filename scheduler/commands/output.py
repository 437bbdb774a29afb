"""What commands print: results to stdout, progress to stderr and only if that is a terminal.

A table that is wider than the terminal is never squeezed until it cannot be read: a sentence in
its last column goes below the row, few rows become columns, many columns become several tables.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from textwrap import wrap
from typing import TypeAlias

import click

from scheduler.commands.interrupt import check

Cell: TypeAlias = str | int | float | bool | None

Step: TypeAlias = Callable[[int, int], None]
"""step(done, total): called by long work as often as it likes."""

_UNLIMITED_WIDTH = 10_000
_STEPS_SHOWN = 1_000
_SENTENCE = 24
"""More characters than this in a last column are a sentence."""
_FEW = 4
"""Rows that may become columns; more would not fit a terminal either."""
_INDENT = "     "


def emit_table(rows: Sequence[Mapping[str, Cell]], output: str, *, title: str = "") -> None:
    """Prints `rows` (all with the keys of the first, in its order) as `table` or `json`.

    JSON is a list of objects with the values as they are; a table rounds floats to four digits.
    """
    if output == "json":
        emit_json(list(rows))
        return
    # A pipe has no width: a name cut off there would be lost to grep.
    width = get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED_WIDTH
    for line in ([title] if title else []) + table_lines(rows, width):
        click.echo(line)


def table_lines(rows: Sequence[Mapping[str, Cell]], width: int) -> list[str]:
    """The table in lines of at most `width` columns, unless a single cell is wider than that."""
    if not rows:
        return []
    lines = _lines(rows)
    if max(map(len, lines)) <= width:
        return lines
    *keys, last = rows[0]
    if keys and max(len(_text(row[last])) for row in rows) > _SENTENCE:
        return _sentences_below(rows, last, width)
    if len(rows) <= _FEW and len({_text(row[keys[0]]) for row in rows}) == len(rows):
        return _blocks(_turned(rows), width)
    return _blocks(rows, width)


def _lines(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Numbers to the right, text to the left, a rule below the names."""
    columns = []
    for key in rows[0]:
        texts = [key, *(_text(row[key]) for row in rows)]
        wide = max(map(len, texts))
        numeric = all(isinstance(row[key], int | float | None) for row in rows)
        columns.append([text.rjust(wide) if numeric else text.ljust(wide) for text in texts])
    head, *body = (f" {'  '.join(cells)}".rstrip() for cells in zip(*columns, strict=True))
    rule = sum(len(column[0]) + 2 for column in columns)
    return [head, "\u2500" * rule, *body]


def _sentences_below(rows: Sequence[Mapping[str, Cell]], last: str, width: int) -> list[str]:
    """The other columns, and the text of the last one below its row."""
    others = [{key: value for key, value in row.items() if key != last} for row in rows]
    head, rule, *body = _lines(others)
    lines = [head, rule]
    for line, row in zip(body, rows, strict=True):
        lines += [line, *wrap(_text(row[last]), max(width, 20), initial_indent=_INDENT,
                              subsequent_indent=_INDENT)]  # fmt: skip
    return lines


def _turned(rows: Sequence[Mapping[str, Cell]]) -> list[dict[str, Cell]]:
    """A row per column, a column per row; the first column becomes the names."""
    first, *keys = rows[0]
    names = [_text(row[first]) for row in rows]
    return [
        {first: key, **{name: _text(row[key]) for name, row in zip(names, rows, strict=True)}}
        for key in keys
    ]


def _blocks(rows: Sequence[Mapping[str, Cell]], width: int) -> list[str]:
    """Several tables, one below the other, each beginning with the first column."""
    first, *keys = rows[0]
    lines: list[str] = []
    while keys:
        taken = 1
        block = _part(rows, [first, *keys[:taken]])
        while taken < len(keys):
            wider = _part(rows, [first, *keys[: taken + 1]])
            if max(map(len, wider)) > width:
                break
            block, taken = wider, taken + 1
        lines += ([""] if lines else []) + block
        keys = keys[taken:]
    return lines or _lines(rows)


def _part(rows: Sequence[Mapping[str, Cell]], keys: Sequence[str]) -> list[str]:
    return _lines([{key: row[key] for key in keys} for row in rows])


def emit_comparison(rows: Sequence[Mapping[str, Cell]], output: str) -> None:
    """Prints the rows of a comparison; a table of a few runs is turned and names the best.

    Groups of seeds stay as they are: they say of each difference whether it is noise.
    """
    if output == "json" or len(rows) > _FEW or "run" not in rows[0]:
        emit_table(rows, output)
        return
    from scheduler.replay.side_by_side import side_by_side

    emit_table(side_by_side(rows), output)


def emit_json(document: object) -> None:
    """Prints `document` (dicts, lists and scalars) as indented JSON."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """One line for people: to stderr, so that stdout stays a result."""
    click.echo(text, err=True)


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """A progress bar on stderr while the block runs; silent if stderr is no terminal.

    Its steps also hear a Ctrl-C that got lost (`interrupt.py`).
    """
    if not sys.stderr.isatty():
        yield _only_check
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), Elapsed())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        shown = -1

        def step(done: int, total: int) -> None:
            nonlocal shown
            check()
            mark = done * _STEPS_SHOWN // max(total, 1)
            if mark != shown:  # a million events must not mean a million updates
                shown = mark
                bar.update(task, completed=done, total=total)

        yield step


def _only_check(done: int, total: int) -> None:
    del done, total
    check()


def _text(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1_000 else _whole(value)


def _whole(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
