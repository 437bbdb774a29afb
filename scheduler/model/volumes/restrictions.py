"""VolumeRestrictions: inline disks that one node gives once, claims that one pod may use.

Source: plugins/volumerestrictions/volume_restrictions.go (1.36).
"""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I16
from scheduler.model.filters.tokens import where_taken
from scheduler.model.volumes.outcome import RESTRICTIONS, Code, Outcomes, Verdict
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.users import Users
from scheduler.model.volumes.values import PodVolumes

DISK_CONFLICT = "node(s) had no available disk"
ONE_POD_CONFLICT = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already "
    "in-use by another pod"
)


def restrictions(pod: PodVolumes, storage: Storage, users: Users, n: int) -> Verdict | None:
    """Verdict on all `n` rows, or None if every row passes."""
    own = one_pod_claims(pod, storage)
    in_use = any((pod.namespace, name) in users.claims for name in own)
    if not pod.disks and not in_use:
        return None  # Skip: pods added later are not looked at either
    outcomes = Outcomes(RESTRICTIONS)
    codes: I16 = np.zeros(n, np.int16)
    refused = outcomes.number(Code.UNSCHEDULABLE, ONE_POD_CONFLICT)
    if in_use:
        codes[:] = refused
    for row, pods in users.added.items():
        # By name alone: that is how AddPod counts.
        if own.intersection(name for each in pods for name in each.claims):
            codes[row] = refused
    for wanted in pod.disks:
        for rows in where_taken(wanted, users.disks):
            codes[rows] = outcomes.number(Code.UNSCHEDULABLE, DISK_CONFLICT)
    return outcomes.verdict(codes) if codes.any() else None


def one_pod_claims(pod: PodVolumes, storage: Storage) -> set[str]:
    """Names of the pod's ReadWriteOncePod claims, generic ephemeral ones left out."""
    found = ((name, storage.claims.get((pod.namespace, name))) for name in pod.claims)
    return {name for name, claim in found if claim is not None and claim.for_one_pod}
