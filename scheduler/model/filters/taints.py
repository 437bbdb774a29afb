"""TaintToleration: every NoSchedule and NoExecute taint needs a toleration that matches.

Source: plugins/tainttoleration, k8s.io/api core/v1 toleration.go (1.36, comparison operators
Lt and Gt off as by default: they match nothing).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.constraints import Effect, Taint, Toleration
from scheduler.model.filters.columns import NodeColumns, Reasons, taken
from scheduler.model.shape import Shape

_HARD = (Effect.NO_SCHEDULE, Effect.NO_EXECUTE)


def matches(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration covers one taint; `tolerationSeconds` plays no part."""
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    if toleration.operator in ("", "Equal"):
        return toleration.value == taint.value
    return toleration.operator == "Exists"


def tolerated(taint: Taint, tolerations: Sequence[Toleration]) -> bool:
    """Whether any of `tolerations` covers `taint`."""
    return any(matches(toleration, taint) for toleration in tolerations)


class Tolerances:
    """Tolerations by key: many sets of taints are held against the same few or many of them."""

    __slots__ = ("_by_key",)

    def __init__(self, tolerations: Sequence[Toleration]) -> None:
        self._by_key: dict[str, list[Toleration]] = {}
        for each in tolerations:
            self._by_key.setdefault(each.key, []).append(each)

    def cover(self, taint: Taint) -> bool:
        """Whether any of them covers `taint`: one of its key, or of no key."""
        of_key = self._by_key.get(taint.key, ())
        anyone = self._by_key.get("", ()) if taint.key else ()
        return tolerated(taint, of_key) or tolerated(taint, anyone)

    def first_missing(self, taints: Sequence[Taint]) -> Taint | None:
        """The first taint, as the node lists them, that keeps the pod away; None if none does."""
        for taint in taints:
            if taint.effect in _HARD and not self.cover(taint):
                return taint
        return None


def reason(taint: Taint) -> str:
    """How a node with this taint is counted."""
    return f"taint {taint.key}={taint.value}" if taint.value else f"taint {taint.key}"


class TaintFilter:
    """Taints of a node against the shape's tolerations, once per distinct set of taints."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """See `Filter.verdict`."""
        tolerances = Tolerances(shape.tolerations)
        found = [tolerances.first_missing(taints) for taints in nodes.taint_sets]
        if not any(found):
            return None
        codes = np.array([reasons.code(reason(t)) if t else 0 for t in found], np.int16)
        return codes[taken(nodes.taint_set, rows)]
