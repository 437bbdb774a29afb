"""How near each gang's members are in the network, against the best the empty cluster offers.

Counted over gangs of two and more members that ran, over the members that were placed. The
numbers are those of an all-to-all exchange between members (`cross_pair_share`) and of a count
of domains, not a measurement of traffic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.replay.demand import Demand, Shapes
from scheduler.replay.result import RunResult
from scheduler.replay.timeline import Bool


@dataclass(frozen=True, eq=False)
class Locality:
    """One level, over the E gangs that count (`Locality.gang`)."""

    level: str
    gang: I64
    """[E] gang numbers, in trace order."""
    members: I64
    """[E] members placed, 2 or more."""
    used: I32
    """[E] domains that hold at least one of its members."""
    ideal: I32
    """[E] fewest domains of the empty cluster that could hold them."""
    same_pairs: I64
    """[E] ordered pairs of members that share a domain."""
    gpu_us: list[int]
    """[E] GPU thousandths x microseconds it ran: the weight of its pairs."""

    @property
    def single_able(self) -> Bool:
        """[E] one domain of the empty cluster could hold the gang."""
        return np.asarray(self.ideal == 1)

    def cross_pair_share(self) -> float | None:
        """Share of member pairs in different domains, weighted by GPU time.

        1 - sum n_d (n_d - 1) / (k (k - 1)) per gang of k members with n_d in domain d.
        """
        pairs = (self.members * (self.members - 1)).tolist()
        crossing = [
            weight * (all_ - same) / all_
            for weight, all_, same in zip(self.gpu_us, pairs, self.same_pairs.tolist(), strict=True)
        ]
        total = sum(self.gpu_us)
        return math.fsum(crossing) / total if total else None


def measure_locality(result: RunResult, demand: Demand) -> list[Locality]:
    """One Locality per level, root first."""
    topology = result.topology
    counted = np.repeat(result.start_us >= 0, result.members) & (result.row >= 0)
    member_gang = np.repeat(np.arange(result.gangs), result.members)[counted]
    row = result.row[counted]
    placed = np.bincount(member_gang, minlength=result.gangs)
    multi = placed >= 2
    gang = np.flatnonzero(multi)
    keep = multi[member_gang]
    member_gang, row = member_gang[keep], row[keep]
    place = np.cumsum(multi) - 1  # gang -> its place among the E
    ran_us = (result.end_us - result.start_us)[gang].tolist()
    milli = demand.gang_gpu_milli[gang].tolist()
    gpu_us = [m * us for m, us in zip(milli, ran_us, strict=True)]
    out = []
    for level, name in enumerate(topology.levels):
        domain = demand.domain(topology, level)
        owner, share = _shares(place[member_gang], domain[row], int(domain.max(initial=0)) + 1)
        out.append(
            Locality(
                level=name,
                gang=gang,
                members=placed[gang],
                used=np.bincount(owner, minlength=len(gang)).astype(np.int32),
                ideal=fewest_domains(domain, demand.shapes, gang, placed[gang]),
                # Sums of whole numbers below 2^53: exact although bincount adds as float.
                same_pairs=np.bincount(owner, share * (share - 1), len(gang)).astype(np.int64),
                gpu_us=gpu_us,
            )
        )
    return out


def _shares(owner: I64, domain: I64, domains: int) -> tuple[I64, I64]:
    """(gang, members) of every (gang, domain) pair in use, sorted by gang."""
    pair, share = np.unique(owner * domains + domain, return_counts=True)
    return pair // domains, share


def fewest_domains(domain: I64, shapes: Shapes, gang: I64, members: I64) -> I32:
    """[E] least number of domains of the empty cluster that could hold `members` of each gang.

    domain: [N] domain of each row. For gangs of one shape this is exact: the domains with most
    room, largest first. Gangs of several shapes get a lower bound: none of their shapes, and
    no resource in sum, could do with fewer.
    """
    ideal = np.ones(len(gang), np.int32)
    first, last = shapes.first[gang], shapes.first[gang + 1]
    single = last - first == 1
    kind = np.where(single, shapes.kind[first], -1)
    for one in np.unique(kind[single]).tolist():
        which = np.flatnonzero(kind == one)
        room = _largest_first(domain, shapes.capacity(one))
        ideal[which] = _needed(room, members[which])
    if not single.all():
        totals = [_largest_first(domain, column) for column in shapes.allocatable.T]
        for e in np.flatnonzero(~single).tolist():
            ideal[e] = _several(domain, shapes, totals, range(int(first[e]), int(last[e])))
    return ideal


def _several(domain: I64, shapes: Shapes, totals: list[I64], rows: range) -> int:
    bound = 1
    for at in rows:
        room = _largest_first(domain, shapes.capacity(int(shapes.kind[at])))
        bound = max(bound, int(_needed(room, shapes.count[at : at + 1])[0]))
    for column, room in enumerate(totals):
        asked = sum(int(shapes.request[at, column]) * int(shapes.count[at]) for at in rows)
        if asked and asked <= int(room[-1]):
            bound = max(bound, int(np.searchsorted(room, asked)) + 1)
    return bound


def _largest_first(domain: I64, capacity: I64) -> I64:
    """What the 1, 2, 3, ... roomiest domains hold together."""
    room = np.zeros(int(domain.max(initial=0)) + 1, np.int64)
    np.add.at(room, domain, capacity)
    return np.cumsum(np.sort(room[room > 0])[::-1])


def _needed(room: I64, members: I64) -> I32:
    """How many of the roomiest domains hold `members`; all of them if none do."""
    return (np.minimum(np.searchsorted(room, members), len(room) - 1) + 1).astype(np.int32)
