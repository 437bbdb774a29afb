"""Segments of a gang that is on nodes already: a lost member goes back to its mates.

gang of 3 segments of 4        ranks  0 1 2 3 | 4 5 6 7 | 8 9 ..
lost: 1, and 4 to 7            seg. 0 has mates on leaf-2: rank 1 may only use leaf-2
                               seg. 1 has none: it goes anywhere, as a whole, afterwards
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL
from scheduler.model.topology import Topology
from scheduler.model.volumes.pins import Pin, Pins, narrowed
from scheduler.state.entry import Entry


def beside_mates(
    entry: Entry, origin: I32, placed: Mapping[int, int], topology: Topology, names: tuple[str, ...]
) -> Entry:
    """The members of `entry` to plan now, so that every segment stays in one domain.

    origin: ranks of the whole gang, rising: segments are runs of these. placed: rank -> row of
    members that have a node or held room. Members whose segment has such mates come first,
    each pinned to its mates' domain; then whole lost segments, as segments. If of these some
    wait without all their mates, only the first segment is planned, as one run.
    """
    ranks = entry.rank_column()
    segment = _segments(origin, ranks, entry.segment_size)
    mates = dict(zip(placed, _segments(origin, _column(placed), entry.segment_size), strict=True))
    domain_of: dict[int, int] = {}
    for rank, row in sorted(placed.items()):
        domain = topology.domain_of(row, entry.segment_level)
        if domain != NO_DOMAIN:
            domain_of.setdefault(int(mates[rank]), domain)
    beside = np.array([int(s) in domain_of for s in segment])
    if beside.any():
        pins = {
            int(rank): _pin(entry.pins.get(int(rank)), topology, domain_of[int(s)], names)
            for rank, s in zip(ranks[beside], segment[beside], strict=True)
        }
        return replace(_only(entry, beside), segment_size=0, segment_level=NO_LEVEL, pins=pins)
    _, counts = np.unique(segment, return_counts=True)
    if (counts[:-1] == entry.segment_size).all():
        return entry
    return _only(entry, segment == segment[0])


def _column(placed: Mapping[int, int]) -> I32:
    return np.fromiter(placed, np.int32, len(placed))


def _segments(origin: I32, ranks: I32, size: int) -> I64:
    """[len(ranks)] number of the segment of each rank."""
    segments: I64 = np.searchsorted(origin, ranks) // size
    return segments


def _pin(pin: Pins | None, topology: Topology, domain: int, names: tuple[str, ...]) -> Pins:
    inside = tuple(names[row] for row in topology.rows(domain).tolist())
    if isinstance(pin, Pin):
        return narrowed(pin, inside) or ()
    return inside if pin is None else tuple(name for name in inside if name in set(pin))


def _only(entry: Entry, kept: np.ndarray) -> Entry:
    """The members of `entry` that `kept` bool[count] names; at least one."""
    some = entry.where(kept)
    return entry if some is None else some
