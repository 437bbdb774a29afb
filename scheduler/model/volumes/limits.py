"""NodeVolumeLimits: how many volumes of one CSI driver a node can attach.

Source: Filter of plugins/nodevolumelimits/csi.go (1.36). A volume that pods of the node use is
counted once; one that is only still attached (VolumeAttachment) counts as used, and as new too
if the pod brings it, as there.
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I16, I64
from scheduler.model.volumes.handles import NotCountableError, attaches
from scheduler.model.volumes.outcome import LIMITS, Code, Outcomes, Verdict
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.users import NO_LIMIT, Attached, Users
from scheduler.model.volumes.values import PodVolumes

TOO_MANY = "node(s) exceed max volume count"


def limits(
    pod: PodVolumes, storage: Storage, users: Users, names: tuple[str, ...]
) -> Verdict | None:
    """Verdict on all N rows, or None if every row passes."""
    outcomes = Outcomes(LIMITS)
    codes: I16 = np.zeros(len(names), np.int16)
    try:
        new = attaches(pod, storage)
    except NotCountableError as error:
        # Inline volumes are translated only where there is a CSINode.
        there = [row for row, name in enumerate(names) if name in storage.nodes]
        codes[there] = outcomes.error(str(error))
        return outcomes.verdict(codes) if there else None
    if not new:
        return None
    attached = users.attached
    full = np.flatnonzero(over(new, attached))
    codes[attached.limited[full]] = outcomes.number(Code.UNSCHEDULABLE, TOO_MANY)
    for place, problem in attached.problems.items():
        codes[attached.limited[place]] = outcomes.error(problem)
    return outcomes.verdict(codes) if codes.any() else None


def over(new: dict[str, str], attached: Attached) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """bool[L] over `attached.limited`: would `new` volumes (name -> driver) go over a limit."""
    refused = np.zeros(len(attached.limited), np.bool_)
    for driver in sorted(set(new.values())):
        limit = attached.limit(driver)
        if limit is None:
            continue
        mine = [volume for volume, its in new.items() if its == driver]
        more: I64 = np.full(len(limit), len(mine), np.int64)
        for volume in mine:
            more[attached.places(volume)] -= 1
        asked = (limit != NO_LIMIT) & (more > 0)
        refused |= asked & (attached.used(driver) + more > limit)
    return refused
