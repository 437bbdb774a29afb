"""Who is decided first: repairs, then the policy's order, then name."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.names import natural_key
from scheduler.model.pending import Pending
from scheduler.model.policy import Order


def decide_order(pending: Pending, order: Order, *, in_turn: bool = True) -> I32:
    """[G] indices of `pending` in the order in which gangs are decided.

    Repairs of placed gangs stand first; then, by `Order`, priority or run time; then the time
    at which the gang became complete; then name (digit runs as numbers) and key.
    in_turn: among equals (before the time) those that the last cycle's budget left out stand
    first, so that hard searches take turns. A strict scan keeps its own order.
    """
    if pending.gangs < 2:
        return np.arange(pending.gangs, dtype=np.int32)  # most cycles of a replay
    starved = pending.starved if in_turn and pending.starved is not None else 0
    keys = np.stack([
        pending.ready_us,
        np.zeros(pending.gangs, np.int64) - starved,
        pending.expected_us if order is Order.SJF else np.zeros(pending.gangs, np.int64),
        -pending.priority.astype(np.int64) * (order is Order.PRIORITY),
        1 - pending.repair.astype(np.int64),
    ])  # fmt: skip
    out: I32 = np.lexsort(keys).astype(np.int32)
    # Names are compared only where all else is equal: natural keys are not cheap.
    tied = (keys[:, out[1:]] == keys[:, out[:-1]]).all(axis=0)
    edges = np.flatnonzero(np.diff(tied, prepend=False, append=False)).tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        out[first : last + 1] = sorted(
            out[first : last + 1].tolist(),
            key=lambda g: (natural_key(pending.name[g]), pending.key[g]),
        )
    return out
