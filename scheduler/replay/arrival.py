"""Quantities by how much has arrived: the horizontal axis of experiments that fill a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from scheduler.model.arrays import I64


def at_arrival(
    arrived: I64, total: int, values: I64, percents: Sequence[int]
) -> list[Fraction | None]:
    """Mean of `values` over the arrivals at which each of `percents` of `total` had arrived.

    arrived, values int64[A], after each arrival; the share that had arrived is rounded to a
    whole percent. Exact; None where no arrival is in the bucket.
    """
    percent = (200 * arrived + total) // (2 * total)
    means: list[Fraction | None] = []
    for wanted in percents:
        bucket = values[percent == wanted].tolist()
        means.append(Fraction(sum(bucket), len(bucket)) if bucket else None)
    return means
