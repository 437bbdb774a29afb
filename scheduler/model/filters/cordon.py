"""NodeUnschedulable: a cordoned node takes nobody who does not tolerate its taint.

Source: plugins/nodeunschedulable/node_unschedulable.go (1.36).
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.constraints import Effect, Taint
from scheduler.model.filters.columns import NodeColumns, Reasons, taken
from scheduler.model.filters.taints import tolerated
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED

REASON = "cordoned"
CORDON_TAINT = Taint("node.kubernetes.io/unschedulable", "", Effect.NO_SCHEDULE)
"""The taint a pod must tolerate to enter a cordoned node, whether or not the node carries it."""


class CordonFilter:
    """`spec.unschedulable` against the shape's tolerations."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        cordoned = (taken(nodes.flags, rows) & CORDONED) != 0
        if not cordoned.any() or tolerated(CORDON_TAINT, shape.tolerations):
            return None
        codes: I16 = cordoned.astype(np.int16)
        codes *= reasons.code(REASON)
        return codes
