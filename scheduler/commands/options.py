"""Options that several commands share, and the little languages of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

TRACE_DIR = click.Path(exists=True, file_okay=False, path_type=Path)
"""An existing trace or run directory."""

DEFAULT_ADDRESS = "127.0.0.1:10290"
"""Where a scheduler listens unless its configuration says otherwise."""

INPUT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""An existing file."""


class Multiple(click.FloatRange):
    """A share or a multiple: 0.001 to 1000, and never NaN."""

    def __init__(self) -> None:
        super().__init__(min=0.001, max=1000)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number; anything else is a usage error."""
        number = float(super().convert(value, param, ctx))
        if number != number:  # noqa: PLR0124 - NaN passes every comparison of a range
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class SizeRange(click.ParamType[tuple[int, int]]):
    """`64:1024`, or `64` for a single size: least and greatest, both >= 1."""

    name = "MIN:MAX"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The pair; anything else is a usage error."""
        if isinstance(value, tuple):
            return value
        low, _, high = str(value).partition(":")
        sizes = _positive(low), _positive(high or low)
        if not 0 < sizes[0] <= sizes[1]:
            self.fail(f"{value!r} is not MIN:MAX with 1 <= MIN <= MAX", param, ctx)
        return sizes


class Level(click.ParamType[tuple[str, tuple[int, ...]]]):
    """`leaf=8,8,4`: a level, and how many consecutive nodes each of its domains holds."""

    name = "LEVEL=N,N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        """The level's name and the sizes; anything else is a usage error."""
        if isinstance(value, tuple):
            return value
        level, _, text = str(value).partition("=")
        sizes = tuple(_positive(size) for size in text.split(","))
        if not level or 0 in sizes:
            self.fail(f"{value!r} is not LEVEL=N,N,... with N >= 1, like leaf=8,8,4", param, ctx)
        return level, sizes


class PoolNodes(click.ParamType[tuple[str, int]]):
    """`vc6YE=20`: a pool and its number of nodes."""

    name = "NAME=NODES"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """The pool's name and its size; anything else is a usage error."""
        if isinstance(value, tuple):
            return value
        pool, _, nodes = str(value).rpartition("=")
        if not pool or not _positive(nodes):
            self.fail(f"{value!r} is not NAME=NODES with NODES >= 1, like vc6YE=20", param, ctx)
        return pool, _positive(nodes)


class LevelLabel(click.ParamType[tuple[str, str]]):
    """`spine=topology.k8s.aws/network-node-layer-1`: a level and the node label that carries it."""

    name = "NAME=LABEL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The level's name and the label key; anything else is a usage error."""
        if isinstance(value, tuple):
            return value
        name, _, label = str(value).partition("=")
        if not name or not label:
            self.fail(f"{value!r} is not NAME=LABEL, like spine=example.com/spine", param, ctx)
        return name, label


def _positive(text: str) -> int:
    """`text` as a number >= 1, or 0 if it is none."""
    return int(text) if text.isascii() and text.isdigit() else 0


def out_option(what: str) -> Callable[[Decorated], Decorated]:
    """`--out DIR`: where `what` goes. It appears whole or not at all."""
    return click.option(
        "--out",
        required=True,
        metavar="DIR",
        type=click.Path(path_type=Path),
        callback=_can_be_made,
        help=f"Directory for {what}; appears whole or not at all.",
    )


def _can_be_made(ctx: click.Context, param: click.Parameter, out: Path) -> Path:
    """Refuse an --out that is taken before the work, not after it."""
    del param
    if not ctx.resilient_parsing:
        from scheduler.replay.trace_io import check_new

        check_new(out)
    return out


def format_option(command: Decorated) -> Decorated:
    """`-o json|table` on every command that prints a table; passed on as `output`."""
    return click.option(
        "-o",
        "output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How to print the result.",
    )(command)


def address_option(command: Decorated) -> Decorated:
    """`--address HOST:PORT` of a running scheduler."""
    return click.option(
        "--address",
        metavar="HOST:PORT",
        default=DEFAULT_ADDRESS,
        show_default=True,
        help="Where the scheduler listens, or a forwarded port.",
    )(command)


def seed_option(command: Decorated) -> Decorated:
    """`--seed N` >= 0: the same seed gives the same bytes."""
    return click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=1,
        show_default=True,
        help="Seed of all random choices: the same seed, the same bytes.",
    )(command)
