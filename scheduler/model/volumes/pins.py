"""Where bound volumes let a pod go: a value that many pods share, and its rows.

A Pin is at least as strict as kube-scheduler on each node: an in-tree volume must suit a node
both as it is and as its CSI driver sees it, though only one of the two is asked there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.constraints import Term
from scheduler.model.filters.columns import NodeColumns
from scheduler.model.volumes.reach import Reach
from scheduler.model.volumes.values import Volume
from scheduler.model.volumes.zone import Place, out_of_place, places


@dataclass(frozen=True, slots=True)
class Pin:
    """Nodes that all of a pod's bound volumes can be used on, by the nodes' labels."""

    reaches: tuple[tuple[Term, ...], ...] = ()
    """Node affinities of the volumes, each of which must admit the node. Sorted, distinct."""
    zones: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Labels of the volumes and the values that do (see zone.py). Sorted, distinct."""
    names: tuple[str, ...] | None = None
    """Nodes that the pod itself names; None = any."""


def pin_of(bound: Sequence[Volume], zoned: Sequence[Volume]) -> Pin | None:
    """The pin of a pod with these volumes; None if every node will do.

    bound: volumes of all its bound claims. zoned: those of claims that it names itself.
    """
    reaches = {
        reach
        for volume in bound
        for reach in (volume.reach, volume.migrated_reach if volume.in_tree else None)
        if reach is not None
    }
    asked = {place for volume in zoned for place in places(volume)}
    if not reaches and not asked:
        return None
    zones = sorted((key, tuple(sorted(values))) for key, values in asked)
    return Pin(tuple(sorted(reaches)), tuple(zones))


Pins = tuple[str, ...] | Pin
"""The nodes that a pod may use: by name, or as a Pin."""


def narrowed(pin: Pin | None, names: tuple[str, ...] | None) -> Pins | None:
    """Nodes that `pin` admits and that are among `names`; None = any."""
    if pin is None:
        return names
    if names is None:
        return pin
    if pin.names is not None:
        known = set(pin.names)
        names = tuple(name for name in names if name in known)
    return replace(pin, names=names)


def rows_of(pin: Pin, nodes: NodeColumns, reach: Reach) -> I32:
    """int32, rising: rows that `pin` admits. reach: over the same columns."""
    admitted = reach.everywhere.copy()
    for terms in pin.reaches:
        admitted &= reach.of(terms)
    asked: set[Place] = {(key, frozenset(values)) for key, values in pin.zones}
    if asked:
        admitted &= ~out_of_place(asked, nodes)
    if pin.names is not None:
        wanted = set(pin.names)
        admitted &= np.array([name in wanted for name in nodes.names], np.bool_)
    return np.flatnonzero(admitted).astype(np.int32)
