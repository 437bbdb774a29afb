"""A pod as one event of the watch shows it: used by the roster and dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.model.decode import Owner
from scheduler.model.volumes.pins import Pins


@dataclass(slots=True)
class Sighting:
    """One pod, of any scheduler, waiting or on a node."""

    uid: str
    namespace: str
    name: str
    owner: Owner | None
    """Its controller."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node: str
    """Node it is bound to; empty while it waits."""
    ours: bool
    """Its schedulerName is one of this process's profiles."""
    finished: bool
    deleting: bool
    gated: bool
    ready: bool
    """Its condition Ready is True."""
    priority: int
    created_us: int
    shape: int
    """Shape number in the cache: what it asks for while it waits, what counts once it is bound."""
    pins: Pins | None
    """Nodes it may use, by name or as its volumes allow; None = any."""
    claims: tuple[str, ...]
    """PersistentVolumeClaims it mounts, by name."""
    unsupported: tuple[str, ...]
    """Rules it asks for that are not checked yet, by name."""
    running: bool = False
    """Its phase is Running."""
    was_whole: bool = False
    """It carries the condition `muster.dev/GangPlaced`: its gang was whole once. The condition is
    written as False only where it was True before, so that its status does not matter."""
    nominated: str = ""
    """Node on which another scheduler has promised it room; empty for pods of ours."""
    told: str = ""
    """Reason of its condition PodScheduled=False, empty if nobody has written one."""
    profile: int = 0
    """Number of the profile that its schedulerName names; 0 if it is not ours."""

    @property
    def seat(self) -> str:
        """Node that it counts on: its own, the only one that a waiting pod may use, or the one
        that another scheduler has nominated for it: that room is kept whatever the priorities.
        """
        if self.node:
            return self.node
        if isinstance(self.pins, tuple) and len(self.pins) == 1:
            return self.pins[0]
        return self.nominated

    @property
    def member(self) -> bool:
        """Whether it counts as a member of its gang."""
        return not (self.gated or self.deleting or self.finished)
