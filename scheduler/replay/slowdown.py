"""An estimate, not a measurement, of what crossing the network costs a training step.

    slowdown = 1 + phi x k      phi  share of the step in communication that nothing hides
                                k    how much longer that communication takes

Published measurements fix the range. Arnold (arXiv 2509.15940, section 4): collectives up to
17 % slower across minipods, so k = 1 / 0.83 - 1 = 0.205; a phi of 0.1, 0.3 and 0.5 gives 1.02,
1.06 and 1.10, and its own end-to-end numbers (2 to 11 %) lie there. The choice of leaf inside
one minipod cost at most 0.3 %. Fabrics slower than RDMA, and jobs that leave an NVLink domain,
are outside this range: give phi and k of your own workload.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scheduler.model.topology import Topology
from scheduler.replay.locality import Locality

K_ARNOLD = 1 / 0.83 - 1
"""Communication lengthening across minipods: collectives keep 83 % of their bandwidth."""

_PUBLISHED = (
    "estimate, not measured: cross-spine 1.02 to 1.11 after Arnold (arXiv 2509.15940, end to end "
    "2 to 11 %), across leaves of one spine at most 1.003 (same, section 4)"
)

Range = tuple[float, float, float]
"""low, mid, high; 1.0 = as fast as on one leaf."""


@dataclass(frozen=True, slots=True)
class SlowdownModel:
    """Slowdown per tier, and where the numbers come from."""

    profile: str = "rdma"
    same_leaf: Range = (1.0, 1.0, 1.0)
    same_spine: Range = (1.0, 1.0, 1.003)
    """Several leaves below one domain of the topmost level."""
    cross_spine: Range = (1.02, 1.06, 1.11)
    """Several domains of the topmost level."""
    source: str = _PUBLISHED

    @classmethod
    def of(cls, profile: str, phi: Range, k: float = K_ARNOLD) -> SlowdownModel:
        """A workload class of your own: phi as low, mid, high; k as lengthening across spines.

        Raises ValueError unless 0 <= low <= mid <= high <= 1 and k >= 0.
        """
        if not (0 <= phi[0] <= phi[1] <= phi[2] <= 1 and k >= 0):
            raise ValueError(f"phi must rise within 0..1 and k be >= 0, not {phi} and {k}")
        low, mid, high = (1 + share * k for share in phi)
        source = f"estimate, not measured: 1 + phi x k with phi {phi}, k {k:.3f} as given"
        return cls(profile, cross_spine=(low, mid, high), source=source)


@dataclass(frozen=True, slots=True)
class Slowdown:
    """The estimate of one run: a range, and the GPU time behind each tier."""

    low: float
    mid: float
    high: float
    source: str
    tiers: tuple[tuple[str, float, Range], ...]
    """(tier, share of the GPU time of multi-member gangs, its range)."""


def spine_level(topology: Topology) -> int | None:
    """The level whose crossing is a cross-spine crossing, or None if the tree has no spines.

    It is the topmost of several levels. A single level is taken for leaves under one spine,
    unless it is called spine.
    """
    return 0 if len(topology.levels) > 1 or topology.levels == ("spine",) else None


def estimate_slowdown(
    topology: Topology, locality: list[Locality], model: SlowdownModel | None = None
) -> Slowdown:
    """Mean over multi-member gangs, weighted by GPU time; 1.0 where there are none."""
    model = model or SlowdownModel()
    spine = spine_level(topology)
    weight = locality[0].gpu_us if locality else []
    count = len(weight)
    crosses_spine = locality[spine].used > 1 if spine is not None else np.zeros(count, np.bool_)
    crosses_any = locality[-1].used > 1 if locality else np.zeros(count, np.bool_)
    tier = np.where(crosses_spine, 2, np.where(crosses_any, 1, 0)).tolist()
    sums = [0, 0, 0]
    for at, gpu_us in zip(tier, weight, strict=True):
        sums[at] += gpu_us
    total = sum(sums)
    names = ("one leaf", "one spine, several leaves", "several spines")
    ranges = (model.same_leaf, model.same_spine, model.cross_spine)
    shares = [part / total if total else 0.0 for part in sums]
    # A weighted mean of 1 + cost; with no gang to weigh there is no cost.
    low, mid, high = (
        1 + math.fsum(share * (r[at] - 1) for share, r in zip(shares, ranges, strict=True))
        for at in range(3)
    )
    tiers = tuple(zip(names, shares, ranges, strict=True))
    source = f"profile {model.profile}; {model.source}"
    return Slowdown(low, mid, high, source, tiers)
