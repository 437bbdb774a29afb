"""Which rows a label rule admits: once per distinct rule, kept for as long as the columns hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scheduler.model.constraints import Term
from scheduler.model.filters.columns import NodeColumns
from scheduler.model.filters.node_affinity import affinity_mask
from scheduler.model.volumes.values import LabelRule

Mask = npt.NDArray[np.bool_]


class Reach:
    """Masks over the rows of one set of node columns. Nobody may write to them."""

    __slots__ = ("_known", "_nodes", "everywhere")

    def __init__(self, nodes: NodeColumns) -> None:
        self._nodes = nodes
        self._known: dict[tuple[Term, ...], Mask] = {}
        self.everywhere: Mask = np.ones(len(nodes.names), np.bool_)
        self.everywhere.flags.writeable = False

    def of(self, terms: tuple[Term, ...] | None) -> Mask:
        """bool[N]: rows that one of `terms` admits; None = all."""
        if terms is None:
            return self.everywhere
        mask = self._known.get(terms)
        if mask is None:
            mask = affinity_mask(terms, self._nodes)
            mask.flags.writeable = False
            self._known[terms] = mask
        return mask

    def selected(self, rule: LabelRule | None) -> Mask:
        """bool[N]: rows that a label selector selects; None, or one with a problem = no row."""
        if rule is None or rule.problem:
            return self.of(())
        return self.of((Term(rule.requirements),)) if rule.requirements else self.everywhere
