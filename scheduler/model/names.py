"""Order of names: digit runs compare as numbers, the rest by code point."""

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
    runs = tuple(
        (0, int(part), "") if part[0] in "0123456789" else (1, 0, part)
        for part in _DIGITS.split(name)
        if part
    )
    return runs, name
