"""Columns that grow by doubling, so that n appends copy O(n) values in all."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from scheduler.model.arrays import I64

Scalar = TypeVar("Scalar", bound=np.generic)

FIRST_SIZE = 16
"""Length of a fresh column."""


def grown(
    column: np.ndarray[tuple[int, ...], np.dtype[Scalar]], needed: int, fill: int | bool = 0
) -> np.ndarray[tuple[int, ...], np.dtype[Scalar]]:
    """`column` itself if its last axis has `needed` places, else a copy of at least twice its size.

    New places hold `fill`. Views of the old column no longer see what is written to the new one.
    """
    have = column.shape[-1]
    if needed <= have:
        return column
    size = max(needed, 2 * have, FIRST_SIZE)
    wide = np.full((*column.shape[:-1], size), fill, column.dtype)
    wide[..., :have] = column
    return wide


def moved(table: I64, place: I64, rows: int) -> I64:
    """A copy of `table` [R, n] with `rows` rows: row r at place[r], zeros elsewhere."""
    wide: I64 = np.zeros((rows, table.shape[1]), np.int64)
    wide[place] = table
    return wide
