"""What kube-scheduler's four volume plugins answer for one pod and many nodes.

    filters = VolumeFilters(storage, users, nodes)        # once for many pods
    answer = filters.verdicts(pod)                        # pod: PodVolumes (decode.pod_volumes)
    answer.refused     Refusal(plugin, code, reason) of a PreFilter: the pod goes nowhere;
                       or None
    answer.verdicts    one Verdict per Filter plugin that refuses some row, in the order of the
                       default profile: plugin, outcomes (by code; [0] is None), codes int16[N].
                       A plugin that is not among them passes everywhere.
An Outcome has a Code and one or more reasons (each counted for itself). Texts are
kube-scheduler's; those of errors begin as its framework words them. A pod without volumes
(pod_volumes is None) is not asked about: all four plugins skip it.

PreFilter order: VolumeRestrictions, VolumeBinding, VolumeZone (NodeVolumeLimits refuses nobody
there); whoever runs all plugins puts these between NodeResourcesFit and PodTopologySpread.
Nominated pods: `Users(..., added=...)` for the pass that counts them, without for the other.
Everything is evaluated over all rows at once, node rules once per distinct rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.filters.columns import NodeColumns
from scheduler.model.volumes.binding import BindingFilter
from scheduler.model.volumes.limits import limits
from scheduler.model.volumes.outcome import Code, Outcome, Refusal, Verdict
from scheduler.model.volumes.prefilter import admit
from scheduler.model.volumes.reach import Reach
from scheduler.model.volumes.restrictions import restrictions
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.users import Users
from scheduler.model.volumes.values import PodVolumes
from scheduler.model.volumes.zone import zone

__all__ = ["Code", "Outcome", "Refusal", "Verdict", "VolumeFilters", "VolumeVerdicts"]


@dataclass(frozen=True, eq=False, slots=True)
class VolumeVerdicts:
    """The answers for one pod."""

    refused: Refusal | None
    verdicts: tuple[Verdict, ...] = ()


class VolumeFilters:
    """The four plugins over one state of the cluster."""

    __slots__ = ("_binding", "_nodes", "_storage", "_users")

    def __init__(self, storage: Storage, users: Users, nodes: NodeColumns) -> None:
        """users: built over the same storage and the same names as `nodes`."""
        self._storage = storage
        self._users = users
        self._nodes = nodes
        self._binding = BindingFilter(storage, nodes.names, Reach(nodes))

    def verdicts(self, pod: PodVolumes) -> VolumeVerdicts:
        """The answers for `pod`, which must not be among the users."""
        claims = admit(pod, self._storage)
        if isinstance(claims, Refusal):
            return VolumeVerdicts(claims)
        names = self._nodes.names
        found = (
            restrictions(pod, self._storage, self._users, len(names)),
            limits(pod, self._storage, self._users, names),
            self._binding.verdict(claims),
            zone(pod, self._storage, self._nodes),
        )
        return VolumeVerdicts(None, tuple(each for each in found if each is not None))
