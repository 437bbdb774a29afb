"""Names: their order (digit runs compare as numbers, the rest by code point), their plural."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"([0-9]+)")

NaturalKey = tuple[tuple[tuple[int, int, str], ...], str]


def natural_key(name: str) -> NaturalKey:
    """Sort key under which `node2` comes before `node10`.

    Digit runs are ASCII digits and compare by value; a digit run sorts before text. Names
    that differ only in leading zeros (`n01`, `n1`) tie on the runs and are told apart by
    code point, so the order is total and the same on every machine.
    """
    return tuple(_run(part) for part in _DIGITS.split(name) if part), name


def _run(part: str) -> tuple[int, int, str]:
    if part[0] not in "0123456789":
        return 1, 0, part
    # Length, then digits: the order of numbers, without turning them into some.
    digits = part.lstrip("0")
    return 0, len(digits), digits


def plural(level: str) -> str:
    """Several domains of a level: spines, leaves."""
    return f"{level[:-1]}ves" if level.endswith("f") else f"{level}s"
