"""VolumeZone: zone and region labels of a claim's volume against those of the node.

Source: plugins/volumezone/volume_zone.go and cloud-provider volume/helpers/zones.go (1.36).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I16
from scheduler.model.filters.columns import NodeColumns
from scheduler.model.snapshot import LabelColumn
from scheduler.model.volumes.in_tree import BETA_REGION, BETA_ZONE, REGION, ZONE, ZONES_APART
from scheduler.model.volumes.outcome import ZONE as PLUGIN
from scheduler.model.volumes.outcome import Code, Outcomes, Verdict
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.values import PodVolumes, Volume

NO_ZONE = "node(s) had no available volume zone"
LABELS = (BETA_ZONE, BETA_REGION, ZONE, REGION)
_STABLE = {BETA_ZONE: ZONE, BETA_REGION: REGION}

Mask = npt.NDArray[np.bool_]
Place = tuple[str, frozenset[str]]
"""A label that the node must have, and the values that do."""


def places(volume: Volume) -> tuple[Place, ...]:
    """What a volume's labels ask of nodes; a label with an empty part asks nothing."""
    found: list[Place] = []
    for key in LABELS:
        parts = [part.strip() for part in volume.labels.get(key, "").split(ZONES_APART)]
        if key in volume.labels and all(parts):
            found.append((key, frozenset(parts)))
    return tuple(found)


def zone(pod: PodVolumes, storage: Storage, nodes: NodeColumns) -> Verdict | None:
    """Verdict on all N rows, or None if every row passes."""
    asked: set[Place] = set()
    for name in pod.claims:
        volume = storage.volumes.get(storage.claims[pod.namespace, name].volume)
        asked.update(() if volume is None else places(volume))
    if not asked:
        return None
    refused = out_of_place(asked, nodes)
    outcomes = Outcomes(PLUGIN)
    code = outcomes.number(Code.UNRESOLVABLE, NO_ZONE)
    codes: I16 = np.where(refused, code, 0).astype(np.int16)
    return outcomes.verdict(codes) if refused.any() else None


def out_of_place(asked: set[Place], nodes: NodeColumns) -> Mask:
    """bool[N]: rows that have one of the four labels and miss what is asked."""
    n = len(nodes.names)
    labelled: Mask = np.zeros(n, np.bool_)
    for key in LABELS:
        if key in nodes.labels:
            labelled |= nodes.labels[key].code >= 0
    missed: Mask = np.zeros(n, np.bool_)
    for key, values in sorted(asked, key=lambda place: (place[0], sorted(place[1]))):
        missed |= ~_admitted(key, values, nodes.labels, n)
    return labelled & missed


def _admitted(key: str, values: frozenset[str], labels: Mapping[str, LabelColumn], n: int) -> Mask:
    own = labels.get(key)
    stable = labels.get(_STABLE[key]) if key in _STABLE else None
    admitted = _has(stable, values, n)
    if own is None:
        return admitted
    # The stable label is looked at only where the volume's own is missing.
    return np.where(own.code >= 0, _has(own, values, n), admitted)


def _has(column: LabelColumn | None, values: frozenset[str], n: int) -> Mask:
    if column is None:
        return np.zeros(n, np.bool_)
    table = np.array([*(value in values for value in column.values), False], np.bool_)
    admitted: Mask = table[column.code]
    return admitted
