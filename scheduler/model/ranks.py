"""Ranks of a gang's members, as columns: what they say of themselves, or else 0, 1, 2, .."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32
from scheduler.model.names import natural_key

NO_RANK = -1


def number_members(
    stated: I32, placed: I32, name: Callable[[int], str]
) -> tuple[I32, npt.NDArray[np.bool_] | None]:
    """Ranks int32[m], distinct, and which members stand in the way of the stated ones.

    stated int32[m]: the rank that each member says it has, -1 = none. placed int32[m]: the rank
    under which it has a place already, -1 = none; distinct. name(i): its name.

    Stated ranks hold if every member has one and no two are the same. Else members without a
    place are numbered by (stated rank, none last; name) with the lowest numbers that are free.
    A member that has a place keeps its rank whatever comes later: its neighbours in the network
    are chosen by it. The second value is None if the stated ranks hold, else bool[m]: those
    without a rank, or whose rank another one has too.
    """
    kept = placed >= 0
    amiss = _amiss(stated)
    if amiss is None and (not kept.any() or np.array_equal(placed[kept], stated[kept])):
        return stated, None
    ranks = placed.copy()
    free = np.flatnonzero(~kept)
    if amiss is None:
        # Their own rank, where no placed member has taken it in the meantime.
        good = free[~np.isin(stated[free], placed[kept])]
        ranks[good] = stated[good]
        free = np.setdiff1d(free, good)
    order = sorted(free.tolist(), key=lambda i: _before(int(stated[i]), name(i)))
    if order:
        taken = ranks[ranks >= 0]
        ranks[order] = np.setdiff1d(np.arange(len(ranks)), taken)[: len(order)]
    return ranks, amiss


def _amiss(stated: I32) -> npt.NDArray[np.bool_] | None:
    """Members without a rank, or with one that comes twice; None if there is none."""
    if not stated.size:
        return None
    steps = np.diff(stated)
    if stated[0] >= 0 and bool((steps > 0).all()):
        return None
    rising = np.sort(stated)
    if rising[0] >= 0 and bool((np.diff(rising) > 0).all()):
        return None
    values, count = np.unique(stated, return_counts=True)
    found: npt.NDArray[np.bool_] = np.isin(stated, values[(count > 1) | (values < 0)])
    return found


def _before(stated: int, name: str) -> tuple[bool, int, object]:
    return stated < 0, stated, natural_key(name)
