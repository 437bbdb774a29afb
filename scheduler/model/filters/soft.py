"""Soft rules: preferred node affinity and PreferNoSchedule taints, as a score per row.

They refuse no node and come last: where everything else about two nodes is equal, the one with
the higher score is taken, before names decide. Weights and rounding are kube-scheduler's:
3 x TaintToleration + 2 x NodeAffinity, each 0 to 100 among the nodes that can take the pod.
Sources: plugins/tainttoleration, plugins/nodeaffinity, plugins/helper/normalize_score.go (1.36).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.model.arrays import I64
from scheduler.model.constraints import Effect, Toleration
from scheduler.model.filters.columns import NodeColumns
from scheduler.model.filters.node_affinity import Mask, affinity_mask
from scheduler.model.filters.taints import Tolerances
from scheduler.model.shape import Shape

TAINT_WEIGHT = 3
AFFINITY_WEIGHT = 2
MOST = 100


def scores(shape: Shape, nodes: NodeColumns, able: Mask) -> I64 | None:
    """int64[N], higher is better; None if no rule tells two of the rows in `able` apart.

    able: bool[N], nodes that can take a member: both rules are scaled among these.
    """
    total: I64 = np.zeros(able.shape[0], np.int64)
    avoided = _avoided(shape.tolerations, nodes)
    if avoided is not None:
        total += TAINT_WEIGHT * (MOST - _scaled(avoided, able))
    if shape.preferred:
        total += AFFINITY_WEIGHT * _scaled(_wished(shape, nodes), able)
    here = total[able]
    if not here.size or bool((here == here[0]).all()):
        return None
    return total


def _avoided(tolerations: Sequence[Toleration], nodes: NodeColumns) -> I64 | None:
    """Per row the PreferNoSchedule taints that are not tolerated; None if there are none."""
    tolerances = Tolerances(tolerations)
    counts = [
        sum(t.effect == Effect.PREFER_NO_SCHEDULE and not tolerances.cover(t) for t in taints)
        for taints in nodes.taint_sets
    ]
    if not any(counts):
        return None
    return np.array(counts, np.int64)[nodes.taint_set]


def _wished(shape: Shape, nodes: NodeColumns) -> I64:
    """Per row the sum of the weights of preferred terms that admit the node."""
    raw: I64 = np.zeros(len(nodes.names), np.int64)
    for weight, term in shape.preferred:
        raw += weight * affinity_mask((term,), nodes)
    return raw


def _scaled(raw: I64, able: Mask) -> I64:
    """0 to 100 by the largest among `able`, rounded down; 0 where nobody has anything."""
    largest = int(raw[able].max(initial=0))
    if largest <= 0:
        return np.zeros_like(raw)
    return MOST * raw // largest
