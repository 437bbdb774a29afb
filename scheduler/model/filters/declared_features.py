"""NodeDeclaredFeatures: the kubelet must say that it has every feature that the pod needs.

Source: plugins/nodedeclaredfeatures, component-helpers nodedeclaredfeatures (1.36). Which
features a pod needs is worked out when it is decoded; names that nobody asks for are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.filters.columns import NodeColumns, Reasons, row_count, taken
from scheduler.model.shape import Shape


def missing(wanted: Sequence[str], declared: Sequence[str]) -> str:
    """The first of `wanted` that a node which declares `declared` lacks, or empty."""
    return next((name for name in wanted if name not in declared), "")


def feature_reason(name: str) -> str:
    """How a node without this feature is counted."""
    return f"feature {name}"


class FeatureFilter:
    """Features that the shape needs against those that nodes declare, once per distinct set."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        if not shape.features:
            return None
        lacking = [missing(shape.features, declared) for declared in nodes.features]
        codes = np.array([reasons.code(feature_reason(f)) if f else 0 for f in lacking], np.int16)
        if not nodes.feature_set.size:  # an empty column says that all nodes have set 0
            return np.full(row_count(nodes, rows), codes[0], np.int16)
        return codes[taken(nodes.feature_set, rows)]
