"""The six policies, and FGD's score as thresholds of whole numbers."""

from __future__ import annotations

from decimal import Decimal, localcontext
from enum import IntEnum

import numpy as np

from scheduler.model.arrays import I64, frozen


class FillPolicy(IntEnum):
    """How a pod's node is chosen; scores are 0 .. 100, the lowest node of the run wins a tie.

    c, g, m = the pod's milli-CPU, GPUs, milli of each; idle = the node's idle GPU milli.
    """

    RANDOM = 0
    """Any node that holds the pod, and any device that holds a share."""
    DOTPROD = 1
    """100 (1 - 0.5 (cpu / 128000 x c / 128000 + idle / 8000 x g m / 8000)), before placing."""
    CLUSTERING = 2
    """Nodes that hold pods of the same number of GPUs (or sharing pods) and, best, no others."""
    PACKING = 3
    """Shared devices first (the tightest), free devices of used nodes, small free nodes."""
    BEST_FIT = 4
    """100 (1 - 0.5 ((cpu - c) / 128000 + (idle - g m) / 8000))."""
    FGD = 5
    """100 sigmoid((F before - F after) / 1000), F the fragmentation of the node."""


POLICIES = {
    "random": FillPolicy.RANDOM,
    "dotprod": FillPolicy.DOTPROD,
    "clustering": FillPolicy.CLUSTERING,
    "packing": FillPolicy.PACKING,
    "best-fit": FillPolicy.BEST_FIT,
    "fgd": FillPolicy.FGD,
}
"""The experiment's names, worst published result first."""

PLACEMENTS = {
    "fgd": FillPolicy.FGD,
    "fgd-bestfit": FillPolicy.BEST_FIT,
    "fgd-packing": FillPolicy.PACKING,
    "fgd-clustering": FillPolicy.CLUSTERING,
    "fgd-dotprod": FillPolicy.DOTPROD,
    "fgd-random": FillPolicy.RANDOM,
}
"""Names for `muster replay --fill X --placement P`."""


def fgd_thresholds(weights: int) -> I64:
    """int64[99], rising: the score is the number of them that (F before - F after) reaches.

    F is summed with whole weights that add up to `weights` (pods), not shares. The score s needs
    100 sigmoid(x / 1000 weights) >= s, so x >= 1000 weights ln(s / (100 - s)). Decimal's ln is
    rounded correctly everywhere, which exp() of a CPU's math library is not.
    """
    with localcontext() as context:
        context.prec = 50
        odds = (Decimal(s) / (100 - s) for s in range(1, 100))
        least = [(1000 * weights * ratio.ln()).to_integral_value("ROUND_CEILING") for ratio in odds]
    return frozen(np.array([int(value) for value in least], np.int64))
