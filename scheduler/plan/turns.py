"""Who comes first among nodes that are equal in all that counts: soft rules, then names.

Scaled as things stand when the shape is first looked at in a cycle, so that a queue of pods of
one shape sees one turn. Gangs of several shapes, and those that rules between pods spread or
search member by member, keep to names.
"""

from __future__ import annotations

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.constraints import Effect
from scheduler.model.filters import soft
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot


def soft_taints(snapshot: Snapshot) -> bool:
    """Does any node carry a taint that is only preferred to be avoided?"""
    taints = (taint for each in snapshot.taint_sets for taint in each)
    return any(taint.effect == Effect.PREFER_NO_SCHEDULE for taint in taints)


def turn_of(snapshot: Snapshot, tree: kernel.Tree, shape: Shape, cap: I64) -> kernel.Turn | None:
    """The turn of nodes for `shape`, None = by name. cap: int64[N], members that fit now."""
    scores = soft.scores(shape, snapshot, cap > 0)
    if scores is None:
        return None
    order = np.lexsort((tree.topology.position, -scores))
    rank: I32 = np.empty(order.shape[0], np.int32)
    rank[order] = np.arange(order.shape[0], dtype=np.int32)
    return kernel.Turn(tree, rank)
