"""What `muster validate openb` compares: ten seeds of six policies with the published means.

Published: mean over seeds 42 to 51 of the default pod list, from the result tables that the
authors' simulator comes with. Their random numbers are Go's, so only means over seeds agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from scheduler.replay.fgd.experiment import Figures, mean_figures, run_seeds
from scheduler.replay.fgd.policy import POLICIES
from scheduler.replay.fgd.problem import Problem

TIMES = 1.3
SEEDS = tuple(range(42, 52))
BAND = 0.5
"""Points, around allocation and fragmentation in percent of the cluster's GPUs."""

PUBLISHED = {
    "random": Figures({100: 86.30, 130: 87.47}, {80: 15.92, 100: 13.49, 130: 12.43}),
    "dotprod": Figures({100: 90.62, 130: 90.85}, {80: 10.09, 100: 9.30, 130: 9.08}),
    "clustering": Figures({100: 91.65, 130: 91.88}, {80: 9.36, 100: 8.21, 130: 8.00}),
    "packing": Figures({100: 91.78, 130: 92.00}, {80: 9.28, 100: 8.13, 130: 7.91}),
    "best-fit": Figures({100: 92.86, 130: 93.08}, {80: 8.29, 100: 7.05, 130: 6.85}),
    "fgd": Figures({100: 95.23, 130: 95.39}, {80: 5.97, 100: 4.73, 130: 4.57}),
}
"""Policy -> allocation and fragmentation, percent arrived -> percent of the cluster's GPUs."""

ORDER = (("fgd",), ("best-fit",), ("packing", "clustering", "dotprod"), ("random",))
"""By allocation, best first; the publication does not part those of one step by its spread."""


def measure(problem: Problem, policy: str) -> Figures:
    """Means of a policy over SEEDS."""
    return mean_figures(run_seeds(problem, POLICIES[policy], TIMES, SEEDS))


def order_of(measured: Mapping[str, Figures]) -> Iterator[tuple[str, str, int, float, float]]:
    """(better, worse, percent, allocation of worse, of better) for each two neighbours in ORDER.

    Of policies that share a step the two stand that are nearest to each other.
    """
    for percent in (100, 130):
        at = {name: figures.allocation[percent] for name, figures in measured.items()}
        for above, below in pairwise(ORDER):
            better, worse = min(above, key=at.__getitem__), max(below, key=at.__getitem__)
            yield better, worse, percent, at[worse], at[better]
