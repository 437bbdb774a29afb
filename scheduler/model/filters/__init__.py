"""kube-scheduler's filters over columns: which nodes may take a shape, and why not.

Static filters (cordon, taints, node selector and affinity, tokens taken on a node, declared
features) are evaluated once per distinct value and gathered over rows; a node is counted under
the first one that refuses it, in `ORDER`. Resources and pod slots are integer capacities: the
capacity kernel computes them, `resources.py` and `slots.py` hold the rule for one node. Rules
between pods have modules of their own (`spread.py`, `pod_affinity.py`); `default_order.py` asks
everything as kube-scheduler does, in its words. One more filter is one
more module with a class like `Filter`, and its place in `ORDER`.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.filters.columns import Filter, NodeColumns, Reasons, row_count
from scheduler.model.filters.cordon import CordonFilter
from scheduler.model.filters.declared_features import FeatureFilter
from scheduler.model.filters.node_affinity import AffinityFilter, SelectorFilter
from scheduler.model.filters.taints import TaintFilter
from scheduler.model.filters.tokens import TokenFilter
from scheduler.model.shape import Shape

__all__ = ["ORDER", "Eligibility", "Filter", "NodeColumns", "Reasons"]

ORDER: tuple[Filter, ...] = (
    CordonFilter(),
    TaintFilter(),
    SelectorFilter(),
    AffinityFilter(),
    TokenFilter(),
    FeatureFilter(),
)
"""Static filters in the order in which they are asked, and in which reasons are counted."""


class Eligibility:
    """The static filters for one shape; its reason numbers stay valid between calls."""

    __slots__ = ("_reasons", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._reasons = Reasons()

    @property
    def reasons(self) -> list[str]:
        """Texts by code, growing; reasons[0] is empty and stands for "eligible"."""
        return self._reasons.texts

    def evaluate(self, nodes: NodeColumns, rows: I32 | None = None) -> I16:
        """int16 code per row of `rows` (None = all N): 0 = eligible, else index into reasons."""
        refused: I16 = np.zeros(row_count(nodes, rows), np.int16)
        for each in ORDER:
            codes = each.verdict(self.shape, nodes, rows, self._reasons)
            if codes is not None:
                np.copyto(refused, codes, where=refused == 0)
        return refused
