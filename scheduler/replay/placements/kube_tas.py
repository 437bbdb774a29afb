"""kube-scheduler's topology-aware scheduling: simulate the group in each domain, score, choose.

Re-implemented from KEP-5732 and the Kubernetes page "Topology-Aware Workload Scheduling" (1.36):

1. A placement is all nodes with one value of one topology key. 2. The whole group is scheduled
into each placement, pod by pod. 3. Placements that hold it are scored: MostAllocated (what the
nodes of the placement have given out of what they have, 0 to 100, after the group is in it) and
the number of pods placed, which is equal for all that hold it.

The one key is the topmost level here, so that most gangs can have a placement; the real one makes
a gang that no placement holds wait, here it is scheduled into the whole cluster, so that the same
gangs run under every rule. Pods inside a placement, and single pods, go to the most allocated
node, as its operators configure for GPUs; for pods alike that is: nodes in order of allocation,
each filled before the next. Of equal placements the first by name is taken (there: any).
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import (
    Room,
    SimpleRule,
    fill_below,
    tightest,
    under,
    usable,
)

MAX_SCORE = 100


class KubeTas(SimpleRule):
    """The value of the topmost level that is most allocated once the gang is in it."""

    @property
    def name(self) -> str:
        """`kube-tas`."""
        return "kube-tas"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """Steps 1 to 3."""
        rows = usable(room)
        given = room.size[rows] - room.free[rows]
        order = rows[np.lexsort((rows, -(given * MAX_SCORE // np.maximum(room.size[rows], 1))))]
        top = CLUSTER if gang.single else _placement(room, n)
        return fill_below(room, top, order, n)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """The one with least room: the placements proper are those of the topmost level."""
        del topology, gang
        return tightest(held, holding)


def _placement(room: Room, n: int) -> int:
    """The best placement that holds n, or the cluster if there is none."""
    t = room.topology
    if not t.levels:
        return CLUSTER
    tops = t.by_level[0]
    holding = tops[under(t, room.cap)[tops] >= n]
    if not holding.size:
        return CLUSTER
    # The group adds the same to each: n members, each as large as the next.
    size, free = under(t, room.size)[holding], under(t, room.free)[holding]
    score = (size - free + n * room.member) * MAX_SCORE // np.maximum(size, 1)
    return int(holding[np.lexsort((t.path_rank[holding], -score))[0]])
