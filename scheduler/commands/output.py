"""What commands print: results to stdout, progress to stderr and only if that is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import click

Cell: TypeAlias = str | int | float | bool | None

Step: TypeAlias = Callable[[int, int], None]
"""step(done, total): called by long work as often as it likes."""

_UNLIMITED_WIDTH = 10_000
_STEPS_SHOWN = 1_000


def emit_table(rows: Sequence[Mapping[str, Cell]], output: str, *, title: str = "") -> None:
    """Prints `rows` (all with the keys of the first, in its order) as `table` or `json`.

    JSON is a list of objects with the values as they are; a table rounds floats to four digits.
    """
    if output == "json":
        emit_json(list(rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for key in rows[0] if rows else ():
        numeric = all(isinstance(row[key], int | float) or row[key] is None for row in rows)
        table.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row.values()))
    # A pipe has no width: a name cut off there would be lost to grep.
    width = None if sys.stdout.isatty() else _UNLIMITED_WIDTH
    Console(file=sys.stdout, width=width, highlight=False).print(table)


def emit_json(document: object) -> None:
    """Prints `document` (dicts, lists and scalars) as indented JSON."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """One line for people: to stderr, so that stdout stays a result."""
    click.echo(text, err=True)


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """A progress bar on stderr while the block runs; silent if stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None  # noqa: ARG005 - the signature of Step
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
            mark = done * _STEPS_SHOWN // max(total, 1)
            if mark != shown:  # a million events must not mean a million updates
                shown = mark
                bar.update(task, completed=done, total=total)

        yield step


def _text(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1_000 else _whole(value)


def _whole(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
