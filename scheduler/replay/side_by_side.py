"""The comparison's table for people: a measure per row, a run per column, and who is best.

"Best" is what the numbers read, no more: whether a difference is noise is for more seeds to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from scheduler.replay.report import duration, number, percent

Cell: TypeAlias = str | int | float | bool | None

BEST = "best here"
"""Not simply `best`: one run of each says nothing about noise (see groups.py)."""


def side_by_side(rows: Sequence[Mapping[str, Cell]]) -> list[dict[str, Cell]]:
    """The rows of `compare()`, turned. Their first column names the runs."""
    first, *keys = rows[0]
    labels = [str(row[first]) for row in rows]
    found: list[dict[str, Cell]] = []
    for before, key in pairwise(["", *keys]):
        values = [row[key] for row in rows]
        title, show, sign = _measure(key, before)
        texts = [show(value) for value in values]
        if texts == labels:
            continue  # an option that the heads name already
        shown: dict[str, Cell] = {"": title, **dict(zip(labels, texts, strict=True))}
        found.append(shown | {BEST: ", ".join(_best(labels, values, texts, sign))})
    return found


def _measure(key: str, before: str) -> tuple[str, Callable[[Any], str], int]:
    """Title of a column, how its values read, and 1 if more is better, -1 if less is, else 0."""
    plain: dict[str, tuple[str, Callable[[Any], str], int]] = {
        "placed": ("gangs placed", number, 1),
        "completion s": ("mean completion", duration, -1),
        "wait s": ("mean wait", duration, -1),
        "wait p95 s": ("wait, 95th percentile", duration, -1),
        "wait +/-": ("mean wait, change", str, 0),
        "GPUs": ("GPUs allocated, mean", percent, 1),
    }
    if key in plain:
        return plain[key]
    if key.startswith("in one "):
        return f"{key}, if possible", percent, 1
    if before.startswith("in one "):
        return f"{key} per gang", _plain, -1
    return key, _plain, 0


def _plain(value: Cell) -> str:
    return number(value, 3) if isinstance(value, float) else str("" if value is None else value)


def _best(
    labels: Sequence[str], values: Sequence[Cell], texts: Sequence[str], sign: int
) -> list[str]:
    """The runs that read best; nobody if all read alike."""
    known = [
        (sign * value, text)
        for value, text in zip(values, texts, strict=True)
        if sign and isinstance(value, int | float)
    ]
    if len({text for _, text in known}) < 2:
        return []
    top = max(known)[1]
    return [label for label, text in zip(labels, texts, strict=True) if text == top]
